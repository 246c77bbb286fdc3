package mfa_test

import (
	"strings"
	"testing"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

var called = mfa.Intervention{Actor: "olga", Reason: "called, and answered the questions"}

func unlock(t *testing.T, w *mfatest.World) mfa.User {
	t.Helper()
	u, err := w.Unlock(t.Context(), w.Client, org, user, called)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestAnAdministratorEndsALockAndAllCountsStartAnew(t *testing.T) {
	w := kls(t, nil)
	lock(t, w)
	if u := unlock(t, w); u.Status == mfa.StatusLocked || u.LockedUntil != nil {
		t.Errorf("got %+v, want a user who is not locked", u)
	}
	w.Clock.Advance(time.Second)
	if n := lock(t, w); n != 10 {
		t.Errorf("after it a lock came with %d wrong answers, want 10", n)
	}
	if got := wait(t, w); got != 15*time.Minute {
		t.Errorf("the lock after it: got a wait of %v, want the first one's 15 minutes", got)
	}
}

func TestAnAdministratorEndsALockThatHasNoEnd(t *testing.T) {
	w := kls(t, nil)
	n := 0
	for n < 100 {
		n += lock(t, w)
		w.Clock.Advance(24 * time.Hour)
	}
	if got := wait(t, w); got != 0 {
		t.Fatalf("got a wait of %v, want a lock without an end", got)
	}
	unlock(t, w)
	ch := started(t, w, ana())
	if _, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), false); err != nil {
		t.Errorf("unlocked: %v", err)
	}
}

func TestAnAdministratorEndsALockOfRecoveryCodesToo(t *testing.T) {
	w, _, done := withApp(t, nil)
	ch := started(t, w, ana())
	for range 5 {
		_, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: ch.ID, Code: mfatest.NoRecoveryCode()})
		wantCode(t, err, mfa.WrongCode)
	}
	answer := mfa.RecoverRequest{Challenge: ch.ID, Code: done.RecoveryCodes[0]}
	_, err := w.Recover(t.Context(), w.Client, answer)
	wantCode(t, err, mfa.Locked)
	unlock(t, w)
	if _, err := w.Recover(t.Context(), w.Client, answer); err != nil {
		t.Errorf("unlocked: %v", err)
	}
}

func TestAnUnlockTellsTheUserAndSaysWhoAndWhy(t *testing.T) {
	w := kls(t, nil)
	lock(t, w)
	w.Clock.Advance(time.Minute)
	unlock(t, w)
	unlock(t, w) // changes nothing, because nothing is locked
	told := events(t, w, mfa.UserUnlocked)
	want := activity.Actor{Kind: "administrator", ID: called.Actor}
	if len(told) != 1 || told[0].Actor != want || told[0].Data["reason"] != called.Reason {
		t.Errorf("got %+v, want one event by %+v with the reason", told, want)
	}
	messages := w.Outbox.To(mail)
	if last := messages[len(messages)-1]; !strings.Contains(last.Text, "An administrator has unlocked your account") {
		t.Errorf("got %q, want the user told of it", last.Text)
	}
}

func TestAnUnlockNeedsTheScopeAdminAUserAndAReason(t *testing.T) {
	w := kls(t, nil)
	lock(t, w)
	wantIntervention(t, w, called, func(call mfa.Call, user string, by mfa.Intervention) error {
		_, err := w.Unlock(t.Context(), call, org, user, by)
		return err
	})
	if shown(t, w).Status != mfa.StatusLocked {
		t.Error("one that was refused unlocked the user")
	}
}

// wantIntervention fails the test unless an act of an administrator needs the scope admin, for the org, a user who exists, and who
// does it and why. right is an intervention that is good for it.
func wantIntervention(t *testing.T, w *mfatest.World, right mfa.Intervention, act func(call mfa.Call, user string, by mfa.Intervention) error) {
	t.Helper()
	for name, c := range map[string]struct {
		by   mfa.Call
		user string
		why  mfa.Intervention
		want mfa.ErrorCode
	}{
		"another scope":           {w.NewClient(t, apikey.Grant{Client: "app", Scopes: []apikey.Scope{apikey.Manage, apikey.SignIn}}), user, right, mfa.Forbidden},
		"a key for another org":   {w.NewClient(t, apikey.Grant{Client: "app", Scopes: apikey.Scopes(), Org: "globex"}), user, right, mfa.Forbidden},
		"an unknown user":         {w.Client, "nobody", right, mfa.NotFound},
		"nobody":                  {w.Client, user, mfa.Intervention{Reason: right.Reason}, mfa.InvalidRequest},
		"no reason":               {w.Client, user, mfa.Intervention{Actor: right.Actor}, mfa.InvalidRequest},
		"a reason that is a book": {w.Client, user, mfa.Intervention{Actor: right.Actor, Reason: strings.Repeat("a", 501)}, mfa.InvalidRequest},
	} {
		if err := act(c.by, c.user, c.why); mfa.AsError(err).Code != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}
