package mfa_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/store"
	"countersign/pkg/store/storetest"
)

// listActivity returns all events of a listing, which it reads page by page.
func listActivity(t *testing.T, w *mfatest.World, q mfa.ActivityQuery) (all []activity.Event) {
	t.Helper()
	for {
		page, err := w.OrgActivity(t.Context(), w.Client, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			var e activity.Event
			if err := json.Unmarshal(item, &e); err != nil {
				t.Fatal(err)
			}
			all = append(all, e)
		}
		if page.Cursor == nil {
			return all
		}
		q.Cursor = *page.Cursor
	}
}

// busy begins n sign-ins of several users, each at a later hour, and publishes their events.
func busy(t *testing.T, w *mfatest.World, n int) {
	t.Helper()
	for i := range n {
		q := ana()
		q.User.ID = fmt.Sprintf("u-%d", i%7)
		q.User.Email = mfa.Some(fmt.Sprintf("u%d@acme.example", i))
		started(t, w, q)
		w.Clock.Advance(time.Hour)
		if i%3 == 0 {
			w.Drain(t)
		}
	}
	w.Drain(t)
}

func TestActivityShowsEachEventOnceNewestFirst(t *testing.T) {
	w := kls(t, nil)
	busy(t, w, 100)
	want := w.Events.All()
	slices.SortFunc(want, func(a, b activity.Event) int { return b.Time.Compare(a.Time) })
	got := listActivity(t, w, mfa.ActivityQuery{Org: org})
	if len(got) != len(want) {
		t.Fatalf("got %d events, want %d", len(got), len(want))
	}
	seen := map[string]bool{}
	for i, e := range got {
		if !e.Time.Equal(want[i].Time) || seen[e.ID] {
			t.Fatalf("event %d: got %v of %v, want one of %v, and each once", i, e.ID, e.Time, want[i].Time)
		}
		seen[e.ID] = true
	}
	if pages, err := w.CheckActivity(t.Context(), org); err != nil || pages < 30 {
		t.Errorf("the chain: %d pages, %v", pages, err)
	}
}

func TestABatchThatComesTwiceIsShownOnce(t *testing.T) {
	w := kls(t, nil)
	started(t, w, ana())
	w.Drain(t)
	before := listActivity(t, w, mfa.ActivityQuery{Org: org})
	started(t, w, ana())
	var batch []store.Record
	for range 3 {
		w.Feed.Deliver(t.Context(), 100, func(ctx context.Context, records []store.Record) error {
			batch = slices.Clone(records)
			if err := w.Publish(ctx, records); err != nil {
				t.Error(err)
			}
			return errors.New("the answer was lost")
		})
	}
	w.Clock.Advance(24 * time.Hour) // the batch comes once more, a day late
	w.Drain(t)
	after := listActivity(t, w, mfa.ActivityQuery{Org: org})
	if len(batch) == 0 || len(after) != 2*len(before)-2 { // only the first batch also had the change of the policy and the new user
		t.Errorf("got %d events, then %d", len(before), len(after))
	}
	if _, err := w.CheckActivity(t.Context(), org); err != nil {
		t.Error(err)
	}
}

func TestActivityIsNarrowedByUserTypeAndTime(t *testing.T) {
	w := kls(t, nil)
	from := w.Clock.Now()
	busy(t, w, 30)
	all := listActivity(t, w, mfa.ActivityQuery{Org: org})
	for name, c := range map[string]struct {
		q    mfa.ActivityQuery
		want func(activity.Event) bool
	}{
		"user":       {mfa.ActivityQuery{User: "u-3"}, func(e activity.Event) bool { return e.User == "u-3" }},
		"type":       {mfa.ActivityQuery{Type: mfa.ChallengeSent}, func(e activity.Event) bool { return e.Type == mfa.ChallengeSent }},
		"first word": {mfa.ActivityQuery{Type: "policy"}, func(e activity.Event) bool { return e.Type == mfa.PolicyChanged }},
		"from":       {mfa.ActivityQuery{From: from.Add(20 * time.Hour)}, func(e activity.Event) bool { return !e.Time.Before(from.Add(20 * time.Hour)) }},
		"to":         {mfa.ActivityQuery{To: from.Add(20 * time.Hour)}, func(e activity.Event) bool { return e.Time.Before(from.Add(20 * time.Hour)) }},
	} {
		want := 0
		for _, e := range all {
			if c.want(e) {
				want++
			}
		}
		c.q.Org = org
		got := listActivity(t, w, c.q)
		for _, e := range got {
			if !c.want(e) {
				t.Errorf("%s: got %+v", name, e)
			}
		}
		if len(got) != want || want == 0 {
			t.Errorf("%s: got %d events, want %d", name, len(got), want)
		}
	}
	mine, err := w.UserActivity(t.Context(), w.Client, mfa.ActivityQuery{Org: org, User: "u-3"})
	if err != nil || len(mine.Items) == 0 {
		t.Errorf("a user's own: got %v, %v", mine, err)
	}
}

func TestL5ACursorIsGoodForItsListingOnly(t *testing.T) {
	w := kls(t, nil)
	busy(t, w, 60)
	page, err := w.OrgActivity(t.Context(), w.Client, mfa.ActivityQuery{Org: org})
	if err != nil || page.Cursor == nil {
		t.Fatalf("got %v, %v, want a cursor", page, err)
	}
	cursor := *page.Cursor
	end := "AA"
	if strings.HasSuffix(cursor, end) {
		end = "BA"
	}
	for name, q := range map[string]mfa.ActivityQuery{
		"another org":  {Org: "other", ListQuery: mfa.ListQuery{Cursor: cursor}},
		"another user": {Org: org, User: "u-1", ListQuery: mfa.ListQuery{Cursor: cursor}},
		"another type": {Org: org, Type: "policy", ListQuery: mfa.ListQuery{Cursor: cursor}},
		"altered":      {Org: org, ListQuery: mfa.ListQuery{Cursor: cursor[:len(cursor)-2] + end}},
		"made up":      {Org: org, ListQuery: mfa.ListQuery{Cursor: "AAAA"}},
		"no base64url": {Org: org, ListQuery: mfa.ListQuery{Cursor: "=="}},
	} {
		_, err := w.OrgActivity(t.Context(), w.Client, q)
		if e := wantCode(t, err, mfa.InvalidRequest); e.Param != "cursor" {
			t.Errorf("%s: got param %q", name, e.Param)
		}
	}
}

func TestActivityNeedsItsScopeAndItsOrg(t *testing.T) {
	w := kls(t, nil)
	manage := w.NewClient(t, apikey.Grant{Client: "app", Scopes: []apikey.Scope{apikey.Manage}})
	_, err := w.OrgActivity(t.Context(), manage, mfa.ActivityQuery{Org: org})
	wantCode(t, err, mfa.Forbidden)
	if _, err := w.UserActivity(t.Context(), manage, mfa.ActivityQuery{Org: org, User: user}); err != nil {
		t.Error(err)
	}
	elsewhere := w.NewClient(t, apikey.Grant{Client: "app", Scopes: apikey.Scopes(), Org: "other"})
	_, err = w.OrgActivity(t.Context(), elsewhere, mfa.ActivityQuery{Org: org})
	wantCode(t, err, mfa.Forbidden)
}

func TestAListRefusesALimitThatItDoesNotTake(t *testing.T) {
	w := kls(t, nil)
	busy(t, w, 60)
	if page, err := w.OrgActivity(t.Context(), w.Client, mfa.ActivityQuery{Org: org}); err != nil || len(page.Items) != 50 || page.Cursor == nil {
		t.Errorf("no limit: got %d items, %v, want 50", len(page.Items), err)
	}
	for _, limit := range []int{-1, 201} {
		for name, list := range map[string]func(mfa.ListQuery) error{
			"an org's": func(q mfa.ListQuery) error {
				_, err := w.OrgActivity(t.Context(), w.Client, mfa.ActivityQuery{Org: org, ListQuery: q})
				return err
			},
			"a user's": func(q mfa.ListQuery) error {
				_, err := w.UserActivity(t.Context(), w.Client, mfa.ActivityQuery{Org: org, User: "u-0", ListQuery: q})
				return err
			},
			"browsers": func(q mfa.ListQuery) error {
				_, err := w.ListBrowsers(t.Context(), w.Client, org, "u-0", q)
				return err
			},
		} {
			if e := wantCode(t, list(mfa.ListQuery{Limit: limit}), mfa.InvalidRequest); e.Param != "limit" {
				t.Errorf("%s, limit %d: got param %q", name, limit, e.Param)
			}
		}
	}
}

func TestAPageReadsAMebibyteAtMostThoughEachEventIsAboutAnotherUserWithABigGuard(t *testing.T) {
	clock := storetest.NewClock(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	db := storetest.NewModel(clock.Now)
	read := &storetest.Meter{Store: db}
	w := mfatest.Over(t, read, db, clock)
	w.SetPolicy(t, org, "kls", nil)
	const users, times = 200, 10
	for range times {
		for i := range users {
			id := fmt.Sprintf("u-%03d", i)
			started(t, w, mfa.StartRequest{Org: org, User: mfa.Person{ID: id, Email: mfa.Some(id + "@acme.example")}})
		}
		w.Drain(t)
		clock.Advance(time.Hour)
	}
	padded := 0
	for _, item := range db.Items() {
		if item.Key.Sort != "guard" {
			continue
		}
		body, err := mfa.BigGuard(item, 14<<10)
		if err == nil {
			err = db.Commit(t.Context(), store.NewVersion(), store.Write{Key: item.Key, Expect: item.Version, Body: body})
		}
		if err != nil {
			t.Fatal(err)
		}
		padded++
	}
	if padded != users {
		t.Fatalf("got %d big guards, want %d", padded, users)
	}
	got := map[string]bool{}
	var most int64
	q := mfa.ActivityQuery{Org: org, Type: mfa.ChallengeSent, ListQuery: mfa.ListQuery{Limit: 200}}
	for more := true; more; more = q.Cursor != "" {
		read.Reset()
		page, err := w.OrgActivity(t.Context(), w.Client, q)
		if err != nil {
			t.Fatal(err)
		}
		bytes := read.Bytes.Load()
		if most = max(most, bytes); bytes > 1<<20 {
			t.Errorf("one page read %d bytes, want at most 1 MiB", bytes)
		}
		q.Cursor = ""
		if page.Cursor != nil {
			q.Cursor = *page.Cursor
		}
		if len(page.Items) == 0 && q.Cursor != "" {
			t.Fatal("got an empty page where there is something to show")
		}
		for _, item := range page.Items {
			var e activity.Event
			if err := json.Unmarshal(item, &e); err != nil || got[e.ID] || e.User == "" {
				t.Fatalf("%s is shown twice, or without its user: %v", item, err)
			}
			got[e.ID] = true
		}
	}
	if most < 100<<10 {
		t.Errorf("no page read more than %d bytes, want much of it guards", most)
	}
	if len(got) != users*times {
		t.Errorf("got %d events, want %d", len(got), users*times)
	}
}
