package mfa_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/fault"
	"countersign/pkg/store/storetest"
)

// orgs returns the ids of all orgs that call's holder is shown.
func orgs(t *testing.T, w *mfatest.World, call mfa.Call, limit int) []string {
	t.Helper()
	ids := []string{}
	q := mfa.ListQuery{Limit: limit}
	for {
		page, err := w.ListOrgs(t.Context(), call, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Items {
			if o.First.IsZero() {
				t.Errorf("%s: it isn't said when it was first seen", o.ID)
			}
			ids = append(ids, o.ID)
		}
		if page.Cursor == nil {
			slices.Sort(ids)
			return ids
		}
		q.Cursor = *page.Cursor
	}
}

func seen(t *testing.T, w *mfatest.World, org, user string) {
	t.Helper()
	if _, err := w.PutUser(t.Context(), w.Client, org, mfa.Person{ID: user}); err != nil {
		t.Fatal(err)
	}
}

func TestAnOrgIsListedFromItsFirstPolicyOrUserOn(t *testing.T) {
	w := mfatest.New(t)
	wants := func(after string, want ...string) {
		t.Helper()
		for _, limit := range []int{0, 1, 2} {
			if got := orgs(t, w, w.Client, limit); !slices.Equal(got, want) {
				t.Errorf("after %s, %d a page: got %v, want %v", after, limit, got, want)
			}
		}
		w.Faults.Pages(1)
		if got := orgs(t, w, w.Client, 2); !slices.Equal(got, want) {
			t.Errorf("after %s, over pages of one item: got %v, want %v", after, got, want)
		}
		w.Faults.Pages(0)
	}
	if _, err := w.GetPolicy(t.Context(), w.Client, "looked-at"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Decide(t.Context(), w.Client, mfa.StartRequest{Org: "looked-at", User: mfa.Person{ID: user}}); err != nil {
		t.Fatal(err)
	}
	wants("looks", []string{}...)
	w.SetPolicy(t, "a", "default", nil)
	wants("a policy", "a")
	seen(t, w, "a", user)
	seen(t, w, "b", user)
	seen(t, w, "b", "u-2")
	wants("users", "a", "b")
	if _, err := w.StartChallenge(t.Context(), w.Client, mfa.StartRequest{Org: "c", User: mfa.Person{ID: user}}); err != nil {
		t.Fatal(err)
	}
	w.EnrolTOTP(t, w.Fresh(), "d", mfa.Person{ID: user})
	w.SetPolicy(t, "d", "default", nil)
	w.SetPolicy(t, "d", "default", nil)
	wants("a start and an enrolment", "a", "b", "c", "d")
	if err := w.EraseUser(t.Context(), w.Client, "c", user); err != nil {
		t.Fatal(err)
	}
	wants("the erasure of the only user", "a", "b", "c", "d")
	limited := w.NewClient(t, apikey.Grant{Client: "app", Scopes: apikey.Scopes(), Org: "b"})
	if got := orgs(t, w, limited, 1); !slices.Equal(got, []string{"b"}) {
		t.Errorf("a key that is limited to b: got %v", got)
	}
	never := w.NewClient(t, apikey.Grant{Client: "app", Scopes: apikey.Scopes(), Org: "e"})
	if got := orgs(t, w, never, 1); len(got) > 0 {
		t.Errorf("a key that is limited to an org that was never seen: got %v", got)
	}
	manage := w.NewClient(t, apikey.Grant{Client: "app", Scopes: []apikey.Scope{apikey.Manage}})
	_, err := w.ListOrgs(t.Context(), manage, mfa.ListQuery{})
	wantCode(t, err, mfa.Forbidden)
	page, err := w.ListOrgs(t.Context(), w.Client, mfa.ListQuery{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.ListOrgs(t.Context(), limited, mfa.ListQuery{Cursor: *page.Cursor})
	wantCode(t, err, mfa.InvalidRequest)
}

func TestManyFirstUsersAtOnceMakeOneEntryOfTheirOrg(t *testing.T) {
	w := mfatest.New(t)
	done := make(chan error)
	for i := range 8 {
		go func() {
			_, err := w.PutUser(t.Context(), w.Client, org, mfa.Person{ID: fmt.Sprint("u-", i)})
			done <- err
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if got := orgs(t, w, w.Client, 0); !slices.Equal(got, []string{org}) {
		t.Errorf("got %v", got)
	}
}

// populated makes a world with two orgs that have everything in them, and returns the store itself.
func populated(t *testing.T) (*mfatest.World, *storetest.Model) {
	t.Helper()
	clock := storetest.NewClock(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	db := storetest.NewModel(clock.Now)
	w := mfatest.Over(t, db, db, clock)
	for _, org := range []string{org, "other"} {
		w.SetPolicy(t, org, "default", nil)
		w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Trust.Days = 7 })
		w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Require, p.Effect = "everyone", "sign_out_now" })
		w.SetPolicy(t, org, "default", nil)
		for i := range 40 {
			seen(t, w, org, fmt.Sprintf("u-%02d", i))
		}
		a, _ := w.EnrolTOTP(t, w.Fresh(), org, mfa.Person{ID: user, Email: mfa.Some(mail)})
		started, err := w.StartChallenge(t.Context(), w.Client, mfa.StartRequest{Org: org, User: mfa.Person{ID: user}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := verify(t, w, started.Challenge.ID, w.NextCode(a), true); err != nil {
			t.Fatal(err)
		}
		w.Drain(t)
		w.Clock.Advance(day)
		seen(t, w, org, "u-40")
		w.Drain(t)
		if _, err := w.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	sweep(t, w) // which counts the users of the day
	return w, db
}

// ofOrg returns the keys of all items of an org, except those that expire by themselves.
func ofOrg(db *storetest.Model, org string) (keys []string) {
	sum := sha256.Sum256(seal.Join(org))
	name := base64.RawURLEncoding.EncodeToString(sum[:15]) // a user's route begins with the same 20 characters
	for _, item := range db.Items() {
		kind, _, _ := strings.Cut(item.Key.Partition, "#")
		if (strings.Contains(item.Key.Partition, name) || strings.Contains(item.Key.Sort, name)) && kind != "due" && kind != "active" && kind != "fanout" && kind != "erasing" && !strings.HasPrefix(item.Key.Sort, "erased#") {
			keys = append(keys, item.Key.Partition+" "+item.Key.Sort)
		}
	}
	return keys
}

func eraseOrg(t *testing.T, w *mfatest.World, org string) bool {
	t.Helper()
	done, err := w.EraseOrg(t.Context(), w.Client, org)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func TestAnErasedOrgLeavesNothingAndOthersKeepAll(t *testing.T) {
	for name, carryOn := range map[string]func(*testing.T, *mfatest.World){
		"by calls": func(t *testing.T, w *mfatest.World) {
			for n := 1; !eraseOrg(t, w, org); n++ {
				if n == 20 {
					t.Fatal("it takes too many calls")
				}
			}
		},
		"by the sweep": func(t *testing.T, w *mfatest.World) { sweep(t, w) },
	} {
		t.Run(name, func(t *testing.T) {
			w, db := populated(t)
			others := len(ofOrg(db, "other"))
			if len(ofOrg(db, org)) != others || others < 60 {
				t.Fatalf("got %d items of one org and %d of the other, want many and as many", len(ofOrg(db, org)), others)
			}
			if eraseOrg(t, w, org) {
				t.Error("the first call says that it is done")
			}
			if got := orgs(t, w, w.Client, 0); len(got) != 2 {
				t.Errorf("while it goes on: got %v, want both", got)
			}
			carryOn(t, w)
			if left := ofOrg(db, org); len(left) > 0 {
				t.Errorf("it left %v", left)
			}
			if got := orgs(t, w, w.Client, 0); !slices.Equal(got, []string{"other"}) {
				t.Errorf("got %v, want the other org alone", got)
			}
			if !eraseOrg(t, w, org) || !eraseOrg(t, w, "never-seen") {
				t.Error("what isn't there can't be erased again")
			}
			if got := len(ofOrg(db, "other")); got != others {
				t.Errorf("the other org has %d items, want %d", got, others)
			}
			w.Drain(t)
			if _, err := w.Checkpoint(t.Context()); err != nil {
				t.Errorf("the days that were erased: %v", err)
			}
			told := events(t, w, mfa.UserErased)
			for _, e := range told {
				if e.Org != org || e.Actor.Kind != "client" || e.Actor.ID != "app" {
					t.Errorf("got %+v, want an erasure by the client that began it", e)
				}
			}
			if len(told) != 41 {
				t.Errorf("%d users were erased, want 41", len(told))
			}

			// An org that is made again under the same id begins anew.
			p, err := w.GetPolicy(t.Context(), w.Client, org)
			if err != nil || p.Version != 0 {
				t.Errorf("got version %d, %v, want 0", p.Version, err)
			}
			w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Require, p.Effect = "everyone", "sign_out_now" })
			w.EnrolTOTP(t, w.Fresh(), org, mfa.Person{ID: user})
			if got := orgs(t, w, w.Client, 0); len(got) != 2 {
				t.Errorf("made again: got %v", got)
			}
			for !eraseOrg(t, w, org) {
			}
			if got := orgs(t, w, w.Client, 0); len(got) != 1 {
				t.Errorf("erased again: got %v", got)
			}
		})
	}
}

func TestAnErasureOfAnOrgThatIsCutOffAnywhereIsCarriedOn(t *testing.T) {
	for _, method := range []fault.Method{fault.Get, fault.Query, fault.Commit} {
		for _, after := range []int{0, 1, 2, 3, 5, 8, 13, 21, 34, 47, 55, 60} {
			w, db := populated(t)
			eraseOrg(t, w, org)
			w.Faults.Inject(method, after, fault.Fault{})
			w.Faults.Inject(method, -1, fault.Lose(nil))
			w.Sweep(t.Context())
			w.Faults.Clear()
			sweep(t, w)
			if left := ofOrg(db, org); len(left) > 0 {
				t.Errorf("%s after %d: it left %v", method, after, left)
			}
			w.Drain(t)
			if told := events(t, w, mfa.UserErased); len(told) != 41 {
				t.Errorf("%s after %d: %d users were erased, want 41", method, after, len(told))
			}
		}
	}
}

func TestAnErasedOrgTakesTheAPIKeysWithItThatAreLimitedToIt(t *testing.T) {
	clock := storetest.NewClock(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	for _, after := range []int{-1, 0, 1, 2, 3, 4, 5} {
		db := storetest.NewModel(clock.Now)
		w := mfatest.Over(t, db, db, clock)
		seen(t, w, org, user)
		seen(t, w, "other", user)
		var own []mfa.Call
		for range 3 {
			own = append(own, w.NewClient(t, apikey.Grant{Client: "app", Scopes: apikey.Scopes(), Org: org}))
		}
		other := w.NewClient(t, apikey.Grant{Client: "app", Scopes: apikey.Scopes(), Org: "other"})
		if done, err := w.EraseOrg(t.Context(), own[0], org); done || err != nil {
			t.Fatalf("got %t, %v, want an erasure that was begun with a key of the org", done, err)
		}
		if _, err := w.GetPolicy(t.Context(), own[1], org); err != nil {
			t.Errorf("a key before the end: %v", err)
		}
		if after < 0 { // a call with a key of the org ends it
			if done, err := w.EraseOrg(t.Context(), own[0], org); !done || err != nil {
				t.Errorf("got %t, %v, want it done", done, err)
			}
		} else { // the sweep is cut off, and the next one goes on
			w.Faults.Inject(fault.Commit, after, fault.Fault{})
			w.Faults.Inject(fault.Commit, -1, fault.Lose(nil))
			w.Sweep(t.Context())
			w.Faults.Clear()
			sweep(t, w)
		}
		for i, key := range own {
			_, err := w.GetPolicy(t.Context(), key, org)
			wantCode(t, err, mfa.Unauthenticated)
			_, err = w.EraseOrg(t.Context(), key, org)
			wantCode(t, err, mfa.Unauthenticated)
			if t.Failed() {
				t.Fatalf("cut off after %d commits: key %d is left", after, i)
			}
		}
		if keys, err := w.APIKeys.List(t.Context()); err != nil || len(keys) != 2 {
			t.Errorf("got %d keys, %v, want that of every org and that of the other", len(keys), err)
		}
		for _, item := range db.Items() {
			if strings.HasPrefix(item.Key.Partition, "key#") && item.Key.Sort == "revoked" {
				t.Errorf("the erasure has put %v", item.Key)
			}
		}
		for _, key := range []mfa.Call{other, w.Client} {
			if _, err := w.GetUser(t.Context(), key, "other", user); err != nil {
				t.Errorf("a key that isn't limited to the erased org: %v", err)
			}
		}
		again := w.NewClient(t, apikey.Grant{Client: "app", Scopes: apikey.Scopes(), Org: org})
		if _, err := w.PutUser(t.Context(), again, org, mfa.Person{ID: user}); err != nil {
			t.Errorf("a key that is made later: %v", err)
		}
	}
}

func TestAnErasureOfAnOrgNeedsTheScopeAdminAndItsOrg(t *testing.T) {
	w, db := populated(t)
	before := len(ofOrg(db, org))
	for _, grant := range []apikey.Grant{
		{Client: "app", Scopes: []apikey.Scope{apikey.SignIn, apikey.Manage}}, {Client: "app", Scopes: apikey.Scopes(), Org: "other"},
	} {
		_, err := w.EraseOrg(t.Context(), w.NewClient(t, grant), org)
		wantCode(t, err, mfa.Forbidden)
	}
	sweep(t, w)
	if got := len(ofOrg(db, org)); got != before {
		t.Errorf("got %d items, want %d", got, before)
	}
	own := w.NewClient(t, apikey.Grant{Client: "app", Scopes: apikey.Scopes(), Org: org})
	if _, err := w.EraseOrg(t.Context(), own, org); err != nil {
		t.Errorf("a key that is limited to the org: %v", err)
	}
	if page, err := w.Store.Query(t.Context(), store.Query{Partition: "erasing"}); err != nil || len(page.Items) != 1 {
		t.Errorf("got %d erasures that were begun, %v", len(page.Items), err)
	}
}
