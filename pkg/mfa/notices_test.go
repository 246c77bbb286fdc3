package mfa_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/pkg/message"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/store/fault"
)

// notices returns the messages to an address that carry no code, the oldest first.
func notices(w *mfatest.World, address string) []message.Message {
	return slices.DeleteFunc(w.Outbox.To(address), func(m message.Message) bool { return !m.Code.IsZero() })
}

func subjects(messages []message.Message) (all []string) {
	for _, m := range messages {
		all = append(all, m.Subject)
	}
	return all
}

// These are the subjects of notices.
const (
	aboutLock         = "Too many wrong codes for your Countersign account"
	aboutRecoveryLock = "Too many wrong recovery codes for your Countersign account"
	aboutRecoveryMade = "New recovery codes for your Countersign account"
	aboutMove         = "The email address of your Countersign account has changed"
	aboutSeveral      = "Several things have happened to your Countersign account"
)

// wantNotices fails the test unless the notices to an address, after the first since notices, have exactly these subjects.
func wantNotices(t *testing.T, w *mfatest.World, what, address string, since int, want ...string) {
	t.Helper()
	w.Drain(t)
	if got := subjects(notices(w, address)[since:]); !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// noisy makes a world in which ana has an app, and has already got as many notices as she may get in a day. remake causes
// one more.
func noisy(t *testing.T) (w *mfatest.World, remake func()) {
	t.Helper()
	return noisyAfter(t, 0)
}

// noisyAfter is noisy with the clock moved on by d before the first notice.
func noisyAfter(t *testing.T, d time.Duration) (w *mfatest.World, remake func()) {
	t.Helper()
	w = plain(t, nil)
	w.Clock.Advance(d)
	a, _ := enrolApp(t, w, w.Fresh())
	call := stepUp(t, w, a)
	remake = func() {
		t.Helper()
		call.Reauthenticated = w.Clock.Now().Format(time.RFC3339)
		if _, err := w.NewRecoveryCodes(t.Context(), call, org, user); err != nil {
			t.Fatal(err)
		}
	}
	for range 19 { // the app's enrolment brought one notice
		remake()
	}
	w.Drain(t)
	if got := len(notices(w, mail)); got != 20 {
		t.Fatalf("got %d notices, want 20", got)
	}
	return w, remake
}

func TestNoticesHaveABudgetOfTheirOwnAndCostNoCode(t *testing.T) {
	w, remake := noisy(t)
	remake()
	wantNotices(t, w, "the 21st of a day", mail, 20)
	w.SetPolicy(t, org, "kls", nil)
	for range 10 {
		if ch := started(t, w, ana()); ch.Sent == nil {
			t.Fatalf("got %q, want ten codes in the hour", ch.SendError)
		}
	}
	w = kls(t, nil)
	ids := []string{}
	for range 10 {
		ids = append(ids, started(t, w, ana()).ID)
	}
	wrongs(t, w, ids[0], 5)
	wrongs(t, w, ids[1], 5)
	wantNotices(t, w, "no code is left", mail, 0, aboutLock)
}

func TestWhatThereWasNoRoomForComesAsOneThatSumsUp(t *testing.T) {
	for name, later := range map[string]func(*testing.T, *mfatest.World){
		"with the user's next event": func(t *testing.T, w *mfatest.World) {
			put(t, w, mfa.Person{ID: user, Locale: mfa.Some(fmt.Sprintf("en-%03d", w.Clock.Now().Unix()/60%1000))})
		},
		"by the sweep": func(t *testing.T, w *mfatest.World) { sweep(t, w) },
	} {
		w, remake := noisy(t)
		for range 3 {
			remake()
			w.Clock.Advance(time.Minute)
		}
		waits := w.Clock.Now()
		w.Drain(t)
		w.Clock.Advance(23*time.Hour + 30*time.Minute)
		later(t, w)
		wantNotices(t, w, name+", too early", mail, 20)
		w.Clock.Advance(30 * time.Minute)
		later(t, w)
		wantNotices(t, w, name, mail, 20, aboutSeveral)
		text := notices(w, mail)[20].Text
		want := "3 times, the last time on 22 November 2026 at " + waits.Add(-time.Minute).Format("15:04")
		if !strings.HasPrefix(text, "Hello Ana,") || !strings.Contains(text, want) || strings.Count(text, "A new set of recovery codes was made") != 1 {
			t.Errorf("%s: want %q in\n%s", name, want, text)
		}
		w.Faults.Reset()
		if _, err := w.SweepHours(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := w.Faults.Counts(); got.Items > 1 { // the mark, and nothing else
			t.Errorf("%s: a sweep after it wrote %d items", name, got.Items)
		}
		w.Clock.Advance(time.Hour)
		later(t, w)
		sweep(t, w)
		wantNotices(t, w, name+", again", mail, 21)
	}
}

func TestANoticeThatSumsUpTakesRoomToo(t *testing.T) {
	w, remake := noisy(t)
	remake()
	w.Drain(t)
	w.Clock.Advance(24 * time.Hour)
	sweep(t, w)
	wantNotices(t, w, "after a day", mail, 20, aboutSeveral)
	codes := []string{}
	for range 19 {
		remakeByMail(t, w)
		codes = append(codes, aboutRecoveryMade)
	}
	remakeByMail(t, w)
	wantNotices(t, w, "19 more of that day, and one that waits", mail, 21, codes...)
}

// remakeByMail makes a new set of recovery codes for ana, with a proof by email.
func remakeByMail(t *testing.T, w *mfatest.World) {
	t.Helper()
	w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Methods.TOTP, p.Methods.Email = mfa.NotAllowed, mfa.Implicit })
	if _, err := w.NewRecoveryCodes(t.Context(), steppedUpByMail(t, w), org, user); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(20 * time.Minute)
}

// enrolOnBehalf lets an administrator enrol an app for ana, which causes a notice to her.
func enrolOnBehalf(t *testing.T, w *mfatest.World) {
	t.Helper()
	begun, err := w.BeginEnrolment(t.Context(), w.Client, mfa.EnrolRequest{
		Org: org, User: &mfa.Person{ID: user}, Kind: mfa.TOTP, OnBehalf: &mfa.Intervention{Actor: "eva", Reason: "a second telephone"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := finish(t, w, w.Client, begun.ID, w.Code(appOf(t, begun))); err != nil {
		t.Fatal(err)
	}
}

func TestWhereThereIsRoomForOneAddressOnlyTheOtherIsToldLater(t *testing.T) {
	w := plain(t, func(p *mfa.Policy) { p.Methods.Email = mfa.Implicit })
	put(t, w, ana().User)
	for range 21 { // there is room for 20 notices in a day, so the last one waits until a day after the first
		if _, err := w.NewRecoveryCodes(t.Context(), steppedUpByMail(t, w), org, user); err != nil {
			t.Fatal(err)
		}
		w.Clock.Advance(61 * time.Minute)
	}
	put(t, w, mfa.Person{ID: user, Email: mfa.Some("new@other.example")})
	enrolOnBehalf(t, w)
	w.Drain(t)
	onTheHour := func() {
		w.Clock.Advance(time.Hour - w.Clock.Now().Sub(w.Clock.Now().Truncate(time.Hour)))
		sweep(t, w)
		w.Drain(t)
	}
	for w.Clock.Now().Hour() != 11 { // until the sweep has finished the hour in which there was room for the first address
		onTheHour()
	}
	wantNotices(t, w, "the first address that something waited for", mail, 20, aboutMove, aboutSeveral)
	wantNotices(t, w, "the other, too early", "new@other.example", 0, aboutMove)
	onTheHour()
	wantNotices(t, w, "the other", "new@other.example", 1, aboutSeveral)
}

func TestASweepWhoseClockIsAheadMissesNothingThatWaits(t *testing.T) {
	w, _ := noisyAfter(t, 58*time.Minute)
	w.Clock.Advance(time.Date(2026, 11, 23, 10, 57, 0, 0, time.UTC).Sub(w.Clock.Now())) // a minute before there is room
	ahead := *w.Service
	ahead.Now = func() time.Time { return w.Clock.Now().Add(9 * time.Minute) }
	for range 3 {
		if _, err := ahead.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if at := marked(t, w); at.Hour() != 11 {
		t.Fatalf("got a mark at %v: the test is about nothing", at)
	}
	enrolOnBehalf(t, w)
	w.Drain(t)
	w.Clock.Advance(15 * time.Minute)
	sweep(t, w)
	wantNotices(t, w, "what waited for room in an hour that was done", mail, 20, aboutSeveral)
}

func TestWhatWaitsIsSentToNobodyOnceTheUserIsErased(t *testing.T) {
	for _, made := range []bool{false, true} {
		w, remake := noisy(t)
		remake()
		w.Drain(t)
		if err := w.EraseUser(t.Context(), w.Client, org, user); err != nil {
			t.Fatal(err)
		}
		if made {
			put(t, w, ana().User)
		}
		for range 26 {
			w.Clock.Advance(time.Hour)
			sweep(t, w)
		}
		wantNotices(t, w, "erased", mail, 20)
	}
}

func TestAnErasureThatIsCutOffHasDroppedWhatWaits(t *testing.T) {
	w, remake := noisy(t)
	remake()
	w.SetPolicy(t, org, "kls", func(p *mfa.Policy) { p.Trust.Cap = 50 })
	for range 22 { // more than one commit can remove
		w.Clock.Advance(time.Hour)
		trusted(t, w)
	}
	w.Faults.Inject(fault.Commit, 1, fault.Fault{})
	w.Faults.Inject(fault.Commit, -1, fault.Fail(nil))
	if err := w.EraseUser(t.Context(), w.Client, org, user); err == nil {
		t.Fatal("the erasure was not cut off")
	}
	w.Faults.Clear()
	for range 4 {
		w.Clock.Advance(time.Hour)
		sweep(t, w)
	}
	put(t, w, mfa.Person{ID: user, Name: mfa.Some("Anna")})
	wantNotices(t, w, "an erasure that was cut off", mail, 20)
}

func TestWhatWaitsGoesToThePersonAndAddressOfTheMomentItHappened(t *testing.T) {
	w, remake := noisy(t)
	remake()
	put(t, w, mfa.Person{ID: user, Email: mfa.Some("new@other.example"), Name: mfa.Some("Anja"), Locale: mfa.Some("fr")})
	w.Drain(t)
	w.Clock.Advance(24 * time.Hour)
	sweep(t, w)
	wantNotices(t, w, "the earlier address", mail, 20, aboutMove, aboutSeveral)
	if text := notices(w, mail)[21].Text; !strings.HasPrefix(text, "Hello Ana,") {
		t.Errorf("got\n%s\nwant it to the person as they were", text)
	}
	wantNotices(t, w, "the new address", "new@other.example", 0, "L’adresse e-mail de votre compte Countersign a changé")
}

func TestAChangeOfAddressIsToldToTheEarlierAndTheNewOneAndNeverWaits(t *testing.T) {
	const other = "new@other.example"
	moved := func(address mfa.Optional[string]) mfa.StartRequest {
		q := ana()
		q.User.Email = address
		return q
	}
	by := map[string]func(*testing.T, *mfatest.World, mfa.Optional[string]){
		"a start": func(t *testing.T, w *mfatest.World, address mfa.Optional[string]) {
			if _, err := w.StartChallenge(t.Context(), w.Client, moved(address)); err != nil {
				t.Error(err)
			}
		},
		"a put of the user": func(t *testing.T, w *mfatest.World, address mfa.Optional[string]) {
			put(t, w, moved(address).User)
		},
		"an enrolment that was refused": func(t *testing.T, w *mfatest.World, address mfa.Optional[string]) {
			said := moved(address).User
			_, err := w.BeginEnrolment(t.Context(), w.Client, mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.TOTP})
			wantCode(t, err, mfa.ReauthenticationNeeded)
		},
	}
	for name, change := range by {
		w, _ := noisy(t)
		change(t, w, mfa.Some(other))
		want := []string{aboutMove}
		if strings.Contains(name, "refused") {
			want = nil // a refused call changes no address
		}
		wantNotices(t, w, name+", the earlier address", mail, 20, want...)
		wantNotices(t, w, name+", the new address", other, 0, want...)
	}
	w, _ := noisy(t)
	by["a put of the user"](t, w, mfa.Optional[string]{Set: true})
	wantNotices(t, w, "no address any more", mail, 20, aboutMove)
	by["a put of the user"](t, w, mfa.Some(other))
	wantNotices(t, w, "the first address after none", other, 0)
	put(t, w, mfa.Person{ID: user, Name: mfa.Some("Anja"), Phone: mfa.Some("+33612345678")})
	wantNotices(t, w, "another name and number", other, 0)
}

func TestANoticeGoesToThePersonAddressAndLanguageOfTheMomentItHappened(t *testing.T) {
	w := kls(t, nil)
	lock(t, w)
	put(t, w, mfa.Person{ID: user, Email: mfa.Some("new@other.example"), Name: mfa.Some("Anja"), Locale: mfa.Some("fr")})
	wantNotices(t, w, "the earlier address", mail, 0, aboutLock, aboutMove)
	for _, m := range notices(w, mail) {
		if !strings.HasPrefix(m.Text, "Hello Ana,") {
			t.Errorf("got\n%s\nwant it to the person as they were", m.Text)
		}
	}
	if got := notices(w, "new@other.example"); len(got) != 1 || !strings.HasPrefix(got[0].Text, "Bonjour Anja,") {
		t.Errorf("the new address: got %q, want the change alone, in French", subjects(got))
	}
}

func TestEveryLockIsToldByItsOwnWords(t *testing.T) {
	wrong := func(t *testing.T, err error) bool {
		t.Helper()
		if mfa.AsError(err).Code == mfa.WrongCode {
			return true
		}
		wantCode(t, err, mfa.Locked)
		return false
	}
	for name, c := range map[string]struct {
		until func(*testing.T) *mfatest.World // makes a world in which ana is locked
		want  string
	}{
		"at a sign-in": {func(t *testing.T) *mfatest.World {
			w := kls(t, nil)
			lock(t, w)
			return w
		}, aboutLock},
		"at a step-up": {func(t *testing.T) *mfatest.World {
			w := kls(t, manyAttempts)
			q := ana()
			q.Purpose = mfa.StepUp
			wrongs(t, w, started(t, w, q).ID, 10)
			return w
		}, aboutLock},
		"at an enrolment's finish": {func(t *testing.T) *mfatest.World {
			w := plain(t, manyAttempts)
			begun := begin(t, w, w.Fresh(), mfa.Email)
			code := mfatest.Wrong(w.Outbox.Code(t, mail))
			for again := true; again; {
				_, err := finish(t, w, w.Client, begun.ID, code)
				again = wrong(t, err) && *mfa.AsError(err).AttemptsLeft > 0
			}
			return w
		}, aboutLock},
		"at the finish of a forced enrolment": {func(t *testing.T) *mfatest.World {
			w := plain(t, func(p *mfa.Policy) { p.Require, p.EnrolmentProof, p.Challenge.Attempts = mfa.Everyone, "none", 10 })
			_, call := mustEnrol(t, w, ana())
			begun, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.TOTP})
			if err != nil {
				t.Fatal(err)
			}
			code := mfatest.Wrong(w.Code(appOf(t, begun)))
			for again := true; again; {
				_, err := finish(t, w, call, begun.ID, code)
				again = wrong(t, err) && *mfa.AsError(err).AttemptsLeft > 0
			}
			return w
		}, aboutLock},
		"at the proof of the address": {func(t *testing.T) *mfatest.World {
			w := plain(t, func(p *mfa.Policy) { p.Require, p.Challenge.Attempts = mfa.Everyone, 10 })
			_, call := mustEnrol(t, w, ana())
			proving(t, w, call)
			code := mfatest.Wrong(w.Outbox.Code(t, mail))
			for again := true; again; {
				_, err := prove(t, w, call, code)
				again = wrong(t, err) && *mfa.AsError(err).AttemptsLeft > 0
			}
			return w
		}, aboutLock},
		"at a recovery": {func(t *testing.T) *mfatest.World {
			w, _ := protected(t, nil)
			wrongRecoveries(t, w, started(t, w, ana()).ID, 5)
			return w
		}, aboutRecoveryLock},
	} {
		w := c.until(t)
		w.Drain(t)
		got := subjects(notices(w, mail))
		if len(got) == 0 || got[len(got)-1] != c.want || slices.Contains(got[:len(got)-1], c.want) {
			t.Errorf("%s: got %q, want one that is %q", name, got, c.want)
		}
		if locked := events(t, w, mfa.ChallengeLocked); len(locked) != 1 || (locked[0].Data["recovery"] == true) != (c.want == aboutRecoveryLock) {
			t.Errorf("%s: got %+v, want one lock of its own kind", name, locked)
		}
	}
}

func TestALockThatIsOverWhenItIsToldSaysSo(t *testing.T) {
	for after, want := range map[time.Duration]string{
		0: "no code will be accepted until 22 November 2026 at 10:15 UTC", 15 * time.Minute: "That is over now.",
	} {
		w := kls(t, nil)
		lock(t, w)
		w.Clock.Advance(after)
		w.Drain(t)
		if got := notices(w, mail); len(got) != 1 || !strings.Contains(got[0].Text, want) {
			t.Errorf("after %v: got %+v, want %q", after, got, want)
		}
	}
}

func TestALockForGoodSaysSo(t *testing.T) {
	w := kls(t, nil)
	for range 12 {
		lock(t, w)
		if wait(t, w) == 0 {
			break
		}
		w.Clock.Advance(25 * time.Hour)
	}
	w.Drain(t)
	got := notices(w, mail)
	if last := got[len(got)-1].Text; !strings.Contains(last, "until an administrator unlocks your account") {
		t.Errorf("got\n%s", last)
	}
}
