package mfa_test

import (
	"testing"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

// changes are the calls that a client may make only for a user who has just proven who they are.
func changes(w *mfatest.World, factor string) map[string]func(t *testing.T, call mfa.Call) error {
	return map[string]func(t *testing.T, call mfa.Call) error{
		"enrol": func(t *testing.T, call mfa.Call) error {
			_, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Org: org, User: &mfa.Person{ID: user}, Kind: mfa.TOTP})
			return err
		},
		"recovery codes": func(t *testing.T, call mfa.Call) error {
			_, err := w.NewRecoveryCodes(t.Context(), call, org, user)
			return err
		},
		"turn off": func(t *testing.T, call mfa.Call) error {
			_, err := w.SetEnabled(t.Context(), call, org, user, false)
			return err
		},
		"remove": func(t *testing.T, call mfa.Call) error { return w.RemoveFactor(t.Context(), call, org, user, factor) },
	}
}

// wantRefused fails the test unless every change of ana's account is refused to a client with this call.
func wantRefused(t *testing.T, w *mfatest.World, factor, name string, call mfa.Call, want mfa.ErrorCode) {
	t.Helper()
	for what, change := range changes(w, factor) {
		if err := change(t, call); mfa.AsError(err).Code != want {
			t.Errorf("%s with %s: got %v, want %s", what, name, err, want)
		}
	}
}

// steppedUp lets a user step up by app, and returns the token. It is for the client of call, and bound to action unless it
// is nil.
func steppedUp(t *testing.T, w *mfatest.World, call mfa.Call, org, user string, a *mfatest.Authenticator, action *mfa.Action) seal.Secret {
	t.Helper()
	answer, err := w.StartChallenge(t.Context(), call, mfa.StartRequest{Org: org, User: mfa.Person{ID: user}, Purpose: mfa.StepUp, Action: action})
	if err != nil {
		t.Fatal(err)
	}
	verified, err := w.Verify(t.Context(), call, mfa.VerifyRequest{Challenge: answer.Challenge.ID, Answer: mfa.Answer{Code: w.NextCode(a)}})
	if err != nil {
		t.Fatal(err)
	}
	return verified.Token
}

func TestB6NothingIsChangedWithoutAFreshProofOfThisUserForThisClient(t *testing.T) {
	w, a, done := withApp(t, nil)
	bob := mfa.Person{ID: "u-18", Email: mfa.Some("bob@acme.example")}
	bobs, _ := w.EnrolTOTP(t, w.Fresh(), org, bob)
	away, _ := w.EnrolTOTP(t, w.Fresh(), "globex", ana().User)
	portal := w.NewClient(t, apikey.Grant{Client: "portal", Scopes: apikey.Scopes()})
	pay, account := mfa.Action{Name: "pay"}, mfa.Action{Name: "account"}

	tokens := map[string]seal.Secret{
		"no proof":              {},
		"another user's":        steppedUp(t, w, w.Client, org, "u-18", bobs, nil),
		"another org's":         steppedUp(t, w, w.Client, "globex", user, away, nil),
		"another client's":      steppedUp(t, w, portal, org, user, a, nil),
		"one of another action": steppedUp(t, w, w.Client, org, user, a, &pay),
	}
	w.Clock.Advance(mfatest.Step)
	signedIn, err := signIn(t, w, w.Code(a))
	if err != nil {
		t.Fatal(err)
	}
	tokens["a sign-in's"] = signedIn.Token
	sso := ana()
	sso.FirstFactor.Kind = "sso"
	allowed, err := w.StartChallenge(t.Context(), w.Client, sso)
	if err != nil || allowed.Token == nil {
		t.Fatalf("got %+v, %v, want an allow", allowed.Decision, err)
	}
	tokens["an allow's"] = *allowed.Token
	recovered, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: started(t, w, ana()).ID, Code: done.RecoveryCodes[0]})
	if err != nil {
		t.Fatal(err)
	}
	tokens["that of a sign-in by a recovery code"] = *recovered.Token
	good := steppedUp(t, w, w.Client, org, user, a, nil)
	altered := []byte(good.Reveal())
	altered[len(altered)/2] ^= 1
	tokens["an altered one"] = seal.NewSecret(string(altered))
	tokens["what is no token"] = seal.NewSecret("step up")
	for name, token := range tokens {
		call := w.Fresh()
		call.Proof = token
		wantRefused(t, w, a.Factor, name, call, mfa.StepUpNeeded)
	}

	call := w.Fresh()
	call.Proof = good
	issuer := w.Issuer
	w.Issuer = "https://other.example"
	wantRefused(t, w, a.Factor, "another deployment's", call, mfa.StepUpNeeded)
	w.Issuer = issuer
	for name, token := range map[string]seal.Secret{"bound to nothing": good, "bound to the account": steppedUp(t, w, w.Client, org, user, a, &account)} {
		call.Proof = token
		if _, err := w.NewRecoveryCodes(t.Context(), call, org, user); err != nil {
			t.Errorf("a step-up %s: %v", name, err)
		}
	}
}

// A proof names its user and org, although it also carries the epoch, which no two users share.
func TestB6AProofNamesItsUserAndOrg(t *testing.T) {
	w, a, _ := withApp(t, nil)
	bobs, _ := w.EnrolTOTP(t, w.Fresh(), org, mfa.Person{ID: "u-18"})
	away, _ := w.EnrolTOTP(t, w.Fresh(), "globex", ana().User)
	for name, other := range map[string]struct {
		org, user string
		app       *mfatest.Authenticator
	}{"another user's": {org, "u-18", bobs}, "another org's": {"globex", user, away}} {
		transplant(t, w, storedAt(t, w, partition(other.org, other.user), "guard"), stored(t, w, user, "guard"), "epoch")
		call := w.StepUp(t, other.org, other.user, other.app)
		wantRefused(t, w, a.Factor, name, call, mfa.StepUpNeeded)
	}
}

func TestB6AProofEndsTenMinutesAfterItWasGiven(t *testing.T) {
	w, a, _ := withApp(t, nil)
	call := w.StepUp(t, org, user, a)
	w.Clock.Advance(10 * time.Minute)
	call.Reauthenticated = w.Fresh().Reauthenticated
	if _, err := w.NewRecoveryCodes(t.Context(), call, org, user); err != nil {
		t.Errorf("after 600 s: %v", err)
	}
	w.Clock.Advance(time.Second)
	call.Reauthenticated = w.Fresh().Reauthenticated
	wantRefused(t, w, a.Factor, "a proof 601 s old", call, mfa.StepUpNeeded)

	// The clock of one process may be up to a minute ahead of another's.
	call = w.StepUp(t, org, user, a)
	w.Clock.Advance(-61 * time.Second)
	call.Reauthenticated = w.Fresh().Reauthenticated
	wantRefused(t, w, a.Factor, "a proof 61 s ahead", call, mfa.StepUpNeeded)
	w.Clock.Advance(time.Second)
	if _, err := w.NewRecoveryCodes(t.Context(), call, org, user); err != nil {
		t.Errorf("60 s ahead: %v", err)
	}
}

func TestAPasswordCheckEndsTenMinutesAfterItToTheSecond(t *testing.T) {
	w, a, _ := withApp(t, nil)
	call := w.StepUp(t, org, user, a)
	now := w.Clock.Now()
	for name, at := range map[string]string{
		"none": "", "no time": "now", "a date": now.Format(time.DateOnly), "a second too old": now.Add(-601 * time.Second).Format(time.RFC3339),
		"a moment too old": now.Add(-600*time.Second - time.Millisecond).Format(time.RFC3339Nano), "ahead by 61 s": now.Add(61 * time.Second).Format(time.RFC3339),
		"the end of time": "9999-12-31T23:59:59Z", "its beginning": "0001-01-01T00:00:00Z", "Unix time": "1795341600",
	} {
		call.Reauthenticated = at
		wantRefused(t, w, a.Factor, name, call, mfa.ReauthenticationNeeded)
	}
	for name, at := range map[string]string{
		"600 s ago": now.Add(-600 * time.Second).Format(time.RFC3339), "ahead by 60 s": now.Add(60 * time.Second).Format(time.RFC3339),
		"in another zone": now.In(time.FixedZone("", 5*3600+1800)).Format(time.RFC3339), "with fractions": now.Format("2006-01-02T15:04:05.000000000Z07:00"),
	} {
		call.Reauthenticated = at
		if _, err := w.NewRecoveryCodes(t.Context(), call, org, user); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestB6AProofDiesWithARevocation(t *testing.T) {
	for name, revoke := range map[string]func(t *testing.T, w *mfatest.World) error{
		"revoked": func(t *testing.T, w *mfatest.World) error { return w.RevokeBrowsers(t.Context(), w.Client, org, user) },
		"another password": func(t *testing.T, w *mfatest.World) error {
			_, err := w.Report(t.Context(), w.Client, org, user, mfa.PasswordChanged)
			return err
		},
		"another email": func(t *testing.T, w *mfatest.World) error {
			_, err := w.PutUser(t.Context(), w.Client, org, mfa.Person{ID: user, Email: mfa.Some("ana@other.example")})
			return err
		},
	} {
		w, a, _ := withApp(t, nil)
		call := w.StepUp(t, org, user, a)
		if err := revoke(t, w); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, w, a.Factor, name, call, mfa.StepUpNeeded)
		if _, err := w.NewRecoveryCodes(t.Context(), w.StepUp(t, org, user, a), org, user); err != nil {
			t.Errorf("%s, and stepped up again: %v", name, err)
		}
	}
}

// A user who answers a step-up by enrolling has only proven a password.
func TestB6WhatAnEnrolmentGaveIsNoProof(t *testing.T) {
	w := mfatest.New(t)
	w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.EnrolmentProof = "none" })
	q := ana()
	q.Purpose = mfa.StepUp
	answer, err := w.StartChallenge(t.Context(), w.Client, q)
	if err != nil || answer.Decision.Decision != mfa.Enrol || answer.Reason != mfa.StepUpDemanded {
		t.Fatalf("got %+v, %v, want to enrol", answer.Decision, err)
	}
	a, done := w.EnrolTOTP(t, mfa.Call{Bearer: answer.Enrolment.Token.Reveal()}, "", mfa.Person{})
	call := w.Fresh()
	call.Proof = *done.Token
	wantClaims(t, w, *done.Token, map[string]any{"purpose": "step_up", "decision": "enrol", "verified": true})
	wantRefused(t, w, a.Factor, "an enrolment's", call, mfa.StepUpNeeded)
}

// A user without 2FA, or who has turned it off, has nothing to step up with.
func TestWithout2FAAPasswordCheckIsEnough(t *testing.T) {
	w := mfatest.New(t)
	a, _ := w.EnrolTOTP(t, w.Fresh(), org, ana().User)
	if _, err := w.SetEnabled(t.Context(), w.StepUp(t, org, user, a), org, user, false); err != nil {
		t.Fatal(err)
	}
	if _, err := w.NewRecoveryCodes(t.Context(), w.Fresh(), org, user); err != nil {
		t.Errorf("turned off: %v", err)
	}
	wantRefused(t, w, a.Factor, "no password check", w.Client, mfa.ReauthenticationNeeded)
	w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Require = mfa.Everyone })
	_, err := w.NewRecoveryCodes(t.Context(), w.Fresh(), org, user)
	wantCode(t, err, mfa.StepUpNeeded) // 2FA is turned off, but the policy requires it
}
