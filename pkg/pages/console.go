package pages

import (
	"cmp"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The administrators' console: the pages of the portal session of an administrator. Everything it shows and does is a call of the API
// with the administrator's token, so an administrator of one organisation can't reach another one.
var consolePages = []page{
	{path: "console/{id}", session: portalSession, sheet: "console-users", show: showUsers},
	{path: "console/{id}/users/{user}", session: portalSession, sheet: "console-user", show: showUser, acts: map[string]act{
		"enforce": enforceUser, "grace": changeGrace, "unlock": unlockUser, "reset": resetUser, "pass": issuePass, "revoke": takePassBack,
		"begin": setUpForUser, "finish": finishForUser, "again": sendForUser, "approve": approveReset, "cancel": cancelReset,
	}},
	{path: "console/{id}/policy", session: portalSession, sheet: "console-policy", show: showPolicy, acts: map[string]act{
		"preview": previewPolicy, "profile": previewProfile, "save": savePolicy, "edit": editPolicy,
	}},
	{path: "console/{id}/requests", session: portalSession, sheet: "console-requests", show: showRequests, acts: map[string]act{
		"approve": approveReset, "cancel": cancelReset,
	}},
	{path: "console/{id}/activity", session: portalSession, sheet: "console-activity", show: showOrgActivity},
	{path: "console/{id}/activity/lines", session: portalSession, sheet: "console-activity", show: exportActivity},
	{path: "console/{id}/adoption", session: portalSession, sheet: "console-adoption", show: showAdoption},
	{path: "console/{id}/brand", session: portalSession, sheet: "console-brand", show: showBrand, acts: map[string]act{"brand": saveBrand}},
}

// A console is what the templates of all its pages get.
type console struct {
	Session *portalLook
	Home    string // the path of the console, to which the paths of its pages are added
	Part    string // which part of the console it is
}

// consoleParts are the parts of the console in the order of the menu, with what follows the console's path.
var consoleParts = [][2]string{
	{"users", ""}, {"policy", "/policy"}, {"requests", "/requests"}, {"activity", "/activity"}, {"adoption", "/adoption"}, {"brand", "/brand"},
}

// A menuItem leads to a part of the console.
type menuItem struct {
	Part, Path string
	Here       bool
}

// Menu returns the parts of the console.
func (c console) Menu() []menuItem {
	var items []menuItem
	for _, p := range consoleParts {
		items = append(items, menuItem{Part: p[0], Path: c.Home + p[1], Here: p[0] == c.Part})
	}
	return items
}

// User returns the path of a user's page.
func (c console) User(id string) string { return c.Home + "/users/" + idInPath(id) }

// Administrator returns who is at the console.
func (c console) Administrator() string { return c.Session.Administrator.User }

// console returns what all pages of the console show. It refuses the session of a user who administers nothing.
func (v *visit) console(part string) (console, error) {
	l, err := v.look()
	switch {
	case err != nil:
		return console{}, err
	case l.Administrator == nil:
		return console{}, &problem{Status: http.StatusNotFound, Code: "not_found"}
	}
	return console{Session: l, Home: Prefix + administratorHome + v.id, Part: part}, nil
}

// orgPath returns a path of the API below the session's organisation.
func (c console) orgPath(rest string) string { return "/v1/orgs/" + idInPath(c.Session.Org) + rest }

// idInPath writes an id of the client's as a segment of a path. An id with other than these characters is given in base64url.
func idInPath(id string) string {
	plain := id != "." && id != ".." && !strings.ContainsFunc(id, func(c rune) bool {
		return !('A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.ContainsRune("-._@", c))
	})
	if plain {
		return id
	}
	return "~" + base64.RawURLEncoding.EncodeToString([]byte(id))
}

// idFromPath reads what idInPath has written.
func idFromPath(segment string) string {
	if coded, is := strings.CutPrefix(segment, "~"); is {
		id, err := base64.RawURLEncoding.DecodeString(coded)
		if err != nil {
			return ""
		}
		return string(id)
	}
	return segment
}

// A listedUser is what the list of users says of one.
type listedUser struct {
	ID          string     `json:"id"`
	Email       string     `json:"email"`
	Name        string     `json:"name"`
	Enforced    bool       `json:"enforced"`
	Required    bool       `json:"required"`
	Status      string     `json:"status"`
	Kinds       []string   `json:"kinds"`
	GraceUntil  *time.Time `json:"grace_until"`
	LockedUntil *time.Time `json:"locked_until"`
	LastSignIn  *time.Time `json:"last_sign_in"`
}

// Called returns how the list calls the user.
func (u *listedUser) Called() string { return cmp.Or(u.Name, u.Email, u.ID) }

// usersView is what the template of the list of users gets.
type usersView struct {
	console
	Q, Status string
	Statuses  []string
	Users     []listedUser
	Next      string // the address of the next page; empty if there is none
	Paged     bool   // it isn't the first page
}

// userStatuses are the statuses of users, as the API names them.
var userStatuses = []string{"protected", "unprotected", "grace", "locked"}

// pageOfUsers is how many users a page shows.
const pageOfUsers = "25"

func showUsers(v *visit) (any, error) {
	c, err := v.console("users")
	if err != nil {
		return nil, err
	}
	asked := v.r.URL.Query()
	view := &usersView{console: c, Q: strings.TrimSpace(asked.Get("q")), Status: oneOf(asked.Get("status"), userStatuses), Statuses: userStatuses, Paged: asked.Get("cursor") != ""}
	query := url.Values{"limit": {pageOfUsers}}
	set(query, "q", view.Q)
	set(query, "status", view.Status)
	set(query, "cursor", asked.Get("cursor"))
	// A page of the API may be empty although there are more, because it reads a bounded part of the organisation.
	for range mostPages {
		var got struct {
			Items  []listedUser `json:"items"`
			Cursor *string      `json:"cursor"`
		}
		if err := v.get(c.orgPath("/users?"+query.Encode()), &got); err != nil {
			return nil, v.badCursor(err, c.Home)
		}
		view.Users, view.Next = got.Items, ""
		if got.Cursor == nil {
			break
		}
		query.Set("cursor", *got.Cursor)
		next := url.Values{"cursor": {*got.Cursor}}
		set(next, "q", view.Q)
		set(next, "status", view.Status)
		view.Next = c.Home + "?" + next.Encode()
		if len(got.Items) > 0 {
			break
		}
	}
	return view, nil
}

// mostPages is how many pages of a list are asked for until one of them has something.
const mostPages = 8

// badCursor goes to the beginning of a list whose address has a cursor that the API doesn't take.
func (v *visit) badCursor(err error, to string) error {
	if codeOf(err) == "invalid_request" && v.r.URL.RawQuery != "" {
		v.target = to
		return nil
	}
	return err
}

// set sets a value, unless it is empty.
func set(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}

// oneOf returns a word if it is one of those, and the empty text otherwise.
func oneOf(word string, words []string) string {
	for _, each := range words {
		if word == each {
			return word
		}
	}
	return ""
}

// Wide reports whether the page needs the whole width.
func (v *visit) Wide() bool { return v.page != nil && strings.HasPrefix(v.page.sheet, "console-") }
