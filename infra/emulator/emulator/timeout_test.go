package emulator_test

import (
	"testing"
	"time"

	"countersign/infra/emulator/cloudwatch"
)

// tooSlow makes one call of a function take longer than the function may take, while do runs. So Lambda ends the function.
func (w *watch) tooSlow(step, target string, do func()) {
	w.t.Helper()
	w.Limit(step, time.Second)
	w.fault(target, "slow", 1) // two seconds
	do()
	w.fault(target, "slow", 0)
	w.Limit(step, 0)
}

// TestAFunctionThatRunsOutOfTimeLetsNobodyInAndLosesNothing is about the provider, the table and the bus, each of them too slow.
func TestAFunctionThatRunsOutOfTimeLetsNobodyInAndLosesNothing(t *testing.T) {
	w := newWatch(t)
	began := w.now
	for range 2 {
		user := w.user()
		begin := doc{"org": "acme", "user": doc{"id": user, "email": user + "@acme.example"}}
		w.tooSlow("challenge", "email", func() {
			w.call("POST", "/v1/challenges", begin).want(t, 500, "Internal Server Error")
		})
		id := w.start(t, user) // the next try works
		code := w.code(t, user)
		w.tooSlow("verify", "store", func() {
			w.verify(id, code).want(t, 500, "Internal Server Error")
		})
		w.call("GET", "/v1/challenges/"+id, nil).want(t, 200, `"state":"pending"`)
		w.tooSlow("publish", "events", func() {
			w.verify(id, code).want(t, 200, "trust_token")
			w.call("GET", "/local/outbox?to=nobody", nil).want(t, 200, "") // publish has got the events, and was ended
		})
		w.verify(id, code).want(t, 404, "challenge_invalid")
		for _, kind := range []string{"challenge.verified", "browser.trusted"} {
			if n := w.events(t, user, kind); n != 1 {
				t.Errorf("%s: the bus was told %d times of %s, want once", user, n, kind)
			}
		}
		w.pass(6 * time.Minute)
	}
	for _, alarm := range []string{"ChallengeErrors", "VerifyErrors", "PublishErrors"} {
		if at := w.crossed[alarm]; at.Before(began) {
			t.Errorf("%s: it has not crossed", alarm)
		}
		w.want(alarm, cloudwatch.InAlarm)
	}
	w.pass(2 * time.Hour)
	for _, alarm := range []string{"ChallengeErrors", "VerifyErrors", "PublishErrors"} {
		w.want(alarm, cloudwatch.OK)
	}
}
