package main

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"os"
	"sync"
	"testing"
)

// rounds returns how often a race is run: full times with COUNTERSIGN_ROUNDS=full, and otherwise a hundredth of that, but at
// least once.
func rounds(full int) int {
	if fullRun() {
		return full
	}
	return (full + 99) / 100
}

// raceRounds returns how often a race is run in each kind of world.
func raceRounds() map[string]int {
	return map[string]int{"bolt": rounds(200), "dynamo": rounds(50), "emulator": rounds(20)}
}

func fullRun() bool { return os.Getenv("COUNTERSIGN_ROUNDS") == "full" }

// atOnce makes n calls that start together, and returns their answers by status.
//
// The built functions keep to the deadlines of a deployment, which a busy machine can miss: it then answers 503. So in their
// world each POST has an Idempotency-Key, and is made again as a client would, to get the answer of the same work.
func (w *world) atOnce(t *testing.T, n int, build func(i int) call) map[int][]answer {
	t.Helper()
	answers, errs := make([]answer, n), make([]error, n)
	gate := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-gate
			c := build(i)
			if w.patient && c.method == "POST" {
				c.header = maps.Clone(c.header)
				if c.header == nil {
					c.header = map[string]string{}
				}
				c.header["Idempotency-Key"] = cmp.Or(c.header["Idempotency-Key"], rand.Text())
			}
			for range 5 {
				answers[i], errs[i] = w.try(c)
				if !w.patient || answers[i].status != http.StatusServiceUnavailable {
					break
				}
			}
		})
	}
	close(gate)
	all.Wait()
	byStatus := map[int][]answer{}
	for i, a := range answers {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		byStatus[a.status] = append(byStatus[a.status], a)
	}
	return byStatus
}

// onlyOrderly fails the test if there is an answer that no verify may get, however many run at the same time.
func onlyOrderly(t *testing.T, answers map[int][]answer) {
	t.Helper()
	for status, some := range answers {
		switch status {
		case 200, 404, 409, 422, 429:
		default:
			t.Fatalf("%d answers of %d, such as %s", len(some), status, some[0].raw)
		}
	}
}

func TestR6SixtyFourRightCodesAtOnceGetOneToken(t *testing.T) {
	t.Parallel()
	for store, n := range raceRounds() {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			w := worldOn(t, store)
			w.policy(t, "acme", doc{"profile": "kls"})
			total := map[int]int{}
			for round := range n {
				p := person{"acme", fmt.Sprintf("u-%d", round), fmt.Sprintf("u%d@acme.example", round)}
				id := w.asked(t, p, nil).text("challenge", "id")
				right := doc{"code": w.code(t, p.email), "trust": doc{"name": "Firefox"}}
				answers := w.atOnce(t, 64, func(int) call {
					return call{method: "POST", path: "/v1/challenges/" + id + "/verify", body: right}
				})
				onlyOrderly(t, answers)
				if got := len(answers[200]); got != 1 {
					t.Fatalf("round %d: %d tokens, want 1", round, got)
				}
				for status, some := range answers {
					total[status] += len(some)
				}
				outcome := w.do(t, call{method: "GET", path: "/v1/challenges/" + id}).want(t, 200, "")
				if outcome.text("state") != "verified" || outcome.text("outcome", "trust_token") != answers[200][0].text("trust_token") {
					t.Fatalf("round %d: the outcome is %s", round, outcome.raw)
				}
			}
			t.Logf("%d rounds of 64 on %s, answers by status: %v", n, store, total)
		})
	}
}

func TestR10WrongCodesAtOnceNeverPassTheCap(t *testing.T) {
	t.Parallel()
	for store, n := range raceRounds() {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			w := worldOn(t, store)
			w.policy(t, "acme", doc{"profile": "kls"})
			for round := range n {
				p := person{"acme", fmt.Sprintf("u-%d", round), fmt.Sprintf("u%d@acme.example", round)}
				id := w.asked(t, p, nil).text("challenge", "id")
				code := w.code(t, p.email)
				answers := w.atOnce(t, 200, func(i int) call {
					body := doc{"code": wrong(code)}
					if i == 100 {
						body["code"] = code
					}
					return call{method: "POST", path: "/v1/challenges/" + id + "/verify", body: body}
				})
				onlyOrderly(t, answers)
				evaluated, right := len(answers[422]), len(answers[200])
				if evaluated > 5 || right > 1 {
					t.Fatalf("round %d: %d wrong codes looked at, want at most 5; %d tokens, want at most 1", round, evaluated, right)
				}
				after := w.verify(t, id, doc{"code": code})
				if after.status != 404 && after.status != 429 {
					t.Fatalf("round %d: afterwards the challenge is open: %s", round, after.raw)
				}
				if failed := len(w.events(t, p.id, "challenge.failed")); failed != evaluated {
					t.Fatalf("round %d: %d failures recorded, %d answered", round, failed, evaluated)
				}
			}
		})
	}
}

func TestR4ATrustTokenUsedByManyAtOnceKeepsItsLine(t *testing.T) {
	klsWorld(t, func(t *testing.T, w *world) {
		token := w.trusted(t, ana)
		for round := range rounds(200) { // there are at least two rounds, and in the second one the token has a successor
			answers := w.atOnce(t, 32, func(int) call {
				return call{method: "POST", path: "/v1/challenges", body: ana.signIn(doc{"trust_token": token})}
			})
			onlyOrderly(t, answers)
			next := answers[200][0].text("trust_token")
			for _, a := range answers[200] {
				if a.text("reason") != "trusted_browser" || a.text("trust_token") != next {
					t.Fatalf("round %d: got %s, want one successor for all", round, a.raw)
				}
			}
			token = next
		}
	})
}

func TestTB4NothingIsTrustedAfterTheRevokeHasAnswered(t *testing.T) {
	klsWorld(t, func(t *testing.T, w *world) {
		for round := range rounds(50) {
			p := person{"acme", fmt.Sprintf("u-%d", round), fmt.Sprintf("u%d@acme.example", round)}
			token := w.trusted(t, p)
			w.do(t, call{method: "PUT", path: "/v1/orgs/acme/users/" + p.id, body: doc{"email": "new-" + p.email}}).want(t, 200, "")
			answers := w.atOnce(t, 32, func(int) call {
				return call{method: "POST", path: "/v1/challenges", body: doc{"org": p.org, "user": doc{"id": p.id}, "trust_token": token}}
			})
			if got := len(answers[200]); got != 0 {
				t.Fatalf("round %d: %d let in after the revoke", round, got)
			}
		}
	})
}
