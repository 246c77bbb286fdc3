package pages

import (
	"net/http"
	"net/url"
)

// The page of a link that cancels a request for a reset. It comes in a message, in the language of that message, and needs no account.
var cancelPages = []page{
	{path: "cancel/{language}/{handle}", sheet: "cancel", show: showCancel, acts: map[string]act{"cancel": cancelByLink}},
}

func showCancel(v *visit) (any, error) {
	v.speaks(v.values["language"])
	return nil, nil
}

// speaks makes the page speak a language, if it is there.
func (v *visit) speaks(locale string) {
	if known := v.site.texts.of(locale); known != nil {
		v.language = known
	}
}

// cancelByLink gives the handle for the token that cancels the request, and cancels it. If the second call fails, the same form can be
// sent again: its word makes the first call repeat its answer.
func cancelByLink(v *visit) error {
	v.speaks(v.values["language"])
	var got redeemed
	err := v.post("/v1/handles", map[string]string{"handle": v.values["handle"]}, &got)
	if err == nil {
		err = v.do(call{
			method: http.MethodPost, path: "/v1/resets/" + url.PathEscape(got.ID) + "/cancel", bearer: got.Token, body: map[string]string{}, word: v.field("word"),
		}, nil)
	}
	switch codeOf(err) {
	case "":
		v.say(http.StatusOK, "cancelled")
	case "not_found", "invalid_request":
		v.say(http.StatusNotFound, "cancelled_late")
	default:
		v.remark(http.StatusServiceUnavailable, v.T("wrong.unavailable"))
	}
	return nil
}
