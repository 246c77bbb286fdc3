package main

import (
	"slices"
	"testing"
	"time"

	"countersign/pkg/passkey/passkeytest"
)

func nistWorld(t *testing.T, story func(t *testing.T, w *world)) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, "acme", doc{"profile": "nist", "require": "everyone", "sms": doc{"countries": []string{"FR"}}})
		story(t, w)
	})
}

// enrolsForced enrols a person who must enrol a factor to get in: the known address is proven first. It returns the answer to
// the finish. The body of more is added to that of the beginning, and answer returns the body of the finish.
func (w *world) enrolsForced(t *testing.T, p person, more doc, answer func(begun answer) doc) answer {
	t.Helper()
	_, token := w.toEnrol(t, p)
	w.provesAddress(t, p, token)
	begun := w.do(t, call{method: "POST", path: "/v1/enrolments", bearer: token, body: more}).want(t, 201, "")
	return w.finishBy(t, token, begun.text("id"), answer(begun)).want(t, 201, "")
}

func TestN1AnAddressIsConfirmedByEmailAndNeverAnswersASignIn(t *testing.T) {
	nistWorld(t, func(t *testing.T, w *world) {
		started := w.start(t, ana, nil).want(t, 201, "")
		token := started.text("enrolment", "token")
		if started.text("decision") != "enrol" || slices.Contains(started.list("enrolment", "kinds"), any("email")) {
			t.Fatalf("got %s, want an enrolment that isn't of an address", started.raw)
		}
		w.do(t, call{method: "POST", path: "/v1/enrolments", bearer: token, body: doc{"kind": "email"}}).want(t, 403, "method_forbidden")
		w.provesAddress(t, ana, token)
		if state := w.do(t, call{method: "GET", path: "/v1/challenges/" + started.text("id")}).want(t, 200, ""); state.text("state") != "pending" {
			t.Errorf("with the address proven: got %s, want a sign-in that waits for the enrolment", state.raw)
		}
		begun := w.do(t, call{method: "POST", path: "/v1/enrolments", bearer: token, body: doc{"kind": "totp"}}).want(t, 201, "")
		a := app{secret: begun.text("totp", "secret")}
		done := w.finish(t, token, begun.text("id"), a.code(t, w)).want(t, 201, "")
		if done.at("offer") != nil {
			t.Errorf("got %s, want no address offered as a backup", done.raw)
		}
		asked := w.asked(t, ana, nil)
		if !slices.Equal(kindsOf(asked), []string{"totp"}) {
			t.Errorf("got the methods %v, want the app only", kindsOf(asked))
		}
		w.do(t, call{method: "PUT", path: "/v1/orgs/acme/policy", body: doc{"profile": "nist", "email_backup": "sometimes"}, header: map[string]string{"If-Match": `"0"`}}).want(t, 400, "invalid_request")
	})
}

func TestN2ACodeBySMSLivesTenMinutesAndIsMarkedRestricted(t *testing.T) {
	nistWorld(t, func(t *testing.T, w *world) {
		done := w.enrolsForced(t, ana, doc{"kind": "sms", "phone": anasNumber}, func(answer) doc { return doc{"code": w.code(t, anasNumber)} })
		if done.at("factor", "restricted") != true {
			t.Errorf("the factor: got %s, want it restricted", done.raw)
		}
		for _, late := range []bool{false, true} {
			w.advance(t, time.Hour)
			asked := w.asked(t, ana, nil)
			if method := doc(asked.list("challenge", "methods")[0].(map[string]any)); method.at("restricted") != true {
				t.Errorf("the method: got %v, want it restricted", method)
			}
			ends := asked.time(t, "challenge", "sent", "expires")
			if life := ends.Sub(w.now(t)); life > 10*time.Minute || life < 10*time.Minute-10*time.Second {
				t.Errorf("the code is good for %s, want ten minutes", life)
			}
			code := w.code(t, anasNumber)
			if late {
				w.advanceTo(t, ends)
				w.verify(t, asked.text("challenge", "id"), doc{"code": code}).want(t, 422, "wrong_code")
				continue
			}
			w.advanceTo(t, ends.Add(-5*time.Second))
			w.verify(t, asked.text("challenge", "id"), doc{"code": code}).want(t, 200, "")
		}
		longer := doc{"profile": "nist", "challenge": doc{"sms_code_s": 601}}
		w.do(t, call{method: "POST", path: "/v1/orgs/acme/policy/preview", body: longer}).want(t, 400, "invalid_request")
	})
}

func TestN3TrustIsOverAfterADay(t *testing.T) {
	nistWorld(t, func(t *testing.T, w *world) {
		key := &passkeytest.Authenticator{Verifies: true}
		w.enrolsForced(t, ana, doc{"kind": "webauthn"}, func(begun answer) doc { return w.create(t, key, begun) })
		asked := w.asked(t, ana, nil)
		if asked.number("challenge", "trust", "days") != 1 {
			t.Errorf("the offer: got %v, want one day", asked.at("challenge", "trust"))
		}
		verified := w.verify(t, asked.text("challenge", "id"), w.touch(t, key, asked).with(doc{"trust": doc{"name": "Firefox"}})).want(t, 200, "")
		token, end := verified.text("trust_token"), verified.time(t, "trusted_browser", "expires")
		if life := end.Sub(verified.time(t, "issued_at")); life != day {
			t.Errorf("trust lasts %s, want 24 hours", life)
		}
		w.advanceTo(t, end.Add(-5*time.Second))
		let := w.start(t, ana, doc{"trust_token": token}).want(t, 200, "")
		if claims := w.claims(t, let.text("token")); claims["verified"] != false || claims["acr"] != "aal1" || claims["mfa_time"] == nil {
			t.Errorf("let in: got %v, want the time of the last second factor and no claim that it was given now", claims)
		}
		w.advanceTo(t, end)
		if reason := w.asked(t, ana, doc{"trust_token": let.text("trust_token")}).text("reason"); reason != "trust_expired" {
			t.Errorf("after a day: got %s", reason)
		}
	})
}

func TestN4KeysAreOfferedToEveryone(t *testing.T) {
	nistWorld(t, func(t *testing.T, w *world) {
		if kinds := w.start(t, ana, nil).want(t, 201, "").list("enrolment", "kinds"); len(kinds) == 0 || kinds[0] != "webauthn" {
			t.Errorf("required: got the kinds %v, want keys first", kinds)
		}
		w.policy(t, "acme", doc{"profile": "nist"})
		if kinds := w.start(t, ana, nil).want(t, 200, "").list("offer", "kinds"); len(kinds) == 0 || kinds[0] != "webauthn" {
			t.Errorf("not required: got the kinds %v, want keys first", kinds)
		}
	})
}

func TestN5AKeyHasToVerifyTheUser(t *testing.T) {
	nistWorld(t, func(t *testing.T, w *world) {
		key := &passkeytest.Authenticator{Verifies: true}
		w.enrolsForced(t, ana, doc{"kind": "webauthn"}, func(begun answer) doc {
			if got := begun.text("webauthn", "authenticatorSelection", "userVerification"); got != "required" {
				t.Errorf("the options ask for %q, want required", got)
			}
			return w.create(t, key, begun)
		})
		asked := w.asked(t, ana, nil)
		if got := asked.text("challenge", "webauthn", "userVerification"); got != "required" {
			t.Errorf("the options ask for %q, want required", got)
		}
		const verified = 0x04 // the flag UV of the authenticator data (WebAuthn Level 3 section 6.1)
		key.Misbehaviour = passkeytest.Misbehaviour{Flags: func(flags byte) byte { return flags &^ verified }}
		w.verify(t, asked.text("challenge", "id"), w.touch(t, key, asked)).wantWrong(t, 4)
		key.Misbehaviour = passkeytest.Misbehaviour{}
		claims := w.claims(t, w.verify(t, asked.text("challenge", "id"), w.touch(t, key, asked)).want(t, 200, "").text("token"))
		if claims["acr"] != "aal2" || !slices.Contains(claims["amr"].([]any), any("user")) {
			t.Errorf("got %v, want a verified user", claims)
		}
	})
}
