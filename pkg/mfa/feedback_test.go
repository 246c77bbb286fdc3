package mfa_test

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/message"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/store/fault"
)

// lastMail returns the last message to an address.
func lastMail(t *testing.T, w *mfatest.World, address string) message.Message {
	t.Helper()
	all := w.Outbox.To(address)
	if len(all) == 0 {
		t.Fatalf("nothing went to %s", address)
	}
	return all[len(all)-1]
}

// comesBack reports that m, which the provider has just taken, came back.
func comesBack(t *testing.T, w *mfatest.World, m message.Message) mfa.Feedback {
	t.Helper()
	f := mfa.Feedback{Reference: m.Reference, Sent: w.Clock.Now()}
	w.Clock.Advance(2 * time.Second)
	take(t, w, f)
	return f
}

func take(t *testing.T, w *mfatest.World, f mfa.Feedback) {
	t.Helper()
	if err := w.TakeFeedback(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

// wantReturned fails the test unless the events say that messages came back for exactly these causes. It returns the last of
// these events.
func wantReturned(t *testing.T, w *mfatest.World, causes ...string) (last activity.Event) {
	t.Helper()
	w.Drain(t)
	var got []string
	for _, e := range w.Events.All() {
		if e.Type == mfa.FactorReturned {
			cause, _ := e.Data["cause"].(string)
			got, last = append(got, cause), e
		}
	}
	if !slices.Equal(got, causes) {
		t.Fatalf("got events of %q, want %q", got, causes)
	}
	return last
}

// wantStarted starts a sign-in or a step-up, and checks whether a code was sent without being asked for.
func wantStarted(t *testing.T, w *mfatest.World, q mfa.StartRequest, sent bool) *mfa.ChallengeToAnswer {
	t.Helper()
	before := len(w.Outbox.To(mail))
	ch := started(t, w, q)
	went := len(w.Outbox.To(mail)) > before
	if sent && (ch.Sent == nil || ch.SendError != "" || !went) || !sent && (ch.Sent != nil || ch.SendError != mfa.DeliveryFailed || went) {
		t.Fatalf("got sent %+v, send error %q, a message: %t; want a code: %t", ch.Sent, ch.SendError, went, sent)
	}
	return ch
}

func stepUpOf(q mfa.StartRequest) mfa.StartRequest {
	q.Purpose = mfa.StepUp
	return q
}

func TestNothingIsSentByItselfForADayToTheOnlyAddressThatMessagesComeBackFrom(t *testing.T) {
	for name, world := range map[string]func(*testing.T) *mfatest.World{
		"implicit": func(t *testing.T) *mfatest.World { return kls(t, nil) },
		"enrolled": func(t *testing.T) *mfatest.World {
			w := plain(t, nil)
			enrolMail(t, w, w.Fresh())
			w.Clock.Advance(time.Minute)
			return w
		},
	} {
		for _, complaint := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				w, cause := world(t), "bounce"
				wantStarted(t, w, ana(), true)
				f := mfa.Feedback{Reference: lastMail(t, w, mail).Reference, Sent: w.Clock.Now(), Complaint: complaint}
				if complaint {
					cause = "complaint"
				}
				w.Clock.Advance(time.Second)
				at := w.Clock.Now()
				take(t, w, f)
				e := wantReturned(t, w, cause)
				ch := wantStarted(t, w, ana(), false)
				if e.Data["factor"] != *ch.Default || e.Data["kind"] != "email" || e.Actor.Kind != "service" || e.User != user || e.Org != org {
					t.Errorf("got %+v about %s", e, *ch.Default)
				}
				wantStarted(t, w, stepUpOf(ana()), false)
				w.Clock.Advance(at.Add(24*time.Hour - time.Microsecond).Sub(w.Clock.Now()))
				wantStarted(t, w, ana(), false)
				w.Clock.Advance(time.Microsecond)
				wantStarted(t, w, ana(), true)
				take(t, w, f) // too late to say anything new
				w.Clock.Advance(time.Minute)
				wantStarted(t, w, ana(), true)
				comesBack(t, w, lastMail(t, w, mail))
				wantReturned(t, w, cause, "bounce")
			})
		}
	}
}

func TestTheSameFeedbackAnyNumberOfTimesChangesNothingMore(t *testing.T) {
	w := kls(t, nil)
	wantStarted(t, w, ana(), true)
	first := mfa.Feedback{Reference: lastMail(t, w, mail).Reference, Sent: w.Clock.Now()}
	w.Clock.Advance(time.Minute)
	wantStarted(t, w, ana(), true)
	second := mfa.Feedback{Reference: lastMail(t, w, mail).Reference, Sent: w.Clock.Now()}
	w.Clock.Advance(time.Second)
	var all sync.WaitGroup
	for i := range 20 { // in any order and at the same time
		all.Go(func() {
			f := first
			if i%2 == 0 {
				f = second
			}
			if err := w.TakeFeedback(t.Context(), f); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	wantReturned(t, w, "bounce")
	before := w.Faults.Counts().Commit
	for range 10 {
		w.Clock.Advance(time.Hour)
		take(t, w, first)
		take(t, w, second)
	}
	if got := w.Faults.Counts().Commit - before; got != 0 {
		t.Errorf("got %d commits of what is known, want 0", got)
	}
	wantReturned(t, w, "bounce")
}

func TestAUserWhoAsksGetsOneCodeAtAnAddressThatMessagesComeBackFrom(t *testing.T) {
	w := kls(t, nil)
	wantStarted(t, w, ana(), true)
	f := comesBack(t, w, lastMail(t, w, mail))
	ch := wantStarted(t, w, ana(), false)
	send := func(id string) error {
		_, err := w.SendCode(t.Context(), w.Client, mfa.SendRequest{Challenge: id})
		return err
	}
	if err := send(ch.ID); err != nil {
		t.Fatal(err)
	}
	late := mfa.Feedback{Reference: f.Reference, Sent: w.Clock.Now(), Complaint: true}
	w.Clock.Advance(time.Minute)
	wantCode(t, send(ch.ID), mfa.DeliveryFailed)
	wantStarted(t, w, ana(), false)
	code := w.Outbox.Code(t, mail)
	if _, err := verify(t, w, ch.ID, code, false); err != nil {
		t.Fatal(err)
	}
	wantStarted(t, w, ana(), true) // the right answer has shown that the mailbox works
	take(t, w, late)               // feedback about an earlier message no longer matters
	take(t, w, f)
	wantReturned(t, w, "bounce")
	w.Clock.Advance(time.Minute)
	wantStarted(t, w, ana(), true)
}

func TestACodeThatWasAskedForAndComesBackTooStartsTheDayAgain(t *testing.T) {
	w := kls(t, nil)
	wantStarted(t, w, ana(), true)
	comesBack(t, w, lastMail(t, w, mail))
	w.Clock.Advance(20 * time.Hour)
	ch := wantStarted(t, w, ana(), false)
	if _, err := w.SendCode(t.Context(), w.Client, mfa.SendRequest{Challenge: ch.ID}); err != nil {
		t.Fatal(err)
	}
	f := comesBack(t, w, lastMail(t, w, mail))
	take(t, w, f)
	wantReturned(t, w, "bounce") // the user is told only once
	w.Clock.Advance(5 * time.Hour)
	ch = wantStarted(t, w, ana(), false)
	_, err := w.SendCode(t.Context(), w.Client, mfa.SendRequest{Challenge: ch.ID})
	wantCode(t, err, mfa.DeliveryFailed)
	w.Clock.Advance(19 * time.Hour)
	wantStarted(t, w, ana(), true)
}

func TestACodeThatTheProviderRefusesIsNotTheOneThatCanBeAskedFor(t *testing.T) {
	w := kls(t, nil)
	wantStarted(t, w, ana(), true)
	comesBack(t, w, lastMail(t, w, mail))
	ch := wantStarted(t, w, ana(), false)
	w.Outbox.Fail(errRefused, false)
	for range 3 {
		_, err := w.SendCode(t.Context(), w.Client, mfa.SendRequest{Challenge: ch.ID})
		wantCode(t, err, mfa.DeliveryFailed)
	}
	w.Outbox.Fail(nil, false)
	if _, err := w.SendCode(t.Context(), w.Client, mfa.SendRequest{Challenge: ch.ID}); err != nil {
		t.Error(err)
	}
}

func TestEnrollingAnAddressThatMessagesComeBackFromTriesItOnceADay(t *testing.T) {
	w := plain(t, nil)
	begin(t, w, w.Fresh(), mfa.Email)
	comesBack(t, w, lastMail(t, w, mail))
	wantReturned(t, w, "bounce") // the address isn't enrolled yet, but it is the account's
	said := ana().User
	w.Clock.Advance(time.Minute)
	w.Outbox.Fail(errRefused, false) // a refused message doesn't use up the try
	_, refused := w.BeginEnrolment(t.Context(), w.Fresh(), mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.Email})
	w.Outbox.Fail(nil, false)
	if refused != nil && mfa.AsError(refused).Code != mfa.DeliveryFailed {
		t.Fatal(refused)
	}
	begin(t, w, w.Fresh(), mfa.Email)
	w.Clock.Advance(time.Minute)
	_, err := w.BeginEnrolment(t.Context(), w.Fresh(), mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.Email})
	wantCode(t, err, mfa.DeliveryFailed)
	w.Clock.Advance(24 * time.Hour)
	begin(t, w, w.Fresh(), mfa.Email)
}

func TestAForcedEnrolmentTriesAnAddressThatMessagesComeBackFromOnceADay(t *testing.T) {
	w := plain(t, everyone)
	_, call := mustEnrol(t, w, ana())
	prove := func(call mfa.Call) error {
		_, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.TOTP})
		return err
	}
	if err := prove(call); err != nil {
		t.Fatal(err)
	}
	comesBack(t, w, lastMail(t, w, mail))
	wantReturned(t, w, "bounce")
	w.Clock.Advance(time.Minute)
	if err := prove(call); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(time.Minute)
	wantCode(t, prove(call), mfa.DeliveryFailed)
}

func TestAnotherFactorIsAskedForBeforeAnAddressThatMessagesComeBackFrom(t *testing.T) {
	w := plain(t, nil)
	enrolMail(t, w, w.Fresh())
	a, _ := enrolApp(t, w, steppedUpByMail(t, w))
	byMail := ana()
	method := mfa.Email
	byMail.Method = &method
	w.Clock.Advance(time.Minute)
	wantStarted(t, w, byMail, true)
	comesBack(t, w, lastMail(t, w, mail))
	ch := started(t, w, byMail)
	if *ch.Default != a.Factor || ch.Sent != nil || ch.SendError != "" || len(ch.Methods) != 2 {
		t.Errorf("got %+v, want the app asked for, and both offered", ch)
	}
	if ch = wantStarted(t, w, stepUpOf(byMail), false); len(ch.Methods) != 1 { // this step-up accepts only email
		t.Errorf("got %+v, want only the address", ch.Methods)
	}
	if _, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: started(t, w, ana()).ID, Factor: a.Factor, Answer: mfa.Answer{Code: w.NextCode(a)}}); err != nil {
		t.Error(err)
	}
	wantStarted(t, w, stepUpOf(byMail), false) // an answer by another factor doesn't show that the address works
}

func TestAnotherAddressOfTheUserIsAskedForFirst(t *testing.T) {
	const other = "ana@home.example"
	w := plain(t, nil)
	first := enrolMail(t, w, w.Fresh())
	moved := ana()
	moved.User.Email = mfa.Some(other)
	q := stepUpOf(ana())
	answer, err := verify(t, w, started(t, w, q).ID, w.Outbox.Code(t, mail), false)
	if err != nil {
		t.Fatal(err)
	}
	call := w.Fresh()
	call.Proof = answer.Token
	put(t, w, moved.User)
	w.Clock.Advance(time.Minute)
	q.User = moved.User
	answer, err = verify(t, w, started(t, w, q).ID, w.Outbox.Code(t, mail), false)
	if err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(time.Minute)
	call.Proof = answer.Token
	call.Reauthenticated = w.Clock.Now().Format(time.RFC3339)
	second := w.EnrolEmail(t, call, org, moved.User, other)
	w.Clock.Advance(time.Minute)
	ch := started(t, w, moved)
	if *ch.Default != second.Factor.ID {
		t.Fatalf("got %s asked for, want the last that was used, %s", *ch.Default, second.Factor.ID)
	}
	comesBack(t, w, lastMail(t, w, other))
	if got := wantReturned(t, w, "bounce").Data["factor"]; got != second.Factor.ID {
		t.Errorf("got an event about %v, want %s", got, second.Factor.ID)
	}
	w.Clock.Advance(time.Minute)
	if ch = started(t, w, moved); *ch.Default != first.Factor.ID || ch.Sent == nil || ch.Sent.Factor != first.Factor.ID {
		t.Errorf("got %s asked for and %+v sent, want the first address", *ch.Default, ch.Sent)
	}
}

func TestFeedbackThatDoesNotMatterAnyMoreDoesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		before func(t *testing.T, w *mfatest.World, ch *mfa.ChallengeToAnswer)
		change func(f *mfa.Feedback)
	}{
		"the address has changed": {before: func(t *testing.T, w *mfatest.World, _ *mfa.ChallengeToAnswer) {
			put(t, w, mfa.Person{ID: user, Email: mfa.Some("new@acme.example")})
		}},
		"the user was erased, and made again": {before: func(t *testing.T, w *mfatest.World, _ *mfa.ChallengeToAnswer) {
			if err := w.EraseUser(t.Context(), w.Client, org, user); err != nil {
				t.Fatal(err)
			}
			put(t, w, ana().User)
		}},
		"the user was erased": {before: func(t *testing.T, w *mfatest.World, _ *mfa.ChallengeToAnswer) {
			if err := w.EraseUser(t.Context(), w.Client, org, user); err != nil {
				t.Fatal(err)
			}
		}},
		"the code was answered": {before: func(t *testing.T, w *mfatest.World, ch *mfa.ChallengeToAnswer) {
			if _, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), false); err != nil {
				t.Fatal(err)
			}
		}},
		"a day is over":         {change: func(f *mfa.Feedback) { f.Sent = f.Sent.Add(-24 * time.Hour) }},
		"it comes from later":   {change: func(f *mfa.Feedback) { f.Sent = f.Sent.Add(time.Hour) }},
		"no user":               {change: func(f *mfa.Feedback) { f.Reference.User = "" }},
		"half a user":           {change: func(f *mfa.Feedback) { f.Reference.User = f.Reference.User[:22] }},
		"no text for a user":    {change: func(f *mfa.Feedback) { f.Reference.User = "u#*" }},
		"another user":          {change: func(f *mfa.Feedback) { f.Reference.User = strings.Repeat("A", len(f.Reference.User)) }},
		"another org":           {change: func(f *mfa.Feedback) { f.Reference.User = otherOrg(f.Reference.User) }},
		"no address":            {change: func(f *mfa.Feedback) { f.Reference.Address = "" }},
		"no text for a hash":    {change: func(f *mfa.Feedback) { f.Reference.Address = "?" }},
		"the hash of a message": {change: func(f *mfa.Feedback) { f.Reference.Address = strings.Repeat("A", len(f.Reference.Address)) }},
	} {
		t.Run(name, func(t *testing.T) {
			w := kls(t, nil)
			ch := wantStarted(t, w, ana(), true)
			f := mfa.Feedback{Reference: lastMail(t, w, mail).Reference, Sent: w.Clock.Now()}
			w.Clock.Advance(time.Minute)
			if c.before != nil {
				c.before(t, w, ch)
			} else {
				c.change(&f)
			}
			take(t, w, f)
			wantReturned(t, w)
			w.Clock.Advance(time.Minute)
			wantStarted(t, w, ana(), true)
		})
	}
}

// otherOrg changes the org in a reference to a user.
func otherOrg(user string) string {
	raw, _ := base64.RawURLEncoding.DecodeString(user)
	raw[0] ^= 1
	return base64.RawURLEncoding.EncodeToString(raw)
}

func TestACodeThatWasAnsweredInTimeDoesNotUndoAComplaint(t *testing.T) {
	w := kls(t, nil)
	ch := wantStarted(t, w, ana(), true)
	f := mfa.Feedback{Reference: lastMail(t, w, mail).Reference, Sent: w.Clock.Now(), Complaint: true}
	w.Clock.Advance(time.Second)
	if _, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), false); err != nil {
		t.Fatal(err)
	}
	take(t, w, f)
	wantReturned(t, w, "complaint")
}

func TestAnotherAddressBeginsWithoutAMark(t *testing.T) {
	w := kls(t, nil)
	wantStarted(t, w, ana(), true)
	comesBack(t, w, lastMail(t, w, mail))
	wantStarted(t, w, ana(), false)
	moved := ana()
	moved.User.Email = mfa.Some("new@acme.example")
	if ch := started(t, w, moved); ch.Sent == nil {
		t.Errorf("got %+v, want a code at the new address", ch)
	}
	wantStarted(t, w, ana(), true) // the old address again, which counts as a new one
}

func TestANoticeThatComesBackMarksTheAddressToo(t *testing.T) {
	w, a := protected(t, nil)
	w.Drain(t)
	comesBack(t, w, lastMail(t, w, mail)) // the notice that an app was enrolled
	e := wantReturned(t, w, "bounce")
	said := ana().User
	begun := begin(t, w, stepUp(t, w, a), mfa.Email)
	w.Clock.Advance(time.Minute)
	_, err := w.SendEnrolment(t.Context(), w.Client, begun.ID)
	wantCode(t, err, mfa.DeliveryFailed)
	if id, _ := e.Data["factor"].(string); !strings.HasPrefix(id, "fa_") || said.ID != e.User {
		t.Errorf("got %+v", e)
	}
}

func TestAUserIsToldByOtherChannelsThatMessagesComeBack(t *testing.T) {
	const returned = "Email for your Countersign account could not be delivered"
	w, _ := phoned(t, mail, nil)
	w.Drain(t)
	m := lastMail(t, w, mail)
	before := len(texted(t, w, number))
	comesBack(t, w, m)
	if got := texted(t, w, number)[before:]; !slices.Equal(got, []string{returned}) {
		t.Errorf("got %q by SMS", got)
	}
	wantNotices(t, w, "at the address", mail, 1)
	before = len(texted(t, w, number))
	lockBySMS(t, w)
	if got := texted(t, w, number)[before:]; !slices.Equal(got, []string{aboutLock}) {
		t.Errorf("got %q by SMS, want the lock told by every channel", got)
	}
	wantNotices(t, w, "at the address", mail, 1, aboutLock)
}

func TestAReferenceSaysNothingOfThePerson(t *testing.T) {
	w := kls(t, nil)
	wantStarted(t, w, ana(), true)
	m := lastMail(t, w, mail)
	seen := map[string]bool{}
	for _, text := range []string{m.Reference.User, m.Reference.Factor, m.Reference.Address} {
		if text == "" || len(text) > 256 || seen[text] || strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") != "" {
			t.Errorf("got %q", text)
		}
		seen[text] = true
	}
	other := mfatest.New(t)
	other.SetPolicy(t, org, "kls", nil)
	wantStarted(t, other, ana(), true)
	if there := lastMail(t, other, mail).Reference; there.Address == m.Reference.Address {
		t.Error("two deployments have the same hash of an address")
	}
	wantReturned(t, w)
	take(t, other, mfa.Feedback{Reference: m.Reference, Sent: other.Clock.Now()})
	wantReturned(t, other)
}

func TestFeedbackWaitsWhileTheStoreIsOutOfReach(t *testing.T) {
	w := kls(t, nil)
	wantStarted(t, w, ana(), true)
	f := mfa.Feedback{Reference: lastMail(t, w, mail).Reference, Sent: w.Clock.Now()}
	for _, method := range []fault.Method{fault.Get, fault.Query, fault.Commit} {
		w.Faults.Inject(method, -1, fault.Fail(nil))
		if err := w.TakeFeedback(t.Context(), f); !errors.Is(err, fault.Err) {
			t.Errorf("%s: got %v, want an error, so that it is given again", method, err)
		}
		w.Faults.Clear()
	}
	w.Faults.Inject(fault.Commit, 1, fault.Lose(nil))
	if err := w.TakeFeedback(t.Context(), f); err != nil {
		take(t, w, f)
	}
	wantReturned(t, w, "bounce")
}
