package mfa_test

import (
	"fmt"
	"testing"
	"time"

	"countersign/pkg/mfa"
)

func TestANumberThatHasOptedOutIsNotTextedByItselfAndAnotherFactorIsAskedFor(t *testing.T) {
	w, _ := phoned(t, mail, nil)
	w.EnrolEmail(t, stepUpBySMS(t, w), org, mfa.Person{ID: user}, mail)
	w.Drain(t)
	bySMS := mfa.StartRequest{Org: org, User: mfa.Person{ID: user}}
	method := mfa.SMS
	bySMS.Method = &method
	w.Clock.Advance(time.Hour)
	told := len(w.Outbox.To(mail))

	w.Outbox.Fail(fmt.Errorf("%w: %w", mfa.ErrOptedOut, mfa.ErrNotTaken), false)
	ch := started(t, w, bySMS)
	if ch.Sent != nil || ch.SendError != mfa.DeliveryFailed || len(ch.Methods) != 2 {
		t.Errorf("got %+v, want that no code was sent, and both factors offered", ch)
	}
	wantReturned(t, w, "opt_out")
	w.Outbox.Fail(nil, false)
	w.Drain(t)
	if got := len(w.Outbox.To(mail)); got != told {
		t.Errorf("%d notices went to the owner of the number, who knows of it", got-told)
	}

	w.Clock.Advance(time.Minute)
	texts := len(w.Outbox.Texts(number))
	ch = started(t, w, bySMS)
	if ch.Sent == nil || ch.Sent.Kind != mfa.Email || len(w.Outbox.Texts(number)) != texts {
		t.Fatalf("got %+v, want that a code went to the address in place of the number", ch.Sent)
	}
	phoneID := ""
	for _, m := range ch.Methods {
		if m.Kind == mfa.SMS {
			phoneID = m.Factor
		}
	}

	// While the number has opted out, every code that is asked for is refused. It costs nothing, so it can be tried again.
	w.Outbox.Fail(fmt.Errorf("%w: %w", mfa.ErrOptedOut, mfa.ErrNotTaken), false)
	for range 2 {
		w.Clock.Advance(time.Minute)
		_, err := w.SendCode(t.Context(), w.Client, mfa.SendRequest{Challenge: ch.ID, Factor: phoneID})
		wantCode(t, err, mfa.DeliveryFailed)
	}
	wantReturned(t, w, "opt_out") // it was known already
	w.Outbox.Fail(nil, false)

	// The owner has opted in again. The code that they ask for is answered, so the number is good again.
	w.Clock.Advance(time.Minute)
	if _, err := w.SendCode(t.Context(), w.Client, mfa.SendRequest{Challenge: ch.ID, Factor: phoneID}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Answer: mfa.Answer{Code: w.Outbox.Code(t, number)}}); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(time.Minute)
	if ch = started(t, w, bySMS); ch.Sent == nil || ch.Sent.Kind != mfa.SMS {
		t.Errorf("got %+v, want that the number is texted again", ch.Sent)
	}
}

func TestATextThatIsRefusedForAnotherReasonMarksNoNumber(t *testing.T) {
	w, _ := phoned(t, mail, nil)
	w.Clock.Advance(time.Hour)
	w.Outbox.Fail(mfa.ErrNotTaken, false)
	q := mfa.StartRequest{Org: org, User: mfa.Person{ID: user}}
	started(t, w, q)
	w.Outbox.Fail(nil, false)
	wantReturned(t, w)
	w.Clock.Advance(time.Minute)
	if ch := started(t, w, q); ch.Sent == nil {
		t.Errorf("got %+v, want that a code was sent", ch)
	}
}
