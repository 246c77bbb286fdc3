package pages

import (
	"net/http"
	"net/url"
	"time"
)

// A resetRequest is a request for a reset as the API shows it.
type resetRequest struct {
	ID            string     `json:"id"`
	User          string     `json:"user"`
	State         string     `json:"state"`
	RequestedBy   string     `json:"requested_by"`
	ApprovedBy    string     `json:"approved_by"`
	NeedsApproval bool       `json:"needs_approval"`
	Reason        string     `json:"reason"`
	Due           *time.Time `json:"due"`
	Created       time.Time  `json:"created"`
	Expires       time.Time  `json:"expires"`
}

// Waits reports whether somebody can still decide about the request.
func (r resetRequest) Waits() bool { return r.State == "pending" }

// requestsView is what the template of the requests gets.
type requestsView struct {
	console
	State    string
	States   []string
	Requests []resetRequest
	Next     string
	Paged    bool
}

var resetStates = []string{"pending", "done", "cancelled", "expired"}

func showRequests(v *visit) (any, error) {
	c, err := v.console("requests")
	if err != nil {
		return nil, err
	}
	asked := v.r.URL.Query()
	view := &requestsView{console: c, States: resetStates, State: oneOf(asked.Get("state"), resetStates), Paged: asked.Get("cursor") != ""}
	if !asked.Has("state") {
		view.State = "pending"
	}
	here := c.Home + "/requests"
	query := url.Values{"limit": {"50"}}
	set(query, "state", view.State)
	set(query, "cursor", asked.Get("cursor"))
	for range mostPages {
		got, err := v.resets(c, query)
		if err != nil {
			return nil, v.badCursor(err, here)
		}
		view.Requests, view.Next = got.Items, ""
		if got.Cursor == nil {
			break
		}
		query.Set("cursor", *got.Cursor)
		view.Next = here + "?" + url.Values{"state": {view.State}, "cursor": {*got.Cursor}}.Encode()
		if len(got.Items) > 0 {
			break
		}
	}
	return view, nil
}

// resetPage is one page of the API's list of requests.
type resetPage struct {
	Items  []resetRequest `json:"items"`
	Cursor *string        `json:"cursor"`
}

func (v *visit) resets(c console, query url.Values) (got resetPage, err error) {
	err = v.get(c.orgPath("/resets?"+query.Encode()), &got)
	return got, err
}

// allWaiting returns the requests of the organisation that wait, as far as a few pages have them.
func (v *visit) allWaiting(c console) (all []resetRequest, err error) {
	query := url.Values{"state": {"pending"}, "limit": {"200"}}
	for range mostPages {
		got, err := v.resets(c, query)
		if err != nil {
			return nil, err
		}
		all = append(all, got.Items...)
		if got.Cursor == nil {
			break
		}
		query.Set("cursor", *got.Cursor)
	}
	return all, nil
}

// decide approves or cancels the request that the form names.
func (v *visit) decide(verb string) error {
	return v.refusedBecause(
		v.change(http.MethodPost, "/v1/resets/"+url.PathEscape(v.field("request"))+"/"+verb, "", map[string]string{}, nil),
		map[string]string{"forbidden": "not_yours", "not_found": "decided", "invalid_request": "decided"})
}

func approveReset(v *visit) error {
	if err := v.decide("approve"); err != nil || v.said != nil {
		return err
	}
	return v.done("approved")
}

func cancelReset(v *visit) error {
	if err := v.decide("cancel"); err != nil || v.said != nil {
		return err
	}
	return v.done("cancelled")
}
