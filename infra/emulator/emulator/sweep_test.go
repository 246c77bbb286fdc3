package emulator_test

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"countersign/infra/emulator/emulator"
)

// trustEnds signs users in, and moves the clock to after the end of their trust.
func (w *world) trustEnds(t *testing.T, users ...string) {
	t.Helper()
	w.policy(t)
	for _, user := range users {
		w.signIn(t, user)
	}
	w.call("POST", "/local/clock", doc{"advance_s": 31 * 24 * 3600}).want(t, 200, "")
}

// wantAnnouncedOnce fails the test unless the end of each user's trust is one event, which is shown once and has one id on the
// bus.
func (w *world) wantAnnouncedOnce(t *testing.T, users ...string) {
	t.Helper()
	onBus := map[string]map[string]bool{}
	all, _ := w.call("GET", "/local/events", nil).want(t, 200, "").doc["events"].([]any)
	for _, e := range all {
		if event := (answer{doc: e.(doc)}); event.text("type") == "browser.expired" {
			if onBus[event.text("user")] == nil {
				onBus[event.text("user")] = map[string]bool{}
			}
			onBus[event.text("user")][event.text("id")] = true
		}
	}
	for _, user := range users {
		a := w.call("GET", "/v1/orgs/acme/users/"+user+"/activity?type=browser.expired", nil).want(t, 200, "")
		items, _ := a.doc["items"].([]any)
		if len(items) != 1 || len(onBus[user]) != 1 {
			t.Errorf("%s: shown %d times, and %d ids on the bus, want one", user, len(items), len(onBus[user]))
		}
	}
}

func TestASweepKilledAtEachOfItsCommitsAnnouncesEachEndOnce(t *testing.T) {
	for name, rie := range runtimes() {
		t.Run(name, func(t *testing.T) {
			w := open(t, emulator.Options{RIE: rie})
			users := []string{"ana", "ben", "eve"}
			w.trustEnds(t, users...)
			commits := 0
			for after := true; after; {
				for _, moment := range []emulator.Moment{emulator.BeforeCommit, emulator.AfterCommit} {
					before := w.Died("sweep")
					w.KillAt("sweep", moment)
					var a answer
					for range 3 { // on a busy machine, DynamoDB Local can be slower than the function waits for it
						a = w.call("POST", "/local/sweep", nil)
						if after = w.Died("sweep") > before; after || a.status != 503 {
							break
						}
					}
					if want := map[bool]int{true: 503, false: 200}[after]; a.status != want {
						t.Fatalf("%s: got %d %s, want %d", moment, a.status, a.raw, want)
					}
				}
				if after {
					commits++
				}
				if commits > 20 {
					t.Fatal("the sweep has no end")
				}
			}
			// There is one for each end and one for the cursor. The others are of checkpoints and of counts, whose number depends on
			// when in the day the test runs.
			if want := len(users) + 1; commits < want {
				t.Errorf("killed at %d commits, want at least %d", commits, want)
			}
			w.KillAt("sweep", emulator.BeforeAnswer)
			w.call("POST", "/local/sweep", nil).want(t, 503, "unavailable")
			w.call("POST", "/local/sweep", nil).want(t, 200, `"announced":0`)
			w.wantAnnouncedOnce(t, users...)
		})
	}
}

func TestThreeSweepsAtOnceOneOfThemKilledAnnounceEachEndOnce(t *testing.T) {
	w := open(t, emulator.Options{Processes: 3})
	var users []string
	for i := range 8 {
		users = append(users, fmt.Sprintf("u-%d", i))
	}
	w.trustEnds(t, users...)
	event, err := os.ReadFile("../../../events/sweep.json")
	if err != nil {
		t.Fatal(err)
	}
	w.KillAt("sweep", emulator.AfterCommit)
	var failed [3]error
	var all sync.WaitGroup
	for i := range failed {
		all.Go(func() { _, failed[i] = w.Invoke(t.Context(), "sweep", event) })
	}
	all.Wait()
	died := 0
	for _, err := range failed {
		if err != nil {
			died++
		}
	}
	if died != 1 {
		t.Errorf("got %v, want that one was killed and the others did their work", failed)
	}
	w.call("POST", "/local/sweep", nil).want(t, 200, `"announced":0`)
	w.wantAnnouncedOnce(t, users...)
}
