package main

import (
	"encoding/json"
	"strings"
	"testing"

	"countersign/pkg/mfa"
	"countersign/pkg/seal"
)

// lines returns the JSON objects that the command has printed, each on a line of its own.
func (o *operator) lines(t *testing.T) (lines []map[string]any) {
	t.Helper()
	for line := range strings.Lines(o.said) {
		var l map[string]any
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	return lines
}

func TestWhatIsKeptOfAUserAndAnOrgIsExportedWithoutSecrets(t *testing.T) {
	const secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	for name, open := range grounds(t) {
		t.Run(name, func(t *testing.T) {
			a := audited(t, open)
			a.service(t, func(s *mfa.Service, call mfa.Call) {
				q := mfa.ImportRequest{}
				for _, id := range []string{"u-1", "u-2"} {
					q.Lines = append(q.Lines, mfa.ImportLine{ImportedUser: mfa.ImportedUser{
						Person:   mfa.Person{ID: id, Email: mfa.Some(id + "@acme.example")},
						TOTPURIs: []seal.Secret{seal.NewSecret("otpauth://totp/a?secret=" + secret)},
					}})
				}
				got, err := s.Import(t.Context(), call, acme, q)
				if err != nil || got[0].Result != mfa.ImportCreated || got[1].Result != mfa.ImportCreated {
					t.Fatal(got, err)
				}
			})
			a.must(t, a.flagged("export", "user", acme, "u-1")...)
			user := a.lines(t)
			if len(user) < 2 || user[0]["kind"] != "user" || user[len(user)-1]["kind"] != "end" || strings.Contains(a.said, "u-2") ||
				!strings.Contains(a.said, `"email":"u-1@acme.example"`) || !strings.Contains(a.said, `"kind":"totp"`) || strings.Contains(a.said, secret) {
				t.Errorf("the user: got %s", a.said)
			}
			a.must(t, a.flagged("export", "org", acme)...)
			kinds := map[any]int{}
			for _, l := range a.lines(t) {
				kinds[l["kind"]]++
			}
			if kinds["policy"] != 1 || kinds["user"] != 2 || kinds["event"] < 2 || kinds["end"] != 1 || strings.Contains(a.said, secret) {
				t.Errorf("the org: got %v in %s", kinds, a.said)
			}
			if code := a.run(t, a.flagged("export", "user", acme, "u-3")...); code != 1 || !strings.Contains(a.told, "no such user") {
				t.Errorf("nobody: got %d and %s", code, a.told)
			}
		})
	}
}
