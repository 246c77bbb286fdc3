package mfa_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store"
)

// withApp makes a world in which ana has an app, under the default policy as changed by change. The code that enrolled the
// app is from the step before the present one.
func withApp(t *testing.T, change func(*mfa.Policy)) (*mfatest.World, *mfatest.Authenticator, mfa.FinishAnswer) {
	t.Helper()
	w := mfatest.New(t)
	w.SetPolicy(t, org, "default", change)
	a, done := w.EnrolTOTP(t, w.Fresh(), org, ana().User)
	w.Clock.Advance(mfatest.Step)
	return w, a, done
}

// signIn begins a sign-in for ana and answers it with a code.
func signIn(t *testing.T, w *mfatest.World, code seal.Secret) (mfa.VerifyAnswer, error) {
	t.Helper()
	return verify(t, w, started(t, w, ana()).ID, code, false)
}

func TestASignInByAppEndsInOneToken(t *testing.T) {
	w, a, _ := withApp(t, nil)
	ch := started(t, w, ana())
	if len(ch.Methods) != 1 || ch.Methods[0].Kind != mfa.TOTP || *ch.Default != a.Factor || ch.Sent != nil || !ch.Recovery {
		t.Errorf("got %+v, want the app asked for and nothing sent", ch)
	}
	answer, err := verify(t, w, ch.ID, w.Code(a), false)
	if err != nil {
		t.Fatal(err)
	}
	now := float64(w.Clock.Now().Unix())
	wantClaims(t, w, answer.Token, map[string]any{"verified": true, "amr": []any{"pwd", "otp", "mfa"}, "acr": "aal2", "mfa_time": now, "decision": "challenge"})
	if used := shown(t, w).Factors[0].LastUsed; used == nil || !used.Equal(w.Clock.Now()) {
		t.Errorf("got last used %v, want now", used)
	}
	_, err = verify(t, w, ch.ID, w.NextCode(a), false)
	wantCode(t, err, mfa.ChallengeInvalid)
}

func TestR1ACodeIsGoodForOneChallengeInEveryProcess(t *testing.T) {
	w, a, _ := withApp(t, nil)
	services := twice(w)
	code := w.Code(a)
	if _, err := signIn(t, w, code); err != nil {
		t.Fatal(err)
	}
	for i, s := range services {
		answer, err := s.StartChallenge(t.Context(), w.Client, ana())
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: answer.Challenge.ID, Answer: mfa.Answer{Code: code}})
		if left := *wantCode(t, err, mfa.WrongCode).AttemptsLeft; left != 4 {
			t.Errorf("process %d: got %d attempts left, want 4: it is a guess like any other", i, left)
		}
		w.Clock.Advance(20 * time.Second) // the code is still within the accepted steps
	}
	if _, err := signIn(t, w, w.NextCode(a)); err != nil {
		t.Errorf("the code of a later step: %v", err)
	}
}

func TestR3ACodeOfAStepBeforeTheOneAcceptedIsRefused(t *testing.T) {
	w, a, _ := withApp(t, nil)
	w.Clock.Advance(10 * mfatest.Step)
	now := w.Clock.Now()
	before, at, after := a.Code(now.Add(-mfatest.Step)), a.Code(now), a.Code(now.Add(mfatest.Step))
	if _, err := signIn(t, w, after); err != nil {
		t.Fatalf("one step ahead: %v", err)
	}
	for name, code := range map[string]seal.Secret{"before": before, "of now": at, "the same": after} {
		if _, err := signIn(t, w, code); mfa.AsError(err).Code != mfa.WrongCode {
			t.Errorf("%s: got %v, want wrong_code", name, err)
		}
	}
}

func TestACodeIsTakenOneStepAwayAndNotTwo(t *testing.T) {
	for _, skew := range []int{0, 1} {
		w, a, _ := withApp(t, func(p *mfa.Policy) { p.TOTP.Skew = skew; p.Challenge.Attempts = 10 })
		w.Clock.Advance(10 * mfatest.Step)
		ch := started(t, w, ana())
		now := w.Clock.Now()
		for _, away := range []int{-2, 2, 1, -1} {
			if max(away, -away) <= skew {
				continue
			}
			if _, err := verify(t, w, ch.ID, a.Code(now.Add(time.Duration(away)*mfatest.Step)), false); mfa.AsError(err).Code != mfa.WrongCode {
				t.Errorf("skew %d, %d steps away: got %v, want wrong_code", skew, away, err)
			}
		}
		for away := -skew; away <= skew; away++ {
			if _, err := signIn(t, w, a.Code(now.Add(time.Duration(away)*mfatest.Step))); err != nil {
				t.Errorf("skew %d, %d steps away: %v", skew, away, err)
			}
		}
	}
}

func TestR7TheCodeThatEnrolledIsNoGoodAtASignIn(t *testing.T) {
	w := mfatest.New(t)
	a, _ := w.EnrolTOTP(t, w.Fresh(), org, ana().User)
	code := w.Code(a)
	for range 2 { // in the step of the code, and in the step after it
		_, err := signIn(t, w, code)
		wantCode(t, err, mfa.WrongCode)
		w.Clock.Advance(mfatest.Step)
	}
	if _, err := signIn(t, w, w.Code(a)); err != nil {
		t.Errorf("a code of a later step: %v", err)
	}
}

func TestR2AMalformedAppCodeIsNoGuessAndStaysGoodOnce(t *testing.T) {
	w, a, _ := withApp(t, nil)
	ch := started(t, w, ana())
	code := w.Code(a).Reveal()
	var fullWidth, arabic string
	for _, d := range code {
		fullWidth += string('０' + d - '0')
		arabic += string('٠' + d - '0')
	}
	malformed := []string{"", " " + code, code + "\n", "\u2003" + code, code[:3] + " " + code[3:], fullWidth, arabic, code[:5], code + "0"}
	refused := func() {
		t.Helper()
		for _, bad := range malformed {
			_, err := verify(t, w, ch.ID, seal.NewSecret(bad), false)
			if e := wantCode(t, err, mfa.InvalidRequest); e.Param != "code" {
				t.Errorf("%q: got param %q, want code", bad, e.Param)
			}
		}
	}
	refused()
	_, err := verify(t, w, ch.ID, mfatest.Wrong(seal.NewSecret(code)), false)
	if left := *wantCode(t, err, mfa.WrongCode).AttemptsLeft; left != 4 {
		t.Errorf("got %d attempts left, want 4", left)
	}
	if _, err := verify(t, w, ch.ID, seal.NewSecret(code), false); err != nil {
		t.Fatal(err)
	}
	ch = started(t, w, ana())
	refused()
	_, err = verify(t, w, ch.ID, seal.NewSecret(code), false)
	wantCode(t, err, mfa.WrongCode)
}

func TestR11AndB7AnAppAnswersForItsOwnUserInItsOwnOrg(t *testing.T) {
	w, a, _ := withApp(t, nil)
	bob := mfa.Person{ID: "u-18", Email: mfa.Some("bob@acme.example")}
	bobs, _ := w.EnrolTOTP(t, w.Fresh(), org, bob)
	away, _ := w.EnrolTOTP(t, w.Fresh(), "globex", ana().User)
	w.Clock.Advance(mfatest.Step)
	ch := started(t, w, ana())
	for name, other := range map[string]*mfatest.Authenticator{"another user's": bobs, "another org's": away} {
		_, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Factor: other.Factor, Answer: mfa.Answer{Code: w.Code(other)}})
		if mfa.AsError(err).Code != mfa.NotFound {
			t.Errorf("%s factor: got %v, want not_found", name, err)
		}
		_, err = verify(t, w, ch.ID, w.Code(other), false)
		if mfa.AsError(err).Code != mfa.WrongCode {
			t.Errorf("%s code: got %v, want wrong_code", name, err)
		}
		_, err = w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Factor: other.Factor, Answer: mfa.Answer{Code: w.Code(a)}})
		if mfa.AsError(err).Code != mfa.NotFound {
			t.Errorf("%s factor and her own code: got %v, want not_found", name, err)
		}
	}
	if _, err := verify(t, w, ch.ID, w.Code(a), false); err != nil {
		t.Errorf("her own: %v", err)
	}
}

func TestR11ACodeSpentAtAStepUpIsSpentAtASignIn(t *testing.T) {
	w, a, _ := withApp(t, nil)
	w.StepUp(t, org, user, a)
	_, err := signIn(t, w, w.Code(a))
	wantCode(t, err, mfa.WrongCode)
}

// stored returns an item of a user of org.
func stored(t *testing.T, w *mfatest.World, user, sort string) store.Item {
	t.Helper()
	return storedAt(t, w, partition(org, user), sort)
}

func storedAt(t *testing.T, w *mfatest.World, partition, sort string) store.Item {
	t.Helper()
	item, err := store.GetOne(t.Context(), w.Store, store.Key{Partition: partition, Sort: sort})
	if err != nil || item.Absent() {
		t.Fatalf("no %s, %v", sort, err)
	}
	return item
}

// transplant copies a field of one item into another. field is the name under which the field is shown.
func transplant(t *testing.T, w *mfatest.World, into, from store.Item, field string) {
	t.Helper()
	body, err := mfa.Transplant(into, from, field)
	if err != nil {
		t.Fatal(err)
	}
	forge(t, w, into, body)
}

// forge replaces the body of an item.
func forge(t *testing.T, w *mfatest.World, item store.Item, body []byte) {
	t.Helper()
	write := store.Write{Key: item.Key, Expect: item.Version, Body: body, Expires: item.Expires}
	if err := w.Store.Commit(t.Context(), store.NewVersion(), write); err != nil {
		t.Fatal(err)
	}
}

// laterFormat returns a record as a later version of the code would write it.
func laterFormat(body []byte) []byte {
	return bytes.Replace(body, []byte{0, 1}, []byte{0, 2}, 1) // the first field is the format
}

// look decodes an item, with its fields under the names under which they are shown.
func look(t *testing.T, item store.Item, into any) {
	t.Helper()
	text, err := mfa.ShowItem(item)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// An attacker who can write to the table can't give ana the secret of another user or of another factor, because a secret is
// bound to both.
func TestASecretThatIsMovedOpensForNobody(t *testing.T) {
	w, a, _ := withApp(t, nil)
	bobs, _ := w.EnrolTOTP(t, w.Fresh(), org, mfa.Person{ID: "u-18"})
	second, _ := w.EnrolTOTP(t, w.StepUp(t, org, user, a), org, ana().User)
	w.Clock.Advance(mfatest.Step)
	open := started(t, w, ana())
	answer := func(factor string, app *mfatest.Authenticator) error {
		_, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: open.ID, Factor: factor, Answer: mfa.Answer{Code: w.Code(app)}})
		return err
	}
	for name, from := range map[string]struct {
		owner string
		app   *mfatest.Authenticator
	}{"another user's": {"u-18", bobs}, "another factor's": {user, second}} {
		transplant(t, w, stored(t, w, user, "factor#"+a.Factor), stored(t, w, from.owner, "factor#"+from.app.Factor), "secret")
		if err := answer(a.Factor, from.app); err == nil || mfa.AsError(err).Code != mfa.Unavailable {
			t.Errorf("%s: got %v, want unavailable", name, err)
		}
	}
	forge(t, w, store.Item{Key: store.Key{Partition: partition(org, user), Sort: "factor#" + bobs.Factor}}, stored(t, w, "u-18", "factor#"+bobs.Factor).Body)
	guard := stored(t, w, user, "guard")
	body, err := mfa.Listing(guard, bobs.Factor, mfa.TOTP)
	if err != nil {
		t.Fatal(err)
	}
	forge(t, w, guard, body)
	if err := answer(bobs.Factor, bobs); err == nil || mfa.AsError(err).Code != mfa.Unavailable {
		t.Errorf("another user's factor as a whole: got %v, want unavailable", err)
	}
	if err := answer(second.Factor, second); err != nil {
		t.Errorf("one that wasn't moved: %v", err)
	}
}

func TestB5AnAppThatThePolicyForbidsIsRefusedAndNothingIsSpent(t *testing.T) {
	w, a, _ := withApp(t, nil)
	w.EnrolEmail(t, w.StepUp(t, org, user, a), org, ana().User, mail)
	w.Clock.Advance(mfatest.Step)
	ch := started(t, w, ana())
	w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Methods.TOTP = mfa.NotAllowed })
	for range 6 {
		_, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Factor: a.Factor, Answer: mfa.Answer{Code: mfatest.Wrong(w.Code(a))}})
		wantCode(t, err, mfa.MethodForbidden)
	}
	w.SetPolicy(t, org, "default", nil)
	if _, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Factor: a.Factor, Answer: mfa.Answer{Code: w.Code(a)}}); err != nil {
		t.Errorf("allowed again: %v", err)
	}
}

func TestG5OneLockCountsGuessesOverEveryFactorAndEnrolment(t *testing.T) {
	w, a, _ := withApp(t, manyAttempts)
	call := w.StepUp(t, org, user, a)
	byMail := w.EnrolEmail(t, call, org, ana().User, mail)
	w.Clock.Advance(mfatest.Step)
	guess := func(name string, want mfa.ErrorCode, answer func() error) {
		t.Helper()
		if err := answer(); mfa.AsError(err).Code != want {
			t.Fatalf("%s: got %v, want %s", name, err, want)
		}
	}
	ch, other := started(t, w, ana()), started(t, w, ana())
	if _, err := w.SendCode(t.Context(), w.Client, mfa.SendRequest{Challenge: ch.ID, Factor: byMail.Factor.ID}); err != nil {
		t.Fatal(err)
	}
	said := ana().User
	begun, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.TOTP})
	if err != nil {
		t.Fatal(err)
	}
	pending, err := mfatest.NewAuthenticator(begun.TOTP.URI.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	byApp := func() error {
		_, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Factor: a.Factor, Answer: mfa.Answer{Code: mfatest.Wrong(w.Code(a))}})
		return err
	}
	byEmail := func() error {
		_, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Factor: byMail.Factor.ID, Answer: mfa.Answer{Code: mfatest.Wrong(w.Outbox.Code(t, mail))}})
		return err
	}
	finishing := func() error {
		_, err := w.FinishEnrolment(t.Context(), w.Client, mfa.FinishRequest{Enrolment: begun.ID, Answer: mfa.Answer{Code: mfatest.Wrong(w.Code(pending))}})
		return err
	}
	for range 3 {
		guess("app", mfa.WrongCode, byApp)
		guess("email", mfa.WrongCode, byEmail)
		guess("finish", mfa.WrongCode, finishing)
	}
	guess("the tenth", mfa.WrongCode, byApp)
	for name, answer := range map[string]func() error{
		"app": byApp, "email": byEmail, "finish": finishing,
		"the right code of the app": func() error {
			_, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: other.ID, Factor: a.Factor, Answer: mfa.Answer{Code: w.Code(a)}})
			return err
		},
		"the right code of the mail": func() error {
			_, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Answer: mfa.Answer{Code: w.Outbox.Code(t, mail)}})
			return err
		},
		"the right code of the new app": func() error {
			_, err := w.FinishEnrolment(t.Context(), w.Client, mfa.FinishRequest{Enrolment: begun.ID, Answer: mfa.Answer{Code: w.Code(pending)}})
			return err
		},
		"another code for the address": func() error {
			_, err := w.SendCode(t.Context(), w.Client, mfa.SendRequest{Challenge: other.ID, Factor: byMail.Factor.ID})
			return err
		},
	} {
		guess(name, mfa.Locked, answer)
	}
	if got := len(events(t, w, mfa.ChallengeFailed)); got != 10 {
		t.Errorf("got %d wrong answers recorded, want 10", got)
	}
	if got := len(events(t, w, mfa.ChallengeLocked)); got != 1 {
		t.Errorf("got %d locks recorded, want 1", got)
	}
	if left := shown(t, w).Recovery.CodesLeft; left != 10 {
		t.Errorf("got %d recovery codes, want 10", left)
	}
}

// partition returns the partition of a user's items.
func partition(org, user string) string {
	o, u := sha256.Sum256(seal.Join(org)), sha256.Sum256(seal.Join(org, user))
	return "u#" + base64.RawURLEncoding.EncodeToString(append(o[:16:16], u[:16]...))
}
