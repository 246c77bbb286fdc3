package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"countersign/infra/local/machine"
	"countersign/pkg/seal"
)

func (r *running) told(target, mode string, count int) {
	r.t.Helper()
	body := fmt.Sprintf(`{"target":%q,"mode":%q,"count":%d}`, target, mode, count)
	if got := r.call("POST", "/local/faults", body); got.status != 200 || strings.TrimSpace(got.body) != body {
		r.t.Fatalf("got %d %s, want %s", got.status, got.body, body)
	}
}

const startOfAna = `{"org":"demo","user":{"id":"ana","email":"ana@demo.example"}}`

func TestAStoreThatFailsLetsNobodyInAndTheNextTryWorks(t *testing.T) {
	r := serve(t, t.TempDir())
	b := r.challenge("ana")
	code := r.code("ana")
	r.told("store", "fail", 1)
	got := r.verify(b, code, "")
	if got.status != 503 || !strings.Contains(got.body, `"code":"unavailable"`) || strings.Contains(got.body, "told") {
		t.Errorf("got %d %s, want 503 unavailable and nothing of the cause", got.status, got.body)
	}
	if got := r.verify(b, code, ""); got.status != 200 {
		t.Errorf("the next try: got %d %s, want 200", got.status, got.body)
	}
}

func TestAMadeUpBearerComesNeitherToTheStoreNorToTheKeys(t *testing.T) {
	r := serve(t, t.TempDir())
	r.told("store", "fail", 1)
	r.told("keys", "fail", 1)
	madeUp := seal.NewFilter().NewBearer(seal.APIKey, make([]byte, 33)).Reveal()
	for _, path := range []string{"/v1/orgs/demo/users/ana", "/v1/orgs/demo/policy", "/v1/challenges/" + seal.ID("ch_", make([]byte, 32))} {
		if got := r.call("GET", path, "", "Authorization", "Bearer "+madeUp); got.status != 401 {
			t.Errorf("%s: got %d %s, want 401", path, got.status, got.body)
		}
	}
	for _, target := range []string{machine.TargetStore, machine.TargetKeys} {
		if got := r.faults.waiting[target].Count; got != 1 {
			t.Errorf("%d faults of %s wait, want the one that nobody has met", got, target)
		}
	}
}

func TestHealthAndPublicKeysNeedTheStoreAndNotTheKeyRing(t *testing.T) {
	r := serve(t, t.TempDir())
	for _, path := range []string{"/health", "/.well-known/jwks.json"} {
		r.told("keys", "fail", 1)
		if got := r.call("GET", path, ""); got.status != 200 {
			t.Errorf("%s, without the keys: got %d %s, want 200", path, got.status, got.body)
		}
		r.told("keys", "fail", 0)
		r.told("store", "fail", 1)
		if got := r.call("GET", path, ""); got.status != 503 {
			t.Errorf("%s, without the store: got %d %s, want 503", path, got.status, got.body)
		}
	}
}

func TestALostReplyOfTheStoreIsOneOfACommit(t *testing.T) {
	r := serve(t, t.TempDir())
	b := r.challenge("ana")
	code := r.code("ana")
	r.told("store", "lost_reply", 1)
	for range 3 {
		if got := r.call("GET", "/v1/orgs/demo/users/ana", ""); got.status != 200 {
			t.Errorf("a read: got status %d, want 200", got.status)
		}
	}
	if got := r.verify(b, code, ""); got.status != 200 {
		t.Errorf("the answer to the commit was lost: got %d %s, want the truth, 200", got.status, got.body)
	}
	if got := r.faults.waiting[machine.TargetStore].Count; got != 0 {
		t.Errorf("%d faults still wait: the commit was not hit", got)
	}
	if got := count(r.events(), "challenge.verified"); got != 1 {
		t.Errorf("verified %d times, want once", got)
	}
}

func TestMailThatIsRefusedIsToldAndNotRecorded(t *testing.T) {
	r := serve(t, t.TempDir())
	r.told("email", "fail", 1)
	b := r.challenge("ana")
	if b.Challenge.Sent != nil || b.Challenge.SendError != "delivery_failed" {
		t.Errorf("got %+v, want that the delivery failed", b)
	}
	if got := len(r.messages("")); got != 0 {
		t.Errorf("got %d messages, want none", got)
	}
	if got := r.call("POST", "/v1/challenges/"+b.Challenge.ID+"/send", `{}`); got.status != 200 {
		t.Errorf("sent again: got %d %s, want 200", got.status, got.body)
	}
	if got := r.verify(b, r.code("ana"), ""); got.status != 200 {
		t.Errorf("got %d %s, want 200", got.status, got.body)
	}
}

func TestMailThatIsRefusedCostsTheUserNoCodeAndMailWhoseReplyIsLostDoes(t *testing.T) {
	for mode, want := range map[string]string{"fail": "", "lost_reply": "too_many_sends"} {
		r := serve(t, t.TempDir())
		r.told("email", mode, 10)
		for range 10 {
			if b := r.challenge("ana"); b.Challenge.SendError != "delivery_failed" {
				t.Fatalf("%s: got %+v, want that the delivery failed", mode, b)
			}
		}
		if b := r.challenge("ana"); b.Challenge.SendError != want || (b.Challenge.Sent != nil) != (want == "") {
			t.Errorf("%s: got %+v, want send_error %q", mode, b, want)
		}
	}
}

func TestMailWhoseReplyIsLostWentOutAllTheSame(t *testing.T) {
	r := serve(t, t.TempDir())
	r.told("email", "lost_reply", 1)
	b := r.challenge("ana")
	if b.Challenge.SendError != "delivery_failed" {
		t.Errorf("got %+v, want that the delivery failed", b)
	}
	if got := r.verify(b, r.code("ana"), ""); got.status != 200 {
		t.Errorf("the code that went out: got %d %s, want 200", got.status, got.body)
	}
}

func TestMissingKeysLetNobodyIn(t *testing.T) {
	r := serve(t, t.TempDir())
	for _, mode := range []string{"fail", "lost_reply"} {
		r.told("keys", mode, 1)
		if got := r.call("POST", "/v1/challenges", startOfAna); got.status != 503 {
			t.Errorf("%s: got %d %s, want 503", mode, got.status, got.body)
		}
		if got := r.call("POST", "/v1/challenges", startOfAna); got.status != 201 {
			t.Errorf("after %s: got %d %s, want 201", mode, got.status, got.body)
		}
	}
}

func TestEventsThatTheBusRefusedComeAgain(t *testing.T) {
	r := serve(t, t.TempDir())
	r.events()
	r.told("events", "fail", 1)
	r.challenge("ana")
	if got := count(r.events(), "challenge.sent"); got != 1 {
		t.Errorf("refused once: got the event %d times, want once", got)
	}
	r.told("events", "lost_reply", 1)
	r.challenge("bob")
	if got := count(r.events(), "challenge.sent"); got != 3 {
		t.Errorf("the reply lost once: got the event %d times in all, want 3, bob's twice", got)
	}
	r.told("events", "fail", 1000)
	r.challenge("eve")
	if got := r.call("GET", "/local/events", ""); got.status != 503 {
		t.Errorf("a bus that is down: got status %d, want 503 and no list that lacks something", got.status)
	}
	if got := len(r.messages("eve@demo.example")); got != 1 {
		t.Errorf("a bus that is down: got %d messages, want the code", got)
	}
	r.told("events", "fail", 0)
	if got := count(r.events(), "challenge.sent"); got != 4 {
		t.Errorf("the bus is back: got the event %d times in all, want 4", got)
	}
}

func TestASlowCallIsDoneLate(t *testing.T) {
	r := serve(t, t.TempDir())
	r.faults.slow = 300 * time.Millisecond
	for _, target := range []string{"store", "keys", "email"} {
		r.told(target, "slow", 1)
		began := time.Now()
		if got := r.call("POST", "/v1/challenges", strings.ReplaceAll(startOfAna, "ana", target)); got.status != 201 {
			t.Errorf("%s: got %d %s, want 201", target, got.status, got.body)
		}
		if took := time.Since(began); took < r.faults.slow {
			t.Errorf("%s: took %s, want at least %s", target, took, r.faults.slow)
		}
	}
	if machine.SlowFor != 2*time.Second {
		t.Errorf("slow is %s, want 2 s", machine.SlowFor)
	}
}

func TestCountNothingTakesAFaultBack(t *testing.T) {
	r := serve(t, t.TempDir())
	r.told("store", "fail", 1000)
	if got := r.call("POST", "/v1/challenges", startOfAna); got.status != 503 {
		t.Fatalf("got status %d, want 503", got.status)
	}
	if got := r.call("POST", "/local/faults", `{"target":"store","count":0}`); got.status != 200 {
		t.Errorf("got %d %s, want 200", got.status, got.body)
	}
	if got := r.call("POST", "/v1/challenges", startOfAna); got.status != 201 {
		t.Errorf("got %d %s, want 201", got.status, got.body)
	}
}

func TestFaultsThatMakeNoSenseAreRefused(t *testing.T) {
	r := serve(t, t.TempDir())
	for body, param := range map[string]string{
		`{"target":"disk","mode":"fail","count":1}`:      "target",
		`{"mode":"fail","count":1}`:                      "target",
		`{"target":"sms","mode":"explode","count":1}`:    "mode",
		`{"target":"sms","mode":"explode","count":0}`:    "mode",
		`{"target":"sms","count":1}`:                     "mode",
		`{"target":"sms","mode":"fail"}`:                 "count",
		`{"target":"sms","mode":"fail","count":-1}`:      "count",
		`{"target":"sms","mode":"fail","count":1000001}`: "count",
	} {
		if got := r.call("POST", "/local/faults", body); got.status != 400 || !strings.Contains(got.body, `"param":"`+param+`"`) {
			t.Errorf("%s: got %d %s, want it refused for %s", body, got.status, got.body, param)
		}
	}
	r.told("sms", "fail", 1)
}
