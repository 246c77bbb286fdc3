package mfa_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/store/fault"
)

// texted returns what the notices by SMS to a number say has happened, the oldest first.
func texted(t *testing.T, w *mfatest.World, number string) (all []string) {
	t.Helper()
	w.Drain(t)
	for _, m := range w.Outbox.Texts(number) {
		if m.Code.IsZero() {
			what, _, _ := strings.Cut(m.Text, ". ")
			all = append(all, what)
		}
	}
	return all
}

func wantTexted(t *testing.T, w *mfatest.World, number string, want ...string) {
	t.Helper()
	if got := texted(t, w, number); !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", number, got, want)
	}
}

const (
	secondNumber  = "+447400123456"
	aboutEnrolled = "A new way to sign in to your Countersign account"
	aboutRemoved  = "A way to sign in was removed from your Countersign account"
	aboutNumber   = "The phone number of your Countersign account has changed"
	aboutRecovery = "A recovery code of your Countersign account was used"
)

// phoned makes a world in which a user has enrolled number. email is their address, and may be empty.
func phoned(t *testing.T, email string, change func(*mfa.Policy)) (*mfatest.World, mfa.FinishAnswer) {
	t.Helper()
	w := texting(t, change)
	person := mfa.Person{ID: user}
	if email != "" {
		person.Email = mfa.Some(email)
	}
	put(t, w, person)
	return w, w.EnrolSMS(t, w.Fresh(), org, mfa.Person{ID: user}, number)
}

// stepUpBySMS lets the user step up with their number, and returns a fresh call with the proof.
func stepUpBySMS(t *testing.T, w *mfatest.World) mfa.Call {
	t.Helper()
	w.Clock.Advance(time.Hour)
	ch := started(t, w, mfa.StartRequest{Org: org, User: mfa.Person{ID: user}, Purpose: mfa.StepUp})
	texts := w.Outbox.Texts("")
	verified, err := verify(t, w, ch.ID, texts[len(texts)-1].Code, false)
	if err != nil {
		t.Fatal(err)
	}
	call := w.Fresh()
	call.Proof = verified.Token
	return call
}

// lockBySMS answers with as many wrong codes as it takes to lock the user.
func lockBySMS(t *testing.T, w *mfatest.World) {
	t.Helper()
	for range 2 {
		ch := started(t, w, mfa.StartRequest{Org: org, User: mfa.Person{ID: user}})
		for range 5 {
			_, err := verify(t, w, ch.ID, mfatest.Wrong(w.Outbox.Code(t, number)), false)
			wantCode(t, err, mfa.WrongCode)
		}
	}
}

func TestAUserWithoutAnAddressIsToldBySMS(t *testing.T) {
	w, _ := phoned(t, "", nil)
	lockBySMS(t, w)
	wantTexted(t, w, number, aboutEnrolled, aboutLock)
	for _, m := range w.Outbox.Texts(number) {
		if m.Code.IsZero() && (len(m.Text) > 160 || m.ValidFor != 0 || strings.Contains(m.Text, "@")) {
			t.Errorf("got %+v", m)
		}
	}
	w, _ = phoned(t, mail, nil)
	lockBySMS(t, w)
	wantTexted(t, w, number)
	wantNotices(t, w, "with an address", mail, 0, aboutEnrolled, aboutLock)
}

func TestE10TheFormerNumberIsToldOfAChangeOfNumbers(t *testing.T) {
	w, done := phoned(t, mail, nil)
	w.EnrolSMS(t, stepUpBySMS(t, w), org, mfa.Person{ID: user}, secondNumber)
	wantTexted(t, w, number, aboutEnrolled)
	wantTexted(t, w, secondNumber)
	if err := w.RemoveFactor(t.Context(), stepUpBySMS(t, w), org, user, done.Factor.ID); err != nil {
		t.Fatal(err)
	}
	wantTexted(t, w, number, aboutEnrolled, aboutRemoved)
	wantTexted(t, w, secondNumber, aboutRemoved)
	wantNotices(t, w, "by email too", mail, 1, aboutEnrolled, aboutRemoved)
}

func TestE10EveryChannelIsToldOfAnotherAddressOrPhone(t *testing.T) {
	w, _ := phoned(t, mail, nil)
	put(t, w, mfa.Person{ID: user, Phone: mfa.Some("+33698765432")})
	wantTexted(t, w, number) // adding a first phone number isn't a change that the user is told of
	put(t, w, mfa.Person{ID: user, Phone: mfa.Some("+33698765433")})
	wantTexted(t, w, number, aboutNumber)
	wantNotices(t, w, "another phone", mail, 1, aboutNumber)
	put(t, w, mfa.Person{ID: user, Email: mfa.Some("new@other.example")})
	wantTexted(t, w, number, aboutNumber, aboutMove)
	wantNotices(t, w, "the earlier address", mail, 2, aboutMove)
	wantNotices(t, w, "the new address", "new@other.example", 0, aboutMove)
	put(t, w, mfa.Person{ID: user, Phone: mfa.Optional[string]{Set: true}})
	wantTexted(t, w, number, aboutNumber, aboutMove, aboutNumber)
	if got := w.Outbox.Texts("+33698765433"); len(got) != 0 {
		t.Errorf("got %+v to a number that nobody has proven", got)
	}
}

func TestAResetIsToldToTheNumberThatItRemoves(t *testing.T) {
	for _, email := range []string{"", mail} {
		w, done := phoned(t, email, nil)
		ch := started(t, w, mfa.StartRequest{Org: org, User: mfa.Person{ID: user}})
		if _, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: ch.ID, Code: done.RecoveryCodes[0]}); err != nil {
			t.Fatal(err)
		}
		got := texted(t, w, number)
		if len(got) == 0 || got[len(got)-1] != aboutRecovery {
			t.Errorf("with the address %q: got %q, want the reset told", email, got)
		}
	}
}

func TestNothingIsToldBySMSWhereThePolicyAllowsNone(t *testing.T) {
	for name, close := range map[string]func(*mfa.Policy){
		"the country": func(p *mfa.Policy) { p.SMS.Countries = []string{"GB"} },
		"SMS":         func(p *mfa.Policy) { p.Methods.SMS = mfa.NotAllowed; p.SMS.Countries = []string{"FR"} },
	} {
		w, _ := phoned(t, "", nil)
		before := len(texted(t, w, number))
		w.SetPolicy(t, org, "salto", close)
		put(t, w, mfa.Person{ID: user, Phone: mfa.Some("+33698765432")})
		put(t, w, mfa.Person{ID: user, Phone: mfa.Some("+33698765433")})
		if got := texted(t, w, number); len(got) != before {
			t.Errorf("%s is closed: got %q", name, got[before:])
		}
	}
}

// rephone changes the user's phone n times. The notices about this never wait until there is room for them.
func rephone(t *testing.T, w *mfatest.World, n int) {
	t.Helper()
	for i := range n {
		put(t, w, mfa.Person{ID: user, Phone: mfa.Some(fmt.Sprintf("+3369876%02d%02d", n, i))})
		w.Drain(t)
	}
}

func TestM1NoticesBySMSHaveABudgetOfTheirOwn(t *testing.T) {
	for name, c := range map[string]struct {
		cap, want int
		budget    string
	}{
		"of the number":       {500, 10, "number"},
		"of the organisation": {3, 3, "organisation"},
	} {
		w, _ := phoned(t, "", func(p *mfa.Policy) { p.SMS.DailyCap = c.cap })
		rephone(t, w, 15)
		if got := len(texted(t, w, number)); got != c.want {
			t.Errorf("%s: got %d notices, want %d", name, got, c.want)
		}
		if by := w.Events.All(); !slices.ContainsFunc(by, func(e activity.Event) bool {
			return e.Type == mfa.DeliveryBlocked && e.Data["budget"] == c.budget && e.Data["channel"] == "sms" && e.Data["about"] != nil
		}) {
			t.Errorf("%s: got no event about it", name)
		}
		if c.cap > 100 {
			wantSent(t, started(t, w, mfa.StartRequest{Org: org, User: mfa.Person{ID: user}}), "") // codes have another budget
		}
		w.Clock.Advance(24 * time.Hour)
		rephone(t, w, 1)
		if got := len(texted(t, w, number)); got != c.want+1 {
			t.Errorf("%s, the next day: got %d notices, want %d", name, got, c.want+1)
		}
	}
}

func TestANoticeBySMSIsNeverHandedOverTwice(t *testing.T) {
	for name, befall := range map[string]struct {
		fail func(*mfatest.World)
		want int
	}{
		"it is taken":          {func(*mfatest.World) {}, 1},
		"the answer is lost":   {func(w *mfatest.World) { w.Outbox.Fail(errProvider, true) }, 1},
		"the provider refuses": {func(w *mfatest.World) { w.Outbox.Fail(errRefused, false) }, 0},
		"it can't be counted":  {func(w *mfatest.World) { w.Faults.Inject(fault.Count, 1, fault.Lose(nil)) }, 1},
		"that it was sent is not kept": {func(w *mfatest.World) {
			w.Faults.Inject(fault.Commit, 1, fault.Fault{})
			w.Faults.Inject(fault.Commit, 20, fault.Fail(nil))
		}, 1},
	} {
		w, _ := phoned(t, "", nil)
		rephone(t, w, 1)
		before := len(texted(t, w, number))
		put(t, w, mfa.Person{ID: user, Phone: mfa.Some("+33698765433")})
		batch := records(t, w)
		befall.fail(w)
		w.Publish(t.Context(), batch)
		w.Outbox.Fail(nil, false)
		w.Faults.Clear()
		publish(t, w, batch, 3)
		if got := len(texted(t, w, number)) - before; got != befall.want {
			t.Errorf("%s: got %d notices, want %d", name, got, befall.want)
		}
	}
}

func TestWhatWaitsIsSummedUpBySMS(t *testing.T) {
	w, _ := phoned(t, "", func(p *mfa.Policy) { p.SMS.UserDailyCap = 1000 })
	call := stepUpBySMS(t, w)
	for range 25 {
		call.Reauthenticated = w.Clock.Now().Format(time.RFC3339)
		if _, err := w.NewRecoveryCodes(t.Context(), call, org, user); err != nil {
			t.Fatal(err)
		}
	}
	w.Drain(t)
	w.Clock.Advance(25 * time.Hour)
	sweep(t, w)
	got := texted(t, w, number)
	if got[len(got)-1] != aboutSeveral {
		t.Errorf("got %q at the end, want what sums up", got[len(got)-1])
	}
}
