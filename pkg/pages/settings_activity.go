package pages

import (
	"net/url"
	"time"
)

// activityView is what the template of the activity gets.
type activityView struct {
	Events []eventView
	Older  string // the cursor of the events before these; empty if there are none
	First  bool   // these are the newest ones
}

// An eventView is an event in words.
type eventView struct {
	Text string
	Kind string // of the factor that it is about; empty if it is about none
	By   string // who has done it: user, administrator, client or service
	At   *moment
}

// mostEvents is how many events a page shows.
const mostEvents = "20"

func showActivity(v *visit) (any, error) {
	session, err := v.ownAccount()
	if err != nil {
		return nil, err
	}
	asked := url.Values{"limit": {mostEvents}}
	cursor := v.r.URL.Query().Get("cursor")
	if cursor != "" {
		asked.Set("cursor", cursor)
	}
	var got struct {
		Items []struct {
			Type  string                `json:"type"`
			Time  time.Time             `json:"time"`
			Actor struct{ Kind string } `json:"actor"`
			Data  map[string]any        `json:"data"`
		} `json:"items"`
		Cursor *string `json:"cursor"`
	}
	if err := v.get(session.userPath("/activity?"+asked.Encode()), &got); err != nil {
		if codeOf(err) != "invalid_request" || cursor == "" {
			return nil, err
		}
		v.goTo("settings/" + v.id + "/activity") // the cursor is not one of this list
		return nil, nil
	}
	view := &activityView{First: cursor == ""}
	if got.Cursor != nil {
		view.Older = *got.Cursor
	}
	for _, e := range got.Items {
		shown := eventView{Text: v.eventText(e.Type, e.Data), At: v.language.exactly(e.Time), By: e.Actor.Kind}
		if kind, ok := e.Data["kind"].(string); ok && v.language.has("kind."+kind) {
			shown.Kind = v.T("kind." + kind)
		}
		view.Events = append(view.Events, shown)
	}
	return view, nil
}

// eventText says in words what has happened. Some types of event say more, by what their data has.
func (v *visit) eventText(name string, data map[string]any) string {
	for _, detail := range []string{"effect", "cause", "kind", "recovery", "dropped"} {
		switch said := data[detail].(type) {
		case string:
			if key := name + "." + said; v.language.has("event." + key) {
				return v.T("event." + key)
			}
		case bool:
			if key := name + "." + detail; said && v.language.has("event."+key) {
				return v.T("event." + key)
			}
		}
	}
	if v.language.has("event." + name) {
		return v.T("event." + name)
	}
	return v.T("event.other")
}

// exactly returns a time with its day, however near it is.
func (l *language) exactly(at time.Time) *moment {
	at = at.UTC()
	return &moment{UTC: at.Format(time.RFC3339), Text: l.text("date.with_time", "day", l.day(at).Text, "time", at.Format("15:04")+" UTC")}
}
