package api_test

import (
	"testing"

	"countersign/pkg/mfa"
)

func TestOrganisationsAreListedPageByPageAndErased(t *testing.T) {
	w := newWorld(t)
	for _, org := range []string{"acme", "~YSBi", "globex"} {
		w.wants(org, w.do("PUT", "/v1/orgs/"+org+"/users/u-17", "{}"), 200)
	}
	for _, raw := range []string{"limit=0", "limit=201", "cursor=AAAA", "q=acme"} {
		param := map[string]string{"limit=0": "limit", "limit=201": "limit", "cursor=AAAA": "cursor", "q=acme": "query"}[raw]
		w.refused(raw, w.do("GET", "/v1/orgs", "", queried(raw)), 400, mfa.InvalidRequest, param)
	}
	seen := map[string]bool{}
	for next := "/v1/orgs?limit=2"; ; {
		page := w.wants(next, w.do("GET", next, ""), 200)
		for _, item := range page.at("items").([]any) {
			seen[item.(map[string]any)["id"].(string)] = true
		}
		cursor, more := page.at("cursor").(string)
		if !more {
			break
		}
		next = "/v1/orgs?limit=2&cursor=" + cursor
	}
	if len(seen) != 3 || !seen["acme"] || !seen["a b"] || !seen["globex"] {
		t.Errorf("got %v", seen)
	}
	w.wants("begun", w.do("DELETE", "/v1/orgs/~YSBi", ""), 202)
	if done := w.wants("done", w.do("DELETE", "/v1/orgs/~YSBi", ""), 204); done.text != "" {
		t.Errorf("got %q", done.text)
	}
	w.refused("a query", w.do("DELETE", "/v1/orgs/acme", "", queried("force=yes")), 400, mfa.InvalidRequest, "query")
	w.refused("a body", w.do("DELETE", "/v1/orgs/acme", "{}"), 400, mfa.InvalidRequest, "body")
	if left := w.wants("the list", w.do("GET", "/v1/orgs", ""), 200); len(left.at("items").([]any)) != 2 {
		t.Errorf("got %s", left.text)
	}
}

func TestAdoptionTakesTimesAndDaysAndRefusesAQueryThatItDoesNotKnow(t *testing.T) {
	w := newWorld(t)
	w.wants("a user", w.do("PUT", anasPath, "{}"), 200)
	for raw, param := range map[string]string{"from=2026-11-31": "from", "to=now": "to", "limit=1": "query", "from=": "from"} {
		w.refused(raw, w.do("GET", "/v1/orgs/acme/adoption", "", queried(raw)), 400, mfa.InvalidRequest, param)
	}
	if _, err := w.service.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	for raw, want := range map[string]int{
		"": 1, "from=2026-11-22": 1, "from=2026-11-22T23:00:00Z": 1, "from=2026-11-23": 0,
		"to=2026-11-21": 0, "to=2026-11-22T00:00:00Z": 0, "to=2026-11-22": 1, "to=2026-11-22T00:00:01Z": 1,
	} {
		got := w.wants(raw, w.do("GET", "/v1/orgs/acme/adoption", "", queried(raw)), 200)
		if days := got.at("days").([]any); len(days) != want {
			t.Errorf("%s: got the days %v, want %d of them", raw, days, want)
		}
	}
	if got := w.wants("adoption", w.do("GET", "/v1/orgs/acme/adoption", ""), 200); got.at("now.users") != 1.0 || got.at("now.status.unprotected") != 1.0 {
		t.Errorf("got %s", got.text)
	}
}
