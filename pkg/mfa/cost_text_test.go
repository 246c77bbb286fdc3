package mfa_test

import (
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/store/fault"
)

// costedTextSteps are the steps about codes by SMS.
func costedTextSteps() map[string]costed {
	p := british(1)
	starting := func(t *testing.T, w *mfatest.World) func() error {
		p.proves(t, w, org)
		return func() error {
			_, err := w.StartChallenge(t.Context(), w.Client, mfa.StartRequest{Org: org, User: p.person()})
			return err
		}
	}
	return map[string]costed{
		"start, by SMS": starting,
		"start, by SMS, over the user's own budget": func(t *testing.T, w *mfatest.World) func() error {
			w.SetPolicy(t, org, "salto", func(p *mfa.Policy) { p.SMS.Countries, p.SMS.UserDailyCap = []string{"GB"}, 1 })
			start := starting(t, w)
			if err := start(); err != nil {
				t.Fatal(err)
			}
			return start
		},
		"send again, by SMS": func(t *testing.T, w *mfatest.World) func() error {
			p.proves(t, w, org)
			ch := p.signsIn(t, w, org)
			w.Clock.Advance(30 * time.Second)
			return func() error {
				_, err := send(t, w, ch.ID)
				return err
			}
		},
		"verify by SMS, right": func(t *testing.T, w *mfatest.World) func() error {
			p.proves(t, w, org)
			ch := p.signsIn(t, w, org)
			return func() error {
				_, err := verify(t, w, ch.ID, w.Outbox.Code(t, p.number), false)
				return err
			}
		},
		"enrol, begin, SMS": func(t *testing.T, w *mfatest.World) func() error {
			put(t, w, p.person())
			return func() error {
				_, err := p.enrols(t, w.Service, w.Fresh(), org)
				return err
			}
		},
	}
}

func TestACodeThatASharedBudgetRefusesTakesFiveRoundTripsAtMost(t *testing.T) {
	w := texting(t, nil)
	p := british(1)
	p.proves(t, w, org)
	for range 5 {
		p.signsIn(t, w, org)
	}
	w.Faults.Inject(fault.Any, 100, fault.Delay(20*time.Millisecond)) // requests that are made at the same time must overlap
	w.Faults.Reset()
	wantSent(t, p.signsIn(t, w, org), mfa.TooManySends)
	// These are the reads, the commit, the budgets, and then the reads and the commit that correct the first one, while
	// three budgets are given back.
	if got := w.Faults.Counts(); got.Rounds > 5 || got.Items != 4 || got.Count != 4+4+3 {
		t.Errorf("got %+v", got)
	}
}
