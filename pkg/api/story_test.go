package api_test

import (
	"strings"
	"testing"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
)

func TestAUserSignsInIsTrustedAndIsThenNotAsked(t *testing.T) {
	w := newWorld(t)
	w.asks()
	begun := w.start()
	path := "/v1/challenges/" + begun.word("challenge.id")
	if got := w.do("GET", path, "").word("state"); got != "pending" {
		t.Errorf("the state: got %q, want pending", got)
	}
	wrong := "000000"
	if wrong == w.mail.last() {
		wrong = "000001"
	}
	got := w.do("POST", path+"/verify", `{"code":"`+wrong+`"}`, as(begun.word("challenge.token")))
	w.refused("a wrong code", got, 422, mfa.WrongCode, "")
	if got.at("attempts_left") != 4.0 {
		t.Errorf("the attempts left: got %v, want 4", got.at("attempts_left"))
	}
	w.clock.Advance(31 * time.Second)
	sent := w.wants("send", w.do("POST", path+"/send", `{}`, as(begun.word("challenge.token"))), 200)
	if sent.word("sent.sequence") != "B" {
		t.Errorf("the sequence: got %q, want B", sent.word("sent.sequence"))
	}
	verified := w.wants("verify", w.do("POST", path+"/verify",
		`{"factor":null,"code":"`+w.mail.last()+`","trust":{"name":"Firefox"}}`, as(begun.word("challenge.token"))), 200)
	looked := w.wants("look", w.do("GET", path, ""), 200)
	if looked.word("state") != "verified" || looked.word("outcome.trust_token") != verified.word("trust_token") {
		t.Errorf("the outcome isn't what verify answered: %s", looked.text)
	}
	trusted := strings.Replace(ana, `{"org"`, `{"trust_token":"`+verified.word("trust_token")+`","org"`, 1)
	decided := w.wants("decide", w.do("POST", "/v1/decisions", trusted), 200)
	allowed := w.wants("start again", w.do("POST", "/v1/challenges", trusted), 200)
	for _, r := range []reply{decided, allowed} {
		if r.word("decision") != "allow" || r.word("reason") != "trusted_browser" {
			t.Errorf("got %s, want allow for trusted_browser", r.text)
		}
	}
	if allowed.word("trust_token") == "" || allowed.word("trust_token") == verified.word("trust_token") {
		t.Errorf("the trust token didn't rotate")
	}
	user := w.wants("the user", w.do("GET", "/v1/orgs/acme/users/u-17", ""), 200)
	if user.word("status") != "protected" || len(user.at("trusted_browsers").([]any)) != 1 {
		t.Errorf("the user: got %s", user.text)
	}
	stepUp := w.wants("step up", w.do("POST", "/v1/challenges",
		`{"org":"acme","user":{"id":"u-17"},"purpose":"step_up","action":"pay","method":"email"}`), 201)
	if stepUp.word("reason") != "step_up" {
		t.Errorf("got %s, want a step-up", stepUp.text)
	}
	w.refused("a kind that the user doesn't have", w.do("POST", "/v1/challenges",
		`{"org":"acme","user":{"id":"u-17"},"purpose":"step_up","method":"totp"}`), 403, mfa.MethodForbidden, "")
}

func TestACodeThatDidNotGoOutIsToldInTheChallenge(t *testing.T) {
	w := newWorld(t)
	w.asks()
	w.mail.broken = true
	begun := w.start()
	if begun.at("challenge.sent") != nil || begun.word("challenge.send_error") != "delivery_failed" {
		t.Errorf("got %s, want no sent and delivery_failed", begun.text)
	}
	path := "/v1/challenges/" + begun.word("challenge.id") + "/send"
	w.refused("a send", w.do("POST", path, `{}`), 502, mfa.DeliveryFailed, "")
	w.mail.broken = false
	w.wants("a send that works", w.do("POST", path, `{}`), 200)
	got := w.do("POST", path, `{}`)
	w.refused("a send too soon", got, 429, mfa.TooManySends, "")
	if got.header.Get("Retry-After") != "30" || got.at("retry_after_s") != 30.0 {
		t.Errorf("the wait: got %q and %v, want 30", got.header.Get("Retry-After"), got.at("retry_after_s"))
	}
}

func TestAUserWithoutAnAddressCannotBeAsked(t *testing.T) {
	w := newWorld(t)
	w.asks()
	for _, path := range []string{"/v1/challenges", "/v1/decisions"} {
		w.refused(path, w.do("POST", path, `{"org":"acme","user":{"id":"u-1"}}`), 409, mfa.NothingToSend, "")
	}
}

func TestAUserWithTooManyWrongCodesIsLockedOut(t *testing.T) {
	w := newWorld(t)
	w.asks()
	for range 2 {
		begun := w.start()
		for range 5 {
			wrong := "000000"
			if wrong == w.mail.last() {
				wrong = "000001"
			}
			w.do("POST", "/v1/challenges/"+begun.word("challenge.id")+"/verify", `{"code":"`+wrong+`"}`)
		}
	}
	got := w.do("POST", "/v1/challenges", ana)
	w.refused("a start", got, 429, mfa.Locked, "")
	if got.header.Get("Retry-After") != "900" {
		t.Errorf("Retry-After: got %q, want 900", got.header.Get("Retry-After"))
	}
	user := w.do("GET", "/v1/orgs/acme/users/u-17", "")
	if user.word("status") != "locked" || user.word("locked_until") != "2026-11-22T10:15:00Z" {
		t.Errorf("the user: got %s", user.text)
	}
}

func TestAUsersAccountIsMadeChangedAndErased(t *testing.T) {
	w := newWorld(t)
	const path = "/v1/orgs/acme/users/u-17"
	w.refused("before", w.do("GET", path, ""), 404, mfa.NotFound, "")
	made := w.wants("make", w.do("PUT", path, `{"id":"u-17","email":"ana@acme.example","phone":"+33612345678","locale":"fr"}`), 200)
	if made.word("email") != "ana@acme.example" || made.word("phone") != "+33612345678" || made.at("name") != nil {
		t.Errorf("made: got %s", made.text)
	}
	changed := w.wants("change", w.do("PUT", path, `{"phone":null,"name":"Ana"}`), 200)
	if changed.word("email") != "ana@acme.example" || changed.at("phone") != nil || changed.word("name") != "Ana" {
		t.Errorf("changed: got %s, want the email kept, the phone cleared and the name set", changed.text)
	}
	if got := w.wants("read", w.do("GET", path, ""), 200); got.text != changed.text {
		t.Errorf("read: got %s, want %s", got.text, changed.text)
	}
	w.refused("another id", w.do("PUT", path, `{"id":"u-18"}`), 400, mfa.InvalidRequest, "id")
	w.refused("a bad email", w.do("PUT", path, `{"email":"nobody"}`), 400, mfa.InvalidRequest, "email")
	erased := w.wants("erase", w.do("DELETE", path, ""), 204)
	if erased.text != "" || erased.header.Get("Content-Type") != "" {
		t.Errorf("an answer without a body has one: %q %q", erased.header.Get("Content-Type"), erased.text)
	}
	w.refused("after", w.do("GET", path, ""), 404, mfa.NotFound, "")
	w.wants("erase nobody", w.do("DELETE", path, ""), 204)
}

func TestAKeyIsGoodForItsScopesAndItsOrgOnly(t *testing.T) {
	w := newWorld(t)
	signIn, elsewhere := w.newKey([]apikey.Scope{apikey.SignIn}, ""), w.newKey(apikey.Scopes(), "other")
	w.refused("the scope", w.do("GET", "/v1/orgs/acme/policy", "", as(signIn)), 403, mfa.Forbidden, "")
	w.refused("the scope", w.do("GET", "/v1/orgs/acme/users/u", "", as(signIn)), 403, mfa.Forbidden, "")
	w.refused("the org", w.do("GET", "/v1/orgs/acme/policy", "", as(elsewhere)), 403, mfa.Forbidden, "")
	w.refused("the org", w.do("POST", "/v1/decisions", ana, as(elsewhere)), 403, mfa.Forbidden, "")
	w.wants("its own", w.do("GET", "/v1/orgs/other/policy", "", as(elsewhere)), 200)
	w.asks()
	begun := w.start()
	for _, path := range []string{"/v1/orgs/acme/policy", "/v1/orgs/acme/users/u-17", "/v1/enrolments"} {
		w.refused(path, w.do("GET", path, "", as(begun.word("challenge.token"))), 401, mfa.Unauthenticated, "")
	}
}

func TestOneWhoHasNoSuchChallengeHearsTheSameWhateverIsWrong(t *testing.T) {
	w := newWorld(t)
	w.asks()
	begun := w.start()
	id := begun.word("challenge.id")
	texts := map[string]bool{}
	for _, other := range []string{"ch_", "x", "..", ".", "%20", "%00", "~Y2g", id[:len(id)-1], id + "A", "CH" + id[2:], strings.Repeat("a", 4000)} {
		got := w.do("POST", "/v1/challenges/"+other+"/verify", `{"code":"123456"}`, with("X-Request-Id", "same"))
		w.refused(other, got, 404, mfa.ChallengeInvalid, "")
		texts[got.text] = true
	}
	w.clock.Advance(16 * time.Minute)
	got := w.do("POST", "/v1/challenges/"+id+"/verify", `{"code":"123456"}`, with("X-Request-Id", "same"))
	w.refused("one that is over", got, 404, mfa.ChallengeInvalid, "")
	if texts[got.text] = true; len(texts) != 1 {
		t.Errorf("got %d different answers, want 1: %v", len(texts), texts)
	}
}
