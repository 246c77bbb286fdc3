package mfa_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
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
)

// activity gives all of a listing, page by page.
func activity(t *testing.T, w *mfatest.World, q mfa.ActivityQuery) (all []mfa.Event) {
	t.Helper()
	for {
		page, err := w.OrgActivity(t.Context(), w.Client, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			var e mfa.Event
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

// busy makes n wrong answers, spread over users and hours, and hands on what came of them.
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
	slices.SortFunc(want, func(a, b mfa.Event) int { return b.Time.Compare(a.Time) })
	got := activity(t, w, mfa.ActivityQuery{Org: org})
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
	before := activity(t, w, mfa.ActivityQuery{Org: org})
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
	w.Clock.Advance(24 * time.Hour) // and once more, a day late
	w.Drain(t)
	after := activity(t, w, mfa.ActivityQuery{Org: org})
	if len(batch) == 0 || len(after) != 2*len(before)-2 { // the first had the policy's change and the user's first sight besides
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
	all := activity(t, w, mfa.ActivityQuery{Org: org})
	for name, c := range map[string]struct {
		q    mfa.ActivityQuery
		want func(mfa.Event) bool
	}{
		"user":       {mfa.ActivityQuery{User: "u-3"}, func(e mfa.Event) bool { return e.User == "u-3" }},
		"type":       {mfa.ActivityQuery{Type: mfa.ChallengeSent}, func(e mfa.Event) bool { return e.Type == mfa.ChallengeSent }},
		"first word": {mfa.ActivityQuery{Type: "policy"}, func(e mfa.Event) bool { return e.Type == mfa.PolicyChanged }},
		"from":       {mfa.ActivityQuery{From: from.Add(20 * time.Hour)}, func(e mfa.Event) bool { return !e.Time.Before(from.Add(20 * time.Hour)) }},
		"to":         {mfa.ActivityQuery{To: from.Add(20 * time.Hour)}, func(e mfa.Event) bool { return e.Time.Before(from.Add(20 * time.Hour)) }},
	} {
		want := 0
		for _, e := range all {
			if c.want(e) {
				want++
			}
		}
		c.q.Org = org
		got := activity(t, w, c.q)
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

func TestWhateverIsChangedInTheActivityIsFound(t *testing.T) {
	w := kls(t, nil)
	busy(t, w, 30)
	if _, err := w.CheckActivity(t.Context(), org); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(seal.Join(org))
	day := "act#" + base64.RawURLEncoding.EncodeToString(sum[:16]) + "#" + w.Clock.Now().Format(time.DateOnly)
	found, err := w.Store.Query(t.Context(), store.Query{Partition: day})
	if err != nil || len(found.Items) < 3 {
		t.Fatalf("got %d pages, %v", len(found.Items), err)
	}
	middle := found.Items[1]
	altered := map[string]json.RawMessage{}
	var entries []map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(middle.Body, &altered), json.Unmarshal(altered["entries"], &entries)); err != nil {
		t.Fatal(err)
	}
	entry := entries[0]
	put := store.Write{Key: middle.Key, Expect: middle.Version, Expires: middle.Expires}
	check := func(what string, want error) {
		t.Helper()
		altered["entries"], _ = json.Marshal(entries)
		put.Body, _ = json.Marshal(altered)
		version := store.NewVersion()
		if err := w.Store.Commit(t.Context(), version, put); err != nil {
			t.Fatal(err)
		}
		put.Expect = version
		if _, err := w.CheckActivity(t.Context(), org); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", what, err, want)
		}
	}
	for _, field := range []string{"body", "sealed", "of", "salt"} {
		was := entry[field]
		entry[field] = bytes.Replace(was, []byte(`"type":"`), []byte(`"type":"x`), 1)
		if field != "body" {
			entry[field] = slices.Concat(was[:1], []byte("AB"), was[3:])
		}
		if bytes.Equal(entry[field], was) {
			t.Fatalf("%s was not altered: %s", field, was)
		}
		check("altered "+field, mfa.ErrActivityBroken)
		delete(entry, field)
		check("no "+field, mfa.ErrActivityBroken)
		entry[field] = was
		check("as it was", nil)
	}
	for field, alteration := range map[string]string{
		"filed": `"2026-11-23T00:00:00Z"`, "before": `"AAAA"`, "earlier": `{"day":"2026-11-22","number":1}`,
	} {
		was, there := altered[field]
		altered[field] = json.RawMessage(alteration)
		check("altered "+field, mfa.ErrActivityBroken)
		if altered[field] = was; !there {
			delete(altered, field)
		}
		check("as it was", nil)
	}
	for field := range entry {
		if field != "digest" {
			delete(entry, field)
		}
	}
	check("nothing but a digest", nil)
	put.Expect, put.Key = "", store.Key{Partition: day, Sort: "00000099"}
	if err := w.Store.Commit(t.Context(), store.NewVersion(), put); err != nil {
		t.Fatal(err)
	}
	if _, err := w.CheckActivity(t.Context(), org); !errors.Is(err, mfa.ErrActivityBroken) {
		t.Errorf("a page that was put in: got %v", err)
	}
}
