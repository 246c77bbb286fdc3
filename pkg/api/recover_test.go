package api_test

import (
	"strings"
	"testing"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
)

// codeOf returns one of the recovery codes in an answer.
func codeOf(r reply, at int) string {
	codes, _ := r.at("recovery_codes").([]any)
	code, _ := codes[at].(string)
	return `{"code":"` + code + `"}`
}

func TestARecoveryCodeSignsInOnceHoweverItIsTyped(t *testing.T) {
	w := newWorld(t)
	_, finished := w.enrolled()
	recover := func() string { return "/v1/challenges/" + w.start().word("challenge.id") + "/recover" }
	path := recover()
	first := w.wants("recover", w.do("POST", path, codeOf(finished, 0)), 200)
	if first.word("token") == "" || first.word("effect") != "sign_in" || first.at("codes_left") != 9.0 || first.at("enrolment") != nil {
		t.Errorf("got %s", first.text)
	}
	outcome := w.wants("look", w.do("GET", strings.TrimSuffix(path, "/recover"), ""), 200)
	if outcome.word("outcome.effect") != "sign_in" || outcome.word("outcome.token") == "" {
		t.Errorf("the outcome: got %s", outcome.text)
	}
	w.refused("the challenge again", w.do("POST", path, codeOf(finished, 1)), 404, mfa.ChallengeInvalid, "")
	path = recover()
	spent := w.do("POST", path, codeOf(finished, 0))
	w.refused("the code again", spent, 422, mfa.WrongCode, "")
	if spent.at("attempts_left") != 4.0 {
		t.Errorf("the attempts left: got %v, want 4", spent.at("attempts_left"))
	}
	typed := strings.NewReplacer("-", " ", "0", "o", "1", "l").Replace(strings.ToLower(codeOf(finished, 2)))
	typed = strings.Replace(typed, "cl", "c1", 1)
	begun := w.start()
	w.wants("as somebody may type it", w.do("POST", "/v1/challenges/"+begun.word("challenge.id")+"/recover",
		strings.Replace(typed, "code", "code", 1), as(begun.word("challenge.token"))), 200)
	for _, odd := range []string{"", "x", "123456", strings.Repeat("A", 23), strings.Repeat("A", 25), strings.Repeat("U", 24), strings.Repeat("é", 24), strings.Repeat("-", 200)} {
		w.refused("what is no recovery code: "+odd, w.do("POST", path, `{"code":"`+odd+`"}`), 400, mfa.InvalidRequest, "code")
	}
	w.wants("a code after all that", w.do("POST", path, codeOf(finished, 3)), 200)
}

func TestARecoveryCodeDoesWhatThePolicySays(t *testing.T) {
	w := newWorld(t)
	_, finished := w.enrolled()
	w.wants("reset", w.do("PUT", policy, `{"recovery":{"effect":"reset"}}`, at("0")), 200)
	reset := w.wants("recover", w.do("POST", "/v1/challenges/"+w.start().word("challenge.id")+"/recover", codeOf(finished, 0)), 200)
	if reset.word("effect") != "reset" || reset.at("codes_left") != 0.0 || reset.word("token") == "" {
		t.Errorf("reset: got %s", reset.text)
	}
	if user := w.do("GET", anasPath, ""); user.at("enabled") != false || len(user.at("factors").([]any)) != 0 {
		t.Errorf("the user after a reset: got %s", user.text)
	}

	w.clock.Advance(time.Minute)
	_, finished = w.enrolled()
	w.wants("reenrol", w.do("PUT", policy, `{"recovery":{"effect":"reenrol"}}`, at("1")), 200)
	challenge := "/v1/challenges/" + w.start().word("challenge.id")
	let := w.wants("recover", w.do("POST", challenge+"/recover", codeOf(finished, 0), once("k")), 200)
	if let.word("effect") != "reenrol" || let.at("token") != nil || let.at("codes_left") != 9.0 {
		t.Errorf("reenrol: got %s, want an enrolment and no token yet", let.text)
	}
	token := as(let.word("enrolment.token"))
	if again := w.do("POST", challenge+"/recover", codeOf(finished, 0), once("k")); again.text != let.text {
		t.Errorf("again: got %s, want %s", again.text, let.text)
	}
	begun := w.wants("begin", w.do("POST", "/v1/enrolments", `{"kind":"totp"}`, token), 201)
	done := w.wants("finish", w.do("POST", "/v1/enrolments/"+begun.word("id")+"/finish", w.shown(begun.word("totp.secret")), token), 201)
	if done.word("token") == "" || len(done.at("recovery_codes").([]any)) != 10 {
		t.Errorf("finish: got %s", done.text)
	}
	user := w.do("GET", anasPath, "")
	if factors := user.at("factors").([]any); len(factors) != 1 || factors[0].(map[string]any)["id"] != done.word("factor.id") {
		t.Errorf("the user after it: got %s", user.text)
	}
	w.clock.Advance(10 * time.Minute)
	if late := w.wants("late", w.do("POST", challenge+"/recover", codeOf(finished, 0), once("k")), 200); late.at("enrolment.token") != nil {
		t.Errorf("late: got %s, want no token", late.text)
	}
}

func TestWhereOnlyARecoveryCodeIsLeftTheChallengeSaysSo(t *testing.T) {
	w := newWorld(t)
	secret, finished := w.enrolled()
	for range 2 {
		verify := "/v1/challenges/" + w.start().word("challenge.id") + "/verify"
		for range 5 {
			w.refused("a wrong code", w.do("POST", verify, w.notShown(secret)), 422, mfa.WrongCode, "")
		}
	}
	begun := w.start()
	if methods := begun.at("challenge.methods").([]any); len(methods) != 0 || begun.at("challenge.default") != nil || begun.at("challenge.recovery") != true {
		t.Errorf("got %s, want recovery alone", begun.text)
	}
	path := "/v1/challenges/" + begun.word("challenge.id")
	w.refused("a code", w.do("POST", path+"/verify", w.shown(secret)), 429, mfa.Locked, "")
	w.wants("a recovery code", w.do("POST", path+"/recover", codeOf(finished, 0)), 200)
}

func TestWhoHasNoRecoveryCodesCannotRecover(t *testing.T) {
	w := newWorld(t)
	w.asks()
	code := `{"code":"` + strings.Repeat("A", 24) + `"}`
	w.refused("without codes", w.do("POST", "/v1/challenges/"+w.start().word("challenge.id")+"/recover", code), 403, mfa.MethodForbidden, "")
	w.refused("without a challenge", w.do("POST", "/v1/challenges/x/recover", code), 404, mfa.ChallengeInvalid, "")
	w.refused("without the scope", w.do("POST", "/v1/challenges/x/recover", code, as(w.newKey([]apikey.Scope{apikey.Manage}, ""))), 403, mfa.Forbidden, "")
}
