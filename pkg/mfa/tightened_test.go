package mfa_test

import (
	"testing"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

// When a policy becomes stricter, the stricter limit also applies to challenges and enrolments that are already open.
func TestFewerAttemptsCountForWhatIsOpenToo(t *testing.T) {
	attempts := func(w *mfatest.World, n int) {
		w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Challenge.Attempts, p.Require = n, mfa.Everyone })
	}
	for name, c := range map[string]struct {
		open  func(*testing.T, *mfatest.World) (answer func(seal.Secret) error, right func() seal.Secret)
		spent mfa.ErrorCode
	}{
		"a challenge": {spent: mfa.ChallengeInvalid, open: func(t *testing.T, w *mfatest.World) (func(seal.Secret) error, func() seal.Secret) {
			a, _ := enrolApp(t, w, w.Fresh())
			ch := started(t, w, ana())
			return func(code seal.Secret) error {
				_, err := verify(t, w, ch.ID, code, false)
				return err
			}, func() seal.Secret { return w.NextCode(a) }
		}},
		"an enrolment": {spent: mfa.EnrolmentInvalid, open: func(t *testing.T, w *mfatest.World) (func(seal.Secret) error, func() seal.Secret) {
			said := ana().User
			begun, err := w.BeginEnrolment(t.Context(), w.Fresh(), mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.TOTP})
			if err != nil {
				t.Fatal(err)
			}
			a := typed(t, begun)
			return func(code seal.Secret) error {
				_, err := w.FinishEnrolment(t.Context(), w.Client, mfa.FinishRequest{Enrolment: begun.ID, Answer: mfa.Answer{Code: code}})
				return err
			}, func() seal.Secret { return w.NextCode(a) }
		}},
		"a proof of the address": {spent: mfa.EnrolmentInvalid, open: func(t *testing.T, w *mfatest.World) (func(seal.Secret) error, func() seal.Secret) {
			answer, err := w.StartChallenge(t.Context(), w.Client, ana())
			if err != nil || answer.Enrolment == nil {
				t.Fatalf("got %+v, %v, want an enrolment", answer, err)
			}
			call := mfa.Call{Bearer: answer.Enrolment.Token.Reveal()}
			if _, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.TOTP}); err != nil {
				t.Fatal(err)
			}
			return func(code seal.Secret) error {
				_, err := w.ProveAddress(t.Context(), call, mfa.ProveRequest{Code: code})
				return err
			}, func() seal.Secret { return w.Outbox.Code(t, mail) }
		}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, fewer := range []int{3, 4} {
				w := mfatest.New(t)
				attempts(w, 10)
				answer, right := c.open(t, w)
				for range 3 {
					wantCode(t, answer(mfatest.Wrong(right())), mfa.WrongCode)
				}
				attempts(w, fewer)
				if err := answer(right()); fewer == 3 {
					wantCode(t, err, c.spent)
				} else if err != nil {
					t.Errorf("with one attempt left: %v", err)
				}
			}
		})
	}
}

func TestAChallengeThatATighterPolicyEndedHasFailed(t *testing.T) {
	w, a := protected(t, func(p *mfa.Policy) { p.Challenge.Attempts = 10 })
	ch := started(t, w, ana())
	for range 3 {
		_, err := verify(t, w, ch.ID, mfatest.Wrong(w.NextCode(a)), false)
		wantCode(t, err, mfa.WrongCode)
	}
	w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Challenge.Attempts = 3 })
	if state, err := w.LookAtChallenge(t.Context(), w.Client, ch.ID); err != nil || state.State != "failed" {
		t.Errorf("got %+v, %v, want failed", state, err)
	}
}

func TestRecoveryCodesThatAPolicyTookAwayStayDead(t *testing.T) {
	for name, back := range map[string]int{"as many as before": 10, "fewer": 3} {
		t.Run(name, func(t *testing.T) {
			count := func(w *mfatest.World, n int) {
				w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Recovery.Count = n })
			}
			w := mfatest.New(t)
			count(w, 10)
			a, done := enrolApp(t, w, w.Fresh())
			count(w, 5) // a smaller count applies to new sets only
			if u := shown(t, w); u.Recovery.CodesLeft != 10 {
				t.Errorf("with a smaller count: got %d codes, want the set as it was", u.Recovery.CodesLeft)
			}
			count(w, 0)
			count(w, back)
			if ch := started(t, w, ana()); ch.Recovery {
				t.Error("a challenge offers recovery codes that are dead")
			}
			if u := shown(t, w); u.Recovery.CodesLeft != 0 || u.Recovery.Created != nil {
				t.Errorf("got %+v, want no codes", u.Recovery)
			}
			_, err := recovering(t, w, done.RecoveryCodes[0])
			wantCode(t, err, mfa.MethodForbidden)
			call := stepUp(t, w, a)
			_, second := enrolApp(t, w, call)
			if len(second.RecoveryCodes) != back {
				t.Errorf("the next factor brought %d codes, want a new set of %d", len(second.RecoveryCodes), back)
			}
			if _, err := recovering(t, w, second.RecoveryCodes[0]); err != nil {
				t.Errorf("a code of the new set: %v", err)
			}
		})
	}
}
