package main

import (
	"strings"
	"testing"

	"github.com/pquerna/otp"
)

func karbonWorld(t *testing.T, story func(t *testing.T, w *world)) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, "acme", doc{"profile": "karbon", "require": "everyone"})
		story(t, w)
	})
}

// toEnrol starts a sign-in that must lead to an enrolment, and returns the id of its challenge and the enrolment token.
func (w *world) toEnrol(t *testing.T, p person) (id, token string) {
	t.Helper()
	a := w.start(t, p, nil).want(t, 201, "")
	if a.text("decision") != "enrol" || a.text("enrolment", "token") == "" {
		t.Fatalf("got %s, want it to enrol", a.raw)
	}
	return a.text("id"), a.text("enrolment", "token")
}

// provesAddress answers with the code that was sent to the known address of a user who must enrol.
func (w *world) provesAddress(t *testing.T, p person, token string) {
	t.Helper()
	asked := w.do(t, call{method: "POST", path: "/v1/enrolments", bearer: token, body: doc{"kind": "totp"}}).want(t, 201, "")
	if asked.at("prove") == nil || asked.at("totp") != nil {
		t.Fatalf("got %s, want a code to the known address and nothing else", asked.raw)
	}
	w.do(t, call{method: "POST", path: "/v1/enrolments/prove", bearer: token, body: doc{"code": w.code(t, p.email)}}).want(t, 200, "")
}

func TestC1TheOrgDecidesWhetherItsPortalAsks(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		there := person{"other", ana.id, ana.email} // the client of another accountant, under the same id
		for _, org := range []string{ana.org, there.org} {
			w.policy(t, org, doc{"profile": "karbon"})
		}
		for _, p := range []person{ana, there} {
			if a := w.start(t, p, nil).want(t, 200, ""); a.text("reason") != "not_required" {
				t.Errorf("%s doesn't ask: got %s", p.org, a.raw)
			}
		}
		w.policy(t, ana.org, doc{"profile": "karbon", "require": "everyone"})
		w.toEnrol(t, ana)
		w.toEnrol(t, person{"acme", "u-new", "new@acme.example"})
		if a := w.start(t, there, nil).want(t, 200, ""); a.text("reason") != "not_required" {
			t.Errorf("the other org still doesn't ask: got %s", a.raw)
		}
		w.do(t, call{method: "GET", path: there.path("")}).want(t, 200, "")
		if got := w.do(t, call{method: "GET", path: "/v1/orgs/other/users/u-new"}); got.status != 404 {
			t.Errorf("a client of acme, at the other org: got %s", got.raw)
		}
		w.policy(t, ana.org, doc{"profile": "karbon"})
		w.start(t, ana, nil).want(t, 200, "")
	})
}

func TestC2WhereTheOrgAsksEnrolmentIsPartOfTheFirstSignIn(t *testing.T) {
	karbonWorld(t, func(t *testing.T, w *world) {
		started := w.start(t, ana, doc{"nonce": "n-1"}).want(t, 201, "")
		if started.text("decision") != "enrol" || started.text("reason") != "required" || len(started.list("enrolment", "kinds")) != 1 {
			t.Fatalf("got %s", started.raw)
		}
		id, token := started.text("id"), started.text("enrolment", "token")
		pending := w.do(t, call{method: "GET", path: "/v1/challenges/" + id}).want(t, 200, "")
		if pending.text("state") != "pending" {
			t.Errorf("got %s", pending.raw)
		}
		w.provesAddress(t, ana, token)
		begun := w.do(t, call{method: "POST", path: "/v1/enrolments", bearer: token, body: doc{"kind": "totp"}}).want(t, 201, "")
		key, err := otp.NewKeyFromURL(begun.text("totp", "uri"))
		if err != nil || key.Type() != "totp" || key.Algorithm() != otp.AlgorithmSHA1 || key.Digits() != otp.DigitsSix || key.Period() != 30 ||
			key.Secret() != begun.text("totp", "secret") || key.AccountName() != ana.email {
			t.Errorf("uri: got %v, %v", key, err)
		}
		if svg := begun.text("totp", "qr_svg"); !strings.HasPrefix(svg, "<svg ") {
			t.Errorf("qr_svg: got %.40q", svg)
		}
		a := app{secret: key.Secret()}
		done := w.finish(t, token, begun.text("id"), a.code(t, w)).want(t, 201, "")
		claims := w.claims(t, done.text("token"))
		for name, want := range map[string]any{"jti": id, "nonce": "n-1", "decision": "enrol", "verified": true, "acr": "aal2", "sub": ana.id} {
			if claims[name] != want {
				t.Errorf("claim %s: got %v, want %v", name, claims[name], want)
			}
		}
		outcome := w.do(t, call{method: "GET", path: "/v1/challenges/" + id}).want(t, 200, "")
		if outcome.text("state") != "verified" || outcome.text("outcome", "token") == "" || outcome.at("outcome", "recovery_codes") != nil {
			t.Errorf("outcome: got %s", outcome.raw)
		}
		w.do(t, call{method: "POST", path: "/v1/enrolments", bearer: token, body: doc{"kind": "totp"}}).want(t, 404, "enrolment_invalid")
		w.verify(t, w.asked(t, ana, nil).text("challenge", "id"), doc{"code": a.next(t, w)}).want(t, 200, "")
	})
}

func TestC3TheFirstCodeMustBeRightBeforeTheFactorCounts(t *testing.T) {
	karbonWorld(t, func(t *testing.T, w *world) {
		_, token := w.toEnrol(t, ana)
		w.provesAddress(t, ana, token)
		begun := w.do(t, call{method: "POST", path: "/v1/enrolments", bearer: token, body: doc{"kind": "totp"}}).want(t, 201, "")
		a := app{secret: begun.text("totp", "secret")}
		if got := w.finish(t, token, begun.text("id"), wrong(a.code(t, w))).want(t, 422, "wrong_code"); got.number("attempts_left") != 4 {
			t.Errorf("got %s", got.raw)
		}
		w.toEnrol(t, ana)
		code := a.next(t, w)
		done := w.finish(t, token, begun.text("id"), code).want(t, 201, "")
		codes := done.list("recovery_codes")
		seen := map[any]bool{}
		for _, c := range codes {
			seen[c] = true
		}
		if len(codes) != 10 || len(seen) != 10 {
			t.Errorf("recovery codes: got %d, %d of them different, want 10", len(codes), len(seen))
		}
		// The code that has enrolled the app is used up.
		id := w.asked(t, ana, nil).text("challenge", "id")
		w.verify(t, id, doc{"code": code}).want(t, 422, "wrong_code")
		w.verify(t, id, doc{"code": a.next(t, w)}).want(t, 200, "")
	})
}

func TestC4ARecoveryCodeSignsInOnceAndResetsNothing(t *testing.T) {
	karbonWorld(t, func(t *testing.T, w *world) {
		a, done := w.enrolApp(t, ana, "")
		code := done.list("recovery_codes")[4].(string)
		id := w.asked(t, ana, nil).text("challenge", "id")
		got := w.recoverBy(t, id, code).want(t, 200, "")
		if got.text("effect") != "sign_in" || got.number("codes_left") != 9 || got.text("token") == "" {
			t.Errorf("got %s", got.raw)
		}
		w.recoverBy(t, id, done.list("recovery_codes")[5].(string)).want(t, 404, "challenge_invalid")
		again := w.asked(t, ana, nil).text("challenge", "id")
		w.recoverBy(t, again, code).want(t, 422, "wrong_code")
		w.recoverBy(t, again, "not a recovery code").want(t, 400, "invalid_request")
		w.verify(t, again, doc{"code": a.next(t, w)}).want(t, 200, "")
		account := w.account(t, ana)
		if len(account.list("factors")) != 1 || account.number("recovery", "codes_left") != 9 {
			t.Errorf("got %s", account.raw)
		}
		if len(w.events(t, ana.id, "recovery.used")) != 1 {
			t.Error("no event tells of the recovery code")
		}
		messages := w.messages(t, ana.email)
		if last := messages[len(messages)-1]; !strings.Contains(last.text("text"), "9 recovery codes are left") {
			t.Errorf("the last message: %v", last)
		}
	})
}

func TestC6MessagesAreInTheUsersLanguage(t *testing.T) {
	karbonWorld(t, func(t *testing.T, w *world) {
		for locale, want := range map[string][2]string{
			"fr": {"confirmé avec une application d’authentification", "codes de secours"}, "en": {"confirmed with an authenticator app", "recovery codes"},
		} {
			p := person{"acme", "u-" + locale, locale + "@acme.example"}
			w.do(t, call{method: "PUT", path: p.path(""), body: doc{"email": p.email, "locale": locale}}).want(t, 200, "")
			_, done := w.enrolApp(t, p, "")
			w.recoverBy(t, w.asked(t, p, nil).text("challenge", "id"), done.list("recovery_codes")[0].(string)).want(t, 200, "")
			w.events(t, p.id, "factor.enrolled") // this call first hands on everything that was committed
			messages := w.messages(t, p.email)
			if len(messages) != 2 || !strings.Contains(messages[0].text("html"), want[0]) || !strings.Contains(messages[1].text("text"), want[1]) {
				t.Errorf("%s: got %v", locale, messages)
			}
		}
	})
}

func TestC5TheOrgsStaffResetAClientOfTheirOwnOrg(t *testing.T) {
	karbonWorld(t, func(t *testing.T, w *world) {
		_, token := w.toEnrol(t, ana)
		w.provesAddress(t, ana, token)
		begun := w.do(t, call{method: "POST", path: "/v1/enrolments", bearer: token, body: doc{"kind": "totp"}}).want(t, 201, "")
		a := app{secret: begun.text("totp", "secret")}
		w.finish(t, token, begun.text("id"), a.code(t, w)).want(t, 201, "")
		why := doc{"actor": "olga", "reason": "lost the phone"}
		foreign := w.do(t, call{method: "POST", path: "/local/keys", body: doc{"scopes": []string{"admin"}, "org": "globex"}}).text("key")
		w.do(t, call{method: "POST", path: ana.path("/reset"), bearer: foreign, body: why}).want(t, 403, "forbidden")
		w.do(t, call{method: "POST", path: "/v1/orgs/globex/users/" + ana.id + "/reset", bearer: foreign, body: why}).want(t, 404, "not_found")
		open := w.asked(t, ana, nil).text("challenge", "id")

		reset := w.do(t, call{method: "POST", path: ana.path("/reset"), body: why}).want(t, 200, "")
		if reset.at("enabled") != false || len(reset.list("factors")) != 0 || reset.text("status") != "unprotected" {
			t.Errorf("got %s, want a user without 2FA", reset.raw)
		}
		w.verify(t, open, doc{"code": a.next(t, w)}).want(t, 404, "challenge_invalid")
		_, token = w.toEnrol(t, ana)
		w.provesAddress(t, ana, token)
		w.do(t, call{method: "POST", path: "/v1/enrolments", bearer: token, body: doc{"kind": "totp"}}).want(t, 201, "")
	})
}
