package pages

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// An event is what the API says of something that happened.
type event struct {
	Type  string    `json:"type"`
	Time  time.Time `json:"time"`
	User  string    `json:"user"`
	Actor struct {
		Kind string `json:"kind"`
		ID   string `json:"id"`
	} `json:"actor"`
	Data map[string]any `json:"data"`
}

// A consoleEvent is one event as the template gets it.
type consoleEvent struct {
	event
	What    string // in words
	By      string // who has done it, in words; empty if nothing is left of that
	When    *moment
	Details []string
}

// consoleActivity is what the template of the activity gets.
type consoleActivity struct {
	console
	Types    []string
	Type     string
	OfUser   string
	From, To string
	Events   []consoleEvent
	Next     string
	Lines    string // the address of the download
	Paged    bool
}

// eventTypes are the parts before the dot of the types of events.
var eventTypes = []string{"challenge", "factor", "recovery", "browser", "policy", "user", "delivery", "activity"}

// asks returns what the page's address asks for, as the API's query.
func (v *visit) asks() url.Values {
	asked, query := v.r.URL.Query(), url.Values{}
	set(query, "type", oneOf(asked.Get("type"), eventTypes))
	set(query, "user", strings.TrimSpace(asked.Get("user")))
	for _, name := range []string{"from", "to"} {
		if at, err := time.Parse(inField, asked.Get(name)); err == nil {
			query.Set(name, at.Format(time.RFC3339))
		}
	}
	set(query, "cursor", asked.Get("cursor"))
	return query
}

// carried returns the page's address with what it asks for, for links to the next page and to the download.
func (v *visit) carried(cursor string) url.Values {
	next := url.Values{}
	for _, name := range []string{"type", "user", "from", "to"} {
		set(next, name, v.r.URL.Query().Get(name))
	}
	set(next, "cursor", cursor)
	return next
}

func showOrgActivity(v *visit) (any, error) {
	c, err := v.console("activity")
	if err != nil {
		return nil, err
	}
	query := v.asks()
	here := c.Home + "/activity"
	view := &consoleActivity{
		console: c, Types: eventTypes, Type: query.Get("type"), OfUser: query.Get("user"), Paged: query.Has("cursor"),
		From: v.r.URL.Query().Get("from"), To: v.r.URL.Query().Get("to"), Lines: here + "/lines?" + v.carried("").Encode(),
	}
	query.Set("limit", "25")
	for range mostPages {
		var got struct {
			Items  []event `json:"items"`
			Cursor *string `json:"cursor"`
		}
		if err := v.get(c.orgPath("/activity?"+query.Encode()), &got); err != nil {
			return nil, v.badCursor(err, here)
		}
		view.Next = ""
		for _, e := range got.Items {
			view.Events = append(view.Events, v.told(e))
		}
		if got.Cursor == nil {
			break
		}
		query.Set("cursor", *got.Cursor)
		view.Next = here + "?" + v.carried(*got.Cursor).Encode()
		if len(got.Items) > 0 {
			break
		}
	}
	return view, nil
}

// told returns an event in words.
func (v *visit) told(e event) consoleEvent {
	view := consoleEvent{event: e, When: v.Moment(e.Time), What: e.Type}
	if key := "console.event." + strings.ReplaceAll(e.Type, ".", "_"); v.language.has(key) {
		view.What = v.T(key)
	}
	if key := "console.actor." + e.Actor.Kind; v.language.has(key) {
		view.By = v.T(key, "id", e.Actor.ID)
	}
	if kind, _ := e.Data["kind"].(string); kind != "" && v.language.has("kind."+kind) {
		view.Details = append(view.Details, v.T("kind."+kind))
	}
	if reason, _ := e.Data["reason"].(string); reason != "" && strings.HasPrefix(e.Type, "user.") { // an administrator's, or the user's own
		view.Details = append(view.Details, v.T("console.activity.reason", "reason", reason))
	}
	if changed, _ := e.Data["changed"].([]any); len(changed) > 0 {
		var names []string
		for _, each := range changed {
			name, _ := each.(string)
			names = append(names, v.settingNamed(name))
		}
		view.Details = append(view.Details, strings.Join(names, ", "))
	}
	return view
}

// settingNamed returns the words for a setting, or a group of settings, of a policy.
func (v *visit) settingNamed(name string) string {
	if key := "console.changed." + name; v.language.has(key) {
		return v.T(key)
	}
	if key := "console.set." + name; v.language.has(key) {
		return v.T(key)
	}
	return name
}

// The most that one download has: so many pages of the API, and so many bytes, since a function can answer with 6 MB.
const (
	mostLinePages = 20
	mostLineBytes = 4 << 20
)

// exportActivity answers with the events as lines (application/x-ndjson). If there are more than one download may have, the last line has
// the cursor with which the next one goes on.
func exportActivity(v *visit) (any, error) {
	c, err := v.console("activity")
	if err != nil {
		return nil, err
	}
	query := v.asks()
	query.Set("limit", "200")
	var out bytes.Buffer
	var last []byte
	for range mostLinePages {
		raw, err := v.roundTrip(call{
			method: http.MethodGet, path: c.orgPath("/activity?" + query.Encode()), bearer: v.bearer,
			header: http.Header{"Accept": {"application/x-ndjson"}},
		})
		if err != nil {
			return nil, err
		}
		lines := bytes.SplitAfter(bytes.TrimSuffix(raw, []byte("\n")), []byte("\n"))
		last = lines[len(lines)-1]
		for _, line := range lines[:len(lines)-1] {
			out.Write(line)
		}
		var end struct {
			Cursor *string `json:"cursor"`
		}
		if json.Unmarshal(last, &end) != nil || end.Cursor == nil || out.Len() > mostLineBytes {
			break
		}
		query.Set("cursor", *end.Cursor)
	}
	out.Write(last)
	out.WriteByte('\n')
	v.drawn = true
	h := v.w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	h.Set("Content-Disposition", `attachment; filename="activity.ndjson"`)
	if v.r.Method != http.MethodHead {
		v.w.Write(out.Bytes())
	}
	return nil, nil
}
