package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"countersign/pkg/mfa/mfatest"
)

// filed makes a world with events of several types about two users, all of them filed.
func filed(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.asks()
	w.trusted("Mine")
	w.wants("another user", w.do("PUT", "/v1/orgs/acme/users/u-18", `{"name":"Bob"}`), 200)
	w.service.Bus = &mfatest.Events{}
	if err := w.feed.Deliver(t.Context(), 100, w.service.Publish); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestAnOrgsActivityComesAsLinesWhereTheCallerWantsThem(t *testing.T) {
	w := filed(t)
	path := "/v1/orgs/acme/activity"
	var whole []string
	for next := path + "?limit=2"; ; {
		page := w.wants(next, w.do("GET", next, ""), 200)
		for _, item := range page.at("items").([]any) {
			whole = append(whole, item.(map[string]any)["id"].(string))
		}
		cursor, more := page.at("cursor").(string)
		if !more {
			break
		}
		next = path + "?limit=2&cursor=" + cursor
	}
	var got []string
	for next := path + "?limit=2"; next != ""; {
		page := w.wants(next, w.do("GET", next, "", with("Accept", "application/x-ndjson")), 200)
		if kind := page.header.Get("Content-Type"); kind != "application/x-ndjson" {
			t.Fatalf("got the type %q", kind)
		}
		text, ended := strings.CutSuffix(page.text, "\n")
		lines := strings.Split(text, "\n")
		for i, line := range lines {
			var value map[string]any
			if err := json.Unmarshal([]byte(line), &value); err != nil || !ended {
				t.Fatalf("line %d: %v\n%s", i, err, page.text)
			}
			if i < len(lines)-1 {
				if err := w.check.Value("Event", value); err != nil {
					t.Errorf("line %d is no event: %v", i, err)
				}
				got = append(got, value["id"].(string))
				continue
			}
			cursor, there := value["cursor"]
			if len(value) != 1 || !there {
				t.Errorf("the last line is %s, want the cursor", line)
			}
			if next = ""; cursor != nil {
				next = path + "?limit=2&cursor=" + cursor.(string)
			}
		}
	}
	if len(whole) < 5 || fmt.Sprint(got) != fmt.Sprint(whole) {
		t.Errorf("as lines: got %v, want %v", got, whole)
	}
	if head := w.do("HEAD", path, "", with("Accept", "application/x-ndjson")); head.status != 200 || head.header.Get("Content-Type") != "application/x-ndjson" || head.text != "" {
		t.Errorf("HEAD: got %d %v %q", head.status, head.header, head.text)
	}
	refused := w.do("GET", path+"?limit=0", "", with("Accept", "application/x-ndjson"))
	w.refused("a problem is no line", refused, 400, "invalid_request", "limit")
}

func TestACallerGetsLinesOnlyIfItPrefersThemToJSON(t *testing.T) {
	w := filed(t)
	for accept, lines := range map[string]bool{
		"application/x-ndjson": true, "APPLICATION/X-NDJSON": true, "application/x-ndjson; q=0.5": true, "text/html, application/x-ndjson;q=0.1": true,
		"application/json, application/x-ndjson": true, "application/json;q=0.9, application/x-ndjson;q=1.0": true, "application/x-ndjson, */*;q=0.1": true,
		"": false, "*/*": false, "application/json": false, "application/x-ndjson;q=0": false, "application/x-ndjson;q=x": false,
		"application/json, application/x-ndjson;q=0.9": false, "application/*": false, "application/ndjson": false, ";": false,
	} {
		got := w.wants(accept, w.do("GET", "/v1/orgs/acme/activity", "", with("Accept", accept)), 200)
		if is := got.header.Get("Content-Type") == "application/x-ndjson"; is != lines {
			t.Errorf("%q: got %q, want lines: %v", accept, got.header.Get("Content-Type"), lines)
		}
	}
}

func TestAnOrgsActivityIsNarrowedByTimeTypeAndUserTogether(t *testing.T) {
	w := filed(t)
	all := "from=2026-11-22T10:00:00Z&to=2026-11-22T10:30:00Z&type=challenge&user=u-17"
	for raw, want := range map[string]int{
		all: 3,
		"from=2026-11-22T10:00:00Z&to=2026-11-22T10:30:00Z&type=challenge.sent&user=u-17": 1,
		"from=2026-11-22T10:00:00Z&to=2026-11-22T10:30:00Z&type=challenge&user=u-18":      0,
		"from=2026-11-22T10:00:00Z&to=2026-11-22T10:30:00Z&type=user&user=u-18":           1,
		"from=2026-11-22T10:30:00Z&to=2026-11-22T11:30:00Z&type=challenge&user=u-17":      0,
		"from=2026-11-22T09:00:00Z&to=2026-11-22T10:00:00Z&type=challenge&user=u-17":      0,
	} {
		for _, accept := range []string{"application/json", "application/x-ndjson"} {
			got := w.wants(raw, w.do("GET", "/v1/orgs/acme/activity", "", queried(raw), with("Accept", accept)), 200)
			if n := strings.Count(got.text, `"policy_version"`); n != want {
				t.Errorf("%s as %s: got %d events, want %d\n%s", raw, accept, n, want, got.text)
			}
		}
	}
}
