package mfa_test

import (
	"slices"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

// At a sign-in, a method is only a preference. At a step-up, nothing but the method can answer the challenge.
func TestAMethodIsPreferredAtASignInAndBindsAStepUp(t *testing.T) {
	w, a, done := withApp(t, nil)
	byMail := w.EnrolEmail(t, w.StepUp(t, org, user, a), org, ana().User, mail).Factor.ID
	both := []mfa.Kind{mfa.TOTP, mfa.Email}
	for _, c := range []struct {
		purpose string
		method  mfa.Kind
		kinds   []mfa.Kind // the kinds that can answer; empty if the start is refused
		asked   mfa.Kind   // the kind that is the default
		any     bool       // a recovery code can answer too
	}{
		{mfa.SignIn, "", both, mfa.TOTP, true},
		{mfa.SignIn, mfa.TOTP, both, mfa.TOTP, true},
		{mfa.SignIn, mfa.Email, both, mfa.Email, true},
		{mfa.SignIn, mfa.SMS, both, mfa.TOTP, true},
		{mfa.StepUp, "", both, mfa.TOTP, true},
		{mfa.StepUp, mfa.TOTP, both[:1], mfa.TOTP, false},
		{mfa.StepUp, mfa.Email, both[1:], mfa.Email, false},
		{mfa.StepUp, mfa.SMS, nil, "", false},
	} {
		t.Run(c.purpose+" "+string(c.method), func(t *testing.T) {
			w.Clock.Advance(time.Hour) // past the limit on emails
			q := ana()
			if q.Purpose = c.purpose; c.method != "" {
				q.Method = &c.method
			}
			if _, err := w.Decide(t.Context(), w.Client, q); (err == nil) != (c.kinds != nil) {
				t.Errorf("a decision: got %v", err)
			}
			answer, err := w.StartChallenge(t.Context(), w.Client, q)
			if c.kinds == nil {
				wantCode(t, err, mfa.MethodForbidden)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			ch := answer.Challenge
			ids := map[mfa.Kind]string{mfa.TOTP: a.Factor, mfa.Email: byMail}
			var kinds []mfa.Kind
			for _, m := range ch.Methods {
				kinds = append(kinds, m.Kind)
			}
			if !slices.Equal(kinds, c.kinds) || ch.Default == nil || *ch.Default != ids[c.asked] {
				t.Errorf("got methods %v and the default %v, want %v and the one of %s", kinds, ch.Default, c.kinds, c.asked)
			}
			if sent := c.asked == mfa.Email; (ch.Sent != nil) != sent {
				t.Errorf("got sent %+v, want a code to have gone out: %v", ch.Sent, sent)
			}
			if ch.Recovery != c.any || (ch.Trust != nil) != (c.purpose == mfa.SignIn) {
				t.Errorf("got recovery %v and trust %+v", ch.Recovery, ch.Trust)
			}
			w.Clock.Advance(time.Minute)
			for kind, id := range ids {
				allowed := slices.Contains(c.kinds, kind)
				_, err := w.SendCode(t.Context(), w.Client, mfa.SendRequest{Challenge: ch.ID, Factor: id})
				want := mfa.ErrorCode("")
				switch {
				case !allowed:
					want = mfa.MethodForbidden
				case kind == mfa.TOTP:
					want = mfa.NothingToSend
				}
				if got := codeOf(err); got != want {
					t.Errorf("send, %s: got %v, want %q", kind, err, want)
				}
				_, err = w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Factor: id, Answer: mfa.Answer{Code: mfatest.Wrong(w.Code(a))}})
				if want = mfa.WrongCode; !allowed {
					want = mfa.MethodForbidden
				}
				if got := codeOf(err); got != want {
					t.Errorf("verify, %s: got %v, want %q", kind, err, want)
				}
			}
			_, err = w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: ch.ID, Code: done.RecoveryCodes[0]})
			if c.any {
				done.RecoveryCodes = done.RecoveryCodes[1:]
			}
			if want := map[bool]mfa.ErrorCode{true: "", false: mfa.MethodForbidden}[c.any]; codeOf(err) != want {
				t.Errorf("recover: got %v, want %q", err, want)
			}
		})
	}
}

// codeOf returns the code of an error, and the empty code for nil.
func codeOf(err error) mfa.ErrorCode {
	if err == nil {
		return ""
	}
	return mfa.AsError(err).Code
}

// A user whose codes are locked gets a challenge if a recovery code could still answer it. Otherwise both a decision and a
// start say that codes are locked.
func TestALockedUserIsChallengedWhereSomethingWouldBeLookedAt(t *testing.T) {
	app := mfa.TOTP
	for name, c := range map[string]struct {
		codes   bool // the user has recovery codes left
		guessed bool // recovery codes are locked too
		purpose string
		method  *mfa.Kind
		open    bool
	}{
		"a sign-in, recovery codes left":                  {codes: true, purpose: mfa.SignIn, open: true},
		"a sign-in that prefers an app, codes left":       {codes: true, purpose: mfa.SignIn, method: &app, open: true},
		"a sign-in, recovery codes left and locked":       {codes: true, guessed: true, purpose: mfa.SignIn},
		"a sign-in, no recovery codes":                    {purpose: mfa.SignIn},
		"a step-up, recovery codes left":                  {codes: true, purpose: mfa.StepUp, open: true},
		"a step-up that asks for the app, codes left":     {codes: true, purpose: mfa.StepUp, method: &app},
		"a step-up, recovery codes left and locked":       {codes: true, guessed: true, purpose: mfa.StepUp},
		"a step-up, no recovery codes":                    {purpose: mfa.StepUp},
		"a step-up that asks for the app, no codes":       {purpose: mfa.StepUp, method: &app},
		"a sign-in that prefers an app, no codes, locked": {purpose: mfa.SignIn, method: &app},
	} {
		t.Run(name, func(t *testing.T) {
			w, a, done := withApp(t, func(p *mfa.Policy) {
				if !c.codes {
					p.Recovery.Count = 0
				}
			})
			if c.guessed {
				wrongRecoveries(t, w, started(t, w, ana()).ID, 5)
			}
			lockApp(t, w, a)
			q := ana()
			q.Purpose, q.Method = c.purpose, c.method
			_, decided := w.Decide(t.Context(), w.Client, q)
			answer, err := w.StartChallenge(t.Context(), w.Client, q)
			if !c.open {
				for what, err := range map[string]error{"a decision": decided, "a start": err} {
					if e := mfa.AsError(err); err == nil || e.Code != mfa.Locked || e.RetryAfter != 15*time.Minute {
						t.Errorf("%s: got %v, want locked for 15 minutes", what, err)
					}
				}
				return
			}
			if decided != nil || err != nil || len(answer.Challenge.Methods) != 0 || answer.Challenge.Default != nil || !answer.Challenge.Recovery {
				t.Fatalf("got %+v, %v, %v, want a challenge that a recovery code may answer, and nothing else", answer.Challenge, err, decided)
			}
			_, err = verify(t, w, answer.Challenge.ID, w.NextCode(a), false)
			wantCode(t, err, mfa.Locked)
			if _, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: answer.Challenge.ID, Code: done.RecoveryCodes[0]}); err != nil {
				t.Error(err)
			}
		})
	}
}

// A code that names no factor answers the factor to which a code was last sent, or else the default. A new code goes to the
// same factor.
func TestWithoutAFactorTheOneLastSentToIsMeant(t *testing.T) {
	for name, named := range map[string]bool{"the default": false, "the one last sent to": true} {
		t.Run(name, func(t *testing.T) {
			w, a, _ := withApp(t, nil)
			byMail := w.EnrolEmail(t, w.StepUp(t, org, user, a), org, ana().User, mail).Factor.ID
			w.Clock.Advance(mfatest.Step)
			ch := started(t, w, ana())
			if !named {
				_, err := w.SendCode(t.Context(), w.Client, mfa.SendRequest{Challenge: ch.ID})
				wantCode(t, err, mfa.NothingToSend) // the default is the app
				if _, err := verify(t, w, ch.ID, w.Code(a), false); err != nil {
					t.Error(err)
				}
				return
			}
			for _, factor := range []string{byMail, ""} {
				sent, err := w.SendCode(t.Context(), w.Client, mfa.SendRequest{Challenge: ch.ID, Factor: factor})
				if err != nil || sent.Sent.Factor != byMail {
					t.Fatalf("got %+v, %v, want a code by email", sent, err)
				}
				w.Clock.Advance(time.Minute)
			}
			_, err := verify(t, w, ch.ID, w.Code(a), false)
			wantCode(t, err, mfa.WrongCode)
			if _, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), false); err != nil {
				t.Error(err)
			}
		})
	}
}
