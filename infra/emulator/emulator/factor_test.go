package emulator_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"countersign/infra/emulator/emulator"
)

// TestAnEnrolmentARecoveryOrAChangeThatWasKilledIsToldTheTruth repeats each call with its Idempotency-Key, as a client does
// that got no answer.
func TestAnEnrolmentARecoveryOrAChangeThatWasKilledIsToldTheTruth(t *testing.T) {
	w := open(t, emulator.Options{})
	now := func() time.Time {
		at, err := time.Parse(time.RFC3339Nano, w.call("GET", "/local/clock", nil).want(t, 200, "").text("now"))
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for i, moment := range []emulator.Moment{emulator.BeforeCommit, emulator.AfterCommit, emulator.BeforeAnswer} {
		user := fmt.Sprintf("u-%d", i)
		// killed makes a call whose process is killed, and then the same call again.
		killed := func(step, method, path string, body any, header ...string) answer {
			t.Helper()
			w.KillAt(step, moment)
			w.call(method, path, body, header...).want(t, 500, "Internal Server Error")
			return w.call(method, path, body, header...)
		}
		fresh := func(key string) []string {
			return []string{"Idempotency-Key", user + key, "Countersign-Reauthenticated-At", now().Format(time.RFC3339)}
		}
		who := doc{"org": "acme", "user": doc{"id": user, "email": user + "@acme.example"}}
		begin := doc{"org": who["org"], "user": who["user"], "kind": "totp"}
		begun := killed("enrol", "POST", "/v1/enrolments", begin, fresh("begin")...).want(t, 201, "qr_svg")
		code := func() string {
			c, err := totp.GenerateCode(begun.text("totp", "secret"), now())
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		done := killed("enrol", "POST", "/v1/enrolments/"+begun.text("id")+"/finish", doc{"code": code()}, "Idempotency-Key", user+"finish")
		codes, _ := done.want(t, 201, "recovery_codes").doc["recovery_codes"].([]any)
		if len(codes) != 10 {
			t.Fatalf("finish killed %s: got %s, want ten recovery codes", moment, done.raw)
		}
		if n := w.events(t, user, "factor.enrolled"); n != 1 {
			t.Errorf("finish killed %s: enrolled %d times, want once", moment, n)
		}

		id := w.call("POST", "/v1/challenges", who).want(t, 201, `"challenge"`).text("challenge", "id")
		recovered := killed("recover", "POST", "/v1/challenges/"+id+"/recover", doc{"code": codes[0]}, "Idempotency-Key", user+"recover")
		recovered.want(t, 200, `"codes_left":9`)
		if recovered.text("token") == "" {
			t.Errorf("recovery killed %s: got %s, want a token", moment, recovered.raw)
		}

		up := w.call("POST", "/v1/challenges", doc{"org": who["org"], "user": who["user"], "purpose": "step_up"}).want(t, 201, `"challenge"`).text("challenge", "id")
		w.call("POST", "/local/clock", doc{"advance_s": 60}).want(t, 200, "")
		proof := w.call("POST", "/v1/challenges/"+up+"/verify", doc{"code": code()}).want(t, 200, "token").text("token")
		made := killed("account", "POST", "/v1/orgs/acme/users/"+user+"/recovery-codes", nil, append(fresh("codes"), "Countersign-Proof", proof)...)
		again, _ := made.want(t, 201, "recovery_codes").doc["recovery_codes"].([]any)
		id = w.call("POST", "/v1/challenges", who).want(t, 201, `"challenge"`).text("challenge", "id")
		w.call("POST", "/v1/challenges/"+id+"/recover", doc{"code": codes[1]}).want(t, 422, "wrong_code")
		w.call("POST", "/v1/challenges/"+id+"/recover", doc{"code": again[0]}).want(t, 200, `"codes_left":9`)

		factor := "/v1/orgs/acme/users/" + user + "/factors/" + done.text("factor", "id")
		gone := killed("account", "DELETE", factor, nil, append(fresh(""), "Countersign-Proof", proof)...)
		if moment == emulator.BeforeCommit {
			gone.want(t, 204, "")
		} else {
			gone.want(t, 404, "not_found")
		}
		w.call("POST", "/v1/challenges", who).want(t, 200, "not_required")
	}
}
