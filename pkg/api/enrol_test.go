package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
)

const anasApp = `{"org":"acme","user":{"id":"u-17","email":"ana@acme.example"},"kind":"totp","label":"My phone"}`

// onBehalf returns the body of an enrolment that an administrator begins for a user.
func onBehalf(body string) string {
	return strings.Replace(body, `"kind"`, `"on_behalf":{"actor":"u-2","reason":"New colleague"},"kind"`, 1)
}

// reauthenticated adds to a request that the user's password was checked just now.
func (w *world) reauthenticated() alteration {
	return with("Countersign-Reauthenticated-At", w.clock.Now().Format(time.RFC3339))
}

func proof(token string) alteration { return with("Countersign-Proof", token) }

// shown returns the code that an authenticator app shows now.
func (w *world) shown(secret string) string {
	w.t.Helper()
	code, err := totp.GenerateCode(secret, w.clock.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	return `{"code":"` + code + `"}`
}

// notShown returns a code that the app shows neither now nor in the time steps around now.
func (w *world) notShown(secret string) string {
	w.t.Helper()
	for _, wrong := range []string{"000000", "000001", "000002", "000003"} {
		if good, err := totp.ValidateCustom(wrong, secret, w.clock.Now(), totp.ValidateOpts{Skew: 2, Period: 30, Digits: 6}); err != nil {
			w.t.Fatal(err)
		} else if !good {
			return `{"code":"` + wrong + `"}`
		}
	}
	panic("four codes of five steps")
}

// enrolled enrols an authenticator app for Ana. It returns the app's secret and the answer to the last call.
func (w *world) enrolled() (secret string, finished reply) {
	w.t.Helper()
	begun := w.wants("begin", w.do("POST", "/v1/enrolments", anasApp, w.reauthenticated()), 201)
	secret = begun.word("totp.secret")
	finished = w.wants("finish", w.do("POST", "/v1/enrolments/"+begun.word("id")+"/finish", w.shown(secret)), 201)
	w.clock.Advance(30 * time.Second) // the code of this time step is used up
	return secret, finished
}

// steppedUp returns the token of a step-up that Ana has just answered with her app.
func (w *world) steppedUp(secret, action string) string {
	w.t.Helper()
	begun := w.wants("step up", w.do("POST", "/v1/challenges",
		`{"org":"acme","user":{"id":"u-17"},"purpose":"step_up","action":`+action+`}`), 201)
	done := w.wants("answer", w.do("POST", "/v1/challenges/"+begun.word("challenge.id")+"/verify", w.shown(secret)), 200)
	w.clock.Advance(30 * time.Second)
	return done.word("token")
}

func TestTheFinishOfAnEnrolmentSaysHowFarAClockIsOffAndNoSignInDoes(t *testing.T) {
	w := newWorld(t)
	begun := w.wants("begin", w.do("POST", "/v1/enrolments", anasApp, w.reauthenticated()), 201)
	ahead := func(secret string) string {
		code, err := totp.GenerateCode(secret, w.clock.Now().Add(7*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		return `{"code":"` + code + `"}`
	}
	got := w.do("POST", "/v1/enrolments/"+begun.word("id")+"/finish", ahead(begun.word("totp.secret")))
	w.refused("a clock that is ahead", got, 422, mfa.WrongCode, "")
	if got.at("clock_off_s") != 420.0 || got.at("attempts_left") != 4.0 {
		t.Errorf("got %s, want 420 seconds ahead and 4 attempts left", got.text)
	}
	secret, _ := w.enrolled()
	signIn := w.do("POST", "/v1/challenges/"+w.start().word("challenge.id")+"/verify", ahead(secret))
	w.refused("at a sign-in", signIn, 422, mfa.WrongCode, "")
	if _, there := signIn.body["clock_off_s"]; there {
		t.Errorf("at a sign-in: got %s", signIn.text)
	}
}

func TestAUserEnrolsAnAppSignsInWithItAndRemovesIt(t *testing.T) {
	w := newWorld(t)
	offered := w.wants("before", w.do("POST", "/v1/challenges", ana), 200)
	if kinds := offered.at("offer.kinds"); !slices.Equal(kinds.([]any), []any{"totp", "email"}) {
		t.Errorf("the offer: got %v, want totp and email", kinds)
	}
	begun := w.wants("begin", w.do("POST", "/v1/enrolments", anasApp, w.reauthenticated()), 201)
	secret := begun.word("totp.secret")
	if !strings.Contains(begun.word("totp.uri"), "secret="+secret) || !strings.HasPrefix(begun.word("totp.qr_svg"), "<svg ") ||
		begun.word("kind") != "totp" || begun.word("expires") != "2026-11-22T10:10:00Z" {
		t.Errorf("got %s", begun.text)
	}
	path := "/v1/enrolments/" + begun.word("id")
	w.refused("a send of what isn't sent", w.do("POST", path+"/send", ``), 409, mfa.NothingToSend, "")
	wrong := w.do("POST", path+"/finish", w.notShown(secret))
	w.refused("a wrong code", wrong, 422, mfa.WrongCode, "")
	if wrong.at("attempts_left") != 4.0 {
		t.Errorf("the attempts left: got %v, want 4", wrong.at("attempts_left"))
	}
	w.refused("no code", w.do("POST", path+"/finish", `{}`), 400, mfa.InvalidRequest, "code")
	finished := w.wants("finish", w.do("POST", path+"/finish", w.shown(secret)), 201)
	if finished.word("factor.label") != "My phone" || len(finished.at("recovery_codes").([]any)) != 10 || finished.at("token") != nil ||
		!slices.Equal(finished.at("offer.kinds").([]any), []any{"email"}) {
		t.Errorf("finish: got %s", finished.text)
	}
	w.refused("finish again", w.do("POST", path+"/finish", w.shown(secret)), 404, mfa.EnrolmentInvalid, "")
	user := w.wants("the user", w.do("GET", anasPath, ""), 200)
	if user.at("enabled") != true || user.word("status") != "protected" || user.at("recovery.codes_left") != 10.0 ||
		user.at("factors").([]any)[0].(map[string]any)["id"] != finished.word("factor.id") {
		t.Errorf("the user: got %s", user.text)
	}

	asked := w.start()
	if asked.word("challenge.methods.0.kind") != "" || asked.word("challenge.default") != finished.word("factor.id") ||
		asked.at("challenge.sent") != nil || asked.at("challenge.recovery") != true {
		t.Errorf("start: got %s", asked.text)
	}
	answer := "/v1/challenges/" + asked.word("challenge.id") + "/verify"
	w.refused("the code of the enrolment", w.do("POST", answer, w.shown(secret)), 422, mfa.WrongCode, "")
	w.clock.Advance(30 * time.Second)
	w.wants("the next code", w.do("POST", answer, w.shown(secret)), 200)
	w.clock.Advance(30 * time.Second)

	factor := anasPath + "/factors/" + finished.word("factor.id")
	renamed := w.wants("rename", w.do("PATCH", factor, `{"label":"Téléphone"}`), 200)
	if renamed.word("label") != "Téléphone" || renamed.word("id") != finished.word("factor.id") {
		t.Errorf("rename: got %s", renamed.text)
	}
	w.refused("remove, unproven", w.do("DELETE", factor, "", w.reauthenticated()), 403, mfa.StepUpNeeded, "")
	token := w.steppedUp(secret, `"account"`)
	w.refused("remove, of whom the password wasn't checked", w.do("DELETE", factor, "", proof(token)), 403, mfa.ReauthenticationNeeded, "")
	removed := w.wants("remove", w.do("DELETE", factor, "", w.reauthenticated(), proof(token)), 204)
	if removed.text != "" {
		t.Errorf("remove: got %s", removed.text)
	}
	w.refused("remove again", w.do("DELETE", factor, "", w.reauthenticated(), proof(token)), 404, mfa.NotFound, "")
	if after := w.do("GET", anasPath, ""); after.at("enabled") != false || len(after.at("factors").([]any)) != 0 {
		t.Errorf("the user: got %s", after.text)
	}
}

// mustEnrol makes the org require a factor, and starts a sign-in for Ana, who has none.
func (w *world) mustEnrol(settings string) reply {
	w.t.Helper()
	w.wants("the policy", w.do("PUT", policy, `{"require":"everyone","acknowledge":true`+settings+`}`, at("0")), 200)
	decided := w.wants("decide", w.do("POST", "/v1/decisions", ana), 200)
	begun := w.start()
	for _, r := range []reply{decided, begun} {
		if r.word("decision") != "enrol" || r.word("reason") != "required" {
			w.t.Errorf("got %s, want enrol because it is required", r.text)
		}
	}
	return begun
}

func TestWhoMustEnrolProvesTheAddressEnrolsAndIsIn(t *testing.T) {
	w := newWorld(t)
	begun := w.mustEnrol("")
	token := as(begun.word("enrolment.token"))
	looked := "/v1/challenges/" + begun.word("id")
	if got := w.wants("look", w.do("GET", looked, ""), 200); got.word("state") != "pending" {
		t.Errorf("got %s, want pending", got.text)
	}
	first := w.wants("begin", w.do("POST", "/v1/enrolments", `{"org":null,"user":null,"kind":"totp","label":null}`, token), 201)
	if first.word("prove.sent.sequence") != "A" || first.at("id") != nil {
		t.Errorf("begin: got %s, want a code to prove the address by", first.text)
	}
	w.refused("too soon", w.do("POST", "/v1/enrolments", `{"kind":"totp"}`, token), 429, mfa.TooManySends, "")
	w.refused("a code that is none", w.do("POST", "/v1/enrolments/prove", `{"code":"12345"}`, token), 400, mfa.InvalidRequest, "code")
	miss := `{"code":"000000"}`
	if w.mail.last() == "000000" {
		miss = `{"code":"000001"}`
	}
	w.refused("a wrong code", w.do("POST", "/v1/enrolments/prove", miss, token), 422, mfa.WrongCode, "")
	w.refused("by a key", w.do("POST", "/v1/enrolments/prove", miss), 401, mfa.Unauthenticated, "")
	proven := w.wants("prove", w.do("POST", "/v1/enrolments/prove", `{"code":"`+w.mail.last()+`"}`, token), 200)
	if proven.at("proven") != true || proven.word("expires") != begun.word("enrolment.expires") {
		t.Errorf("prove: got %s", proven.text)
	}
	second := w.wants("begin", w.do("POST", "/v1/enrolments", `{"kind":"totp"}`, token), 201)
	finish := "/v1/enrolments/" + second.word("id") + "/finish"
	w.refused("by a key", w.do("POST", finish, w.shown(second.word("totp.secret"))), 404, mfa.EnrolmentInvalid, "")
	finished := w.wants("finish", w.do("POST", finish, w.shown(second.word("totp.secret")), token), 201)
	if finished.word("token") == "" || finished.word("issued_at") != "2026-11-22T10:00:00Z" || len(finished.at("recovery_codes").([]any)) != 10 {
		t.Errorf("finish: got %s, want a token and recovery codes", finished.text)
	}
	w.refused("begin after it", w.do("POST", "/v1/enrolments", `{"kind":"totp"}`, token), 404, mfa.EnrolmentInvalid, "")
	outcome := w.wants("look", w.do("GET", looked, ""), 200)
	if outcome.word("state") != "verified" || outcome.word("outcome.factor.id") != finished.word("factor.id") ||
		outcome.word("outcome.token") == "" || outcome.at("outcome.recovery_codes") != nil {
		t.Errorf("the outcome: got %s", outcome.text)
	}
}

func TestAProvenAddressIsEnrolledWithoutASecondCode(t *testing.T) {
	w := newWorld(t)
	token := as(w.mustEnrol("").word("enrolment.token"))
	w.wants("begin", w.do("POST", "/v1/enrolments", `{"kind":"totp"}`, token), 201)
	w.wants("prove", w.do("POST", "/v1/enrolments/prove", `{"code":"`+w.mail.last()+`"}`, token), 200)
	begun := w.wants("begin", w.do("POST", "/v1/enrolments", `{"kind":"email"}`, token), 201)
	if begun.at("proven") != true || begun.at("sent") != nil {
		t.Errorf("begin: got %s, want it proven", begun.text)
	}
	path := "/v1/enrolments/" + begun.word("id")
	w.refused("a send", w.do("POST", path+"/send", `{}`, token), 409, mfa.NothingToSend, "")
	finished := w.wants("finish", w.do("POST", path+"/finish", `{}`, token), 201)
	if finished.word("factor.kind") != "email" || finished.word("factor.hint") != "a***@acme.example" || finished.word("token") == "" {
		t.Errorf("finish: got %s", finished.text)
	}
}

func TestAnAddressIsEnrolledByTheLastCodeThatWentThere(t *testing.T) {
	w := newWorld(t)
	body := strings.Replace(anasApp, "totp", "email", 1)
	begun := w.wants("begin", w.do("POST", "/v1/enrolments", body, w.reauthenticated()), 201)
	if begun.word("sent.sequence") != "A" || begun.word("sent.hint") != "a***@acme.example" {
		t.Errorf("begin: got %s", begun.text)
	}
	path, earlier := "/v1/enrolments/"+begun.word("id"), w.mail.last()
	w.refused("too soon", w.do("POST", path+"/send", `{}`), 429, mfa.TooManySends, "")
	w.clock.Advance(31 * time.Second)
	w.mail.broken = true
	w.refused("undelivered", w.do("POST", path+"/send", `{}`), 502, mfa.DeliveryFailed, "")
	w.mail.broken = false
	sent := w.wants("send, without a body", w.do("POST", path+"/send", ``), 200)
	if earlier != w.mail.last() {
		w.refused("the earlier code", w.do("POST", path+"/finish", `{"code":"`+earlier+`"}`), 422, mfa.WrongCode, "")
	}
	if sent.word("sent.sequence") != "C" {
		t.Errorf("send: got %s", sent.text)
	}
	w.wants("finish", w.do("POST", path+"/finish", `{"code":"`+w.mail.last()+`"}`), 201)
	w.refused("once more", w.do("POST", "/v1/enrolments", body, w.reauthenticated()), 403, mfa.StepUpNeeded, "")
}

func TestAnAdministratorEnrolsOnBehalfAndTheUserGetsTheCodes(t *testing.T) {
	w := newWorld(t)
	body := onBehalf(anasApp)
	manage, admin := as(w.newKey([]apikey.Scope{apikey.Manage}, "")), as(w.newKey([]apikey.Scope{apikey.Admin}, ""))
	w.refused("without the scope", w.do("POST", "/v1/enrolments", body, manage), 403, mfa.Forbidden, "")
	w.refused("not on behalf", w.do("POST", "/v1/enrolments", anasApp, admin, w.reauthenticated()), 403, mfa.Forbidden, "")
	begun := w.wants("begin, with nobody fresh", w.do("POST", "/v1/enrolments", body, admin), 201)
	secret := begun.word("totp.secret")
	finished := w.wants("finish", w.do("POST", "/v1/enrolments/"+begun.word("id")+"/finish", w.shown(secret), admin), 201)
	if finished.at("recovery_codes") != nil {
		t.Errorf("an administrator sees recovery codes: %s", finished.text)
	}
	w.clock.Advance(30 * time.Second)
	verify := "/v1/challenges/" + w.start().word("challenge.id") + "/verify"
	verified := w.wants("the user's next verify", w.do("POST", verify, w.shown(secret)), 200)
	if codes, _ := verified.at("recovery_codes").([]any); len(codes) != 10 {
		t.Errorf("the user gets no recovery codes: %s", verified.text)
	}
}

func TestAChangeOfAnAccountNeedsAFreshPerson(t *testing.T) {
	w := newWorld(t)
	begin := func(alterations ...alteration) reply { return w.do("POST", "/v1/enrolments", anasApp, alterations...) }
	said := func(at time.Time) alteration {
		return with("Countersign-Reauthenticated-At", at.Format(time.RFC3339Nano))
	}
	now := w.clock.Now()
	for name, good := range map[string]time.Time{
		"now": now, "10 minutes ago": now.Add(-10 * time.Minute), "60 seconds ahead": now.Add(time.Minute),
		"elsewhere": now.In(time.FixedZone("", 3600)), "with a fraction": now.Add(-time.Microsecond),
	} {
		w.wants(name, begin(said(good)), 201)
	}
	twice := func(name, value string) alteration {
		return func(r *http.Request) { r.Header.Add(name, value); r.Header.Add(name, value) }
	}
	w.refused("missing", begin(), 403, mfa.ReauthenticationNeeded, "")
	w.refused("twice", begin(twice("Countersign-Reauthenticated-At", now.Format(time.RFC3339))), 403, mfa.ReauthenticationNeeded, "")
	w.refused("over 10 minutes ago", begin(said(now.Add(-10*time.Minute-time.Second))), 403, mfa.ReauthenticationNeeded, "")
	w.refused("over 60 seconds ahead", begin(said(now.Add(61*time.Second))), 403, mfa.ReauthenticationNeeded, "")
	for _, bad := range []string{"", "now", "2026-11-22", "2026-11-22 10:00:00Z", "2026-11-22T10:00:00", "1795341600", now.Format(time.RFC1123), "null"} {
		w.refused(bad, begin(with("Countersign-Reauthenticated-At", bad)), 403, mfa.ReauthenticationNeeded, "")
	}
	allowed := w.wants("an allow", w.do("POST", "/v1/challenges", ana), 200)

	secret, finished := w.enrolled()
	asked := w.start()
	signedIn := w.wants("a sign-in", w.do("POST", "/v1/challenges/"+asked.word("challenge.id")+"/verify", w.shown(secret)), 200)
	w.clock.Advance(30 * time.Second)
	recovered := w.wants("a recovered step-up", w.do("POST", "/v1/challenges/"+w.wants("step up", w.do("POST", "/v1/challenges",
		`{"org":"acme","user":{"id":"u-17"},"purpose":"step_up"}`), 201).word("challenge.id")+"/recover", codeOf(finished, 0)), 200)
	good, other := w.steppedUp(secret, "null"), w.steppedUp(secret, `"pay"`)
	for name, token := range map[string]string{
		"none": "", "no token": "x", "no signature": good[:strings.LastIndex(good, ".")+1], "an allow": allowed.word("token"),
		"a sign-in": signedIn.word("token"), "a step-up for something else": other,
		"an API key": w.key, "endless": strings.Repeat("a", 5000), "a space after it": good + " ",
	} {
		w.refused(name, begin(w.reauthenticated(), proof(token)), 403, mfa.StepUpNeeded, "")
	}
	w.wants("a recovery code", begin(w.reauthenticated(), proof(recovered.word("token"))), 201)
	w.refused("a recovery code, for anything else", w.do("PATCH", anasPath, `{"enabled":false}`, w.reauthenticated(), proof(recovered.word("token"))), 403, mfa.StepUpNeeded, "")
	w.refused("twice", begin(w.reauthenticated(), twice("Countersign-Proof", good)), 403, mfa.StepUpNeeded, "")
	w.refused("by another client", begin(w.reauthenticated(), proof(good), as(w.keyOf("other"))), 403, mfa.StepUpNeeded, "")
	w.refused("for another user", w.do("POST", anasPath[:len(anasPath)-2]+"18/recovery-codes", "", w.reauthenticated(), proof(good)), 404, mfa.NotFound, "")
	w.wants("a step-up", begin(w.reauthenticated(), proof(good)), 201)
	w.clock.Advance(10*time.Minute - 30*time.Second)
	w.refused("a step-up of over 10 minutes ago", begin(w.reauthenticated(), proof(good)), 403, mfa.StepUpNeeded, "")
}

func TestOneWhoHasNoSuchEnrolmentHearsTheSameWhateverIsWrong(t *testing.T) {
	w := newWorld(t)
	noEnrolment := w.mustEnrol("").word("enrolment.token")
	w.wants("what ends it", w.do("POST", anasPath+"/events", `{"kind":"signed_out"}`), 200)
	begun := w.wants("begin", w.do("POST", "/v1/enrolments", anasApp, w.reauthenticated()), 201)
	id, code := begun.word("id"), w.shown(begun.word("totp.secret"))
	texts := map[string]bool{}
	hears := func(name string, got reply) {
		w.refused(name, got, 404, mfa.EnrolmentInvalid, "")
		texts[got.text] = true
	}
	same := with("X-Request-Id", "same")
	for _, call := range []string{"/finish", "/send"} {
		body := map[string]string{"/finish": code, "/send": "{}"}[call]
		for _, other := range []string{"en_", "x", "..", "%20", "%00", "~ZW4", id[:len(id)-1], id + "A", "EN" + id[2:], strings.Repeat("a", 4000)} {
			hears(other, w.do("POST", "/v1/enrolments/"+other+call, body, same))
		}
		hears("another client's", w.do("POST", "/v1/enrolments/"+id+call, body, same, as(w.keyOf("other"))))
		hears("a token of nothing", w.do("POST", "/v1/enrolments/"+id+call, body, same, as(noEnrolment)))
	}
	hears("begin, with a token of nothing", w.do("POST", "/v1/enrolments", `{"kind":"totp"}`, same, as(noEnrolment)))
	hears("prove, with a token of nothing", w.do("POST", "/v1/enrolments/prove", `{"code":"123456"}`, same, as(noEnrolment)))
	w.wants("another begun", w.do("POST", "/v1/enrolments", anasApp, w.reauthenticated()), 201)
	hears("the one before", w.do("POST", "/v1/enrolments/"+id+"/finish", code, same))
	w.clock.Advance(10 * time.Minute)
	hears("one that is over", w.do("POST", "/v1/enrolments/"+id+"/finish", code, same))
	if len(texts) != 1 {
		t.Errorf("got %d different answers, want 1: %v", len(texts), texts)
	}
}

func TestAnEnrolmentTokenIsGoodForEnrollingOnly(t *testing.T) {
	w := newWorld(t)
	begun := w.mustEnrol("")
	token := as(begun.word("enrolment.token"))
	for _, c := range []struct{ method, path, body string }{
		{"POST", "/v1/challenges", ana}, {"POST", "/v1/decisions", ana}, {"GET", "/v1/challenges/" + begun.word("id"), ""},
		{"POST", "/v1/challenges/" + begun.word("id") + "/verify", `{"code":"123456"}`},
		{"POST", "/v1/challenges/" + begun.word("id") + "/recover", `{"code":"` + strings.Repeat("A", 24) + `"}`},
		{"GET", anasPath, ""}, {"PATCH", anasPath, `{"enabled":false}`}, {"POST", anasPath + "/recovery-codes", ""},
		{"GET", policy, ""}, {"POST", policy + "/preview", "{}"},
	} {
		w.refused(c.method+" "+c.path, w.do(c.method, c.path, c.body, token, w.reauthenticated()), 401, mfa.Unauthenticated, "")
	}
	for _, other := range []string{"x", "cse_", begun.word("enrolment.token") + "A", "cst_" + strings.Repeat("A", 43)} {
		for path, body := range map[string]string{"": `{"kind":"totp"}`, "/prove": `{"code":"123456"}`, "/en_a/send": `{}`, "/en_a/finish": `{"code":"123456"}`} {
			w.refused(other+" for "+path, w.do("POST", "/v1/enrolments"+path, body, as(other)), 401, mfa.Unauthenticated, "")
		}
	}
	for field, body := range map[string]string{"org": `{"org":"acme","kind":"totp"}`, "user": `{"user":{"id":"u-18"},"kind":"totp"}`,
		"on_behalf": `{"on_behalf":{"actor":"a","reason":"r"},"kind":"totp"}`} {
		w.refused("another "+field, w.do("POST", "/v1/enrolments", body, token), 400, mfa.InvalidRequest, field)
	}
}

func TestWhatAnEnrolmentShowsOnceIsLeftOutOfALateRepetition(t *testing.T) {
	w := newWorld(t)
	begun := w.wants("begin", w.do("POST", "/v1/enrolments", anasApp, w.reauthenticated(), once("k")), 201)
	again := w.wants("begin again", w.do("POST", "/v1/enrolments", anasApp, once("k")), 201)
	if again.text != begun.text {
		t.Errorf("begin again: got %s, want %s", again.text, begun.text)
	}
	finish, body := "/v1/enrolments/"+begun.word("id")+"/finish", w.shown(begun.word("totp.secret"))
	finished := w.wants("finish", w.do("POST", finish, body, once("k")), 201)
	if again := w.wants("finish again", w.do("POST", finish, body, once("k")), 201); again.text != finished.text {
		t.Errorf("finish again: got %s, want %s", again.text, finished.text)
	}
	w.clock.Advance(10 * time.Minute)
	late := w.wants("begin, late", w.do("POST", "/v1/enrolments", anasApp, once("k")), 201)
	if late.at("totp") != nil || late.word("id") != begun.word("id") {
		t.Errorf("begin, late: got %s, want the same without the secret", late.text)
	}
	lateFinish := w.wants("finish, late", w.do("POST", finish, body, once("k")), 201)
	if lateFinish.at("recovery_codes") != nil || lateFinish.word("factor.id") != finished.word("factor.id") {
		t.Errorf("finish, late: got %s, want the same without the codes", lateFinish.text)
	}
}
