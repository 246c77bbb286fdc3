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
	"countersign/pkg/store/fault"
)

// repeatable are the calls that send a code. Each prepares a world for its call, and returns the call, which can be repeated
// under the same Idempotency-Key.
func repeatable() map[string]func(*testing.T) (*mfatest.World, func() answered) {
	begin := func(t *testing.T, w *mfatest.World, call mfa.Call, q mfa.EnrolRequest) func() answered {
		call = keyed(call, "/v1/enrolments", "k", "{}")
		return func() answered { return heard(w.BeginEnrolment(t.Context(), call, q)) }
	}
	calls := map[string]func(*testing.T) (*mfatest.World, func() answered){
		"a proof": func(t *testing.T) (*mfatest.World, func() answered) {
			w := plain(t, everyone)
			_, call := mustEnrol(t, w, ana())
			return w, begin(t, w, call, mfa.EnrolRequest{Kind: mfa.TOTP})
		},
		"an enrolment": func(t *testing.T) (*mfatest.World, func() answered) {
			w := plain(t, nil)
			said := ana().User
			return w, begin(t, w, w.Fresh(), mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.Email})
		},
		"an enrolment's code sent again": func(t *testing.T) (*mfatest.World, func() answered) {
			w := plain(t, nil)
			said := ana().User
			begun, err := w.BeginEnrolment(t.Context(), w.Fresh(), mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.Email})
			if err != nil {
				t.Fatal(err)
			}
			w.Clock.Advance(30 * time.Second)
			call := keyed(w.Client, "/v1/enrolments/send", "k", "{}")
			return w, func() answered { return heard(w.SendEnrolment(t.Context(), call, begun.ID)) }
		},
	}
	for _, purpose := range []string{mfa.SignIn, mfa.StepUp} {
		q := ana()
		q.Purpose = purpose
		calls["a "+purpose] = func(t *testing.T) (*mfatest.World, func() answered) {
			w := kls(t, nil)
			call := keyed(w.Client, "/v1/challenges", "k", "{}")
			return w, func() answered { return startKeyed(t, w, call, q) }
		}
		calls["the code of a "+purpose+" sent again"] = func(t *testing.T) (*mfatest.World, func() answered) {
			w := kls(t, nil)
			ch := started(t, w, q)
			w.Clock.Advance(30 * time.Second)
			call := keyed(mfa.Call{Bearer: ch.Token.Reveal()}, "/v1/challenges/send", "k", "{}")
			return w, func() answered {
				return heard(w.SendCode(t.Context(), call, mfa.SendRequest{Challenge: ch.ID}))
			}
		}
	}
	return calls
}

// wantUnknown fails the test unless the answer says that it isn't known whether a code was sent.
func wantUnknown(t *testing.T, name string, got answered) {
	t.Helper()
	if got.Code != "" || got.Said["sequence"] != "" || got.Said["send_error"] != string(mfa.DeliveryUnknown) {
		t.Errorf("%s: got %+v, want delivery_unknown and nothing sent", name, got)
	}
}

// dyingMail is the mailer of a process that dies before or after it has handed a message over.
type dyingMail struct {
	*mfatest.Outbox
	taken bool
}

var errDied = errors.New("the process died")

func (m dyingMail) SendMail(ctx context.Context, message message.Message) error {
	if m.taken {
		m.Outbox.SendMail(ctx, message)
	}
	panic(errDied)
}

// dying makes a call in a process that dies, and reports whether it died.
func dying(call func() answered) (died bool) {
	defer func() { died = recover() == errDied }()
	call()
	return false
}

func TestARetryAfterACrashBeforeTheHandOverWasRecordedNeverSaysSent(t *testing.T) {
	for name, prepare := range repeatable() {
		for _, taken := range []bool{false, true} {
			w, call := prepare(t)
			w.Mail = dyingMail{w.Outbox, taken}
			if !dying(call) {
				t.Fatalf("%s: the call didn't get as far as sending", name)
			}
			before := len(w.Outbox.To(mail))
			w.Mail = w.Outbox
			for range 3 {
				wantUnknown(t, name, call())
			}
			if got := len(w.Outbox.To(mail)); got != before {
				t.Errorf("%s: got %d emails for a retry, want none", name, got-before)
			}
		}
	}
}

func TestARetryAfterAllAnswersOfTheCommitWereLostNeverSaysSent(t *testing.T) {
	for name, prepare := range repeatable() {
		w, call := prepare(t)
		before := len(w.Outbox.To(mail))
		w.Faults.Inject(fault.Commit, -1, fault.Lose(nil))
		if got := call(); got.Code != mfa.Unavailable {
			t.Fatalf("%s: got %+v, want unavailable", name, got)
		}
		w.Faults.Clear()
		wantUnknown(t, name, call())
		if got := len(w.Outbox.To(mail)); got != before {
			t.Errorf("%s: got %d emails, want none", name, got-before)
		}
	}
}

func TestARetryOfWhatWasHandedOverSaysSoAndWhereThatCouldNotBeRecordedDoesNot(t *testing.T) {
	for name, prepare := range repeatable() {
		w, call := prepare(t)
		first := call()
		if first.Code != "" || first.Said["sequence"] == "" || first.Said["send_error"] != "" {
			t.Fatalf("%s: got %+v, want a code sent", name, first)
		}
		if got := call(); !same(got, first) {
			t.Errorf("%s, again: got %+v, want %+v", name, got, first)
		}

		w, call = prepare(t)
		w.Mail = &slowMail{Outbox: w.Outbox, meanwhile: func() { w.Faults.Inject(fault.Commit, -1, fault.Fail(nil)) }}
		if got := call(); !same(got, first) && got.Said["sequence"] == "" {
			t.Errorf("%s, not recorded: got %+v, want a code sent", name, got)
		}
		w.Faults.Clear()
		wantUnknown(t, name+", not recorded", call())
	}
}

func TestARetryOfWhatTheProviderDidNotTakeIsToldSoAtAStartAndTriedAnewElsewhere(t *testing.T) {
	for name, prepare := range repeatable() {
		for _, failed := range []error{errRefused, errProvider} {
			w, call := prepare(t)
			w.Outbox.Fail(failed, false)
			first := call()
			w.Outbox.Fail(nil, false)
			before := len(w.Outbox.To(mail))
			again := call()
			if first.Said["id"] != "" { // the call is a start
				if first.Said["send_error"] != string(mfa.DeliveryFailed) || !same(again, first) || len(w.Outbox.To(mail)) != before {
					t.Errorf("%s: got %+v, then %+v, want delivery_failed both times", name, first, again)
				}
				continue
			}
			if first.Code != mfa.DeliveryFailed || again.Said["sequence"] == "" || len(w.Outbox.To(mail)) != before+1 {
				t.Errorf("%s: got %+v, then %+v, want delivery_failed, then a code", name, first, again)
			}
		}
	}
}

func TestAfterAnUnknownDeliveryACodeCanBeAskedForAgain(t *testing.T) {
	w := kls(t, nil)
	call := keyed(w.Client, "/v1/challenges", "k", "{}")
	w.Mail = dyingMail{w.Outbox, false}
	dying(func() answered { return startKeyed(t, w, call, ana()) })
	w.Mail = w.Outbox
	again := startKeyed(t, w, call, ana())
	w.Clock.Advance(30 * time.Second)
	answer, err := w.SendCode(t.Context(), mfa.Call{Bearer: again.Said["challenge_token"]}, mfa.SendRequest{Challenge: again.Said["id"]})
	if err != nil || answer.Sent.Sequence != "B" {
		t.Fatalf("got %+v, %v, want code B", answer, err)
	}
	if _, err := verify(t, w, again.Said["id"], w.Outbox.Code(t, mail), false); err != nil {
		t.Error(err)
	}
}

func TestWhatIsRecordedOfAHandOverIsForWhoCouldMakeTheCall(t *testing.T) {
	w := plain(t, nil)
	begun := begin(t, w, w.Fresh(), mfa.Email)
	w.Clock.Advance(30 * time.Second)
	narrow := w.NewClient(t, apikey.Grant{Client: "app", Scopes: []apikey.Scope{apikey.Admin}})
	again := func(call mfa.Call) answered {
		return heard(w.SendEnrolment(t.Context(), keyed(call, "/v1/enrolments/send", "k", "{}"), begun.ID))
	}
	if got := again(w.Client); got.Said["sequence"] != "B" {
		t.Fatalf("got %+v, want code B", got)
	}
	if got := again(narrow); got.Code == "" || got.Said["sequence"] != "" {
		t.Errorf("with a key that couldn't make the call: got %+v, want a refusal", got)
	}
	if got := again(w.Client); got.Said["sequence"] != "B" {
		t.Errorf("again: got %+v, want code B", got)
	}
}
