package mfa_test

import (
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

// The rows of the same table that are about enrolled factors and recovery codes.
func TestAStepOfAnEnrolledFactorCostsWhatTheTableSays(t *testing.T) {
	ctx := t.Context()
	said := ana().User
	beginning := func(w *mfatest.World, call mfa.Call, kind mfa.Kind) func() error {
		return func() error {
			_, err := w.BeginEnrolment(ctx, call, mfa.EnrolRequest{Org: org, User: &said, Kind: kind})
			return err
		}
	}
	finishing := func(t *testing.T, w *mfatest.World, call mfa.Call, wrong bool) func() error {
		begun, err := w.BeginEnrolment(ctx, call, mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.TOTP})
		if err != nil {
			t.Fatal(err)
		}
		code := w.Code(typed(t, begun))
		if wrong {
			code = mfatest.Wrong(code)
		}
		return func() error {
			_, err := w.FinishEnrolment(ctx, w.Client, mfa.FinishRequest{Enrolment: begun.ID, Answer: mfa.Answer{Code: code}})
			if wrong && mfa.AsError(err).Code == mfa.WrongCode {
				return nil
			}
			return err
		}
	}
	// recovering answers a sign-in with a code of a new set, under a policy of that effect.
	recovering := func(effect, require string) func(*testing.T, *mfatest.World) func() error {
		return func(t *testing.T, w *mfatest.World) func() error {
			w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Recovery.Effect, p.Require = effect, require })
			_, done := enrolApp(t, w, w.Fresh())
			ch := started(t, w, ana())
			return func() error {
				_, err := w.Recover(ctx, w.Client, mfa.RecoverRequest{Challenge: ch.ID, Code: done.RecoveryCodes[0]})
				return err
			}
		}
	}
	answering := func(trust, right bool) func(*testing.T, *mfatest.World) func() error {
		return func(t *testing.T, w *mfatest.World) func() error {
			a, _ := enrolApp(t, w, w.Fresh())
			ch := started(t, w, ana())
			w.Clock.Advance(time.Minute)
			q := mfa.VerifyRequest{Challenge: ch.ID, Answer: mfa.Answer{Code: w.Code(a)}}
			if trust {
				q.Trust = &mfa.TrustChoice{}
			}
			if !right {
				q.Code = mfatest.Wrong(q.Code)
			}
			return func() error {
				_, err := w.Verify(ctx, w.Client, q)
				if !right && mfa.AsError(err).Code == mfa.WrongCode {
					return nil
				}
				return err
			}
		}
	}
	// managing changes an account that is brought to where change applies by an app, in whose name the call is.
	managing := func(change func(w *mfatest.World, call mfa.Call, a *mfatest.Authenticator) error) func(*testing.T, *mfatest.World) func() error {
		return func(t *testing.T, w *mfatest.World) func() error {
			a, _ := enrolApp(t, w, w.Fresh())
			trustedByApp(t, w, a)
			call := stepUp(t, w, a)
			return func() error { return change(w, call, a) }
		}
	}
	world := func(t *testing.T) *mfatest.World {
		w := mfatest.New(t)
		w.SetPolicy(t, org, "default", nil)
		put(t, w, ana().User)
		return w
	}
	wantCosts(t, world, map[string]costed{
		"start, by app": {cost{2, 1}, func(t *testing.T, w *mfatest.World) func() error {
			enrolApp(t, w, w.Fresh())
			return func() error {
				_, err := w.StartChallenge(ctx, w.Client, ana())
				return err
			}
		}},
		"start, to enrol": {cost{2, 1}, func(t *testing.T, w *mfatest.World) func() error {
			w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Require = mfa.Everyone })
			return func() error {
				_, err := w.StartChallenge(ctx, w.Client, ana())
				return err
			}
		}},
		"verify, by app, right":      {cost{2, 1}, answering(false, true)},
		"verify, by app, wrong":      {cost{2, 1}, answering(false, false)},
		"verify, by app, with trust": {cost{2, 3}, answering(true, true)},
		"enrol, begin, app": {cost{2, 1}, func(_ *testing.T, w *mfatest.World) func() error {
			return beginning(w, w.Fresh(), mfa.TOTP)
		}},
		"enrol, begin, email": {cost{2, 2}, func(_ *testing.T, w *mfatest.World) func() error {
			return beginning(w, w.Fresh(), mfa.Email)
		}},
		"enrol, begin, email, with an Idempotency-Key": {cost{3, 4}, func(_ *testing.T, w *mfatest.World) func() error {
			return beginning(w, keyed(w.Fresh(), "/e", "k", "{}"), mfa.Email)
		}},
		"enrol, finish": {cost{2, 4}, func(t *testing.T, w *mfatest.World) func() error {
			return finishing(t, w, w.Fresh(), false)
		}},
		"enrol, finish, wrong": {cost{2, 1}, func(t *testing.T, w *mfatest.World) func() error {
			return finishing(t, w, w.Fresh(), true)
		}},
		"recover":                               {cost{2, 1}, recovering(mfa.EffectSignIn, mfa.Nobody)},
		"recover, with the effect reset":        {cost{2, 3}, recovering(mfa.EffectReset, mfa.Nobody)},
		"recover, to enrol after a reset":       {cost{2, 4}, recovering(mfa.EffectReset, mfa.Everyone)},
		"recover, to enrol before all is ended": {cost{2, 2}, recovering(mfa.EffectReenrol, mfa.Nobody)},
		"new recovery codes": {cost{2, 1}, managing(func(w *mfatest.World, call mfa.Call, _ *mfatest.Authenticator) error {
			_, err := w.NewRecoveryCodes(ctx, call, org, user)
			return err
		})},
		"turn off": {cost{2, 2}, managing(func(w *mfatest.World, call mfa.Call, _ *mfatest.Authenticator) error {
			_, err := w.SetEnabled(ctx, call, org, user, false)
			return err
		})},
		"remove a factor": {cost{2, 3}, managing(func(w *mfatest.World, call mfa.Call, a *mfatest.Authenticator) error {
			return w.RemoveFactor(ctx, call, org, user, a.Factor)
		})},
		"revoke all browsers": {cost{2, 1}, managing(func(w *mfatest.World, call mfa.Call, _ *mfatest.Authenticator) error {
			return w.RevokeBrowsers(ctx, call, org, user)
		})},
		"report": {cost{2, 1}, managing(func(w *mfatest.World, call mfa.Call, _ *mfatest.Authenticator) error {
			_, err := w.Report(ctx, call, org, user, mfa.PasswordChanged)
			return err
		})},
	})
}
