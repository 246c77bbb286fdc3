package mfa_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/message"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

// The page .github/docs/stolen.md says what somebody can do with something that was stolen. Each row names its tests, most of
// which are here.

// wantNoChange fails the test unless every change of ana's account is refused for want of a proof.
func wantNoChange(t *testing.T, w *mfatest.World, call mfa.Call, factor string) {
	t.Helper()
	if call.Reauthenticated == "" {
		call.Reauthenticated = w.Fresh().Reauthenticated
	}
	who := ana().User
	_, begin := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Org: org, User: &who, Kind: mfa.TOTP})
	_, codes := w.NewRecoveryCodes(t.Context(), call, org, user)
	_, off := w.SetEnabled(t.Context(), call, org, user, false)
	for what, err := range map[string]error{"begin an enrolment": begin, "new recovery codes": codes, "2FA off": off, "remove the factor": w.RemoveFactor(t.Context(), call, org, user, factor)} {
		if got := mfa.AsError(err).Code; got != mfa.StepUpNeeded {
			t.Errorf("%s: got %s, want %s", what, got, mfa.StepUpNeeded)
		}
	}
}

func TestAThiefOfThePasswordGuessesInVainAndLeavesTheOwnersBrowserAlone(t *testing.T) {
	w, a := protected(t, func(p *mfa.Policy) { p.Trust.Days = 0 })
	w.Clock.Advance(mfatest.Step)
	answered, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: started(t, w, ana()).ID, Answer: mfa.Answer{Code: w.Code(a)}})
	if err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(time.Hour)
	guesses := 0
	for range 4 {
		answer, err := w.StartChallenge(t.Context(), w.Client, ana())
		if err != nil || answer.Challenge == nil {
			t.Fatalf("got %+v, %v, want a challenge", answer, err)
		}
		for {
			_, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: answer.Challenge.ID, Answer: mfa.Answer{Code: mfatest.Wrong(w.Code(a))}})
			if mfa.AsError(err).Code != mfa.WrongCode {
				break
			}
			guesses++
		}
	}
	if guesses != 10 {
		t.Errorf("got %d guesses, want 10", guesses)
	}
	wantNoChange(t, w, w.Fresh(), a.Factor)
	owner := ana()
	owner.KnownToken = *answered.KnownToken
	ch := started(t, w, owner)
	if _, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Answer: mfa.Answer{Code: w.Code(a)}}); err != nil {
		t.Errorf("the owner, in a known browser: %v", err)
	}
	w.Drain(t)
	about := func(m message.Message) bool { return strings.Contains(m.Subject, "wrong codes") }
	if !slices.ContainsFunc(w.Outbox.To(mail), about) {
		t.Error("the owner was not told of the lock")
	}
}

func TestAThiefOfATrustedBrowserIsLetInAndChangesNothing(t *testing.T) {
	w, a := protected(t, nil)
	stolen := trustedByApp(t, w, a)
	q := ana()
	q.TrustToken = stolen
	let, err := w.StartChallenge(t.Context(), w.Client, q)
	if err != nil || let.Decision.Decision != mfa.Allow {
		t.Fatalf("got %+v, %v, want the password and the browser to be enough", let, err)
	}
	if c := claims(t, w, *let.Token); c["verified"] != false || c["acr"] != "aal1" {
		t.Errorf("got %v, want a token that says that nothing was verified", c)
	}
	proof := w.Fresh()
	proof.Proof = *let.Token
	wantNoChange(t, w, proof, a.Factor)
	up := q
	up.Purpose = mfa.StepUp
	started(t, w, up)

	// The owner's browser still has the token that was stolen. When it comes after its successor was used, trust ends for both.
	for _, token := range []seal.Secret{*let.TrustToken, stolen} {
		q.TrustToken = token
		if _, err := w.StartChallenge(t.Context(), w.Client, q); err != nil {
			t.Fatal(err)
		}
	}
	q.TrustToken = *let.TrustToken
	started(t, w, q)
	w.Drain(t)
	if len(events(t, w, mfa.BrowserTheft)) != 1 {
		t.Error("nobody was told of the theft")
	}
}

func TestAThiefOfAKeyCanDoWhatItsScopeSaysAndNoMore(t *testing.T) {
	w, a := protected(t, func(p *mfa.Policy) { p.Pass.MaxS = 3600 })
	who, version := mfa.Person{ID: user}, 1
	by := mfa.Intervention{Actor: "olga", Reason: "called"}
	policy, err := mfa.ProfilePolicy("default")
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]struct {
		scopes []apikey.Scope // each of them is enough
		make   func(mfa.Call) error
	}{
		"start a sign-in": {[]apikey.Scope{apikey.SignIn}, func(c mfa.Call) error { _, err := w.StartChallenge(t.Context(), c, ana()); return err }},
		"decide":          {[]apikey.Scope{apikey.SignIn}, func(c mfa.Call) error { _, err := w.Decide(t.Context(), c, ana()); return err }},
		"read an account": {[]apikey.Scope{apikey.Manage}, func(c mfa.Call) error { _, err := w.GetUser(t.Context(), c, org, user); return err }},
		"change a profile": {[]apikey.Scope{apikey.Manage}, func(c mfa.Call) error {
			_, err := w.PutUser(t.Context(), c, org, who)
			return err
		}},
		"report": {[]apikey.Scope{apikey.Manage}, func(c mfa.Call) error {
			_, err := w.Report(t.Context(), c, org, user, "signed_out")
			return err
		}},
		"revoke browsers":  {[]apikey.Scope{apikey.Manage}, func(c mfa.Call) error { return w.RevokeBrowsers(t.Context(), c, org, user) }},
		"read a policy":    {[]apikey.Scope{apikey.Admin}, func(c mfa.Call) error { _, err := w.GetPolicy(t.Context(), c, org); return err }},
		"preview a policy": {[]apikey.Scope{apikey.Admin}, func(c mfa.Call) error { _, err := w.PreviewPolicy(t.Context(), c, org, policy); return err }},
		"list users":       {[]apikey.Scope{apikey.Admin}, func(c mfa.Call) error { _, err := w.ListUsers(t.Context(), c, mfa.UserQuery{Org: org}); return err }},
		"read the activity": {[]apikey.Scope{apikey.Admin}, func(c mfa.Call) error {
			_, err := w.OrgActivity(t.Context(), c, mfa.ActivityQuery{Org: org})
			return err
		}},
		"unlock": {[]apikey.Scope{apikey.Admin}, func(c mfa.Call) error { _, err := w.Unlock(t.Context(), c, org, user, by); return err }},
		"issue a pass": {[]apikey.Scope{apikey.Admin}, func(c mfa.Call) error {
			_, err := w.IssuePass(t.Context(), c, org, user, mfa.PassRequest{Intervention: by})
			return err
		}},
		"enrol on behalf": {[]apikey.Scope{apikey.Admin}, func(c mfa.Call) error {
			_, err := w.BeginEnrolment(t.Context(), c, mfa.EnrolRequest{Org: org, User: &who, Kind: mfa.TOTP, OnBehalf: &by})
			return err
		}},
		"reset": {[]apikey.Scope{apikey.Admin}, func(c mfa.Call) error { _, err := w.ResetUser(t.Context(), c, org, "u-99", by); return err }},
		"replace a policy": {[]apikey.Scope{apikey.Admin}, func(c mfa.Call) error {
			_, err := w.PutPolicy(t.Context(), c, org, mfa.PolicyChange{Policy: policy, Version: &version, Acknowledge: true})
			return err
		}},
	}
	for _, scope := range apikey.Scopes() {
		key := w.NewClient(t, apikey.Grant{Client: "app", Scopes: []apikey.Scope{scope}})
		elsewhere := w.NewClient(t, apikey.Grant{Client: "app", Scopes: []apikey.Scope{scope}, Org: "globex"})
		for what, call := range calls {
			got := mfa.AsError(call.make(elsewhere)).Code
			if got != mfa.Forbidden {
				t.Errorf("%s, with a key of another org: got %s, want %s", what, got, mfa.Forbidden)
			}
			if slices.Contains(call.scopes, scope) {
				continue
			}
			if got := mfa.AsError(call.make(key)).Code; got != mfa.Forbidden {
				t.Errorf("%s, with the scope %s: got %s, want %s", what, scope, got, mfa.Forbidden)
			}
		}
		if scope == apikey.Manage {
			key.Reauthenticated = w.Fresh().Reauthenticated
			wantNoChange(t, w, key, a.Factor)
		}
	}
}
