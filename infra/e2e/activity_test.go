package main

import (
	"testing"
)

func TestTheActivityTellsWhatHappenedOnceAndTheNewestFirst(t *testing.T) {
	klsWorld(t, func(t *testing.T, w *world) {
		id := w.asked(t, ana, nil).text("challenge", "id")
		code := w.code(t, ana.email)
		w.verify(t, id, doc{"code": wrong(code)}).want(t, 422, "wrong_code")
		w.verify(t, id, doc{"code": code, "trust": doc{"name": "Firefox"}}).want(t, 200, "")
		other := person{"acme", "u-18", "bob@acme.example"}
		w.asked(t, other, nil)

		want := []string{"browser.trusted", "challenge.verified", "challenge.failed", "challenge.sent", "challenge.started"}
		mine := w.do(t, call{method: "GET", path: "/v1/orgs/acme/users/" + ana.id + "/activity"}).want(t, 200, "")
		got := map[string]int{}
		last := ""
		for _, item := range mine.list("items") {
			e := doc(item.(map[string]any))
			got[e.text("type")]++
			if e.text("user") != ana.id || last != "" && e.text("time") > last {
				t.Errorf("got %v after %s", e, last)
			}
			last = e.text("time")
		}
		for _, kind := range want {
			if got[kind] != 1 {
				t.Errorf("%s: got %d, want 1", kind, got[kind])
			}
		}
		org := w.do(t, call{method: "GET", path: "/v1/orgs/acme/activity?type=challenge.started"}).want(t, 200, "")
		if len(org.list("items")) != 2 || org.at("cursor") != nil {
			t.Errorf("the org's: got %s", org.raw)
		}
		w.do(t, call{method: "GET", path: "/v1/orgs/acme/activity?cursor=AAAA"}).want(t, 400, "invalid_request")
		w.do(t, call{method: "GET", path: "/v1/orgs/acme/activity?colour=red"}).want(t, 400, "invalid_request")
	})
}
