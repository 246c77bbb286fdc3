package main

import (
	"maps"
	"strings"
	"testing"
	"time"
)

// inPortal begins a portal session with a password that was checked now, redeems its link, and returns the token.
func (w *world) inPortal(t *testing.T, org string, whose doc) string {
	t.Helper()
	body := doc{"org": org, "reauthenticated_at": w.now(t).UTC().Format(time.RFC3339)}
	maps.Copy(body, whose)
	link := w.do(t, call{method: "POST", path: "/v1/portal-sessions", body: body}).want(t, 201, "").text("url")
	handle := doc{"handle": link[strings.LastIndexByte(link, '/')+1:]}
	bare := map[string]string{"Authorization": ""}
	redeemed := w.do(t, call{method: "POST", path: "/v1/handles", header: bare, body: handle}).want(t, 200, "")
	w.do(t, call{method: "POST", path: "/v1/handles", header: bare, body: handle}).want(t, 404, "not_found")
	return redeemed.text("token")
}

// administers begins the portal session of a person as an administrator of an org.
func (w *world) administers(t *testing.T, p person, org string) string {
	t.Helper()
	return w.inPortal(t, org, doc{"administrator": doc{"org": p.org, "user": p.id}})
}

// stepsUp answers a step-up that a portal token begins, and returns the header with the proof.
func (w *world) stepsUp(t *testing.T, p person, a app, token string) map[string]string {
	t.Helper()
	body := doc{"org": p.org, "user": doc{"id": p.id}, "purpose": "step_up", "action": "account"}
	began := w.do(t, call{method: "POST", path: "/v1/challenges", bearer: token, body: body}).want(t, 201, "")
	verified := w.do(t, call{method: "POST", path: "/v1/challenges/" + began.text("challenge", "id") + "/verify", bearer: began.text("challenge", "token"), body: doc{"code": a.next(t, w)}})
	return map[string]string{"Countersign-Proof": verified.want(t, 200, "").text("token")}
}

func TestS1AUserTurnsTwoFactorOffAndOnInThePortal(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.do(t, call{method: "PUT", path: ana.path(""), body: doc{"email": ana.email}}).want(t, 200, "")
		token := w.inPortal(t, ana.org, doc{"user": ana.id})
		begun := w.do(t, call{method: "POST", path: "/v1/enrolments", bearer: token, body: doc{"kind": "totp"}}).want(t, 201, "")
		a := app{secret: begun.text("totp", "secret")}
		w.finish(t, token, begun.text("id"), a.code(t, w)).want(t, 201, "")
		turn := func(on bool, header map[string]string) answer {
			return w.do(t, call{method: "PATCH", path: ana.path(""), bearer: token, body: doc{"enabled": on}, header: header})
		}
		turn(false, nil).want(t, 403, "step_up_required")
		proof := w.stepsUp(t, ana, a, token)
		turn(false, proof).want(t, 200, "")
		turn(true, proof).want(t, 200, "")
		w.advance(t, 10*time.Minute)
		turn(true, w.stepsUp(t, ana, a, token)).want(t, 403, "reauthentication_required")
		for _, kind := range []string{"user.enabled", "user.disabled", "factor.enrolled"} {
			for _, e := range w.events(t, ana.id, kind) {
				if e.text("actor", "kind") != "user" || e.text("actor", "id") != ana.id {
					t.Errorf("%s: got %v, want the user to have done it", kind, e["actor"])
				}
			}
		}
		w.do(t, call{method: "DELETE", path: ana.path("/browsers"), bearer: token}).want(t, 204, "")
		w.do(t, call{method: "GET", path: ana.path(""), bearer: token}).want(t, 401, "unauthenticated")
	})
}

func TestT2AnAdministratorSavesAPolicyInThePortalAfterAStepUp(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		olga := person{ana.org, "olga", "olga@acme.example"}
		a, _ := w.enrolApp(t, olga, "")
		w.do(t, call{method: "PUT", path: ana.path(""), body: doc{}}).want(t, 200, "")
		console := w.administers(t, olga, ana.org)
		put := func(more doc, header map[string]string) answer {
			body := doc{"require": "everyone", "effect": "sign_out_now"}
			maps.Copy(body, more)
			headers := map[string]string{"If-Match": `"0"`}
			maps.Copy(headers, header)
			return w.do(t, call{method: "PUT", path: "/v1/orgs/acme/policy", bearer: console, body: body, header: headers})
		}
		put(doc{"acknowledge": true}, nil).want(t, 403, "step_up_required")
		w.do(t, call{method: "POST", path: "/v1/orgs/acme/policy/preview", bearer: console, body: doc{"require": "everyone"}}).want(t, 200, "")
		proof := w.stepsUp(t, olga, a, console)
		put(nil, proof).want(t, 409, "acknowledgement_required")
		put(doc{"acknowledge": true}, proof).want(t, 200, "")
		changed := w.events(t, "", "policy.changed")
		if last := changed[len(changed)-1]; last.text("actor", "kind") != "administrator" || last.text("actor", "id") != "olga" {
			t.Errorf("got %v, want the administrator to have done it", last)
		}
		w.do(t, call{method: "GET", path: ana.path(""), bearer: console}).want(t, 200, "")
		w.do(t, call{method: "GET", path: person{"umbrella", ana.id, ""}.path(""), bearer: console}).want(t, 401, "unauthenticated")
		w.do(t, call{method: "DELETE", path: ana.path("/browsers"), bearer: console, header: proof}).want(t, 403, "forbidden")
	})
}

func TestH7TwoAdministratorsInThePortalResetAUser(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, ana.org, doc{"reset": doc{"second_approver": true}})
		w.enrolApp(t, ana, "")
		olga, paul := person{ana.org, "olga", "olga@acme.example"}, person{"operator", "paul", "paul@operator.example"}
		consoles, proofs := map[person]string{}, map[person]map[string]string{}
		for _, p := range []person{olga, paul} {
			a, _ := w.enrolApp(t, p, "")
			consoles[p] = w.administers(t, p, ana.org)
			proofs[p] = w.stepsUp(t, p, a, consoles[p])
		}
		asked := w.do(t, call{method: "POST", path: ana.path("/reset"), bearer: consoles[olga], header: proofs[olga], body: doc{"reason": "lost the phone"}}).want(t, 202, "")
		id := asked.text("id")
		approve := func(p person) answer {
			return w.do(t, call{method: "POST", path: "/v1/resets/" + id + "/approve", bearer: consoles[p], header: proofs[p], body: doc{}})
		}
		approve(olga).want(t, 403, "forbidden")
		w.decideReset(t, id, "approve", "paul", w.key).want(t, 403, "forbidden")
		w.wantReset(t, ana, id, "pending", 1)
		if a := approve(paul).want(t, 200, ""); a.text("requested_by") != "olga" || a.text("approved_by") != "paul" {
			t.Errorf("got %s, want both named", a.raw)
		}
		w.wantReset(t, ana, id, "done", 0)
		for kind, org := range map[string]string{"user.reset_requested": "", "user.reset_approved": "operator", "user.reset": "operator"} {
			if e := w.events(t, ana.id, kind); len(e) != 1 || e[0].text("data", "actor_org") != org || e[0].text("actor", "kind") != "administrator" {
				t.Errorf("%s: got %v, want it by an administrator of %q", kind, e, org)
			}
		}
	})
}

func TestI4APortalTokenIsGoodForNothingInAnotherOrg(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		there := person{"globex", ana.id, "ana@globex.example"}
		for _, p := range []person{ana, there} {
			w.do(t, call{method: "PUT", path: p.path(""), body: doc{}}).want(t, 200, "")
		}
		own, console := w.inPortal(t, there.org, doc{"user": there.id}), w.administers(t, there, there.org)
		for path, bearer := range map[string]string{ana.path(""): own, ana.path("/activity"): own, "/v1/orgs/acme/policy": console, "/v1/orgs/acme/users": console, "/v1/orgs/acme/activity": console} {
			w.do(t, call{method: "GET", path: path, bearer: bearer}).want(t, 401, "unauthenticated")
		}
		step := doc{"org": "acme", "user": doc{"id": ana.id}, "purpose": "step_up"}
		w.do(t, call{method: "POST", path: "/v1/challenges", bearer: own, body: step}).want(t, 401, "unauthenticated")
		w.do(t, call{method: "POST", path: "/v1/challenges", bearer: console, body: step}).want(t, 401, "unauthenticated")
		w.do(t, call{method: "GET", path: there.path(""), bearer: own}).want(t, 200, "")
		w.do(t, call{method: "GET", path: "/v1/orgs/globex/policy", bearer: console}).want(t, 200, "")
		for _, c := range []call{
			{method: "GET", path: "/v1/orgs"}, {method: "DELETE", path: "/v1/orgs/globex"}, {method: "DELETE", path: there.path("")}, {method: "PUT", path: there.path(""), body: doc{}},
			{method: "POST", path: there.path("/events"), body: doc{"kind": "signed_out"}},
			{method: "POST", path: "/v1/orgs/globex/import", body: `{"id":"u-1"}`, header: map[string]string{"Content-Type": "application/x-ndjson"}},
		} {
			for _, c.bearer = range []string{own, console} {
				w.do(t, c).want(t, 401, "unauthenticated")
			}
		}
	})
}
