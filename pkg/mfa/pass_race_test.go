package mfa_test

import (
	"testing"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

func TestR5OnePassAtManySignInsAtOnceIsOneSuccess(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *mfatest.World) {
		w.SetPolicy(t, org, "default", hourOfPasses)
		w.EnrolTOTP(t, w.Fresh(), org, ana().User)
		code := issue(t, w)
		services := twice(w)
		ids := []string{started(t, w, ana()).ID, started(t, w, ana()).ID}
		var c tally
		atOnce(64, func(i int) {
			_, err := services[i%2].Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: ids[i/2%2], Code: code})
			c.add(err)
		})
		c.wantOnly(t, "", mfa.WrongCode, mfa.ChallengeInvalid, mfa.Locked, mfa.Busy)
		looked := len(events(t, w, mfa.ChallengeFailed))
		if c.heard[""] != 1 || looked > 5 || looked != c.heard[mfa.WrongCode] || len(events(t, w, mfa.PassUsed)) != 1 {
			t.Errorf("got %v heard and %d wrong ones looked at, want 1 success and at most 5", c.heard, looked)
		}
	})
}

func TestOfManyPassesIssuedAtOnceOneIsGood(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *mfatest.World) {
		w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Pass.MaxS, p.Challenge.Attempts = 3600, 10 })
		w.EnrolTOTP(t, w.Fresh(), org, ana().User)
		services := twice(w)
		var c tally
		issued := make([]*seal.Secret, 4)
		atOnce(4, func(i int) {
			made, err := services[i%2].IssuePass(t.Context(), w.Client, org, user, forgot)
			c.add(err)
			issued[i] = made.Pass
		})
		c.wantOnly(t, "", mfa.Busy)
		good := 0
		for _, code := range issued {
			if code == nil {
				continue
			}
			if _, err := pass(t, w, *code); err == nil {
				good++
			}
		}
		if good != 1 {
			t.Errorf("%d of the passes are good, want 1", good)
		}
	})
}

func TestAPassThatIsTakenBackIsNeverGoodAfterThat(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *mfatest.World) {
		w.SetPolicy(t, org, "default", hourOfPasses)
		w.EnrolTOTP(t, w.Fresh(), org, ana().User)
		code := issue(t, w)
		services := twice(w)
		id := started(t, w, ana()).ID
		var c tally
		atOnce(64, func(i int) {
			if i == 20 {
				if err := services[0].RevokePass(t.Context(), w.Client, org, user); err != nil {
					t.Error(err)
				}
				return
			}
			_, err := services[i%2].Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: id, Code: code})
			c.add(err)
		})
		if used, revoked := len(events(t, w, mfa.PassUsed)), len(events(t, w, mfa.PassRevoked)); used+revoked != 1 || used != c.heard[""] {
			t.Errorf("it was used %d times and taken back %d times, with %v heard; want one of the two, once", used, revoked, c.heard)
		}
	})
}
