package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
)

// importLines imports users, and returns the lines of the answer.
func (w *world) importLines(t *testing.T, query string, users ...doc) (lines []doc) {
	t.Helper()
	var body strings.Builder
	for _, user := range users {
		text, err := json.Marshal(user)
		if err != nil {
			t.Fatal(err)
		}
		body.WriteString(string(text) + "\n")
	}
	got := w.do(t, call{
		method: "POST", path: "/v1/orgs/acme/import" + query, body: body.String(), header: map[string]string{"Content-Type": "application/x-ndjson"},
	}).want(t, 200, "")
	for line := range strings.Lines(string(got.raw)) {
		var d doc
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, d)
	}
	if len(lines) != len(users) {
		t.Fatalf("got %s, want %d lines", got.raw, len(users))
	}
	return lines
}

// A user of another system signs in with the app that was set up there, and nothing has to be set up anew.
func TestAnImportedUserSignsInWithTheAppOfTheOtherSystem(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		const secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
		line := doc{"id": ana.id, "email": ana.email, "totp_uris": []string{"otpauth://totp/Old:ana?secret=" + secret + "&algorithm=SHA512&period=60"}}
		bad := doc{"id": "u-18", "totp_uris": []string{"otpauth://totp/Old:bob?secret=" + secret + "&digits=8"}}
		for _, run := range []struct{ query, first string }{{"?dry_run=true", "created"}, {"", "created"}, {"", "unchanged"}} {
			got := w.importLines(t, run.query, line, bad)
			if got[0].text("result") != run.first || got[1].text("result") != "refused" || got[1].text("param") != "totp_uris.0" {
				t.Errorf("%q: got %v", run.query, got)
			}
		}
		asked := w.start(t, ana, nil).want(t, 201, "")
		if asked.text("decision") != "challenge" {
			t.Fatalf("got %s, want that the imported user is asked", asked.raw)
		}
		code := func() string {
			text, err := totp.GenerateCodeCustom(secret, w.now(t), totp.ValidateOpts{Period: 60, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA512})
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		done := w.verify(t, asked.text("challenge", "id"), doc{"code": code()}).want(t, 200, "")
		if len(done.list("recovery_codes")) == 0 {
			t.Errorf("got %s, want recovery codes with the first sign-in", done.raw)
		}
		w.advance(t, time.Minute)
		w.verify(t, w.start(t, ana, nil).text("challenge", "id"), doc{"code": code()}).want(t, 200, "")
		if told := w.events(t, ana.id, "user.imported"); len(told) != 1 {
			t.Errorf("got %d events of the import, want 1", len(told))
		}
		if raw := w.do(t, call{method: "GET", path: "/v1/orgs/acme/activity"}).want(t, 200, "").raw; strings.Contains(string(raw), secret) {
			t.Error("the activity has the secret")
		}
	})
}
