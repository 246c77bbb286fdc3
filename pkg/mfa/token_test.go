package mfa_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

// claims verifies a result token and returns its claims.
func claims(t *testing.T, w *mfatest.World, token seal.Secret) map[string]any {
	t.Helper()
	ring, err := w.Keys.Ring(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	body, err := ring.Verify(token.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	var said map[string]any
	if err := json.Unmarshal(body, &said); err != nil {
		t.Fatal(err)
	}
	return said
}

func wantClaims(t *testing.T, w *mfatest.World, token seal.Secret, want map[string]any) {
	t.Helper()
	said := claims(t, w, token)
	for name, value := range want {
		if !reflect.DeepEqual(said[name], value) {
			t.Errorf("claim %s: got %v, want %v", name, said[name], value)
		}
	}
}

func TestATokenOfAVerifySaysWhatWasGiven(t *testing.T) {
	w := kls(t, nil)
	q := ana()
	nonce, action, at := "n-1", "pay", w.Clock.Now().Add(-time.Minute)
	q.Nonce, q.Action, q.FirstFactor.At = &nonce, &mfa.Action{Name: action}, &at
	ch := started(t, w, q)
	w.Clock.Advance(time.Minute)
	answer, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), false)
	if err != nil {
		t.Fatal(err)
	}
	now := float64(w.Clock.Now().Unix())
	wantClaims(t, w, answer.Token, map[string]any{
		"iss": "https://countersign.example", "aud": "app", "sub": user, "org": org, "verified": true,
		"iat": now, "exp": now + 120, "jti": ch.ID, "nonce": nonce, "purpose": "sign_in", "action": action,
		"decision": "challenge", "reason": "new_browser", "amr": []any{"pwd", "otp"}, "acr": "aal1",
		"auth_time": now - 120, "mfa_time": now, "policy_version": 1.0,
	})
}

func TestB2ATokenOfAnAllowSaysThatNothingWasVerified(t *testing.T) {
	w := kls(t, nil)
	sso := ana()
	sso.FirstFactor = mfa.FirstFactor{Kind: "sso", AMR: []string{"mfa", "hwk"}}
	answer, err := w.StartChallenge(t.Context(), w.Client, sso)
	if err != nil || answer.Reason != mfa.SSO {
		t.Fatalf("got %+v, %v, want sso", answer, err)
	}
	said := claims(t, w, *answer.Token)
	if id, _ := said["jti"].(string); len(id) < 20 || id[:3] != "dc_" {
		t.Errorf("got jti %v, want a dc_ of its own", said["jti"])
	}
	wantClaims(t, w, *answer.Token, map[string]any{
		"verified": false, "decision": "allow", "reason": "sso", "acr": "aal1", "mfa_time": nil, "amr": []any{"mfa", "hwk"}, "nonce": nil,
	})

	verifiedAt := w.Clock.Now().Unix()
	q := ana()
	q.TrustToken = trusted(t, w)
	w.Clock.Advance(24 * time.Hour)
	if answer, err = w.StartChallenge(t.Context(), w.Client, q); err != nil || answer.Reason != mfa.BrowserTrust {
		t.Fatalf("got %+v, %v, want trusted_browser", answer, err)
	}
	wantClaims(t, w, *answer.Token, map[string]any{
		"verified": false, "decision": "allow", "reason": "trusted_browser", "acr": "aal1", "amr": []any{"pwd"}, "mfa_time": float64(verifiedAt),
	})

	if answer, err = w.StartChallenge(t.Context(), w.Client, sso); err != nil || answer.Reason != mfa.SSO {
		t.Fatalf("got %+v, %v, want sso", answer, err)
	}
	wantClaims(t, w, *answer.Token, map[string]any{"verified": false, "mfa_time": float64(verifiedAt)})

	w.SetPolicy(t, org, "default", nil)
	if answer, err = w.StartChallenge(t.Context(), w.Client, ana()); err != nil || answer.Reason != mfa.NotRequired {
		t.Fatalf("got %+v, %v, want not_required", answer, err)
	}
	wantClaims(t, w, *answer.Token, map[string]any{"verified": false, "reason": "not_required", "acr": "aal1"})
}

func TestATokenOfAStepUpSaysSo(t *testing.T) {
	w := kls(t, nil)
	q := ana()
	q.Purpose = mfa.StepUp
	q.FirstFactor.Kind = "sso" // SSO never satisfies a step-up
	ch := started(t, w, q)
	answer, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), true)
	if err != nil || answer.TrustToken != nil {
		t.Fatalf("got %+v, %v, want verified without trust", answer, err)
	}
	wantClaims(t, w, answer.Token, map[string]any{"purpose": "step_up", "action": nil, "reason": "step_up", "verified": true})
}
