package main

import (
	"slices"
	"testing"
	"time"

	"countersign/pkg/passkey/passkeytest"
)

// enrolManyKinds enrols a factor of each kind for ana, under a policy that allows all of them.
func (w *world) enrolManyKinds(t *testing.T) manyKinds {
	t.Helper()
	w.policy(t, "acme", doc{"methods": doc{"sms": "allowed"}, "sms": doc{"countries": []string{"FR"}}, "trust": doc{"days": 0}})
	p, proof := w.enrolThreeKinds(t)
	p.key = &passkeytest.Authenticator{}
	p.factors["webauthn"] = w.enrolKey(t, ana, p.key, proof).text("factor", "id")
	return p
}

// refusesWeaker fails the test unless a challenge refuses each weaker factor, and loses and sends nothing by that.
func (w *world) refusesWeaker(t *testing.T, p manyKinds, asked answer) {
	t.Helper()
	id, before := asked.text("challenge", "id"), len(w.codes(t, ""))
	if !slices.Equal(kindsOf(asked), []string{"webauthn"}) || asked.at("challenge", "sent") != nil {
		t.Fatalf("got %s, want the key asked for and nothing sent", asked.raw)
	}
	w.advance(t, time.Minute) // so that no code has to wait
	code := p.app.code(t, w)
	for _, kind := range []string{"totp", "sms", "email"} {
		w.do(t, call{method: "POST", path: "/v1/challenges/" + id + "/send", body: doc{"factor": p.factors[kind]}}).want(t, 403, "method_forbidden")
		for range 6 { // more often than a challenge takes wrong answers
			w.verify(t, id, doc{"factor": p.factors[kind], "code": code}).want(t, 403, "method_forbidden")
		}
	}
	w.verify(t, id, doc{"code": code}).want(t, 400, "invalid_request") // without a factor the answer is for the key, which can't be answered with a code
	if n := len(w.codes(t, "")) - before; n != 0 {
		t.Errorf("%d codes were sent", n)
	}
	if failed := w.events(t, ana.id, "challenge.failed"); len(failed) != 0 {
		t.Errorf("refusals were counted as guesses: %v", failed)
	}
}

func TestB5WhereThePolicyAllowsKeysAloneNothingWeakerIsTaken(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		p := w.enrolManyKinds(t)
		onlyKeys := doc{"methods": doc{"totp": "forbidden", "sms": "forbidden", "email": "forbidden"}, "email_backup": "forbidden", "trust": doc{"days": 0}}
		w.policy(t, "acme", onlyKeys)
		for _, kind := range []string{"totp", "sms", "email"} {
			w.start(t, ana, doc{"purpose": "step_up", "method": kind}).want(t, 403, "method_forbidden")
			body := ana.signIn(doc{"kind": kind})
			if kind == "sms" {
				body["phone"] = "+33612345679"
			}
			proof := w.stepUpBy(t, ana, p.key)
			w.do(t, call{method: "POST", path: "/v1/enrolments", body: body, header: w.fresh(t, proof)}).want(t, 403, "method_forbidden")
		}
		for _, preferred := range []any{nil, "totp", "sms", "email"} {
			asked := w.asked(t, ana, doc{"method": preferred})
			w.refusesWeaker(t, p, asked)
			w.verify(t, asked.text("challenge", "id"), w.touch(t, p.key, asked)).want(t, 200, "")
		}
		spent := p.app.next(t, w) // no app code was spent by what was refused
		w.policy(t, "acme", doc{"trust": doc{"days": 0}})
		w.verify(t, w.asked(t, ana, nil).text("challenge", "id"), doc{"factor": p.app.factor, "code": spent}).want(t, 200, "")

		// Only the policy's recovery setting decides whether recovery codes are allowed.
		w.policy(t, "acme", onlyKeys)
		asked := w.asked(t, ana, nil)
		if asked.at("challenge", "recovery") != true {
			t.Errorf("got %s, want recovery codes to be possible", asked.raw)
		}
		w.recoverBy(t, asked.text("challenge", "id"), p.codes[0].(string)).want(t, 200, "")
		onlyKeys["recovery"] = doc{"count": 0}
		w.policy(t, "acme", onlyKeys)
		asked = w.asked(t, ana, nil)
		if asked.at("challenge", "recovery") != false {
			t.Errorf("got %s, want no recovery codes", asked.raw)
		}
		w.recoverBy(t, asked.text("challenge", "id"), p.codes[1].(string)).want(t, 403, "method_forbidden")
		w.verify(t, asked.text("challenge", "id"), w.touch(t, p.key, asked)).want(t, 200, "")
	})
}

func TestB5AStepUpByKeyTakesNothingWeaker(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		p := w.enrolManyKinds(t)
		asked := w.asked(t, ana, doc{"purpose": "step_up", "method": "webauthn"})
		w.refusesWeaker(t, p, asked)
		if asked.at("challenge", "recovery") != false {
			t.Errorf("got %s, want no recovery codes", asked.raw)
		}
		w.recoverBy(t, asked.text("challenge", "id"), p.codes[0].(string)).want(t, 403, "method_forbidden")
		claims := w.claims(t, w.verify(t, asked.text("challenge", "id"), w.touch(t, p.key, asked)).want(t, 200, "").text("token"))
		if claims["purpose"] != "step_up" || !slices.Contains(claims["amr"].([]any), any("hwk")) {
			t.Errorf("got %v", claims)
		}
		if left := w.account(t, ana).number("recovery", "codes_left"); left != 10 {
			t.Errorf("%d recovery codes are left, want all 10", left)
		}
		// A user who has no key can't step up by one.
		bob := person{"acme", "u-18", "bob@acme.example"}
		w.enrolApp(t, bob, "")
		w.start(t, bob, doc{"purpose": "step_up", "method": "webauthn"}).want(t, 403, "method_forbidden")
	})
}

// forgeries returns the ways in which somebody who doesn't have the key can make a response.
func forgeries() map[string]passkeytest.Misbehaviour {
	set := func(name string, value any) func(map[string]any) {
		return func(r map[string]any) { r["response"].(map[string]any)[name] = value }
	}
	return map[string]passkeytest.Misbehaviour{
		"a signature of junk":       {Signature: func([]byte) []byte { return []byte("junk") }},
		"an empty signature":        {Signature: func([]byte) []byte { return []byte{} }},
		"a signature that is null":  {Response: set("signature", nil)},
		"no signature":              {Response: func(r map[string]any) { delete(r["response"].(map[string]any), "signature") }},
		"one bit changed":           {Signature: func(s []byte) []byte { s[len(s)-1] ^= 1; return s }},
		"a key that nobody has":     {OtherKey: true},
		"another challenge":         {Challenge: make([]byte, 32)},
		"the type of a creation":    {Type: "webauthn.create"},
		"another site":              {Origin: "https://evil.example"},
		"a frame of another site":   {CrossOrigin: true},
		"the RP ID of another site": {RPID: "evil.example"},
		"nobody at the key":         {Flags: func(f byte) byte { return f &^ passkeytest.UserPresent }},
		"another user handle":       {UserHandle: make([]byte, 32)},
	}
}

func TestB10AForgedResponseSignsNobodyIn(t *testing.T) {
	keyWorld(t, func(t *testing.T, w *world) {
		key := &passkeytest.Authenticator{}
		w.enrolKey(t, ana, key, "")
		forged := func(name string, by *passkeytest.Authenticator) {
			t.Helper()
			asked := w.asked(t, ana, nil)
			id := asked.text("challenge", "id")
			w.verify(t, id, w.touch(t, by, asked)).wantWrong(t, 4)
			state := w.do(t, call{method: "GET", path: "/v1/challenges/" + id}).want(t, 200, "")
			if state.text("state") != "pending" || state.at("outcome") != nil {
				t.Errorf("%s: got %s, want the challenge still open", name, state.raw)
			}
			key.Misbehaviour = passkeytest.Misbehaviour{}
			if got := w.verify(t, id, w.touch(t, key, asked)); got.status != 200 {
				t.Errorf("%s, then the right response: got %d %s", name, got.status, got.raw)
			}
		}
		for name, m := range forgeries() {
			key.Misbehaviour = m
			forged(name, key)
		}

		// The key in the response is replaced by somebody else's key, of another type, with the same credential id.
		begun := w.begin(t, person{"acme", "u-66", "eve@acme.example"}, "webauthn", "").want(t, 201, "")
		for name, algorithm := range map[string]int{"ES256": passkeytest.ES256, "EdDSA": passkeytest.EdDSA, "RS256": passkeytest.RS256} {
			twin := &passkeytest.Authenticator{Algorithms: []int{algorithm}, NextID: w.credentialID(t, ana)}
			w.create(t, twin, begun)
			forged("a twin that signs by "+name, twin)
		}
		if verified := w.events(t, ana.id, "challenge.failed"); len(verified) != len(forgeries())+3 {
			t.Errorf("%d failures were told, want one for each forgery", len(verified))
		}
	})
}

// credentialID returns the id of the one credential that a person has.
func (w *world) credentialID(t *testing.T, p person) []byte {
	t.Helper()
	ids := w.account(t, p).list("webauthn_signal", "credential_ids")
	if len(ids) != 1 {
		t.Fatalf("got the credential ids %v, want one", ids)
	}
	return unbase64(t, ids[0].(string))
}

func TestB10AForgedResponseEnrolsNothing(t *testing.T) {
	keyWorld(t, func(t *testing.T, w *world) {
		for name, m := range forgeries() {
			if m.Signature != nil || m.UserHandle != nil || m.OtherKey {
				continue // without an attestation, a registration has no signature, and no user handle
			}
			if name == "a signature that is null" || name == "no signature" {
				continue
			}
			if m.Type != "" {
				m.Type = "webauthn.get"
			}
			begun := w.begin(t, ana, "webauthn", "").want(t, 201, "")
			w.finishBy(t, "", begun.text("id"), w.create(t, &passkeytest.Authenticator{Misbehaviour: m}, begun)).wantWrong(t, 4)
		}
		if got := w.account(t, ana); len(got.list("factors")) != 0 || got.at("enabled") != false || got.at("webauthn_signal") != nil {
			t.Errorf("got %s, want an account without keys", got.raw)
		}
		w.start(t, ana, nil).want(t, 200, "")
		w.enrolKey(t, ana, &passkeytest.Authenticator{}, "")
	})
}

func TestB10AnotherUsersKeyIsNoAnswer(t *testing.T) {
	keyWorld(t, func(t *testing.T, w *world) {
		bob := person{"acme", "u-18", "bob@acme.example"}
		key, his := &passkeytest.Authenticator{}, &passkeytest.Authenticator{}
		w.enrolKey(t, ana, key, "")
		factor := w.enrolKey(t, bob, his, "").text("factor", "id")
		theirs := w.asked(t, bob, nil)
		response := w.touch(t, his, theirs)
		asked := w.asked(t, ana, nil)
		id := asked.text("challenge", "id")
		w.verify(t, id, response).wantWrong(t, 4)
		response["factor"] = factor
		w.verify(t, id, response).want(t, 404, "not_found")
		// This is his key, with the challenge that was made for her.
		his.Misbehaviour.Challenge = unbase64(t, asked.text("challenge", "webauthn", "challenge"))
		w.verify(t, id, w.touch(t, his, theirs)).wantWrong(t, 3)
		w.verify(t, id, w.touch(t, key, asked)).want(t, 200, "")
		delete(response, "factor")
		w.verify(t, theirs.text("challenge", "id"), response).want(t, 200, "")
	})
}

func TestB11WhereTheUserMustBeVerifiedAKeyThatDidNotIsRefused(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, "acme", doc{"webauthn": doc{"user_verification": "required"}, "trust": doc{"days": 0}})
		key := &passkeytest.Authenticator{Verifies: true}
		unverified := passkeytest.Misbehaviour{Flags: func(f byte) byte { return f &^ passkeytest.UserVerified }}
		begun := w.begin(t, ana, "webauthn", "").want(t, 201, "")
		if got := begun.text("webauthn", "authenticatorSelection", "userVerification"); got != "required" {
			t.Errorf("the creation options ask for %q", got)
		}
		if _, err := (&passkeytest.Authenticator{}).Create(ceremony(t, begun), w.page()); err != passkeytest.ErrUnable {
			t.Errorf("a key that can't verify: got %v", err)
		}
		w.finishBy(t, "", begun.text("id"), w.create(t, &passkeytest.Authenticator{Verifies: true, Misbehaviour: unverified}, begun)).wantWrong(t, 4)
		w.finishBy(t, "", begun.text("id"), w.create(t, key, begun)).want(t, 201, "")

		asked := w.asked(t, ana, nil)
		key.Misbehaviour = unverified
		w.verify(t, asked.text("challenge", "id"), w.touch(t, key, asked)).wantWrong(t, 4)
		key.Misbehaviour = passkeytest.Misbehaviour{}
		claims := w.claims(t, w.verify(t, asked.text("challenge", "id"), w.touch(t, key, asked)).want(t, 200, "").text("token"))
		if amr := claims["amr"].([]any); !slices.Equal(amr, []any{"pwd", "hwk", "user", "mfa"}) {
			t.Errorf("amr: got %v", amr)
		}

		// If the policy becomes stricter, that also holds for a ceremony that has already begun.
		w.policy(t, "acme", doc{"webauthn": doc{"user_verification": "discouraged"}, "trust": doc{"days": 0}})
		asked = w.asked(t, ana, nil)
		w.policy(t, "acme", doc{"webauthn": doc{"user_verification": "required"}, "trust": doc{"days": 0}})
		w.verify(t, asked.text("challenge", "id"), w.touch(t, key, asked)).wantWrong(t, 4)
		again := w.sendFor(t, asked)
		w.verify(t, asked.text("challenge", "id"), w.touch(t, key, again)).want(t, 200, "")
	})
}

// sendFor begins another ceremony in a challenge.
func (w *world) sendFor(t *testing.T, asked answer) answer {
	t.Helper()
	sent := w.do(t, call{method: "POST", path: "/v1/challenges/" + asked.text("challenge", "id") + "/send", body: doc{"factor": asked.text("challenge", "default")}}).want(t, 200, "")
	if sent.at("sent") != nil {
		t.Fatalf("got %s, want options and no code", sent.raw)
	}
	return sent
}
