package mfa_test

import (
	"testing"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

func TestARevokedKeyIsDeadAtOnce(t *testing.T) {
	w := mfatest.New(t)
	call := w.NewClient(t, apikey.Grant{Client: "app", Scopes: apikey.Scopes()})
	if _, err := w.GetPolicy(t.Context(), call, org); err != nil {
		t.Fatal(err)
	}
	if _, err := w.APIKeys.Revoke(t.Context(), apikey.ID(seal.NewSecret(call.Bearer))); err != nil {
		t.Fatal(err)
	}
	_, err := w.GetPolicy(t.Context(), call, org)
	wantCode(t, err, mfa.Unauthenticated)
	if _, err := w.GetPolicy(t.Context(), w.Client, org); err != nil {
		t.Errorf("another key of the same client: got %v, want it to be good still", err)
	}
}

func TestAGrantThatTheRegistryRefusesIsAnInvalidRequest(t *testing.T) {
	w := mfatest.New(t)
	_, err := w.APIKeys.Create(t.Context(), apikey.Grant{Client: "app", Name: "A\nB", Scopes: apikey.Scopes()})
	if e := mfa.AsError(err); e.Code != mfa.InvalidRequest || e.Param != "name" || e.Detail == "" {
		t.Errorf("got %+v, want an invalid name", e)
	}
}
