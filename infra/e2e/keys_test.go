package main

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/pkg/passkey/passkeytest"
)

// page returns the origin of the pages that a world's client has registered. In a world of its own and at a local server they
// are on localhost, which is the RP ID.
func (w *world) page() string {
	if w.on != nil && w.on.target.origin != "" {
		return w.on.target.origin
	}
	return w.issuer()
}

// ceremony returns the options of the WebAuthn ceremony that an answer has begun.
func ceremony(t *testing.T, a answer) json.RawMessage {
	t.Helper()
	begun := a.at("webauthn")
	if begun == nil {
		begun = a.at("challenge", "webauthn")
	}
	options, err := json.Marshal(begun)
	if err != nil || begun == nil {
		t.Fatalf("no ceremony in %s: %v", a.raw, err)
	}
	return options
}

// create lets a key answer the ceremony of an enrolment at the client's page. It returns the body of a finish.
func (w *world) create(t *testing.T, key *passkeytest.Authenticator, begun answer) doc {
	t.Helper()
	w.on.needsOrigin(t)
	response, err := key.Create(ceremony(t, begun), w.page())
	if err != nil {
		t.Fatal(err)
	}
	return doc{"credential": response}
}

// touch lets a key answer the ceremony of a challenge at the client's page. It returns the body of a verify.
func (w *world) touch(t *testing.T, key *passkeytest.Authenticator, asked answer) doc {
	t.Helper()
	w.on.needsOrigin(t)
	response, err := key.Get(ceremony(t, asked), w.page())
	if err != nil {
		t.Fatal(err)
	}
	return doc{"credential": response}
}

// finishBy finishes an enrolment with a body. If bearer is empty, the API key is sent.
func (w *world) finishBy(t *testing.T, bearer, id string, body doc) answer {
	t.Helper()
	return w.do(t, call{method: "POST", path: "/v1/enrolments/" + id + "/finish", bearer: bearer, body: body})
}

// enrolKey enrols a key with the API key.
func (w *world) enrolKey(t *testing.T, p person, key *passkeytest.Authenticator, proof string) answer {
	t.Helper()
	begun := w.begin(t, p, "webauthn", proof).want(t, 201, "")
	return w.finishBy(t, "", begun.text("id"), w.create(t, key, begun)).want(t, 201, "")
}

// signInBy signs a person in with a key.
func (w *world) signInBy(t *testing.T, p person, key *passkeytest.Authenticator) answer {
	t.Helper()
	asked := w.asked(t, p, nil)
	return w.verify(t, asked.text("challenge", "id"), w.touch(t, key, asked)).want(t, 200, "")
}

// stepUpBy answers a step-up with a key, and returns the token, which is a proof for ten minutes.
func (w *world) stepUpBy(t *testing.T, p person, key *passkeytest.Authenticator) string {
	t.Helper()
	asked := w.asked(t, p, doc{"purpose": "step_up"})
	return w.verify(t, asked.text("challenge", "id"), w.touch(t, key, asked)).want(t, 200, "").text("token")
}

// wantWrong fails the test unless an answer says that a credential is wrong and that this many tries are left, and gives nothing
// else.
func (a answer) wantWrong(t *testing.T, left int) {
	t.Helper()
	a.want(t, 422, "wrong_credential")
	if a.number("attempts_left") != left || a.at("token") != nil || a.at("factor") != nil || a.at("verified") != nil {
		t.Fatalf("got %s, want %d attempts left and nothing given", a.raw, left)
	}
}

// kindsOf returns the kinds of the methods of a challenge.
func kindsOf(asked answer) (kinds []string) {
	for _, m := range asked.list("challenge", "methods") {
		kinds = append(kinds, doc(m.(map[string]any)).text("kind"))
	}
	return kinds
}

// keyWorld runs a story with an org whose users may enrol keys, and are asked at every sign-in.
func keyWorld(t *testing.T, story func(t *testing.T, w *world)) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, "acme", doc{"trust": doc{"days": 0}})
		story(t, w)
	})
}

func TestT1AppsAndKeysAreOptionalAndEitherSignsIn(t *testing.T) {
	talkdeskWorld(t, func(t *testing.T, w *world) {
		bob := person{"acme", "u-18", "bob@acme.example"}
		for _, p := range []person{ana, bob} {
			started := w.start(t, p, nil).want(t, 200, "")
			if kinds := started.list("offer", "kinds"); started.text("reason") != "not_required" || !slices.Equal(kinds, []any{"webauthn", "totp"}) {
				t.Fatalf("got %s, want a sign-in that offers keys and apps", started.raw)
			}
		}
		for _, more := range []doc{{"kind": "email"}, {"kind": "sms", "phone": "+33612345678"}} {
			w.do(t, call{method: "POST", path: "/v1/enrolments", body: ana.signIn(more), header: w.fresh(t, "")}).want(t, 403, "method_forbidden")
		}

		key := &passkeytest.Authenticator{}
		done := w.enrolKey(t, ana, key, "")
		if len(done.list("recovery_codes")) != 10 || done.at("offer") != nil {
			t.Errorf("the first factor: got %s, want ten recovery codes and nothing offered as a backup", done.raw)
		}
		asked := w.asked(t, ana, nil)
		if asked.text("reason") != "enabled" || !slices.Equal(kindsOf(asked), []string{"webauthn"}) || asked.text("challenge", "default") != done.text("factor", "id") || asked.at("challenge", "trust") != nil {
			t.Errorf("by key: got %s", asked.raw)
		}
		claims := w.claims(t, w.verify(t, asked.text("challenge", "id"), w.touch(t, key, asked)).want(t, 200, "").text("token"))
		if claims["verified"] != true || claims["acr"] != "aal2" || !slices.Equal(claims["amr"].([]any), []any{"pwd", "hwk", "mfa"}) {
			t.Errorf("by key: got %v", claims)
		}

		his, _ := w.enrolApp(t, bob, "")
		asked = w.asked(t, bob, nil)
		if !slices.Equal(kindsOf(asked), []string{"totp"}) || asked.at("challenge", "webauthn") != nil {
			t.Errorf("by app: got %s", asked.raw)
		}
		claims = w.claims(t, w.verify(t, asked.text("challenge", "id"), doc{"code": his.next(t, w)}).want(t, 200, "").text("token"))
		if claims["verified"] != true || claims["acr"] != "aal2" || !slices.Equal(claims["amr"].([]any), []any{"pwd", "otp", "mfa"}) {
			t.Errorf("by app: got %v", claims)
		}

		both, _ := w.enrolApp(t, ana, w.stepUpBy(t, ana, key))
		for _, answer := range []func(answer) doc{
			func(asked answer) doc { return w.touch(t, key, asked) },
			func(answer) doc { return doc{"factor": both.factor, "code": both.next(t, w)} },
		} {
			asked := w.asked(t, ana, nil)
			if !slices.Equal(kindsOf(asked), []string{"webauthn", "totp"}) || asked.text("challenge", "default") != done.text("factor", "id") {
				t.Errorf("with both: got %s", asked.raw)
			}
			w.verify(t, asked.text("challenge", "id"), answer(asked)).want(t, 200, "")
		}
		for _, on := range []bool{false, true} {
			w.do(t, call{method: "PATCH", path: ana.path(""), body: doc{"enabled": on}, header: w.fresh(t, w.stepUpBy(t, ana, key))}).want(t, 200, "")
			if got := w.start(t, ana, nil); (got.text("decision") == "challenge") != on {
				t.Errorf("turned on %t: got %s", on, got.raw)
			}
		}
		if got := len(w.messages(t, ana.email)); got == 0 {
			t.Error("nobody was told of the changes")
		}
	})
}

func TestAnAccountSaysWhatPagesAndPeopleNeedToKnowOfKeys(t *testing.T) {
	keyWorld(t, func(t *testing.T, w *world) {
		w.do(t, call{method: "PUT", path: ana.path(""), body: doc{"email": ana.email}}).want(t, 200, "")
		if got := w.account(t, ana); got.at("webauthn_signal") != nil {
			t.Errorf("before: got %s", got.raw)
		}
		bitwarden := [16]byte{0xd5, 0x48, 0x82, 0x6e, 0x79, 0xb4, 0xdb, 0x40, 0xa3, 0xd8, 0x11, 0x11, 0x6f, 0x7e, 0x83, 0x49}
		passkey := &passkeytest.Authenticator{AAGUID: bitwarden, Platform: true, Resident: true, Eligible: true, Synced: true, NoCounter: true, Transports: []string{"internal", "hybrid"}}
		begun := w.begin(t, ana, "webauthn", "").want(t, 201, "")
		first := w.finishBy(t, "", begun.text("id"), w.create(t, passkey, begun)).want(t, 201, "")
		handle, err := base64.RawURLEncoding.DecodeString(begun.text("webauthn", "user", "id"))
		if err != nil || len(handle) != 32 || strings.Contains(string(handle), ana.id) || begun.text("webauthn", "rp", "id") != "localhost" {
			t.Errorf("the user handle is no 32 random bytes: %s, %v", begun.raw, err)
		}

		w.advance(t, time.Minute)
		proof := w.stepUpBy(t, ana, passkey)
		again := w.begin(t, ana, "webauthn", proof).want(t, 201, "")
		if _, err := passkey.Create(ceremony(t, again), w.page()); err != passkeytest.ErrExcluded {
			t.Errorf("the same key once more: got %v, want it excluded", err)
		}
		body := ana.signIn(doc{"kind": "webauthn", "variant": "security_key", "label": "The blue one"})
		begun = w.do(t, call{method: "POST", path: "/v1/enrolments", body: body, header: w.fresh(t, proof)}).want(t, 201, "")
		if begun.text("webauthn", "authenticatorSelection", "authenticatorAttachment") != "cross-platform" || len(begun.list("webauthn", "excludeCredentials")) != 1 {
			t.Errorf("a second key: got %s", begun.raw)
		}
		second := w.finishBy(t, "", begun.text("id"), w.create(t, &passkeytest.Authenticator{}, begun)).want(t, 201, "")
		account := w.account(t, ana)
		for i, want := range []struct {
			factor, label, variant string
			provider, synced       any
			used                   time.Time
		}{
			{first.text("factor", "id"), "", "passkey", "Bitwarden", true, w.now(t)},
			{second.text("factor", "id"), "The blue one", "security_key", nil, false, w.now(t)},
		} {
			f := doc(account.list("factors")[i].(map[string]any))
			if f.text("id") != want.factor || f.text("label") != want.label || f.text("variant") != want.variant || f.at("provider") != want.provider || f.at("synced") != want.synced || f.text("hint") != "" {
				t.Errorf("key %d: got %v, want %+v", i, f, want)
			}
			if used := f.time(t, "last_used"); want.used.Sub(used) > 30*time.Second || !used.After(f.time(t, "created").Add(-time.Millisecond)) {
				t.Errorf("key %d: last used %s, now is %s", i, used, want.used)
			}
		}
		signal := account.at("webauthn_signal")
		if s := doc(signal.(map[string]any)); s.text("rp_id") != "localhost" || s.text("user_id") != begun.text("webauthn", "user", "id") || len(s.list("credential_ids")) != 2 {
			t.Errorf("the signal: got %v", signal)
		}

		of := func(done answer) string { return ana.path("/factors/" + done.text("factor", "id")) }
		renamed := w.do(t, call{method: "PATCH", path: of(first), body: doc{"label": "Bitwarden at home"}}).want(t, 200, "")
		if renamed.text("label") != "Bitwarden at home" || renamed.text("provider") != "Bitwarden" || len(w.events(t, ana.id, "factor.renamed")) != 1 {
			t.Errorf("renamed: got %s", renamed.raw)
		}
		w.do(t, call{method: "DELETE", path: of(second), header: w.fresh(t, "")}).want(t, 403, "step_up_required")
		w.do(t, call{method: "DELETE", path: of(second), header: w.fresh(t, proof)}).want(t, 204, "")
		account = w.account(t, ana)
		if len(account.list("factors")) != 1 || len(account.list("webauthn_signal", "credential_ids")) != 1 || len(w.events(t, ana.id, "factor.removed")) != 1 {
			t.Errorf("removed: got %s", account.raw)
		}
		w.signInBy(t, ana, passkey)
	})
}
