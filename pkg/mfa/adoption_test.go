package mfa_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/store"
	"countersign/pkg/store/fault"
	"countersign/pkg/store/storetest"
)

func adoption(t *testing.T, w *mfatest.World, q mfa.AdoptionQuery) mfa.Adoption {
	t.Helper()
	q.Org = org
	got, err := w.Adoption(t.Context(), w.Client, q)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// counted counts the users of the org by what their accounts say.
func counted(t *testing.T, w *mfatest.World) mfa.AdoptionCount {
	t.Helper()
	c := mfa.AdoptionCount{At: w.Clock.Now(), Status: map[string]int{mfa.Protected: 0, mfa.Unprotected: 0, mfa.InGrace: 0, mfa.StatusLocked: 0}, Kinds: map[mfa.Kind]int{}}
	for _, k := range mfa.Kinds() {
		c.Kinds[k] = 0
	}
	for _, u := range listed(t, w, mfa.UserQuery{}) {
		c.Users++
		c.Status[u.Status]++
		for _, k := range u.Kinds {
			c.Kinds[k]++
		}
	}
	return c
}

func TestAdoptionCountsWhatTheAccountsSay(t *testing.T) {
	w, a := assorted(t, 50)
	agree := func(after string) {
		t.Helper()
		if got, want := adoption(t, w, mfa.AdoptionQuery{}).Now, counted(t, w); !reflect.DeepEqual(got, want) {
			t.Errorf("after %s: got %+v, want %+v", after, got, want)
		}
	}
	agree("an app")
	enrolMail(t, w, stepUp(t, w, a))
	agree("an address besides")
	w.SetPolicy(t, org, "kls", nil)
	agree("a policy by which an address is a factor")
	w.SetPolicy(t, org, "kls", func(p *mfa.Policy) { p.Methods.Email, p.Require = "forbidden", "nobody" })
	agree("a policy that forbids all that users have")
	w.SetPolicy(t, org, "default", func(p *mfa.Policy) {
		until, skips := w.Clock.Now().Add(day), 1
		p.Require, p.GraceUntil, p.MaxSkips = "everyone", &until, &skips
	})
	agree("a policy with grace")
	if _, err := w.StartChallenge(t.Context(), w.Client, mfa.StartRequest{Org: org, User: mfa.Person{ID: "u-0004"}}); err != nil {
		t.Fatal(err)
	}
	if got := adoption(t, w, mfa.AdoptionQuery{}).Now.Status; got[mfa.InGrace] != 49 {
		t.Errorf("after one of 50 users has spent the only skip: got %v", got)
	}
	agree("the only skip of a user")
	w.Clock.Advance(day)
	agree("the end of grace")
	w.SetPolicy(t, org, "default", nil)
	if err := w.EraseUser(t.Context(), w.Client, org, "u-0001"); err != nil {
		t.Fatal(err)
	}
	agree("an erasure")
	w.Faults.Pages(1)
	agree("the reading of one item at a time")
	w.Faults.Pages(0)

	agreeAll := func(after string, locked int) {
		t.Helper()
		agree(after)
		w.Faults.Pages(1)
		agree(after + ", one item at a time")
		w.Faults.Pages(0)
		if got := adoption(t, w, mfa.AdoptionQuery{}).Now.Status[mfa.StatusLocked]; got != locked {
			t.Errorf("after %s: got %d locked users, want %d", after, got, locked)
		}
	}
	lockApp(t, w, a)
	w.Drain(t)
	agreeAll("a lock", 1)
	if _, err := w.Unlock(t.Context(), w.Client, org, user, lost); err != nil {
		t.Fatal(err)
	}
	agreeAll("an administrator's unlock", 0)
	lockApp(t, w, a)
	w.Drain(t)
	agreeAll("another lock", 1)
	sweep(t, w)
	w.Clock.Advance(16 * time.Minute)
	agreeAll("the end of that lock", 0)
	if days := adoption(t, w, mfa.AdoptionQuery{}).Days; len(days) != 1 || days[0].Status[mfa.StatusLocked] != 1 || days[0].Users != 50 {
		t.Errorf("the day: got %+v, want one on which a user was locked when it was counted", days)
	}
	lockApp(t, w, a)
	w.Drain(t)
	if err := w.EraseUser(t.Context(), w.Client, org, user); err != nil {
		t.Fatal(err)
	}
	agreeAll("the erasure of a locked user", 0)
}

func TestALockWithoutAnEndIsCountedUntilItIsEnded(t *testing.T) {
	w, a := assorted(t, 2)
	for range 20 {
		w.Clock.Advance(25 * time.Hour)
		for range 5 {
			if answer, err := w.StartChallenge(t.Context(), w.Client, ana()); err == nil && answer.Challenge != nil {
				w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: answer.Challenge.ID, Factor: a.Factor, Answer: mfa.Answer{Code: mfatest.Wrong(w.Code(a))}})
			}
		}
	}
	if u := shown(t, w); u.LockedUntil == nil || u.LockedUntil.Year() != 9999 {
		t.Fatalf("got %v, want a lock without an end", u.LockedUntil)
	}
	w.Drain(t)
	w.Drain(t) // records come at least once
	w.Clock.Advance(300 * day)
	if got := adoption(t, w, mfa.AdoptionQuery{}).Now; got.Status[mfa.StatusLocked] != 1 || got.Users != 3 {
		t.Errorf("got %+v, want one who is locked", got)
	}
	if _, err := w.Unlock(t.Context(), w.Client, org, user, lost); err != nil {
		t.Fatal(err)
	}
	if got := adoption(t, w, mfa.AdoptionQuery{}).Now; got.Status[mfa.StatusLocked] != 0 {
		t.Errorf("got %+v, want nobody locked", got)
	}
}

func TestTheSweepCountsTheUsersOfEveryOrgOnceADay(t *testing.T) {
	w, _ := assorted(t, 20)
	seen(t, w, "other", user)
	day1 := w.Clock.Now()
	sweep(t, w)
	want := counted(t, w)
	seen(t, w, org, "late")
	w.Clock.Advance(time.Hour)
	sweep(t, w)
	got := adoption(t, w, mfa.AdoptionQuery{})
	if len(got.Days) != 1 || got.Days[0].Day != "2026-11-22" || !reflect.DeepEqual(got.Days[0].AdoptionCount, want) || got.Now.Users != want.Users+1 {
		t.Fatalf("got %+v, want the count of the first run, %+v", got, want)
	}
	for range 3 {
		w.Clock.Advance(day)
		sweep(t, w)
	}
	days := func(from, to time.Time) (names []string) {
		t.Helper()
		for _, d := range adoption(t, w, mfa.AdoptionQuery{From: from, To: to}).Days {
			names = append(names, d.Day[8:])
		}
		return names
	}
	for _, c := range []struct {
		from, to time.Time
		want     []string
	}{
		{time.Time{}, time.Time{}, []string{"22", "23", "24", "25"}},
		{day1, time.Time{}, []string{"22", "23", "24", "25"}},
		{day1.Add(day), time.Time{}, []string{"23", "24", "25"}},
		{time.Time{}, day1.Add(day), []string{"22", "23"}},
		{time.Time{}, day1.Truncate(day).Add(day), []string{"22"}},
		{day1.Add(day), day1.Truncate(day).Add(3 * day), []string{"23", "24"}},
		{day1.Add(9 * day), time.Time{}, nil},
	} {
		w.Faults.Pages(1)
		if got := days(c.from, c.to); !slices.Equal(got, c.want) {
			t.Errorf("from %v to %v: got %v, want %v", c.from, c.to, got, c.want)
		}
		w.Faults.Pages(0)
	}
	if other, err := w.Adoption(t.Context(), w.Client, mfa.AdoptionQuery{Org: "other"}); err != nil || len(other.Days) != 4 || other.Now.Users != 1 {
		t.Errorf("the other org: got %+v, %v", other, err)
	}
	w.Clock.Advance(397 * day)
	if got := days(time.Time{}, time.Time{}); !slices.Equal(got, []string{"23", "24", "25"}) {
		t.Errorf("after 400 days: got %v", got)
	}
}

func TestACountOfADayThatIsCutOffAnywhereIsCarriedOn(t *testing.T) {
	for _, method := range []fault.Method{fault.Get, fault.Query, fault.Commit} {
		for after := range 12 {
			w, _ := assorted(t, 3)
			for _, other := range []string{"b", "c"} {
				seen(t, w, other, user)
			}
			w.Faults.Inject(method, after, fault.Fault{})
			w.Faults.Inject(method, -1, fault.Lose(nil))
			w.Sweep(t.Context())
			w.Faults.Clear()
			sweep(t, w)
			for _, o := range []string{org, "b", "c"} {
				if got, err := w.Adoption(t.Context(), w.Client, mfa.AdoptionQuery{Org: o}); err != nil || len(got.Days) != 1 {
					t.Errorf("%s after %d: %s has %+v, %v, want one day", method, after, o, got.Days, err)
				}
			}
		}
	}
}

func TestAdoptionNeedsTheScopeAdminAndItsOrg(t *testing.T) {
	w, _ := assorted(t, 1)
	for _, grant := range []apikey.Grant{
		{Client: "app", Scopes: []apikey.Scope{apikey.SignIn, apikey.Manage}}, {Client: "app", Scopes: apikey.Scopes(), Org: "other"},
	} {
		_, err := w.Adoption(t.Context(), w.NewClient(t, grant), mfa.AdoptionQuery{Org: org})
		wantCode(t, err, mfa.Forbidden)
	}
	got, err := w.Adoption(t.Context(), w.Client, mfa.AdoptionQuery{Org: "never-seen"})
	if err != nil || got.Now.Users != 0 || got.Days == nil || len(got.Days) > 0 || len(got.Now.Kinds) != len(mfa.Kinds()) {
		t.Errorf("an org that was never seen: got %+v, %v", got, err)
	}
}

// A pass reads each entry of the roster once and no guard, however many users there are.
func TestOnePassThroughTheRosterCountsAnOrg(t *testing.T) {
	clock := storetest.NewClock(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	db := storetest.NewModel(clock.Now)
	read := &storetest.Meter{Store: db}
	w := mfatest.Over(t, read, db, clock)
	const users = 5000
	for i := range users {
		seen(t, w, org, fmt.Sprintf("u-%05d", i))
	}
	read.Reset()
	w.Faults.Reset()
	if got := adoption(t, w, mfa.AdoptionQuery{}); got.Now.Users != users {
		t.Errorf("got %d users, want %d", got.Now.Users, users)
	}
	calls, bytes := w.Faults.Counts(), read.Bytes.Load()
	if calls.Query > 16+users/store.MaxLimit+16 || calls.Keys > 4 || bytes > users*200 {
		t.Errorf("got %+v and %d bytes, want one pass", calls, bytes)
	}
	t.Logf("%d users: %d queries, %d bytes", users, calls.Query, bytes)
}
