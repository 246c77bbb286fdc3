package mfa_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/passkey/passkeytest"
)

func drawn(t *testing.T, w *mfatest.World, ch *mfa.ChallengeToAnswer) (mfa.ChallengeState, error) {
	t.Helper()
	return w.LookAtChallenge(t.Context(), mfa.Call{Bearer: ch.Token.Reveal()}, ch.ID)
}

// wantDrawn fails the test unless the page of a challenge sees what the client was told, but for the token and the link.
func wantDrawn(t *testing.T, w *mfatest.World, ch *mfa.ChallengeToAnswer) mfa.ChallengeState {
	t.Helper()
	got, err := drawn(t, w, ch)
	if err != nil {
		t.Fatal(err)
	}
	want := *ch
	want.Token, want.URL = nil, nil
	if got.State != "pending" || got.Outcome != nil || got.BegunSignIn == nil {
		t.Fatalf("got %+v, want a pending challenge without an outcome", got)
	}
	if !reflect.DeepEqual(*got.Challenge, want) {
		shown, _ := json.Marshal(got.Challenge)
		told, _ := json.Marshal(want)
		t.Errorf("got %s, want %s", shown, told)
	}
	return got
}

func TestAPageSeesWhatTheStartHasBegunAndNeverTheOutcome(t *testing.T) {
	w := mfatest.New(t)
	w.SetPolicy(t, org, "kls", nil)
	back := mfatest.Origin + "/signed-in"
	q := ana()
	q.ReturnURL = &back
	ch := started(t, w, q)
	if got := wantDrawn(t, w, ch); got.Page.AttemptsLeft != 5 || got.Page.LockedUntil != nil || got.Decision.Decision != mfa.Challenge || got.Reason != mfa.NewBrowser || got.PolicyVersion != 1 || got.ReturnURL == nil || *got.ReturnURL != back {
		t.Errorf("got %+v", got.BegunSignIn)
	}
	w.Clock.Advance(time.Minute)
	again, err := w.SendCode(t.Context(), w.Client, mfa.SendRequest{Challenge: ch.ID})
	if err != nil {
		t.Fatal(err)
	}
	ch.Sent = again.Sent
	wantDrawn(t, w, ch)
	if _, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), false); err != nil {
		t.Fatal(err)
	}
	_, err = drawn(t, w, ch)
	wantCode(t, err, mfa.ChallengeInvalid)

	late := started(t, w, ana())
	if got := wantDrawn(t, w, late); got.ReturnURL != nil {
		t.Errorf("got the return_url %q, want none", *got.ReturnURL)
	}
	w.Clock.Advance(15 * time.Minute)
	_, err = drawn(t, w, late)
	wantCode(t, err, mfa.ChallengeInvalid)
}

func TestAPageSeesNoCodeThatTheProviderDidNotTake(t *testing.T) {
	w := mfatest.New(t)
	w.SetPolicy(t, org, "kls", nil)
	w.Outbox.Fail(mfa.ErrNotTaken, false)
	ch := started(t, w, ana())
	got, err := drawn(t, w, ch)
	if err != nil || ch.Sent != nil || got.Challenge.Sent != nil {
		t.Fatalf("got %+v, %v, want nothing sent", got.Challenge, err)
	}
	w.Outbox.Fail(nil, false)
	again, err := w.SendCode(t.Context(), w.Client, mfa.SendRequest{Challenge: ch.ID})
	if err != nil {
		t.Fatal(err)
	}
	ch.Sent, ch.SendError = again.Sent, ""
	wantDrawn(t, w, ch)
}

func TestAPageSeesTheOptionsOfTheCeremonyThatIsUnderWay(t *testing.T) {
	w := mfatest.New(t)
	w.SetPolicy(t, org, "default", nil)
	key := &passkeytest.Authenticator{}
	w.EnrolKey(t, w.Fresh(), org, ana().User, key)
	ch := started(t, w, ana())
	got := wantDrawn(t, w, ch)
	response, err := key.Get(got.Challenge.WebAuthn, mfatest.Origin)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Answer: mfa.Answer{Credential: response}}); err != nil {
		t.Errorf("the response to what the page saw: %v", err)
	}
	ch = started(t, w, ana())
	w.Clock.Advance(5 * time.Minute)
	ch.WebAuthn = nil
	wantDrawn(t, w, ch)
}

func TestAPageSeesOnlyWhatTheUserCanAnswerNow(t *testing.T) {
	w := mfatest.New(t)
	w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Challenge.Attempts = 10 })
	a, _ := w.EnrolTOTP(t, w.Fresh(), org, ana().User)
	w.Clock.Advance(mfatest.Step)
	kind := mfa.TOTP
	up := ana()
	up.Purpose, up.Method, up.Action = mfa.StepUp, &kind, &mfa.Action{Name: "pay", Lines: []string{"Pay 5 EUR"}}
	stepUp := started(t, w, up)
	if got := wantDrawn(t, w, stepUp); got.Reason != mfa.StepUpDemanded || got.Challenge.Trust != nil || got.Challenge.Recovery {
		t.Errorf("a step-up: got %+v", got.Challenge)
	}
	ch := started(t, w, ana())
	for range 9 {
		_, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Answer: mfa.Answer{Code: mfatest.Wrong(w.Code(a))}})
		wantCode(t, err, mfa.WrongCode)
	}
	open := started(t, w, ana())
	_, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: open.ID, Answer: mfa.Answer{Code: mfatest.Wrong(w.Code(a))}})
	wantCode(t, err, mfa.WrongCode)
	if got, err := drawn(t, w, open); err != nil || len(got.Challenge.Methods) != 0 || got.Challenge.Default != nil || !got.Challenge.Recovery ||
		got.Page.AttemptsLeft != 0 || got.Page.LockedUntil == nil || !got.Page.LockedUntil.After(w.Clock.Now()) {
		t.Errorf("during a lock: got %+v, %v, want a recovery code only", got.Challenge, err)
	}
}

func TestAnEnrolmentTokenShowsWhatCanBeEnrolled(t *testing.T) {
	w := mfatest.New(t)
	w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Require, p.EnrolmentProof, p.EmailBackup = mfa.Everyone, "none", mfa.NotAllowed })
	q := ana()
	back := mfatest.Origin + "/signed-in"
	q.ReturnURL = &back
	answer, err := w.StartChallenge(t.Context(), w.Client, q)
	if err != nil || answer.Enrolment == nil {
		t.Fatalf("got %+v, %v", answer, err)
	}
	call := mfa.Call{Bearer: answer.Enrolment.Token.Reveal()}
	want := *answer.Enrolment
	want.Token, want.URL = nil, nil
	got, err := w.LookAtEnrolment(t.Context(), call)
	if err != nil || got.Decision != answer.Decision || got.ID != answer.ID || !reflect.DeepEqual(*got.Enrolment, want) || got.ReturnURL == nil || *got.ReturnURL != back {
		t.Errorf("got %+v, %v, want %+v", got, err, answer)
	}
	for name, other := range map[string]mfa.Call{"an API key": w.Client, "nothing": {}, "a portal": {Bearer: "csp_" + call.Bearer[4:]}} {
		if _, err := w.LookAtEnrolment(t.Context(), other); mfa.AsError(err).Code != mfa.Unauthenticated {
			t.Errorf("with %s: got %v, want %s", name, err, mfa.Unauthenticated)
		}
	}
	_, err = w.LookAtChallenge(t.Context(), call, answer.ID)
	wantCode(t, err, mfa.Unauthenticated)
	w.EnrolTOTP(t, call, "", mfa.Person{})
	_, err = w.LookAtEnrolment(t.Context(), call)
	wantCode(t, err, mfa.EnrolmentInvalid)

	late, err := w.StartChallenge(t.Context(), w.Client, mfa.StartRequest{Org: org, User: mfa.Person{ID: "u-18"}})
	if err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(15 * time.Minute)
	_, err = w.LookAtEnrolment(t.Context(), mfa.Call{Bearer: late.Enrolment.Token.Reveal()})
	wantCode(t, err, mfa.EnrolmentInvalid)
}

func TestAPageSeesToWhichCountriesCodesAreSent(t *testing.T) {
	for _, c := range []struct {
		method string
		want   []string
	}{{mfa.Allowed, []string{"FR", "HR"}}, {mfa.NotAllowed, nil}} {
		w := mfatest.New(t)
		w.SetPolicy(t, org, "default", func(p *mfa.Policy) {
			p.Require, p.EnrolmentProof, p.Methods.SMS, p.SMS.Countries = mfa.Everyone, "none", c.method, []string{"FR", "HR"}
		})
		_, call := mustEnrol(t, w, ana())
		if got, err := w.LookAtEnrolment(t.Context(), call); err != nil || !slices.Equal(got.Countries, c.want) {
			t.Errorf("%s: got %v, %v, want %v", c.method, got.Countries, err, c.want)
		}
		portal := inPortal(t, w, mfa.PortalRequest{Org: org, User: user})
		if got, err := w.LookAtPortalSession(t.Context(), portal); err != nil || !slices.Equal(got.Account.Countries, c.want) {
			t.Errorf("%s: got %v, %v in the portal, want %v", c.method, got.Account.Countries, err, c.want)
		}
	}
}

func TestH5APageSeesUntilWhenAUserInGraceMayPutTheSetUpOff(t *testing.T) {
	most := 2
	w := graceful(t, time.Hour, &most)
	for left := 1; left >= 0; left-- {
		start := decidedFor(t, w, user, mfa.Allow, mfa.Grace)
		got, err := w.LookAtEnrolment(t.Context(), mfa.Call{Bearer: start.Enrolment.Token.Reveal()})
		if err != nil || got.Enrolment.Skippable == nil || !got.Enrolment.Due.Equal(start.Enrolment.Due) || *got.Enrolment.SkipsLeft != left || *start.Enrolment.SkipsLeft != left {
			t.Fatalf("got %+v, %v, want %+v with %d skips left", got.Enrolment, err, start.Enrolment, left)
		}
	}
	w.SetPolicy(t, org, "helpdesk", everyone)
	_, call := mustEnrol(t, w, mfa.StartRequest{Org: org, User: mfa.Person{ID: user}})
	if got, err := w.LookAtEnrolment(t.Context(), call); err != nil || got.Enrolment.Skippable != nil {
		t.Errorf("without grace: got %+v, %v", got.Enrolment, err)
	}
}
