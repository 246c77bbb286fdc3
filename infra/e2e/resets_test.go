package main

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"
)

// lostPhone is what an administrator says who asks for a reset.
var lostPhone = doc{"actor": "olga", "reason": "lost the phone"}

// waitingReset asks for a reset of a person that has to wait, and returns its id.
func (w *world) waitingReset(t *testing.T, p person) string {
	t.Helper()
	a := w.do(t, call{method: "POST", path: p.path("/reset"), body: lostPhone}).want(t, 202, "")
	if a.text("state") != "pending" || a.text("requested_by") != "olga" || a.text("user") != p.id || a.at("approved_by") != nil {
		t.Fatalf("got %s, want a request that waits", a.raw)
	}
	return a.text("id")
}

// decideReset approves or cancels a request.
func (w *world) decideReset(t *testing.T, id, what, actor, key string) answer {
	t.Helper()
	return w.do(t, call{method: "POST", path: "/v1/resets/" + id + "/" + what, bearer: key, body: doc{"actor": actor}})
}

// wantReset fails the test unless a request is in a state, and the person has as many factors.
func (w *world) wantReset(t *testing.T, p person, id, state string, factors int) {
	t.Helper()
	if a := w.do(t, call{method: "GET", path: "/v1/resets/" + id}).want(t, 200, ""); a.text("state") != state {
		t.Errorf("got %s, want it %s", a.raw, state)
	}
	listed := w.do(t, call{method: "GET", path: "/v1/orgs/" + p.org + "/resets?state=" + state}).want(t, 200, "")
	if items := listed.list("items"); len(items) != 1 || doc(items[0].(map[string]any)).text("id") != id {
		t.Errorf("got %s, want the request listed as %s", listed.raw, state)
	}
	if got := w.account(t, p).list("factors"); len(got) != factors {
		t.Errorf("got %d factors, want %d", len(got), factors)
	}
}

func TestH7AResetWaitsForASecondApproverWithAnotherClientsKey(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, ana.org, doc{"profile": "helpdesk", "reset": doc{"second_approver": true}})
		w.enrolApp(t, ana, "")
		id := w.waitingReset(t, ana)
		w.do(t, call{method: "POST", path: ana.path("/reset"), body: lostPhone}).want(t, 409, "already_exists")
		other := w.twoClients(t)[1]
		w.decideReset(t, id, "approve", "paul", w.key).want(t, 403, "forbidden")
		w.decideReset(t, id, "approve", "olga", other).want(t, 403, "forbidden")
		w.decideReset(t, id, "approve", ana.id, other).want(t, 403, "forbidden")
		w.wantReset(t, ana, id, "pending", 1)
		w.decideReset(t, id, "approve", "paul", other).want(t, 200, "")
		w.wantReset(t, ana, id, "done", 0)
		w.decideReset(t, id, "cancel", "paul", other).want(t, 404, "not_found")
		if a := w.start(t, ana, nil).want(t, 200, ""); a.text("reason") != "not_required" {
			t.Errorf("got %s, want a user without 2FA let in", a.raw)
		}
		for _, kind := range []string{"user.reset_requested", "user.reset_approved", "user.reset"} {
			if got := len(w.events(t, ana.id, kind)); got != 1 {
				t.Errorf("got %d events %s, want 1", got, kind)
			}
		}
	})
}

func TestH7AResetWaitsForItsTimeAndCanBeCancelled(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, ana.org, doc{"reset": doc{"hold_s": 3600}})
		a, _ := w.enrolApp(t, ana, "")
		first := w.waitingReset(t, ana)
		w.decideReset(t, first, "cancel", "olga", "").want(t, 200, "")
		w.wantReset(t, ana, first, "cancelled", 1)
		second := w.waitingReset(t, ana)
		w.advance(t, 50*time.Minute)
		w.verify(t, w.asked(t, ana, nil).text("challenge", "id"), doc{"code": a.next(t, w)}).want(t, 200, "")
		open := w.asked(t, ana, nil).text("challenge", "id")
		w.advance(t, 12*time.Minute)
		w.verify(t, open, doc{"code": a.next(t, w)}).want(t, 404, "challenge_invalid")
		if b := w.start(t, ana, nil).want(t, 200, ""); b.text("reason") != "not_required" {
			t.Errorf("got %s, want the reset carried out", b.raw)
		}
		w.wantReset(t, ana, second, "done", 0)
		told := 0
		for _, m := range w.messages(t, ana.email) {
			if strings.Contains(m.text("subject"), "reset") {
				told++
			}
		}
		if told != 4 { // two requests, one that was cancelled, and the reset
			t.Errorf("got %d messages about resets, want 4", told)
		}
	})
}

func TestI1OfApprovalsAndCancellationsAtOnceOneSideWins(t *testing.T) {
	racing(t, doc{"reset": doc{"second_approver": true}}, func(t *testing.T, w *world, p person) {
		w.enrolApp(t, p, "")
		id := w.waitingReset(t, p)
		other := w.twoClients(t)[1]
		answers := w.atOnce(t, 64, func(i int) call {
			return call{method: "POST", path: "/v1/resets/" + id + "/" + []string{"approve", "cancel"}[i%2], bearer: other, body: doc{"actor": "paul"}}
		})
		onlyOrderly(t, answers)
		if got := len(answers[200]); got != 1 {
			t.Fatalf("%d approvals and cancellations got through, want 1", got)
		}
		factors := map[string]int{"done": 0, "cancelled": 1}
		state := answers[200][0].text("state")
		if got := w.account(t, p).list("factors"); len(got) != factors[state] {
			t.Errorf("it is %s, and the user has %d factors", state, len(got))
		}
	})
}

// asksForReset asks for a reset at a new sign-in of a person, with the token of the challenge.
func (w *world) asksForReset(t *testing.T, p person) answer {
	t.Helper()
	asked := w.asked(t, p, nil)
	return w.do(t, call{method: "POST", path: "/v1/challenges/" + asked.text("challenge", "id") + "/reset-request",
		bearer: asked.text("challenge", "token"), body: doc{"reason": "lost the phone"}})
}

// cancelLink returns the path of the link in the last message to a person, once the message is there.
func (w *world) cancelLink(t *testing.T, to string) string {
	t.Helper()
	all := w.messages(t, to)
	if len(all) == 0 {
		t.Fatal("there is no message")
	}
	_, after, found := strings.Cut(all[len(all)-1].text("text"), "/pages/cancel/")
	if !found {
		t.Fatalf("got %q, want a link", all[len(all)-1].text("text"))
	}
	link, _, _ := strings.Cut(after, "\n")
	return "/pages/cancel/" + link
}

func TestI5AUserWhoAsksForAResetWaitsAndProvesTheKnownAddress(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, ana.org, doc{"reset": doc{"self_service": "hold", "hold_s": 86400}, "enrolment_proof": "none"})
		a, _ := w.enrolApp(t, ana, "")
		asked := w.asksForReset(t, ana).want(t, 202, "")
		id := asked.text("id")
		if asked.text("state") != "pending" || asked.text("due") == "" {
			t.Errorf("got %s, want it to wait", asked.raw)
		}
		w.asksForReset(t, ana).want(t, 409, "already_exists")
		w.messages(t, ana.email) // the notice is handed over, and the time begins
		w.advance(t, 23*time.Hour)
		w.verify(t, w.asked(t, ana, nil).text("challenge", "id"), doc{"code": a.next(t, w)}).want(t, 200, "")
		w.wantReset(t, ana, id, "pending", 1)
		w.advance(t, 2*time.Hour)
		started := w.start(t, ana, nil).want(t, 201, "")
		if started.text("decision") != "enrol" || started.text("reason") != "reset" {
			t.Fatalf("got %s, want it to enrol", started.raw)
		}
		w.begin(t, ana, "totp", "").want(t, 403, "step_up_required")
		token := started.text("enrolment", "token")
		w.provesAddress(t, ana, token)
		begun := w.do(t, call{method: "POST", path: "/v1/enrolments", bearer: token, body: doc{"kind": "totp"}}).want(t, 201, "")
		b := app{secret: begun.text("totp", "secret")}
		w.finish(t, token, begun.text("id"), b.code(t, w)).want(t, 201, "")
		w.wantReset(t, ana, id, "done", 1)
		w.verify(t, w.asked(t, ana, nil).text("challenge", "id"), doc{"code": b.next(t, w)}).want(t, 200, "")
	})
}

func TestI6AndM6ALinkCancelsARequestAndItsPageConsumesNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, ana.org, doc{"reset": doc{"self_service": "hold", "hold_s": 86400}})
		w.enrolApp(t, ana, "")
		id := w.asksForReset(t, ana).want(t, 202, "").text("id")
		link := w.cancelLink(t, ana.email)
		bare := map[string]string{"Authorization": ""}
		for _, method := range []string{"GET", "HEAD", "GET"} {
			page := w.do(t, call{method: method, path: link, header: bare}).want(t, 200, "")
			if policy := page.header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || page.header.Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("got the headers %v, want that the page loads and tells nothing", page.header)
			}
			if method == "GET" && !strings.Contains(string(page.raw), `<form method="post">`) {
				t.Errorf("got %s, want a form", page.raw)
			}
		}
		french := strings.Replace(link, "/en/", "/fr/", 1)
		if page := w.do(t, call{method: "GET", path: french, header: bare}).want(t, 200, ""); !strings.Contains(string(page.raw), "Annuler la demande") {
			t.Errorf("got %s, want it in French", page.raw)
		}
		w.wantReset(t, ana, id, "pending", 1)
		press := func(path string) answer {
			browser := map[string]string{"Authorization": "", "Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
			return w.do(t, call{method: "POST", path: path, header: browser, body: "do=cancel&word=" + rand.Text()})
		}
		press(link[:len(link)-4]+"AAAA").want(t, 404, "")
		press(french).want(t, 200, "")
		press(link).want(t, 404, "")
		w.wantReset(t, ana, id, "cancelled", 1)
		w.asksForReset(t, ana).want(t, 429, "too_many_requests")
		w.advance(t, 24*time.Hour+time.Second)

		second := w.asksForReset(t, ana).want(t, 202, "").text("id")
		handle := w.cancelLink(t, ana.email)
		handle = handle[strings.LastIndexByte(handle, '/')+1:]
		redeemed := w.do(t, call{method: "POST", path: "/v1/handles", header: bare, body: doc{"handle": handle}}).want(t, 200, "")
		w.do(t, call{method: "POST", path: "/v1/handles", header: bare, body: doc{"handle": handle}}).want(t, 404, "not_found")
		token := redeemed.text("token")
		w.do(t, call{method: "POST", path: "/v1/resets/" + id + "/cancel", bearer: token, body: doc{}}).want(t, 404, "not_found")
		w.do(t, call{method: "POST", path: "/v1/resets/" + second + "/approve", bearer: token, body: doc{"actor": "olga"}}).want(t, 401, "unauthenticated")
		w.do(t, call{method: "POST", path: "/v1/resets/" + second + "/cancel", bearer: token, body: doc{}}).want(t, 200, "")
		if got := len(w.events(t, ana.id, "user.reset_cancelled")); got != 2 {
			t.Errorf("got %d events that a request was cancelled, want 2", got)
		}
	})
}

func TestI5AnAdministratorDecidesAboutAUsersRequest(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, ana.org, doc{"reset": doc{"self_service": "approve"}})
		w.enrolApp(t, ana, "")
		id := w.asksForReset(t, ana).want(t, 202, "").text("id")
		w.decideReset(t, id, "approve", ana.id, "").want(t, 403, "forbidden")
		w.decideReset(t, id, "approve", "olga", "").want(t, 200, "")
		w.wantReset(t, ana, id, "done", 0)
		if a := w.start(t, ana, nil).want(t, 201, ""); a.text("decision") != "enrol" || a.text("reason") != "reset" {
			t.Errorf("got %s, want it to enrol", a.raw)
		}
	})
}
