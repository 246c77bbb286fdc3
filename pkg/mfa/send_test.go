package mfa_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/message"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

var errProvider = errors.New("the provider is away")

func TestM2AUserGetsTenEmailsInAnHour(t *testing.T) {
	w := kls(t, nil)
	other := w.NewClient(t, apikey.Grant{Client: "portal", Scopes: apikey.Scopes()})
	var last *mfa.ChallengeToAnswer
	for i := range 10 {
		q := ana()
		if i%2 == 1 {
			q.Purpose = mfa.StepUp
		}
		answer, err := w.StartChallenge(t.Context(), []mfa.Call{w.Client, other}[i/5], q)
		if err != nil || answer.Challenge.Sent == nil {
			t.Fatalf("email %d: got %+v, %v", i+1, answer, err)
		}
		if i == 4 {
			last = answer.Challenge
		}
		w.Clock.Advance(4 * time.Second)
	}
	if ch := started(t, w, ana()); ch.Sent != nil || ch.SendError != mfa.TooManySends || ch.RetryAfterS != 3560 {
		t.Errorf("the eleventh: got sent %v, error %q, wait %d; want none, too_many_sends, 3560", ch.Sent, ch.SendError, ch.RetryAfterS)
	}
	w.Clock.Advance(30 * time.Second)
	_, err := send(t, w, last.ID)
	if e := wantCode(t, err, mfa.TooManySends); e.RetryAfter != 3530*time.Second {
		t.Errorf("got a wait of %v, want 3530s", e.RetryAfter)
	}
	if got := len(w.Outbox.To(mail)); got != 10 {
		t.Errorf("got %d emails, want 10", got)
	}
	w.Clock.Advance(3529 * time.Second)
	q := ana()
	q.User.Email = mfa.Some("ana@other.example")
	if ch := started(t, w, q); ch.Sent != nil || ch.RetryAfterS != 1 {
		t.Errorf("a second before the hour is over: got sent %v, wait %d", ch.Sent, ch.RetryAfterS)
	}
	w.Clock.Advance(time.Second)
	if ch := started(t, w, ana()); ch.Sent == nil {
		t.Errorf("after the hour: got %q, wait %d", ch.SendError, ch.RetryAfterS)
	}
}

func TestM2AUserGetsThirtyEmailsInADay(t *testing.T) {
	w := kls(t, nil)
	for range 3 {
		for range 10 {
			if ch := started(t, w, ana()); ch.Sent == nil {
				t.Fatalf("got %q", ch.SendError)
			}
		}
		w.Clock.Advance(time.Hour)
	}
	if ch := started(t, w, ana()); ch.SendError != mfa.TooManySends || ch.RetryAfterS != 21*3600 {
		t.Errorf("the thirty-first: got %q, wait %d; want too_many_sends, 21 hours", ch.SendError, ch.RetryAfterS)
	}
	w.Clock.Advance(21*time.Hour - time.Second)
	if ch := started(t, w, ana()); ch.RetryAfterS != 1 {
		t.Errorf("a second before the day is over: got a wait of %d", ch.RetryAfterS)
	}
	w.Clock.Advance(time.Second)
	for i := range 11 {
		if ch := started(t, w, ana()); (ch.Sent == nil) != (i == 10) {
			t.Errorf("email %d after the day: got sent %v", i+1, ch.Sent)
		}
	}
}

func TestAResendWaitsToTheSecond(t *testing.T) {
	for _, wait := range []int{10, 30, 300} {
		w := kls(t, func(p *mfa.Policy) { p.Challenge.ResendAfterS = wait })
		ch := started(t, w, ana())
		if want := w.Clock.Now().Add(time.Duration(wait) * time.Second); !ch.Sent.ResendAfter.Equal(want) {
			t.Errorf("got resend after %v, want %v", ch.Sent.ResendAfter, want)
		}
		w.Clock.Advance(time.Duration(wait)*time.Second - time.Second)
		_, err := send(t, w, ch.ID)
		if e := wantCode(t, err, mfa.TooManySends); e.RetryAfter != time.Second {
			t.Errorf("got a wait of %v, want 1s", e.RetryAfter)
		}
		w.Clock.Advance(time.Second)
		answer, err := send(t, w, ch.ID)
		if err != nil || answer.Sent.Sequence != "B" || !answer.Sent.ResendAfter.Equal(w.Clock.Now().Add(time.Duration(wait)*time.Second)) {
			t.Errorf("got %+v, %v, want code B", answer.Sent, err)
		}
		if got := len(w.Outbox.To(mail)); got != 2 {
			t.Errorf("got %d emails, want 2", got)
		}
	}
}

func TestAChallengeHasSoManySends(t *testing.T) {
	for _, sends := range []int{1, 5} {
		w := kls(t, func(p *mfa.Policy) { p.Challenge.Sends = sends })
		ch := started(t, w, ana())
		sent := ch.Sent
		for i := range sends {
			if i > 0 {
				w.Clock.Advance(30 * time.Second)
				answer, err := send(t, w, ch.ID)
				if err != nil {
					t.Fatal(err)
				}
				sent = answer.Sent
			}
			if sent.SendsLeft != sends-1-i || sent.Sequence != string(rune('A'+i)) {
				t.Errorf("send %d of %d: got %s, %d left", i+1, sends, sent.Sequence, sent.SendsLeft)
			}
		}
		w.Clock.Advance(30 * time.Second)
		_, err := send(t, w, ch.ID)
		if e := wantCode(t, err, mfa.TooManySends); e.RetryAfter != 0 {
			t.Errorf("got a wait of %v, want none said", e.RetryAfter)
		}
		if _, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), false); err != nil {
			t.Errorf("the last code after that: %v", err)
		}
	}
}

func TestACodeThatCouldNotBeSentAtStartLeavesTheChallengeOpen(t *testing.T) {
	w := kls(t, nil)
	w.Outbox.Fail(errProvider, false)
	ch := started(t, w, ana())
	if ch.Sent != nil || ch.SendError != mfa.DeliveryFailed {
		t.Fatalf("got sent %v, error %q, want delivery_failed", ch.Sent, ch.SendError)
	}
	_, err := send(t, w, ch.ID)
	wantCode(t, err, mfa.DeliveryFailed)
	w.Outbox.Fail(nil, false)
	answer, err := send(t, w, ch.ID) // the failed code doesn't count, so this one needn't wait
	if err != nil || answer.Sent.Sequence != "C" || answer.Sent.SendsLeft != 2 {
		t.Fatalf("got %+v, %v, want code C", answer.Sent, err)
	}
	if _, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), false); err != nil {
		t.Error(err)
	}
	failures := events(t, w, mfa.DeliveryFailure)
	if len(failures) != 2 || failures[0].Data["challenge"] != ch.ID || failures[1].Data["sequence"] != "B" || failures[0].User != user {
		t.Errorf("got %+v, want two delivery.failed of this challenge", failures)
	}
}

func TestSendsThatFailedStayCounted(t *testing.T) {
	w := kls(t, nil)
	w.Outbox.Fail(errProvider, false)
	for range 2 {
		ch := started(t, w, ana())
		for range 4 {
			_, err := send(t, w, ch.ID)
			wantCode(t, err, mfa.DeliveryFailed)
		}
		_, err := send(t, w, ch.ID)
		if e := wantCode(t, err, mfa.TooManySends); e.RetryAfter != 0 {
			t.Errorf("the sixth of a challenge: got a wait of %v, want none said", e.RetryAfter)
		}
	}
	if ch := started(t, w, ana()); ch.SendError != mfa.TooManySends || ch.RetryAfterS != 3600 {
		t.Errorf("the eleventh of the hour: got %q, %d", ch.SendError, ch.RetryAfterS)
	}
}

func TestACodeWhoseHandoverLostItsAnswerWorks(t *testing.T) {
	w := kls(t, nil)
	w.Outbox.Fail(errProvider, true)
	ch := started(t, w, ana())
	if ch.SendError != mfa.DeliveryFailed {
		t.Fatalf("got %q, want delivery_failed", ch.SendError)
	}
	first := w.Outbox.Code(t, mail)
	if _, err := verify(t, w, ch.ID, first, false); err != nil {
		t.Errorf("the code that arrived all the same: %v", err)
	}
	ch = started(t, w, ana())
	_, err := send(t, w, ch.ID)
	wantCode(t, err, mfa.DeliveryFailed)
	if _, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), false); err != nil {
		t.Errorf("the code that was sent again and arrived all the same: %v", err)
	}
}

// slowMail runs meanwhile while the first message is being sent, and then fails this message with err.
type slowMail struct {
	*mfatest.Outbox
	err       error
	meanwhile func()
}

func (m *slowMail) SendMail(ctx context.Context, message message.Message) error {
	if m.meanwhile == nil {
		return m.Outbox.SendMail(ctx, message)
	}
	meanwhile := m.meanwhile
	m.meanwhile = nil
	meanwhile()
	return m.err
}
