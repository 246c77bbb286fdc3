package mfa_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

// wantUnspent fails the test unless the challenge has counted no wrong answer yet.
func wantUnspent(t *testing.T, w *mfatest.World, id string, code seal.Secret) {
	t.Helper()
	_, err := verify(t, w, id, mfatest.Wrong(code), false)
	if left := *wantCode(t, err, mfa.WrongCode).AttemptsLeft; left != 4 {
		t.Errorf("got %d attempts left, want 4", left)
	}
}

func TestK2AndB9ACodeEndsToTheSecond(t *testing.T) {
	for _, life := range []int{60, 600, 900} {
		change := func(p *mfa.Policy) { p.Challenge.EmailCodeS = life }
		w := kls(t, change)
		ch := started(t, w, ana())
		if want := w.Clock.Now().Add(time.Duration(life) * time.Second); !ch.Sent.Expires.Equal(want) {
			t.Errorf("got an end at %v, want %v", ch.Sent.Expires, want)
		}
		w.Clock.Advance(time.Duration(life)*time.Second - time.Second)
		if _, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), false); err != nil {
			t.Errorf("%d s: a second before its end: %v", life, err)
		}
		w = kls(t, change)
		ch = started(t, w, ana())
		w.Clock.Advance(time.Duration(life) * time.Second)
		_, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), false)
		if life == 900 {
			wantCode(t, err, mfa.ChallengeInvalid)
			continue
		}
		if left := *wantCode(t, err, mfa.WrongCode).AttemptsLeft; left != 4 {
			t.Errorf("%d s: got %d attempts left, want 4", life, left)
		}
	}
}

func TestK2ASignInIsCompletedInItsWindowNewCodesIncluded(t *testing.T) {
	for _, window := range []int{300, 900} {
		for _, late := range []bool{false, true} {
			w := kls(t, func(p *mfa.Policy) { p.Challenge.WindowS = window })
			ch := started(t, w, ana())
			end := w.Clock.Now().Add(time.Duration(window) * time.Second)
			if !ch.Expires.Equal(end) || ch.Sent.Expires.After(end) {
				t.Errorf("got an end at %v and of the code at %v, want %v", ch.Expires, ch.Sent.Expires, end)
			}
			w.Clock.Advance(time.Duration(window-1) * time.Second)
			again, err := send(t, w, ch.ID)
			if err != nil || !again.Sent.Expires.Equal(end) {
				t.Fatalf("got %+v, %v, want a code that ends with the window", again.Sent, err)
			}
			if !late {
				if _, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), false); err != nil {
					t.Errorf("a second before the end: %v", err)
				}
				continue
			}
			w.Clock.Advance(time.Second)
			_, err = verify(t, w, ch.ID, w.Outbox.Code(t, mail), false)
			wantCode(t, err, mfa.ChallengeInvalid)
			_, err = send(t, w, ch.ID)
			wantCode(t, err, mfa.ChallengeInvalid)
			if state, err := w.LookAtChallenge(t.Context(), w.Client, ch.ID); err != nil || state.State != "expired" {
				t.Errorf("got %+v, %v, want expired: the item is still there", state, err)
			}
		}
	}
}

func TestR12TheOldCodeIsDeadAfterAResend(t *testing.T) {
	w := kls(t, nil)
	ch := started(t, w, ana())
	old := w.Outbox.Code(t, mail)
	w.Clock.Advance(30 * time.Second)
	for w.Outbox.Code(t, mail).Equal(old) {
		if _, err := send(t, w, ch.ID); err != nil {
			t.Fatal(err)
		}
		w.Clock.Advance(30 * time.Second)
	}
	_, err := verify(t, w, ch.ID, old, false)
	wantCode(t, err, mfa.WrongCode)
	if _, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), false); err != nil {
		t.Errorf("the new code: %v", err)
	}
}

func TestACodeIsGoodOnce(t *testing.T) {
	w := kls(t, nil)
	ch := started(t, w, ana())
	code := w.Outbox.Code(t, mail)
	if _, err := verify(t, w, ch.ID, code, false); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err := verify(t, w, ch.ID, code, false)
		wantCode(t, err, mfa.ChallengeInvalid)
		w.Clock.Advance(10 * time.Minute)
	}
	_, err := send(t, w, ch.ID)
	wantCode(t, err, mfa.ChallengeInvalid)
}

func TestR11ACodeIsGoodForItsOwnChallengeOnly(t *testing.T) {
	w := kls(t, nil)
	stepUp, elsewhere, another := ana(), ana(), ana()
	stepUp.Purpose = mfa.StepUp
	elsewhere.Org, another.User.ID = "globex", "u-18"
	w.SetPolicy(t, "globex", "kls", nil)
	mine := started(t, w, ana())
	code := w.Outbox.Code(t, mail)
	for name, q := range map[string]mfa.StartRequest{
		"the same sign-in again": ana(), "a step-up": stepUp, "another org": elsewhere, "another user": another,
	} {
		ch := started(t, w, q)
		for w.Outbox.Code(t, mail).Equal(code) {
			ch = started(t, w, q)
		}
		if _, err := verify(t, w, ch.ID, code, false); mfa.AsError(err).Code != mfa.WrongCode {
			t.Errorf("%s: got %v, want wrong_code", name, err)
		}
		if _, err := verify(t, w, mine.ID, w.Outbox.Code(t, mail), false); mfa.AsError(err).Code != mfa.WrongCode {
			t.Errorf("the code of %s: got %v, want wrong_code", name, err)
		}
	}
	if _, err := verify(t, w, mine.ID, code, false); err != nil {
		t.Errorf("its own: %v", err)
	}
}

func TestR11ADigestThatIsMovedToAnotherChallengeMatchesNothing(t *testing.T) {
	w := kls(t, nil)
	from := started(t, w, ana())
	code := w.Outbox.Code(t, mail)
	to := started(t, w, ana())
	transplant(t, w, storedAt(t, w, to.ID, "challenge"), storedAt(t, w, from.ID, "challenge"), "code")
	_, err := verify(t, w, to.ID, code, false)
	wantCode(t, err, mfa.WrongCode)
	if _, err := verify(t, w, from.ID, code, false); err != nil {
		t.Errorf("where it belongs: %v", err)
	}
}

// rawID decodes the id of a challenge.
func rawID(t *testing.T, id string) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(id, "ch_"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestR13AChallengeIsAnsweredByItsOwnTokenOrClientOnly(t *testing.T) {
	w := kls(t, nil)
	ch := started(t, w, ana())
	code := w.Outbox.Code(t, mail)
	q := ana()
	q.User = mfa.Person{ID: "u-18", Email: mfa.Some("bob@acme.example")}
	bobs := started(t, w, q)
	again := started(t, w, ana())
	altered := ch.Token.Reveal()
	altered = altered[:10] + string('A'+(altered[10]+1)%26) + altered[11:]
	strangers := map[string]mfa.Call{
		"another client":                        w.NewClient(t, apikey.Grant{Client: "portal", Scopes: apikey.Scopes()}),
		"the client's key for another org":      w.NewClient(t, apikey.Grant{Client: "app", Scopes: apikey.Scopes(), Org: "globex"}),
		"the token of another user's challenge": {Bearer: bobs.Token.Reveal()},
		"the token of another challenge":        {Bearer: again.Token.Reveal()},
		"a token that was forged for it":        {Bearer: w.Forged(t, seal.ChallengeToken, rawID(t, ch.ID))},
		"an altered token":                      {Bearer: altered},
	}
	for name, call := range strangers {
		answers := map[string]error{}
		_, answers["verify"] = w.Verify(t.Context(), call, mfa.VerifyRequest{Challenge: ch.ID, Answer: mfa.Answer{Code: code}})
		_, answers["send"] = w.SendCode(t.Context(), call, mfa.SendRequest{Challenge: ch.ID})
		_, answers["look"] = w.LookAtChallenge(t.Context(), call, ch.ID)
		for what, err := range answers {
			want := mfa.ChallengeInvalid
			if call.Bearer == altered {
				want = mfa.Unauthenticated
			}
			if mfa.AsError(err).Code != want {
				t.Errorf("%s by %s: got %v, want %s", what, name, err, want)
			}
		}
	}
	wantUnspent(t, w, ch.ID, code)
	sameOrg := w.NewClient(t, apikey.Grant{Client: "app", Scopes: apikey.Scopes(), Org: org})
	if state, err := w.LookAtChallenge(t.Context(), sameOrg, ch.ID); err != nil || state.State != "pending" {
		t.Errorf("another key of the client: got %+v, %v", state, err)
	}
	if _, err := w.Verify(t.Context(), mfa.Call{Bearer: ch.Token.Reveal()}, mfa.VerifyRequest{Challenge: ch.ID, Answer: mfa.Answer{Code: code}}); err != nil {
		t.Errorf("its own token: %v", err)
	}
}

func TestAnIdThatIsNoChallengeIsAnsweredLikeOneThatIsGone(t *testing.T) {
	w := kls(t, nil)
	ch := started(t, w, ana())
	code := w.Outbox.Code(t, mail)
	changed := []byte(ch.ID)
	changed[len(changed)-3] ^= 3
	var first *mfa.Error
	for _, id := range []string{"", "ch_", "ch_x", "en_" + ch.ID[3:], string(changed), ch.ID + "A", ch.ID[:len(ch.ID)-1], strings.ToUpper(ch.ID), "../x"} {
		_, err := verify(t, w, id, code, false)
		e := wantCode(t, err, mfa.ChallengeInvalid)
		if first == nil {
			first = e
		}
		if e.Detail != first.Detail || e.Param != first.Param {
			t.Errorf("%q: got %v, want the same words as for any other", id, e)
		}
	}
	if _, err := verify(t, w, ch.ID, code, false); err != nil {
		t.Error(err)
	}
}

func TestAChangedContactKillsOpenChallenges(t *testing.T) {
	changes := map[string]mfa.Person{
		"another email":  {ID: user, Email: mfa.Some("ana@other.example")},
		"no email":       {ID: user, Email: mfa.Optional[string]{Set: true}},
		"another phone":  {ID: user, Phone: mfa.Some("+33687654321")},
		"no phone":       {ID: user, Phone: mfa.Optional[string]{Set: true}},
		"only the case":  {ID: user, Email: mfa.Some("Ana@acme.example")},
		"all at a start": {ID: user, Email: mfa.Some("ana@other.example"), Phone: mfa.Some("+33687654321")},
	}
	for name, change := range changes {
		w := kls(t, nil)
		q := ana()
		q.User.Phone = mfa.Some("+33612345678")
		ch := started(t, w, q)
		code := w.Outbox.Code(t, mail)
		if strings.Contains(name, "start") {
			started(t, w, mfa.StartRequest{Org: org, User: change})
		} else if _, err := w.PutUser(t.Context(), w.Client, org, change); err != nil {
			t.Fatal(err)
		}
		if _, err := verify(t, w, ch.ID, code, false); mfa.AsError(err).Code != mfa.ChallengeInvalid {
			t.Errorf("%s: got %v, want challenge_invalid", name, err)
		}
		if _, err := send(t, w, ch.ID); mfa.AsError(err).Code != mfa.ChallengeInvalid {
			t.Errorf("%s, send: got %v, want challenge_invalid", name, err)
		}
		if _, err := w.PutUser(t.Context(), w.Client, org, q.User); err != nil { // the profile is put back as it was
			t.Fatal(err)
		}
		if _, err := verify(t, w, ch.ID, code, false); mfa.AsError(err).Code != mfa.ChallengeInvalid {
			t.Errorf("%s, and back: got %v, want challenge_invalid", name, err)
		}
	}
}

func TestAChangedNameOrAFirstPhoneKillsNothing(t *testing.T) {
	w := kls(t, nil)
	ch := started(t, w, ana())
	code := w.Outbox.Code(t, mail)
	change := mfa.Person{ID: user, Email: mfa.Some(mail), Phone: mfa.Some("+33612345678"), Name: mfa.Some("Anna"), Locale: mfa.Some("fr")}
	if _, err := w.PutUser(t.Context(), w.Client, org, change); err != nil {
		t.Fatal(err)
	}
	if _, err := verify(t, w, ch.ID, code, false); err != nil {
		t.Error(err)
	}
}

func TestB5AKindForbiddenSinceTheStartIsRefusedAndNothingIsSpent(t *testing.T) {
	w := kls(t, nil)
	ch := started(t, w, ana())
	code := w.Outbox.Code(t, mail)
	w.SetPolicy(t, org, "kls", func(p *mfa.Policy) { p.Methods.Email, p.Require = mfa.NotAllowed, mfa.Nobody })
	w.Clock.Advance(30 * time.Second)
	for _, named := range []string{"", *ch.Default} {
		for range 6 {
			_, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Factor: named, Answer: mfa.Answer{Code: code}})
			wantCode(t, err, mfa.MethodForbidden)
		}
		_, err := w.SendCode(t.Context(), w.Client, mfa.SendRequest{Challenge: ch.ID, Factor: named})
		wantCode(t, err, mfa.MethodForbidden)
	}
	if got := len(w.Outbox.To(mail)); got != 1 {
		t.Errorf("got %d emails, want the first only", got)
	}
	w.SetPolicy(t, org, "kls", nil)
	wantUnspent(t, w, ch.ID, code)
	if _, err := verify(t, w, ch.ID, code, false); err != nil {
		t.Errorf("allowed again: %v", err)
	}
}

func TestB7AFactorThatIsNotTheUsersIsRefusedAndNothingIsSpent(t *testing.T) {
	w := kls(t, nil)
	q := ana()
	q.User = mfa.Person{ID: "u-18", Email: mfa.Some("bob@acme.example")}
	bobs := started(t, w, q)
	ch := started(t, w, ana())
	code := w.Outbox.Code(t, mail)
	w.Clock.Advance(30 * time.Second)
	for _, named := range []string{*bobs.Default, "fa_", "fa_AAAAAAAAAAAAAAAAAAAAAA", *ch.Default + "A", ch.ID} {
		_, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Factor: named, Answer: mfa.Answer{Code: code}})
		wantCode(t, err, mfa.NotFound)
		_, err = w.SendCode(t.Context(), w.Client, mfa.SendRequest{Challenge: ch.ID, Factor: named})
		wantCode(t, err, mfa.NotFound)
	}
	wantUnspent(t, w, ch.ID, code)
	if answer, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Factor: *ch.Default, Answer: mfa.Answer{Code: code}}); err != nil || !answer.Verified {
		t.Errorf("its own: got %+v, %v", answer, err)
	}
}

func TestB4AStepUpAsksForTheKindItNames(t *testing.T) {
	w := kls(t, nil)
	q := ana()
	q.Purpose = mfa.StepUp
	for _, kind := range []mfa.Kind{mfa.TOTP, mfa.WebAuthn, mfa.SMS} {
		q.Method = &kind
		_, err := w.StartChallenge(t.Context(), w.Client, q)
		wantCode(t, err, mfa.MethodForbidden)
	}
	kind := mfa.Email
	q.Method = &kind
	ch := started(t, w, q)
	if ch.Trust != nil {
		t.Error("got an offer of trust on a step-up")
	}
	if _, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), false); err != nil {
		t.Error(err)
	}
	kind = mfa.Kind("palm")
	_, err := w.StartChallenge(t.Context(), w.Client, q)
	wantCode(t, err, mfa.InvalidRequest)
	preference := mfa.TOTP
	signIn := ana()
	signIn.Method = &preference
	started(t, w, signIn) // at a sign-in the method is only a preference
}

func TestTheOutcomeIsThereForTenMinutes(t *testing.T) {
	w := kls(t, nil)
	ch := started(t, w, ana())
	if state, err := w.LookAtChallenge(t.Context(), w.Client, ch.ID); err != nil || state.State != "pending" || state.Outcome != nil {
		t.Fatalf("got %+v, %v, want pending", state, err)
	}
	w.Clock.Advance(14 * time.Minute)
	answer, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), true)
	if err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(10*time.Minute - time.Second)
	state, err := w.LookAtChallenge(t.Context(), w.Client, ch.ID)
	if err != nil || state.State != "verified" || state.Outcome == nil {
		t.Fatalf("got %+v, %v, want the outcome", state, err)
	}
	outcome := state.Outcome.(mfa.VerifyAnswer)
	if !outcome.IssuedAt.Equal(answer.IssuedAt) || !outcome.TrustToken.Equal(*answer.TrustToken) {
		t.Errorf("got %+v, want what verify answered", outcome)
	}
	before, after := claims(t, w, answer.Token), claims(t, w, outcome.Token)
	if before["jti"] != ch.ID || after["jti"] != ch.ID || after["iat"] == before["iat"] {
		t.Errorf("got claims %v, then %v, want the same jti signed anew", before, after)
	}
	w.Clock.Advance(time.Second)
	if state, err := w.LookAtChallenge(t.Context(), w.Client, ch.ID); err != nil || state.State != "verified" || state.Outcome != nil {
		t.Errorf("after ten minutes: got %+v, %v, want verified without an outcome", state, err)
	}
	w.Clock.Advance(time.Minute)
	_, err = w.LookAtChallenge(t.Context(), w.Client, ch.ID)
	wantCode(t, err, mfa.ChallengeInvalid)
}

func TestAnEndIsRememberedThoughOtherChallengesAreBegunAfterTheWindow(t *testing.T) {
	w := kls(t, nil)
	right, wrong := started(t, w, ana()), started(t, w, ana())
	code := w.Outbox.To(mail)[0].Code
	w.Clock.Advance(14 * time.Minute)
	if _, err := verify(t, w, right.ID, code, false); err != nil {
		t.Fatal(err)
	}
	wrongs(t, w, wrong.ID, 5)
	w.Clock.Advance(time.Minute)
	started(t, w, ana())
	if state, err := w.LookAtChallenge(t.Context(), w.Client, right.ID); err != nil || state.State != "verified" || state.Outcome == nil {
		t.Errorf("got %+v, %v, want verified and the outcome", state, err)
	}
	if state, err := w.LookAtChallenge(t.Context(), w.Client, wrong.ID); err != nil || state.State != "failed" {
		t.Errorf("got %+v, %v, want failed", state, err)
	}
}

func TestAnOutcomeDiesWithItsUsersContact(t *testing.T) {
	w := kls(t, nil)
	ch := started(t, w, ana())
	if _, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), true); err != nil {
		t.Fatal(err)
	}
	put(t, w, mfa.Person{ID: user, Email: mfa.Some("ana@other.example")})
	if state, err := w.LookAtChallenge(t.Context(), w.Client, ch.ID); err != nil || state.Outcome != nil {
		t.Errorf("got %+v, %v, want no outcome", state, err)
	}
}
