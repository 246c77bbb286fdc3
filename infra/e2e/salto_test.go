package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
)

// salto returns the settings of the profile salto with text messages to France and Great Britain. The fields of more replace
// its fields.
func salto(more doc) doc {
	return doc{"profile": "salto", "sms": doc{"countries": []string{"FR", "GB"}}}.with(more)
}

func saltoWorld(t *testing.T, story func(t *testing.T, w *world)) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, "acme", salto(nil))
		story(t, w)
	})
}

func TestS1TurningItOnAndOffNeedsAFreshPassword(t *testing.T) {
	saltoWorld(t, func(t *testing.T, w *world) {
		w.do(t, call{method: "PUT", path: ana.path(""), body: doc{"email": ana.email, "phone": anasNumber}}).want(t, 200, "")
		stale := map[string]string{"Countersign-Reauthenticated-At": w.now(t).Add(-10*time.Minute - 2*time.Second).Format(time.RFC3339)}
		early := map[string]string{"Countersign-Reauthenticated-At": w.now(t).Add(2 * time.Minute).Format(time.RFC3339)}
		for _, header := range []map[string]string{nil, stale, early, {"Countersign-Reauthenticated-At": "just now"}} {
			w.turn(t, true, header).want(t, 403, "reauthentication_required")
			for _, kind := range codeKinds() {
				begin := call{method: "POST", path: "/v1/enrolments", body: ana.signIn(doc{"kind": kind}), header: header}
				w.do(t, begin).want(t, 403, "reauthentication_required")
			}
		}
		if sent := w.messages(t, ""); len(sent) != 0 {
			t.Errorf("got the messages %v, want none without a fresh password", sent)
		}
		w.start(t, ana, nil).want(t, 200, "")
		p, proof := w.enrolThreeKinds(t)
		if got := w.account(t, ana); got.at("enabled") != true || got.text("status") != "protected" {
			t.Fatalf("enrolled: got %s", got.raw)
		}
		w.turn(t, false, map[string]string{"Countersign-Proof": proof}).want(t, 403, "reauthentication_required")
		w.turn(t, false, w.fresh(t, "")).want(t, 403, "step_up_required")
		for _, weaker := range []string{"email", "sms"} { // neither an email code nor an SMS code can turn off what an app protects
			up := w.answerBy(t, p, weaker, w.asked(t, ana, doc{"purpose": "step_up", "method": weaker}))
			w.turn(t, false, w.fresh(t, up.text("token"))).want(t, 403, "step_up_required")
		}
		w.turn(t, false, w.fresh(t, w.stepUp(t, ana, p.app, nil))).want(t, 200, "")
		w.start(t, ana, nil).want(t, 200, "")
		w.turn(t, true, nil).want(t, 403, "reauthentication_required")
		w.turn(t, true, stale).want(t, 403, "reauthentication_required")
		if got := w.turn(t, true, w.fresh(t, "")).want(t, 200, ""); got.at("enabled") != true {
			t.Errorf("got %s", got.raw)
		}
		w.asked(t, ana, nil)
	})
}

func TestS1WhoHasANumberOnlyTurnsItOffByStepUp(t *testing.T) {
	saltoWorld(t, func(t *testing.T, w *world) {
		w.enrolNumber(t, ana, anasNumber, "")
		w.turn(t, false, w.fresh(t, "")).want(t, 403, "step_up_required")
		signIn := w.asked(t, ana, nil)
		signedIn := w.verify(t, signIn.text("challenge", "id"), doc{"code": w.code(t, anasNumber)}).want(t, 200, "").text("token")
		w.turn(t, false, w.fresh(t, signedIn)).want(t, 403, "step_up_required") // a sign-in doesn't count as a step-up
		up := w.asked(t, ana, doc{"purpose": "step_up"})
		proof := w.verify(t, up.text("challenge", "id"), doc{"code": w.code(t, anasNumber)}).want(t, 200, "").text("token")
		w.turn(t, false, w.fresh(t, proof)).want(t, 200, "")
		w.turn(t, true, w.fresh(t, "")).want(t, 200, "")
		if asked := w.asked(t, ana, nil); asked.text("challenge", "sent", "kind") != "sms" {
			t.Errorf("on again: got %s", asked.raw)
		}
	})
}

func TestS2TheUserPicksAmongTheirFactors(t *testing.T) {
	saltoWorld(t, func(t *testing.T, w *world) {
		p, _ := w.enrolThreeKinds(t)
		asked := w.asked(t, ana, nil)
		if kinds := kindsOf(asked); !slices.Equal(kinds, codeKinds()) {
			t.Fatalf("methods: got %v, want all, the strongest first", kinds)
		}
		for i, hint := range []string{"", "•••• 78", "a***@acme.example"} {
			if got := doc(asked.list("challenge", "methods")[i].(map[string]any)).text("hint"); got != hint {
				t.Errorf("method %d: got the hint %q, want %q", i+1, got, hint)
			}
		}
		if asked.text("challenge", "default") != p.factors["totp"] || asked.at("challenge", "sent") != nil {
			t.Errorf("the strongest comes first, and nothing is sent for it: got %s", asked.raw)
		}
		id := asked.text("challenge", "id")
		w.send(t, "challenges", id, p.factors["totp"]).want(t, 409, "nothing_to_send")
		before := len(w.codes(t, ana.email))
		if got := w.send(t, "challenges", id, p.factors["sms"]).want(t, 200, ""); got.text("sent", "factor") != p.factors["sms"] {
			t.Errorf("got %s", got.raw)
		}
		if len(w.codes(t, ana.email)) != before {
			t.Error("the code for the number went to the address, too")
		}
		// A request that names no factor is for the factor to which a code was sent last.
		claims := w.claims(t, w.verify(t, id, doc{"code": w.code(t, anasNumber)}).want(t, 200, "").text("token"))
		if claims["acr"] != "aal2" {
			t.Errorf("by the number: got %v", claims)
		}
		w.advance(t, time.Hour) // a number gets five codes in an hour
		for kind, want := range map[string]string{
			"totp": "aal2 [pwd otp mfa]", "sms": "aal2 [pwd sms mfa]", "email": "aal1 [pwd otp]",
		} {
			for _, purpose := range []string{"sign_in", "step_up"} {
				asked := w.asked(t, ana, doc{"purpose": purpose, "method": kind})
				if asked.text("challenge", "default") != p.factors[kind] || asked.text("challenge", "sent", "kind") != map[string]string{"sms": "sms", "email": "email"}[kind] {
					t.Errorf("%s preferred: got %s", kind, asked.raw)
				}
				claims := w.claims(t, w.answerBy(t, p, kind, asked).text("token"))
				if got := fmt.Sprint(claims["acr"], " ", claims["amr"]); got != want || claims["purpose"] != purpose {
					t.Errorf("%s by %s: got %s for %v, want %s", purpose, kind, got, claims["purpose"], want)
				}
			}
			// Whichever factor was chosen first, the user can pick another one.
			other := map[string]string{"totp": "sms", "sms": "email", "email": "totp"}[kind]
			w.answerBy(t, p, other, w.asked(t, ana, doc{"method": kind}))
		}
	})
}

func TestS2AnAppIsSetUpByQRCodeOrByTheTypedKey(t *testing.T) {
	saltoWorld(t, func(t *testing.T, w *world) {
		begun := w.begin(t, ana, "totp", "").want(t, 201, "")
		read, err := otp.NewKeyFromURL(scanned(t, begun.text("totp", "qr_svg")))
		if err != nil || read.String() != begun.text("totp", "uri") {
			t.Fatalf("the picture holds another URI than the one beside it: %v", err)
		}
		first := app{secret: read.Secret()}
		first.factor = w.finish(t, "", begun.text("id"), first.code(t, w)).want(t, 201, "").text("factor", "id")
		begun = w.begin(t, ana, "totp", w.stepUp(t, ana, first, nil)).want(t, 201, "")
		second := app{secret: begun.text("totp", "secret")}
		second.factor = w.finish(t, "", begun.text("id"), second.code(t, w)).want(t, 201, "").text("factor", "id")
		for _, a := range []app{first, second} { // several factors of one kind can be active
			w.verify(t, w.asked(t, ana, nil).text("challenge", "id"), doc{"factor": a.factor, "code": a.next(t, w)}).want(t, 200, "")
		}
	})
}

func TestS3ANumberOrAnAddressIsAFactorOnlyOnceItIsProven(t *testing.T) {
	saltoWorld(t, func(t *testing.T, w *world) {
		for i, kind := range []string{"sms", "email"} {
			p := person{"acme", "u-" + kind, kind + "@acme.example"}
			contact, hint := p.email, kind[:1]+"***@acme.example"
			body := p.signIn(doc{"kind": kind})
			if kind == "sms" {
				contact, hint = anasNumber, "•••• 78"
				body["phone"] = "+33 6 12 34 56 78"
			}
			w.do(t, call{method: "POST", path: "/v1/enrolments", body: person{p.org, fmt.Sprint("u-", i), ""}.bare(doc{"kind": kind}), header: w.fresh(t, "")}).
				want(t, map[string]int{"sms": 400, "email": 409}[kind], map[string]string{"sms": "invalid_request", "email": "nothing_to_send"}[kind])
			begun := w.do(t, call{method: "POST", path: "/v1/enrolments", body: body, header: w.fresh(t, "")}).want(t, 201, "")
			if begun.text("sent", "hint") != hint || begun.text("sent", "kind") != kind || begun.text("sent", "sequence") != "A" {
				t.Errorf("%s: got %s", kind, begun.raw)
			}
			if got := w.account(t, p); len(got.list("factors")) != 0 || got.text("status") != "unprotected" {
				t.Errorf("%s, before: got %s", kind, got.raw)
			}
			if got := w.start(t, p, nil).want(t, 200, ""); got.text("reason") != "not_required" {
				t.Errorf("%s, before: got %s", kind, got.raw)
			}
			if got := w.start(t, p, doc{"purpose": "step_up"}).want(t, 201, ""); got.text("decision") != "enrol" {
				t.Errorf("%s, a step-up before: got %s", kind, got.raw)
			}
			code := w.code(t, contact)
			for _, typed := range []string{code[:5], code + "0", code[:3] + " " + code[3:], "１２３４５６"} {
				w.finish(t, "", begun.text("id"), typed).want(t, 400, "invalid_request")
			}
			if got := w.finish(t, "", begun.text("id"), wrong(code)).want(t, 422, "wrong_code"); got.number("attempts_left") != 4 {
				t.Errorf("%s: got %s", kind, got.raw)
			}
			done := w.finish(t, "", begun.text("id"), code).want(t, 201, "")
			if done.text("factor", "kind") != kind || done.text("factor", "hint") != hint {
				t.Errorf("got %s", done.raw)
			}
			w.finish(t, "", begun.text("id"), code).want(t, 404, "enrolment_invalid")
			asked := w.asked(t, p, nil)
			if asked.text("reason") != "enabled" || asked.text("challenge", "sent", "kind") != kind {
				t.Errorf("got %s", asked.raw)
			}
			if now := w.code(t, contact); now != code { // the code that has enrolled the factor can't be used to sign in
				w.verify(t, asked.text("challenge", "id"), doc{"code": code}).want(t, 422, "wrong_code")
				w.verify(t, asked.text("challenge", "id"), doc{"code": now}).want(t, 200, "")
			}
			if raw := string(w.account(t, p).raw); kind == "sms" && strings.Contains(raw, "12345678") {
				t.Errorf("the whole number is shown: %s", raw)
			}
		}
	})
}

// bare returns a body that has only the id of a person. The fields of more are added.
func (p person) bare(more doc) doc { return doc{"org": p.org, "user": doc{"id": p.id}}.with(more) }

func TestS4EmailAsTheBackupCantBeRemovedOnItsOwn(t *testing.T) {
	saltoWorld(t, func(t *testing.T, w *world) {
		for i, kind := range []string{"totp", "sms"} { // email is offered after a first factor of each other kind
			p := person{"acme", "u-" + kind, kind + "@acme.example"}
			var first answer
			if kind == "totp" {
				_, first = w.enrolApp(t, p, "")
			} else {
				first = w.enrolNumber(t, p, fmt.Sprint("+3361234999", i), "")
			}
			if kinds := first.list("offer", "kinds"); !slices.Equal(kinds, []any{"email"}) {
				t.Errorf("offered after %s: got %s", kind, first.raw)
			}
		}
		p, proof := w.enrolThreeKinds(t)
		if got := w.remove(t, p.factors["email"], proof).want(t, 409, "email_pinned"); got.text("detail") == "" {
			t.Errorf("got %s", got.raw)
		}
		w.remove(t, p.factors["sms"], proof).want(t, 204, "")
		w.remove(t, p.factors["email"], proof).want(t, 409, "email_pinned")
		w.turn(t, false, w.fresh(t, proof)).want(t, 200, "")
		w.remove(t, p.factors["email"], "").want(t, 409, "email_pinned")
		w.remove(t, p.factors["totp"], "").want(t, 204, "")
		w.remove(t, p.factors["email"], "").want(t, 409, "email_pinned")
		w.wantKinds(t, "email")
		w.turn(t, true, w.fresh(t, "")).want(t, 200, "")
		asked := w.asked(t, ana, nil)
		if asked.text("challenge", "sent", "kind") != "email" {
			t.Errorf("email alone: got %s", asked.raw)
		}
		// A reset removes the address, too, like everything else.
		w.recoverBy(t, asked.text("challenge", "id"), p.codes[0].(string)).want(t, 200, "")
		w.wantKinds(t)
	})
}

func TestS4TheTokenOfASignInsEnrolmentEnrolsEmailAsABackupOfTheFirstFactor(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, "acme", salto(doc{"require": "everyone", "acknowledge": true}))
		id, token := w.toEnrol(t, ana)
		look := call{method: "GET", path: "/v1/enrolments", bearer: token}
		if got := w.do(t, look).want(t, 200, ""); got.at("backup") != nil || len(got.list("sms_countries")) == 0 {
			t.Errorf("before a factor is there: got %s", got.raw)
		}
		begin := func(kind string) answer {
			return w.do(t, call{method: "POST", path: "/v1/enrolments", bearer: token, body: doc{"kind": kind}})
		}
		begun := begin("totp").want(t, 201, "")
		a := app{secret: begun.text("totp", "secret")}
		w.finish(t, token, begun.text("id"), a.code(t, w)).want(t, 201, "")

		got := w.do(t, look).want(t, 200, "")
		if kinds := got.list("backup", "kinds"); !slices.Equal(kinds, []any{"email"}) || got.at("backup", "pinned") != true || !slices.Equal(got.list("enrolment", "kinds"), kinds) {
			t.Errorf("got %s, want email offered as a backup that stays", got.raw)
		}
		begin("totp").want(t, 404, "enrolment_invalid")
		begin("sms").want(t, 404, "enrolment_invalid")
		second := begin("email").want(t, 201, "")
		done := w.finish(t, token, second.text("id"), w.code(t, ana.email)).want(t, 201, "")
		if done.at("token") != nil || done.at("recovery_codes") != nil {
			t.Errorf("got %s, want a factor and nothing else", done.raw)
		}
		w.do(t, look).want(t, 404, "enrolment_invalid")
		if outcome := w.do(t, call{method: "GET", path: "/v1/challenges/" + id}).want(t, 200, ""); outcome.text("outcome", "factor", "kind") != "totp" || outcome.text("outcome", "token") == "" {
			t.Errorf("the outcome: got %s", outcome.raw)
		}
		w.wantKinds(t, "totp", "email")
	})
}

func TestS5TheRecoveryCodeIsShownOnce(t *testing.T) {
	saltoWorld(t, func(t *testing.T, w *world) {
		for i, kind := range []string{"sms", "email"} { // whatever the first factor is
			p := person{"acme", "u-" + kind, kind + "@acme.example"}
			var first answer
			if kind == "sms" {
				first = w.enrolNumber(t, p, fmt.Sprint("+3361234999", i), "")
			} else {
				first = w.enrolMail(t, p, "")
			}
			if codes := first.list("recovery_codes"); len(codes) != 1 {
				t.Errorf("%s: got %s, want one code", kind, first.raw)
			}
		}
		a, done := w.enrolApp(t, ana, "")
		codes := done.list("recovery_codes")
		if len(codes) != 1 {
			t.Fatalf("got %s, want one code", done.raw)
		}
		code := strings.ReplaceAll(codes[0].(string), "-", "")
		if len(code) != 24 {
			t.Errorf("a code of %d characters, want 24 (120 bits)", len(code))
		}
		account := w.account(t, ana)
		if account.number("recovery", "codes_left") != 1 || strings.Contains(string(account.raw), codes[0].(string)) {
			t.Errorf("got %s", account.raw)
		}
		proof := w.stepUp(t, ana, a, nil)
		for _, more := range []answer{w.enrolMail(t, ana, proof), w.enrolNumber(t, ana, anasNumber, proof)} {
			if more.at("recovery_codes") != nil {
				t.Errorf("a further factor brought codes: %s", more.raw)
			}
		}
		fresh := w.do(t, call{method: "POST", path: ana.path("/recovery-codes"), header: w.fresh(t, proof)}).want(t, 201, "").list("recovery_codes")
		if len(fresh) != 1 || fresh[0] == codes[0] {
			t.Errorf("a new set: got %v", fresh)
		}
		id := w.asked(t, ana, nil).text("challenge", "id")
		w.recoverBy(t, id, codes[0].(string)).want(t, 422, "wrong_code")
		w.recoverBy(t, id, fresh[0].(string)).want(t, 200, "")
	})
}
