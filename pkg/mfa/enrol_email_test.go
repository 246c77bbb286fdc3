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

// steppedUpByMail lets ana step up with a code that goes to her address, and returns a fresh call with the proof.
func steppedUpByMail(t *testing.T, w *mfatest.World) mfa.Call {
	t.Helper()
	q := ana()
	q.Purpose = mfa.StepUp
	answer, err := verify(t, w, started(t, w, q).ID, w.Outbox.Code(t, mail), false)
	if err != nil {
		t.Fatal(err)
	}
	call := w.Fresh()
	call.Proof = answer.Token
	return call
}

func TestAnAddressIsEnrolledByItsCode(t *testing.T) {
	w := plain(t, nil)
	begun := begin(t, w, w.Fresh(), mfa.Email)
	sent := begun.Sent
	now := w.Clock.Now()
	if sent == nil || sent.Kind != mfa.Email || sent.Hint != "a***@acme.example" || sent.Sequence != "A" || sent.SendsLeft != 4 ||
		!sent.Expires.Equal(now.Add(10*time.Minute)) || !sent.ResendAfter.Equal(now.Add(30*time.Second)) || begun.TOTP != nil || begun.Proven {
		t.Fatalf("got %+v, %+v", begun, sent)
	}
	code := w.Outbox.Code(t, mail)
	_, err := finish(t, w, w.Client, begun.ID, mfatest.Wrong(code))
	if left := *wantCode(t, err, mfa.WrongCode).AttemptsLeft; left != 4 {
		t.Errorf("got %d attempts left, want 4", left)
	}
	_, err = finish(t, w, w.Client, begun.ID, seal.Secret{})
	wantCode(t, err, mfa.InvalidRequest)
	done, err := finish(t, w, w.Client, begun.ID, code)
	if err != nil || done.Factor.Kind != mfa.Email || len(done.RecoveryCodes) != 10 || done.Offer != nil {
		t.Fatalf("got %+v, %v", done, err)
	}
	w.Clock.Advance(time.Minute)
	ch := started(t, w, ana())
	_, err = verify(t, w, ch.ID, code, false)
	wantCode(t, err, mfa.WrongCode) // R7: the code of an enrolment isn't accepted at a sign-in
	if _, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), false); err != nil {
		t.Error(err)
	}
	said := ana().User
	_, err = w.BeginEnrolment(t.Context(), steppedUpByMail(t, w), mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.Email})
	wantCode(t, err, mfa.AlreadyExists)
}

func TestR12ACodeOfAnEnrolmentIsDeadOnceAnotherWasSent(t *testing.T) {
	w := plain(t, nil)
	begun := begin(t, w, w.Fresh(), mfa.Email)
	old := w.Outbox.Code(t, mail)
	_, err := w.SendEnrolment(t.Context(), w.Client, begun.ID)
	if e := wantCode(t, err, mfa.TooManySends); e.RetryAfter != 30*time.Second {
		t.Errorf("got a wait of %v, want 30s", e.RetryAfter)
	}
	_, err = finish(t, w, w.Client, begun.ID, mfatest.Wrong(old))
	wantCode(t, err, mfa.WrongCode)
	w.Clock.Advance(30 * time.Second)
	again, err := w.SendEnrolment(t.Context(), w.Client, begun.ID)
	if err != nil || again.Sent.Sequence != "B" || again.Sent.SendsLeft != 3 || !again.Sent.Expires.Equal(*begun.Expires) {
		t.Fatalf("got %+v, %v, want code B that ends with the enrolment", again.Sent, err)
	}
	if !w.Outbox.Code(t, mail).Equal(old) { // by chance, one code in a million is the same as the one before
		_, err = finish(t, w, w.Client, begun.ID, old)
		if left := *wantCode(t, err, mfa.WrongCode).AttemptsLeft; left != 3 {
			t.Errorf("got %d attempts left, want 3: a resend forgives none", left)
		}
	}
	for range 3 {
		w.Clock.Advance(30 * time.Second)
		if _, err := w.SendEnrolment(t.Context(), w.Client, begun.ID); err != nil {
			t.Fatal(err)
		}
	}
	w.Clock.Advance(30 * time.Second)
	_, err = w.SendEnrolment(t.Context(), w.Client, begun.ID)
	wantCode(t, err, mfa.TooManySends)
	if _, err := finish(t, w, w.Client, begun.ID, w.Outbox.Code(t, mail)); err != nil {
		t.Errorf("the last code: %v", err)
	}
	byApp := begin(t, w, steppedUpByMail(t, w), mfa.TOTP)
	_, err = w.SendEnrolment(t.Context(), w.Client, byApp.ID)
	wantCode(t, err, mfa.NothingToSend)
}

func TestR11ACodeIsGoodForItsOwnEnrolmentOnly(t *testing.T) {
	w, a, _ := withApp(t, manyAttempts)
	call := w.StepUp(t, org, user, a)
	first := begin(t, w, call, mfa.Email)
	code := w.Outbox.Code(t, mail)
	second := begin(t, w, call, mfa.Email) // a new beginning ends the first enrolment and its code
	for w.Outbox.Code(t, mail).Equal(code) {
		second = begin(t, w, call, mfa.Email)
	}
	_, err := finish(t, w, w.Client, second.ID, code)
	wantCode(t, err, mfa.WrongCode)
	_, err = finish(t, w, w.Client, first.ID, code)
	wantCode(t, err, mfa.EnrolmentInvalid)
	_, err = verify(t, w, started(t, w, ana()).ID, w.Outbox.Code(t, mail), false)
	wantCode(t, err, mfa.WrongCode)
	byApp := begin(t, w, call, mfa.TOTP)
	_, err = finish(t, w, w.Client, byApp.ID, w.Outbox.Code(t, mail))
	wantCode(t, err, mfa.WrongCode)
	_, err = finish(t, w, w.Client, byApp.ID, w.Code(a))
	wantCode(t, err, mfa.WrongCode)
}

func TestAnEnrolmentsEmailsCountAndItsFailedDeliveryIsTold(t *testing.T) {
	w := plain(t, nil)
	said := ana().User
	w.Outbox.Fail(errProvider, false)
	call := enrolKeyed(w.Fresh(), "/v1/enrolments")
	_, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.Email})
	wantCode(t, err, mfa.DeliveryFailed)
	failed := events(t, w, mfa.DeliveryFailure)
	if len(failed) != 1 || failed[0].Data["enrolment"] == nil {
		t.Errorf("got %+v, want one delivery.failed", failed)
	}
	w.Outbox.Fail(nil, false)
	begun, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.Email})
	if err != nil {
		t.Fatalf("again under the same key: %v, want it done anew", err)
	}
	w.Clock.Advance(30 * time.Second)
	w.Outbox.Fail(errProvider, true) // the provider takes the message and fails afterwards
	_, err = w.SendEnrolment(t.Context(), w.Client, begun.ID)
	wantCode(t, err, mfa.DeliveryFailed)
	w.Outbox.Fail(nil, false)
	again, err := w.SendEnrolment(t.Context(), w.Client, begun.ID)
	if err != nil || again.Sent.Sequence != "C" {
		t.Errorf("got %+v, %v, want code C at once: the wait was given back", again.Sent, err)
	}
	if _, err := finish(t, w, w.Client, begun.ID, w.Outbox.Code(t, mail)); err != nil {
		t.Error(err)
	}
	w = plain(t, nil)
	for range 10 {
		begin(t, w, w.Fresh(), mfa.Email)
	}
	_, err = w.BeginEnrolment(t.Context(), w.Fresh(), mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.Email})
	if e := wantCode(t, err, mfa.TooManySends); e.RetryAfter != time.Hour || len(w.Outbox.To(mail)) != 10 {
		t.Errorf("got %d emails and a wait of %v, want 10 and an hour", len(w.Outbox.To(mail)), e.RetryAfter)
	}
}

func TestAPolicysKindsAreTheOnesThatCanBeEnrolled(t *testing.T) {
	said, unknown := ana().User, mfa.Person{ID: "u-18"}
	for name, c := range map[string]struct {
		change func(*mfa.Policy)
		who    mfa.Person
		kind   mfa.Kind
		want   mfa.ErrorCode
	}{
		"an app":            {func(p *mfa.Policy) { p.Methods.TOTP = mfa.NotAllowed }, said, mfa.TOTP, mfa.MethodForbidden},
		"email":             {func(p *mfa.Policy) { p.Methods.Email = mfa.NotAllowed }, said, mfa.Email, mfa.MethodForbidden},
		"an implicit email": {func(p *mfa.Policy) { p.Methods.Email = mfa.Implicit }, said, mfa.Email, mfa.MethodForbidden},
		"no address":        {nil, unknown, mfa.Email, mfa.NothingToSend},
		"a security key":    {func(p *mfa.Policy) { p.Methods.WebAuthn = mfa.NotAllowed }, said, mfa.WebAuthn, mfa.MethodForbidden},
		"a phone":           {nil, said, mfa.SMS, mfa.MethodForbidden},
		"no country":        {func(p *mfa.Policy) { p.Methods.SMS = mfa.Allowed }, said, mfa.SMS, mfa.CountryForbidden},
	} {
		w := plain(t, c.change)
		_, err := w.BeginEnrolment(t.Context(), w.Fresh(), mfa.EnrolRequest{Org: org, User: &c.who, Kind: c.kind})
		if mfa.AsError(err).Code != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	for kind, forbid := range map[mfa.Kind]func(*mfa.Policy){
		mfa.TOTP: func(p *mfa.Policy) { p.Methods.TOTP = mfa.NotAllowed }, mfa.Email: func(p *mfa.Policy) { p.Methods.Email = mfa.NotAllowed },
	} {
		w := plain(t, nil)
		begun := begin(t, w, w.Fresh(), kind)
		w.SetPolicy(t, org, "default", forbid)
		code := seal.NewSecret("000000")
		_, err := finish(t, w, w.Client, begun.ID, code)
		wantCode(t, err, mfa.MethodForbidden) // the policy has forbidden the kind since the enrolment began
		if got := len(events(t, w, mfa.ChallengeFailed)); got != 0 {
			t.Errorf("%s: got %d wrong answers counted, want none", kind, got)
		}
	}
}

func TestAUserHasTenFactorsAtMost(t *testing.T) {
	w, a, _ := withApp(t, nil)
	for range 9 {
		w.EnrolTOTP(t, w.StepUp(t, org, user, a), org, ana().User)
	}
	said := ana().User
	_, err := w.BeginEnrolment(t.Context(), w.StepUp(t, org, user, a), mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.TOTP})
	wantCode(t, err, mfa.MethodForbidden)
	if got := len(shown(t, w).Factors); got != 10 {
		t.Errorf("got %d factors, want 10", got)
	}
}

func TestARequestToEnrolIsCheckedBeforeAnythingIsRead(t *testing.T) {
	w := plain(t, nil)
	said, phone := ana().User, "+33612345678"
	token := mfa.Call{Bearer: seal.NewFilter().NewBearer(seal.EnrolmentToken, make([]byte, 48)).Reveal()}
	onBehalf := func(actor, reason string) *mfa.Intervention { return &mfa.Intervention{Actor: actor, Reason: reason} }
	for param, cases := range map[string][]struct {
		call mfa.Call
		q    mfa.EnrolRequest
	}{
		"kind":  {{w.Client, mfa.EnrolRequest{Org: org, User: &said}}, {w.Client, mfa.EnrolRequest{Org: org, User: &said, Kind: "recovery"}}},
		"phone": {{w.Client, mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.TOTP, Phone: &phone}}},
		"org": {
			{token, mfa.EnrolRequest{Org: org, Kind: mfa.TOTP}}, {w.Client, mfa.EnrolRequest{User: &said, Kind: mfa.TOTP}},
			{w.Client, mfa.EnrolRequest{Org: " acme", User: &said, Kind: mfa.TOTP}},
		},
		"user":      {{token, mfa.EnrolRequest{User: &said, Kind: mfa.TOTP}}},
		"user.id":   {{w.Client, mfa.EnrolRequest{Org: org, Kind: mfa.TOTP}}, {w.Client, mfa.EnrolRequest{Org: org, User: &mfa.Person{}, Kind: mfa.TOTP}}},
		"on_behalf": {{token, mfa.EnrolRequest{Kind: mfa.TOTP, OnBehalf: onBehalf("eva", "lost phone")}}},
		"label": {
			{w.Client, mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.TOTP, Label: strings.Repeat("a", 101)}},
			{w.Client, mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.TOTP, Label: "a\nb"}},
		},
		"on_behalf.actor": {{w.Client, mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.TOTP, OnBehalf: onBehalf("", "lost phone")}}},
		"on_behalf.reason": {
			{w.Client, mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.TOTP, OnBehalf: onBehalf("eva", "")}},
			{w.Client, mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.TOTP, OnBehalf: onBehalf("eva", strings.Repeat("a", 501))}},
		},
	} {
		for _, c := range cases {
			w.Faults.Reset()
			_, err := w.BeginEnrolment(t.Context(), c.call, c.q)
			if e := mfa.AsError(err); e.Code != mfa.InvalidRequest || e.Param != param || w.Faults.Counts().Calls() != 0 {
				t.Errorf("%s: got %v after %d reads", param, err, w.Faults.Counts().Calls())
			}
		}
	}
}

func TestH6AnAdministratorEnrolsAndTheUserGetsTheCodesAtTheNextVerify(t *testing.T) {
	w := plain(t, nil)
	admin := w.NewClient(t, apikey.Grant{Client: "app", Scopes: []apikey.Scope{apikey.Admin}})
	manage := w.NewClient(t, apikey.Grant{Client: "app", Scopes: []apikey.Scope{apikey.Manage}})
	said := ana().User
	q := mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.TOTP, Label: "her phone", OnBehalf: &mfa.Intervention{Actor: "eva", Reason: "first day"}}
	_, err := w.BeginEnrolment(t.Context(), manage, q)
	wantCode(t, err, mfa.Forbidden)
	begun, err := w.BeginEnrolment(t.Context(), admin, q)
	if err != nil {
		t.Fatal(err)
	}
	a := appOf(t, begun)
	done, err := finish(t, w, admin, begun.ID, w.Code(a))
	if err != nil || done.RecoveryCodes != nil || done.Factor.Label != "her phone" || done.Token != nil {
		t.Fatalf("got %+v, %v, want no recovery codes", done, err)
	}
	enrolled := events(t, w, mfa.FactorEnrolled)
	if len(enrolled) != 1 || enrolled[0].Actor != (activity.Actor{Kind: "administrator", ID: "eva"}) || enrolled[0].Data["reason"] != "first day" || enrolled[0].User != user {
		t.Errorf("got %+v, want who did it and why", enrolled)
	}
	if told := w.Outbox.To(mail); len(told) != 1 || !told[0].Code.IsZero() {
		t.Errorf("got %d messages, want the user told", len(told))
	}
	if u := shown(t, w); u.Recovery.CodesLeft != 0 || !u.Enabled {
		t.Errorf("got %+v", u)
	}
	a.Factor = done.Factor.ID
	_, err = signIn(t, w, mfatest.Wrong(w.NextCode(a)))
	wantCode(t, err, mfa.WrongCode)
	answer, err := signIn(t, w, w.Code(a))
	if err != nil || len(answer.RecoveryCodes) != 10 {
		t.Fatalf("got %d recovery codes, %v, want 10 at the first verify", len(answer.RecoveryCodes), err)
	}
	if again, err := signIn(t, w, w.NextCode(a)); err != nil || again.RecoveryCodes != nil {
		t.Errorf("got %d recovery codes, %v, want none at the second", len(again.RecoveryCodes), err)
	}
	if _, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: started(t, w, ana()).ID, Code: answer.RecoveryCodes[0]}); err != nil {
		t.Errorf("one of them: %v", err)
	}
	// A user who has a set of recovery codes is owed none.
	begun, err = w.BeginEnrolment(t.Context(), admin, q)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := finish(t, w, manage, begun.ID, w.Code(appOf(t, begun))); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(mfatest.Step)
	again, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: started(t, w, ana()).ID, Factor: a.Factor, Answer: mfa.Answer{Code: w.Code(a)}})
	if err != nil || again.RecoveryCodes != nil {
		t.Errorf("got %d recovery codes, %v, want none", len(again.RecoveryCodes), err)
	}
	if left := shown(t, w).Recovery.CodesLeft; left != 9 {
		t.Errorf("got %d codes left, want the 9 of the first set", left)
	}
}

func TestG11AnEnrolmentBegunBeforeTheLockGetsNoCodeDuringIt(t *testing.T) {
	w := plain(t, manyAttempts)
	var begun mfa.EnrolAnswer
	for range 2 {
		begun = begin(t, w, w.Fresh(), mfa.Email)
		for range 5 {
			_, err := finish(t, w, w.Client, begun.ID, mfatest.Wrong(w.Outbox.Code(t, mail)))
			wantCode(t, err, mfa.WrongCode)
		}
	}
	w.Clock.Advance(time.Minute)
	_, err := w.SendEnrolment(t.Context(), w.Client, begun.ID)
	wantCode(t, err, mfa.Locked)
	_, err = finish(t, w, w.Client, begun.ID, w.Outbox.Code(t, mail))
	wantCode(t, err, mfa.Locked)
	w.Clock.Advance(14 * time.Minute) // by then the enrolment is over too
	w.EnrolEmail(t, w.Fresh(), org, ana().User, mail)
}
