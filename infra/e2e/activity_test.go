package main

import (
	"encoding/json"
	"strings"
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

func TestTheActivityIsExportedAsLinesPageByPage(t *testing.T) {
	klsWorld(t, func(t *testing.T, w *world) {
		w.verify(t, w.asked(t, ana, nil).text("challenge", "id"), doc{"code": w.code(t, ana.email)}).want(t, 200, "")
		w.asked(t, person{"acme", "u-18", "bob@acme.example"}, nil)
		wanted := w.do(t, call{method: "GET", path: "/v1/orgs/acme/activity?type=challenge&user=" + ana.id}).want(t, 200, "").list("items")
		var got []string
		for next, pages := "", 0; ; pages++ {
			page := w.do(t, call{
				method: "GET", path: "/v1/orgs/acme/activity?limit=1&type=challenge&user=" + ana.id + next, header: map[string]string{"Accept": "application/x-ndjson"},
			}).want(t, 200, "")
			lines := strings.SplitAfter(strings.TrimSuffix(string(page.raw), "\n"), "\n")
			var last struct{ Cursor *string }
			if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || pages > len(wanted) {
				t.Fatalf("page %d ends with %s: %v", pages, lines[len(lines)-1], err)
			}
			for _, line := range lines[:len(lines)-1] {
				var event struct{ ID string }
				if err := json.Unmarshal([]byte(line), &event); err != nil {
					t.Fatal(err)
				}
				got = append(got, event.ID)
			}
			if last.Cursor == nil {
				break
			}
			next = "&cursor=" + *last.Cursor
		}
		if len(got) != len(wanted) || len(got) < 3 {
			t.Fatalf("got %d events as lines, want %d", len(got), len(wanted))
		}
		for i, item := range wanted {
			if id := doc(item.(map[string]any)).text("id"); got[i] != id {
				t.Errorf("event %d is %s, want %s", i, got[i], id)
			}
		}
	})
}
