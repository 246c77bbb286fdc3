package mfa_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/storetest"
)

// plain makes a world in which org has the default policy, as changed by change unless it is nil, and nobody has a factor.
func plain(t *testing.T, change func(*mfa.Policy)) *mfatest.World {
	t.Helper()
	w := mfatest.New(t)
	w.SetPolicy(t, org, "default", change)
	return w
}

// begin begins an enrolment for ana with an API key.
func begin(t *testing.T, w *mfatest.World, call mfa.Call, kind mfa.Kind) mfa.EnrolAnswer {
	t.Helper()
	said := ana().User
	begun, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Org: org, User: &said, Kind: kind})
	if err != nil {
		t.Fatal(err)
	}
	return begun
}

// appOf sets up an app with the secret that was shown.
func appOf(t *testing.T, begun mfa.EnrolAnswer) *mfatest.Authenticator {
	t.Helper()
	a, err := mfatest.NewAuthenticator(begun.TOTP.URI.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func finish(t *testing.T, w *mfatest.World, call mfa.Call, id string, code seal.Secret) (mfa.FinishAnswer, error) {
	t.Helper()
	return w.FinishEnrolment(t.Context(), call, mfa.FinishRequest{Enrolment: id, Answer: mfa.Answer{Code: code}})
}

func TestC3TheFirstCodeMustBeRightBeforeTheFactorCounts(t *testing.T) {
	w := plain(t, nil)
	begun := begin(t, w, w.Fresh(), mfa.TOTP)
	a := appOf(t, begun)
	if a.Issuer != "Countersign" || a.Account != mail || !begun.Expires.Equal(w.Clock.Now().Add(10*time.Minute)) {
		t.Errorf("got %q, %q, an end at %v", a.Issuer, a.Account, begun.Expires)
	}
	if typed, err := mfatest.TypedAuthenticator(begun.TOTP.Secret.Reveal()); err != nil || !w.Code(typed).Equal(w.Code(a)) {
		t.Errorf("the typed secret shows another code, %v", err)
	}
	if u := shown(t, w); len(u.Factors) != 0 || u.Enabled || u.Status != mfa.Unprotected {
		t.Errorf("begun: got %+v, want no factor", u)
	}
	wantReason(t, w, seal.Secret{}, mfa.NotRequired)
	_, err := finish(t, w, w.Client, begun.ID, mfatest.Wrong(w.Code(a)))
	if left := *wantCode(t, err, mfa.WrongCode).AttemptsLeft; left != 4 {
		t.Errorf("got %d attempts left, want 4", left)
	}
	if u := shown(t, w); len(u.Factors) != 0 || u.Enabled {
		t.Errorf("a wrong code: got %+v, want no factor", u)
	}
	pending := store.Key{Partition: partition(org, user), Sort: "enrolment"}
	if item, err := store.GetOne(t.Context(), w.Store, pending); err != nil || item.Absent() {
		t.Fatalf("got %v: the test looks in the wrong place", err)
	}
	done, err := finish(t, w, w.Client, begun.ID, w.Code(a))
	if err != nil {
		t.Fatal(err)
	}
	if item, err := store.GetOne(t.Context(), w.Store, pending); err != nil || !item.Absent() {
		t.Errorf("finished: what was pending is still there, %v", err)
	}
	if len(done.RecoveryCodes) != 10 || done.Token != nil || done.IssuedAt != nil || done.Factor.Kind != mfa.TOTP {
		t.Errorf("got %d codes, %+v", len(done.RecoveryCodes), done)
	}
	if done.Offer == nil || !slices.Equal(done.Offer.Kinds, []mfa.Kind{mfa.Email}) {
		t.Errorf("got the offer %+v, want email as a backup", done.Offer)
	}
	if u := shown(t, w); len(u.Factors) != 1 || !u.Enabled || u.Status != mfa.Protected || u.Recovery.CodesLeft != 10 || u.Recovery.FewLeft {
		t.Errorf("finished: got %+v", u)
	}
	_, err = finish(t, w, w.Client, begun.ID, w.NextCode(a))
	wantCode(t, err, mfa.EnrolmentInvalid)
	w.Drain(t)
	want := []string{mfa.UserCreated, mfa.ChallengeFailed, mfa.UserEnabled, mfa.FactorEnrolled}
	if got := slices.DeleteFunc(w.Events.Types(user), func(kind string) bool { return kind == mfa.UserUpdated }); !slices.Equal(got, want) {
		t.Errorf("events: got %v, want %v", got, want)
	}
}

func TestOnlyTheFirstFactorTurns2FAOnAndBringsRecoveryCodes(t *testing.T) {
	w, a, done := withApp(t, nil)
	second := w.EnrolEmail(t, w.StepUp(t, org, user, a), org, ana().User, mail)
	if len(second.RecoveryCodes) != 0 || second.Offer != nil || second.Factor.Hint != "a***@acme.example" {
		t.Errorf("got %+v, want no recovery codes", second)
	}
	if got := len(events(t, w, mfa.UserEnabled)); got != 1 {
		t.Errorf("got %d user.enabled, want 1", got)
	}
	if left := shown(t, w).Recovery.CodesLeft; left != 10 {
		t.Errorf("got %d codes left, want the first set", left)
	}
	if _, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: started(t, w, ana()).ID, Code: done.RecoveryCodes[9]}); err != nil {
		t.Errorf("a code of the first set: %v", err)
	}
	if _, err := w.SetEnabled(t.Context(), w.StepUp(t, org, user, a), org, user, false); err != nil {
		t.Fatal(err)
	}
	w.EnrolTOTP(t, w.Fresh(), org, ana().User)
	if shown(t, w).Enabled {
		t.Error("a factor more turned 2FA on again, which the user had turned off")
	}
}

func TestAPolicyWithoutRecoveryCodesGivesNone(t *testing.T) {
	w := plain(t, func(p *mfa.Policy) { p.Recovery.Count = 0 })
	_, done := w.EnrolTOTP(t, w.Fresh(), org, ana().User)
	if done.RecoveryCodes != nil || shown(t, w).Recovery.CodesLeft != 0 {
		t.Errorf("got %d codes", len(done.RecoveryCodes))
	}
	if ch := started(t, w, ana()); ch.Recovery {
		t.Error("a challenge offers recovery codes")
	}
}

func TestE2ASecretIsShownOnceAndBeginningAgainMakesAnother(t *testing.T) {
	w := plain(t, nil)
	first := begin(t, w, w.Fresh(), mfa.TOTP)
	second := begin(t, w, w.Fresh(), mfa.TOTP)
	if first.TOTP.Secret.Equal(second.TOTP.Secret) || first.ID == second.ID {
		t.Fatal("beginning again gave the same")
	}
	for _, code := range []seal.Secret{w.Code(appOf(t, first)), w.Code(appOf(t, second))} {
		_, err := finish(t, w, w.Client, first.ID, code)
		wantCode(t, err, mfa.EnrolmentInvalid)
	}
	_, err := finish(t, w, w.Client, second.ID, w.Code(appOf(t, first)))
	wantCode(t, err, mfa.WrongCode)
	a := appOf(t, second)
	done, err := finish(t, w, w.Client, second.ID, w.Code(a))
	if err != nil {
		t.Fatal(err)
	}
	w.Drain(t)
	said := text(t, shown(t, w)) + text(t, w.Events.All()) + text(t, done.Factor)
	for _, m := range w.Outbox.To(mail) {
		said += m.Text + m.HTML + m.Subject
	}
	for _, begun := range []mfa.EnrolAnswer{first, second} {
		if strings.Contains(said, begun.TOTP.Secret.Reveal()) {
			t.Error("a secret is told again")
		}
	}
	for _, code := range done.RecoveryCodes {
		if strings.Contains(said, code.Reveal()) {
			t.Error("a recovery code is told again")
		}
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// sayEnrol encodes an answer of an enrolment as the HTTP interface does, with its secrets.
func sayEnrol(answer any, err *mfa.Error) []byte {
	a := answered{Said: map[string]string{}}
	if err != nil {
		a.Code = err.Code
	}
	switch answer := answer.(type) {
	case mfa.EnrolAnswer:
		if a.Said["id"] = answer.ID; answer.TOTP != nil {
			a.Said["secret"] = answer.TOTP.Secret.Reveal()
		}
	case mfa.FinishAnswer:
		a.Said["factor"] = answer.Factor.ID
		for i, code := range answer.RecoveryCodes {
			a.Said[fmt.Sprint("recovery ", i)] = code.Reveal()
		}
	}
	body, failed := json.Marshal(a)
	if failed != nil {
		panic(failed)
	}
	return body
}

// enrolKeyed adds an Idempotency-Key to a call of an enrolment.
func enrolKeyed(call mfa.Call, path string) mfa.Call {
	call.Replay = &mfa.Replay{Method: "POST", Path: path, Key: "k", Body: []byte("{}"),
		Encode: func(answer any, err *mfa.Error) (full, later []byte, _ error) {
			later = sayEnrol(answer, err)
			if once, ok := answer.(interface{ WithoutShownOnce() any }); ok {
				later = sayEnrol(once.WithoutShownOnce(), err)
			}
			return sayEnrol(answer, err), later, nil
		}}
	return call
}

func TestE2AKeyRepeatsWhatIsShownOnceForTenMinutes(t *testing.T) {
	w := plain(t, nil)
	said := ana().User
	beginning, finishing := enrolKeyed(w.Fresh(), "/v1/enrolments"), enrolKeyed(w.Client, "/v1/enrolments/finish")
	begun, err := w.BeginEnrolment(t.Context(), beginning, mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.TOTP})
	if err != nil {
		t.Fatal(err)
	}
	code := w.Code(appOf(t, begun))
	done, err := finish(t, w, finishing, begun.ID, code)
	if err != nil {
		t.Fatal(err)
	}
	again := func() (b, f answered) {
		return heard(w.BeginEnrolment(t.Context(), beginning, mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.TOTP})), heard(finish(t, w, finishing, begun.ID, code))
	}
	w.Clock.Advance(10*time.Minute - time.Second)
	b, f := again()
	if b.Said["secret"] != begun.TOTP.Secret.Reveal() || f.Said["recovery 9"] != done.RecoveryCodes[9].Reveal() {
		t.Errorf("in ten minutes: got %v and %v, want what was shown", b, f)
	}
	w.Clock.Advance(time.Second)
	b, f = again()
	if len(b.Said) != 1 || b.Said["id"] != begun.ID || len(f.Said) != 1 || f.Said["factor"] != done.Factor.ID {
		t.Errorf("after ten minutes: got %v and %v, want it without", b, f)
	}
}

func TestE12AnEnrolmentIsFinishedByWhoBeganIt(t *testing.T) {
	w := plain(t, func(p *mfa.Policy) { p.Require, p.EnrolmentProof = mfa.Everyone, "none" })
	begun := begin(t, w, w.Fresh(), mfa.TOTP)
	a := appOf(t, begun)
	byToken := func(q mfa.StartRequest) mfa.Call {
		answer, err := w.StartChallenge(t.Context(), w.Client, q)
		if err != nil {
			t.Fatal(err)
		}
		return mfa.Call{Bearer: answer.Enrolment.Token.Reveal()}
	}
	bob, away := ana(), ana()
	bob.User.ID, away.Org = "u-18", "globex"
	w.SetPolicy(t, "globex", "default", func(p *mfa.Policy) { p.Require = mfa.Everyone })
	strangers := map[string]mfa.Call{
		"another client":                 w.NewClient(t, apikey.Grant{Client: "portal", Scopes: apikey.Scopes()}),
		"the client's key elsewhere":     w.NewClient(t, apikey.Grant{Client: "app", Scopes: apikey.Scopes(), Org: "globex"}),
		"the client's key of admins":     w.NewClient(t, apikey.Grant{Client: "app", Scopes: []apikey.Scope{apikey.Admin}}),
		"her own enrolment token":        byToken(ana()),
		"another user's enrolment token": byToken(bob),
		"another org's enrolment token":  byToken(away),
	}
	for name, call := range strangers {
		_, err := finish(t, w, call, begun.ID, w.Code(a))
		if mfa.AsError(err).Code != mfa.EnrolmentInvalid {
			t.Errorf("finished by %s: got %v, want enrolment_invalid", name, err)
		}
		if _, err = w.SendEnrolment(t.Context(), call, begun.ID); mfa.AsError(err).Code != mfa.EnrolmentInvalid {
			t.Errorf("sent by %s: got %v, want enrolment_invalid", name, err)
		}
	}
	for _, id := range []string{"", "en_", "ch_" + begun.ID[3:], begun.ID + "A", begun.ID[:len(begun.ID)-1], strings.ToUpper(begun.ID)} {
		_, err := finish(t, w, w.Client, id, w.Code(a))
		wantCode(t, err, mfa.EnrolmentInvalid)
	}
	signIn := w.NewClient(t, apikey.Grant{Client: "app", Scopes: []apikey.Scope{apikey.SignIn}})
	_, err := finish(t, w, signIn, begun.ID, w.Code(a))
	wantCode(t, err, mfa.Forbidden)
	_, err = finish(t, w, w.Client, begun.ID, mfatest.Wrong(w.Code(a)))
	if left := *wantCode(t, err, mfa.WrongCode).AttemptsLeft; left != 4 {
		t.Errorf("got %d attempts left, want 4: nothing was counted", left)
	}
	if _, err := finish(t, w, w.Client, begun.ID, w.Code(a)); err != nil {
		t.Errorf("by its own: %v", err)
	}
}

// keeping makes a world whose store keeps expired items, because the store's own clock stands still.
func keeping(t *testing.T) *mfatest.World {
	t.Helper()
	clock := storetest.NewClock(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	stands := clock.Now()
	model := storetest.NewModel(func() time.Time { return stands })
	return mfatest.Over(t, model, model, clock)
}

func TestB9AndE12AnEnrolmentEndsToTheSecondWhateverTheStoreKeeps(t *testing.T) {
	for name, w := range map[string]*mfatest.World{"a store that forgets": mfatest.New(t), "a store that keeps": keeping(t)} {
		for _, kind := range []mfa.Kind{mfa.TOTP, mfa.Email} {
			for _, late := range []time.Duration{-time.Second, 0} {
				q := ana()
				q.User.ID = fmt.Sprint(kind, late)
				begun, err := w.BeginEnrolment(t.Context(), w.Fresh(), mfa.EnrolRequest{Org: org, User: &q.User, Kind: kind})
				if err != nil {
					t.Fatal(err)
				}
				w.Clock.Advance(10*time.Minute + late)
				code := func() seal.Secret {
					if kind == mfa.Email {
						return w.Outbox.Code(t, mail)
					}
					return w.Code(appOf(t, begun))
				}
				if _, err = finish(t, w, w.Client, begun.ID, code()); late < 0 && err != nil || late == 0 && mfa.AsError(err).Code != mfa.EnrolmentInvalid {
					t.Errorf("%s, %s, %v from its end: got %v", name, kind, late, err)
				}
				if _, err := w.SendEnrolment(t.Context(), w.Client, begun.ID); mfa.AsError(err).Code != mfa.EnrolmentInvalid {
					t.Errorf("%s, %s: sent again at %v from its end: got %v", name, kind, late, err)
				}
			}
		}
	}
}

func TestAnEnrolmentDiesOfWhatKillsChallenges(t *testing.T) {
	for name, kill := range map[string]func(t *testing.T, w *mfatest.World) error{
		"revoked": func(t *testing.T, w *mfatest.World) error { return w.RevokeBrowsers(t.Context(), w.Client, org, user) },
		"password": func(t *testing.T, w *mfatest.World) error {
			_, err := w.Report(t.Context(), w.Client, org, user, mfa.PasswordChanged)
			return err
		},
		"another email": func(t *testing.T, w *mfatest.World) error {
			_, err := w.PutUser(t.Context(), w.Client, org, mfa.Person{ID: user, Email: mfa.Some("ana@other.example")})
			return err
		},
		"erased and made again": func(t *testing.T, w *mfatest.World) error {
			if err := w.EraseUser(t.Context(), w.Client, org, user); err != nil {
				return err
			}
			_, err := w.PutUser(t.Context(), w.Client, org, ana().User)
			return err
		},
	} {
		w := plain(t, nil)
		begun := begin(t, w, w.Fresh(), mfa.Email)
		if err := kill(t, w); err != nil {
			t.Fatal(err)
		}
		if _, err := finish(t, w, w.Client, begun.ID, w.Outbox.Code(t, mail)); mfa.AsError(err).Code != mfa.EnrolmentInvalid {
			t.Errorf("%s: got %v, want enrolment_invalid", name, err)
		}
	}
}

func TestWrongCodesCountAgainstTheEnrolmentAndBeginningAgainForgivesNone(t *testing.T) {
	w := plain(t, nil)
	for round := range 2 {
		begun := begin(t, w, w.Fresh(), mfa.TOTP)
		a := appOf(t, begun)
		for i := range 5 {
			_, err := finish(t, w, w.Client, begun.ID, mfatest.Wrong(w.Code(a)))
			if left := *wantCode(t, err, mfa.WrongCode).AttemptsLeft; left != 4-i {
				t.Errorf("enrolment %d: got %d attempts left, want %d", round+1, left, 4-i)
			}
		}
		_, err := finish(t, w, w.Client, begun.ID, w.Code(a))
		wantCode(t, err, mfa.EnrolmentInvalid)
	}
	begun := begin(t, w, w.Fresh(), mfa.TOTP)
	_, err := finish(t, w, w.Client, begun.ID, w.Code(appOf(t, begun)))
	if e := wantCode(t, err, mfa.Locked); e.RetryAfter != 15*time.Minute {
		t.Errorf("got a wait of %v, want 15 minutes", e.RetryAfter)
	}
	said := ana().User
	_, err = w.BeginEnrolment(t.Context(), w.Fresh(), mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.Email})
	wantCode(t, err, mfa.Locked)
	w.Clock.Advance(15 * time.Minute)
	w.EnrolTOTP(t, w.Fresh(), org, ana().User)
	failed, locked := events(t, w, mfa.ChallengeFailed), events(t, w, mfa.ChallengeLocked)
	if len(failed) != 10 || len(locked) != 1 || failed[0].Data["enrolment"] == nil {
		t.Errorf("got %d wrong and %d locks recorded, want 10 and 1", len(failed), len(locked))
	}
}
