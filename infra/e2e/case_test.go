package main

import (
	"net/http"
	"strings"
	"testing"
)

func TestE1ASecretOfTheCallersOwnIsRefused(t *testing.T) {
	appWorld(t, func(t *testing.T, w *world) {
		own := strings.Repeat("A", 32)
		w.do(t, call{method: "POST", path: "/v1/enrolments", body: ana.signIn(doc{"kind": "totp", "secret": own}), header: w.fresh(t, "")}).want(t, 400, "invalid_request")
		begun := w.begin(t, ana, "totp", "").want(t, 201, "")
		code := app{secret: own}.code(t, w)
		for _, body := range []doc{{"code": code, "secret": own}, {"code": code, "totp": doc{"secret": own}}} {
			w.do(t, call{method: "POST", path: "/v1/enrolments/" + begun.text("id") + "/finish", body: body}).want(t, 400, "invalid_request")
		}
		w.finish(t, "", begun.text("id"), code).want(t, 422, "wrong_code")
		w.finish(t, "", begun.text("id"), app{secret: begun.text("totp", "secret")}.code(t, w)).want(t, 201, "")
	})
}

func TestE6RecoveryCodesCarry120BitsEach(t *testing.T) {
	appWorld(t, func(t *testing.T, w *world) {
		w.policy(t, "acme", doc{"recovery": doc{"count": 20}})
		_, done := w.enrolApp(t, ana, "")
		const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ" // Crockford's base32, with 5 bits in a character
		used := map[rune]bool{}
		seen := map[string]bool{}
		for _, c := range done.list("recovery_codes") {
			code := strings.ReplaceAll(c.(string), "-", "")
			seen[code] = true
			if len(code) != 24 || strings.Trim(code, alphabet) != "" {
				t.Errorf("a code of %d characters, want 24 of base32", len(code))
			}
			for _, r := range code {
				used[r] = true
			}
		}
		if len(seen) != 20 || len(used) != len(alphabet) { // in 480 random characters, one of the 32 is missing only once in 100,000 sets
			t.Errorf("got %d codes of %d characters, want 20 of all 32", len(seen), len(used))
		}
	})
}

func TestG10TheLockHoldsOnEveryRouteThatTakesACode(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, "acme", doc{"trust": doc{"days": 0}})
		a, _ := w.enrolApp(t, ana, "")
		proof := w.stepUp(t, ana, a, nil)
		up := w.start(t, ana, doc{"purpose": "step_up"}).want(t, 201, "").text("challenge", "id")
		pending := w.begin(t, ana, "email", proof).want(t, 201, "")
		mailed := w.code(t, ana.email)
		for range 2 {
			id := w.asked(t, ana, nil).text("challenge", "id")
			for range 5 {
				w.verify(t, id, doc{"code": wrong(a.code(t, w))}).want(t, 422, "wrong_code")
			}
		}
		right := a.next(t, w)
		w.verify(t, up, doc{"code": right}).want(t, 429, "locked")
		w.finish(t, "", pending.text("id"), mailed).want(t, 429, "locked")
		w.do(t, call{method: "POST", path: "/v1/enrolments/" + pending.text("id") + "/send", body: doc{}}).want(t, 429, "locked")
		// These paths are not routes, so an API Gateway answers them itself, in its own words.
		for _, c := range [][2]string{
			{"POST", "/v1/challenges/" + up + "/verify/"}, {"POST", "//v1/challenges/" + up + "/verify"}, {"POST", "/v1/challenges/" + up + "/Verify"},
			{"POST", "/v2/challenges/" + up + "/verify"}, {"PUT", "/v1/challenges/" + up + "/verify"}, {"PATCH", "/v1/challenges/" + up + "/verify"},
		} {
			request, err := http.NewRequest(c[0], w.base+c[1], strings.NewReader(`{"code":"`+right+`"}`))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Authorization", "Bearer "+w.key)
			request.Header.Set("Content-Type", "application/json")
			response, err := w.http.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != http.StatusNotFound && response.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: got %d", c[0], c[1], response.StatusCode)
			}
		}
		// The lock also holds for a challenge that was begun during the lock.
		if locked := w.start(t, ana, nil); locked.status == 201 {
			w.verify(t, locked.text("challenge", "id"), doc{"factor": a.factor, "code": right}).want(t, 429, "locked")
		}
	})
}
