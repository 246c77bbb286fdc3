package api_test

import (
	"net/http"
	"strings"
	"testing"

	"countersign/pkg/mfa"
	"countersign/pkg/seal"
)

func TestARequestThatIsNotWhatTheContractSaysIsRefusedAndDoesNothing(t *testing.T) {
	w := newWorld(t)
	w.asks()
	verify := "/v1/challenges/" + w.start().word("challenge.id") + "/verify"
	recover := strings.Replace(verify, "/verify", "/recover", 1)
	const (
		enrol  = "/v1/enrolments"
		start  = "/v1/challenges"
		user   = "/v1/orgs/acme/users/u-17"
		policy = "/v1/orgs/acme/policy"
	)
	long := strings.Repeat("n", 300)
	for _, c := range []struct {
		name, method, path, body, param string
		beyond                          bool // whether a schema can't express the rule
	}{
		{"no code", "POST", verify, `{}`, "code", false},
		{"null for a code", "POST", verify, `{"code":null}`, "code", false},
		{"a number for a code", "POST", verify, `{"code":123456}`, "code", false},
		{"true for a code", "POST", verify, `{"code":true}`, "code", false},
		{"an array for a code", "POST", verify, `{"code":["123456"]}`, "code", false},
		{"an object for a code", "POST", verify, `{"code":{"$ne":""}}`, "code", false},
		{"five digits", "POST", verify, `{"code":"12345"}`, "code", false},
		{"seven digits", "POST", verify, `{"code":"1234567"}`, "code", false},
		{"a space before a code", "POST", verify, `{"code":" 123456"}`, "code", false},
		{"other digits", "POST", verify, `{"code":"١٢٣٤٥٦"}`, "code", false},
		{"two codes", "POST", verify, `{"code":"123456","code":"123457"}`, "code", true},
		{"two codes, one spelled by escapes", "POST", verify, `{"code":"123456","\u0063ode":"123457"}`, "code", true},
		{"a code in another case", "POST", verify, `{"Code":"123456"}`, "Code", false},
		{"a verdict", "POST", verify, `{"code":"123456","verified":true}`, "verified", false},
		{"a credential without fields", "POST", verify, `{"credential":{}}`, "credential", false},
		{"an org", "POST", verify, `{"code":"123456","org":"acme"}`, "org", false},
		{"a number for a factor", "POST", verify, `{"code":"123456","factor":1}`, "factor", false},
		{"an array for trust", "POST", verify, `{"code":"123456","trust":[]}`, "trust", false},
		{"true for trust", "POST", verify, `{"code":"123456","trust":true}`, "trust", false},
		{"null for a name", "POST", verify, `{"code":"123456","trust":{"name":null}}`, "trust.name", false},
		{"a name that is too long", "POST", verify, `{"code":"123456","trust":{"name":"` + long + `"}}`, "trust.name", false},
		{"days of trust", "POST", verify, `{"code":"123456","trust":{"days":90}}`, "trust.days", false},

		{"no org", "POST", start, `{"user":{"id":"u"}}`, "org", false},
		{"no user", "POST", start, `{"org":"acme"}`, "user.id", false},
		{"null for the org", "POST", start, `{"org":null,"user":{"id":"u"}}`, "org", false},
		{"null for the user", "POST", start, `{"org":"acme","user":null}`, "user", false},
		{"null for the user's id", "POST", start, `{"org":"acme","user":{"id":null}}`, "user.id", false},
		{"a string for the user", "POST", start, `{"org":"acme","user":"u"}`, "user", false},
		{"a number for the user's id", "POST", start, `{"org":"acme","user":{"id":17}}`, "user.id", false},
		{"an array for the user's id", "POST", start, `{"org":"acme","user":{"id":["u"]}}`, "user.id", false},
		{"an org in the user", "POST", start, `{"org":"acme","user":{"id":"u","org":"other"}}`, "user.org", false},
		{"two orgs", "POST", start, `{"org":"acme","org":"other","user":{"id":"u"}}`, "org", true},
		{"two ids in the user", "POST", start, `{"org":"acme","user":{"id":"u","id":"v"}}`, "user.id", true},
		{"a number for the email", "POST", start, `{"org":"acme","user":{"id":"u","email":1}}`, "user.email", false},
		{"an object for the email", "POST", start, `{"org":"acme","user":{"id":"u","email":{"a":"b"}}}`, "user.email", false},
		{"a verified email", "POST", start, `{"org":"acme","user":{"id":"u","email_verified":true}}`, "user.email_verified", false},
		{"a control character in an id", "POST", start, `{"org":"acme","user":{"id":"u\u0000"}}`, "user.id", true},
		{"a space around an id", "POST", start, `{"org":"acme","user":{"id":" u"}}`, "user.id", true},
		{"an id that is too long", "POST", start, `{"org":"acme","user":{"id":"` + long + `"}}`, "user.id", false},
		{"a number for the action", "POST", start, `{"org":"acme","user":{"id":"u"},"purpose":"step_up","action":1}`, "action", false},
		{"a list for the action", "POST", start, `{"org":"acme","user":{"id":"u"},"purpose":"step_up","action":["pay"]}`, "action", false},
		{"an action with more", "POST", start, `{"org":"acme","user":{"id":"u"},"purpose":"step_up","action":{"name":"pay","amount":5}}`, "action.amount", false},
		{"an action with two names", "POST", start, `{"org":"acme","user":{"id":"u"},"purpose":"step_up","action":{"name":"pay","name":"x"}}`, "action.name", true},
		{"null for the action's name", "POST", start, `{"org":"acme","user":{"id":"u"},"purpose":"step_up","action":{"name":null}}`, "action.name", false},
		{"null for the lines", "POST", start, `{"org":"acme","user":{"id":"u"},"purpose":"step_up","action":{"name":"pay","lines":null}}`, "action.lines", false},
		{"a text for the lines", "POST", start, `{"org":"acme","user":{"id":"u"},"purpose":"step_up","action":{"name":"pay","lines":"a"}}`, "action.lines", false},
		{"a number for a line", "POST", start, `{"org":"acme","user":{"id":"u"},"purpose":"step_up","action":{"name":"pay","lines":[1]}}`, "action.lines.0", false},
		{"lines of a sign-in", "POST", start, `{"org":"acme","user":{"id":"u"},"action":{"name":"pay","lines":["a"]}}`, "action.lines", true},
		{"no lines and no name", "POST", start, `{"org":"acme","user":{"id":"u"},"action":{"lines":[]}}`, "action.name", false},
		{"an action with nothing in it", "POST", "/v1/decisions", `{"org":"acme","user":{"id":"u"},"action":{}}`, "action.name", false},
		{"lines without a name", "POST", start, `{"org":"acme","user":{"id":"u"},"purpose":"step_up","action":{"lines":["a"]}}`, "action.name", false},
		{"another purpose", "POST", start, `{"org":"acme","user":{"id":"u"},"purpose":"recover"}`, "purpose", false},
		{"no name for the action", "POST", start, `{"org":"acme","user":{"id":"u"},"purpose":"step_up","action":""}`, "action", false},
		{"another method", "POST", start, `{"org":"acme","user":{"id":"u"},"method":"pigeon"}`, "method", false},
		{"a method in another case", "POST", start, `{"org":"acme","user":{"id":"u"},"method":"EMAIL"}`, "method", false},
		{"a nonce that is too long", "POST", start, `{"org":"acme","user":{"id":"u"},"nonce":"` + long + `"}`, "nonce", false},
		{"another first factor", "POST", start, `{"org":"acme","user":{"id":"u"},"first_factor":{"kind":"trust me"}}`, "first_factor.kind", false},
		{"a time that is none", "POST", start, `{"org":"acme","user":{"id":"u"},"first_factor":{"at":"yesterday"}}`, "first_factor.at", false},
		{"a number for a time", "POST", start, `{"org":"acme","user":{"id":"u"},"first_factor":{"at":1763805600}}`, "first_factor.at", false},
		{"null in a list", "POST", start, `{"org":"acme","user":{"id":"u"},"first_factor":{"amr":[null]}}`, "first_factor.amr.0", false},
		{"an address that is none", "POST", start, `{"org":"acme","user":{"id":"u"},"context":{"ip":"localhost"}}`, "context.ip", true},
		{"another's return URL", "POST", start, `{"org":"acme","user":{"id":"u"},"return_url":"https://evil.example/"}`, "return_url", true},
		{"a decision", "POST", start, `{"org":"acme","user":{"id":"u"},"decision":"allow"}`, "decision", false},

		{"verified on a user", "PUT", user, `{"verified":true}`, "verified", false},
		{"enabled on a user", "PUT", user, `{"enabled":false}`, "enabled", false},
		{"an org on a user", "PUT", user, `{"org":"other"}`, "org", false},
		{"null for a user's id", "PUT", user, `{"id":null}`, "id", false},
		{"an array for an email", "PUT", user, `{"email":["a@b.example"]}`, "email", false},
		{"a phone without a plus", "PUT", user, `{"phone":"0612345678"}`, "phone", false},

		{"no kind", "POST", enrol, `{"org":"acme","user":{"id":"u"}}`, "kind", false},
		{"another kind", "POST", enrol, `{"org":"acme","user":{"id":"u"},"kind":"pigeon"}`, "kind", false},
		{"no user for a key", "POST", enrol, `{"org":"acme","kind":"totp"}`, "user.id", true},
		{"no org for a key", "POST", enrol, `{"user":{"id":"u"},"kind":"totp"}`, "org", true},
		{"no id for a user to enrol", "POST", enrol, `{"org":"acme","user":{},"kind":"totp"}`, "user.id", false},
		{"a string for a user to enrol", "POST", enrol, `{"org":"acme","user":"u","kind":"totp"}`, "user", false},
		{"a secret of the caller's", "POST", enrol, `{"org":"acme","user":{"id":"u"},"kind":"totp","secret":"JBSWY3DPEHPK3PXP"}`, "secret", false},
		{"a phone for an app", "POST", enrol, `{"org":"acme","user":{"id":"u"},"kind":"totp","phone":"+33612345678"}`, "phone", true},
		{"a label that is too long", "POST", enrol, `{"org":"acme","user":{"id":"u"},"kind":"totp","label":"` + long + `"}`, "label", false},
		{"a label with a line end", "POST", enrol, `{"org":"acme","user":{"id":"u"},"kind":"totp","label":"a\nb"}`, "label", true},
		{"no reason", "POST", enrol, `{"org":"acme","user":{"id":"u"},"kind":"totp","on_behalf":{"actor":"a"}}`, "on_behalf.reason", false},
		{"no actor", "POST", enrol, `{"org":"acme","user":{"id":"u"},"kind":"totp","on_behalf":{"reason":"r"}}`, "on_behalf.actor", true}, // it can be left out with a portal token
		{"true for on behalf", "POST", enrol, `{"org":"acme","user":{"id":"u"},"kind":"totp","on_behalf":true}`, "on_behalf", false},
		{"a scope in on behalf", "POST", enrol, `{"org":"acme","user":{"id":"u"},"kind":"totp","on_behalf":{"actor":"a","reason":"r","scope":"x"}}`, "on_behalf.scope", false},
		{"no code to prove by", "POST", enrol + "/prove", `{}`, "code", false},
		{"a number to prove by", "POST", enrol + "/prove", `{"code":123456}`, "code", false},
		{"a number to finish by", "POST", enrol + "/en_a/finish", `{"code":123456}`, "code", false},
		{"letters to finish by", "POST", enrol + "/en_a/finish", `{"code":"12345a"}`, "code", false},
		{"a credential without fields to finish by", "POST", enrol + "/en_a/finish", `{"credential":{}}`, "credential", false},
		{"trust at a finish", "POST", enrol + "/en_a/finish", `{"code":"123456","trust":{}}`, "trust", false},
		{"a factor at an enrolment's send", "POST", enrol + "/en_a/send", `{"factor":"fa_a"}`, "factor", false},

		{"no recovery code", "POST", recover, `{}`, "code", false},
		{"six digits for a recovery code", "POST", recover, `{"code":"123456"}`, "code", false},
		{"a list of recovery codes", "POST", recover, `{"code":["A"]}`, "code", false},
		{"an effect", "POST", recover, `{"code":"x","effect":"reset"}`, "effect", false},

		{"a string for on or off", "PATCH", user, `{"enabled":"false"}`, "enabled", false},
		{"neither on nor off", "PATCH", user, `{}`, "enabled", false},
		{"a profile in a patch", "PATCH", user, `{"enabled":true,"email":"a@b.example"}`, "email", false},
		{"no label", "PATCH", user + "/factors/fa_a", `{}`, "label", false},
		{"a number for a label", "PATCH", user + "/factors/fa_a", `{"label":1}`, "label", false},
		{"a kind for a factor", "PATCH", user + "/factors/fa_a", `{"label":"n","kind":"totp"}`, "kind", false},
		{"a number of recovery codes", "POST", user + "/recovery-codes", `{"count":20}`, "count", false},
		{"no kind of event", "POST", user + "/events", `{}`, "kind", false},
		{"another kind of event", "POST", user + "/events", `{"kind":"promoted"}`, "kind", false},
		{"a time of an event", "POST", user + "/events", `{"kind":"signed_out","at":"2026-11-22T10:00:00Z"}`, "at", false},

		{"a null in a preview", "POST", policy + "/preview", `{"trust":null}`, "trust", false},
		{"a setting that isn't there, in a preview", "POST", policy + "/preview", `{"trust":{"weeks":1}}`, "trust.weeks", false},

		{"null for a setting", "PUT", policy, `{"require":null}`, "require", false},
		{"null for a group", "PUT", policy, `{"trust":null}`, "trust", false},
		{"null for a number", "PUT", policy, `{"trust":{"days":null}}`, "trust.days", false},
		{"null for a yes or no", "PUT", policy, `{"trust":{"rotate":null}}`, "trust.rotate", false},
		{"null for a list", "PUT", policy, `{"sso_amr":null}`, "sso_amr", false},
		{"null for a profile", "PUT", policy, `{"profile":null}`, "profile", false},
		{"null for an acknowledgement", "PUT", policy, `{"acknowledge":null}`, "acknowledge", false},
		{"a string for a number", "PUT", policy, `{"trust":{"days":"7"}}`, "trust.days", false},
		{"a fraction", "PUT", policy, `{"trust":{"days":7.5}}`, "trust.days", false},
		{"a number that is out of bounds", "PUT", policy, `{"trust":{"days":91}}`, "trust.days", false},
		{"a number that no integer holds", "PUT", policy, `{"trust":{"days":1e400}}`, "trust.days", false},
		{"a setting that isn't there", "PUT", policy, `{"trust":{"weeks":1}}`, "trust.weeks", false},
		{"a profile that isn't there", "PUT", policy, `{"profile":"none"}`, "profile", false},
		{"a file for a profile", "PUT", policy, `{"profile":"../profiles/kls"}`, "profile", false},
		{"a string for an acknowledgement", "PUT", policy, `{"acknowledge":"true"}`, "acknowledge", false},
		{"two groups of one name", "PUT", policy, `{"trust":{"days":7},"trust":{"days":0}}`, "trust", true},

		{"an array", "POST", start, `[]`, "body", false},
		{"a string", "POST", start, `"acme"`, "body", false},
		{"null", "POST", start, `null`, "body", false},
		{"something after the object", "POST", start, ana + `{}`, "body", true},
		{"a comma after the object", "POST", start, ana + `,`, "body", true},
		{"a comma too many", "POST", start, `{"org":"acme","user":{"id":"u"},}`, "body", true},
		{"a comment", "POST", start, `{/**/"org":"acme","user":{"id":"u"}}`, "body", true},
		{"a byte order mark", "POST", start, "\uFEFF" + ana, "body", true},
		{"bytes that are no UTF-8", "POST", start, "{\"org\":\"acme\",\"user\":{\"id\":\"u\xff\"}}", "body", true},
		{"half a surrogate pair", "POST", start, `{"org":"acme","user":{"id":"u\ud800"}}`, "body", true},
		{"UTF-16", "POST", start, "{\x00}\x00", "body", true},
		{"an object that isn't closed", "POST", start, `{"org":"acme"`, "body", true},
		{"space", "POST", start, "  ", "body", true},
		{"deep nesting", "POST", start, `{"org":"acme","user":` + strings.Repeat(`{"a":`, 9000) + "1" + strings.Repeat("}", 9000) + `}`, "user.a", false},
		{"deeper nesting than any decoder takes", "POST", start, `{"org":` + strings.Repeat("[", 60000) + `}`, "body", true},
		{"a field of an endless name", "POST", start, `{"org":"acme","user":{"id":"u","` + strings.Repeat("x", 9000) + `":1}}`, "user", false},
	} {
		got := w.do(c.method, c.path, c.body, with("Content-Type", "application/json"), with("If-Match", `"1"`))
		if c.name == "deeper nesting than any decoder takes" {
			c.param = got.word("param") // the place where the reader stopped makes no difference
		}
		w.refused(c.name, got, 400, mfa.InvalidRequest, c.param)
		if len(got.text) > 4096 {
			t.Errorf("%s: the answer has %d bytes", c.name, len(got.text))
		}
		if err := w.check.Request(c.method, c.path, []byte(c.body)); err == nil && !c.beyond {
			t.Errorf("%s: the document takes it", c.name)
		}
	}
	for _, body := range []string{"[]", "null", "7", ""} {
		if got := w.do("POST", start, body, with("Content-Type", "application/json")); got.word("detail") != "The body must be a JSON object." || got.word("param") != "body" {
			t.Errorf("%q: got %s", body, got.text)
		}
	}
	w.wants("a verify after all that", w.do("POST", verify, `{"code":"`+w.mail.last()+`"}`), 200)
}

func TestARequestIsTakenInEveryFormThatTheContractGivesIt(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name, method, path, body string
		status                   int
	}{
		{"the least", "POST", "/v1/challenges", `{"org":"acme","user":{"id":"u"}}`, 200},
		{"the whole", "POST", "/v1/challenges", `{"org":"acme",
			"user":{"id":"u-17","email":"ana@acme.example","phone":"+33612345678","name":"Ana","locale":"fr"},
			"first_factor":{"kind":"password","at":"2026-11-22T10:00:00Z","idp":null,"amr":[],"acr":null},
			"purpose":"sign_in","action":null,"nonce":"n","method":null,"trust_token":null,
			"context":{"ip":"203.0.113.9","user_agent":"x"},"return_url":null}`, 200},
		{"a text for the action", "POST", "/v1/decisions", `{"org":"acme","user":{"id":"u"},"action":"pay"}`, 200},
		{"an object for the action", "POST", "/v1/decisions", `{"org":"acme","user":{"id":"u"},"action":{"name":"pay"}}`, 200},
		{"an action without lines", "POST", "/v1/decisions", `{"org":"acme","user":{"id":"u"},"action":{"name":"pay","lines":[]}}`, 200},
		{"null wherever null is taken", "POST", "/v1/decisions", `{"org":"acme",
			"user":{"id":"u-17","email":null,"phone":null,"name":null,"locale":null},
			"first_factor":{"kind":null,"at":null,"idp":null,"amr":null,"acr":null},
			"purpose":null,"action":null,"nonce":null,"method":null,"trust_token":null,
			"context":{"ip":null,"user_agent":null},"return_url":null}`, 200},
		{"null for whole groups", "POST", "/v1/decisions", `{"org":"acme","user":{"id":"u"},"first_factor":null,"context":null}`, 200},
		{"a time elsewhere", "POST", "/v1/decisions", `{"org":"acme","user":{"id":"u"},"first_factor":{"at":"2026-11-22T11:00:00+01:00"}}`, 200},
		{"a bad email, at sign-in", "POST", "/v1/challenges", `{"org":"acme","user":{"id":"u","email":"nobody"}}`, 200},
		{"a trust token that is none", "POST", "/v1/decisions", `{"org":"acme","user":{"id":"u"},"trust_token":"x"}`, 200},
		{"the client's own page", "POST", "/v1/decisions", `{"org":"acme","user":{"id":"u"},"return_url":"https://app.example/back"}`, 200},
		{"space around", "POST", "/v1/decisions", " \r\n\t" + ana + "\n", 200},
		{"escapes", "POST", "/v1/decisions", `{"\u006frg":"acme","user":{"id":"\ud83d\ude00"}}`, 200},
		{"nothing to change", "PUT", "/v1/orgs/acme/users/u", `{}`, 200},
		{"null wherever an enrolment takes it", "POST", "/v1/enrolments", `{"org":"acme","user":{"id":"u","email":null,"phone":null,"name":null,"locale":null},
			"kind":"totp","label":null,"phone":null,"on_behalf":null}`, 403},
		{"the whole of an enrolment", "POST", "/v1/enrolments", `{"org":"acme","user":{"id":"u-17","email":"ana@acme.example","name":"Ana","locale":"fr"},
			"kind":"totp","label":"Téléphone","on_behalf":{"actor":"u-2","reason":"New"}}`, 201},
		{"nothing to say", "POST", "/v1/enrolments/en_a/send", ``, 404},
	} {
		w.wants(c.name, w.do(c.method, c.path, c.body), c.status)
		if err := w.check.Request(c.method, c.path, []byte(c.body)); err != nil {
			t.Errorf("%s: the document refuses it: %v", c.name, err)
		}
	}
}

func TestABodyHasAtMost64KiB(t *testing.T) {
	w := newWorld(t)
	padded := func(size int) string { return ana + strings.Repeat(" ", size-len(ana)) }
	w.wants("64 KiB", w.do("POST", "/v1/decisions", padded(64<<10)), 200)
	w.refused("one byte more", w.do("POST", "/v1/decisions", padded(64<<10+1)), 413, "too_large", "")
	unsized := func(r *http.Request) { r.ContentLength = -1 }
	w.wants("64 KiB, chunked", w.do("POST", "/v1/decisions", padded(64<<10), unsized), 200)
	w.refused("one byte more, chunked", w.do("POST", "/v1/decisions", padded(64<<10+1), unsized), 413, "too_large", "")
	w.refused("a megabyte of a GET", w.do("GET", "/v1/orgs/acme/policy", padded(1<<20)), 400, mfa.InvalidRequest, "body")
}

func TestABodyIsDeclaredAsPlainJSON(t *testing.T) {
	w := newWorld(t)
	for _, good := range []string{"application/json", "application/json; charset=utf-8", "Application/JSON;charset=\"UTF-8\""} {
		w.wants(good, w.do("POST", "/v1/decisions", ana, with("Content-Type", good)), 200)
	}
	for _, bad := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
		"application/json; charset=utf-16", "application/json; charset=utf-8; x=y", "application/json, text/plain",
		"application/problem+json", "application/jsonp", "json", ";"} {
		w.refused(bad, w.do("POST", "/v1/decisions", ana, with("Content-Type", bad)), 415, "unsupported_media_type", "")
	}
	w.refused("none", w.do("POST", "/v1/decisions", ana, without("Content-Type")), 415, "unsupported_media_type", "")
	w.refused("two", w.do("POST", "/v1/decisions", ana, func(r *http.Request) { r.Header.Add("Content-Type", "text/plain") }),
		415, "unsupported_media_type", "")
	w.refused("packed", w.do("POST", "/v1/decisions", ana, with("Content-Encoding", "gzip")), 415, "unsupported_media_type", "")
	w.refused("a PUT without", w.do("PUT", "/v1/orgs/acme/users/u", `{}`, without("Content-Type")), 415, "unsupported_media_type", "")
}

func TestACallThatHasNoBodyTakesNone(t *testing.T) {
	w := newWorld(t)
	for _, method := range []string{"GET", "DELETE"} {
		w.refused(method, w.do(method, "/v1/orgs/acme/users/u", `{}`), 400, mfa.InvalidRequest, "body")
	}
	for _, open := range []string{"/health", "/.well-known/jwks.json", "/problems/busy"} {
		w.refused(open, w.do("GET", open, `{}`, without("Authorization")), 400, mfa.InvalidRequest, "body")
	}
	w.wants("an empty one", w.do("GET", "/v1/orgs/acme/policy", "", with("Content-Type", "application/json")), 200)
}

// A longer bearer is refused for its form, without a look at whether it was made here.
func TestABearerHasAtMost512Bytes(t *testing.T) {
	w := newWorld(t)
	for length, looked := range map[int]bool{1: true, 511: true, 512: true, 513: false, 8000: false} {
		for _, end := range []string{"", "=="} {
			token := strings.Repeat("a", max(1, length-len(end))) + end
			if len(token) != length {
				continue
			}
			got := w.do("POST", "/v1/challenges", "no JSON", with("Authorization", "Bearer "+token))
			w.refused("a bearer", got, 401, mfa.Unauthenticated, "")
			if strings.Contains(got.word("detail"), "valid here") != looked {
				t.Errorf("%d bytes ending in %q: got %s, want a bearer that was looked at: %v", length, end, got.text, looked)
			}
		}
	}
	for _, prefix := range []string{seal.APIKey, seal.ChallengeToken, seal.EnrolmentToken} {
		if longest := len(seal.NewFilter().NewBearer(prefix, make([]byte, 48)).Reveal()); longest > 512 {
			t.Errorf("%s: a bearer has %d bytes", prefix, longest)
		}
	}
}

func TestABearerIsOneTokenOfTheBearerScheme(t *testing.T) {
	w := newWorld(t)
	for _, good := range []string{"Bearer " + w.key, "bearer " + w.key, "BEARER " + w.key} {
		w.wants("a good one", w.do("GET", "/v1/orgs/acme/policy", "", with("Authorization", good)), 200)
	}
	for name, bad := range map[string]string{
		"empty": "", "the scheme alone": "Bearer", "no token": "Bearer ", "the token alone": w.key, "two spaces": "Bearer  " + w.key,
		"another scheme": "Basic " + w.key, "a tab": "Bearer\t" + w.key, "two tokens": "Bearer " + w.key + " " + w.key,
		"two bearers": "Bearer " + w.key + ",Bearer " + w.key, "padding": "Bearer " + w.key + "=", "padding alone": "Bearer ===",
		"cut short": "Bearer " + w.key[:len(w.key)-1], "one more": "Bearer " + w.key + "A", "endless": "Bearer " + strings.Repeat("a", 5000),
		"another kind": "Bearer cst_" + w.key[4:], "odd bytes": "Bearer csk_\xff",
	} {
		got := w.do("GET", "/v1/orgs/acme/policy", "", with("Authorization", bad))
		w.refused(name, got, 401, mfa.Unauthenticated, "")
	}
	w.refused("none", w.do("GET", "/v1/orgs/acme/policy", "", without("Authorization")), 401, mfa.Unauthenticated, "")
	w.refused("two", w.do("GET", "/v1/orgs/acme/policy", "", func(r *http.Request) {
		r.Header.Add("Authorization", "Bearer "+w.key)
	}), 401, mfa.Unauthenticated, "")
	w.refused("in the query", w.do("GET", "/v1/orgs/acme/policy?access_token="+w.key, "", without("Authorization")), 401, mfa.Unauthenticated, "")
	w.refused("a bearer comes before all else", w.do("POST", "/v1/challenges", "x", without("Authorization"), with("Content-Type", "x")),
		401, mfa.Unauthenticated, "")
}
