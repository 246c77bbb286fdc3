package main

import (
	"encoding/base64"
	"testing"
	"time"

	"countersign/pkg/passkey/passkeytest"
)

func unbase64(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestR8AFinishIsGoodOnce(t *testing.T) {
	keyWorld(t, func(t *testing.T, w *world) {
		key := &passkeytest.Authenticator{}
		begun := w.begin(t, ana, "webauthn", "").want(t, 201, "")
		body := w.create(t, key, begun)
		w.finishBy(t, "", begun.text("id"), body).want(t, 201, "")
		w.finishBy(t, "", begun.text("id"), body).want(t, 404, "enrolment_invalid")
		again := w.begin(t, ana, "webauthn", w.stepUpBy(t, ana, key)).want(t, 201, "")
		w.finishBy(t, "", again.text("id"), body).wantWrong(t, 4)
		bobs := w.begin(t, person{"acme", "u-18", "bob@acme.example"}, "webauthn", "").want(t, 201, "")
		w.finishBy(t, "", bobs.text("id"), body).wantWrong(t, 4)
		if got := w.account(t, ana); len(got.list("factors")) != 1 || len(w.events(t, ana.id, "factor.enrolled")) != 1 {
			t.Errorf("got %s, want one key", got.raw)
		}
	})
}

func TestR8OnlyTheNewestOptionsOfAnEnrolmentAreGood(t *testing.T) {
	keyWorld(t, func(t *testing.T, w *world) {
		first := w.begin(t, ana, "webauthn", "").want(t, 201, "")
		abandoned := w.create(t, &passkeytest.Authenticator{}, first)
		begun := w.begin(t, ana, "webauthn", "").want(t, 201, "")
		w.finishBy(t, "", first.text("id"), abandoned).want(t, 404, "enrolment_invalid")
		superseded := w.create(t, &passkeytest.Authenticator{}, begun)
		sent := w.do(t, call{method: "POST", path: "/v1/enrolments/" + begun.text("id") + "/send", body: doc{}}).want(t, 200, "")
		w.finishBy(t, "", begun.text("id"), superseded).wantWrong(t, 4)
		late := w.create(t, &passkeytest.Authenticator{}, sent)
		w.advance(t, 301*time.Second)
		w.finishBy(t, "", begun.text("id"), late).wantWrong(t, 3)
		sent = w.do(t, call{method: "POST", path: "/v1/enrolments/" + begun.text("id") + "/send", body: doc{}}).want(t, 200, "")
		w.finishBy(t, "", begun.text("id"), w.create(t, &passkeytest.Authenticator{}, sent)).want(t, 201, "")
	})
}

func TestR9AResponseIsGoodOnce(t *testing.T) {
	keyWorld(t, func(t *testing.T, w *world) {
		key := &passkeytest.Authenticator{}
		w.enrolKey(t, ana, key, "")
		asked := w.asked(t, ana, nil)
		id, response := asked.text("challenge", "id"), w.touch(t, key, asked)
		w.verify(t, id, response).want(t, 200, "")
		w.verify(t, id, response).want(t, 404, "challenge_invalid")
		asked = w.asked(t, ana, nil)
		w.verify(t, asked.text("challenge", "id"), response).wantWrong(t, 4)
		up := w.asked(t, ana, doc{"purpose": "step_up"})
		w.verify(t, up.text("challenge", "id"), w.touch(t, key, asked)).wantWrong(t, 4)
		w.verify(t, asked.text("challenge", "id"), w.touch(t, key, asked)).want(t, 200, "")
		if n := len(w.events(t, ana.id, "challenge.verified")); n != 2 {
			t.Errorf("%d sign-ins are recorded, want 2", n)
		}
	})
}

func TestR9OptionsAreGoodFor300SecondsAndUntilTheNextOnes(t *testing.T) {
	keyWorld(t, func(t *testing.T, w *world) {
		key := &passkeytest.Authenticator{}
		w.enrolKey(t, ana, key, "")
		asked := w.asked(t, ana, nil)
		id := asked.text("challenge", "id")
		superseded := w.touch(t, key, asked)
		sent := w.sendFor(t, asked)
		w.verify(t, id, superseded).wantWrong(t, 4)
		late := w.touch(t, key, sent)
		w.advance(t, 301*time.Second)
		if state := w.do(t, call{method: "GET", path: "/v1/challenges/" + id}).want(t, 200, ""); state.text("state") != "pending" {
			t.Fatalf("got %s, want the challenge still there", state.raw)
		}
		w.verify(t, id, late).wantWrong(t, 3)
		w.verify(t, id, w.touch(t, key, w.sendFor(t, asked))).want(t, 200, "")

		asked = w.asked(t, ana, nil)
		late = w.touch(t, key, asked)
		w.advance(t, 270*time.Second) // well before the end, because the clock of the server doesn't stand still
		w.verify(t, asked.text("challenge", "id"), late).want(t, 200, "")
	})
}

func TestR9ACounterThatGoesBackIsRefusedAndTold(t *testing.T) {
	keyWorld(t, func(t *testing.T, w *world) {
		key := &passkeytest.Authenticator{}
		factor := w.enrolKey(t, ana, key, "").text("factor", "id")
		w.signInBy(t, ana, key)
		asked := w.asked(t, ana, nil)
		key.Misbehaviour.Count = func(n uint32) uint32 { return n - 2 }
		w.verify(t, asked.text("challenge", "id"), w.touch(t, key, asked)).wantWrong(t, 4)
		key.Misbehaviour.Count = func(uint32) uint32 { return 2 } // the same counter as at the sign-in before
		w.verify(t, asked.text("challenge", "id"), w.touch(t, key, asked)).wantWrong(t, 3)
		told := w.events(t, ana.id, "factor.counter_refused")
		if len(told) != 2 || told[0].text("data", "factor") != factor || told[0].text("data", "kind") != "webauthn" {
			t.Errorf("got the events %v, want two that name the key", told)
		}
		activity := w.do(t, call{method: "GET", path: ana.path("/activity")}).want(t, 200, "")
		listed := 0
		for _, e := range activity.list("items") {
			if doc(e.(map[string]any)).text("type") == "factor.counter_refused" {
				listed++
			}
		}
		if listed != 2 {
			t.Errorf("the activity has %d such events, want 2", listed)
		}
		key.Misbehaviour.Count = nil
		w.verify(t, asked.text("challenge", "id"), w.touch(t, key, asked)).want(t, 200, "")
	})
}

func TestR9ACredentialIDBelongsToOneUserUntilItsKeyIsRemoved(t *testing.T) {
	keyWorld(t, func(t *testing.T, w *world) {
		bob := person{"other", "u-18", "bob@other.example"} // a user of another org of the same deployment
		key := &passkeytest.Authenticator{}
		factor := w.enrolKey(t, ana, key, "").text("factor", "id")
		copied := &passkeytest.Authenticator{NextID: w.credentialID(t, ana)}
		begun := w.begin(t, bob, "webauthn", "").want(t, 201, "")
		body := w.create(t, copied, begun)
		w.finishBy(t, "", begun.text("id"), body).want(t, 409, "already_exists")
		if got := w.account(t, bob); len(got.list("factors")) != 0 || got.at("enabled") != false {
			t.Errorf("got %s, want no factor", got.raw)
		}
		w.do(t, call{method: "DELETE", path: ana.path("/factors/" + factor), header: w.fresh(t, w.stepUpBy(t, ana, key))}).want(t, 204, "")
		w.finishBy(t, "", begun.text("id"), body).want(t, 201, "")
		w.signInBy(t, bob, copied)
		again := w.begin(t, ana, "webauthn", "").want(t, 201, "")
		mine := &passkeytest.Authenticator{NextID: w.credentialID(t, bob)}
		w.finishBy(t, "", again.text("id"), w.create(t, mine, again)).want(t, 409, "already_exists")
		w.do(t, call{method: "DELETE", path: bob.path("")}).want(t, 204, "")
		w.finishBy(t, "", again.text("id"), w.create(t, mine, again)).want(t, 201, "")
	})
}
