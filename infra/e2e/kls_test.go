package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const day = 24 * time.Hour

func klsWorld(t *testing.T, story func(t *testing.T, w *world)) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, "acme", doc{"profile": "kls"})
		story(t, w)
	})
}

func TestK1AfterThePasswordTheAccountsEmailGetsACodeByItself(t *testing.T) {
	klsWorld(t, func(t *testing.T, w *world) {
		a := w.asked(t, ana, doc{"nonce": "n-1"})
		if a.text("decision") != "challenge" || a.text("reason") != "new_browser" {
			t.Fatalf("got %s", a.raw)
		}
		if a.text("challenge", "sent", "kind") != "email" || a.text("challenge", "sent", "hint") != "a***@acme.example" || a.text("challenge", "sent", "sequence") != "A" {
			t.Errorf("sent: got %v", a.at("challenge", "sent"))
		}
		id, code := a.text("challenge", "id"), w.code(t, ana.email)
		if len(code) != 6 {
			t.Fatalf("code of %d characters", len(code))
		}
		for name, malformed := range map[string]string{
			"space before": " " + code, "space after": code + " ", "line end": code + "\n", "em space": "\u2003" + code,
			"full-width": fullWidth(code), "arabic-indic": arabic(code), "five digits": code[:5], "seven digits": code + "0",
			"letters": "abcdef", "empty": "", "sign": "+" + code[1:], "grouped": code[:3] + " " + code[3:],
		} {
			t.Run(name, func(t *testing.T) {
				if got := w.verify(t, id, doc{"code": malformed}).want(t, 400, "invalid_request"); got.text("param") != "code" {
					t.Errorf("param: got %s", got.raw)
				}
			})
		}
		w.do(t, call{method: "POST", path: "/v1/challenges/" + id + "/verify", body: `{"code":` + strings.TrimLeft(code, "0") + `1}`}).want(t, 400, "invalid_request")
		if left := w.verify(t, id, doc{"code": wrong(code)}).want(t, 422, "wrong_code").number("attempts_left"); left != 4 {
			t.Errorf("attempts left after one wrong and many malformed: got %d, want 4", left)
		}
		verified := w.verify(t, id, doc{"code": code}).want(t, 200, "")
		claims := w.claims(t, verified.text("token"))
		for name, want := range map[string]any{
			"aud": w.audience(), "sub": ana.id, "org": ana.org, "verified": true, "jti": id, "nonce": "n-1", "purpose": "sign_in",
			"decision": "challenge", "reason": "new_browser", "acr": "aal1", "iss": w.issuer(),
		} {
			if claims[name] != want {
				t.Errorf("claim %s: got %v, want %v", name, claims[name], want)
			}
		}
		if claims["exp"].(float64)-claims["iat"].(float64) != 120 {
			t.Errorf("life: got %v to %v, want 120 s", claims["iat"], claims["exp"])
		}
		w.verify(t, id, doc{"code": code}).want(t, 404, "challenge_invalid")
	})
}

func fullWidth(code string) string {
	return strings.Map(func(r rune) rune { return r - '0' + '０' }, code)
}

func arabic(code string) string {
	return strings.Map(func(r rune) rune { return r - '0' + '٠' }, code)
}

func TestK1WithoutAnAddressNobodyGetsIn(t *testing.T) {
	klsWorld(t, func(t *testing.T, w *world) {
		w.do(t, call{method: "POST", path: "/v1/challenges", body: doc{"org": "acme", "user": doc{"id": "nobody"}}}).want(t, 409, "nothing_to_send")
	})
}

func TestK2TheSignInHasFifteenMinutesNewCodesIncluded(t *testing.T) {
	klsWorld(t, func(t *testing.T, w *world) {
		first := w.asked(t, ana, nil)
		id := first.text("challenge", "id")
		if window := first.time(t, "challenge", "expires").Sub(w.now(t)); window > 15*time.Minute || window < 15*time.Minute-10*time.Second {
			t.Errorf("window: got %v", window)
		}
		w.advance(t, 14*time.Minute)
		w.do(t, call{method: "POST", path: "/v1/challenges/" + id + "/send", body: doc{}}).want(t, 200, "")
		code := w.code(t, ana.email)
		w.advanceTo(t, first.time(t, "challenge", "expires"))
		w.verify(t, id, doc{"code": code}).want(t, 404, "challenge_invalid")
		w.do(t, call{method: "POST", path: "/v1/challenges/" + id + "/send", body: doc{}}).want(t, 404, "challenge_invalid")
		w.do(t, call{method: "GET", path: "/v1/challenges/" + id}).want(t, 200, "")

		second := w.asked(t, ana, nil)
		code = w.code(t, ana.email)
		w.advanceTo(t, second.time(t, "challenge", "expires").Add(-5*time.Second))
		w.verify(t, second.text("challenge", "id"), doc{"code": code}).want(t, 200, "")
	})
}

func TestK2AnOldCodeIsDeadAfterAResend(t *testing.T) {
	klsWorld(t, func(t *testing.T, w *world) {
		id := w.asked(t, ana, nil).text("challenge", "id")
		old := w.code(t, ana.email)
		send := call{method: "POST", path: "/v1/challenges/" + id + "/send", body: doc{}}
		if a := w.do(t, send).want(t, 429, "too_many_sends"); a.number("retry_after_s") < 1 || a.number("retry_after_s") > 30 || a.header.Get("Retry-After") == "" {
			t.Errorf("wait: got %s", a.raw)
		}
		w.advance(t, 30*time.Second)
		if a := w.do(t, send).want(t, 200, ""); a.text("sent", "sequence") != "B" {
			t.Errorf("sequence: got %s", a.raw)
		}
		fresh := w.code(t, ana.email)
		if fresh != old {
			w.verify(t, id, doc{"code": old}).want(t, 422, "wrong_code")
		}
		w.verify(t, id, doc{"code": fresh}).want(t, 200, "")
	})
}

func TestK3AskedOnTheFirstSignInANewBrowserAndAfterThirtyDays(t *testing.T) {
	klsWorld(t, func(t *testing.T, w *world) {
		if reason := w.asked(t, ana, nil).text("reason"); reason != "new_browser" {
			t.Errorf("first sign-in: got %s", reason)
		}
		token := w.trusted(t, ana)
		same := w.start(t, ana, doc{"trust_token": token}).want(t, 200, "")
		if same.text("reason") != "trusted_browser" {
			t.Errorf("same browser: got %s", same.raw)
		}
		if claims := w.claims(t, same.text("token")); claims["verified"] != false || claims["acr"] != "aal1" || claims["mfa_time"] == nil {
			t.Errorf("claims of a trusted browser: got %v", claims)
		}
		if reason := w.asked(t, ana, nil).text("reason"); reason != "new_browser" {
			t.Errorf("new browser: got %s", reason)
		}
		w.advance(t, 30*day)
		if reason := w.asked(t, ana, doc{"trust_token": same.text("trust_token")}).text("reason"); reason != "trust_expired" {
			t.Errorf("after 30 days: got %s", reason)
		}
		if ended := w.sweptEvents(t, ana.id, "browser.expired"); ended != 1 {
			t.Errorf("announced %d ends, want 1", ended)
		}
	})
}

func TestK4TrustIsAChoiceOnTheCodeStep(t *testing.T) {
	klsWorld(t, func(t *testing.T, w *world) {
		a := w.asked(t, ana, nil)
		if a.number("challenge", "trust", "days") != 30 {
			t.Errorf("offer: got %v", a.at("challenge", "trust"))
		}
		verified := w.verify(t, a.text("challenge", "id"), doc{"code": w.code(t, ana.email)}).want(t, 200, "")
		if verified.at("trust_token") != nil {
			t.Errorf("trusted without being asked to: %s", verified.raw)
		}
		token := w.trusted(t, ana)
		w.start(t, ana, doc{"trust_token": token}).want(t, 200, "")
		stepUp := w.asked(t, ana, doc{"purpose": "step_up", "action": "pay", "trust_token": token})
		if stepUp.text("reason") != "step_up" || stepUp.at("challenge", "trust") != nil {
			t.Errorf("a step-up: got %s", stepUp.raw)
		}
		// A step-up can say what it confirms, where the user reads the code, and in the token.
		pay := doc{"name": "pay", "lines": []any{"Pay 1,250.00 EUR", "to Bob"}}
		w.advance(t, time.Minute)
		stepUp = w.asked(t, ana, doc{"purpose": "step_up", "action": pay})
		messages := w.messages(t, ana.email)
		if last := messages[len(messages)-1].text("text"); !strings.Contains(last, "\nPay 1,250.00 EUR\n") || !strings.Contains(last, "\nto Bob\n") {
			t.Errorf("the message: got %q, want what is confirmed", last)
		}
		answered := w.verify(t, stepUp.text("challenge", "id"), doc{"code": w.code(t, ana.email)}).want(t, 200, "")
		if claims := w.claims(t, answered.text("token")); claims["action"] != "pay" || fmt.Sprint(claims["action_lines"]) != fmt.Sprint(pay["lines"]) {
			t.Errorf("the token: got %v, %v, want what was confirmed", claims["action"], claims["action_lines"])
		}
	})
}

func TestK5TrustEndsThirtyDaysAfterItWasGrantedAndDoesNotSlide(t *testing.T) {
	klsWorld(t, func(t *testing.T, w *world) {
		id := w.asked(t, ana, nil).text("challenge", "id")
		verified := w.verify(t, id, doc{"code": w.code(t, ana.email), "trust": doc{"name": "Firefox"}}).want(t, 200, "")
		token, end := verified.text("trust_token"), verified.time(t, "trusted_browser", "expires")
		if life := end.Sub(verified.time(t, "issued_at")); life != 30*day {
			t.Errorf("life: got %v, want 30 days", life)
		}
		for range 29 {
			w.advance(t, day)
			token = w.start(t, ana, doc{"trust_token": token}).want(t, 200, "").text("trust_token")
		}
		w.advanceTo(t, end.Add(-5*time.Second))
		token = w.start(t, ana, doc{"trust_token": token}).want(t, 200, "").text("trust_token")
		w.advanceTo(t, end)
		if reason := w.asked(t, ana, doc{"trust_token": token}).text("reason"); reason != "trust_expired" {
			t.Errorf("at the end: got %s", reason)
		}
	})
}

func TestK6TrustBelongsToOneUserInOneBrowser(t *testing.T) {
	klsWorld(t, func(t *testing.T, w *world) {
		w.policy(t, "other", doc{"profile": "kls"})
		token := w.trusted(t, ana)
		for name, p := range map[string]person{
			"another user":               {"acme", "u-18", "bob@acme.example"},
			"another user, same address": {"acme", "u-19", ana.email},
			"another org, same user":     {"other", ana.id, ana.email},
		} {
			if reason := w.asked(t, p, doc{"trust_token": token}).text("reason"); reason != "new_browser" {
				t.Errorf("%s: got %s", name, reason)
			}
		}
		for i := range len(token) {
			altered := []byte(token)
			altered[i] ^= 1
			if a := w.do(t, call{method: "POST", path: "/v1/decisions", body: ana.signIn(doc{"trust_token": string(altered)})}).want(t, 200, ""); a.text("reason") != "new_browser" {
				t.Errorf("character %d altered: got %s", i, a.raw)
			}
		}
		for _, cut := range []string{token[:len(token)-1], token + "A", token + "=", strings.ToUpper(token), "", " " + token, token[1:]} {
			if a := w.do(t, call{method: "POST", path: "/v1/decisions", body: ana.signIn(doc{"trust_token": cut})}).want(t, 200, ""); a.text("reason") != "new_browser" {
				t.Errorf("cut to %d characters: got %s", len(cut), a.raw)
			}
		}
		elsewhere := doc{"trust_token": token, "context": doc{"ip": "198.51.100.7", "user_agent": "Other/1"}}
		w.start(t, ana, elsewhere).want(t, 200, "")
	})
}

func TestK6AndTB6ASupersededTokenIsForgivenOnceAndThenKillsTheLine(t *testing.T) {
	klsWorld(t, func(t *testing.T, w *world) {
		first := w.trusted(t, ana)
		second := w.start(t, ana, doc{"trust_token": first}).want(t, 200, "").text("trust_token")
		if again := w.start(t, ana, doc{"trust_token": first}).want(t, 200, "").text("trust_token"); again != second {
			t.Error("a lost answer: the successor is not the same")
		}
		third := w.start(t, ana, doc{"trust_token": second}).want(t, 200, "").text("trust_token")
		w.asked(t, ana, doc{"trust_token": first})
		w.asked(t, ana, doc{"trust_token": third})
		if told := w.events(t, ana.id, "browser.theft_suspected"); len(told) != 1 {
			t.Errorf("theft events: got %d, want 1", len(told))
		}
	})
}

func TestTB7AndI4ATrustTokenIsWorthNothingInAnotherOrganisation(t *testing.T) {
	klsWorld(t, func(t *testing.T, w *world) {
		abroad := person{"other", ana.id, ana.email}
		w.policy(t, abroad.org, doc{"profile": "kls"})
		acmes, others := w.trusted(t, ana), w.trusted(t, abroad)
		for _, c := range []struct {
			who   person
			token string
		}{{abroad, acmes}, {ana, others}} {
			said := doc{"trust_token": c.token}
			decided := w.do(t, call{method: "POST", path: "/v1/decisions", body: c.who.signIn(said)}).want(t, 200, "")
			if reason := w.asked(t, c.who, said).text("reason"); reason != "new_browser" || decided.text("reason") != "new_browser" {
				t.Errorf("%s: got %s, and %s, want new_browser", c.who.org, reason, decided.raw)
			}
		}
		w.start(t, ana, doc{"trust_token": acmes}).want(t, 200, "") // and its own organisation still takes it
		w.start(t, abroad, doc{"trust_token": others}).want(t, 200, "")
	})
}

func TestK7ASignInThroughTheCompanysSSOIsNotAsked(t *testing.T) {
	klsWorld(t, func(t *testing.T, w *world) {
		sso := doc{"first_factor": doc{"kind": "sso", "idp": "corp", "amr": []string{"pwd"}}}
		a := w.start(t, ana, sso).want(t, 200, "")
		if a.text("reason") != "sso" || len(w.messages(t, ana.email)) != 0 {
			t.Errorf("got %s", a.raw)
		}
		if claims := w.claims(t, a.text("token")); claims["verified"] != false || claims["decision"] != "allow" {
			t.Errorf("claims: got %v", claims)
		}
		w.asked(t, ana, nil)
		w.start(t, ana, sso).want(t, 200, "")
		w.asked(t, ana, doc{"purpose": "step_up", "first_factor": doc{"kind": "sso"}})
	})
}

func TestK8AndM7TheMessageSaysLookInSpamAndNobodyWillAsk(t *testing.T) {
	klsWorld(t, func(t *testing.T, w *world) {
		for locale, words := range map[string][]string{
			"en":    {"spam", "will ever ask"},
			"fr-FR": {"indésirable", "ne vous demandera jamais"},
		} {
			p := person{"acme", "u-" + locale, "reader-" + locale + "@acme.example"}
			w.do(t, call{method: "POST", path: "/v1/challenges", body: doc{"org": p.org, "user": doc{"id": p.id, "email": p.email, "locale": locale}}}).want(t, 201, "")
			m := w.messages(t, p.email)[0]
			for _, part := range []string{"text", "html"} {
				for _, word := range append(words, m.text("code")) {
					if !strings.Contains(strings.ToLower(m.text(part)), word) {
						t.Errorf("%s %s lacks %q: %s", locale, part, word, m.text(part))
					}
				}
			}
			if strings.Contains(m.text("subject"), m.text("code")) {
				t.Errorf("%s: the subject shows the code", locale)
			}
		}
	})
}
