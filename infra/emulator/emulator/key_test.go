package emulator_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"countersign/infra/emulator/emulator"
	"countersign/pkg/passkey/passkeytest"
)

// TestAKeysCeremonyThatWasKilledIsToldTheTruth repeats each call with its Idempotency-Key, as a client does that got no answer.
func TestAKeysCeremonyThatWasKilledIsToldTheTruth(t *testing.T) {
	w := open(t, emulator.Options{})
	for i, moment := range []emulator.Moment{emulator.BeforeCommit, emulator.AfterCommit, emulator.BeforeAnswer} {
		user, key, calls := fmt.Sprintf("u-%d", i), &passkeytest.Authenticator{}, 0
		// killed makes a call whose process is killed, and then the same call again.
		killed := func(step, path string, body any, header ...string) answer {
			t.Helper()
			calls++
			header = append(header, "Idempotency-Key", fmt.Sprintf("%s-%d", user, calls))
			w.KillAt(step, moment)
			w.call("POST", path, body, header...).want(t, 500, "Internal Server Error")
			return w.call("POST", path, body, header...)
		}
		respond := func(by func(json.RawMessage, string) (json.RawMessage, error), options any) doc {
			t.Helper()
			written, err := json.Marshal(options)
			if err != nil {
				t.Fatal(err)
			}
			response, err := by(written, w.Issuer())
			if err != nil {
				t.Fatal(err)
			}
			return doc{"credential": response}
		}
		options := func(a answer) any {
			if c, ok := a.doc["challenge"].(map[string]any); ok {
				return c["webauthn"]
			}
			return a.doc["webauthn"]
		}
		who := doc{"org": "acme", "user": doc{"id": user, "email": user + "@acme.example"}}
		now, err := time.Parse(time.RFC3339Nano, w.call("GET", "/local/clock", nil).want(t, 200, "").text("now"))
		if err != nil {
			t.Fatal(err)
		}
		begin := doc{"org": who["org"], "user": who["user"], "kind": "webauthn"}
		begun := killed("enrol", "/v1/enrolments", begin, "Countersign-Reauthenticated-At", now.Format(time.RFC3339)).want(t, 201, "webauthn")
		enrolment := "/v1/enrolments/" + begun.text("id")
		sent := killed("enrol", enrolment+"/send", doc{}).want(t, 200, "webauthn")
		w.call("POST", enrolment+"/finish", respond((&passkeytest.Authenticator{}).Create, options(begun))).want(t, 422, "wrong_credential")
		first := respond(key.Create, options(sent))
		done := killed("enrol", enrolment+"/finish", first).want(t, 201, "recovery_codes")
		w.call("POST", enrolment+"/finish", first).want(t, 404, "enrolment_invalid")
		if n := w.events(t, user, "factor.enrolled"); n != 1 {
			t.Errorf("finish killed %s: enrolled %d times, want once: %s", moment, n, done.raw)
		}

		asked := killed("challenge", "/v1/challenges", who).want(t, 201, "webauthn")
		challenge := "/v1/challenges/" + asked.text("challenge", "id")
		sent = killed("challenge", challenge+"/send", doc{}).want(t, 200, "webauthn")
		w.call("POST", challenge+"/verify", respond(key.Get, options(asked))).want(t, 422, `"attempts_left":4`)
		key.Misbehaviour.OtherKey = true
		wrong := respond(key.Get, options(sent))
		key.Misbehaviour.OtherKey = false
		killed("verify", challenge+"/verify", wrong).want(t, 422, `"attempts_left":3`)
		right := respond(key.Get, options(sent))
		verified := killed("verify", challenge+"/verify", right).want(t, 200, "token")
		w.call("POST", challenge+"/verify", right).want(t, 404, "challenge_invalid")
		if n := w.events(t, user, "challenge.verified"); n != 1 || verified.text("token") == "" {
			t.Errorf("verify killed %s: got %s and %d sign-ins, want one", moment, verified.raw, n)
		}
		if n := w.events(t, user, "challenge.failed"); n != 3 {
			t.Errorf("killed %s: %d wrong answers are recorded, want 3", moment, n)
		}
	}
}
