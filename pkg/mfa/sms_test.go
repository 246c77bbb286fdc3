package mfa_test

import (
	"strings"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

const number = "+33612345678"

// texting makes a world whose policy allows codes by SMS to France and Great Britain, as further changed by change unless it
// is nil.
func texting(t *testing.T, change func(*mfa.Policy)) *mfatest.World {
	t.Helper()
	w := mfatest.New(t)
	allowsTexts(t, w, change)
	return w
}

// allowsTexts sets a policy that allows codes by SMS to two countries, as further changed by change unless it is nil.
func allowsTexts(t *testing.T, w *mfatest.World, change func(*mfa.Policy)) {
	t.Helper()
	w.SetPolicy(t, org, "salto", func(p *mfa.Policy) {
		p.SMS.Countries = []string{"FR", "GB"}
		if change != nil {
			change(p)
		}
	})
}

func TestS3ANumberIsAFactorOnlyOnceItIsProven(t *testing.T) {
	w := texting(t, nil)
	said, typed := ana().User, "+33 6 12 34 56 78"
	begun, err := w.BeginEnrolment(t.Context(), w.Fresh(), mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.SMS, Phone: &typed})
	if err != nil {
		t.Fatal(err)
	}
	if s := begun.Sent; s == nil || s.Kind != mfa.SMS || s.Hint != "•••• 78" || s.Sequence != "A" {
		t.Fatalf("got %+v", s)
	}
	texts := w.Outbox.Texts(number)
	if len(texts) != 1 || len(w.Outbox.To(mail)) != 0 || !strings.HasSuffix(texts[0].Text, "\n@countersign.example #"+texts[0].Code.Reveal()) {
		t.Fatalf("got %+v", texts)
	}
	if got := shown(t, w); len(got.Factors) != 0 || got.Enabled {
		t.Errorf("before: got %+v", got)
	}
	done, err := finish(t, w, w.Client, begun.ID, texts[0].Code)
	if err != nil || done.Factor.Kind != mfa.SMS || done.Factor.Hint != "•••• 78" || len(done.RecoveryCodes) != 1 {
		t.Fatalf("got %+v, %v", done, err)
	}
	ch := started(t, w, ana())
	if ch.Sent == nil || ch.Sent.Kind != mfa.SMS || *ch.Default != done.Factor.ID || len(w.Outbox.Texts(number)) != 2 {
		t.Fatalf("got %+v", ch)
	}
	verified, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Answer: mfa.Answer{Code: w.Outbox.Code(t, number)}})
	if err != nil {
		t.Fatal(err)
	}
	wantClaims(t, w, verified.Token, map[string]any{"acr": "aal2", "amr": []any{"pwd", "sms", "mfa"}})
}

func TestACountryThatWasClosedLeavesTheFactorAndGetsNoMessage(t *testing.T) {
	w := texting(t, nil)
	p := british(1)
	p.proves(t, w, org)
	ch := p.signsIn(t, w, org)
	w.SetPolicy(t, org, "salto", func(p *mfa.Policy) { p.SMS.Countries = []string{"FR"} })
	w.Clock.Advance(time.Minute)
	_, err := w.SendCode(t.Context(), w.Client, mfa.SendRequest{Challenge: ch.ID})
	wantCode(t, err, mfa.CountryForbidden)
	if _, err := verify(t, w, ch.ID, w.Outbox.Code(t, p.number), false); err != nil {
		t.Errorf("the code that was sent before: %v", err)
	}
	ch = p.signsIn(t, w, org)
	wantSent(t, ch, mfa.CountryForbidden)
	if len(ch.Methods) != 1 || ch.Methods[0].Kind != mfa.SMS || ch.RetryAfterS != 0 {
		t.Errorf("got %+v, want that the user is asked all the same", ch)
	}
	_, err = british(2).enrols(t, w.Service, w.Fresh(), org)
	wantCode(t, err, mfa.CountryForbidden)
	if got := len(w.Outbox.Texts("")); got != 1 {
		t.Errorf("got %d messages, want the first only", got)
	}
}

func TestNoUserIsAskedForANumberWhereNoCountryIsOpen(t *testing.T) {
	w := texting(t, func(p *mfa.Policy) { p.SMS.Countries, p.Require = []string{}, mfa.Everyone })
	answer, err := w.StartChallenge(t.Context(), w.Client, mfa.StartRequest{Org: org, User: mfa.Person{ID: user}})
	if err != nil || answer.Enrolment == nil || len(answer.Enrolment.Kinds) != 1 || answer.Enrolment.Kinds[0] != mfa.TOTP {
		t.Errorf("got %+v, %v, want an enrolment of an app", answer.Enrolment, err)
	}
	_, err = british(1).enrols(t, w.Service, w.Fresh(), org)
	wantCode(t, err, mfa.CountryForbidden)
	p := mfa.DefaultPolicy()
	p.Require, p.Methods.TOTP, p.Methods.Email, p.Methods.WebAuthn, p.Methods.SMS = mfa.Everyone, mfa.NotAllowed, mfa.NotAllowed, mfa.NotAllowed, mfa.Allowed
	if e := wantCode(t, p.Check(), mfa.InvalidRequest); e.Param != "require" {
		t.Errorf("got %v, want require refused, because nobody could do it", e)
	}
	p.SMS.Countries = []string{"FR"}
	if err := p.Check(); err != nil {
		t.Error(err)
	}
}

func TestEnrollingANumberNeedsAProgramThatReadsNumbers(t *testing.T) {
	w := texting(t, nil)
	for _, without := range []func(*mfa.Service){func(s *mfa.Service) { s.Numbers = nil }, func(s *mfa.Service) { s.Text = nil }} {
		s := *w.Service
		without(&s)
		_, err := neighbour(1).enrols(t, &s, w.Fresh(), org)
		wantCode(t, err, mfa.Unavailable)
	}
}

func TestE10NothingGoesToANumberThatWasNotProven(t *testing.T) {
	w := texting(t, nil)
	said := mfa.Person{ID: user, Phone: mfa.Some(number)}
	put(t, w, said)
	q := ana()
	q.User = said
	for _, purpose := range []string{mfa.SignIn, mfa.StepUp} {
		q.Purpose = purpose
		if _, err := w.StartChallenge(t.Context(), w.Client, q); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(w.Outbox.Texts("")); got != 0 {
		t.Fatalf("got %d messages, want none", got)
	}
	begun, err := w.BeginEnrolment(t.Context(), w.Fresh(), mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.SMS})
	if err != nil || begun.Sent == nil || len(w.Outbox.Texts(number)) != 1 {
		t.Errorf("the number that the client knows: got %+v, %v", begun, err)
	}
	_, err = finish(t, w, w.Client, begun.ID, mfatest.Wrong(w.Outbox.Code(t, number)))
	wantCode(t, err, mfa.WrongCode)
	if got := shown(t, w); len(got.Factors) != 0 {
		t.Errorf("got the factors %+v, want none", got.Factors)
	}
}

func TestM9ANumberThatCantBeIsRefusedBeforeAnythingIsDone(t *testing.T) {
	w := texting(t, nil)
	for _, typed := range []string{"", "0612345678", "+33123456789", "+33612345678x5", "112", "+33\n612345678"} {
		w.Faults.Reset()
		_, err := (phoning{user, typed}).enrols(t, w.Service, w.Fresh(), org)
		if e := wantCode(t, err, mfa.InvalidRequest); e.Param != "phone" {
			t.Errorf("%q: got %v", typed, e)
		}
	}
	_, err := (phoning{user, "+4915123456789"}).enrols(t, w.Service, w.Fresh(), org)
	wantCode(t, err, mfa.CountryForbidden)
	if got := len(w.Outbox.Texts("")); got != 0 {
		t.Errorf("got %d messages, want none", got)
	}
}

func TestANumberIsEnrolledOnceAndOthersBesideIt(t *testing.T) {
	w := texting(t, nil)
	w.EnrolSMS(t, w.Fresh(), org, ana().User, number)
	step := func() mfa.Call {
		ch := started(t, w, mfa.StartRequest{Org: org, User: mfa.Person{ID: user}, Purpose: mfa.StepUp})
		verified, err := verify(t, w, ch.ID, w.Outbox.Code(t, number), false)
		if err != nil {
			t.Fatal(err)
		}
		call := w.Fresh()
		call.Proof = verified.Token
		return call
	}
	_, err := (phoning{user, "0033 6 12 34 56 78"}).enrols(t, w.Service, step(), org)
	wantCode(t, err, mfa.AlreadyExists)
	w.EnrolSMS(t, step(), org, ana().User, "+447400123456")
	if got := shown(t, w); len(got.Factors) != 2 {
		t.Errorf("got the factors %+v, want two", got.Factors)
	}
}
