package mfa_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

func TestR5OneRecoveryCodeAtManySignInsAtOnceIsOneSuccess(t *testing.T) {
	for _, effect := range []string{mfa.EffectSignIn, mfa.EffectReset, mfa.EffectReenrol} {
		t.Run(effect, func(t *testing.T) {
			onBothStores(t, func(t *testing.T, w *mfatest.World) {
				w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Recovery.Effect = effect })
				a, done := w.EnrolTOTP(t, w.Fresh(), org, ana().User)
				services := twice(w)
				ids := []string{started(t, w, ana()).ID, started(t, w, ana()).ID}
				var c tally
				atOnce(64, func(i int) {
					_, err := services[i%2].Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: ids[i/2%2], Code: done.RecoveryCodes[7]})
					c.add(err)
				})
				c.wantOnly(t, "", mfa.WrongCode, mfa.ChallengeInvalid, mfa.Locked, mfa.Busy, mfa.MethodForbidden)
				looked := len(events(t, w, mfa.ChallengeFailed))
				if c.heard[""] != 1 || looked > 5 || looked != c.heard[mfa.WrongCode] || len(events(t, w, mfa.RecoveryUsed)) != 1 {
					t.Errorf("got %v heard and %d wrong ones looked at, want 1 success and at most 5", c.heard, looked)
				}
				left := map[string]int{mfa.EffectSignIn: 9, mfa.EffectReset: 0, mfa.EffectReenrol: 9}[effect]
				if got := shown(t, w).Recovery.CodesLeft; got != left {
					t.Errorf("got %d codes left, want %d", got, left)
				}
				if effect == mfa.EffectReset {
					return
				}
				if _, err := signIn(t, w, w.NextCode(a)); err != nil {
					t.Errorf("G12: the app: %v", err)
				}
			})
		})
	}
}

func TestR10ARecoveryCodeAmongManyWrongOnesKeepsToTheCap(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *mfatest.World) {
		w.SetPolicy(t, org, "default", nil)
		_, done := w.EnrolTOTP(t, w.Fresh(), org, ana().User)
		services := twice(w)
		ids := []string{started(t, w, ana()).ID, started(t, w, ana()).ID}
		var c tally
		atOnce(64, func(i int) {
			guess := wrongRecovery()
			if i == 30 {
				guess = done.RecoveryCodes[0]
			}
			_, err := services[i%2].Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: ids[i/2%2], Code: guess})
			c.add(err)
		})
		c.wantOnly(t, "", mfa.WrongCode, mfa.ChallengeInvalid, mfa.Locked, mfa.Busy)
		if looked := len(events(t, w, mfa.ChallengeFailed)); c.heard[""] > 1 || looked > 5 || c.heard[mfa.WrongCode] != looked {
			t.Errorf("got %v heard and %d wrong ones looked at, want at most 1 success and 5", c.heard, looked)
		}
		if got := shown(t, w).Recovery.CodesLeft; got != 10-c.heard[""] {
			t.Errorf("got %d codes left after %v", got, c.heard)
		}
	})
}

func TestE7OfManyNewSetsAtOnceOneIsGood(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *mfatest.World) {
		w.SetPolicy(t, org, "default", nil)
		a, first := w.EnrolTOTP(t, w.Fresh(), org, ana().User)
		call := w.StepUp(t, org, user, a)
		services := twice(w)
		var c tally
		var one sync.Mutex
		sets := [][]seal.Secret{first.RecoveryCodes}
		atOnce(64, func(i int) {
			made, err := services[i%2].NewRecoveryCodes(t.Context(), call, org, user)
			if c.add(err); err == nil {
				one.Lock()
				defer one.Unlock()
				sets = append(sets, made.RecoveryCodes)
			}
		})
		c.wantOnly(t, "", mfa.Busy)
		if got := len(events(t, w, mfa.RecoveryMade)); c.heard[""] == 0 || got != c.heard[""] {
			t.Errorf("got %v heard and %d recovery.regenerated", c.heard, got)
		}
		good := 0
		for i, set := range sets {
			if i%4 == 0 {
				w.Clock.Advance(25 * time.Hour) // later than every limit
			}
			switch _, err := recovering(t, w, set[i%10]); mfa.AsError(err).Code {
			case mfa.WrongCode:
			default:
				if err != nil || i == 0 {
					t.Fatalf("set %d: got %v", i, err)
				}
				good++
			}
		}
		if good != 1 || shown(t, w).Recovery.CodesLeft != 9 {
			t.Errorf("of %d sets %d are good, and %d codes left, want 1 and 9", len(sets), good, shown(t, w).Recovery.CodesLeft)
		}
	})
}

func TestI3NoRecoveryAndNoFinishOnceARevocationWasAnswered(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *mfatest.World) {
		w.SetPolicy(t, org, "default", nil)
		a, done := w.EnrolTOTP(t, w.Fresh(), org, ana().User)
		begun := begin(t, w, w.StepUp(t, org, user, a), mfa.Email)
		code := w.Outbox.Code(t, mail)
		services := twice(w)
		var ids []string
		for range 8 {
			ids = append(ids, started(t, w, ana()).ID)
		}
		var revoked atomic.Bool
		var late atomic.Int32
		atOnce(17, func(i int) {
			if i == 16 {
				for services[0].RevokeBrowsers(t.Context(), w.Client, org, user) != nil {
				}
				revoked.Store(true)
				return
			}
			after := revoked.Load()
			var err error
			if i < 8 {
				_, err = services[i%2].Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: ids[i], Code: done.RecoveryCodes[i]})
			} else {
				_, err = services[i%2].FinishEnrolment(t.Context(), w.Client, mfa.FinishRequest{Enrolment: begun.ID, Answer: mfa.Answer{Code: code}})
			}
			if err == nil && after {
				late.Add(1)
			}
		})
		for i, id := range ids {
			if _, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: id, Code: done.RecoveryCodes[i]}); err == nil {
				late.Add(1)
			}
		}
		if _, err := finish(t, w, w.Client, begun.ID, code); err == nil {
			late.Add(1)
		}
		if late.Load() > 0 {
			t.Errorf("got %d successes after the revocation was answered, want none", late.Load())
		}
	})
}
