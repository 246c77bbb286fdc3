package mfa_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

var lost = mfa.Intervention{Actor: "olga", Reason: "lost the phone, and called from the number that we know"}

func reset(t *testing.T, w *mfatest.World) mfa.User {
	t.Helper()
	answer, err := w.ResetUser(t.Context(), w.Client, org, user, lost)
	if err != nil || answer.User == nil || answer.Request != nil {
		t.Fatalf("got %+v, %v, want the user reset at once", answer, err)
	}
	return *answer.User
}

func TestC5AResetRemovesAllThatTheUserHadAndTheUserSetsItUpAgain(t *testing.T) {
	w, a := protected(t, func(p *mfa.Policy) { p.Trust.Days, p.Require = 30, mfa.Everyone })
	trust := trustedByApp(t, w, a)
	proof := stepUp(t, w, a)
	open := started(t, w, ana())
	w.Clock.Advance(mfatest.Step)
	u := reset(t, w)
	if u.Enabled || len(u.Factors) > 0 || len(u.TrustedBrowsers) > 0 || u.Recovery.CodesLeft > 0 || u.Status != mfa.Unprotected {
		t.Errorf("got %+v, want a user without 2FA", u)
	}
	_, err := verify(t, w, open.ID, w.NextCode(a), false)
	wantCode(t, err, mfa.ChallengeInvalid)
	if _, err := w.BeginEnrolment(t.Context(), proof, mfa.EnrolRequest{Org: org, User: &mfa.Person{ID: user}, Kind: mfa.TOTP}); err != nil {
		t.Errorf("without 2FA a password is enough to begin an enrolment: %v", err)
	}
	q := ana()
	q.TrustToken = trust
	answer, call := mustEnrol(t, w, q)
	if answer.Reason != mfa.Required {
		t.Errorf("got the reason %s, want required", answer.Reason)
	}
	begun, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.TOTP})
	if err != nil || begun.Prove == nil {
		t.Fatalf("got %+v, %v, want the known address proven first, as the policy says", begun, err)
	}
}

func TestAfterAResetThePasswordAloneEnrolsAndTheUserHasBeenTold(t *testing.T) {
	w, _ := protected(t, func(p *mfa.Policy) { p.EnrolmentProof, p.Require = "none", mfa.Everyone })
	reset(t, w)
	_, call := mustEnrol(t, w, ana())
	if begun, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.TOTP}); err != nil || begun.TOTP == nil {
		t.Errorf("got %+v, %v, want an enrolment", begun, err)
	}
	w.Drain(t)
	if last := lastMail(t, w, mail); !strings.Contains(last.Text, "Two-step sign-in was reset for your account") {
		t.Errorf("got %q, want the user told of the reset", last.Text)
	}
}

func TestH7AResetSaysWhoAndWhyAndIsToldOnceOnEveryChannel(t *testing.T) {
	w, done := phoned(t, mail, nil)
	w.Drain(t)
	since := len(w.Outbox.Texts(number))
	mails := len(w.Outbox.To(mail))
	reset(t, w)
	w.Drain(t)
	told := events(t, w, mfa.UserReset)
	want := activity.Actor{Kind: "administrator", ID: lost.Actor}
	if len(told) != 1 || told[0].Actor != want || told[0].Data["reason"] != lost.Reason {
		t.Errorf("got %+v, want one event by %+v with the reason", told, want)
	}
	removed := events(t, w, mfa.FactorRemoved)
	if len(removed) != 1 || removed[0].Data["factor"] != done.Factor.ID || removed[0].Data["cause"] != "reset" || removed[0].Actor != want {
		t.Errorf("got %+v, want the factor removed by the same administrator, because of the reset", removed)
	}
	if got := len(w.Outbox.To(mail)) - mails; got != 1 {
		t.Errorf("the user got %d notices by email, want one", got)
	}
	if got := len(w.Outbox.Texts(number)) - since; got != 1 {
		t.Errorf("the user got %d notices by SMS, want one", got)
	}
}

func TestAResetNeverWaitsForRoomAmongNotices(t *testing.T) {
	w, remake := noisy(t)
	for range 21 {
		remake()
	}
	w.Drain(t)
	reset(t, w)
	w.Drain(t)
	if got := subjects(w.Outbox.To(mail)); !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "Two-step sign-in was reset") }) {
		t.Errorf("got %q, want the reset told although the day's notices are spent", got)
	}
}

func TestAResetNeedsTheScopeAdminAUserAReasonAndSomebodyElse(t *testing.T) {
	w, _ := protected(t, nil)
	reset := func(call mfa.Call, user string, by mfa.Intervention) error {
		_, err := w.ResetUser(t.Context(), call, org, user, by)
		return err
	}
	wantIntervention(t, w, lost, reset)
	wantCode(t, reset(w.Client, user, mfa.Intervention{Actor: user, Reason: "lost"}), mfa.Forbidden)
	if got := shown(t, w); len(got.Factors) != 1 {
		t.Errorf("got %+v, want a user who still has the factor", got)
	}
}

func TestALockOutlivesAReset(t *testing.T) {
	w := kls(t, nil)
	lock(t, w)
	w.Clock.Advance(time.Second)
	if u := reset(t, w); u.Status != mfa.StatusLocked {
		t.Errorf("got %+v, want a user who is still locked", u)
	}
}
