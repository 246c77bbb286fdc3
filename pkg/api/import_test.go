package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"countersign/pkg/mfa"
)

const importPath = "/v1/orgs/acme/import"

// imported returns the lines of an answer to an import.
func imported(t *testing.T, got reply) (lines []mfa.Imported) {
	t.Helper()
	if kind := got.header.Get("Content-Type"); got.status != 200 || kind != "application/x-ndjson" {
		t.Fatalf("got %d %s %s", got.status, kind, got.text)
	}
	for line := range strings.Lines(got.text) {
		var l mfa.Imported
		if err := json.Unmarshal([]byte(line), &l); err != nil || !strings.HasSuffix(line, "\n") {
			t.Fatalf("the line %q: %v", line, err)
		}
		lines = append(lines, l)
	}
	return lines
}

func TestAnImportAnswersALineForEachLine(t *testing.T) {
	w := newWorld(t)
	const uri = "otpauth://totp/Old:ana?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&period=60"
	body := strings.Join([]string{
		`{"id":"u-1","email":"u-1@acme.example","phone":null,"totp_uris":["` + uri + `"],"webauthn":[]}`,
		`{"id":"u-2","colour":"red"}`, `nonsense`, ``, `{"id":""}`, `{"id":"u-3","totp_uris":null}`,
		"{\"id\":\"u-4\"}\r", `{"id":"u-5","webauthn":[{"id":"AA","public_key":"AA","rp_id":"other.example","user_handle":"AA","backup_eligible":null}]}`,
		`{"id":"u-6"}`,
	}, "\n")
	for run, created := range []mfa.ImportResult{mfa.ImportCreated, mfa.ImportUnchanged} {
		lines := imported(t, w.do("POST", importPath, body))
		want := []struct {
			result mfa.ImportResult
			param  string
		}{
			{created, ""}, {mfa.ImportRefused, "colour"}, {mfa.ImportRefused, ""}, {mfa.ImportRefused, ""}, {mfa.ImportRefused, "id"},
			{mfa.ImportRefused, "totp_uris"}, {created, ""}, {mfa.ImportRefused, "webauthn.0.rp_id"}, {created, ""},
		}
		if len(lines) != len(want) {
			t.Fatalf("run %d: got %d lines, want %d", run, len(lines), len(want))
		}
		for i, l := range lines {
			if l.Line != i+1 || l.Result != want[i].result || l.Param != want[i].param || (l.Code != "") != (l.Result == mfa.ImportRefused) {
				t.Errorf("run %d, line %d: got %+v, want %+v", run, i+1, l, want[i])
			}
			if l.Code != "" && l.Param == "" && !strings.HasPrefix(l.Detail, "Each line") {
				t.Errorf("run %d, line %d: got the detail %q, want one about a line", run, i+1, l.Detail)
			}
		}
	}
	got := w.wants("the user", w.do("GET", "/v1/orgs/acme/users/u-1", ""), 200)
	if got.word("email") != "u-1@acme.example" || !strings.Contains(got.text, `"kind":"totp"`) || strings.Contains(got.text, "JBSWY3DP") {
		t.Errorf("got %s", got.text)
	}
}

func TestAnImportTakesOneMiBOfLines(t *testing.T) {
	w := newWorld(t)
	line := func(n int) string { return fmt.Sprintf(`{"id":"u-%d","name":"%s"}`, n, strings.Repeat("a", 201)) } // which is refused, and costs nothing
	var body strings.Builder
	for n := 0; body.Len() < 1<<20-300; n++ {
		body.WriteString(line(n) + "\n")
	}
	full := body.String() + strings.Repeat(" ", 1<<20-body.Len())
	if lines := imported(t, w.do("POST", importPath+"?dry_run=true", full)); len(lines) < 4000 {
		t.Errorf("got %d lines", len(lines))
	}
	w.refused("one byte more", w.do("POST", importPath, full+" "), 413, "too_large", "")
	w.refused("too many lines", w.do("POST", importPath, strings.Repeat("\n", 10_001)), 400, "invalid_request", "body")
	declared := w.do("POST", importPath, `{"id":"u-1"}`, with("Content-Type", "application/json"))
	w.refused("JSON", declared, 415, "unsupported_media_type", "")
	if !strings.Contains(declared.word("detail"), "application/x-ndjson") {
		t.Errorf("got the detail %q, want the content type that this call takes", declared.word("detail"))
	}
	w.refused("an odd dry run", w.do("POST", importPath+"?dry_run=1", `{"id":"u-1"}`), 400, "invalid_request", "dry_run")
	w.refused("another body with lines", w.do("POST", "/v1/decisions", ana, with("Content-Type", "application/x-ndjson")), 415, "unsupported_media_type", "")
}

func TestAnImportWithAnIdempotencyKeyIsAnsweredAsItWasTheFirstTime(t *testing.T) {
	w := newWorld(t)
	post := func(query, body string, more ...alteration) reply {
		return w.do("POST", importPath+query, body, append([]alteration{once("k"), with("X-Request-Id", "same")}, more...)...)
	}
	first := post("", `{"id":"u-1"}`)
	if lines := imported(t, first); len(lines) != 1 || lines[0].Result != mfa.ImportCreated {
		t.Fatalf("got %s", first.text)
	}
	if again := post("", `{"id":"u-1"}`); again.text != first.text || again.status != 200 {
		t.Errorf("again: got %d %s, want %s", again.status, again.text, first.text)
	}
	w.refused("another body", post("", `{"id":"u-2"}`), 422, mfa.IdempotencyMismatch, "")
	w.refused("another query", post("?dry_run=true", `{"id":"u-1"}`), 422, mfa.IdempotencyMismatch, "")
	if other := imported(t, post("", `{"id":"u-1"}`, once("k2"))); other[0].Result != mfa.ImportUnchanged {
		t.Errorf("with another key: got %v", other)
	}
	for lines, want := range map[int]mfa.ImportResult{200: mfa.ImportCreated, 1000: mfa.ImportUnchanged} {
		var body strings.Builder
		for n := range lines {
			fmt.Fprintf(&body, "{\"id\":\"m-%d-%d\"}\n", lines, n)
		}
		key := once(fmt.Sprint("k", lines))
		post("", body.String(), key)
		if again := imported(t, post("", body.String(), key)); len(again) != lines || again[0].Result != want {
			t.Errorf("%d lines again: got %d lines, the first %v, want %s", lines, len(again), again[0], want)
		}
	}
}
