package main

import (
	"testing"
	"time"
)

var (
	bob = person{"acme", "u-18", "bob@acme.example"}
	cat = person{"acme", "u-19", "cat@acme.example"}
)

// talkdeskWorld runs a story with an org that has the policy of talkdesk.
func talkdeskWorld(t *testing.T, story func(t *testing.T, w *world)) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, "acme", doc{"profile": "talkdesk"})
		story(t, w)
	})
}

// introspect asks whether a session of a person may go on that began at a moment.
func (w *world) introspect(t *testing.T, p person, issued string) answer {
	t.Helper()
	return w.do(t, call{method: "POST", path: "/v1/introspect", body: doc{"org": p.org, "user": p.id, "issued_at": issued}}).want(t, 200, "")
}

// wantActive fails the test unless a session may go on, or has ended for the reason.
func (w *world) wantActive(t *testing.T, p person, issued, reason string) {
	t.Helper()
	if got := w.introspect(t, p, issued); got.at("active") != (reason == "") || got.text("reason") != reason {
		t.Errorf("a session of %s that began at %s: got %s, want the reason %q", p.id, issued, got.raw, reason)
	}
}

// letIn signs a person in who isn't asked, and returns when the session began.
func (w *world) letIn(t *testing.T, p person, reason string) answer {
	t.Helper()
	a := w.start(t, p, nil).want(t, 200, "")
	if a.text("decision") != "allow" || a.text("reason") != reason || a.text("issued_at") == "" {
		t.Fatalf("%s: got %s, want to be let in because of %s", p.id, a.raw, reason)
	}
	return a
}

// putPolicy puts a policy in the place of the one that is in force. It is acknowledged only if settings say so.
func (w *world) putPolicy(t *testing.T, org string, settings doc) answer {
	t.Helper()
	path := "/v1/orgs/" + org + "/policy"
	now := w.do(t, call{method: "GET", path: path}).want(t, 200, "")
	return w.do(t, call{method: "PUT", path: path, body: settings, header: map[string]string{"If-Match": now.header.Get("ETag")}})
}

// enrolsToSignIn enrols an app at a sign-in that must lead to that, and returns what the finish has answered.
func (w *world) enrolsToSignIn(t *testing.T, p person) (app, answer) {
	t.Helper()
	_, token := w.toEnrol(t, p)
	return w.enrolWith(t, token)
}

// enrolWith enrols an app with an enrolment token.
func (w *world) enrolWith(t *testing.T, token string) (app, answer) {
	t.Helper()
	begun := w.do(t, call{method: "POST", path: "/v1/enrolments", bearer: token, body: doc{"kind": "totp"}}).want(t, 201, "")
	a := app{secret: begun.text("totp", "secret")}
	done := w.finish(t, token, begun.text("id"), a.code(t, w)).want(t, 201, "")
	a.factor = done.text("factor", "id")
	return a, done
}

func TestT2SavingRequiredShowsWhatWillHappenAndNeedsToBeAcknowledged(t *testing.T) {
	talkdeskWorld(t, func(t *testing.T, w *world) {
		issued := w.letIn(t, ana, "not_required").text("issued_at")
		w.letIn(t, bob, "not_required")
		w.enrolApp(t, bob, "")
		required := doc{"profile": "talkdesk", "require": "everyone"}
		preview := w.do(t, call{method: "POST", path: "/v1/orgs/acme/policy/preview", body: required}).want(t, 200, "")
		for name, want := range map[string]int{"users": 2, "without_factor": 1, "signed_out": 1, "must_enrol": 1, "losing_only_kind": 0} {
			if preview.number(name) != want {
				t.Errorf("the preview: got %s, want %s: %d", preview.raw, name, want)
			}
		}
		refused := w.putPolicy(t, "acme", required).want(t, 409, "acknowledgement_required")
		if refused.number("preview", "signed_out") != 1 || refused.number("preview", "users") != 2 {
			t.Errorf("the refusal: got %s, want the preview", refused.raw)
		}
		w.wantActive(t, ana, issued, "")
		w.policy(t, "acme", required)
		w.wantActive(t, ana, issued, "signed_out_by_policy")
		if told := w.events(t, ana.id, "user.signed_out"); len(told) != 1 {
			t.Errorf("got %v, want one event", told)
		}
		if told := w.events(t, bob.id, "user.signed_out"); len(told) != 0 {
			t.Errorf("got %v, want none about who has a factor", told)
		}
	})
}

func TestT3WhoHasNoFactorIsSignedOutAtOnceAndEnrollingRevivesNothing(t *testing.T) {
	talkdeskWorld(t, func(t *testing.T, w *world) {
		first := w.letIn(t, ana, "not_required").text("issued_at")
		stays := w.letIn(t, bob, "not_required").text("issued_at")
		b, _ := w.enrolApp(t, bob, "")
		unseen := w.now(t).Format(time.RFC3339Nano)
		w.policy(t, "acme", doc{"profile": "talkdesk", "require": "everyone"})

		w.wantActive(t, ana, first, "signed_out_by_policy")
		w.wantActive(t, cat, unseen, "signed_out_by_policy")
		w.wantActive(t, bob, stays, "")
		a, done := w.enrolsToSignIn(t, ana)
		second := done.text("issued_at")
		w.wantActive(t, ana, second, "")
		w.wantActive(t, ana, first, "signed_out_by_policy")
		verified := w.verify(t, w.asked(t, bob, nil).text("challenge", "id"), doc{"code": b.next(t, w)}).want(t, 200, "")
		w.wantActive(t, bob, verified.text("issued_at"), "")
		w.wantActive(t, bob, stays, "")
		_, seen := w.enrolsToSignIn(t, cat)
		w.wantActive(t, cat, seen.text("issued_at"), "")
		w.wantActive(t, cat, unseen, "signed_out_by_policy")

		// The client ends sessions, too, and what begins after that goes on.
		w.do(t, call{method: "POST", path: ana.path("/events"), body: doc{"kind": "signed_out"}}).want(t, 200, "")
		w.wantActive(t, ana, second, "signed_out")
		third := w.verify(t, w.asked(t, ana, nil).text("challenge", "id"), doc{"code": a.next(t, w)}).want(t, 200, "").text("issued_at")
		w.wantActive(t, ana, third, "")
		w.do(t, call{method: "POST", path: ana.path("/events"), body: doc{"kind": "deprovisioned"}}).want(t, 200, "")
		w.wantActive(t, ana, third, "deprovisioned")
		for p, want := range map[person]int{ana: 1, bob: 0, cat: 0} {
			if told := w.events(t, p.id, "user.signed_out"); len(told) != want {
				t.Errorf("%s: got %v, want %d events", p.id, told, want)
			}
		}
	})
}

func TestT4WhileItIsRequiredItStaysOnAndNewUsersMustEnrol(t *testing.T) {
	talkdeskWorld(t, func(t *testing.T, w *world) {
		a, _ := w.enrolApp(t, ana, "")
		w.policy(t, "acme", doc{"profile": "talkdesk", "require": "everyone"})
		proof := w.stepUp(t, ana, a, nil)
		w.do(t, call{method: "PATCH", path: ana.path(""), body: doc{"enabled": false}, header: w.fresh(t, proof)}).want(t, 409, "required_by_policy")
		w.do(t, call{method: "DELETE", path: ana.path("/factors/" + a.factor), header: w.fresh(t, proof)}).want(t, 409, "last_factor")
		if got := w.account(t, ana); got.text("status") != "protected" || got.at("required") != true {
			t.Errorf("got %s", got.raw)
		}
		w.enrolsToSignIn(t, bob)
		if got := w.asked(t, bob, nil); got.text("reason") != "required" {
			t.Errorf("got %s", got.raw)
		}
	})
}

func TestT5WhenItIsNoLongerRequiredItStaysOnWhereItWasOn(t *testing.T) {
	talkdeskWorld(t, func(t *testing.T, w *world) {
		w.policy(t, "acme", doc{"profile": "talkdesk", "require": "everyone"})
		a, _ := w.enrolsToSignIn(t, ana)
		w.putPolicy(t, "acme", doc{"profile": "talkdesk"}).want(t, 200, "") // it asks nobody who was not asked before
		if got := w.asked(t, ana, nil); got.text("reason") != "enabled" {
			t.Errorf("got %s, want it to stay on", got.raw)
		}
		if got := w.letIn(t, bob, "not_required"); len(got.list("offer", "kinds")) != 2 {
			t.Errorf("got %s, want both kinds offered to a new user", got.raw)
		}
		proof := w.stepUp(t, ana, a, nil)
		w.do(t, call{method: "PATCH", path: ana.path(""), body: doc{"enabled": false}, header: w.fresh(t, proof)}).want(t, 200, "")
		w.letIn(t, ana, "not_required")
	})
}

// The server is killed as soon as the save has answered, and again while it tells of the users. Each of them is told of once.
func TestT3ASignOutOutlivesSIGKILLAndIsToldOnce(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	p := launch(t, data)
	p.policy(t, "acme", doc{"profile": "talkdesk"})
	people := []person{}
	issued := ""
	for i := range 30 {
		who := person{"acme", "u-" + string(rune('A'+i)), ""}
		issued = p.do(t, call{method: "POST", path: "/v1/challenges", body: doc{"org": "acme", "user": doc{"id": who.id}}}).want(t, 200, "").text("issued_at")
		people = append(people, who)
	}
	p.policy(t, "acme", doc{"profile": "talkdesk", "require": "everyone"})
	p.kill()
	p = launch(t, data)
	p.kill()
	p = launch(t, data)
	p.do(t, call{method: "POST", path: "/local/sweep"}).want(t, 200, "")
	told := map[string]map[string]bool{}
	for _, who := range people {
		p.wantActive(t, who, issued, "signed_out_by_policy")
		told[who.id] = map[string]bool{}
		for _, e := range p.events(t, who.id, "user.signed_out") {
			told[who.id][e.text("id")] = true
		}
		if len(told[who.id]) != 1 {
			t.Errorf("%s: got %v, want one event", who.id, told[who.id])
		}
	}
	p.kill()
}
