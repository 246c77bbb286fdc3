package mfa_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store/fault"
)

func everyone(p *mfa.Policy) { p.Require = mfa.Everyone }

// mustEnrol begins a sign-in that only an enrolment can answer. It returns the answer, and the call with which the user
// enrols.
func mustEnrol(t *testing.T, w *mfatest.World, q mfa.StartRequest) (mfa.StartAnswer, mfa.Call) {
	t.Helper()
	answer, err := w.StartChallenge(t.Context(), w.Client, q)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Decision.Decision != mfa.Enrol || answer.Enrolment == nil || answer.Enrolment.Token == nil || answer.Token != nil || answer.Challenge != nil {
		t.Fatalf("got %+v, want to enrol", answer)
	}
	return answer, mfa.Call{Bearer: answer.Enrolment.Token.Reveal()}
}

// proving begins an enrolment for which the user must first prove the address.
func proving(t *testing.T, w *mfatest.World, call mfa.Call) *mfa.Sent {
	t.Helper()
	answer, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.TOTP})
	if err != nil {
		t.Fatal(err)
	}
	if answer.Prove == nil || answer.Prove.Sent == nil || answer.TOTP != nil || answer.ID != "" {
		t.Fatalf("got %+v, want a code sent and nothing else", answer)
	}
	return answer.Prove.Sent
}

func prove(t *testing.T, w *mfatest.World, call mfa.Call, code seal.Secret) (mfa.ProveAnswer, error) {
	t.Helper()
	return w.ProveAddress(t.Context(), call, mfa.ProveRequest{Code: code})
}

func TestAForcedEnrolmentProvesTheAddressThenEnrolsThenSignsIn(t *testing.T) {
	w := plain(t, everyone)
	nonce := "n-1"
	q := ana()
	q.Nonce = &nonce
	start, call := mustEnrol(t, w, q)
	if start.Reason != mfa.Required || !slices.Equal(start.Enrolment.Kinds, []mfa.Kind{mfa.WebAuthn, mfa.TOTP, mfa.Email}) ||
		!start.Enrolment.Expires.Equal(w.Clock.Now().Add(15*time.Minute)) || start.ID[:3] != "ch_" {
		t.Errorf("got %+v, %+v", start, start.Enrolment)
	}
	if len(w.Outbox.To(mail)) != 0 {
		t.Error("an email went out before anything was begun")
	}
	if sent := proving(t, w, call); sent.Sequence != "A" || sent.Hint != "a***@acme.example" {
		t.Errorf("got %+v", sent)
	}
	code := w.Outbox.Code(t, mail)
	_, err := prove(t, w, call, mfatest.Wrong(code))
	if left := *wantCode(t, err, mfa.WrongCode).AttemptsLeft; left != 4 {
		t.Errorf("got %d attempts left, want 4", left)
	}
	proven, err := prove(t, w, call, code)
	if err != nil || !proven.Proven || !slices.Equal(proven.Kinds, start.Enrolment.Kinds) || !proven.Expires.Equal(start.Enrolment.Expires) {
		t.Fatalf("got %+v, %v", proven, err)
	}
	if told := events(t, w, mfa.AddressProven); len(told) != 1 || told[0].Data["challenge"] != start.ID || told[0].Data["kind"] != "email" {
		t.Errorf("got %+v, want one event that the address was proven", told)
	}
	if state, err := w.LookAtChallenge(t.Context(), w.Client, start.ID); err != nil || state.State != "pending" || state.Outcome != nil {
		t.Errorf("proven only: got %+v, %v, want pending", state, err)
	}
	a, done := w.EnrolTOTP(t, call, "", mfa.Person{})
	if done.Token == nil || len(done.RecoveryCodes) != 10 || !done.IssuedAt.Equal(w.Clock.Now()) {
		t.Fatalf("got %+v, want the token and recovery codes", done)
	}
	now := float64(w.Clock.Now().Unix())
	wantClaims(t, w, *done.Token, map[string]any{
		"jti": start.ID, "nonce": nonce, "purpose": "sign_in", "decision": "enrol", "reason": "required", "verified": true,
		"amr": []any{"pwd", "otp", "mfa"}, "acr": "aal2", "mfa_time": now, "aud": "app", "sub": user, "org": org,
	})
	if told := events(t, w, mfa.ChallengeVerified); len(told) != 1 || told[0].Data["challenge"] != start.ID || told[0].Data["enrolled"] != true {
		t.Errorf("got %+v, want one event that the challenge was answered by an enrolment", told)
	}
	w.Clock.Advance(10*time.Minute - time.Second)
	state, err := w.LookAtChallenge(t.Context(), w.Client, start.ID)
	outcome, ok := state.Outcome.(mfa.FinishAnswer)
	if err != nil || state.State != "verified" || !ok || outcome.Factor.ID != a.Factor || outcome.RecoveryCodes != nil || outcome.Token == nil {
		t.Fatalf("got %+v, %v, want what the finish answered but the codes", state, err)
	}
	wantClaims(t, w, *outcome.Token, map[string]any{"jti": start.ID, "mfa_time": now, "iat": now + 599})
	w.Clock.Advance(time.Second)
	if state, err := w.LookAtChallenge(t.Context(), w.Client, start.ID); err != nil || state.State != "verified" || state.Outcome != nil {
		t.Errorf("ten minutes later: got %+v, %v, want no outcome", state, err)
	}
	if ch := started(t, w, ana()); *ch.Default != a.Factor {
		t.Errorf("the next sign-in asks for %s", *ch.Default)
	}
	sso := ana()
	sso.FirstFactor.Kind = "sso"
	allowed, err := w.StartChallenge(t.Context(), w.Client, sso)
	if err != nil || allowed.Token == nil {
		t.Fatalf("got %+v, %v, want an allow", allowed.Decision, err)
	}
	wantClaims(t, w, *allowed.Token, map[string]any{"mfa_time": now, "verified": false})
}

func TestTheKindEmailNeedsNoSecondProof(t *testing.T) {
	for name, c := range map[string]struct{ asked, proven bool }{"at once": {}, "asked to prove": {asked: true}, "proven": {true, true}} {
		w := plain(t, everyone)
		_, call := mustEnrol(t, w, ana())
		if c.asked {
			proving(t, w, call)
		}
		if c.proven {
			if _, err := prove(t, w, call, w.Outbox.Code(t, mail)); err != nil {
				t.Fatal(err)
			}
		}
		begun, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.Email})
		if err != nil || begun.Prove != nil || begun.Proven != c.proven || (begun.SendAnswer == nil) != c.proven {
			t.Fatalf("%s: got %+v, %v", name, begun, err)
		}
		code := w.Outbox.Code(t, mail)
		if c.proven {
			_, err := w.SendEnrolment(t.Context(), call, begun.ID)
			wantCode(t, err, mfa.NothingToSend)
			code = seal.Secret{}
		} else {
			_, err := finish(t, w, call, begun.ID, seal.Secret{})
			wantCode(t, err, mfa.InvalidRequest)
		}
		emails := len(w.Outbox.To(mail))
		done, err := finish(t, w, call, begun.ID, code)
		if err != nil || done.Token == nil || done.Factor.Hint != "a***@acme.example" {
			t.Fatalf("%s: got %+v, %v", name, done, err)
		}
		wantClaims(t, w, *done.Token, map[string]any{"amr": []any{"pwd", "otp"}, "acr": "aal1", "verified": true})
		if want := map[string]int{"at once": 1, "asked to prove": 2, "proven": 1}[name]; emails != want {
			t.Errorf("%s: got %d emails, want %d", name, emails, want)
		}
		if ch := started(t, w, ana()); ch.Sent == nil || len(w.Outbox.To(mail)) != emails+1 {
			t.Errorf("%s: at the next sign-in no code went to the address", name)
		}
		if told := events(t, w, mfa.FactorEnrolled); len(told) != 1 || (told[0].Data["proven"] == true) != c.proven {
			t.Errorf("%s: got %+v, want that no code was answered: %t", name, told, c.proven)
		}
	}
}

func TestOnlyTheNewestProofCodeOfThisSignInProves(t *testing.T) {
	w := plain(t, func(p *mfa.Policy) { everyone(p); manyAttempts(p) })
	_, call := mustEnrol(t, w, ana())
	_, err := prove(t, w, call, seal.NewSecret("000000"))
	wantCode(t, err, mfa.WrongCode) // no code was sent yet
	proving(t, w, call)
	old := w.Outbox.Code(t, mail)
	_, err = w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.TOTP})
	if e := wantCode(t, err, mfa.TooManySends); e.RetryAfter != 30*time.Second {
		t.Errorf("got a wait of %v, want 30s", e.RetryAfter)
	}
	_, other := mustEnrol(t, w, ana()) // another sign-in of the same user
	bob := mfa.StartRequest{Org: org, User: mfa.Person{ID: "u-18", Email: mfa.Some("bob@acme.example")}}
	_, bobs := mustEnrol(t, w, bob)
	proving(t, w, other)
	proving(t, w, bobs)
	w.Clock.Advance(30 * time.Second)
	if sent := proving(t, w, call); sent.Sequence != "B" {
		t.Errorf("got %+v, want code B", sent)
	}
	messages := w.Outbox.To(mail)
	code, foreign := messages[2].Code, map[string]seal.Secret{
		"the old one": old, "her other sign-in's": messages[1].Code, "another user's": w.Outbox.Code(t, "bob@acme.example"),
	}
	for name, wrong := range foreign {
		if wrong.Equal(code) {
			continue // by chance, one code in a million is equal
		}
		if _, err := prove(t, w, call, wrong); mfa.AsError(err).Code != mfa.WrongCode {
			t.Errorf("%s: got %v, want wrong_code", name, err)
		}
	}
	for _, bad := range []string{"", " " + code.Reveal(), code.Reveal() + "\n", "12345"} {
		_, err := prove(t, w, call, seal.NewSecret(bad))
		wantCode(t, err, mfa.InvalidRequest)
	}
	if _, err := prove(t, w, other, code); mfa.AsError(err).Code != mfa.WrongCode {
		t.Errorf("at another sign-in: got %v, want wrong_code", err)
	}
	if _, err := prove(t, w, call, code); err != nil {
		t.Fatal(err)
	}
	if answer, err := w.BeginEnrolment(t.Context(), other, mfa.EnrolRequest{Kind: mfa.TOTP}); err != nil || answer.Prove == nil {
		t.Errorf("at another sign-in: got %+v, %v, want to prove the address there too", answer, err)
	}
	begun, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.TOTP})
	if err != nil || begun.TOTP == nil {
		t.Fatalf("proven: got %+v, %v", begun, err)
	}
	_, err = finish(t, w, call, begun.ID, code)
	wantCode(t, err, mfa.WrongCode) // the code that proved the address isn't accepted as a code of the app
}

func TestAProofCodeEndsWithItsTime(t *testing.T) {
	w := plain(t, func(p *mfa.Policy) { everyone(p); p.Challenge.EmailCodeS = 60 })
	_, call := mustEnrol(t, w, ana())
	proving(t, w, call)
	w.Clock.Advance(time.Minute)
	_, err := prove(t, w, call, w.Outbox.Code(t, mail))
	wantCode(t, err, mfa.WrongCode)
	proving(t, w, call)
	w.Clock.Advance(time.Minute - time.Second)
	if _, err := prove(t, w, call, w.Outbox.Code(t, mail)); err != nil {
		t.Errorf("a second before its end: %v", err)
	}
}

func TestWrongProofCodesFailTheSignInAndCountForTheUser(t *testing.T) {
	w := plain(t, everyone)
	for range 2 {
		start, call := mustEnrol(t, w, ana())
		proving(t, w, call)
		code := w.Outbox.Code(t, mail)
		for left := 4; left >= 0; left-- {
			_, err := prove(t, w, call, mfatest.Wrong(code))
			if got := *wantCode(t, err, mfa.WrongCode).AttemptsLeft; got != left {
				t.Errorf("got %d attempts left, want %d", got, left)
			}
		}
		_, err := prove(t, w, call, code)
		wantCode(t, err, mfa.EnrolmentInvalid)
		_, err = w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.TOTP})
		wantCode(t, err, mfa.EnrolmentInvalid)
		if state, err := w.LookAtChallenge(t.Context(), w.Client, start.ID); err != nil || state.State != "failed" {
			t.Errorf("got %+v, %v, want failed", state, err)
		}
	}
	_, call := mustEnrol(t, w, ana())
	_, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.TOTP})
	wantCode(t, err, mfa.Locked)
	_, err = prove(t, w, call, seal.NewSecret("000000"))
	wantCode(t, err, mfa.Locked)
}

func TestWrongFirstCodesOfAForcedEnrolmentCountForTheUser(t *testing.T) {
	w := plain(t, func(p *mfa.Policy) { everyone(p); p.EnrolmentProof = "none" })
	_, call := mustEnrol(t, w, ana())
	var begun mfa.EnrolAnswer
	for range 3 {
		var err error
		if begun, err = w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.TOTP}); err != nil {
			t.Fatal(err)
		}
		for range 4 {
			if _, err = finish(t, w, call, begun.ID, mfatest.Wrong(w.Code(appOf(t, begun)))); err == nil {
				t.Error("a wrong code was taken")
			}
		}
	}
	_, err := finish(t, w, call, begun.ID, w.Code(appOf(t, begun)))
	wantCode(t, err, mfa.Locked)
	if got := len(events(t, w, mfa.ChallengeFailed)); got != 10 {
		t.Errorf("got %d guesses looked at, want 10", got)
	}
}

// A proof reads the challenge, then another code is sent, then the proof reads the guard.
func TestR12AProofCodeReadBeforeAnotherWasSentIsNotTakenAfterIt(t *testing.T) {
	w := plain(t, everyone)
	_, call := mustEnrol(t, w, ana())
	proving(t, w, call)
	old := w.Outbox.Code(t, mail)
	w.Clock.Advance(30 * time.Second)
	read := make(chan struct{}) // closed once the policy and the challenge were read
	w.Faults.Inject(fault.Get, 1, fault.Fault{After: func(context.Context) error {
		close(read)
		return nil
	}})
	w.Faults.Inject(fault.Query, 1, fault.Fault{Before: func(context.Context) error {
		<-read
		proving(t, w, call)
		return nil
	}})
	_, err := prove(t, w, call, old)
	if w.Outbox.Code(t, mail).Equal(old) {
		return // by chance, one code in a million is equal
	}
	wantCode(t, err, mfa.WrongCode)
	if _, err := prove(t, w, call, w.Outbox.Code(t, mail)); err != nil {
		t.Errorf("the new code: %v", err)
	}
}

func TestWhoHasNoKnownAddressNeedsAnAdministrator(t *testing.T) {
	w := plain(t, everyone)
	nobody := mfa.StartRequest{Org: org, User: mfa.Person{ID: user}}
	start, call := mustEnrol(t, w, nobody)
	if !slices.Equal(start.Enrolment.Kinds, []mfa.Kind{mfa.WebAuthn, mfa.TOTP}) {
		t.Errorf("got kinds %v", start.Enrolment.Kinds)
	}
	_, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.TOTP})
	wantCode(t, err, mfa.NothingToSend)
	_, err = w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.Email})
	wantCode(t, err, mfa.NothingToSend)
	w.SetPolicy(t, org, "default", func(p *mfa.Policy) { everyone(p); p.EnrolmentProof = "none" })
	if _, done := w.EnrolTOTP(t, call, "", mfa.Person{}); done.Token == nil {
		t.Error("where nothing has to be proven: got no token")
	}
}

func TestAProofIsOnlyForThoseWhoOweOne(t *testing.T) {
	w := plain(t, func(p *mfa.Policy) { everyone(p); p.EnrolmentProof = "none" })
	_, call := mustEnrol(t, w, ana())
	_, err := prove(t, w, call, seal.NewSecret("000000"))
	wantCode(t, err, mfa.EnrolmentInvalid)
	_, err = prove(t, w, w.Client, seal.NewSecret("000000"))
	wantCode(t, err, mfa.Unauthenticated)
}

func TestB1AnEnrolmentTokenIsGoodForNothingElse(t *testing.T) {
	w := plain(t, func(p *mfa.Policy) { everyone(p); p.EnrolmentProof = "none" })
	start, call := mustEnrol(t, w, ana())
	ctx, said := t.Context(), ana().User
	code := seal.NewSecret("000000")
	call.Reauthenticated = w.Fresh().Reauthenticated
	for name, do := range map[string]func() error{
		"start":  func() error { _, err := w.StartChallenge(ctx, call, ana()); return err },
		"decide": func() error { _, err := w.Decide(ctx, call, ana()); return err },
		"send":   func() error { _, err := w.SendCode(ctx, call, mfa.SendRequest{Challenge: start.ID}); return err },
		"verify": func() error {
			_, err := w.Verify(ctx, call, mfa.VerifyRequest{Challenge: start.ID, Answer: mfa.Answer{Code: code}})
			return err
		},
		"look":    func() error { _, err := w.LookAtChallenge(ctx, call, start.ID); return err },
		"get":     func() error { _, err := w.GetUser(ctx, call, org, user); return err },
		"put":     func() error { _, err := w.PutUser(ctx, call, org, said); return err },
		"erase":   func() error { return w.EraseUser(ctx, call, org, user) },
		"turn on": func() error { _, err := w.SetEnabled(ctx, call, org, user, true); return err },
		"remove":  func() error { return w.RemoveFactor(ctx, call, org, user, "fa_") },
		"codes":   func() error { _, err := w.NewRecoveryCodes(ctx, call, org, user); return err },
		"revoke":  func() error { return w.RevokeBrowsers(ctx, call, org, user) },
		"report":  func() error { _, err := w.Report(ctx, call, org, user, mfa.SignedOut); return err },
		"policy":  func() error { _, err := w.GetPolicy(ctx, call, org); return err },
		"recover": func() error {
			_, err := w.Recover(ctx, call, mfa.RecoverRequest{Challenge: start.ID, Code: seal.NewSecret("00000000000000000000000A")})
			return err
		},
	} {
		if err := do(); mfa.AsError(err).Code != mfa.Unauthenticated {
			t.Errorf("%s: got %v, want unauthenticated", name, err)
		}
	}
	// Only an enrolment answers this challenge, even if the client makes the call.
	for name, do := range map[string]func() error{
		"send":   func() error { _, err := send(t, w, start.ID); return err },
		"verify": func() error { _, err := verify(t, w, start.ID, code, false); return err },
		"recover": func() error {
			_, err := w.Recover(ctx, w.Client, mfa.RecoverRequest{Challenge: start.ID, Code: seal.NewSecret("00000000000000000000000A")})
			return err
		},
	} {
		if err := do(); mfa.AsError(err).Code != mfa.ChallengeInvalid {
			t.Errorf("%s by the client: got %v, want challenge_invalid", name, err)
		}
	}
	if _, done := w.EnrolTOTP(t, mfa.Call{Bearer: call.Bearer}, "", mfa.Person{}); done.Token == nil {
		t.Error("after all that: got no token")
	}
}

// wantDead fails the test unless every call with the enrolment token is refused.
func wantDead(t *testing.T, w *mfatest.World, name string, call mfa.Call, begun mfa.EnrolAnswer) {
	t.Helper()
	for what, do := range map[string]func() error{
		"begin": func() error {
			_, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.TOTP})
			return err
		},
		"prove":  func() error { _, err := prove(t, w, call, seal.NewSecret("000000")); return err },
		"send":   func() error { _, err := w.SendEnrolment(t.Context(), call, begun.ID); return err },
		"finish": func() error { _, err := finish(t, w, call, begun.ID, w.Code(appOf(t, begun))); return err },
	} {
		if err := do(); mfa.AsError(err).Code != mfa.EnrolmentInvalid {
			t.Errorf("%s, %s: got %v, want enrolment_invalid", name, what, err)
		}
	}
}

func TestAnEnrolmentTokenDiesWithItsFinishItsEpochAndItsWindow(t *testing.T) {
	for name, kill := range map[string]func(t *testing.T, w *mfatest.World, call mfa.Call, begun mfa.EnrolAnswer){
		"finished": func(t *testing.T, w *mfatest.World, call mfa.Call, begun mfa.EnrolAnswer) {
			if _, err := finish(t, w, call, begun.ID, w.Code(appOf(t, begun))); err != nil {
				t.Fatal(err)
			}
		},
		"revoked": func(t *testing.T, w *mfatest.World, _ mfa.Call, _ mfa.EnrolAnswer) {
			if err := w.RevokeBrowsers(t.Context(), w.Client, org, user); err != nil {
				t.Fatal(err)
			}
		},
		"erased": func(t *testing.T, w *mfatest.World, _ mfa.Call, _ mfa.EnrolAnswer) {
			if err := w.EraseUser(t.Context(), w.Client, org, user); err != nil {
				t.Fatal(err)
			}
		},
		"B9: over": func(_ *testing.T, w *mfatest.World, _ mfa.Call, _ mfa.EnrolAnswer) { w.Clock.Advance(time.Second) },
	} {
		w := keeping(t)
		w.SetPolicy(t, org, "default", func(p *mfa.Policy) { everyone(p); p.EnrolmentProof = "none"; p.Challenge.WindowS = 300 })
		_, call := mustEnrol(t, w, ana())
		begun, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.TOTP})
		if err != nil || !begun.Expires.Equal(w.Clock.Now().Add(5*time.Minute)) {
			t.Fatalf("got %+v, %v, want it to end with the sign-in", begun, err)
		}
		w.Clock.Advance(299 * time.Second)
		kill(t, w, call, begun)
		wantDead(t, w, name, call, begun)
	}
}

func TestE12AnEnrolmentOfASignInIsFinishedWithItsTokenOnly(t *testing.T) {
	w := plain(t, func(p *mfa.Policy) { everyone(p); p.EnrolmentProof = "none" })
	_, call := mustEnrol(t, w, ana())
	begun, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.TOTP})
	if err != nil {
		t.Fatal(err)
	}
	_, another := mustEnrol(t, w, ana())
	for name, call := range map[string]mfa.Call{"the client's key": w.Client, "the token of another sign-in of hers": another} {
		if _, err := finish(t, w, call, begun.ID, w.Code(appOf(t, begun))); mfa.AsError(err).Code != mfa.EnrolmentInvalid {
			t.Errorf("finished by %s: got %v, want enrolment_invalid", name, err)
		}
		if _, err := w.SendEnrolment(t.Context(), call, begun.ID); mfa.AsError(err).Code != mfa.EnrolmentInvalid {
			t.Errorf("sent by %s: got %v, want enrolment_invalid", name, err)
		}
	}
	if done, err := finish(t, w, call, begun.ID, w.Code(appOf(t, begun))); err != nil || done.Token == nil {
		t.Errorf("with its token: got %+v, %v", done, err)
	}
}

func TestAnEnrolmentTokenAlteredOrMadeUpIsRefused(t *testing.T) {
	w := plain(t, everyone)
	start, call := mustEnrol(t, w, ana())
	raw := rawID(t, start.ID)
	altered := []byte(call.Bearer)
	if last := &altered[len(altered)-2]; *last == 'A' { // another letter, so that the token is still base64url
		*last = 'B'
	} else {
		*last = 'A'
	}
	for name, c := range map[string]struct {
		bearer string
		want   mfa.ErrorCode
	}{
		"made up for her challenge":            {seal.NewFilter().NewBearer(seal.EnrolmentToken, raw).Reveal(), mfa.Unauthenticated},
		"altered":                              {string(altered), mfa.Unauthenticated},
		"forged by one who has the filter key": {w.Forged(t, seal.EnrolmentToken, raw), mfa.EnrolmentInvalid},
	} {
		if _, err := w.BeginEnrolment(t.Context(), mfa.Call{Bearer: c.bearer}, mfa.EnrolRequest{Kind: mfa.TOTP}); mfa.AsError(err).Code != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}
