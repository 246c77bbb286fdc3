package mfa_test

import (
	"testing"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store/fault"
)

// lastUsed returns the last day on which an API key was used.
func lastUsed(t *testing.T, w *mfatest.World, call mfa.Call) string {
	t.Helper()
	day, err := w.APIKeys.LastUsed(t.Context(), apikey.ID(seal.NewSecret(call.Bearer)))
	if err != nil {
		t.Fatal(err)
	}
	return day
}

func TestTheFirstCallOfADayWithAKeyCostsOneCommitMoreAndTheOthersNothing(t *testing.T) {
	w, a := protected(t, func(p *mfa.Policy) { p.Trust.Days = 0 })
	signIn := func() (calls fault.Counts) {
		t.Helper()
		w.Clock.Advance(mfatest.Step)
		w.Faults.Reset()
		ch := started(t, w, ana())
		if _, err := verify(t, w, ch.ID, w.Code(a), false); err != nil {
			t.Fatal(err)
		}
		calls = w.Faults.Counts()
		calls.Rounds = 0 // it depends on how busy the machine is
		return calls
	}
	without := signIn()
	w.Uses = &apikey.Uses{Store: w.Faults, Now: w.Clock.Now}
	first := signIn()
	if want := without.Commit + 1; first.Commit != want || first.Get != without.Get || first.Query != without.Query {
		t.Errorf("the first sign-in of a day: got %+v, want %+v and one commit", first, without)
	}
	for range 3 {
		if got := signIn(); got != without {
			t.Errorf("a later sign-in of the day: got %+v, want %+v, as without the noting of days", got, without)
		}
	}
	w.Clock.Advance(day)
	if got := signIn(); got.Commit != without.Commit+1 {
		t.Errorf("the first sign-in of another day: got %+v", got)
	}
	if got := lastUsed(t, w, w.Client); got != "2026-11-23" {
		t.Errorf("got %q, want the day of the last sign-in", got)
	}
}

func TestAUseIsNotedOfAGoodKeyOnlyAndChangesNoAnswer(t *testing.T) {
	w, _ := protected(t, nil)
	w.Uses = &apikey.Uses{Store: w.Faults, Now: w.Clock.Now}
	revoked := w.NewClient(t, apikey.Grant{Client: "app", Scopes: apikey.Scopes()})
	if _, err := w.APIKeys.Revoke(t.Context(), apikey.ID(seal.NewSecret(revoked.Bearer))); err != nil {
		t.Fatal(err)
	}
	_, err := w.GetUser(t.Context(), revoked, org, user)
	wantCode(t, err, mfa.Unauthenticated)
	if got := lastUsed(t, w, revoked); got != "" {
		t.Errorf("a revoked key: got %q", got)
	}
	scoped := w.NewClient(t, apikey.Grant{Client: "app", Scopes: []apikey.Scope{apikey.Manage}})
	_, err = w.GetPolicy(t.Context(), scoped, org)
	wantCode(t, err, mfa.Forbidden)
	if got := lastUsed(t, w, scoped); got != "" {
		t.Errorf("a key that was refused before it was read: got %q", got)
	}
	w.Faults.Inject(fault.Commit, -1, fault.Fail(nil))
	if _, err := w.GetUser(t.Context(), scoped, org, user); err != nil {
		t.Errorf("where the day can't be noted: %v", err)
	}
	w.Faults.Clear()
	if _, err := w.GetUser(t.Context(), scoped, org, "nobody"); mfa.AsError(err).Code != mfa.NotFound {
		t.Errorf("got %v", err)
	}
	if got, want := lastUsed(t, w, scoped), w.Clock.Now().Format(time.DateOnly); got != want {
		t.Errorf("after a call that found nothing: got %q, want %s", got, want)
	}
}
