package main

import (
	"context"
	"errors"
	"time"

	"github.com/pquerna/otp/totp"

	"countersign/pkg/mfa"
	"countersign/pkg/seal"
)

// factorSteps are the rows about enrolled factors and recovery codes.
func factorSteps() []step {
	answering := func(trust *mfa.TrustChoice) func(*world) call {
		return func(w *world) call {
			w.protected(nil)
			id := w.challenge()
			return w.verify(mfa.VerifyRequest{Challenge: id, Answer: mfa.Answer{Code: w.appCode()}, Trust: trust})
		}
	}
	beginning := func(kind mfa.Kind) func(*world) call {
		return func(w *world) call {
			w.policy("default", nil)
			w.seen()
			return func(ctx context.Context) error {
				_, err := w.begin(ctx, kind)
				return err
			}
		}
	}
	recovering := func(effect string) func(*world) call {
		return func(w *world) call {
			w.protected(func(p *mfa.Policy) { p.Recovery.Effect = effect })
			id := w.challenge()
			return func(ctx context.Context) error {
				_, err := w.service.Recover(ctx, w.client, mfa.RecoverRequest{Challenge: id, Code: w.recovery})
				return err
			}
		}
	}
	return []step{
		{"start, by app", func(w *world) call {
			w.protected(nil)
			return w.start(mfa.StartRequest{})
		}},
		{"verify by app, right", answering(nil)},
		{"verify by app, with trust", answering(&mfa.TrustChoice{})},
		{"enrol, begin, an app", beginning(mfa.TOTP)},
		{"enrol, begin, email", beginning(mfa.Email)},
		{"enrol, finish, with recovery codes", func(w *world) call {
			w.policy("default", nil)
			w.seen()
			return w.finish()
		}},
		{"recover, which signs in", recovering(mfa.EffectSignIn)},
		{"recover, which removes all factors", recovering(mfa.EffectReset)},
		{"new recovery codes", func(w *world) call {
			w.protected(nil)
			fresh := w.fresh()
			fresh.Proof = w.steppedUp()
			return func(ctx context.Context) error {
				_, err := w.service.NewRecoveryCodes(ctx, fresh, benchOrg, benchUser)
				return err
			}
		}},
	}
}

// protected gives the user an authenticator app, under the default policy as change leaves it.
func (w *world) protected(change func(*mfa.Policy)) {
	w.policy("default", change)
	w.seen()
	w.do(w.finish())
}

// fresh is the client's call for a user whose password it has just checked.
func (w *world) fresh() mfa.Call {
	fresh := w.client
	fresh.Reauthenticated = w.now().Format(time.RFC3339)
	return fresh
}

func (w *world) begin(ctx context.Context, kind mfa.Kind) (mfa.EnrolAnswer, error) {
	user := ana()
	return w.service.BeginEnrolment(ctx, w.fresh(), mfa.EnrolRequest{Org: benchOrg, User: &user, Kind: kind})
}

// finish begins to enrol an app and gives what finishes that. It notes the app and a recovery code.
func (w *world) finish() call {
	var id string
	w.do(func(ctx context.Context) error {
		a, err := w.begin(ctx, mfa.TOTP)
		if err == nil {
			id, w.app = a.ID, a.TOTP.Secret
		}
		return err
	})
	code := w.appCode()
	return func(ctx context.Context) error {
		a, err := w.service.FinishEnrolment(ctx, w.client, mfa.FinishRequest{Enrolment: id, Answer: mfa.Answer{Code: code}})
		if err == nil && len(a.RecoveryCodes) == 0 {
			err = errors.New("an enrolment brought no recovery codes")
		}
		if err == nil {
			w.recovery = a.RecoveryCodes[0]
		}
		return err
	}
}

// appCode lets the app come to its next code, and gives it: a code is good once.
func (w *world) appCode() seal.Secret {
	w.ahead += time.Minute
	code, err := totp.GenerateCode(w.app.Reveal(), w.now())
	w.err = errors.Join(w.err, err)
	return seal.NewSecret(code)
}

// steppedUp has the user step up by the app, and gives the proof of that.
func (w *world) steppedUp() (proof seal.Secret) {
	q := mfa.VerifyRequest{Challenge: w.asked(mfa.StepUp), Answer: mfa.Answer{Code: w.appCode()}}
	w.do(func(ctx context.Context) error {
		a, err := w.service.Verify(ctx, w.client, q)
		proof = a.Token
		return err
	})
	return proof
}
