package demo_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"countersign/infra/local/demo"
	"countersign/infra/local/server"
)

// laterPolicy is the policy of the demo that had authenticator apps and no security keys.
const laterPolicy = `{
	"profile": "kls", "methods": {"totp": "allowed", "webauthn": "forbidden", "sms": "forbidden", "email": "implicit"},
	"email_backup": "allowed", "recovery": {"count": 10, "effect": "sign_in"}, "acknowledge": true
}`

// policyAfter is the demo's policy once a server has opened a folder in which it was put, anew.
func policyAfter(t *testing.T, put string) (version int, totp string, days int) {
	t.Helper()
	dir := t.TempDir()
	call := func(s *server.Server, method, body string) (answer struct {
		Version int
		Methods struct{ TOTP string }
		Trust   struct{ Days int }
	}) {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), method, "/v1/orgs/"+demo.Org+"/policy", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+s.APIKey().Reveal())
		if method == "PUT" {
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("If-Match", `"1"`)
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%s: status %d, %v: %s", method, w.Code, err, w.Body)
		}
		return answer
	}
	for _, first := range []bool{true, false} {
		s, err := server.Open(server.Options{Dir: dir, Port: 1})
		if err != nil {
			t.Fatal(err)
		}
		if first && put != "" {
			call(s, "PUT", put)
		}
		got := call(s, "GET", "")
		version, totp, days = got.Version, got.Methods.TOTP, got.Trust.Days
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return version, totp, days
}

func TestThePolicyOfAnOlderDemoIsReplacedAndSomebodysOwnStays(t *testing.T) {
	for _, c := range []struct {
		name, put   string
		version     int
		totp        string
		daysOfTrust int
	}{
		{"the demo's own", "", 1, "allowed", 30},
		{"an older demo's", `{"profile":"kls","acknowledge":true}`, 3, "allowed", 30},
		{"a later demo's", laterPolicy, 3, "allowed", 30},
		{"somebody's own", `{"profile":"kls","trust":{"days":7},"acknowledge":true}`, 2, "forbidden", 7},
	} {
		version, totp, days := policyAfter(t, c.put)
		if version != c.version || totp != c.totp || days != c.daysOfTrust {
			t.Errorf("%s: got version %d, totp %s, %d days, want %d, %s, %d", c.name, version, totp, days, c.version, c.totp, c.daysOfTrust)
		}
	}
}
