package main

import (
	"testing"
	"time"
)

// sent returns how many messages a contact has got, and how many of them have a code.
func (w *world) sent(t *testing.T, to string) (messages, codes int) {
	t.Helper()
	return len(w.messages(t, to)), len(w.codes(t, to))
}

// wantSent fails the test unless a contact has got as many messages, and as many of them with a code.
func (w *world) wantSent(t *testing.T, when, to string, messages, codes int) {
	t.Helper()
	if m, c := w.sent(t, to); m != messages || c != codes {
		t.Errorf("%s: %s got %d messages, %d of them with a code; want %d, %d", when, to, m, c, messages, codes)
	}
}

func TestE10NoCodeGoesToWhatNobodyHasProven(t *testing.T) {
	saltoWorld(t, func(t *testing.T, w *world) {
		w.do(t, call{method: "PUT", path: ana.path(""), body: doc{"email": ana.email, "phone": anasNumber}}).want(t, 200, "")
		w.letIn(t, ana, "not_required")
		w.start(t, ana, doc{"purpose": "step_up"}).want(t, 201, "")
		w.wantSent(t, "known from the client", anasNumber, 0, 0)
		w.wantSent(t, "known from the client", ana.email, 0, 0)
		begun := w.beginNumber(t, ana, anasNumber, "").want(t, 201, "")
		w.finish(t, "", begun.text("id"), wrong(w.code(t, anasNumber))).want(t, 422, "wrong_code")
		w.wantKinds(t)
		w.letIn(t, ana, "not_required")
		w.wantSent(t, "not proven yet", anasNumber, 1, 1)
		w.finish(t, "", begun.text("id"), w.code(t, anasNumber)).want(t, 201, "")
		if sent := w.asked(t, ana, nil).text("challenge", "sent", "kind"); sent != "sms" {
			t.Errorf("once it is proven: got %q sent", sent)
		}
		w.wantSent(t, "at the sign-in", anasNumber, 2, 2)
		w.wantSent(t, "at the sign-in", ana.email, 1, 0) // the notice that a number was enrolled
	})
}

func TestE10AnotherNumberNeedsAStepUpAndTheFormerOneIsTold(t *testing.T) {
	saltoWorld(t, func(t *testing.T, w *world) {
		const other = "+33698765432"
		former := w.enrolNumber(t, ana, anasNumber, "").text("factor", "id")
		w.beginNumber(t, ana, other, "").want(t, 403, "step_up_required")
		w.wantSent(t, "without a step-up", other, 0, 0)
		w.advance(t, time.Minute)
		id := w.asked(t, ana, doc{"purpose": "step_up"}).text("challenge", "id")
		proof := w.verify(t, id, doc{"code": w.code(t, anasNumber)}).want(t, 200, "").text("token")
		begun := w.beginNumber(t, ana, other, proof).want(t, 201, "")
		w.advance(t, time.Minute)
		w.asked(t, ana, nil)
		w.wantSent(t, "while the other is not proven", other, 1, 1)
		before, _ := w.sent(t, anasNumber)
		w.finish(t, "", begun.text("id"), w.code(t, other)).want(t, 201, "")
		if after, _ := w.sent(t, anasNumber); after != before+1 {
			t.Errorf("the former number: got %d messages, want %d: it is told", after, before+1)
		}
		w.do(t, call{method: "DELETE", path: ana.path("/factors/" + former), header: w.fresh(t, "")}).want(t, 403, "step_up_required")
		w.remove(t, former, proof).want(t, 204, "")
		if after, _ := w.sent(t, anasNumber); after != before+2 {
			t.Errorf("the number that was removed: got %d messages, want %d", after, before+2)
		}
		w.advance(t, time.Minute)
		w.asked(t, ana, nil)
		if after, _ := w.sent(t, anasNumber); after != before+2 {
			t.Errorf("at the next sign-in: got %d messages to the number that was removed, want %d", after, before+2)
		}
	})
}

func TestE10TheClientsWordDoesNotMoveAFactorAndTheFormerContactIsTold(t *testing.T) {
	saltoWorld(t, func(t *testing.T, w *world) {
		const moved, phone = "ana@elsewhere.example", "+33698765432"
		w.enrolMail(t, ana, "")
		before, codes := w.sent(t, ana.email)
		w.do(t, call{method: "PUT", path: ana.path(""), body: doc{"email": moved, "phone": phone}}).want(t, 200, "")
		w.wantSent(t, "another address", ana.email, before+1, codes)
		w.wantSent(t, "another address", moved, 1, 0)
		w.advance(t, time.Minute)
		asked := w.do(t, call{method: "POST", path: "/v1/challenges", body: ana.bare(nil)}).want(t, 201, "")
		if asked.text("challenge", "sent", "hint") != "a***@acme.example" {
			t.Errorf("got %s, want the code at the address that was proven", asked.raw)
		}
		w.wantSent(t, "at the next sign-in", ana.email, before+2, codes+1)
		w.wantSent(t, "at the next sign-in", moved, 1, 0)
		w.wantSent(t, "a phone that nobody has proven", phone, 0, 0)
	})
}
