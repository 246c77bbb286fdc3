package mfa_test

import (
	"slices"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

// reached says which challenge a start led to, and which token it gave in the end.
type reached struct {
	challenge string // empty if there was no challenge
	token     seal.Secret
}

// The token repeats what the client asked for, however the token was reached. So does the outcome of the challenge.
func TestATokenSaysWhatWasAskedForByWhateverWayItWasReached(t *testing.T) {
	required := func(p *mfa.Policy) { p.Require, p.EnrolmentProof = mfa.Everyone, "none" }
	start := func(t *testing.T, w *mfatest.World, q mfa.StartRequest) mfa.StartAnswer {
		t.Helper()
		answer, err := w.StartChallenge(t.Context(), w.Client, q)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	allowed := func(t *testing.T, w *mfatest.World, q mfa.StartRequest) reached {
		t.Helper()
		answer := start(t, w, q)
		if answer.Token == nil {
			t.Fatalf("got %+v, want a token", answer.Decision)
		}
		return reached{"", *answer.Token}
	}
	byApp := func(t *testing.T, w *mfatest.World, a *mfatest.Authenticator, q mfa.StartRequest) reached {
		t.Helper()
		id := start(t, w, q).Challenge.ID
		answer, err := verify(t, w, id, w.NextCode(a), false)
		if err != nil {
			t.Fatal(err)
		}
		return reached{id, answer.Token}
	}
	enrolling := func(t *testing.T, w *mfatest.World, q mfa.StartRequest) reached {
		t.Helper()
		answer := start(t, w, q)
		_, done := w.EnrolTOTP(t, mfa.Call{Bearer: answer.Enrolment.Token.Reveal()}, "", mfa.Person{})
		return reached{answer.ID, *done.Token}
	}
	for name, c := range map[string]struct {
		policy func(*mfa.Policy)
		bare   bool // the user has no factor
		reach  func(*testing.T, *mfatest.World, *mfatest.Authenticator, mfa.FinishAnswer, mfa.StartRequest) reached
		want   map[string]any
	}{
		"not asked": {nil, true, func(t *testing.T, w *mfatest.World, _ *mfatest.Authenticator, _ mfa.FinishAnswer, q mfa.StartRequest) reached {
			return allowed(t, w, q)
		}, map[string]any{"decision": "allow", "reason": "not_required", "verified": false, "acr": "aal1", "amr": []any{"pwd"}, "mfa_time": nil}},
		"SSO": {nil, false, func(t *testing.T, w *mfatest.World, _ *mfatest.Authenticator, _ mfa.FinishAnswer, q mfa.StartRequest) reached {
			q.FirstFactor.Kind = "sso"
			return allowed(t, w, q)
		}, map[string]any{"decision": "allow", "reason": "sso", "verified": false, "acr": "aal1", "amr": []any{}}},
		"a trusted browser": {nil, false, func(t *testing.T, w *mfatest.World, a *mfatest.Authenticator, _ mfa.FinishAnswer, q mfa.StartRequest) reached {
			q.TrustToken = trustedBy(t, w, a)
			return allowed(t, w, q)
		}, map[string]any{"decision": "allow", "reason": "trusted_browser", "verified": false, "acr": "aal1", "amr": []any{"pwd"}}},
		"an app": {nil, false, func(t *testing.T, w *mfatest.World, a *mfatest.Authenticator, _ mfa.FinishAnswer, q mfa.StartRequest) reached {
			return byApp(t, w, a, q)
		}, map[string]any{"decision": "challenge", "reason": "new_browser", "verified": true, "acr": "aal2", "amr": []any{"pwd", "otp", "mfa"}}},
		"an app, at a step-up": {nil, false, func(t *testing.T, w *mfatest.World, a *mfatest.Authenticator, _ mfa.FinishAnswer, q mfa.StartRequest) reached {
			q.Purpose = mfa.StepUp
			return byApp(t, w, a, q)
		}, map[string]any{"decision": "challenge", "reason": "step_up", "purpose": "step_up", "verified": true, "acr": "aal2"}},
		"a recovery code": {nil, false, func(t *testing.T, w *mfatest.World, _ *mfatest.Authenticator, done mfa.FinishAnswer, q mfa.StartRequest) reached {
			id := start(t, w, q).Challenge.ID
			answer, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: id, Code: done.RecoveryCodes[0]})
			if err != nil {
				t.Fatal(err)
			}
			return reached{id, *answer.Token}
		}, map[string]any{"decision": "challenge", "reason": "new_browser", "verified": true, "acr": "aal1", "amr": []any{"pwd", "otp"}}},
		"an enrolment at sign-in": {required, true, func(t *testing.T, w *mfatest.World, _ *mfatest.Authenticator, _ mfa.FinishAnswer, q mfa.StartRequest) reached {
			return enrolling(t, w, q)
		}, map[string]any{"decision": "enrol", "reason": "required", "verified": true, "acr": "aal2"}},
		"an enrolment at a step-up": {func(p *mfa.Policy) { p.EnrolmentProof = "none" }, true, func(t *testing.T, w *mfatest.World, _ *mfatest.Authenticator, _ mfa.FinishAnswer, q mfa.StartRequest) reached {
			q.Purpose = mfa.StepUp
			return enrolling(t, w, q)
		}, map[string]any{"decision": "enrol", "reason": "step_up", "purpose": "step_up", "verified": true, "acr": "aal2"}},
		"an enrolment after a reset": {func(p *mfa.Policy) { p.Require, p.Recovery.Effect = mfa.Everyone, mfa.EffectReset }, false, func(t *testing.T, w *mfatest.World, _ *mfatest.Authenticator, done mfa.FinishAnswer, q mfa.StartRequest) reached {
			id := start(t, w, q).Challenge.ID
			answer, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: id, Code: done.RecoveryCodes[0]})
			if err != nil {
				t.Fatal(err)
			}
			_, finished := w.EnrolTOTP(t, mfa.Call{Bearer: answer.Enrolment.Token.Reveal()}, "", mfa.Person{})
			return reached{id, *finished.Token}
		}, map[string]any{"decision": "enrol", "reason": "new_browser", "verified": true, "acr": "aal1"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := mfatest.New(t)
			policy := w.SetPolicy(t, org, "default", c.policy)
			var a *mfatest.Authenticator
			var done mfa.FinishAnswer
			if !c.bare {
				a, done = w.EnrolTOTP(t, w.Fresh(), org, ana().User)
				w.Clock.Advance(mfatest.Step)
			}
			q := ana()
			nonce, action, at := "n-7", "pay 12 EUR", w.Clock.Now().Add(-time.Minute)
			q.Nonce, q.Action, q.FirstFactor.At = &nonce, &mfa.Action{Name: action}, &at
			got := c.reach(t, w, a, done, q)
			want := map[string]any{
				"iss": "https://countersign.example", "aud": "app", "sub": user, "org": org, "nonce": nonce, "action": action, "purpose": "sign_in",
				"auth_time": float64(at.Unix()), "policy_version": float64(policy.Version),
			}
			for claim, value := range c.want {
				want[claim] = value
			}
			wantClaims(t, w, got.token, want)
			said := claims(t, w, got.token)
			if got.challenge == "" {
				if id, _ := said["jti"].(string); len(id) < 3 || id[:3] != "dc_" {
					t.Errorf("got jti %v, want a dc_ of its own", said["jti"])
				}
				return
			}
			w.Clock.Advance(time.Minute)
			state, err := w.LookAtChallenge(t.Context(), w.Client, got.challenge)
			if err != nil || state.Outcome == nil {
				t.Fatalf("got %+v, %v, want the outcome", state, err)
			}
			want = said
			want["iat"], want["exp"] = said["iat"].(float64)+60, said["exp"].(float64)+60
			wantClaims(t, w, tokenOf(t, state.Outcome), want)
		})
	}
}

func tokenOf(t *testing.T, outcome any) seal.Secret {
	t.Helper()
	switch o := outcome.(type) {
	case mfa.VerifyAnswer:
		return o.Token
	case mfa.RecoverAnswer:
		return *o.Token
	case mfa.FinishAnswer:
		return *o.Token
	}
	t.Fatalf("got an outcome of type %T", outcome)
	return seal.Secret{}
}

func TestAnAllowByATrustedBrowserNamesTheProofThatItRestsOn(t *testing.T) {
	w, a := protected(t, nil)
	token := trustedByApp(t, w, a)
	here := w.Clock.Now().Unix()
	w.Clock.Advance(day)
	trustedByApp(t, w, a)
	elsewhere := w.Clock.Now().Unix()
	w.Clock.Advance(day)
	sso := ana()
	sso.FirstFactor.Kind = "sso"
	for name, c := range map[string]struct {
		q    mfa.StartRequest
		want int64
	}{"the browser's own": {with(token), here}, "by SSO, the user's last": {sso, elsewhere}} {
		answer, err := w.StartChallenge(t.Context(), w.Client, c.q)
		if err != nil || answer.Token == nil {
			t.Fatalf("%s: got %+v, %v", name, answer.Decision, err)
		}
		wantClaims(t, w, *answer.Token, map[string]any{"mfa_time": float64(c.want)})
	}
}

// An offer names the kinds that the user can enrol. Without such a kind there is no offer, neither to a user who isn't asked
// for a factor nor to one who has just enrolled one.
func TestAnOfferNamesWhatCanBeEnrolled(t *testing.T) {
	for _, c := range []struct {
		totp, email, backup string
		address             bool
		start, finish       []mfa.Kind
	}{
		{mfa.Allowed, mfa.Enrolled, mfa.Allowed, true, []mfa.Kind{mfa.TOTP, mfa.Email}, []mfa.Kind{mfa.Email}},
		{mfa.Allowed, mfa.Enrolled, mfa.Pinned, true, []mfa.Kind{mfa.TOTP, mfa.Email}, []mfa.Kind{mfa.Email}},
		{mfa.Allowed, mfa.Enrolled, mfa.Allowed, false, []mfa.Kind{mfa.TOTP}, nil},
		{mfa.Allowed, mfa.Enrolled, mfa.NotAllowed, true, []mfa.Kind{mfa.TOTP, mfa.Email}, nil},
		{mfa.Allowed, mfa.NotAllowed, mfa.Allowed, true, []mfa.Kind{mfa.TOTP}, nil},
		{mfa.Allowed, mfa.Implicit, mfa.Allowed, false, []mfa.Kind{mfa.TOTP}, nil},
		{mfa.NotAllowed, mfa.Enrolled, mfa.Allowed, true, []mfa.Kind{mfa.Email}, nil},
		{mfa.NotAllowed, mfa.Enrolled, mfa.Allowed, false, nil, nil},
		{mfa.NotAllowed, mfa.NotAllowed, mfa.Allowed, true, nil, nil},
	} {
		w := mfatest.New(t)
		w.SetPolicy(t, org, "default", func(p *mfa.Policy) {
			p.Methods.WebAuthn, p.Methods.TOTP, p.Methods.Email, p.EmailBackup = mfa.NotAllowed, c.totp, c.email, c.backup
		})
		q := mfa.StartRequest{Org: org, User: mfa.Person{ID: user}}
		if c.address {
			q.User.Email = mfa.Some(mail)
		}
		answer, err := w.StartChallenge(t.Context(), w.Client, q)
		if err != nil || answer.Reason != mfa.NotRequired {
			t.Fatalf("%+v: got %+v, %v", c, answer.Decision, err)
		}
		wantOffer(t, answer.Offer, c.start)
		var done mfa.FinishAnswer
		switch {
		case c.totp == mfa.Allowed:
			_, done = w.EnrolTOTP(t, w.Fresh(), org, q.User)
		case c.start != nil:
			done = w.EnrolEmail(t, w.Fresh(), org, q.User, mail)
		default:
			continue
		}
		wantOffer(t, done.Offer, c.finish)
	}
}

func wantOffer(t *testing.T, got *mfa.EnrolmentOffer, want []mfa.Kind) {
	t.Helper()
	if (got == nil) != (want == nil) || got != nil && !slices.Equal(got.Kinds, want) {
		t.Errorf("got the offer %+v, want %v", got, want)
	}
}
