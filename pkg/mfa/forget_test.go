package mfa_test

import (
	"fmt"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store"
)

// storedBrowsers returns the items of ana's browsers in the store, whether trust in them is still valid or not.
func storedBrowsers(t *testing.T, w *mfatest.World) (found []store.Item) {
	t.Helper()
	q := store.Query{Partition: partition(org, user), Prefix: "browser#"}
	for more := true; more; {
		page, err := w.Faults.Query(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, page.Items...)
		q.After, more = page.Last, page.More
	}
	return found
}

// reason returns the reason of a decision about a sign-in with that trust token.
func reason(t *testing.T, w *mfatest.World, trust seal.Secret) string {
	t.Helper()
	q := ana()
	q.TrustToken = trust
	decided, err := w.Decide(t.Context(), w.Client, q)
	if err != nil {
		t.Fatal(err)
	}
	return decided.Reason
}

func TestDeadBrowsersAreRemovedAFewAtATime(t *testing.T) {
	w, a := protected(t, nil)
	trustedByApp(t, w, a)
	copied := storedBrowsers(t, w)[0]
	if err := w.RevokeBrowsers(t.Context(), w.Client, org, user); err != nil {
		t.Fatal(err)
	}
	for n := 0; n < 1000; n += 25 {
		var writes []store.Write
		for i := range 25 {
			key := store.Key{Partition: copied.Key.Partition, Sort: fmt.Sprintf("browser#tb_%022d", n+i)}
			writes = append(writes, store.Write{Key: key, Body: copied.Body, Expires: copied.Expires})
		}
		if err := w.Faults.Commit(t.Context(), store.NewVersion(), writes...); err != nil {
			t.Fatal(err)
		}
	}
	trust := trustedByApp(t, w, a)
	left := len(storedBrowsers(t, w))
	if left != 1000+1+1-5 {
		t.Errorf("after a first answer: %d browsers are stored, want five fewer and the new one", left)
	}
	for range 250 {
		wrong := mfatest.Wrong(w.NextCode(a))
		ch := started(t, w, ana())
		_, err := verify(t, w, ch.ID, wrong, false)
		wantCode(t, err, mfa.WrongCode)
		w.Clock.Advance(2 * time.Hour)
		if _, err := verify(t, w, started(t, w, ana()).ID, w.NextCode(a), false); err != nil {
			t.Fatal(err)
		}
		now := len(storedBrowsers(t, w))
		if left-now > 10 {
			t.Fatalf("two commits removed %d browsers, want ten at most", left-now)
		}
		left = now
	}
	if left != 1 {
		t.Errorf("%d browsers are stored, want the live one", left)
	}
	if got := reason(t, w, trust); got != mfa.BrowserTrust {
		t.Errorf("the live one: got %s", got)
	}
}

func TestTheNewestEndedBrowsersAreKeptToSayThatTheirTrustExpired(t *testing.T) {
	w, a := protected(t, func(p *mfa.Policy) { p.Trust.Cap = 50 })
	var first, last = trustedByApp(t, w, a), trustedByApp(t, w, a)
	for range 11 {
		last = trustedByApp(t, w, a)
	}
	answer := func() {
		t.Helper()
		if _, err := verify(t, w, started(t, w, ana()).ID, w.NextCode(a), false); err != nil {
			t.Fatal(err)
		}
	}
	w.Clock.Advance(30*24*time.Hour + time.Hour)
	answer()
	if got := len(storedBrowsers(t, w)); got != 13 {
		t.Errorf("an hour after their end: %d are stored, want all 13, which the sweep has yet to announce", got)
	}
	if got := reason(t, w, first); got != mfa.TrustExpired {
		t.Errorf("the oldest, an hour after its end: got %s", got)
	}
	w.Clock.Advance(48 * time.Hour)
	answer()
	answer()
	if got := len(storedBrowsers(t, w)); got != 10 {
		t.Errorf("two days after their end: %d are stored, want the newest ten", got)
	}
	if got := reason(t, w, first); got != mfa.NewBrowser {
		t.Errorf("the oldest, after that: got %s", got)
	}
	if got := reason(t, w, last); got != mfa.TrustExpired {
		t.Errorf("the newest: got %s", got)
	}
}
