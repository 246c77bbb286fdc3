package main

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestTheTableSaysWhatHeldWhatFailedAndWhatWasNotTried(t *testing.T) {
	lines := strings.Join([]string{
		`{"Action":"run","Test":"TestK1Good/bolt"}`,
		`{"Action":"pass","Test":"TestK1Good/bolt/a case"}`,
		`{"Action":"pass","Test":"TestK1Good/bolt"}`,
		`{"Action":"pass","Test":"TestK1Good"}`,
		`{"Action":"pass","Test":"TestK2AndTB6Bad/bolt"}`,
		`{"Action":"fail","Test":"TestK2AndTB6Bad/dynamo"}`,
		`{"Action":"pass","Test":"TestK1Good/dynamo"}`,
		`{"Action":"output","Test":"TestK3Skipped/dynamo","Output":"    target_test.go:80: It needs a clock that can be moved.\n"}`,
		`{"Action":"skip","Test":"TestK3Skipped/dynamo"}`,
		`{"Action":"pass","Test":"TestK3Skipped/bolt"}`,
		`{"Action":"pass","Test":"TestK3Other/dynamo"}`,
		`{"Action":"output","Output":"FAIL\n"}`,
		`{"Action":"fail"}`,
	}, "\n")
	found, err := read(strings.NewReader(lines))
	if err != nil {
		t.Fatal(err)
	}
	rules := []rule{{"K1", "one"}, {"K2", "two"}, {"K3", "three"}, {"K4", "four"}}
	var out strings.Builder
	if report(&out, rules, []string{"bolt", "dynamo"}, found) {
		t.Error("all rules held, want them not to")
	}
	const want = `| rule | what it says | bolt      | dynamo    |
|------|--------------|-----------|-----------|
| K1   | one          | holds     | holds     |
| K2   | two          | holds     | broken    |
| K3   | three        | holds     | not tried |
| K4   | four         | not tried | not tried |

- K2 doesn't hold in dynamo: TestK2AndTB6Bad/dynamo failed.
- K3 was not tried in dynamo. It needs a clock that can be moved.
- K4 was not tried in bolt. There is no story about it.
- K4 was not tried in dynamo. There is no story about it.
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}
	if out.Reset(); !report(&out, rules[:1], []string{"bolt", "dynamo"}, found) {
		t.Error("a rule that held everywhere is not said to hold")
	}
}

func TestOnlyTheStoriesOfTheRulesAreSelected(t *testing.T) {
	selects := regexp.MustCompile(pattern([]rule{{id: "K1"}, {id: "TB6"}, {id: "C2"}})).MatchString
	for story, want := range map[string]bool{
		"TestK1AfterThePassword": true, "TestK1ACode": true, "TestC2AndK1Both": true, "TestK6AndTB6Other": true, "TestK6AndK1And": true,
		"TestK10Other": false, "TestB1Other": false, "TestTB1Other": false, "TestKey": false, "TestK6Other": false,
	} {
		if selects(story) != want {
			t.Errorf("%s: selected %t, want %t", story, !want, want)
		}
	}
}

func TestEachProductHasItsRules(t *testing.T) {
	total := 0
	for profile, want := range map[string]int{"kls": 8, "salto": 9, "talkdesk": 5, "karbon": 6, "helpdesk": 7, "nist": 5} {
		rules, err := readRules("../../.github/docs/rules.md", profile)
		if err != nil || len(rules) != want {
			t.Errorf("%s: got %d rules, %v, want %d", profile, len(rules), err, want)
		}
		total += want
	}
	if all, err := readRules("../../.github/docs/rules.md", ""); err != nil || len(all) != total {
		t.Errorf("got %d rules in all, %v, want %d", len(all), err, total)
	}
	if _, err := readRules("../../.github/docs/rules.md", "another"); err == nil {
		t.Error("got the rules of a product that doesn't exist")
	}
}

// hidden returns a server that gives a world without its calls under /local/, as a deployment would be.
func hidden(t *testing.T, w *world) *httptest.Server {
	t.Helper()
	at, err := url.Parse(w.base)
	if err != nil {
		t.Fatal(err)
	}
	to := httputil.NewSingleHostReverseProxy(at)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/local/") {
			http.NotFound(rw, r)
			return
		}
		to.ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	return server
}

func TestStoriesOnATargetDontMeet(t *testing.T) {
	w := open(t, "", nil)
	at := &target{url: w.base, key: w.key, client: "local", local: true}
	first, second := at.world(t), at.world(t)
	first.policy(t, "acme", doc{"profile": "kls"})
	if got := first.do(t, call{method: "GET", path: "/v1/orgs/acme/policy"}).want(t, 200, ""); got.number("version") != 1 || got.text("org") != "acme" {
		t.Errorf("its own policy: got %s", got.raw)
	}
	if got := second.do(t, call{method: "GET", path: "/v1/orgs/acme/policy"}).want(t, 200, ""); got.number("version") != 0 {
		t.Errorf("another story's policy: got %s", got.raw)
	}
	first.asked(t, ana, nil)
	if code := first.code(t, ana.email); len(code) != 6 {
		t.Errorf("got the code %q", code)
	}
	if seen, others := len(first.events(t, ana.id, "user.created")), len(second.events(t, ana.id, "user.created")); seen != 1 || others != 0 {
		t.Errorf("got %d events of its own and %d of another story, want 1 and 0", seen, others)
	}
}

func TestAStoryKnowsWhatADeploymentLacks(t *testing.T) {
	w := open(t, "", nil)
	story := (&target{url: hidden(t, w).URL, key: w.key, client: "local"}).world(t)
	story.policy(t, "acme", doc{"profile": "kls"})
	story.asked(t, ana, nil)
	if d := story.now(t).Sub(w.now(t)); d.Abs() > time.Minute {
		t.Errorf("the time is %s away from the server's", d)
	}
	near := (&target{url: w.base, key: w.key, client: "local", local: true}).world(t)
	for path, want := range map[string]string{
		"/local/outbox?to=a": "the messages that were sent", "/local/clock": "a clock that can be moved", "/v1/challenges": "", "/health": "",
	} {
		if far, near, own := story.on.lacks(path), near.on.lacks(path), w.on.lacks(path); far != want || near != "" || own != "" {
			t.Errorf("%s: a deployment lacks %q, the local server %q and a world %q, want %q", path, far, near, own, want)
		}
	}
}
