package main

import (
	"strings"
	"testing"
	"time"
)

// lockOut gives ten wrong codes, at most four to each challenge, and returns the id of the last challenge.
func (w *world) lockOut(t *testing.T, p person) (id string) {
	t.Helper()
	for given := 0; given < 10; {
		id = w.asked(t, p, nil).text("challenge", "id")
		code := w.code(t, p.email)
		for range 4 {
			if given == 10 {
				break
			}
			w.verify(t, id, doc{"code": wrong(code)}).want(t, 422, "wrong_code")
			given++
		}
	}
	return id
}

func TestG1TenWrongCodesOverSeveralChallengesLockTheUser(t *testing.T) {
	klsWorld(t, func(t *testing.T, w *world) {
		id := w.lockOut(t, ana)
		code := w.code(t, ana.email)
		locked := w.verify(t, id, doc{"code": code}).want(t, 429, "locked")
		if wait := locked.number("retry_after_s"); wait < 15*60-20 || wait > 15*60 {
			t.Errorf("wait: got %d s, want 15 minutes", wait)
		}
		w.start(t, ana, nil).want(t, 429, "locked")
		user := w.do(t, call{method: "GET", path: "/v1/orgs/acme/users/" + ana.id}).want(t, 200, "")
		if user.text("status") != "locked" || user.at("locked_until") == nil {
			t.Errorf("user: got %s", user.raw)
		}
		told := false
		for _, m := range w.messages(t, ana.email) {
			told = told || m.text("code") == "" && strings.Contains(m.text("text"), "UTC")
		}
		if !told {
			t.Error("the user was not told of the lock")
		}
		other := person{"acme", "u-18", "bob@acme.example"}
		w.verify(t, w.asked(t, other, nil).text("challenge", "id"), doc{"code": w.code(t, other.email)}).want(t, 200, "")

		w.advance(t, 15*time.Minute+time.Second)
		w.verify(t, w.asked(t, ana, nil).text("challenge", "id"), doc{"code": w.code(t, ana.email)}).want(t, 200, "")
	})
}

func TestM2EmailsToAUserAreBounded(t *testing.T) {
	klsWorld(t, func(t *testing.T, w *world) {
		for i := range 12 {
			a := w.asked(t, ana, doc{"first_factor": doc{"kind": "password"}})
			if sent := a.at("challenge", "sent") != nil; sent != (i < 10) {
				t.Fatalf("start %d: sent is %v", i, sent)
			}
			if i >= 10 && (a.text("challenge", "send_error") != "too_many_sends" || a.number("challenge", "retry_after_s") < 1) {
				t.Fatalf("start %d: got %s", i, a.raw)
			}
		}
		if got := len(w.messages(t, ana.email)); got != 10 {
			t.Errorf("messages: got %d, want 10", got)
		}
		w.advance(t, time.Hour)
		if a := w.asked(t, ana, nil); a.at("challenge", "sent") == nil {
			t.Errorf("an hour later: got %s", a.raw)
		}
	})
}

func TestG13WithTheStoreOutOfReachNobodyGetsInAndTheNextTryWorks(t *testing.T) {
	klsWorld(t, func(t *testing.T, w *world) {
		id := w.asked(t, ana, nil).text("challenge", "id")
		code := w.code(t, ana.email)
		w.fault(t, "store", "fail", 1000)
		w.verify(t, id, doc{"code": code}).want(t, 503, "unavailable")
		w.start(t, ana, nil).want(t, 503, "unavailable")
		w.start(t, ana, doc{"first_factor": doc{"kind": "sso"}}).want(t, 503, "unavailable")
		w.fault(t, "store", "fail", 0)
		w.fault(t, "keys", "fail", 1000)
		w.verify(t, id, doc{"code": code}).want(t, 503, "unavailable")
		w.fault(t, "keys", "fail", 0)
		w.fault(t, "store", "lost_reply", 1)
		w.verify(t, id, doc{"code": code}).want(t, 200, "")
	})
}

func TestARefusedMailIsToldAndTheNextTryWorks(t *testing.T) {
	klsWorld(t, func(t *testing.T, w *world) {
		w.fault(t, "email", "fail", 1)
		a := w.asked(t, ana, nil)
		if a.at("challenge", "sent") != nil || a.text("challenge", "send_error") != "delivery_failed" {
			t.Fatalf("got %s", a.raw)
		}
		send := call{method: "POST", path: "/v1/challenges/" + a.text("challenge", "id") + "/send", body: doc{}}
		w.fault(t, "email", "fail", 1)
		w.do(t, send).want(t, 502, "delivery_failed")
		if sent := w.do(t, send).want(t, 200, ""); sent.text("sent", "sequence") != "C" {
			t.Errorf("third code: got %s", sent.raw)
		}
		w.verify(t, a.text("challenge", "id"), doc{"code": w.code(t, ana.email)}).want(t, 200, "")
		if failed := w.events(t, ana.id, "delivery.failed"); len(failed) != 2 {
			t.Errorf("delivery.failed: got %d, want 2", len(failed))
		}
	})
}

func TestAMailOutageCostsTheUserNoCode(t *testing.T) {
	klsWorld(t, func(t *testing.T, w *world) {
		w.fault(t, "email", "fail", 11)
		for range 11 {
			if a := w.asked(t, ana, nil); a.text("challenge", "send_error") != "delivery_failed" {
				t.Fatalf("got %s", a.raw)
			}
		}
		a := w.asked(t, ana, nil)
		w.verify(t, a.text("challenge", "id"), doc{"code": w.code(t, ana.email)}).want(t, 200, "")
	})
}

func TestAnIdempotentCallDoesItsWorkOnce(t *testing.T) {
	klsWorld(t, func(t *testing.T, w *world) {
		start := call{method: "POST", path: "/v1/challenges", body: ana.signIn(nil), header: map[string]string{"Idempotency-Key": "k-1"}}
		first := w.do(t, start).want(t, 201, "")
		if again := w.do(t, start).want(t, 201, ""); string(again.raw) != string(first.raw) {
			t.Errorf("got %s, want %s", again.raw, first.raw)
		}
		if got := len(w.messages(t, ana.email)); got != 1 {
			t.Errorf("messages: got %d, want 1", got)
		}
		other := start
		other.body = ana.signIn(doc{"nonce": "x"})
		w.do(t, other).want(t, 422, "idempotency_mismatch")
		verify := call{method: "POST", path: "/v1/challenges/" + first.text("challenge", "id") + "/verify",
			body:   doc{"code": w.code(t, ana.email), "trust": doc{"name": "Firefox"}},
			header: map[string]string{"Idempotency-Key": "k-2"}}
		answers := w.atOnce(t, 8, func(int) call { return verify })
		for _, a := range answers[200] {
			if string(a.raw) != string(answers[200][0].raw) {
				t.Error("two answers to one key")
			}
		}
		if len(answers[200])+len(answers[409]) != 8 {
			t.Errorf("answers: got %v", answers)
		}
		w.advance(t, 10*time.Minute)
		later := w.do(t, verify).want(t, 200, "")
		if later.at("trust_token") != nil || later.text("token") != answers[200][0].text("token") {
			t.Errorf("after ten minutes: got %s", later.raw)
		}
	})
}

func TestB1AChallengeTokenIsGoodForItsChallengeOnly(t *testing.T) {
	klsWorld(t, func(t *testing.T, w *world) {
		a, other := w.asked(t, ana, nil), w.asked(t, person{"acme", "u-18", "bob@acme.example"}, nil)
		token, id := a.text("challenge", "token"), a.text("challenge", "id")
		for _, c := range []call{
			{method: "POST", path: "/v1/challenges", body: ana.signIn(nil)},
			{method: "POST", path: "/v1/decisions", body: ana.signIn(nil)},
			{method: "GET", path: "/v1/enrolments"},
			{method: "GET", path: "/v1/orgs/acme/users/" + ana.id},
			{method: "DELETE", path: "/v1/orgs/acme/users/" + ana.id},
			{method: "GET", path: "/v1/orgs/acme/policy"},
		} {
			c.bearer = token
			w.do(t, c).want(t, 401, "unauthenticated")
		}
		if own := w.do(t, call{method: "GET", path: "/v1/challenges/" + id, bearer: token}).want(t, 200, ""); own.text("challenge", "id") != id || own.at("outcome") != nil {
			t.Errorf("its own challenge: got %s", own.raw)
		}
		mine := call{method: "POST", path: "/v1/challenges/" + id + "/verify", bearer: token, body: doc{"code": "000000"}}
		theirs := mine
		theirs.path = "/v1/challenges/" + other.text("challenge", "id") + "/verify"
		missing := mine
		missing.path = "/v1/challenges/ch_missing/verify"
		foreign, gone := w.do(t, theirs).want(t, 404, "challenge_invalid"), w.do(t, missing).want(t, 404, "challenge_invalid")
		delete(foreign.doc, "request_id")
		delete(gone.doc, "request_id")
		for name := range foreign.doc {
			if foreign.doc[name] != gone.doc[name] {
				t.Errorf("%s tells a foreign challenge from a missing one: %v, %v", name, foreign.doc[name], gone.doc[name])
			}
		}
		mine.body = doc{"code": w.code(t, ana.email)}
		w.do(t, mine).want(t, 200, "")
		w.do(t, mine).want(t, 404, "challenge_invalid")
	})
}

func TestErasedUsersLeaveNothingToThoseMadeAgain(t *testing.T) {
	klsWorld(t, func(t *testing.T, w *world) {
		token := w.trusted(t, ana)
		open := w.asked(t, ana, nil)
		code := w.code(t, ana.email)
		user := "/v1/orgs/acme/users/" + ana.id
		w.do(t, call{method: "DELETE", path: user}).want(t, 204, "")
		w.do(t, call{method: "GET", path: user}).want(t, 404, "not_found")
		w.verify(t, open.text("challenge", "id"), doc{"code": code}).want(t, 404, "challenge_invalid")
		w.do(t, call{method: "PUT", path: user, body: doc{"email": ana.email}}).want(t, 200, "")
		if reason := w.asked(t, ana, doc{"trust_token": token}).text("reason"); reason != "new_browser" {
			t.Errorf("old trust: got %s", reason)
		}
		w.verify(t, open.text("challenge", "id"), doc{"code": code}).want(t, 404, "challenge_invalid")
	})
}

func TestNewlyForcingUsersNeedsAnAcknowledgement(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.start(t, ana, nil).want(t, 200, "")
		put := call{method: "PUT", path: "/v1/orgs/acme/policy", body: doc{"profile": "kls"}, header: map[string]string{"If-Match": `"0"`}}
		a := w.do(t, put).want(t, 409, "acknowledgement_required")
		if a.number("preview", "users") != 1 {
			t.Errorf("preview: got %s", a.raw)
		}
		put.body = doc{"profile": "kls", "acknowledge": true}
		w.do(t, put).want(t, 200, "")
		w.do(t, put).want(t, 412, "version_mismatch")
		put.header = nil
		w.do(t, put).want(t, 428, "precondition_required")
		w.asked(t, ana, nil)
	})
}
