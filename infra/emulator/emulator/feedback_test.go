package emulator_test

import (
	"testing"

	"countersign/infra/emulator/emulator"
)

func TestACodeThatComesBackIsHeardByTheBuiltFunction(t *testing.T) {
	w := open(t, emulator.Options{})
	w.policy(t)
	for local, cause := range map[string]string{"bounce+1": "bounce", "complaint": "complaint", "success": ""} {
		address := local + "@simulator.amazonses.com" // Amazon's mailbox simulator
		body := doc{"org": "acme", "user": doc{"id": local, "email": address}}
		w.KillAt("feedback", emulator.AfterCommit) // the event is handed over again
		w.call("POST", "/v1/challenges", body).want(t, 201, `"sent":{`)
		told := 0
		all, _ := w.call("GET", "/local/events", nil).want(t, 200, "").doc["events"].([]any)
		for _, e := range all {
			e := e.(doc)
			if e["user"] == local && e["type"] == "factor.undeliverable" && e["data"].(doc)["cause"] == cause {
				told++
			}
		}
		if cause == "" {
			w.call("POST", "/v1/challenges", body).want(t, 201, `"sent":{`)
			continue
		}
		if told != 1 {
			t.Errorf("%s: got %d events with its cause, want 1", local, told)
		}
		again := w.call("POST", "/v1/challenges", body).want(t, 201, `"send_error":"delivery_failed"`)
		w.call("POST", "/v1/challenges/"+again.text("challenge", "id")+"/send", doc{}).want(t, 200, `"sent":{`)
		w.call("GET", "/local/events", nil).want(t, 200, "") // when this answers, the second event has been taken
		w.call("POST", "/v1/challenges", body).want(t, 201, `"send_error":"delivery_failed"`)
	}
	if w.Died("feedback") == 0 {
		t.Error("no process of feedback was killed")
	}
}
