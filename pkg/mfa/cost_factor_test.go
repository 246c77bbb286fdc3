package mfa_test

import (
	"context"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

// costedFactorSteps are the steps about enrolled factors and recovery codes, for a user who needn't have a factor by the
// default policy.
func costedFactorSteps() map[string]costed {
	ctx := context.Background()
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
	// recovering answers a sign-in with a new recovery code, under a policy that gives it this effect.
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
	// managing makes a change to the account of a user who has an app and a trusted browser, with a call that the app has
	// proven.
	managing := func(change func(w *mfatest.World, call mfa.Call, a *mfatest.Authenticator) error) func(*testing.T, *mfatest.World) func() error {
		return func(t *testing.T, w *mfatest.World) func() error {
			a, _ := enrolApp(t, w, w.Fresh())
			trustedByApp(t, w, a)
			call := stepUp(t, w, a)
			return func() error { return change(w, call, a) }
		}
	}
	return map[string]costed{
		"start, by app": func(t *testing.T, w *mfatest.World) func() error {
			enrolApp(t, w, w.Fresh())
			return func() error {
				_, err := w.StartChallenge(ctx, w.Client, ana())
				return err
			}
		},
		"start, to enrol": func(t *testing.T, w *mfatest.World) func() error {
			w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Require = mfa.Everyone })
			return func() error {
				_, err := w.StartChallenge(ctx, w.Client, ana())
				return err
			}
		},
		"start, let in by grace": func(t *testing.T, w *mfatest.World) func() error {
			grants(t, w, time.Hour, nil)
			return func() error {
				_, err := w.StartChallenge(ctx, w.Client, ana())
				return err
			}
		},
		"start, let in by grace, with a skip": func(t *testing.T, w *mfatest.World) func() error {
			skips := 1
			grants(t, w, time.Hour, &skips)
			return func() error {
				_, err := w.StartChallenge(ctx, w.Client, ana())
				return err
			}
		},
		"put a policy that signs users out": func(t *testing.T, w *mfatest.World) func() error {
			version := 1
			p := profile(t, "talkdesk")
			p.Require = mfa.Everyone
			return func() error {
				_, err := w.PutPolicy(ctx, w.Client, org, mfa.PolicyChange{Policy: p, Version: &version, Acknowledge: true})
				return err
			}
		},
		"require 2FA of one user": func(_ *testing.T, w *mfatest.World) func() error {
			yes := true
			return func() error {
				_, err := w.Enforce(ctx, w.Client, org, user, mfa.Enforcement{Enforced: &yes})
				return err
			}
		},
		"introspect a session": func(t *testing.T, w *mfatest.World) func() error {
			signsOut(t, w, nil)
			return func() error {
				_, err := w.Introspect(ctx, w.Client, mfa.IntrospectRequest{Org: org, User: user, IssuedAt: w.Clock.Now()})
				return err
			}
		},
		"verify by app, right":      answering(false, true),
		"verify by app, wrong":      answering(false, false),
		"verify by app, with trust": answering(true, true),
		"enrol, begin, an app": func(_ *testing.T, w *mfatest.World) func() error {
			return beginning(w, w.Fresh(), mfa.TOTP)
		},
		"enrol, begin, email": func(_ *testing.T, w *mfatest.World) func() error {
			return beginning(w, w.Fresh(), mfa.Email)
		},
		"enrol, begin, email, with an Idempotency-Key": func(_ *testing.T, w *mfatest.World) func() error {
			return beginning(w, keyed(w.Fresh(), "/e", "k", "{}"), mfa.Email)
		},
		"enrol, finish, with recovery codes": func(t *testing.T, w *mfatest.World) func() error {
			return finishing(t, w, w.Fresh(), false)
		},
		"enrol, finish, wrong": func(t *testing.T, w *mfatest.World) func() error {
			return finishing(t, w, w.Fresh(), true)
		},
		"recover, which signs in":                      recovering(mfa.EffectSignIn, mfa.Nobody),
		"recover, which removes all factors":           recovering(mfa.EffectReset, mfa.Nobody),
		"recover, which removes all factors, to enrol": recovering(mfa.EffectReset, mfa.Everyone),
		"recover, to enrol before anything is ended":   recovering(mfa.EffectReenrol, mfa.Nobody),
		"new recovery codes": managing(func(w *mfatest.World, call mfa.Call, _ *mfatest.Authenticator) error {
			_, err := w.NewRecoveryCodes(ctx, call, org, user)
			return err
		}),
		"turn 2FA off": managing(func(w *mfatest.World, call mfa.Call, _ *mfatest.Authenticator) error {
			_, err := w.SetEnabled(ctx, call, org, user, false)
			return err
		}),
		"remove a factor": managing(func(w *mfatest.World, call mfa.Call, a *mfatest.Authenticator) error {
			return w.RemoveFactor(ctx, call, org, user, a.Factor)
		}),
		"revoke all browsers": managing(func(w *mfatest.World, call mfa.Call, _ *mfatest.Authenticator) error {
			return w.RevokeBrowsers(ctx, call, org, user)
		}),
		"report a changed password": managing(func(w *mfatest.World, call mfa.Call, _ *mfatest.Authenticator) error {
			_, err := w.Report(ctx, call, org, user, mfa.PasswordChanged)
			return err
		}),
	}
}
