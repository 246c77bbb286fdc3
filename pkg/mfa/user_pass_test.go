package mfa_test

import (
	"strings"
	"testing"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

var forgot = mfa.PassRequest{Intervention: mfa.Intervention{Actor: "olga", Reason: "left the phone at home, and is known at the desk"}}

func hourOfPasses(p *mfa.Policy) { p.Pass.MaxS = 3600 }

func issue(t *testing.T, w *mfatest.World) seal.Secret {
	t.Helper()
	issued, err := w.IssuePass(t.Context(), w.Client, org, user, forgot)
	if err != nil {
		t.Fatal(err)
	}
	return *issued.Pass
}

// pass answers a new sign-in with a pass.
func pass(t *testing.T, w *mfatest.World, code seal.Secret) (mfa.RecoverAnswer, error) {
	t.Helper()
	w.Clock.Advance(time.Second)
	return w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: started(t, w, ana()).ID, Code: code})
}

func TestAPassSignsInOnceAndResetsNothing(t *testing.T) {
	w, _ := protected(t, hourOfPasses)
	before := shown(t, w)
	code := issue(t, w)
	answer, err := pass(t, w, seal.NewSecret(strings.ToLower(strings.ReplaceAll(code.Reveal(), "-", " "))))
	if err != nil || answer.Effect != "pass" || answer.Token == nil || answer.Enrolment != nil {
		t.Fatalf("got %+v, %v, want the user signed in by the pass", answer, err)
	}
	claims := claims(t, w, *answer.Token)
	if got := claims["amr"]; text(t, got) != `["pwd","otp"]` || claims["acr"] != "aal1" || claims["verified"] != true || claims["recovered"] != nil {
		t.Errorf("got %v, want aal1, without mfa", claims)
	}
	if _, err := pass(t, w, code); codeOf(err) != mfa.WrongCode {
		t.Errorf("the second time: got %v, want wrong_code", err)
	}
	after := shown(t, w)
	if after.Recovery.CodesLeft != before.Recovery.CodesLeft || len(after.Factors) != len(before.Factors) || !after.Enabled {
		t.Errorf("got %+v, want nothing changed since %+v", after, before)
	}
	w.Drain(t)
	if last := lastMail(t, w, mail); !strings.Contains(last.Subject, "A one-time pass was used") {
		t.Errorf("got %q, want the user told", last.Subject)
	}
	if used := events(t, w, mfa.PassUsed); len(used) != 1 {
		t.Errorf("got %d events of its use, want 1", len(used))
	}
}

func TestAPassIsNoProof(t *testing.T) {
	w, a := protected(t, hourOfPasses)
	w.StepUp(t, org, user, a) // the guard knows a second factor of this moment
	code := issue(t, w)
	q := ana()
	q.Purpose = mfa.StepUp
	answer, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: started(t, w, q).ID, Code: code})
	if err != nil {
		t.Fatal(err)
	}
	call := w.Fresh()
	call.Proof = *answer.Token
	_, err = w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Org: org, User: &mfa.Person{ID: user}, Kind: mfa.TOTP})
	wantCode(t, err, mfa.StepUpNeeded)
	_, err = w.SetEnabled(t.Context(), call, org, user, false)
	wantCode(t, err, mfa.StepUpNeeded)
}

func TestEveryCauseEndsAPass(t *testing.T) {
	change := func(maxS ...int) func(*testing.T, *mfatest.World, seal.Secret) {
		return func(t *testing.T, w *mfatest.World, _ seal.Secret) {
			for _, s := range maxS {
				w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Pass.MaxS = s })
			}
		}
	}
	for name, end := range map[string]func(*testing.T, *mfatest.World, seal.Secret){
		"its time":             func(_ *testing.T, w *mfatest.World, _ seal.Secret) { w.Clock.Advance(time.Hour) },
		"a newer one":          func(t *testing.T, w *mfatest.World, _ seal.Secret) { issue(t, w) },
		"a policy without any": change(0, 3600),
		"a policy with less":   change(60, 3600),
		"a reset":              func(t *testing.T, w *mfatest.World, _ seal.Secret) { reset(t, w); enrolApp(t, w, w.Fresh()) },
		"a restore":            func(t *testing.T, w *mfatest.World, _ seal.Secret) { w.Keys.SetEpoch(w.Clock.Now().Unix()) },
		"an address that moves": func(t *testing.T, w *mfatest.World, _ seal.Secret) {
			put(t, w, mfa.Person{ID: user, Email: mfa.Some("b@acme.example")})
		},
		"that it was taken back": func(t *testing.T, w *mfatest.World, _ seal.Secret) {
			if err := w.RevokePass(t.Context(), w.Client, org, user); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := protected(t, hourOfPasses)
			code := issue(t, w)
			end(t, w, code)
			if name == "a restore" {
				w.Client = w.NewClient(t, apikey.Grant{Client: "app", Scopes: apikey.Scopes()})
			}
			q := ana()
			q.User.Email = mfa.Optional[string]{}
			_, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: started(t, w, q).ID, Code: code})
			if got := codeOf(err); got != mfa.WrongCode && got != mfa.MethodForbidden {
				t.Errorf("got %v, want the pass refused", err)
			}
		})
	}
}

func TestAPassCountsAsARecoveryCodeWhereItIsGuessed(t *testing.T) {
	w, _ := protected(t, func(p *mfa.Policy) { p.Pass.MaxS, p.Recovery.Count = 3600, 0 })
	ch := started(t, w, ana())
	_, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: ch.ID, Code: mfatest.NoRecoveryCode()})
	wantCode(t, err, mfa.MethodForbidden) // there is nothing to guess at
	code := issue(t, w)
	w.Clock.Advance(time.Second)
	ch = started(t, w, ana())
	if !ch.Recovery {
		t.Error("the challenge doesn't say that such a code is possible")
	}
	for range 5 {
		_, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: ch.ID, Code: mfatest.NoRecoveryCode()})
		wantCode(t, err, mfa.WrongCode)
	}
	_, err = w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: ch.ID, Code: code})
	wantCode(t, err, mfa.Locked)
}

func TestB8APassIsGoodForItsUserOnly(t *testing.T) {
	w, _ := protected(t, hourOfPasses)
	code := issue(t, w)
	ben := mfa.Person{ID: "ben", Email: mfa.Some("ben@acme.example")}
	w.EnrolTOTP(t, w.Fresh(), org, ben)
	q := mfa.StartRequest{Org: org, User: ben}
	_, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: started(t, w, q).ID, Code: code})
	wantCode(t, err, mfa.WrongCode)
	if _, err := pass(t, w, code); err != nil {
		t.Errorf("its own user: %v", err)
	}
}

func TestIssuingAPassSaysWhoAndWhyAndTellsTheUser(t *testing.T) {
	w, _ := protected(t, hourOfPasses)
	code := issue(t, w)
	w.Drain(t)
	issued := events(t, w, mfa.PassIssued)
	want := activity.Actor{Kind: "administrator", ID: "olga"}
	if len(issued) != 1 || issued[0].Actor != want || issued[0].Data["reason"] != forgot.Reason || strings.Contains(text(t, issued), code.Reveal()) {
		t.Errorf("got %+v, want one by %+v, without the pass", issued, want)
	}
	last := lastMail(t, w, mail)
	if !strings.Contains(last.Subject, "A one-time pass for") || strings.Contains(last.Text, code.Reveal()) {
		t.Errorf("got %q, want the user told, without the pass", last.Text)
	}
	if err := w.RevokePass(t.Context(), w.Client, org, user); err != nil {
		t.Fatal(err)
	}
	if err := w.RevokePass(t.Context(), w.Client, org, user); err != nil {
		t.Fatal(err)
	}
	if n := len(events(t, w, mfa.PassRevoked)); n != 1 {
		t.Errorf("got %d events that it was taken back, want 1", n)
	}
}

func TestAPassNeedsThePolicyTheScopeAdminAReasonAndATimeThatThePolicyAllows(t *testing.T) {
	w, _ := protected(t, hourOfPasses)
	ask := func(call mfa.Call, user string, by mfa.Intervention, seconds *int) (mfa.Pass, error) {
		return w.IssuePass(t.Context(), call, org, user, mfa.PassRequest{Intervention: by, ExpiresS: seconds})
	}
	wantIntervention(t, w, forgot.Intervention, func(call mfa.Call, user string, by mfa.Intervention) error {
		_, err := ask(call, user, by, nil)
		return err
	})
	_, err := ask(w.Client, user, mfa.Intervention{Actor: user, Reason: "forgot"}, nil)
	wantCode(t, err, mfa.Forbidden)
	for _, seconds := range []int{0, 3601} {
		_, err := ask(w.Client, user, forgot.Intervention, &seconds)
		wantCode(t, err, mfa.InvalidRequest)
	}
	minute := 60
	issued, err := ask(w.Client, user, forgot.Intervention, &minute)
	if err != nil || !issued.Expires.Equal(w.Clock.Now().Add(time.Minute)) {
		t.Errorf("got %+v, %v, want a pass for a minute", issued, err)
	}
	w.SetPolicy(t, org, "default", nil)
	_, err = w.IssuePass(t.Context(), w.Client, org, user, forgot)
	wantCode(t, err, mfa.MethodForbidden)
}
