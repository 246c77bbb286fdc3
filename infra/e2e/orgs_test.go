package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// orgs returns the ids of all organisations that the list has.
func (w *world) orgs(t *testing.T) (ids []string) {
	t.Helper()
	for next := "/v1/orgs?limit=1"; ; {
		page := w.do(t, call{method: "GET", path: next}).want(t, 200, "")
		for _, item := range page.list("items") {
			ids = append(ids, doc(item.(map[string]any)).text("id"))
		}
		if page.at("cursor") == nil {
			return ids
		}
		next = "/v1/orgs?limit=1&cursor=" + page.text("cursor")
	}
}

func TestAdoptionIsCountedNowAndOncePerDay(t *testing.T) {
	appWorld(t, func(t *testing.T, w *world) {
		w.enrolApp(t, ana, "")
		w.start(t, person{"acme", "u-18", "bob@acme.example"}, nil).want(t, 200, "")
		sweep := func() { w.do(t, call{method: "POST", path: "/local/sweep"}).want(t, 200, "") }
		w.advance(t, 24*time.Hour) // a local server runs the sweep when it starts, so the day before may have been counted
		sweep()
		w.advance(t, 24*time.Hour)
		w.start(t, person{"acme", "u-19", "cem@acme.example"}, nil).want(t, 200, "")
		sweep()
		w.advance(t, time.Minute)
		w.do(t, call{method: "DELETE", path: ana.path("")}).want(t, 204, "")
		got := w.do(t, call{method: "GET", path: "/v1/orgs/acme/adoption"}).want(t, 200, "")
		if got.number("now", "users") != 2 || got.number("now", "status", "unprotected") != 2 || got.number("now", "kinds", "totp") != 0 {
			t.Errorf("now: got %s", got.raw)
		}
		days := got.list("days")
		if len(days) == 3 && doc(days[0].(map[string]any)).number("users") == 0 {
			days = days[1:]
		}
		if len(days) != 2 {
			t.Fatalf("got %s, want two days", got.raw)
		}
		for i, users := range []int{2, 3} {
			day := doc(days[i].(map[string]any))
			if day.number("users") != users || day.number("status", "protected") != 1 || day.number("status", "unprotected") != users-1 || day.number("kinds", "totp") != 1 {
				t.Errorf("day %d: got %v", i, day)
			}
		}
		locks := person{"acme", "u-20", "dan@acme.example"}
		a, _ := w.enrolApp(t, locks, "")
		for range 2 {
			id := w.asked(t, locks, nil).text("challenge", "id")
			for range 5 {
				w.verify(t, id, doc{"code": wrong(a.code(t, w))}).want(t, 422, "wrong_code")
			}
		}
		w.messages(t, "") // which waits until all is handed on
		for _, locked := range []int{1, 0} {
			now := w.do(t, call{method: "GET", path: "/v1/orgs/acme/adoption"}).want(t, 200, "")
			if now.number("now", "status", "locked") != locked || now.number("now", "status", "protected") != 1-locked || now.number("now", "users") != 3 {
				t.Errorf("want %d locked, got %s", locked, now.raw)
			}
			w.advance(t, 16*time.Minute)
		}
		first, second := doc(days[0].(map[string]any)).text("day")+"T00:00:00Z", doc(days[1].(map[string]any)).text("day")+"T00:00:00Z"
		for query, want := range map[string]int{"from=" + second: 1, "from=" + first + "&to=" + second: 1, "from=" + second + "&to=" + second: 0} {
			if got := w.do(t, call{method: "GET", path: "/v1/orgs/acme/adoption?" + query}).want(t, 200, ""); len(got.list("days")) != want {
				t.Errorf("%s: got %s, want %d days", query, got.raw, want)
			}
		}
		w.do(t, call{method: "GET", path: "/v1/orgs/acme/adoption?from=yesterday"}).want(t, 400, "invalid_request")
	})
}

func TestAnOrganisationIsListedAndErasedWithEverythingInIt(t *testing.T) {
	appWorld(t, func(t *testing.T, w *world) {
		other := person{"other", "u-19", "cem@other.example"}
		a, _ := w.enrolApp(t, ana, "")
		w.verify(t, w.asked(t, ana, nil).text("challenge", "id"), doc{"code": a.next(t, w)}).want(t, 200, "")
		w.start(t, other, nil).want(t, 200, "")
		if got := w.orgs(t); !slices.Contains(got, "acme") || !slices.Contains(got, "other") {
			t.Fatalf("got %v, want both organisations", got)
		}
		open := w.asked(t, ana, nil).text("challenge", "id")
		erase := func(org string) answer { return w.do(t, call{method: "DELETE", path: "/v1/orgs/" + org}) }
		manage := w.do(t, call{method: "POST", path: "/local/keys", body: doc{"scopes": []string{"sign_in", "manage"}}}).text("key")
		w.do(t, call{method: "DELETE", path: "/v1/orgs/acme", bearer: manage}).want(t, 403, "forbidden")
		if begun := erase("acme").want(t, 202, ""); begun.text("org") != "acme" || begun.text("state") != "erasing" {
			t.Errorf("got %s", begun.raw)
		}
		w.do(t, call{method: "POST", path: "/local/sweep"}).want(t, 200, "")
		erase("acme").want(t, 204, "")
		erase("acme").want(t, 204, "")
		erase("never-seen").want(t, 204, "")

		w.do(t, call{method: "GET", path: ana.path("")}).want(t, 404, "not_found")
		w.verify(t, open, doc{"code": a.next(t, w)}).want(t, 404, "challenge_invalid")
		if got := w.do(t, call{method: "GET", path: "/v1/orgs/acme/policy"}).want(t, 200, ""); got.number("version") != 0 {
			t.Errorf("the policy is left: %s", got.raw)
		}
		for path, want := range map[string]int{"/v1/orgs/acme/users": 0, "/v1/orgs/other/users": 1, "/v1/orgs/acme/activity?type=challenge": 0} {
			if got := w.do(t, call{method: "GET", path: path}).want(t, 200, ""); len(got.list("items")) != want {
				t.Errorf("%s: got %s, want %d", path, got.raw, want)
			}
		}
		if got := w.orgs(t); slices.Contains(got, "acme") || !slices.Contains(got, "other") {
			t.Errorf("got %v, want the other organisation", got)
		}
		w.do(t, call{method: "GET", path: other.path("")}).want(t, 200, "")

		// By calls alone, after the organisation was made again.
		w.start(t, ana, nil).want(t, 200, "")
		calls := 1
		for erase("acme").status == 202 {
			if calls++; calls > 10 {
				t.Fatal("the erasure doesn't end")
			}
		}
		if got := w.orgs(t); slices.Contains(got, "acme") {
			t.Errorf("erased again: got %v", got)
		}
	})
}

func TestMessagesAndAppsShowTheNameOfTheOrganisation(t *testing.T) {
	klsWorld(t, func(t *testing.T, w *world) {
		brand := func(tag, name string) answer {
			return w.do(t, call{method: "PUT", path: "/v1/orgs/acme/brand", body: doc{"name": name, "colour": "#1a2b3c"}, header: map[string]string{"If-Match": tag}})
		}
		brand(`"0"`, "Acme Bank").want(t, 200, "")
		brand(`"0"`, "Other").want(t, 412, "version_mismatch")
		if got := w.do(t, call{method: "GET", path: "/v1/orgs/acme/brand"}).want(t, 200, ""); got.text("name") != "Acme Bank" || got.text("colour") != "#1a2b3c" || got.at("logo") != nil || got.header.Get("ETag") != `"1"` {
			t.Errorf("got %s", got.raw)
		}
		w.asked(t, ana, nil)
		sent := w.do(t, call{method: "GET", path: "/local/outbox?to=" + ana.email}).list("messages")
		if len(sent) != 1 || !strings.Contains(doc(sent[0].(map[string]any)).text("text"), "Acme Bank") {
			t.Errorf("got %v, want a message of Acme Bank", sent)
		}
		w.policy(t, "acme", doc{})
		begun := w.begin(t, person{"acme", "u-30", "new@acme.example"}, "totp", "").want(t, 201, "")
		if !strings.Contains(begun.text("totp", "uri"), "Acme%20Bank") {
			t.Errorf("got %s", begun.raw)
		}
	})
}
