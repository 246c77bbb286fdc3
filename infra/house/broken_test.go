package house

import (
	"slices"
	"strings"
	"testing"
)

// expect compares what a check has found with the one thing that it should find. If want is empty, it should find nothing.
func expect(t *testing.T, in string, got []string, want string) {
	t.Helper()
	switch {
	case want == "" && len(got) > 0:
		t.Errorf("%.80q: found %q, want nothing", in, got)
	case want != "" && !slices.ContainsFunc(got, func(f string) bool { return strings.Contains(f, want) }):
		t.Errorf("%.80q: found %q, want %q", in, got, want)
	}
}

func TestAnImportThatPointsOutwardIsFound(t *testing.T) {
	for _, c := range []struct{ path, imported, want string }{
		{"pkg/mfa", "countersign/pkg/store", ""},
		{"pkg/mfa", "countersign/pkg/activity", ""},
		{"pkg/activity", "countersign/pkg/seal", ""},
		{"pkg/activity", "countersign/pkg/mfa", "may not import countersign/pkg/mfa"},
		{"pkg/api", "countersign/pkg/activity", "may not import"},
		{"pkg/mfa", "crypto/rand", ""},
		{"pkg/mfa", "golang.org/x/sync/errgroup", ""},
		{"pkg/mfa", "golang.org/x/text/language", "may not import"},
		{"pkg/mfa", "github.com/pquerna/otp/totp", ""},
		{"pkg/mfa", "countersign/pkg/api", "may not import countersign/pkg/api"},
		{"pkg/mfa", "countersign/pkg/store/bolt", "may not import"},
		{"pkg/mfa", "countersign/pkg/mfa/mfatest", "may not import"},
		{"pkg/mfa", "github.com/aws/aws-sdk-go-v2/aws", "may not import"},
		{"pkg/store", "countersign/pkg/store/bolt", "may not import"},
		{"pkg/store/dynamo", "github.com/aws/aws-sdk-go-v2/aws", ""},
		{"pkg/api", "github.com/aws/aws-sdk-go-v2/aws", "may not import"},
		{"pkg/api", "countersign/pkg/store", "may not import"},
		{"pkg/seal", "countersign/infra/local", "may not import"},
		{"functions/verify", "countersign/pkg/cloud", ""},
		{"functions/verify", "countersign/pkg/mfa", "may not import"},
		{"infra/local", "countersign/pkg/cloud", "may not import"},
		{"infra/local/demo", "countersign/infra/local/outbox", ""},
		{"infra/bench", "github.com/aws/aws-sdk-go-v2/aws", ""},
		{"pkg/misc", "fmt", "no law says"},
	} {
		expect(t, c.path+" "+c.imported, outward(c.path, []string{c.imported}), c.want)
	}
}

func TestABrokenHouseRuleIsFoundInAGoFile(t *testing.T) {
	const clock = "package mfa\nimport \"time\"\n"
	for _, c := range []struct{ path, source, want string }{
		{"pkg/mfa/a.go", clock + "var now = time.Now", ""},
		{"pkg/mfa/a.go", clock + "func f() time.Time { return time.Now() }", "a.go:3: calls time.Now"},
		{"pkg/mfa/a.go", clock + "func f() { time.Sleep(1) }", "calls time.Sleep"},
		{"pkg/mfa/a.go", clock + "func f(a time.Time) any { return time.Since(a) }", "calls time.Since"},
		{"pkg/mfa/a.go", "package mfa\nimport t \"time\"\nfunc f() { t.Sleep(1) }", "calls time.Sleep"},
		{"pkg/mfa/a_test.go", clock + "func f() any { return time.Now() }", ""},
		{"pkg/mfa/a_test.go", clock + "func f() { time.Sleep(1) }", "calls time.Sleep"},
		{"pkg/mfa/mfatest/a.go", "package mfatest\nimport \"time\"\nfunc f() any { return time.Now() }", ""},
		{"infra/local/a.go", clock + "func f() any { return time.Now() }", ""},
		{"infra/local/a_test.go", clock + "func f() { time.Sleep(1) }", "calls time.Sleep"},
		{"pkg/mfa/a.go", "package mfa\nfunc init() {}", "init function"},
		{"pkg/mfa/a.go", "package mfa\ntype t int\nfunc (t) init() {}", ""},
		{"pkg/mfa/a_test.go", "//go:build slow\n\npackage mfa\n", "build tag"},
		{"pkg/mfa/a.go", "package mfa\n" + strings.Repeat("\n", maxLines-1), ""},
		{"pkg/mfa/a.go", "package mfa\n" + strings.Repeat("\n", maxLines), "501 lines"},
		{"pkg/mfa/a.go", "package mfa\nfunc F() {}", "F is exported without"},
		{"pkg/mfa/a.go", "package mfa\n\n// F does.\nfunc F() {}", ""},
		{"pkg/mfa/a_test.go", "package mfa\nfunc F() {}", ""},
		{"pkg/mfa/a.go", "package mfa\ntype t[A any] struct{}\nfunc (t[A]) F() {}", ""},
		{"pkg/mfa/a.go", "package mfa\n\n// T is.\ntype T[A any] struct{}\n\nfunc (*T[A]) F() {}", "F is exported without"},
		{"pkg/mfa/a.go", "package mfa\ntype T int", "T is exported without"},
		{"pkg/mfa/a.go", "package mfa\nvar A, b = 1, 2", "A is exported without"},
		{"pkg/mfa/a.go", "package mfa\nconst A = 1 // one", ""},
		{"pkg/mfa/a.go", "package mfa\n\n// Both.\nconst (\n\tA = 1\n\tB = 2\n)", ""},
		{"pkg/mfa/a.go", "package mfa\nconst (\n\tA = 1 // one\n\tB = 2\n)", "B is exported without"},
		{"pkg/mfa/a.go", "package mfa\nfunc", "expected"},
	} {
		expect(t, c.source, goFile(c.path, []byte(c.source)), c.want)
	}
}

func TestAnUnwantedWordIsFoundInAnyFile(t *testing.T) {
	// The words are put together here, so that this file doesn't contain them.
	for _, c := range []struct{ text, want string }{
		{"see /ro" + "ot/go", "somebody's machine"},
		{"see /ho" + "me/ada/go", "somebody's machine"},
		{"in /wo" + "rk/main", "somebody's machine"},
		{"at ./fra" + "mework/main", ""},
		{"tmp: /tmp/ba" + "sh_jobs.0/x", "somebody's machine"},
		{"GOPROXY=https://pro" + "xy.example.org", "package registry"},
		{"http://de" + "b.example.org", "package registry"},
		{"https://example.org/proxy.", ""},
		{`"res` + `olved": "https://example.org/a.tgz"`, "download address"},
		{"to enr" + "oll, enr" + "ollment", "British"},
		{"to enrol, enrolled, enrolling, enrolment", ""},
		{"// TO" + "DO", "loose end"},
		{"// TO" + "DO: later", "loose end"},
		{"// TO" + "DO(ada): the sweep brings this with issue 4", ""},
		{"a\x00/ro" + "ot/go", ""},
	} {
		expect(t, c.text, textFile("README.md", []byte(c.text)), c.want)
	}
}
