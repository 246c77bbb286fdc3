package api_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"countersign/pkg/api"
)

func TestHEADAnswersAsGETDoesWithoutABody(t *testing.T) {
	w := newWorld(t)
	w.asks()
	w.wants("a user", w.do("PUT", anasPath, `{}`), 200)
	challenge := w.start().word("challenge.id")
	w.wants("another policy", w.do("PUT", "/v1/orgs/globex/policy", `{"require":"everyone","acknowledge":true}`, at("0")), 200)
	enrolling := w.wants("a start that enrols", w.do("POST", "/v1/challenges", `{"org":"globex","user":{"id":"u-1","email":"a@globex.example"}}`), 201).word("enrolment.token")
	good := strings.NewReplacer("{id}", challenge, "{org}", "acme", "{user}", "u-17", "{code}", "busy", "{language}", "en", "{handle}", "csh_x")
	w.wants("the policy", w.do("PUT", policy, `{"methods":{"email":"implicit"},"require":"everyone","reset":{"hold_s":60},"acknowledge":true}`, at("1")), 200)
	reset := w.wants("a request", w.do("POST", anasPath+"/reset", `{"actor":"olga","reason":"lost"}`), 202).word("id")
	portal := w.usersSession("acme", "u-17")
	bad := strings.NewReplacer("{id}", "x", "{org}", "%20", "{user}", "%20", "{code}", "x", "{language}", "x", "{handle}", "x")
	gets := 0
	for _, step := range api.Steps {
		for _, route := range step.Routes {
			if route.Method != "GET" {
				continue
			}
			gets++
			good := good.Replace(strings.Replace(route.Pattern, "/resets/{id}", "/resets/"+reset, 1))
			for name, c := range map[string]struct {
				path  string
				alter []alteration
			}{
				"good":             {good, nil},
				"without a bearer": {good, []alteration{without("Authorization")}},
				"a bad query":      {good + "?x=1", nil},
				"a bad id":         {bad.Replace(route.Pattern), nil},
				"another path":     {good + "/x", nil},
			} {
				alter := append(c.alter, with("X-Request-Id", "r-1"))
				if route.Operation == "getEnrolment" && name != "without a bearer" {
					alter = append(alter, as(enrolling)) // API keys can't make that call
				}
				if route.Operation == "getPortalSession" && name != "without a bearer" {
					alter = append(alter, as(portal)) // nor that one
				}
				get, head := w.do("GET", c.path, "", alter...), w.do("HEAD", c.path, "", alter...)
				if head.status != get.status || !maps.EqualFunc(head.header, get.header, equal) || head.text != "" {
					t.Errorf("%s, %s: got %d %v %q, want %d %v and no body", c.path, name, head.status, head.header, head.text, get.status, get.header)
				}
				if name == "good" && get.status != 200 {
					t.Errorf("%s: got %d, want 200", c.path, get.status)
				}
			}
		}
	}
	if gets < 9 {
		t.Errorf("got %d routes that GET, want them all", gets)
	}
}

func equal(a, b []string) bool { return len(a) == 1 && len(b) == 1 && a[0] == b[0] }

func TestHEADHasNoBodyOverTheWire(t *testing.T) {
	w := newWorld(t)
	server := httptest.NewServer(w.door)
	t.Cleanup(server.Close)
	for path, want := range map[string]int{"/health": 200, "/v1/orgs/acme/policy": 401, "/nowhere": 404, "/v1/decisions": 405} {
		res, err := http.Head(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want || res.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s: got %d %v, want %d", path, res.StatusCode, res.Header, want)
		}
	}
}
