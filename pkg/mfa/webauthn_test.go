package mfa_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/passkey/passkeytest"
)

// withKey makes a world in which ana has this key, under the default policy as changed by change.
func withKey(t *testing.T, key *passkeytest.Authenticator, change func(*mfa.Policy)) (*mfatest.World, mfa.FinishAnswer) {
	t.Helper()
	w := plain(t, change)
	return w, w.EnrolKey(t, w.Fresh(), org, ana().User, key)
}

// give answers a challenge.
func give(t *testing.T, w *mfatest.World, ch *mfa.ChallengeToAnswer, a mfa.Answer) (mfa.VerifyAnswer, error) {
	t.Helper()
	return w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Answer: a})
}

// wantWrongCredential fails the test unless err says that the credential is wrong and that so many attempts are left.
func wantWrongCredential(t *testing.T, err error, left int) {
	t.Helper()
	if e := wantCode(t, err, mfa.WrongCredential); e.AttemptsLeft == nil || *e.AttemptsLeft != left {
		t.Errorf("got %v attempts left, want %d", e.AttemptsLeft, left)
	}
}

func bob() mfa.Person { return mfa.Person{ID: "u-18", Email: mfa.Some("bob@acme.example")} }

func TestASignInByKeyEndsInOneTokenThatSaysWhatIsKnown(t *testing.T) {
	for name, c := range map[string]struct {
		key *passkeytest.Authenticator
		amr []any
	}{
		"a security key":               {&passkeytest.Authenticator{}, []any{"pwd", "hwk", "mfa"}},
		"one that verifies its user":   {&passkeytest.Authenticator{Verifies: true, AlwaysVerify: true}, []any{"pwd", "hwk", "user", "mfa"}},
		"a synced passkey":             {&passkeytest.Authenticator{Resident: true, Platform: true, Eligible: true, Synced: true, NoCounter: true}, []any{"pwd", "swk", "mfa"}},
		"a passkey that may be synced": {&passkeytest.Authenticator{Resident: true, Platform: true, Eligible: true, NoCounter: true}, []any{"pwd", "hwk", "mfa"}},
	} {
		w, done := withKey(t, c.key, nil)
		ch := started(t, w, ana())
		if len(ch.Methods) != 1 || *ch.Default != done.Factor.ID || ch.Sent != nil || ch.WebAuthn == nil {
			t.Fatalf("%s: got %+v, want the key asked for", name, ch)
		}
		answer, err := give(t, w, ch, w.Touch(t, c.key, ch))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		wantClaims(t, w, answer.Token, map[string]any{"verified": true, "acr": "aal2", "amr": c.amr, "mfa_time": float64(w.Clock.Now().Unix())})
		if used := shown(t, w).Factors[0].LastUsed; used == nil || !used.Equal(w.Clock.Now()) {
			t.Errorf("%s: got last used %v, want now", name, used)
		}
	}
}

func TestAKeyThatIsEnrolledToSignInSaysHowItAnswered(t *testing.T) {
	w := plain(t, func(p *mfa.Policy) { p.Require, p.EnrolmentProof = mfa.Everyone, "none" })
	_, call := mustEnrol(t, w, ana())
	key := &passkeytest.Authenticator{Verifies: true, AlwaysVerify: true}
	done := w.EnrolKey(t, call, "", mfa.Person{}, key)
	wantClaims(t, w, *done.Token, map[string]any{"verified": true, "decision": "enrol", "acr": "aal2", "amr": []any{"pwd", "hwk", "user", "mfa"}})
}

func TestAnAccountWithKeysSaysWhatPagesAndPeopleNeed(t *testing.T) {
	w := plain(t, nil)
	if got := put(t, w, ana().User).WebAuthnSignal; got != nil {
		t.Errorf("got the signal %+v of a user without keys", got)
	}
	passkey := &passkeytest.Authenticator{Resident: true, Platform: true, Eligible: true, Synced: true, NoCounter: true, Transports: []string{"internal", "hybrid"}}
	first := w.EnrolKey(t, w.Fresh(), org, ana().User, passkey).Factor
	if f := first.PasskeyFacts; f == nil || f.Variant != mfa.AnyPasskey || !f.Synced {
		t.Errorf("got %+v, want a synced passkey", f)
	}
	w.Clock.Advance(time.Minute)
	q := ana()
	q.Purpose = mfa.StepUp
	ch := started(t, w, q)
	stepped, err := give(t, w, ch, w.Touch(t, passkey, ch))
	if err != nil {
		t.Fatal(err)
	}
	call := w.Fresh()
	call.Proof = stepped.Token
	person := ana().User
	begun, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Org: org, User: &person, Kind: mfa.WebAuthn})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := passkey.Create(begun.WebAuthn, mfatest.Origin); err != passkeytest.ErrExcluded {
		t.Errorf("the key that is enrolled already: got %v, want it excluded", err)
	}
	begun, err = w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Org: org, User: &person, Kind: mfa.WebAuthn, Variant: mfa.SecurityKey, Label: "The blue one"})
	if err != nil {
		t.Fatal(err)
	}
	response := must((&passkeytest.Authenticator{}).Create(begun.WebAuthn, mfatest.Origin))(t)
	second, err := w.FinishEnrolment(t.Context(), call, mfa.FinishRequest{Enrolment: begun.ID, Answer: mfa.Answer{Credential: response}})
	if err != nil {
		t.Fatal(err)
	}
	if f := second.Factor; f.Label != "The blue one" || f.PasskeyFacts == nil || f.PasskeyFacts.Variant != mfa.SecurityKey || f.PasskeyFacts.Synced {
		t.Errorf("got %+v, want a security key", f)
	}
	signal := shown(t, w).WebAuthnSignal
	var options struct {
		RP, User struct{ ID string }
	}
	if err := json.Unmarshal(begun.WebAuthn, &options); err != nil {
		t.Fatal(err)
	}
	if signal == nil || signal.RPID != options.RP.ID || signal.UserID != options.User.ID || len(signal.CredentialIDs) != 2 {
		t.Fatalf("got %+v, want both credentials of the user handle %s", signal, options.User.ID)
	}
	if raw, err := base64.RawURLEncoding.DecodeString(signal.UserID); err != nil || len(raw) != 32 || bytes.Contains(raw, []byte(user)) {
		t.Errorf("the user handle %q is no 32 random bytes", signal.UserID)
	}
}

func TestACredentialBelongsToTheKeyThatMadeIt(t *testing.T) {
	first, second := &passkeytest.Authenticator{}, &passkeytest.Authenticator{}
	w, one := withKey(t, first, nil)
	w.Clock.Advance(time.Minute)
	q := ana()
	q.Purpose = mfa.StepUp
	ch := started(t, w, q)
	stepped, err := give(t, w, ch, w.Touch(t, first, ch))
	if err != nil {
		t.Fatal(err)
	}
	call := w.Fresh()
	call.Proof = stepped.Token
	two := w.EnrolKey(t, call, org, ana().User, second)
	for key, f := range map[*passkeytest.Authenticator]mfa.Factor{first: one.Factor, second: two.Factor} {
		w.Clock.Advance(time.Minute)
		ch := started(t, w, ana())
		_, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Factor: *ch.Default, Answer: w.Touch(t, key, ch)})
		if err != nil {
			t.Fatal(err)
		}
		for _, now := range shown(t, w).Factors {
			if used := now.LastUsed.Equal(w.Clock.Now()); used != (now.ID == f.ID) {
				t.Errorf("%s was used: %v, want %s alone", now.ID, used, f.ID)
			}
		}
	}
}

func TestB10AForgedResponseIsRefusedAndTheRightOneStillWorks(t *testing.T) {
	for name, wrong := range map[string]passkeytest.Misbehaviour{
		"a signature that is changed": {Signature: func(s []byte) []byte { s[len(s)-1] ^= 1; return s }},
		"no signature":                {Signature: func([]byte) []byte { return []byte{} }},
		"another key":                 {OtherKey: true},
		"another origin":              {Origin: "https://app.example.evil.example"},
		"a port of the origin":        {Origin: mfatest.Origin + ":8443"},
		"a frame of another site":     {CrossOrigin: true},
		"another RP ID":               {RPID: "evil.example"},
		"another challenge":           {Challenge: make([]byte, 32)},
		"the type of a registration":  {Type: "webauthn.create"},
		"nobody there":                {Flags: func(f byte) byte { return f &^ passkeytest.UserPresent }},
		"another user handle":         {UserHandle: make([]byte, 32)},
		"a response without a field":  {Response: func(r map[string]any) { delete(r["response"].(map[string]any), "signature") }},
		"a response that is a text":   {Response: func(r map[string]any) { r["response"].(map[string]any)["signature"] = "!" }},
	} {
		key := &passkeytest.Authenticator{}
		w, _ := withKey(t, key, nil)
		ch := started(t, w, ana())
		key.Misbehaviour = wrong
		_, err := give(t, w, ch, w.Touch(t, key, ch))
		if mfa.AsError(err).Code != mfa.WrongCredential {
			t.Errorf("%s: got %v", name, err)
			continue
		}
		wantWrongCredential(t, err, 4)
		key.Misbehaviour = passkeytest.Misbehaviour{}
		if _, err := give(t, w, ch, w.Touch(t, key, ch)); err != nil {
			t.Errorf("after %s: %v", name, err)
		}
	}
}

func TestB10AnotherUsersKeyIsRefused(t *testing.T) {
	key, other := &passkeytest.Authenticator{}, &passkeytest.Authenticator{}
	w, _ := withKey(t, key, nil)
	w.EnrolKey(t, w.Fresh(), org, bob(), other)
	theirs := started(t, w, mfa.StartRequest{Org: org, User: bob()})
	response := w.Touch(t, other, theirs)
	ch := started(t, w, ana())
	_, err := give(t, w, ch, response)
	wantWrongCredential(t, err, 4)
	if _, err := give(t, w, theirs, response); err != nil {
		t.Errorf("to its own challenge: %v", err)
	}
}

func TestB11AUserWhoWasNotVerifiedIsRefusedWhereThatIsRequired(t *testing.T) {
	required := func(p *mfa.Policy) { p.WebAuthn.UserVerification = "required" }
	key := &passkeytest.Authenticator{Verifies: true}
	w := plain(t, required)
	begun := begin(t, w, w.Fresh(), mfa.WebAuthn)
	without := passkeytest.Misbehaviour{Flags: func(f byte) byte { return f &^ passkeytest.UserVerified }}
	key.Misbehaviour = without
	finish := func() error {
		_, err := w.FinishEnrolment(t.Context(), w.Fresh(), mfa.FinishRequest{
			Enrolment: begun.ID, Answer: mfa.Answer{Credential: must((&passkeytest.Authenticator{Verifies: true, Misbehaviour: key.Misbehaviour}).Create(begun.WebAuthn, mfatest.Origin))(t)},
		})
		return err
	}
	wantWrongCredential(t, finish(), 4)
	key.Misbehaviour = passkeytest.Misbehaviour{}
	if err := finish(); err != nil {
		t.Fatal(err)
	}

	w, _ = withKey(t, key, required)
	ch := started(t, w, ana())
	key.Misbehaviour = without
	_, err := give(t, w, ch, w.Touch(t, key, ch))
	wantWrongCredential(t, err, 4)
	key.Misbehaviour = passkeytest.Misbehaviour{}
	if _, err := give(t, w, ch, w.Touch(t, key, ch)); err != nil {
		t.Error(err)
	}
}

// A response is checked against what the policy required when the ceremony began, and against what it requires now.
func TestB11ACeremonyKeepsTheUserVerificationThatItWasBegunWith(t *testing.T) {
	key := &passkeytest.Authenticator{Verifies: true}
	w, _ := withKey(t, key, nil)
	ch := started(t, w, ana())
	w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.WebAuthn.UserVerification = "required" })
	_, err := give(t, w, ch, w.Touch(t, key, ch))
	wantWrongCredential(t, err, 4)
	ch.WebAuthn = sendKey(t, w, ch)
	if _, err := give(t, w, ch, w.Touch(t, key, ch)); err != nil {
		t.Error(err)
	}
}

// sendKey asks for new options.
func sendKey(t *testing.T, w *mfatest.World, ch *mfa.ChallengeToAnswer) json.RawMessage {
	t.Helper()
	sent, err := w.SendCode(t.Context(), w.Client, mfa.SendRequest{Challenge: ch.ID, Factor: *ch.Default})
	if err != nil || sent.WebAuthn == nil || sent.Sent != nil {
		t.Fatalf("got %+v, %v, want options", sent, err)
	}
	return sent.WebAuthn
}

func TestR9AnAuthenticatorsResponseIsGoodOnceAndForItsTime(t *testing.T) {
	key := &passkeytest.Authenticator{}
	w, _ := withKey(t, key, nil)
	ch := started(t, w, ana())
	response := w.Touch(t, key, ch)
	if _, err := give(t, w, ch, response); err != nil {
		t.Fatal(err)
	}
	_, err := give(t, w, ch, response)
	wantCode(t, err, mfa.ChallengeInvalid)
	ch = started(t, w, ana())
	_, err = give(t, w, ch, response)
	wantWrongCredential(t, err, 4)

	earlier := w.Touch(t, key, ch)
	ch.WebAuthn = sendKey(t, w, ch)
	_, err = give(t, w, ch, earlier)
	wantWrongCredential(t, err, 3)
	late := w.Touch(t, key, ch)
	w.Clock.Advance(300 * time.Second)
	_, err = give(t, w, ch, late)
	wantWrongCredential(t, err, 2)
	ch.WebAuthn = sendKey(t, w, ch)
	late = w.Touch(t, key, ch)
	w.Clock.Advance(299 * time.Second)
	if _, err := give(t, w, ch, late); err != nil {
		t.Errorf("a second before the end: %v", err)
	}
}

func TestR9ACounterThatDoesNotGrowIsRefusedAndTold(t *testing.T) {
	for name, c := range map[string]struct {
		no    bool // the key has no counter when it is enrolled
		count func(uint32) uint32
		right bool
	}{
		"back":                     {false, func(n uint32) uint32 { return n - 2 }, false},
		"the same":                 {false, func(n uint32) uint32 { return n - 1 }, false},
		"none any more":            {false, func(uint32) uint32 { return 0 }, false},
		"far ahead":                {false, func(n uint32) uint32 { return n + 1000 }, true},
		"none as before":           {true, nil, true},
		"one where there was none": {true, func(uint32) uint32 { return 7 }, true},
	} {
		key := &passkeytest.Authenticator{NoCounter: c.no}
		w, _ := withKey(t, key, nil)
		for range 2 {
			ch := started(t, w, ana())
			if _, err := give(t, w, ch, w.Touch(t, key, ch)); err != nil {
				t.Fatal(err)
			}
		}
		key.Misbehaviour.Count = c.count
		ch := started(t, w, ana())
		_, err := give(t, w, ch, w.Touch(t, key, ch))
		if told := len(events(t, w, mfa.CounterRefused)); (err == nil) != c.right || (told == 0) != c.right {
			t.Errorf("%s: got %v and %d events", name, err, told)
		}
		if !c.right {
			wantWrongCredential(t, err, 4)
		}
	}
}

func TestALockOfCodesNeverBlocksAKeyAndAWrongKeyLocksNothing(t *testing.T) {
	key := &passkeytest.Authenticator{}
	w, a, _ := withApp(t, nil)
	call := w.StepUp(t, org, user, a)
	w.EnrolKey(t, call, org, ana().User, key)
	app, codes := mfa.TOTP, 0
	for q := ana(); ; codes++ {
		q.Method = &app
		ch := started(t, w, q)
		if len(ch.Methods) == 1 {
			break
		}
		_, err := verify(t, w, ch.ID, mfatest.Wrong(w.Code(a)), false)
		wantCode(t, err, mfa.WrongCode)
		if codes > 20 {
			t.Fatal("no lock after 20 wrong codes")
		}
	}
	for range 20 { // as many wrong credentials as the budget of codes allows wrong codes in a day
		ch := started(t, w, ana())
		if len(ch.Methods) != 1 || ch.Methods[0].Kind != mfa.WebAuthn {
			t.Fatalf("got the methods %+v, want the key alone", ch.Methods)
		}
		key.Misbehaviour.OtherKey = true
		_, err := give(t, w, ch, w.Touch(t, key, ch))
		wantWrongCredential(t, err, 4)
	}
	key.Misbehaviour.OtherKey = false
	ch := started(t, w, ana())
	if _, err := give(t, w, ch, w.Touch(t, key, ch)); err != nil {
		t.Error(err)
	}
}

func TestWrongCredentialsEndTheChallenge(t *testing.T) {
	key := &passkeytest.Authenticator{Misbehaviour: passkeytest.Misbehaviour{}}
	w, _ := withKey(t, key, nil)
	ch := started(t, w, ana())
	key.Misbehaviour.OtherKey = true
	for left := 4; left >= 0; left-- {
		_, err := give(t, w, ch, w.Touch(t, key, ch))
		wantWrongCredential(t, err, left)
	}
	key.Misbehaviour.OtherKey = false
	_, err := give(t, w, ch, w.Touch(t, key, ch))
	wantCode(t, err, mfa.ChallengeInvalid)
}

func TestACeremonyOfAPageIsAnsweredFromThereOnly(t *testing.T) {
	key := &passkeytest.Authenticator{}
	w := plain(t, nil)
	const second = "https://www.app.example"
	both := w.NewClient(t, apikey.Grant{Client: "app", Scopes: apikey.Scopes(), Origins: []string{mfatest.Origin, second}})
	w.EnrolKey(t, w.Fresh(), org, ana().User, key)
	answer, err := w.StartChallenge(t.Context(), both, ana())
	if err != nil {
		t.Fatal(err)
	}
	ch := answer.Challenge
	for _, origin := range []string{mfatest.Origin, second} {
		key.Misbehaviour.Signature = func([]byte) []byte { return nil } // a wrong signature keeps the challenge open
		if _, err := give(t, w, ch, mfa.Answer{Credential: must(key.Get(ch.WebAuthn, origin))(t)}); mfa.AsError(err).Code != mfa.WrongCredential {
			t.Errorf("%s: got %v", origin, err)
		}
	}
	key.Misbehaviour.Signature = nil
	page := mfa.Call{Bearer: ch.Token.Reveal(), Origin: "https://evil.example"}
	_, err = w.SendCode(t.Context(), page, mfa.SendRequest{Challenge: ch.ID})
	wantCode(t, err, mfa.Forbidden)
	page.Origin = second
	sent, err := w.SendCode(t.Context(), page, mfa.SendRequest{Challenge: ch.ID})
	if err != nil {
		t.Fatal(err)
	}
	_, err = give(t, w, ch, mfa.Answer{Credential: must(key.Get(sent.WebAuthn, mfatest.Origin))(t)})
	wantWrongCredential(t, err, 2)
	if _, err := give(t, w, ch, mfa.Answer{Credential: must(key.Get(sent.WebAuthn, second))(t)}); err != nil {
		t.Error(err)
	}
}

func TestAnEnrolmentOfAPageIsFinishedFromThereOnly(t *testing.T) {
	w := plain(t, func(p *mfa.Policy) { p.Require, p.EnrolmentProof = mfa.Everyone, "none" })
	_, call := mustEnrol(t, w, ana())
	call.Origin = "https://evil.example"
	_, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.WebAuthn})
	wantCode(t, err, mfa.Forbidden)
	call.Origin = mfatest.Origin
	begun, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.WebAuthn})
	if err != nil {
		t.Fatal(err)
	}
	pages := &passkeytest.Authenticator{Misbehaviour: passkeytest.Misbehaviour{Origin: w.Issuer}}
	finish := func(key *passkeytest.Authenticator) error {
		_, err := w.FinishEnrolment(t.Context(), call, mfa.FinishRequest{Enrolment: begun.ID, Answer: mfa.Answer{Credential: must(key.Create(begun.WebAuthn, mfatest.Origin))(t)}})
		return err
	}
	wantWrongCredential(t, finish(pages), 4)
	if err := finish(&passkeytest.Authenticator{}); err != nil {
		t.Error(err)
	}
}

func TestB5AStepUpOrAPolicyThatWantsAKeyTakesNothingElse(t *testing.T) {
	key := &passkeytest.Authenticator{}
	w, a, _ := withApp(t, nil)
	w.EnrolKey(t, w.StepUp(t, org, user, a), org, ana().User, key)
	kind := mfa.WebAuthn
	q := ana()
	q.Purpose, q.Method = mfa.StepUp, &kind
	w.Clock.Advance(mfatest.Step)
	only := started(t, w, q)
	w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Methods.TOTP, p.Methods.Email = mfa.NotAllowed, mfa.NotAllowed })
	policy := started(t, w, ana())
	for name, ch := range map[string]*mfa.ChallengeToAnswer{"a step-up": only, "a policy": policy} {
		before := len(w.Outbox.To(mail))
		_, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Factor: a.Factor, Answer: mfa.Answer{Code: w.Code(a)}})
		wantCode(t, err, mfa.MethodForbidden)
		_, err = w.SendCode(t.Context(), w.Client, mfa.SendRequest{Challenge: ch.ID, Factor: a.Factor})
		wantCode(t, err, mfa.MethodForbidden)
		if sent := len(w.Outbox.To(mail)); sent != before {
			t.Errorf("%s: something was sent", name)
		}
		if _, err := give(t, w, ch, w.Touch(t, key, ch)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestADeploymentWithoutAnRPIDOffersNoKeysAndChecksNone(t *testing.T) {
	key := &passkeytest.Authenticator{}
	w, _ := withKey(t, key, nil)
	ch := started(t, w, ana())
	passkeys := w.Passkeys
	w.Passkeys = nil
	_, err := give(t, w, ch, w.Touch(t, key, ch))
	wantCode(t, err, mfa.Unavailable)
	w.Passkeys, w.RelyingParty = passkeys, mfa.RelyingParty{}
	p := bob()
	_, err = w.BeginEnrolment(t.Context(), w.Fresh(), mfa.EnrolRequest{Org: org, User: &p, Kind: mfa.WebAuthn})
	wantCode(t, err, mfa.MethodForbidden)
	answer, err := w.StartChallenge(t.Context(), w.Client, mfa.StartRequest{Org: org, User: p})
	if err != nil || answer.Offer == nil || slices.Contains(answer.Offer.Kinds, mfa.WebAuthn) {
		t.Errorf("got the offer %+v, %v, want none of a key", answer.Offer, err)
	}
}
