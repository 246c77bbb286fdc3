package main

import (
	"testing"
	"time"
)

func helpdeskWorld(t *testing.T, settings doc, story func(t *testing.T, w *world)) {
	everywhere(t, func(t *testing.T, w *world) {
		body := doc{"profile": "helpdesk"}
		for name, value := range settings {
			body[name] = value
		}
		w.policy(t, "acme", body)
		story(t, w)
	})
}

// until returns the moment that lies so far ahead, by the clock of the server.
func (w *world) until(t *testing.T, d time.Duration) string {
	t.Helper()
	return w.now(t).Add(d).UTC().Format(time.RFC3339)
}

func TestH1AppAndEmailHaveSwitchesOfTheirOwnAndNeitherMakesItMandatory(t *testing.T) {
	helpdeskWorld(t, nil, func(t *testing.T, w *world) {
		for _, c := range []struct {
			totp, email string
			offered     []any
		}{
			{"allowed", "enrolled", []any{"totp", "email"}}, {"allowed", "forbidden", []any{"totp"}}, {"forbidden", "enrolled", []any{"email"}}, {"forbidden", "forbidden", nil},
		} {
			w.policy(t, "acme", doc{"profile": "helpdesk", "methods": doc{"totp": c.totp, "email": c.email}})
			got := w.letIn(t, ana, "not_required").list("offer", "kinds")
			if len(got) != len(c.offered) {
				t.Errorf("app %s, email %s: got %v offered, want %v", c.totp, c.email, got, c.offered)
				continue
			}
			for i := range got {
				if got[i] != c.offered[i] {
					t.Errorf("app %s, email %s: got %v offered, want %v", c.totp, c.email, got, c.offered)
				}
			}
		}
	})
}

func TestH2EmailIsOfferedAtSignInAndUsersEnrolAppsThemselves(t *testing.T) {
	helpdeskWorld(t, nil, func(t *testing.T, w *world) {
		w.letIn(t, ana, "not_required")
		w.enrolMail(t, ana, "")
		asked := w.asked(t, ana, nil)
		if asked.text("reason") != "enabled" || asked.text("challenge", "sent", "kind") != "email" {
			t.Errorf("got %s, want a code by email", asked.raw)
		}
		w.verify(t, asked.text("challenge", "id"), doc{"code": w.code(t, ana.email)}).want(t, 200, "")
		w.letIn(t, bob, "not_required")
		a, _ := w.enrolApp(t, bob, "")
		w.verify(t, w.asked(t, bob, nil).text("challenge", "id"), doc{"code": a.next(t, w)}).want(t, 200, "")
	})
}

func TestH3RequiredTakesEffectAtEachUsersNextSignIn(t *testing.T) {
	helpdeskWorld(t, nil, func(t *testing.T, w *world) {
		issued := w.letIn(t, ana, "not_required").text("issued_at")
		preview := w.do(t, call{method: "POST", path: "/v1/orgs/acme/policy/preview", body: doc{"profile": "helpdesk", "require": "everyone"}}).want(t, 200, "")
		if preview.number("signed_out") != 0 || preview.number("must_enrol") != 1 {
			t.Errorf("got %s, want nobody signed out", preview.raw)
		}
		w.policy(t, "acme", doc{"profile": "helpdesk", "require": "everyone"})
		w.wantActive(t, ana, issued, "")
		w.toEnrol(t, ana)
	})
}

func TestH4AUserIsEnforcedWhateverTheOrgsSwitchSays(t *testing.T) {
	helpdeskWorld(t, nil, func(t *testing.T, w *world) {
		issued := w.letIn(t, ana, "not_required").text("issued_at")
		w.letIn(t, bob, "not_required")
		change := func(body doc) answer {
			t.Helper()
			return w.do(t, call{method: "PATCH", path: ana.path(""), body: body})
		}
		if got := change(doc{"enforced": true}).want(t, 200, ""); got.at("enforced") != true || got.at("required") != true || got.text("status") != "unprotected" {
			t.Errorf("got %s", got.raw)
		}
		change(doc{"enforced": true, "enabled": true}).want(t, 400, "invalid_request")
		w.wantActive(t, ana, issued, "") // the policy's effect is the next sign-in
		w.letIn(t, bob, "not_required")
		_, token := w.toEnrol(t, ana)
		w.provesAddress(t, ana, token)
		a, _ := w.enrolWith(t, token)
		proof := w.stepUp(t, ana, a, nil)
		w.do(t, call{method: "PATCH", path: ana.path(""), body: doc{"enabled": false}, header: w.fresh(t, proof)}).want(t, 409, "required_by_policy")
		change(doc{"enforced": false}).want(t, 200, "")
		w.do(t, call{method: "PATCH", path: ana.path(""), body: doc{"enabled": false}, header: w.fresh(t, proof)}).want(t, 200, "")
		w.letIn(t, ana, "not_required")
		if told := w.events(t, ana.id, "user.enforced"); len(told) != 2 || told[0].at("data", "enforced") != true || told[1].at("data", "enforced") != false {
			t.Errorf("got %v, want both changes told", told)
		}
		only := w.do(t, call{method: "POST", path: "/local/keys", body: doc{"scopes": []string{"sign_in", "manage"}}}).text("key")
		w.do(t, call{method: "PATCH", path: ana.path(""), bearer: only, body: doc{"enforced": true}}).want(t, 403, "forbidden")
	})
}

func TestH5GraceEndsAtItsDateCountsAtOnceAndIsNeverRestarted(t *testing.T) {
	helpdeskWorld(t, nil, func(t *testing.T, w *world) {
		due := w.until(t, 48*time.Hour)
		graceful := doc{"profile": "helpdesk", "require": "everyone", "grace_until": due}
		w.policy(t, "acme", graceful)
		for range 2 {
			got := w.letIn(t, ana, "grace")
			if !got.time(t, "enrolment", "due").Equal(w.account(t, ana).time(t, "grace_until")) || got.at("enrolment", "skips_left") != nil || got.text("enrolment", "token") == "" {
				t.Errorf("got %s, want what it takes to enrol, until the date", got.raw)
			}
		}
		if got := w.account(t, ana); got.text("status") != "grace" {
			t.Errorf("got %s", got.raw)
		}
		if up := w.start(t, ana, doc{"purpose": "step_up"}).want(t, 201, ""); up.text("decision") != "enrol" || up.text("reason") != "step_up" {
			t.Errorf("a step-up: got %s, want no grace", up.raw)
		}
		// An administrator shortens it for one user, and then for everyone.
		w.do(t, call{method: "PATCH", path: bob.path(""), body: doc{"grace_until": nil}}).want(t, 404, "not_found")
		w.letIn(t, bob, "grace")
		w.do(t, call{method: "PATCH", path: bob.path(""), body: doc{"grace_until": w.until(t, -time.Hour)}}).want(t, 200, "")
		w.toEnrol(t, bob)
		w.letIn(t, ana, "grace")
		if told := w.events(t, bob.id, "user.grace_changed"); len(told) != 1 {
			t.Errorf("got %v, want the change told", told)
		}
		w.advance(t, 25*time.Hour)
		sooner := doc{"profile": "helpdesk", "require": "everyone", "grace_until": w.until(t, -time.Minute)}
		w.policy(t, "acme", sooner)
		w.toEnrol(t, ana)
		// It is not restarted by the same policy, by another device, or by an account that is made again.
		w.policy(t, "acme", sooner)
		w.do(t, call{method: "POST", path: "/v1/challenges", body: ana.signIn(doc{"context": doc{"ip": "198.51.100.7", "user_agent": "Another/1.0"}})}).want(t, 201, "")
		w.do(t, call{method: "DELETE", path: ana.path("")}).want(t, 204, "")
		w.toEnrol(t, ana)
		w.toEnrol(t, cat)
	})
}

func TestB12GraceIsNotUsedAfterItsEndWhateverTheCallerSaysOfTheTime(t *testing.T) {
	helpdeskWorld(t, nil, func(t *testing.T, w *world) {
		w.policy(t, "acme", doc{"profile": "helpdesk", "require": "everyone", "grace_until": w.until(t, time.Hour)})
		w.letIn(t, ana, "grace")
		past := w.now(t).Add(-30 * time.Minute).UTC()
		w.advance(t, time.Hour)
		a := w.do(t, call{
			method: "POST", path: "/v1/challenges",
			body:   ana.signIn(doc{"first_factor": doc{"kind": "password", "at": past.Format(time.RFC3339)}}),
			header: map[string]string{"Date": past.Format(time.RFC1123), "Countersign-Reauthenticated-At": past.Format(time.RFC3339)},
		}).want(t, 201, "")
		if a.text("decision") != "enrol" || a.text("reason") != "required" {
			t.Errorf("got %s, want to enrol", a.raw)
		}
		w.do(t, call{method: "POST", path: "/v1/challenges", body: ana.signIn(doc{"grace_until": w.until(t, time.Hour)})}).want(t, 400, "invalid_request")
		if got := w.do(t, call{method: "POST", path: "/v1/decisions", body: ana.signIn(nil)}).want(t, 200, ""); got.text("decision") != "enrol" {
			t.Errorf("got %s, want to enrol", got.raw)
		}
	})
}

func TestH5SixtyFourSignInsAtOnceSpendNoMoreSkipsThanThereAre(t *testing.T) {
	helpdeskWorld(t, nil, func(t *testing.T, w *world) {
		w.policy(t, "acme", doc{"profile": "helpdesk", "require": "everyone", "grace_until": w.until(t, time.Hour), "max_skips": 3})
		w.do(t, call{method: "PUT", path: ana.path(""), body: doc{"email": ana.email}}).want(t, 200, "")
		in := 0
		for status, answers := range w.atOnce(t, 64, func(int) call {
			return call{method: "POST", path: "/v1/challenges", body: ana.signIn(nil)}
		}) {
			if status != 200 && status != 201 && status != 409 {
				t.Errorf("got %d %s", status, answers[0].raw)
			}
			for _, a := range answers {
				if a.text("decision") == "allow" {
					in++
				}
			}
		}
		for in < 3 && w.start(t, ana, nil).text("decision") == "allow" { // some may have been refused as busy
			in++
		}
		if in != 3 {
			t.Errorf("got %d let in, want 3", in)
		}
		w.toEnrol(t, ana)
		w.do(t, call{method: "DELETE", path: ana.path("")}).want(t, 204, "")
		if got := w.letIn(t, ana, "grace"); got.number("enrolment", "skips_left") != 2 {
			t.Errorf("got %s, want an erasure to forget skips", got.raw)
		}
	})
}
