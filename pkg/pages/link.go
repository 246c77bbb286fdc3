package pages

import (
	"net/http"
	"time"
)

// linkPages are the pages that the addresses in answers of the API lead to. Their addresses have a handle, so they show nothing but a
// form, and the form leads to a page whose address has none.
var linkPages = []page{
	{path: "challenge/{handle}", sheet: "link", show: showLink, acts: map[string]act{"open": redeem}},
	{path: "enrolment/{handle}", sheet: "link", show: showLink, acts: map[string]act{"open": redeem}},
	{path: "portal/{handle}", sheet: "link", show: showLink, acts: map[string]act{"open": redeem}},
}

func showLink(*visit) (any, error) { return nil, nil }

// redeemed is what a handle stands for.
type redeemed struct {
	Kind    string    `json:"kind"`
	ID      string    `json:"id"`
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
}

// firstPages are the pages that a bearer is for, by its kind. What follows is the id of what it is for.
var firstPages = map[string]string{
	challengeSession: "sign-in/",
	enrolmentSession: "set-up/",
}

// redeem gives the handle of the address for its bearer, and keeps that in a cookie.
func redeem(v *visit) error {
	var got redeemed
	err := v.post("/v1/handles", map[string]string{"handle": v.values["handle"]}, &got)
	first := firstPages[got.Kind]
	switch {
	case err == nil && got.Kind == portalSession:
		return v.openPortal(got)
	case codeOf(err) == "not_found" || codeOf(err) == "invalid_request", err == nil && (first == "" || !goodID(got.ID)):
		v.say(http.StatusGone, "link_used")
		return nil
	case err != nil:
		v.say(http.StatusServiceUnavailable, unavailable)
		return nil
	}
	v.keep(got.Kind, got.ID, got.Token, got.Expires)
	v.goTo(first + got.ID)
	return nil
}
