package mfa_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/seal"
)

// A store may return a partition in pages of any size. What the service reads with a Query must be the same when each page
// has one item.
func TestWhatIsReadOverSmallPagesIsWhole(t *testing.T) {
	w, a := protected(t, nil)
	sweep(t, w) // the next sweep continues from here
	enrolMail(t, w, stepUp(t, w, a))
	var tokens []seal.Secret
	for range 5 { // several browsers whose trust ends in the same hour
		tokens = append(tokens, trustedByApp(t, w, a))
		w.Clock.Advance(time.Minute)
	}
	for i := range 60 { // several users on each shard of the roster
		said := mfa.Person{ID: fmt.Sprintf("u-%03d", i)}
		if i%2 == 0 {
			said.Email = mfa.Some(said.ID + "@acme.example")
		}
		if _, err := w.PutUser(t.Context(), w.Client, org, said); err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 { // several pages of activity on each of several days
			started(t, w, ana())
			w.Drain(t)
			w.Clock.Advance(7 * time.Hour)
		}
	}
	w.Drain(t)
	version := 1
	change := mfa.PolicyChange{Policy: profile(t, "kls"), Version: &version}
	reads := map[string]func(*testing.T) (any, error){
		"a user": func(t *testing.T) (any, error) { return w.GetUser(t.Context(), w.Client, org, user) },
		"a user's browsers": func(t *testing.T) (any, error) {
			return w.ListBrowsers(t.Context(), w.Client, org, user, mfa.ListQuery{})
		},
		"a decision on the first browser": func(t *testing.T) (any, error) { return w.Decide(t.Context(), w.Client, with(tokens[0])) },
		"a decision on the last browser":  func(t *testing.T) (any, error) { return w.Decide(t.Context(), w.Client, with(tokens[4])) },
		"a preview": func(t *testing.T) (any, error) {
			return w.PreviewPolicy(t.Context(), w.Client, org, change.Policy)
		},
		"the preview of a change that has to be acknowledged": func(t *testing.T) (any, error) {
			_, err := w.PutPolicy(t.Context(), w.Client, org, change)
			return wantCode(t, err, mfa.AcknowledgementRequired).Preview, nil
		},
		"the check of the activity": func(t *testing.T) (any, error) {
			return w.CheckActivity(t.Context(), org)
		},
		"an org's activity": func(t *testing.T) (any, error) {
			return listActivity(t, w, mfa.ActivityQuery{Org: org}), nil
		},
		"a user's activity": func(t *testing.T) (any, error) {
			return listActivity(t, w, mfa.ActivityQuery{Org: org, User: user}), nil
		},
	}
	read := func(t *testing.T, name string) string {
		t.Helper()
		got, err := reads[name](t)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for name := range reads {
		t.Run(name, func(t *testing.T) {
			w.Faults.Pages(0)
			whole := read(t, name)
			w.Faults.Pages(1)
			if got := read(t, name); got != whole {
				t.Errorf("over pages of one item: got %s, want %s", got, whole)
			}
		})
	}
	w.Faults.Pages(0)
	if p, err := w.PreviewPolicy(t.Context(), w.Client, org, change.Policy); err != nil || p.Users != 61 || p.WithoutFactor != 30 {
		t.Errorf("got %+v, %v, want a preview of 61 users, 30 of them without a factor", p, err)
	}

	w.Faults.Pages(1)
	w.Clock.Advance(30 * day)
	if n := sweep(t, w); n != 5 {
		t.Errorf("the sweep: got %d ends announced, want 5", n)
	}
	if err := w.EraseUser(t.Context(), w.Client, org, user); err != nil {
		t.Fatal(err)
	}
	w.Faults.Pages(0)
	if left := everything(t, w, org, user); strings.Contains(left, "browser#") || strings.Contains(left, "factor#") || strings.Contains(left, mail) {
		t.Errorf("the erasure left %s", left)
	}
}
