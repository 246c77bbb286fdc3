package mfa_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/store/storetest"
)

// listed returns all users that a query lists, over all pages.
func listed(t *testing.T, w *mfatest.World, q mfa.UserQuery) map[string]mfa.ListedUser {
	t.Helper()
	q.Org = org
	all := map[string]mfa.ListedUser{}
	for more := true; more; more = q.Cursor != "" {
		page, err := w.ListUsers(t.Context(), w.Client, q)
		if err != nil {
			t.Fatal(err)
		}
		if limit := max(q.Limit, 50*(1-min(q.Limit, 1))); len(page.Items) > limit {
			t.Errorf("a page has %d users, want at most %d", len(page.Items), limit)
		}
		for _, u := range page.Items {
			if _, twice := all[u.ID]; twice {
				t.Errorf("%s is listed twice", u.ID)
			}
			all[u.ID] = u
		}
		q.Cursor = ""
		if page.Cursor != nil {
			q.Cursor = *page.Cursor
		}
	}
	return all
}

func ids(users map[string]mfa.ListedUser) []string { return slices.Sorted(maps.Keys(users)) }

// assorted makes a world whose org has n users without a factor, some of them without a name or an address, and ana, who is
// protected by an app.
func assorted(t *testing.T, n int) (*mfatest.World, *mfatest.Authenticator) {
	t.Helper()
	w, a := protected(t, nil)
	for i := range n {
		said := mfa.Person{ID: fmt.Sprintf("u-%04d", i)}
		if i%2 == 0 {
			said.Name = mfa.Some(fmt.Sprintf("Zoë %d", i))
		}
		if i%3 == 0 {
			said.Email = mfa.Some(fmt.Sprintf("Mail.%d@acme.example", i))
		}
		if _, err := w.PutUser(t.Context(), w.Client, org, said); err != nil {
			t.Fatal(err)
		}
	}
	return w, a
}

func TestEveryUserOfAnOrgIsListedOnceWhateverTheLimit(t *testing.T) {
	w, _ := assorted(t, 120)
	want := []string{user}
	for i := range 120 {
		want = append(want, fmt.Sprintf("u-%04d", i))
	}
	slices.Sort(want)
	for _, limit := range []int{0, 1, 7, 121, 200} {
		if got := ids(listed(t, w, mfa.UserQuery{ListQuery: mfa.ListQuery{Limit: limit}})); !slices.Equal(got, want) {
			t.Errorf("limit %d: got %v, want %v", limit, got, want)
		}
	}
	for limit, cursor := range map[int]bool{120: true, 121: false} {
		page, err := w.ListUsers(t.Context(), w.Client, mfa.UserQuery{Org: org, ListQuery: mfa.ListQuery{Limit: limit}})
		if err != nil || len(page.Items) != limit || (page.Cursor != nil) != cursor {
			t.Errorf("limit %d: got %d users, more %v, %v", limit, len(page.Items), page.Cursor != nil, err)
		}
	}
	w.Faults.Pages(1)
	if got := ids(listed(t, w, mfa.UserQuery{})); !slices.Equal(got, want) {
		t.Errorf("over pages of one item: got %v, want %v", got, want)
	}
}

func TestTheListSaysOfAUserWhatTheAccountSays(t *testing.T) {
	w, a := assorted(t, 3)
	answer := func() {
		t.Helper()
		if _, err := verify(t, w, started(t, w, ana()).ID, w.NextCode(a), false); err != nil {
			t.Fatal(err)
		}
	}
	agree := func(after string) {
		t.Helper()
		all := listed(t, w, mfa.UserQuery{})
		for id, got := range all {
			u, err := w.GetUser(t.Context(), w.Client, org, id)
			if err != nil {
				t.Fatal(err)
			}
			want := mfa.ListedUser{
				ID: u.ID, Email: u.Email, Name: u.Name, Enabled: u.Enabled, Enforced: u.Enforced, Required: u.Required, Status: u.Status,
				Kinds: []mfa.Kind{}, GraceUntil: u.GraceUntil, LockedUntil: u.LockedUntil, LastSignIn: got.LastSignIn,
			}
			for _, f := range u.Factors {
				if !slices.Contains(want.Kinds, f.Kind) {
					want.Kinds = append(want.Kinds, f.Kind)
				}
			}
			slices.SortFunc(want.Kinds, func(a, b mfa.Kind) int { return slices.Index(mfa.Kinds(), a) - slices.Index(mfa.Kinds(), b) })
			if !reflect.DeepEqual(got, want) {
				t.Errorf("after %s: got %+v, want %+v", after, got, want)
			}
		}
		for _, status := range []string{mfa.Protected, mfa.Unprotected, "grace", mfa.StatusLocked} {
			want := slices.DeleteFunc(ids(all), func(id string) bool { return all[id].Status != status })
			if got := ids(listed(t, w, mfa.UserQuery{Status: status, ListQuery: mfa.ListQuery{Limit: 2}})); !slices.Equal(got, want) {
				t.Errorf("after %s: %s are %v, want %v", after, status, got, want)
			}
		}
	}
	agree("an app")
	if at := listed(t, w, mfa.UserQuery{})[user].LastSignIn; at != nil {
		t.Errorf("before a sign-in: got %v, want null", at)
	}
	answer()
	if at := listed(t, w, mfa.UserQuery{})[user].LastSignIn; at == nil || !at.Equal(w.Clock.Now()) {
		t.Errorf("after a sign-in: got %v, want %v", at, w.Clock.Now())
	}
	enrolMail(t, w, stepUp(t, w, a))
	agree("an address besides")
	lockApp(t, w, a)
	agree("a lock")
	w.Clock.Advance(15 * time.Minute)
	agree("the end of the lock")
	w.SetPolicy(t, org, "kls", nil)
	agree("a policy by which an address is a factor")
	w.SetPolicy(t, org, "kls", func(p *mfa.Policy) { p.Methods.Email, p.Require = "forbidden", "nobody" })
	agree("a policy that forbids all that users have")
}

func TestUsersAreFoundByTheBeginningOfAnIdANameOrAnAddress(t *testing.T) {
	w, _ := assorted(t, 60)
	for q, want := range map[string]int{
		"u-": 61, "u-001": 10, "U-001": 0, "u-0012": 1, "zoë": 30, "ZOË 1": 5, "Zoë 12": 1, "mail.": 20, "MAIL.12@acme": 1, "acme": 0, "%": 0, "u-0012 ": 0,
	} {
		if got := ids(listed(t, w, mfa.UserQuery{Q: q, ListQuery: mfa.ListQuery{Limit: 3}})); len(got) != want {
			t.Errorf("%q: got %v, want %d users", q, got, want)
		}
	}
	put := func(said mfa.Person) {
		t.Helper()
		if _, err := w.PutUser(t.Context(), w.Client, org, said); err != nil {
			t.Fatal(err)
		}
	}
	put(mfa.Person{ID: "u-0012", Name: mfa.Some("Yves")})
	put(mfa.Person{ID: "u-0013", Email: mfa.Some("wim@acme.example")})
	if err := w.EraseUser(t.Context(), w.Client, org, "u-0014"); err != nil {
		t.Fatal(err)
	}
	for q, want := range map[string]string{"yves": "[u-0012]", "Zoë 12": "[]", "wim": "[u-0013]", "u-0014": "[]", "Zoë 14": "[]"} {
		if got := fmt.Sprint(ids(listed(t, w, mfa.UserQuery{Q: q}))); got != want {
			t.Errorf("after changes, %q: got %s, want %s", q, got, want)
		}
	}
	if got := ids(listed(t, w, mfa.UserQuery{Q: "u-", Status: mfa.Protected})); len(got) != 1 || got[0] != user {
		t.Errorf("by both: got %v, want %s", got, user)
	}
}

func TestL5ACursorOfUsersIsGoodForItsOrgAndQueryOnly(t *testing.T) {
	w, _ := assorted(t, 20)
	page, err := w.ListUsers(t.Context(), w.Client, mfa.UserQuery{Org: org, Q: "u", ListQuery: mfa.ListQuery{Limit: 2}})
	if err != nil || page.Cursor == nil {
		t.Fatalf("got %+v, %v, want a cursor", page, err)
	}
	at := mfa.ListQuery{Cursor: *page.Cursor}
	for name, q := range map[string]mfa.UserQuery{
		"another org":    {Org: "other", Q: "u", ListQuery: at},
		"another text":   {Org: org, Q: "v", ListQuery: at},
		"no text":        {Org: org, ListQuery: at},
		"another status": {Org: org, Q: "u", Status: mfa.Protected, ListQuery: at},
		"made up":        {Org: org, Q: "u", ListQuery: mfa.ListQuery{Cursor: "AAAA"}},
		"altered":        {Org: org, Q: "u", ListQuery: mfa.ListQuery{Cursor: at.Cursor[:len(at.Cursor)-2] + strings.Map(func(r rune) rune { return r ^ 1 }, at.Cursor[len(at.Cursor)-2:])}},
	} {
		_, err := w.ListUsers(t.Context(), w.Client, q)
		if e := wantCode(t, err, mfa.InvalidRequest); e.Param != "cursor" {
			t.Errorf("%s: got param %q, want cursor", name, e.Param)
		}
	}
}

func TestTheListOfUsersNeedsTheScopeAdminAndItsOrg(t *testing.T) {
	w, _ := assorted(t, 1)
	for name, grant := range map[string]apikey.Grant{
		"without the scope":      {Client: "app", Scopes: []apikey.Scope{apikey.SignIn, apikey.Manage}},
		"limited to another org": {Client: "app", Scopes: apikey.Scopes(), Org: "other"},
	} {
		_, err := w.ListUsers(t.Context(), w.NewClient(t, grant), mfa.UserQuery{Org: org})
		if err == nil {
			t.Errorf("%s: got a list", name)
			continue
		}
		wantCode(t, err, mfa.Forbidden)
	}
	for param, q := range map[string]mfa.UserQuery{
		"org": {}, "status": {Org: org, Status: "Protected"}, "q": {Org: org, Q: strings.Repeat("q", 255)}, "limit": {Org: org, ListQuery: mfa.ListQuery{Limit: 201}},
	} {
		_, err := w.ListUsers(t.Context(), w.Client, q)
		if e := wantCode(t, err, mfa.InvalidRequest); e.Param != param {
			t.Errorf("got param %q, want %s", e.Param, param)
		}
	}
	if page, err := w.ListUsers(t.Context(), w.Client, mfa.UserQuery{Org: "never-seen"}); err != nil || page.Items == nil || len(page.Items) > 0 {
		t.Errorf("an org that was never seen: got %+v, %v, want an empty list", page, err)
	}
}

func TestAPageOfUsersReadsAMebibyteAtMostInFewRoundTrips(t *testing.T) {
	clock := storetest.NewClock(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	db := storetest.NewModel(clock.Now)
	read := &storetest.Meter{Store: db}
	w := mfatest.Over(t, read, db, clock)
	const users = 6000
	for i := range users {
		said := mfa.Person{ID: fmt.Sprintf("u-%04d", i), Name: mfa.Some(strings.Repeat("n", 180)), Email: mfa.Some(fmt.Sprintf("u-%d@acme.example", i))}
		if _, err := w.PutUser(t.Context(), w.Client, org, said); err != nil {
			t.Fatal(err)
		}
	}
	for name, q := range map[string]mfa.UserQuery{
		"all": {ListQuery: mfa.ListQuery{Limit: 200}}, "nobody": {Q: "nobody"}, "one": {Q: "u-4321"}, "of a status that nobody has": {Status: mfa.Protected}, "of a status that all have, one by one": {Status: mfa.Unprotected, ListQuery: mfa.ListQuery{Limit: 1}},
	} {
		q.Org = org
		found, pages := 0, 0
		for more := true; more; more = q.Cursor != "" {
			read.Reset()
			w.Faults.Reset()
			page, err := w.ListUsers(t.Context(), w.Client, q)
			if err != nil {
				t.Fatal(err)
			}
			if bytes := read.Bytes.Load(); bytes > 1<<20 {
				t.Errorf("%s: one page read %d bytes, want at most 1 MiB", name, bytes)
			}
			if calls := w.Faults.Counts(); calls.Query > 60 || calls.Get > 30 {
				t.Errorf("%s: one page took %+v, want few", name, calls)
			}
			found, pages, q.Cursor = found+len(page.Items), pages+1, ""
			if page.Cursor != nil {
				q.Cursor = *page.Cursor
			}
			if q.Limit == 1 && pages == 20 {
				break
			}
		}
		want := map[string]int{"all": users, "one": 1, "of a status that all have, one by one": 20}[name]
		if found != want {
			t.Errorf("%s: got %d users on %d pages, want %d", name, found, pages, want)
		}
		t.Logf("%s: %d users on %d pages", name, found, pages)
	}
}
