package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"countersign/pkg/mfa"
)

func policyFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "policy.json")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestAPolicyIsShownComparedAndAppliedWithoutAnAPIKey(t *testing.T) {
	for name, open := range grounds(t) {
		t.Run(name, func(t *testing.T) {
			r := newRestored(t, open)
			run := func(args ...string) int { return r.run(t, append(args, r.flags...)...) }
			version := func() (v int) {
				t.Helper()
				r.must(t, append([]string{"policy", "get", "acme"}, r.flags...)...)
				var got mfa.OrgPolicy
				if err := json.Unmarshal([]byte(r.said), &got); err != nil || got.Org != "acme" {
					t.Fatalf("got %s, %v", r.said, err)
				}
				return got.Version
			}
			r.service(t, func(s *mfa.Service, call mfa.Call) {
				if _, err := s.PutUser(t.Context(), call, "acme", mfa.Person{ID: "u-99"}); err != nil {
					t.Fatal(err)
				}
			})
			before := version()
			file := policyFile(t, `{"profile":"kls","trust":{"days":7}}`)
			if code := run("policy", "diff", "acme", file); code != 0 || !strings.Contains(r.said, "trust.days: 30 -> 7\n") || !strings.Contains(r.said, `require: "nobody" -> "everyone"`) {
				t.Errorf("diff: got %d, %s%s", code, r.said, r.told)
			}
			if version() != before {
				t.Error("a comparison has changed the policy")
			}
			if code := run("policy", "apply", "acme", file, "--actor", "olga"); code != 1 || !strings.Contains(r.told, "--acknowledge") || !strings.Contains(r.told, `"users": 1`) {
				t.Errorf("without an acknowledgement: got %d, %s%s", code, r.said, r.told)
			}
			if code := run("policy", "apply", "acme", file, "--actor", "olga", "--acknowledge", "--version", "99"); code != 1 || version() != before {
				t.Errorf("another version: got %d, %s", code, r.told)
			}
			if code := run("policy", "apply", "acme", file, "--actor", "olga", "--acknowledge"); code != 0 {
				t.Fatalf("got %d, %s", code, r.told)
			}
			if got := version(); got != before+1 {
				t.Errorf("got version %d, want %d", got, before+1)
			}
			if code := run("policy", "diff", "acme", file); code != 0 || r.said != "" {
				t.Errorf("what was applied differs: %d, %s", code, r.said)
			}
			for _, text := range []string{`{"colour":"red"}`, `{"profile":"none"}`, "{", `{"trust":{"days":91}}`} {
				if code := run("policy", "apply", "acme", policyFile(t, text), "--actor", "olga"); code != 1 {
					t.Errorf("%s: got %d, want 1\n%s", text, code, r.said)
				}
			}
			r.service(t, func(s *mfa.Service, call mfa.Call) {
				if p, err := s.GetPolicy(t.Context(), call, "acme"); err != nil || p.Trust.Days != 7 || p.Version != before+1 {
					t.Errorf("over the API: got %+v, %v", p, err)
				}
			})
		})
	}
}

func TestAUserIsShownAndUnlockedWithoutAnAPIKey(t *testing.T) {
	for name, open := range grounds(t) {
		t.Run(name, func(t *testing.T) {
			r := newRestored(t, open)
			run := func(args ...string) int { return r.run(t, append(args, r.flags...)...) }
			r.service(t, func(s *mfa.Service, call mfa.Call) {
				if _, err := s.PutUser(t.Context(), call, "acme", mfa.Person{ID: "u-99", Name: mfa.Some("Zoë")}); err != nil {
					t.Fatal(err)
				}
			})
			var u mfa.User
			if code := run("user", "show", "acme", "u-99"); code != 0 || json.Unmarshal([]byte(r.said), &u) != nil || u.ID != "u-99" || u.Status != mfa.Unprotected || *u.Name != "Zoë" {
				t.Errorf("got %d, %s%s", code, r.said, r.told)
			}
			if code := run("user", "unlock", "acme", "u-99", "--actor", "olga", "--reason", "called"); code != 0 || json.Unmarshal([]byte(r.said), &u) != nil || u.LockedUntil != nil {
				t.Errorf("unlock: got %d, %s%s", code, r.said, r.told)
			}
			if code := run("user", "show", "acme", "nobody"); code != 1 || !strings.Contains(r.told, "no such user") {
				t.Errorf("a user who doesn't exist: got %d, %s", code, r.told)
			}
			if code := run("user", "unlock", "acme", "u-99", "--actor", "olga"); code != 2 {
				t.Errorf("without a reason: got %d, %s", code, r.told)
			}
			r.must(t, append([]string{"keys", "create", "--client", "portal", "--label", "the portal in Paris", "--scope", "manage"}, r.flags...)...)
			if code := run("keys", "list"); code != 0 || !strings.Contains(r.said, "the portal in Paris") {
				t.Errorf("keys: got %d, %s", code, r.said)
			}
			if code := run("keys", "list", "--json"); code != 0 {
				t.Errorf("keys: got %d, %s", code, r.told)
			}
			var keys []struct {
				ID, Client, Label string
				Confirmed         bool
			}
			if err := json.Unmarshal([]byte(r.said), &keys); err != nil || len(keys) < 2 || !strings.HasPrefix(keys[0].ID, "ak_") || keys[len(keys)-1].Label != "the portal in Paris" || !keys[0].Confirmed {
				t.Errorf("got %s, %v", r.said, err)
			}
		})
	}
}
