package main

import (
	"bytes"
	"net/http"
	"testing"
	"time"

	"countersign/pkg/passkey/passkeytest"
)

// from returns the header in which a browser gives the origin of the page that makes a call.
func from(origin string) map[string]string { return map[string]string{"Origin": origin} }

// wantReadable fails the test unless a page of the origin may read the answer, or no page may if the origin is empty.
func (a answer) wantReadable(t *testing.T, origin string) {
	t.Helper()
	if got := a.header.Get("Access-Control-Allow-Origin"); got != origin || a.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("got an answer that %q may read, want %q: %v", got, origin, a.header)
	}
}

// preflight asks whether a page of an origin may post to a path, and returns the origin that may.
func (w *world) preflight(t *testing.T, origin, path string) string {
	t.Helper()
	request, err := http.NewRequest("OPTIONS", w.base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Origin", origin)
	request.Header.Set("Access-Control-Request-Method", "POST")
	request.Header.Set("Access-Control-Request-Headers", "authorization,content-type,idempotency-key")
	response, err := w.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		t.Errorf("preflight of %s: got %d", origin, response.StatusCode)
	}
	return response.Header.Get("Access-Control-Allow-Origin")
}

// at returns a new key whose browser says that it is at that origin.
func at(origin string) *passkeytest.Authenticator {
	return &passkeytest.Authenticator{Misbehaviour: passkeytest.Misbehaviour{Origin: origin}}
}

func TestAPageSignsInByKeyWithTheTokenOfItsChallenge(t *testing.T) {
	keyWorld(t, func(t *testing.T, w *world) {
		key := &passkeytest.Authenticator{}
		w.enrolKey(t, ana, key, "")
		asked := w.asked(t, ana, nil)
		id, token := asked.text("challenge", "id"), asked.text("challenge", "token")
		post := func(origin, path string, body doc) answer {
			t.Helper()
			return w.do(t, call{method: "POST", path: "/v1/challenges/" + id + path, bearer: token, body: body, header: from(origin)})
		}
		for origin, readable := range map[string]string{w.page(): w.page(), unregistered: unregistered, "https://evil.example": ""} {
			if got := w.preflight(t, origin, "/v1/challenges/"+id+"/verify"); got != readable {
				t.Errorf("preflight: %q may, want %q", got, readable)
			}
		}
		refused := post(unregistered, "/send", doc{}).want(t, 403, "forbidden")
		refused.wantReadable(t, unregistered)
		post("https://evil.example", "/send", doc{}).want(t, 403, "forbidden").wantReadable(t, "")
		post("null", "/send", doc{}).want(t, 403, "forbidden").wantReadable(t, "")

		// The options of the start can be answered on any page of the client. Options that a page has asked for can be answered
		// only on that page.
		elsewhere := w.base // the client has registered this origin too
		key.Misbehaviour.Origin, key.Misbehaviour.OtherKey = elsewhere, true
		post(w.page(), "/verify", w.touch(t, key, asked)).wantWrong(t, 4)
		sent := post(w.page(), "/send", doc{}).want(t, 200, "")
		sent.wantReadable(t, w.page())
		key.Misbehaviour.OtherKey = false
		post(w.page(), "/verify", w.touch(t, key, sent)).wantWrong(t, 3)
		key.Misbehaviour.Origin = ""
		verified := post(w.page(), "/verify", w.touch(t, key, sent)).want(t, 200, "")
		verified.wantReadable(t, w.page())
		if claims := w.claims(t, verified.text("token")); claims["verified"] != true || claims["jti"] != id {
			t.Errorf("got %v", claims)
		}

		asked = w.asked(t, ana, nil)
		key.Misbehaviour.Origin = elsewhere
		w.verify(t, asked.text("challenge", "id"), w.touch(t, key, asked)).want(t, 200, "")
	})
}

func TestAPageEnrolsAKeyWithItsEnrolmentToken(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, "acme", doc{"require": "everyone", "enrolment_proof": "none"})
		id, token := w.toEnrol(t, ana)
		post := func(origin, path string, body doc) answer {
			t.Helper()
			return w.do(t, call{method: "POST", path: "/v1/enrolments" + path, bearer: token, body: body, header: from(origin)})
		}
		post(unregistered, "", doc{"kind": "webauthn"}).want(t, 403, "forbidden").wantReadable(t, unregistered)
		post("https://evil.example", "", doc{"kind": "webauthn"}).want(t, 403, "forbidden").wantReadable(t, "")
		begun := post(w.page(), "", doc{"kind": "webauthn", "label": "Ana's phone"}).want(t, 201, "")
		begun.wantReadable(t, w.page())
		finish := "/" + begun.text("id") + "/finish"
		post(unregistered, "/"+begun.text("id")+"/send", doc{}).want(t, 403, "forbidden")
		post(w.page(), finish, w.create(t, at(w.base), begun)).wantWrong(t, 4)
		post(w.page(), finish, w.create(t, at(unregistered), begun)).wantWrong(t, 3)
		key := &passkeytest.Authenticator{}
		done := post(w.page(), finish, w.create(t, key, begun)).want(t, 201, "")
		done.wantReadable(t, w.page())
		claims := w.claims(t, done.text("token"))
		if claims["jti"] != id || claims["decision"] != "enrol" || claims["acr"] != "aal2" || done.text("factor", "label") != "Ana's phone" || len(done.list("recovery_codes")) != 10 {
			t.Errorf("got %v and %s", claims, done.raw)
		}
		w.signInBy(t, ana, key)
	})
}

func TestACallForAKeyThatIsRepeatedGetsTheSameAnswer(t *testing.T) {
	keyWorld(t, func(t *testing.T, w *world) {
		key := &passkeytest.Authenticator{}
		// twice makes a call twice with one Idempotency-Key, and fails the test unless both answers are the same.
		twice := func(c call, status int) answer {
			t.Helper()
			header := map[string]string{"Idempotency-Key": "try of " + c.path}
			for name, value := range c.header {
				header[name] = value
			}
			c.header = header
			first := w.do(t, c).want(t, status, "")
			if again := w.do(t, c).want(t, status, ""); !bytes.Equal(first.raw, again.raw) {
				t.Errorf("%s: got %s, and then %s", c.path, first.raw, again.raw)
			}
			c.body = doc{"credential": doc{}, "code": "123456"}
			if c.path == "/v1/enrolments" {
				c.body = ana.signIn(doc{"kind": "totp"})
			}
			if other := w.do(t, c); other.text("code") != "idempotency_mismatch" && other.text("code") != "invalid_request" {
				t.Errorf("%s with another body: got %s", c.path, other.raw)
			}
			return first
		}
		begun := twice(call{method: "POST", path: "/v1/enrolments", body: ana.signIn(doc{"kind": "webauthn"}), header: w.fresh(t, "")}, 201)
		sent := twice(call{method: "POST", path: "/v1/enrolments/" + begun.text("id") + "/send", body: doc{}}, 200)
		done := twice(call{method: "POST", path: "/v1/enrolments/" + begun.text("id") + "/finish", body: w.create(t, key, sent)}, 201)
		if got := w.account(t, ana).list("factors"); len(got) != 1 || len(done.list("recovery_codes")) != 10 || len(w.events(t, ana.id, "factor.enrolled")) != 1 {
			t.Errorf("got the factors %v and %s, want one key", got, done.raw)
		}

		asked := twice(call{method: "POST", path: "/v1/challenges", body: ana.signIn(nil)}, 201)
		id := asked.text("challenge", "id")
		for _, bearer := range []string{"", asked.text("challenge", "token")} { // first with an API key, and then from a page
			sent = twice(call{method: "POST", path: "/v1/challenges/" + id + "/send", bearer: bearer, body: doc{}}, 200)
		}
		verify := call{method: "POST", path: "/v1/challenges/" + id + "/verify", body: w.touch(t, key, sent)}
		verified := twice(verify, 200)
		if n := len(w.events(t, ana.id, "challenge.verified")); n != 1 || verified.text("token") == "" {
			t.Errorf("got %s and %d sign-ins, want one", verified.raw, n)
		}
		w.do(t, verify).want(t, 404, "challenge_invalid") // only the Idempotency-Key brings the answer again
		verify.header = map[string]string{"Idempotency-Key": "another"}
		w.do(t, verify).want(t, 404, "challenge_invalid")
		w.advance(t, 11*time.Minute)
		verify.header["Idempotency-Key"] = "try of " + verify.path
		if later := w.do(t, verify).want(t, 200, ""); later.text("token") != verified.text("token") || later.at("known_token") != nil {
			t.Errorf("eleven minutes later: got %s, want the same token and nothing that is shown once", later.raw)
		}
	})
}
