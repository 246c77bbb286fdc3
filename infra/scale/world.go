package main

import (
	"context"
	"fmt"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/message"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/passkey"
	"countersign/pkg/passkey/passkeytest"
	"countersign/pkg/phone"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/storetest"
)

// A world is the real service over a store that records. It reads a clock of its own, so that the program always finds the same.
type world struct {
	*mfa.Service
	items  *recorder
	feed   store.Feed
	clock  *storetest.Clock
	outbox *outbox
	bearer string // of an API key with every scope
	users  int    // how many were made so far
}

// An outbox remembers the code that was last sent, and counts what is sent to users and to other programs.
type outbox struct {
	code                  seal.Secret
	emails, texts, events int
}

// SendMail implements mfa.Mailer.
func (o *outbox) SendMail(_ context.Context, m message.Message) error {
	o.code = m.Code
	o.emails++
	return nil
}

// SendText implements mfa.Texter.
func (o *outbox) SendText(_ context.Context, m message.Text) error {
	o.code = m.Code
	o.texts++
	return nil
}

// PutEvents implements mfa.Bus.
func (o *outbox) PutEvents(_ context.Context, events []activity.Event) error {
	o.events += len(events)
	return nil
}

// keys is a keeper of one key ring. A function reads the ring once in a while, and not for each call.
type keys struct{ ring *seal.Ring }

func (k keys) Ring(context.Context) (*seal.Ring, error)   { return k.ring, nil }
func (k keys) Reload(context.Context) (*seal.Ring, error) { return k.ring, nil }

const org = "acme"

// open makes a world in which one org has the policy of a profile.
func open(ctx context.Context, profile string) (*world, error) {
	clock := storetest.NewClock(time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC))
	db := storetest.NewModel(clock.Now)
	w := &world{items: record(db), feed: db, clock: clock, outbox: &outbox{}}
	w.Service = &mfa.Service{
		Store: w.items, Keys: keys{seal.NewRing(clock.Now())}, Filter: &apikey.FilterKeeper{Store: w.items}, Mail: w.outbox, Text: w.outbox, Bus: w.outbox,
		Numbers: phone.Numbers{}, Now: clock.Now, Issuer: "https://scale.example", RelyingParty: mfa.RelyingParty{ID: "app.example", Name: "Scale"},
	}
	var err error
	if w.Passkeys, err = passkey.New(w.RelyingParty); err != nil {
		return nil, err
	}
	key, err := (&apikey.Registry{Store: w.items, Now: clock.Now}).Create(ctx, apikey.Grant{Client: "app", Scopes: apikey.Scopes(), Origins: []string{mfatest.Origin}})
	if err != nil {
		return nil, err
	}
	w.bearer = key.Reveal()
	policy, err := mfa.ProfilePolicy(profile)
	if err != nil {
		return nil, err
	}
	policy.SMS.Countries, policy.SMS.DailyCap, policy.SMS.HourlyPrefixCap = []string{"GB"}, 100_000, 1000
	version := 0
	_, err = w.PutPolicy(ctx, w.call(), org, mfa.PolicyChange{Policy: policy, Version: &version, Acknowledge: true})
	return w, err
}

// call is a call of the application, which has just checked the user's password.
func (w *world) call() mfa.Call {
	return mfa.Call{Bearer: w.bearer, Reauthenticated: w.clock.Now().Format(time.RFC3339)}
}

// A visitor is a user with what the user signs in with.
type visitor struct {
	mfa.Person
	number string
	app    *mfatest.Authenticator
	key    *passkeytest.Authenticator
	trust  seal.Secret
}

func (w *world) visitor() *visitor {
	w.users++
	return &visitor{
		Person: mfa.Person{
			ID:    fmt.Sprintf("00000000-0000-4000-8000-%012d", w.users),
			Email: mfa.Some(fmt.Sprintf("somebody.%06d@scale.example", w.users)), Name: mfa.Some("Somebody Example"),
		},
		number: fmt.Sprintf("+447400%06d", w.users),
	}
}

// enrol enrols a factor, which answer proves.
func (w *world) enrol(ctx context.Context, v *visitor, q mfa.EnrolRequest, answer func(mfa.EnrolAnswer) (mfa.Answer, error)) error {
	q.Org, q.User = org, &v.Person
	begun, err := w.BeginEnrolment(ctx, w.call(), q)
	if err != nil {
		return err
	}
	given, err := answer(begun)
	if err != nil {
		return err
	}
	_, err = w.FinishEnrolment(ctx, w.call(), mfa.FinishRequest{Enrolment: begun.ID, Answer: given})
	return err
}

// sent answers with the code that was last sent.
func (w *world) sent() mfa.Answer { return mfa.Answer{Code: w.outbox.code} }

// signIn signs a visitor in. With trust, the browser is trusted from then on.
func (w *world) signIn(ctx context.Context, v *visitor, trust bool, answer func(*mfa.ChallengeToAnswer) (mfa.Answer, error)) error {
	started, err := w.StartChallenge(ctx, w.call(), mfa.StartRequest{Org: org, User: v.Person, TrustToken: v.trust, Context: mfa.Context{
		IP: "203.0.113.147", UserAgent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
	}})
	if err != nil {
		return err
	}
	if answer == nil {
		if started.Decision.Decision != mfa.Allow {
			return fmt.Errorf("the user was asked: %s", started.Reason)
		}
		return nil
	}
	if started.Challenge == nil {
		return fmt.Errorf("the user was not asked: %s", started.Reason)
	}
	given, err := answer(started.Challenge)
	if err != nil {
		return err
	}
	q := mfa.VerifyRequest{Challenge: started.Challenge.ID, Answer: given}
	if trust {
		q.Trust = &mfa.TrustChoice{}
	}
	verified, err := w.Verify(ctx, w.call(), q)
	if err == nil && verified.TrustToken != nil {
		v.trust = *verified.TrustToken
	}
	return err
}

// A kind is a kind of sign-in. prepare does what has to happen on an earlier day.
type kind struct {
	name    string
	profile string // the profile of the org's policy
	calls   int    // calls of the API
	prepare func(context.Context, *world, *visitor) error
	signIn  func(context.Context, *world, *visitor) error
}

// kinds returns all kinds of sign-in.
func kinds() []kind {
	byCode := func(trust bool) func(context.Context, *world, *visitor) error {
		return func(ctx context.Context, w *world, v *visitor) error {
			return w.signIn(ctx, v, trust, func(*mfa.ChallengeToAnswer) (mfa.Answer, error) { return w.sent(), nil })
		}
	}
	return []kind{
		{"by app", "default", 2, func(ctx context.Context, w *world, v *visitor) error {
			return w.enrol(ctx, v, mfa.EnrolRequest{Kind: mfa.TOTP}, func(begun mfa.EnrolAnswer) (_ mfa.Answer, err error) {
				v.app, err = mfatest.NewAuthenticator(begun.TOTP.URI.Reveal())
				if err != nil {
					return mfa.Answer{}, err
				}
				return mfa.Answer{Code: v.app.Code(w.clock.Now())}, nil
			})
		}, func(ctx context.Context, w *world, v *visitor) error {
			return w.signIn(ctx, v, false, func(*mfa.ChallengeToAnswer) (mfa.Answer, error) {
				return mfa.Answer{Code: v.app.Code(w.clock.Now())}, nil
			})
		}},
		{"by email", "kls", 2, byCode(false), byCode(false)},
		{"by SMS", "salto", 2, func(ctx context.Context, w *world, v *visitor) error {
			return w.enrol(ctx, v, mfa.EnrolRequest{Kind: mfa.SMS, Phone: &v.number}, func(mfa.EnrolAnswer) (mfa.Answer, error) { return w.sent(), nil })
		}, byCode(false)},
		{"by security key", "default", 2, func(ctx context.Context, w *world, v *visitor) error {
			v.key = &passkeytest.Authenticator{}
			return w.enrol(ctx, v, mfa.EnrolRequest{Kind: mfa.WebAuthn}, func(begun mfa.EnrolAnswer) (mfa.Answer, error) {
				response, err := v.key.Create(begun.WebAuthn, mfatest.Origin)
				return mfa.Answer{Credential: response}, err
			})
		}, func(ctx context.Context, w *world, v *visitor) error {
			return w.signIn(ctx, v, false, func(ch *mfa.ChallengeToAnswer) (mfa.Answer, error) {
				response, err := v.key.Get(ch.WebAuthn, mfatest.Origin)
				return mfa.Answer{Credential: response}, err
			})
		}},
		{"by email, and trusts the browser", "kls", 2, byCode(false), byCode(true)},
		{"from a trusted browser", "kls", 1, byCode(true), func(ctx context.Context, w *world, v *visitor) error { return w.signIn(ctx, v, false, nil) }},
	}
}
