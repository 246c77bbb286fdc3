package mfa_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"countersign/pkg/message"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/store/fault"
)

// errRefused is the error of a mailer whose provider has certainly not taken the message.
var errRefused = fmt.Errorf("the provider is closed: %w", mfa.ErrNotTaken)

// A sending makes a world, and tries to send ana a code in it. try returns the error code, which is empty if the code was
// sent.
type sending struct {
	world func(*testing.T) *mfatest.World
	try   func(*testing.T, *mfatest.World, *mfa.Service) mfa.ErrorCode
}

// sendings are all the ways in which a code is sent.
func sendings() map[string]sending {
	signIn := func(t *testing.T) *mfatest.World { return kls(t, nil) }
	free := func(t *testing.T) *mfatest.World { return plain(t, nil) }
	forced := func(t *testing.T) *mfatest.World { return plain(t, everyone) }
	start := func(t *testing.T, w *mfatest.World, s *mfa.Service, purpose string) (string, mfa.ErrorCode) {
		q := ana()
		q.Purpose = purpose
		answer, err := s.StartChallenge(t.Context(), w.Client, q)
		if err != nil {
			return "", mfa.AsError(err).Code
		}
		return answer.Challenge.ID, answer.Challenge.SendError
	}
	begin := func(t *testing.T, w *mfatest.World, s *mfa.Service) (string, mfa.ErrorCode) {
		said := ana().User
		begun, err := s.BeginEnrolment(t.Context(), w.Fresh(), mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.Email})
		if err != nil {
			return "", mfa.AsError(err).Code
		}
		return begun.ID, ""
	}
	return map[string]sending{
		"a sign-in": {signIn, func(t *testing.T, w *mfatest.World, s *mfa.Service) mfa.ErrorCode {
			_, code := start(t, w, s, mfa.SignIn)
			return code
		}},
		"a step-up": {signIn, func(t *testing.T, w *mfatest.World, s *mfa.Service) mfa.ErrorCode {
			_, code := start(t, w, s, mfa.StepUp)
			return code
		}},
		"an enrolment": {free, func(t *testing.T, w *mfatest.World, s *mfa.Service) mfa.ErrorCode {
			_, code := begin(t, w, s)
			return code
		}},
		"a proof": {forced, func(t *testing.T, w *mfatest.World, s *mfa.Service) mfa.ErrorCode {
			_, call := mustEnrol(t, w, ana())
			if _, err := s.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.TOTP}); err != nil {
				return mfa.AsError(err).Code
			}
			return ""
		}},
	}
}

func TestAnOutageOfTheProviderCostsTheUserNoCode(t *testing.T) {
	for name, c := range sendings() {
		w := c.world(t)
		w.Outbox.Fail(errRefused, false)
		for i := range 35 { // more than the number of codes in a day
			w.Clock.Advance(time.Second)
			if got := c.try(t, w, w.Service); got != mfa.DeliveryFailed {
				t.Fatalf("%s, refused for the %d. time: got %q, want delivery_failed", name, i+1, got)
			}
		}
		w.Outbox.Fail(nil, false)
		for i := range 11 {
			w.Clock.Advance(time.Second)
			want := mfa.ErrorCode("")
			if i == 10 {
				want = mfa.TooManySends
			}
			if got := c.try(t, w, w.Service); got != want {
				t.Errorf("%s, code %d once the provider is back: got %q, want %q", name, i+1, got, want)
			}
		}
		if got := len(w.Outbox.To(mail)); got != 10 {
			t.Errorf("%s: got %d emails, want 10", name, got)
		}
	}
}

func TestWhatTheProviderMayHaveTakenStaysCounted(t *testing.T) {
	for name, c := range sendings() {
		for _, lost := range []bool{true, false} {
			w := c.world(t)
			w.Outbox.Fail(errProvider, lost)
			for range 10 {
				if got := c.try(t, w, w.Service); got != mfa.DeliveryFailed {
					t.Fatalf("%s: got %q, want delivery_failed", name, got)
				}
			}
			w.Outbox.Fail(nil, false)
			if got := c.try(t, w, w.Service); got != mfa.TooManySends {
				t.Errorf("%s, the eleventh: got %q, want too_many_sends", name, got)
			}
			w.Clock.Advance(time.Hour)
			if got := c.try(t, w, w.Service); got != "" {
				t.Errorf("%s, after the hour: got %q", name, got)
			}
		}
	}
}

// fickleMail takes the first of three messages, takes the second but loses the answer, and refuses the third. Then it begins
// again.
type fickleMail struct {
	mu    sync.Mutex
	asked int
	may   int // the number of messages that may have been taken
}

func (m *fickleMail) SendMail(context.Context, message.Message) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	switch m.asked % 3 {
	case 1:
		m.may++
		return nil
	case 2:
		m.may++
		return errProvider
	}
	return errRefused
}

func TestI9ManySendsAtOnceToAFickleProviderNeverPassTheCapOfWhatItMayHaveTaken(t *testing.T) {
	for name, c := range sendings() {
		if name == "a proof" { // a proof also needs a start, whose races have tests of their own
			continue
		}
		for range rounds() {
			w := c.world(t)
			m := &fickleMail{}
			w.Mail = m
			services := twice(w)
			var heard tally
			atOnce(64, func(i int) {
				code := c.try(t, w, services[i%2])
				if code != "" {
					heard.add(&mfa.Error{Code: code})
				}
			})
			heard.wantOnly(t, mfa.TooManySends, mfa.DeliveryFailed, mfa.Busy)
			if m.may > 10 {
				t.Errorf("%s: the provider may have taken %d, want 10 at most", name, m.may)
			}
			w.Mail = w.Outbox
			for i := m.may; i < 10; i++ {
				if got := c.try(t, w, w.Service); got != "" {
					t.Errorf("%s, the %d. that may be taken: got %q", name, i+1, got)
				}
			}
			if got := c.try(t, w, w.Service); got != mfa.TooManySends {
				t.Errorf("%s, one more: got %q, want too_many_sends", name, got)
			}
		}
	}
}

// resendings are the ways in which a code is sent again. Each of them begins a sign-in or an enrolment, which sends code A,
// and returns the function that sends the next code.
func resendings(t *testing.T) map[string]func() (*mfatest.World, func() (*mfa.Sent, error)) {
	again := func(answer mfa.SendAnswer, err error) (*mfa.Sent, error) { return answer.Sent, err }
	return map[string]func() (*mfatest.World, func() (*mfa.Sent, error)){
		"a sign-in": func() (*mfatest.World, func() (*mfa.Sent, error)) {
			w := kls(t, nil)
			ch := started(t, w, ana())
			return w, func() (*mfa.Sent, error) { return again(send(t, w, ch.ID)) }
		},
		"an enrolment": func() (*mfatest.World, func() (*mfa.Sent, error)) {
			w := plain(t, nil)
			begun := begin(t, w, w.Fresh(), mfa.Email)
			return w, func() (*mfa.Sent, error) { return again(w.SendEnrolment(t.Context(), w.Client, begun.ID)) }
		},
		"a proof": func() (*mfatest.World, func() (*mfa.Sent, error)) {
			w := plain(t, everyone)
			_, call := mustEnrol(t, w, ana())
			proving(t, w, call)
			return w, func() (*mfa.Sent, error) {
				answer, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.TOTP})
				if err != nil {
					return nil, err
				}
				return answer.Prove.Sent, nil
			}
		},
	}
}

func TestAFailedDeliveryGivesBackNothingOfALaterCode(t *testing.T) {
	for name, begun := range resendings(t) {
		w, again := begun()
		w.Clock.Advance(30 * time.Second)
		// While the provider has code B, which it will refuse, 30 seconds pass and code C is sent.
		w.Mail = &slowMail{Outbox: w.Outbox, err: errRefused, meanwhile: func() {
			w.Clock.Advance(30 * time.Second)
			if sent, err := again(); err != nil || sent.Sequence != "C" {
				t.Errorf("%s: got %+v, %v, want code C", name, sent, err)
			}
		}}
		_, err := again()
		wantCode(t, err, mfa.DeliveryFailed)
		_, err = again()
		if e := wantCode(t, err, mfa.TooManySends); e.RetryAfter != 30*time.Second {
			t.Errorf("%s: got a wait of %v, want the 30s of code C", name, e.RetryAfter)
		}
		// Codes A and C are counted at the moments at which they were sent.
		w.Clock.Advance(30 * time.Second)
		signIn := sendings()["a step-up"]
		w.SetPolicy(t, org, "kls", nil)
		for range 8 {
			if got := signIn.try(t, w, w.Service); got != "" {
				t.Errorf("%s: got %q, want eight more codes", name, got)
			}
		}
		for _, frees := range []time.Duration{time.Hour - 90*time.Second, time.Minute} { // one hour after A, and one hour after C
			w.Clock.Advance(frees - time.Second)
			if got := signIn.try(t, w, w.Service); got != mfa.TooManySends {
				t.Errorf("%s, a second too early: got %q, want too_many_sends", name, got)
			}
			w.Clock.Advance(time.Second)
			if got := signIn.try(t, w, w.Service); got != "" {
				t.Errorf("%s, an hour after a code: got %q, want another", name, got)
			}
		}
	}
}

func TestAFailedDeliveryGivesBackNothingOfAnEnrolmentBegunMeanwhile(t *testing.T) {
	for _, failed := range []error{errRefused, errProvider} {
		w := plain(t, nil)
		var second mfa.EnrolAnswer
		w.Mail = &slowMail{Outbox: w.Outbox, err: failed, meanwhile: func() { second = begin(t, w, w.Fresh(), mfa.Email) }}
		said := ana().User
		_, err := w.BeginEnrolment(t.Context(), w.Fresh(), mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.Email})
		wantCode(t, err, mfa.DeliveryFailed)
		_, err = w.SendEnrolment(t.Context(), w.Client, second.ID)
		if e := wantCode(t, err, mfa.TooManySends); e.RetryAfter != 30*time.Second {
			t.Errorf("%v: got a wait of %v, want the 30s of the second enrolment", failed, e.RetryAfter)
		}
		if _, err := finish(t, w, w.Client, second.ID, w.Outbox.Code(t, mail)); err != nil {
			t.Errorf("%v: the second enrolment: %v", failed, err)
		}
		if told := events(t, w, mfa.DeliveryFailure); len(told) != 1 || told[0].Data["enrolment"] == second.ID {
			t.Errorf("%v: got %+v, want one delivery.failed, of the first enrolment", failed, told)
		}
	}
}

func TestWhatIsGivenBackIsGivenBackOnceThoughItsAnswerIsLost(t *testing.T) {
	for name, begun := range resendings(t) {
		w, again := begun()
		w.SetPolicy(t, org, "kls", nil)
		signIn := sendings()["a step-up"]
		w.Clock.Advance(30 * time.Second)
		for range 2 {
			signIn.try(t, w, w.Service) // at the same moment as codes B and C
		}
		if name != "a sign-in" {
			w.SetPolicy(t, org, "default", everyone)
		}
		// The commit that records the refusal of code B takes effect, but its answer is lost. At that moment code C is sent.
		w.Mail = &slowMail{Outbox: w.Outbox, err: errRefused, meanwhile: func() {
			w.Faults.Inject(fault.Commit, 1, fault.Fault{After: func(context.Context) error {
				if sent, err := again(); err != nil || sent.Sequence != "C" {
					t.Errorf("%s: got %+v, %v, want code C", name, sent, err)
				}
				return fault.Err
			}})
		}}
		_, err := again()
		wantCode(t, err, mfa.DeliveryFailed)
		w.SetPolicy(t, org, "kls", nil)
		for i := range 7 {
			if got := signIn.try(t, w, w.Service); (got == "") != (i < 6) {
				t.Errorf("%s, code %d after A, C and two more: got %q, want six", name, i+1, got)
			}
		}
	}
}
