package mfa_test

import (
	"strings"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

const desk = "desk@acme.example"

func watched(p *mfa.Policy) { p.Notify = []string{desk, "ops@acme.example"} }

func TestAdministratorsAreToldOfLocksAndOfRequestsForAReset(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*mfa.Policy)
		says   string
	}{
		"a request that waits for its time":    {held, "was requested for the account of the user " + user},
		"a request that waits for an approver": {approved, "It needs an approver."},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := protected(t, func(p *mfa.Policy) { watched(p); c.change(p) })
			askReset(t, w)
			w.Drain(t)
			for _, address := range []string{desk, "ops@acme.example"} {
				if got := w.Outbox.To(address); len(got) != 1 || !strings.Contains(got[0].Text, c.says) || strings.Contains(got[0].Text, "/cancel/") {
					t.Errorf("%s got %d messages, want one that says %q and has no link", address, len(got), c.says)
				}
			}
		})
	}
	w := kls(t, watched)
	lock(t, w)
	w.Drain(t)
	if got := w.Outbox.To(desk); len(got) != 1 || !strings.Contains(got[0].Text, "entered for the account of the user "+user) {
		t.Errorf("got %d messages about a lock, want one", len(got))
	}
}

func TestAdministratorsAreToldOfAUserWhoHasNoAddress(t *testing.T) {
	w := mfatest.New(t)
	w.SetPolicy(t, org, "default", watched)
	q := ana()
	q.User.Email = mfa.Optional[string]{}
	a, _ := w.EnrolTOTP(t, w.Fresh(), org, q.User)
	for range 2 {
		ch := started(t, w, q)
		for range 5 {
			_, err := verify(t, w, ch.ID, mfatest.Wrong(w.Code(a)), false)
			wantCode(t, err, mfa.WrongCode)
		}
	}
	w.Drain(t)
	if got := w.Outbox.To(desk); len(got) != 1 {
		t.Errorf("got %d messages about a lock, want one", len(got))
	}
}

func TestAdministratorsGetABoundedNumberOfMessagesInADay(t *testing.T) {
	w, _ := protected(t, func(p *mfa.Policy) { watched(p); held(p) })
	for range 55 {
		r := askReset(t, w)
		if _, err := w.CancelReset(t.Context(), w.Client, r.ID, "olga"); err != nil {
			t.Fatal(err)
		}
		w.Clock.Advance(time.Second)
		w.Drain(t)
	}
	if got := len(w.Outbox.To(desk)) + len(w.Outbox.To("ops@acme.example")); got != 100 {
		t.Errorf("got %d messages, want 100", got)
	}
}
