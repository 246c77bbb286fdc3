package main

import (
	"testing"

	"countersign/pkg/passkey/passkeytest"
)

func TestR9SixtyFourOfOneResponseAtOnceGetOneToken(t *testing.T) {
	racing(t, doc{}, func(t *testing.T, w *world, p person) {
		key := &passkeytest.Authenticator{}
		w.enrolKey(t, p, key, "")
		asked := w.asked(t, p, nil)
		id, bearers, response := asked.text("challenge", "id"), []string{"", asked.text("challenge", "token")}, w.touch(t, key, asked)
		answers := w.atOnce(t, 64, func(i int) call {
			return call{method: "POST", path: "/v1/challenges/" + id + "/verify", bearer: bearers[i%2], body: response}
		})
		onlyOrderly(t, answers)
		if got := len(answers[200]); got != 1 {
			t.Fatalf("%d tokens for one response, want 1", got)
		}
		w.signInBy(t, p, key)
	})
}

// A key and its copy answer two challenges with the same signature counter. The responses differ, so only the counter shows that
// one of them is a copy.
func TestR9OfTwoResponsesWithOneCounterAtOnceOneIsTaken(t *testing.T) {
	racing(t, doc{}, func(t *testing.T, w *world, p person) {
		key := &passkeytest.Authenticator{}
		w.enrolKey(t, p, key, "")
		key.Misbehaviour.Count = func(uint32) uint32 { return 7 }
		var calls []call
		for range 2 {
			asked := w.asked(t, p, nil)
			calls = append(calls, call{method: "POST", path: "/v1/challenges/" + asked.text("challenge", "id") + "/verify", body: w.touch(t, key, asked)})
		}
		answers := w.atOnce(t, 8, func(i int) call { return calls[i%2] })
		onlyOrderly(t, answers)
		if got := len(answers[200]); got != 1 {
			t.Fatalf("%d tokens for one counter, want 1", got)
		}
		if len(w.events(t, p.id, "factor.counter_refused")) == 0 {
			t.Error("nobody was told of the counter that came twice")
		}
	})
}

func TestR8SixtyFourFinishesByKeyAtOnceEnrolOneKey(t *testing.T) {
	racing(t, doc{}, func(t *testing.T, w *world, p person) {
		key := &passkeytest.Authenticator{}
		begun := w.begin(t, p, "webauthn", "").want(t, 201, "")
		finish := call{method: "POST", path: "/v1/enrolments/" + begun.text("id") + "/finish", body: w.create(t, key, begun)}
		answers := w.atOnce(t, 64, func(int) call { return finish })
		for status, some := range answers {
			switch status {
			case 201, 404, 409, 422:
			default:
				t.Fatalf("%d answers of %d, such as %s", len(some), status, some[0].raw)
			}
		}
		if got := len(answers[201]); got != 1 {
			t.Fatalf("%d finished, want 1", got)
		}
		account := w.account(t, p)
		if len(account.list("factors")) != 1 || len(account.list("webauthn_signal", "credential_ids")) != 1 || account.number("recovery", "codes_left") != 10 {
			t.Fatalf("got %s", account.raw)
		}
		w.signInBy(t, p, key)
	})
}

func TestR9OneCredentialIDForTwoUsersAtOnceIsOneKey(t *testing.T) {
	racing(t, doc{}, func(t *testing.T, w *world, p person) {
		people := []person{p, {p.org, p.id + "-thief", "thief-" + p.email}}
		keys := []*passkeytest.Authenticator{{}, {}}
		id := []byte("the same credential id of " + p.id)
		var calls []call
		for i, who := range people {
			keys[i].NextID = id
			begun := w.begin(t, who, "webauthn", "").want(t, 201, "")
			calls = append(calls, call{method: "POST", path: "/v1/enrolments/" + begun.text("id") + "/finish", body: w.create(t, keys[i], begun)})
		}
		answers := w.atOnce(t, 32, func(i int) call { return calls[i%2] })
		if got := len(answers[201]); got != 1 {
			t.Fatalf("%d finished, want 1", got)
		}
		owners := 0
		for i, who := range people {
			if len(w.account(t, who).list("factors")) == 0 {
				continue
			}
			owners++
			w.signInBy(t, who, keys[i])
		}
		if owners != 1 {
			t.Fatalf("%d users have the key, want 1", owners)
		}
	})
}
