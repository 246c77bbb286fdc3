package api_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"countersign/pkg/api"
	"countersign/pkg/mfa"
)

// failing returns the answer to an error. The error is that of the health check.
func (w *world) failing(err error) reply {
	w.t.Helper()
	w.healthy = func(context.Context) error { return err }
	recorder := httptest.NewRecorder()
	w.door.ServeHTTP(recorder, httptest.NewRequest("GET", "/health", nil))
	return reply{status: recorder.Code, header: recorder.Result().Header, text: recorder.Body.String()}
}

func TestEveryCodeHasItsStatusAndItsPage(t *testing.T) {
	w := newWorld(t)
	want := map[mfa.ErrorCode]int{
		"invalid_request": 400, "unauthenticated": 401,
		"forbidden": 403, "method_forbidden": 403, "reauthentication_required": 403, "step_up_required": 403, "country_forbidden": 403,
		"not_found": 404, "challenge_invalid": 404, "enrolment_invalid": 404,
		"busy": 409, "email_pinned": 409, "last_factor": 409, "required_by_policy": 409, "acknowledgement_required": 409,
		"nothing_to_send": 409, "already_exists": 409,
		"method_not_allowed": 405, "too_large": 413, "unsupported_media_type": 415, "version_mismatch": 412, "precondition_required": 428,
		"wrong_code": 422, "wrong_credential": 422, "idempotency_mismatch": 422,
		"locked": 429, "too_many_sends": 429, "too_many_requests": 429, "delivery_failed": 502, "unavailable": 503,
	}
	if len(api.Problems) != len(want) {
		t.Errorf("the table has %d codes, want %d", len(api.Problems), len(want))
	}
	for _, p := range api.Problems {
		if p.Status != want[p.Code] {
			t.Errorf("%s: got %d, want %d", p.Code, p.Status, want[p.Code])
		}
		got := w.failing(&mfa.Error{Code: p.Code})
		if got.status != p.Status || got.header.Get("Content-Type") != "application/problem+json" ||
			!strings.HasPrefix(got.text, `{"type":"/problems/`+string(p.Code)+`","title":"`+strings.ReplaceAll(p.Title, `"`, `\"`)+`","status":`) {
			t.Errorf("%s: got %d %s", p.Code, got.status, got.text)
		}
		page := w.wants("the page", w.do("GET", "/problems/"+string(p.Code), "", without("Authorization")), 200)
		if page.header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(page.text, "<code>"+string(p.Code)+"</code>") {
			t.Errorf("the page of %s: got %s", p.Code, page.text)
		}
		for _, foreign := range []string{"http:", "https:", "src=", "href=", "<script", "@import", "url(", "{title}"} {
			if strings.Contains(page.text, foreign) {
				t.Errorf("the page of %s has %q", p.Code, foreign)
			}
		}
	}
	for _, unknown := range []string{"gone", "Busy", "busy.html", "<script>", "..", "%20"} {
		w.refused(unknown, w.do("GET", "/problems/"+unknown, ""), 404, mfa.NotFound, "")
	}
}

func TestAProblemSaysAllThatAppliesAndNothingElse(t *testing.T) {
	w := newWorld(t)
	none := 0
	for _, c := range []struct {
		err                  error
		status               int
		text, header, absent string
	}{
		{&mfa.Error{Code: mfa.WrongCode, AttemptsLeft: &none}, 422, `"attempts_left":0`, "", `"retry_after_s":`},
		{&mfa.Error{Code: mfa.WrongCode, AttemptsLeft: &none, ClockOff: -5 * time.Minute}, 422, `"clock_off_s":-300`, "", `"retry_after_s":`},
		{&mfa.Error{Code: mfa.WrongCode, AttemptsLeft: &none}, 422, `"attempts_left":0`, "", `"clock_off_s":`},
		{&mfa.Error{Code: mfa.Locked, RetryAfter: 1500 * time.Millisecond}, 429, `"retry_after_s":2`, "2", `"attempts_left":`},
		{&mfa.Error{Code: mfa.Locked}, 429, `"code":"locked"`, "", `"retry_after_s":`},
		{&mfa.Error{Code: mfa.InvalidRequest, Param: "user.id", Detail: "Odd."}, 400, `"detail":"Odd.","request_id":`, "", "preview"},
		{&mfa.Error{Code: mfa.Busy}, 409, `"detail":"Other calls for the same user`, "", `"param"`},
		{&mfa.Error{Code: "no_such_code", Detail: "inner"}, 503, `"code":"unavailable"`, "", "inner"},
		{&mfa.Error{}, 503, `"code":"unavailable"`, "", "inner"},
		{errors.New("inner"), 503, `"code":"unavailable"`, "", "inner"},
		{context.DeadlineExceeded, 503, `"code":"unavailable"`, "", "deadline"},
		{&mfa.Remembered{Answer: []byte("{}")}, 503, `"code":"unavailable"`, "", "status 0"},
		{&mfa.Remembered{Answer: []byte("inner")}, 503, `"code":"unavailable"`, "", "inner"},
	} {
		got := w.failing(c.err)
		if got.status != c.status || !strings.Contains(got.text, c.text) || strings.Contains(got.text, c.absent) ||
			got.header.Get("Retry-After") != c.header {
			t.Errorf("%v: got %d %s, Retry-After %q", c.err, got.status, got.text, got.header.Get("Retry-After"))
		}
	}
	if !strings.Contains(w.log.String(), "inner") {
		t.Errorf("the log doesn't say what broke: %s", w.log)
	}
}

func TestAPanicIsAnUnavailableServiceAndNoCrash(t *testing.T) {
	w := newWorld(t)
	w.healthy = func(context.Context) error { panic("something odd") }
	got := w.do("GET", "/health", "", with("X-Request-Id", "r-9"))
	w.refused("a panic", got, 503, mfa.Unavailable, "")
	if strings.Contains(got.text, "odd") {
		t.Errorf("the caller hears what broke: %s", got.text)
	}
	for _, want := range []string{"something odd", "r-9", "problem_test.go"} {
		if !strings.Contains(w.log.String(), want) {
			t.Errorf("the log doesn't have %q: %s", want, w.log)
		}
	}
}

func TestACallEndsAtItsDeadline(t *testing.T) {
	w := newWorld(t)
	w.door = api.New(api.Options{Timeout: time.Millisecond}, api.Pages(func(ctx context.Context) ([]byte, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}))
	w.refused("a slow store", w.do("GET", "/health", ""), 503, mfa.Unavailable, "")
}

func TestTheServiceIsHealthyWhenItsPublishedKeysCanBeRead(t *testing.T) {
	w := newWorld(t)
	if got := w.wants("health", w.do("GET", "/health", "", without("Authorization")), 200); got.text != `{"status":"ok"}` {
		t.Errorf("got %s", got.text)
	}
	keys := w.wants("keys", w.do("GET", "/.well-known/jwks.json", "", without("Authorization")), 200)
	ring, err := w.service.Keys.Ring(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if keys.text != string(ring.JWKS()) {
		t.Errorf("keys: got %s, want %s", keys.text, ring.JWKS())
	}
	w.healthy = func(context.Context) error { return errors.New("the store is away") }
	w.refused("health without keys", w.do("GET", "/health", ""), 503, mfa.Unavailable, "")
	w.refused("keys without keys", w.do("GET", "/.well-known/jwks.json", ""), 503, mfa.Unavailable, "")
}

func TestEveryAnswerNamesItsRequest(t *testing.T) {
	w := newWorld(t)
	seen := map[string]bool{}
	for _, sane := range []string{"a", "A-1_b.c", "azAZ09._-", strings.Repeat("x", 128)} {
		if got := w.do("GET", "/nowhere", "", with("X-Request-Id", sane)); got.header.Get("X-Request-Id") != sane || got.word("request_id") != sane {
			t.Errorf("%q: got %q and %q", sane, got.header.Get("X-Request-Id"), got.word("request_id"))
		}
	}
	for _, odd := range []string{"", strings.Repeat("x", 129), "a b", "a\x00", "é", "<script>", "a,b", "a\r\nSet-Cookie: x"} {
		got := w.do("GET", "/nowhere", "", with("X-Request-Id", odd))
		made := got.header.Get("X-Request-Id")
		if made == odd || seen[made] || got.word("request_id") != made {
			t.Errorf("%q: got %q and %q, want a new one", odd, made, got.word("request_id"))
		}
		seen[made] = true
	}
	two := w.do("GET", "/nowhere", "", with("X-Request-Id", "a"), func(r *http.Request) { r.Header.Add("X-Request-Id", "b") })
	if made := two.header.Get("X-Request-Id"); made == "a" || made == "b" {
		t.Errorf("two: got %q, want a new one", made)
	}
}

func TestTheLogHasOneLineACallAndNothingOfTheCallers(t *testing.T) {
	w := newWorld(t)
	w.asks()
	w.log.Reset()
	begun := w.wants("start", w.do("POST", "/v1/challenges", ana, with("X-Request-Id", "r-1"), once("idemword")), 201)
	verify := w.wants("verify", w.do("POST", "/v1/challenges/"+begun.word("challenge.id")+"/verify",
		`{"code":"`+w.mail.last()+`","trust":{"name":"n"}}`, as(begun.word("challenge.token"))), 200)
	w.do("GET", "/v1/orgs/acme/users/u-99", "")
	w.do("GET", "/v1/orgs/acme/activity?type=secretplace", "")
	w.do("BREW", "/v1/elsewhere", "")
	log := w.log.String()
	lines := strings.Split(strings.TrimSpace(log), "\n")
	if len(lines) != 5 {
		t.Fatalf("got %d lines, want 5:\n%s", len(lines), log)
	}
	for i, wants := range [][]string{
		{"method=POST", "route=/v1/challenges ", "status=201", "request_id=r-1", "duration=0s"},
		{"route=/v1/challenges/{id}/verify", "status=200"},
		{"route=/v1/orgs/{org}/users/{user}", "status=404", "code=not_found"},
		{"route=/v1/orgs/{org}/activity", "status=200"},
		{"method=other", "route=none", "status=404"},
	} {
		for _, want := range wants {
			if !strings.Contains(lines[i], want) {
				t.Errorf("line %d has no %q: %s", i, want, lines[i])
			}
		}
	}
	for name, secret := range map[string]string{
		"the key": w.key, "the challenge's token": begun.word("challenge.token"), "its id": begun.word("challenge.id"),
		"the result token": verify.word("token"), "the trust token": verify.word("trust_token"), "the code": w.mail.last(),
		"the address": "ana@", "an id": "u-99", "an org": "acme", "the query": "secretplace", "the Idempotency-Key": "idemword",
		"a path": "elsewhere", "a method": "BREW",
	} {
		if secret == "" || strings.Contains(log, secret) {
			t.Errorf("the log has %s: %s", name, log)
		}
	}
}

func TestSecretsAreInTheBodyOfTheAnswerOnly(t *testing.T) {
	w := newWorld(t)
	w.asks()
	begun := w.start()
	verified := w.wants("verify", w.do("POST", "/v1/challenges/"+begun.word("challenge.id")+"/verify",
		`{"code":"`+w.mail.last()+`","trust":{"name":"n"}}`), 200)
	for name, secret := range map[string]string{
		"challenge token": begun.word("challenge.token"), "result token": verified.word("token"), "trust token": verified.word("trust_token"),
	} {
		if len(secret) < 40 || strings.Contains(secret, "secret") {
			t.Errorf("the %s isn't shown: %q", name, secret)
		}
		for _, r := range []reply{begun, verified} {
			for header, values := range r.header {
				if strings.Contains(strings.Join(values, " "), secret) {
					t.Errorf("the %s is in the header %s", name, header)
				}
			}
		}
	}
	w.wants("the policy", w.do("PUT", policy, `{}`, at("1")), 200) // this policy lets authenticator apps in
	enrolment := w.wants("begin", w.do("POST", "/v1/enrolments", anasApp, w.reauthenticated()), 201)
	enrolled := w.wants("finish", w.do("POST", "/v1/enrolments/"+enrolment.word("id")+"/finish", w.shown(enrolment.word("totp.secret"))), 201)
	for _, r := range []reply{begun, verified, enrolment, enrolled} {
		if strings.Contains(r.text, "[secret]") {
			t.Errorf("a secret was shown as a placeholder: %s", r.text)
		}
	}
	for name, secret := range map[string]string{
		"secret": enrolment.word("totp.secret"), "URI": enrolment.word("totp.uri"), "picture": enrolment.word("totp.qr_svg"),
		"recovery code": enrolled.at("recovery_codes").([]any)[0].(string),
	} {
		if len(secret) < 29 || strings.Contains(w.log.String(), secret) {
			t.Errorf("the %s is %q, and the log is %s", name, secret, w.log)
		}
	}
	got := w.do("POST", "/v1/challenges", `{"org":"acme","user":{"id":"`+begun.word("challenge.token")+strings.Repeat("x", 128)+`"}}`)
	if strings.Contains(got.text, begun.word("challenge.token")) {
		t.Errorf("a problem repeats what was sent: %s", got.text)
	}
}

func TestADoorWithoutALogAnswers(t *testing.T) {
	w := newWorld(t)
	w.door = api.New(api.Options{Log: slog.New(slog.DiscardHandler)}, api.Policy(w.service))
	w.wants("a call", w.do("GET", policy, ""), 200)
	w.door = api.New(api.Options{}, api.Policy(w.service))
	w.wants("a call", w.do("GET", policy, ""), 200)
}

func TestTheRelatedOriginsAreThoseOfTheDeployment(t *testing.T) {
	w := newWorld(t)
	const path = "/.well-known/webauthn"
	got := w.wants("two", w.do("GET", path, "", without("Authorization")), 200)
	if want := `{"origins":["https://acme.example","https://acme.co.example"]}`; got.text != want {
		t.Errorf("got %s, want %s", got.text, want)
	}
	w.door = api.New(api.Options{}, api.Pages(func(context.Context) ([]byte, error) { return nil, nil }))
	w.refused("none", w.do("GET", path, "", without("Authorization")), 404, mfa.NotFound, "")
}
