package api_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"countersign/pkg/store/storetest"
)

// FuzzTheDoor sends unusual bodies and paths. Whatever a caller sends, the handler doesn't fail, and the answer doesn't get much
// longer than the request.
func FuzzTheDoor(f *testing.F) {
	clock := storetest.NewClock(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	w := newWorldOver(f, clock, storetest.NewModel(clock.Now))
	w.asks()
	challenge := "/v1/challenges/" + w.start().word("challenge.id")
	targets := []struct{ method, path string }{
		{"POST", "/v1/decisions"}, {"POST", "/v1/challenges"}, {"POST", challenge + "/verify"}, {"POST", challenge + "/send"},
		{"PUT", "/v1/orgs/acme/users/u"}, {"PUT", "/v1/orgs/acme/policy"}, {"GET", ""}, {"PUT", ""},
		{"POST", "/v1/enrolments"}, {"POST", "/v1/enrolments/prove"}, {"POST", "/v1/enrolments/en_a/finish"}, {"POST", challenge + "/recover"},
		{"PATCH", "/v1/orgs/acme/users/u-17"}, {"PATCH", "/v1/orgs/acme/users/u-17/factors/fa_a"}, {"POST", "/v1/orgs/acme/users/u-17/events"},
		{"POST", "/v1/orgs/acme/users/u-17/recovery-codes"}, {"POST", "/v1/orgs/acme/policy/preview"}, {"POST", ""}, {"DELETE", ""},
	}
	for _, body := range []string{
		ana, `{"org":"acme","user":{"id":"u","email":null},"context":{"ip":"::1"}}`, `{"code":"123456","trust":{"name":"n"}}`, `{}`,
		`{"email":"a@b.example","phone":"+33612345678"}`, `{"profile":"kls","trust":{"days":7},"grace_until":null}`,
		`{"org":"b","user":{"id":"u"},"kind":"totp","on_behalf":{"actor":"a","reason":"r"}}`, `{"enabled":true}`, `{"label":"n"}`, `{"kind":"signed_out"}`,
		`{"code":"7K3M-Q9XD-2V8H-W5NC-R4TB-Z6JF"}`, `[]`, `{"a":{"a":{"a":[null]}}}`, `{"org":"a","org":"a"}`, "\uFEFF{}", `{"user":{"\u0000":1}}`, "/v1/orgs/~YQ/policy", "/v1/orgs/%2e/users/a",
	} {
		for which := range targets {
			f.Add(uint8(which), body)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, text string) {
		w.log.Reset()
		target := targets[int(which)%len(targets)]
		r := httptest.NewRequest(target.method, "/", strings.NewReader(text))
		r.URL.Path = target.path
		if target.path == "" {
			r.URL.Path = text
		}
		r.Header.Set("Authorization", "Bearer "+w.key)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("If-Match", `"0"`)
		r.Header.Set("Countersign-Reauthenticated-At", clock.Now().Format(time.RFC3339))
		recorder := httptest.NewRecorder()
		w.door.ServeHTTP(recorder, r)
		if recorder.Code >= 500 || recorder.Body.Len() >= 16<<10 {
			t.Errorf("%s %q: got %d and %d bytes: %s", target.method, r.URL.Path, recorder.Code, recorder.Body.Len(), recorder.Body)
		}
		if err := w.check.Response(target.method, r.URL.Path, recorder.Code, recorder.Result().Header, recorder.Body.Bytes()); err != nil {
			t.Error(err)
		}
	})
}
