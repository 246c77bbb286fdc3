package mfa_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

// TestTB2EveryCauseEndsTrustAndSaysSo has one row for each row of the table in the package comment.
func TestTB2EveryCauseEndsTrustAndSaysSo(t *testing.T) {
	report := func(kind string) func(*testing.T, *mfatest.World, *mfatest.Authenticator) {
		return func(t *testing.T, w *mfatest.World, _ *mfatest.Authenticator) {
			died, err := w.Report(t.Context(), w.Client, org, user, kind)
			if err != nil || died.TrustedBrowsers != 1 {
				t.Fatalf("got %+v, %v, want one browser to die", died, err)
			}
		}
	}
	put := func(said mfa.Person) func(*testing.T, *mfatest.World, *mfatest.Authenticator) {
		return func(t *testing.T, w *mfatest.World, _ *mfatest.Authenticator) {
			said.ID = user
			if _, err := w.PutUser(t.Context(), w.Client, org, said); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, row := range []struct {
		cause  string // the cause in the event; empty for a change of the policy, which has an event of its own
		reason string // the reason of the next decision; empty for new_browser
		end    func(*testing.T, *mfatest.World, *mfatest.Authenticator)
	}{
		{cause: "factor_removed", end: func(t *testing.T, w *mfatest.World, a *mfatest.Authenticator) {
			call := stepUp(t, w, a)
			second, _ := enrolApp(t, w, call)
			if err := w.RemoveFactor(t.Context(), call, org, user, second.Factor); err != nil {
				t.Fatal(err)
			}
		}},
		{cause: "disabled", end: func(t *testing.T, w *mfatest.World, a *mfatest.Authenticator) {
			call := stepUp(t, w, a)
			if _, err := w.SetEnabled(t.Context(), call, org, user, false); err != nil {
				t.Fatal(err)
			}
			if _, err := w.SetEnabled(t.Context(), w.Fresh(), org, user, true); err != nil {
				t.Fatal(err)
			}
		}},
		{cause: "email_changed", end: put(mfa.Person{Email: mfa.Some("other@acme.example")})},
		{cause: "phone_changed", end: func(t *testing.T, w *mfatest.World, a *mfatest.Authenticator) {
			put(mfa.Person{Phone: mfa.Some("+33612345679")})(t, w, a)
		}},
		{cause: mfa.PasswordChanged, end: report(mfa.PasswordChanged)},
		{cause: mfa.EmailChanged, end: report(mfa.EmailChanged)},
		{cause: mfa.PhoneChanged, end: report(mfa.PhoneChanged)},
		{cause: mfa.SignedOut, end: report(mfa.SignedOut)},
		{cause: mfa.Deprovisioned, end: func(t *testing.T, w *mfatest.World, a *mfatest.Authenticator) {
			report(mfa.Deprovisioned)(t, w, a)
			put(mfa.Person{})(t, w, a)
		}},
		{cause: "revoked", end: func(t *testing.T, w *mfatest.World, _ *mfatest.Authenticator) {
			if err := w.RevokeBrowsers(t.Context(), w.Client, org, user); err != nil {
				t.Fatal(err)
			}
		}},
		{cause: "revoked", end: func(t *testing.T, w *mfatest.World, _ *mfatest.Authenticator) {
			if err := w.RevokeBrowser(t.Context(), w.Client, org, user, browsers(t, w)[0].ID); err != nil {
				t.Fatal(err)
			}
		}},
		{cause: "recovery", reason: mfa.NotRequired, end: func(t *testing.T, w *mfatest.World, a *mfatest.Authenticator) { recoverBy(t, w, a, mfa.EffectReset) }},
		{cause: "reenrolled", end: func(t *testing.T, w *mfatest.World, a *mfatest.Authenticator) {
			answer := recoverBy(t, w, a, mfa.EffectReenrol)
			call := mfa.Call{Bearer: answer.Enrolment.Token.Reveal()}
			begun, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.TOTP})
			if err != nil {
				t.Fatal(err)
			}
			next := typed(t, begun)
			if _, err := w.FinishEnrolment(t.Context(), call, mfa.FinishRequest{Enrolment: begun.ID, Answer: mfa.Answer{Code: w.Code(next)}}); err != nil {
				t.Fatal(err)
			}
		}},
		{reason: mfa.NewBrowser, end: func(t *testing.T, w *mfatest.World, _ *mfatest.Authenticator) {
			w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Trust.Days = 0 })
			w.SetPolicy(t, org, "default", nil)
		}},
		{reason: mfa.NewBrowser, end: func(t *testing.T, w *mfatest.World, _ *mfatest.Authenticator) {
			w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Methods.TOTP = mfa.NotAllowed })
			w.SetPolicy(t, org, "default", nil)
		}},
		{reason: mfa.TrustExpired, end: func(t *testing.T, w *mfatest.World, _ *mfatest.Authenticator) {
			w.Clock.Advance(2 * day)
			w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Trust.Days = 1 })
		}},
		{reason: mfa.TrustExpired, end: func(_ *testing.T, w *mfatest.World, _ *mfatest.Authenticator) { w.Clock.Advance(30 * day) }},
		{cause: "cap", end: func(t *testing.T, w *mfatest.World, a *mfatest.Authenticator) {
			w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Trust.Cap = 1 })
			trustedByApp(t, w, a)
		}},
	} {
		name := row.cause
		if name == "" {
			name = "policy or end, " + row.reason
		}
		t.Run(name, func(t *testing.T) {
			w, a := protected(t, nil)
			q := ana()
			q.User.Phone = mfa.Some("+33612345678")
			if _, err := w.StartChallenge(t.Context(), w.Client, q); err != nil {
				t.Fatal(err)
			}
			token := trustedByApp(t, w, a)
			before, err := w.Decide(t.Context(), w.Client, mfa.StartRequest{Org: org, User: mfa.Person{ID: user}, TrustToken: token})
			if err != nil || before.Reason != mfa.BrowserTrust {
				t.Fatalf("before: got %+v, %v", before, err)
			}
			row.end(t, w, a)
			after, err := w.Decide(t.Context(), w.Client, mfa.StartRequest{Org: org, User: mfa.Person{ID: user}, TrustToken: token})
			want := row.reason
			if want == "" {
				want = mfa.NewBrowser
			}
			if err != nil || after.Reason != want {
				t.Errorf("after: got %+v, %v, want %s", after, err, want)
			}
			if row.cause == "" {
				return
			}
			w.Drain(t)
			if !slices.ContainsFunc(events(t, w, mfa.BrowserRevoked), func(e activity.Event) bool { return e.Data["cause"] == row.cause }) {
				t.Errorf("no %s says that %s was the cause", mfa.BrowserRevoked, row.cause)
			}
		})
	}
}

// recoverBy answers a sign-in with one of ana's recovery codes, under a policy that gives recovery codes this effect.
func recoverBy(t *testing.T, w *mfatest.World, a *mfatest.Authenticator, effect string) mfa.RecoverAnswer {
	t.Helper()
	codes, err := w.NewRecoveryCodes(t.Context(), stepUp(t, w, a), org, user)
	if err != nil {
		t.Fatal(err)
	}
	w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Recovery.Effect = effect })
	answer, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: started(t, w, ana()).ID, Code: codes.RecoveryCodes[0]})
	if err != nil || answer.Effect != effect {
		t.Fatalf("got %+v, %v", answer, err)
	}
	return answer
}

func TestWhatIsAddedOrRenamedEndsNoTrust(t *testing.T) {
	w, a := protected(t, nil)
	token := trustedByApp(t, w, a)
	if renamed, err := w.RenameFactor(t.Context(), w.Client, org, user, a.Factor, "my phone"); err != nil || renamed.Label != "my phone" {
		t.Fatalf("got %+v, %v", renamed, err)
	}
	enrolMail(t, w, stepUp(t, w, a))
	wantReason(t, w, token, mfa.BrowserTrust)
	if got := shown(t, w).Factors; len(got) != 2 || got[0].Label != "my phone" || got[1].Kind != mfa.Email || got[1].Hint != "a***@acme.example" {
		t.Errorf("factors: got %+v", got)
	}
}

func TestTB4ABrowserThatWasRevokedIsNotSparedTheQuestion(t *testing.T) {
	w, a := protected(t, nil)
	first, second := trustedByApp(t, w, a), trustedByApp(t, w, a)
	listed, err := w.ListBrowsers(t.Context(), w.Client, org, user, mfa.ListQuery{})
	if err != nil || len(listed.Items) != 2 || listed.Items[0].Name != "Firefox" {
		t.Fatalf("got %+v, %v, want two browsers", listed, err)
	}
	slices.SortFunc(listed.Items, func(a, b mfa.TrustedBrowser) int { return a.Created.Compare(b.Created) })
	for _, id := range []string{"tb_", "", "fa_AAAAAAAAAAAAAAAAAAAAAA", listed.Items[0].ID + "A"} {
		wantCode(t, w.RevokeBrowser(t.Context(), w.Client, org, user, id), mfa.NotFound)
	}
	if _, err := w.PutUser(t.Context(), w.Client, org, mfa.Person{ID: "bob"}); err != nil {
		t.Fatal(err)
	}
	wantCode(t, w.RevokeBrowser(t.Context(), w.Client, org, "bob", listed.Items[0].ID), mfa.NotFound)
	if err := w.RevokeBrowser(t.Context(), w.Client, org, user, listed.Items[0].ID); err != nil {
		t.Fatal(err)
	}
	wantReason(t, w, first, mfa.NewBrowser)
	wantReason(t, w, second, mfa.BrowserTrust)
	wantCode(t, w.RevokeBrowser(t.Context(), w.Client, org, user, listed.Items[0].ID), mfa.NotFound)
	open := started(t, w, ana())
	if err := w.RevokeBrowsers(t.Context(), w.Client, org, user); err != nil {
		t.Fatal(err)
	}
	wantReason(t, w, second, mfa.NewBrowser)
	w.Clock.Advance(time.Minute)
	_, err = w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: open.ID, Answer: mfa.Answer{Code: w.Code(a)}})
	wantCode(t, err, mfa.ChallengeInvalid)
}

func TestS8TurnedOffTheFactorsStayAndTurnedOnTheyAreAskedForAgain(t *testing.T) {
	w, a := protected(t, nil)
	_, err := w.SetEnabled(t.Context(), w.Client, org, user, false)
	wantCode(t, err, mfa.ReauthenticationNeeded)
	_, err = w.SetEnabled(t.Context(), w.Fresh(), org, user, false)
	wantCode(t, err, mfa.StepUpNeeded)
	off, err := w.SetEnabled(t.Context(), stepUp(t, w, a), org, user, false)
	if err != nil || off.Enabled || len(off.Factors) != 1 || off.Status != mfa.Unprotected {
		t.Fatalf("got %+v, %v", off, err)
	}
	wantReason(t, w, seal.Secret{}, mfa.NotRequired)
	on, err := w.SetEnabled(t.Context(), w.Fresh(), org, user, true)
	if err != nil || !on.Enabled || on.Status != mfa.Protected {
		t.Fatalf("got %+v, %v", on, err)
	}
	wantReason(t, w, seal.Secret{}, mfa.NewBrowser)
	w.Drain(t)
	want := []string{mfa.UserEnabled, mfa.UserDisabled, mfa.UserEnabled}
	got := slices.DeleteFunc(w.Events.Types(user), func(kind string) bool { return !slices.Contains(want, kind) })
	if !slices.Equal(got, want) {
		t.Errorf("events: got %v, want %v", got, want)
	}
}

func TestT4WhileItIsRequiredItCantBeTurnedOffNorTheLastFactorRemoved(t *testing.T) {
	w, a := protected(t, func(p *mfa.Policy) { p.Require = mfa.Everyone })
	call := stepUp(t, w, a)
	_, err := w.SetEnabled(t.Context(), call, org, user, false)
	wantCode(t, err, mfa.RequiredByPolicy)
	wantCode(t, w.RemoveFactor(t.Context(), call, org, user, a.Factor), mfa.LastFactor)
	second := enrolMail(t, w, call)
	if err := w.RemoveFactor(t.Context(), call, org, user, second.Factor.ID); err != nil {
		t.Error(err)
	}
	wantCode(t, w.RemoveFactor(t.Context(), call, org, user, a.Factor), mfa.LastFactor)
	if got := shown(t, w).Factors; len(got) != 1 || got[0].ID != a.Factor {
		t.Errorf("factors: got %+v, want the app alone", got)
	}
}

func TestS4EmailThatThePolicyPinsCantBeRemovedOnItsOwn(t *testing.T) {
	w, a := protected(t, func(p *mfa.Policy) { p.EmailBackup = mfa.Pinned })
	call := stepUp(t, w, a)
	second := enrolMail(t, w, call)
	wantCode(t, w.RemoveFactor(t.Context(), call, org, user, second.Factor.ID), mfa.EmailPinned)
	if _, err := w.SetEnabled(t.Context(), call, org, user, false); err != nil {
		t.Errorf("turning it off: %v", err)
	}
	if err := w.RemoveFactor(t.Context(), w.Fresh(), org, user, a.Factor); err != nil {
		t.Errorf("removing the other: %v", err)
	}
}

func TestEmailThatIsNoBackupIsForThoseWhoHaveNothingElse(t *testing.T) {
	w := mfatest.New(t)
	w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.EmailBackup = mfa.NotAllowed })
	byMail := enrolMail(t, w, w.Fresh())
	if ch := started(t, w, ana()); len(ch.Methods) != 1 || ch.Methods[0].Factor != byMail.Factor.ID {
		t.Fatalf("alone: got %+v", ch.Methods)
	}
	q := ana()
	q.Purpose = mfa.StepUp
	w.Clock.Advance(time.Minute)
	up, err := w.StartChallenge(t.Context(), w.Client, q)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := verify(t, w, up.Challenge.ID, w.Outbox.Code(t, mail), false)
	if err != nil {
		t.Fatal(err)
	}
	call := w.Fresh()
	call.Proof = proof.Token
	a, _ := enrolApp(t, w, call)
	if ch := started(t, w, ana()); len(ch.Methods) != 1 || ch.Methods[0].Factor != a.Factor {
		t.Errorf("beside an app: got %+v, want the app alone", ch.Methods)
	}
	w.Clock.Advance(time.Minute)
	_, err = w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: started(t, w, ana()).ID, Factor: byMail.Factor.ID, Answer: mfa.Answer{Code: w.Code(a)}})
	wantCode(t, err, mfa.MethodForbidden)
	_, err = w.BeginEnrolment(t.Context(), stepUp(t, w, a), mfa.EnrolRequest{Org: org, User: &q.User, Kind: mfa.Email})
	wantCode(t, err, mfa.MethodForbidden)
}

func TestWhoRemovesTheLastFactorHasNoneAndNoRecoveryCodes(t *testing.T) {
	w, a := protected(t, nil)
	if got := shown(t, w); got.Recovery.CodesLeft != 10 || !got.Enabled {
		t.Fatalf("before: got %+v", got)
	}
	if err := w.RemoveFactor(t.Context(), stepUp(t, w, a), org, user, a.Factor); err != nil {
		t.Fatal(err)
	}
	if got := shown(t, w); len(got.Factors) != 0 || got.Recovery.CodesLeft != 0 || got.Enabled || got.Status != mfa.Unprotected {
		t.Errorf("after: got %+v", got)
	}
	wantReason(t, w, seal.Secret{}, mfa.NotRequired)
	if _, done := enrolApp(t, w, w.Fresh()); len(done.RecoveryCodes) != 10 {
		t.Errorf("enrolled again: got %d recovery codes, want a new set", len(done.RecoveryCodes))
	}
}

func TestB6AnothersFactorIsNoFactorOfOnesOwn(t *testing.T) {
	w, a := protected(t, nil)
	if _, err := w.PutUser(t.Context(), w.Client, org, mfa.Person{ID: "bob"}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{a.Factor, "fa_AAAAAAAAAAAAAAAAAAAAAA", "", "guard"} {
		wantCode(t, w.RemoveFactor(t.Context(), w.Fresh(), org, "bob", id), mfa.NotFound)
		_, err := w.RenameFactor(t.Context(), w.Client, org, "bob", id, "x")
		wantCode(t, err, mfa.NotFound)
	}
	if got := shown(t, w).Factors; len(got) != 1 || got[0].Label != "" {
		t.Errorf("got %+v", got)
	}
}

func TestL7AfterDeprovisioningNothingStartsUntilTheClientPutsTheUserAgain(t *testing.T) {
	w, a := protected(t, nil)
	open := started(t, w, ana())
	if _, err := w.Report(t.Context(), w.Client, org, user, mfa.Deprovisioned); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(time.Minute)
	_, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: open.ID, Answer: mfa.Answer{Code: w.Code(a)}})
	wantCode(t, err, mfa.ChallengeInvalid)
	for _, q := range []mfa.StartRequest{ana(), {Org: org, User: mfa.Person{ID: user}, FirstFactor: mfa.FirstFactor{Kind: "sso"}}, {Org: org, User: mfa.Person{ID: user}, Purpose: mfa.StepUp}} {
		_, err := w.StartChallenge(t.Context(), w.Client, q)
		wantCode(t, err, mfa.Forbidden)
		_, err = w.Decide(t.Context(), w.Client, q)
		wantCode(t, err, mfa.Forbidden)
	}
	said := ana().User
	_, err = w.BeginEnrolment(t.Context(), w.Fresh(), mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.TOTP})
	wantCode(t, err, mfa.Forbidden)
	if _, err := w.PutUser(t.Context(), w.Client, org, mfa.Person{ID: user}); err != nil {
		t.Fatal(err)
	}
	if ch := started(t, w, ana()); len(ch.Methods) != 1 || ch.Methods[0].Factor != a.Factor {
		t.Errorf("put again: got %+v, want the app asked for", ch.Methods)
	}
	_, err = w.Report(t.Context(), w.Client, org, "nobody", mfa.Deprovisioned)
	wantCode(t, err, mfa.NotFound)
	_, err = w.Report(t.Context(), w.Client, org, user, "reorganised")
	if e := wantCode(t, err, mfa.InvalidRequest); e.Param != "kind" {
		t.Errorf("got param %q, want kind", e.Param)
	}
}

func TestI6TheUserIsToldOfEveryChangeInTheirLanguage(t *testing.T) {
	w := mfatest.New(t)
	w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Locale = "fr" })
	a, done := enrolApp(t, w, w.Fresh())
	if _, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: started(t, w, ana()).ID, Code: done.RecoveryCodes[3]}); err != nil {
		t.Fatal(err)
	}
	call := stepUp(t, w, a)
	if _, err := w.NewRecoveryCodes(t.Context(), call, org, user); err != nil {
		t.Fatal(err)
	}
	if _, err := w.SetEnabled(t.Context(), call, org, user, false); err != nil {
		t.Fatal(err)
	}
	if err := w.RemoveFactor(t.Context(), w.Fresh(), org, user, a.Factor); err != nil {
		t.Fatal(err)
	}
	w.Drain(t)
	got := w.Outbox.To(mail)
	want := []string{
		"peut être confirmé avec une application d’authentification", "l’un des codes de secours", "De nouveaux codes de secours ont été créés",
		"ne demande plus de seconde preuve", "ne peut plus être confirmé avec une application d’authentification",
	}
	if len(got) != len(want) {
		t.Fatalf("got %d messages, want %d", len(got), len(want))
	}
	for i, said := range want {
		if !strings.Contains(got[i].Text, said) || !got[i].Code.IsZero() {
			t.Errorf("message %d: want %q in\n%s", i, said, got[i].Text)
		}
	}
}

func TestG11AnEnrolmentTokenIsNoWayAroundAFactorThatTheUserHasSince(t *testing.T) {
	w := mfatest.New(t)
	w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Require, p.EnrolmentProof = mfa.Everyone, "none" })
	var calls [2]mfa.Call // of two sign-ins that ana began before she had a factor
	for i := range calls {
		answer, err := w.StartChallenge(t.Context(), w.Client, ana())
		if err != nil || answer.Decision.Decision != mfa.Enrol {
			t.Fatalf("got %+v, %v", answer, err)
		}
		calls[i] = mfa.Call{Bearer: answer.Enrolment.Token.Reveal()}
	}
	begun, err := w.BeginEnrolment(t.Context(), calls[0], mfa.EnrolRequest{Kind: mfa.TOTP})
	if err != nil {
		t.Fatal(err)
	}
	mine := typed(t, begun)
	if _, err := w.FinishEnrolment(t.Context(), calls[0], mfa.FinishRequest{Enrolment: begun.ID, Answer: mfa.Answer{Code: w.Code(mine)}}); err != nil {
		t.Fatal(err)
	}
	_, err = w.BeginEnrolment(t.Context(), calls[1], mfa.EnrolRequest{Kind: mfa.TOTP})
	wantCode(t, err, mfa.EnrolmentInvalid)
	_, err = w.ProveAddress(t.Context(), calls[1], mfa.ProveRequest{Code: seal.NewSecret("123456")})
	wantCode(t, err, mfa.EnrolmentInvalid)
}

func TestG12ALockKeepsNobodyFromSettingUpAnAppAfterARecovery(t *testing.T) {
	w, a := protected(t, func(p *mfa.Policy) {
		p.Require, p.Recovery.Effect, p.Challenge.Attempts = mfa.Everyone, mfa.EffectReset, 10
	})
	codes, err := w.NewRecoveryCodes(t.Context(), stepUp(t, w, a), org, user)
	if err != nil {
		t.Fatal(err)
	}
	ch := started(t, w, ana())
	for range 10 {
		_, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Answer: mfa.Answer{Code: mfatest.Wrong(w.Code(a))}})
		wantCode(t, err, mfa.WrongCode)
	}
	answer, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: started(t, w, ana()).ID, Code: codes.RecoveryCodes[0]})
	if err != nil || answer.Enrolment == nil {
		t.Fatalf("got %+v, %v, want an enrolment", answer, err)
	}
	call := mfa.Call{Bearer: answer.Enrolment.Token.Reveal()}
	begun, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.TOTP})
	if err != nil {
		t.Fatal(err)
	}
	next := typed(t, begun)
	_, err = w.FinishEnrolment(t.Context(), call, mfa.FinishRequest{Enrolment: begun.ID, Answer: mfa.Answer{Code: mfatest.Wrong(w.Code(next))}})
	if e := wantCode(t, err, mfa.WrongCode); *e.AttemptsLeft != 9 {
		t.Errorf("got %d attempts left, want 9", *e.AttemptsLeft)
	}
	done, err := w.FinishEnrolment(t.Context(), call, mfa.FinishRequest{Enrolment: begun.ID, Answer: mfa.Answer{Code: w.Code(next)}})
	if err != nil || done.Token == nil {
		t.Fatalf("got %+v, %v, want a token", done, err)
	}
}
