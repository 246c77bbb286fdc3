package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// mailWorld runs a story with an org whose users are asked for a code by email at every sign-in.
func mailWorld(t *testing.T, story func(t *testing.T, w *world)) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, "acme", doc{"methods": doc{"email": "implicit"}, "require": "everyone", "trust": doc{"days": 0}})
		story(t, w)
	})
}

func TestB13WhoIgnoresARefusalGetsNowhere(t *testing.T) {
	mailWorld(t, func(t *testing.T, w *world) {
		asked := w.asked(t, ana, nil)
		id, token := asked.text("challenge", "id"), asked.text("challenge", "token")
		w.verify(t, id, doc{"code": wrong(w.code(t, ana.email))}).want(t, 422, "wrong_code")
		if got := w.do(t, call{method: "GET", path: "/v1/challenges/" + id}).want(t, 200, ""); got.text("state") != "pending" || got.at("outcome") != nil {
			t.Errorf("the outcome: got %s, want none", got.raw)
		}
		if got := w.do(t, call{method: "GET", path: "/v1/challenges/" + id, bearer: token}).want(t, 200, ""); got.at("outcome") != nil || got.at("token") != nil {
			t.Errorf("what a page sees: got %s, want no outcome", got.raw)
		}
		w.do(t, call{method: "GET", path: ana.path(""), bearer: token}).want(t, 401, "unauthenticated")
		w.do(t, call{method: "POST", path: "/v1/enrolments", bearer: token, body: doc{"kind": "totp"}}).want(t, 401, "unauthenticated")
		remove := call{method: "PATCH", path: ana.path(""), body: doc{"enabled": true}, header: w.fresh(t, token)}
		w.do(t, remove).want(t, 403, "")
		for range 4 {
			w.verify(t, id, doc{"code": wrong(w.code(t, ana.email))}).want(t, 422, "wrong_code")
		}
		w.verify(t, id, doc{"code": w.code(t, ana.email)}).want(t, 404, "challenge_invalid")
		if got := w.do(t, call{method: "GET", path: "/v1/challenges/" + id}).want(t, 200, ""); got.text("state") != "failed" || got.at("outcome") != nil {
			t.Errorf("after the last attempt: got %s, want it failed", got.raw)
		}
	})
}

func TestB14WhatIsSmuggledIntoABodyIsRefusedAndChangesNothing(t *testing.T) {
	mailWorld(t, func(t *testing.T, w *world) {
		id := w.asked(t, ana, nil).text("challenge", "id")
		code := w.code(t, ana.email)
		for _, body := range []string{
			`{"code":"` + code + `","code":"` + code + `"}`, `{"code":"` + code + `","\u0063ode":"000000"}`, `{"code":["` + code + `"]}`,
			`{"code":` + strings.TrimLeft("1"+code, "0") + `}`, `{"code":true}`, `{"code":null}`, `{"code":{"$ne":""}}`, `{"code":"` + code + `","verified":true}`,
			`{"code":"` + code + `","org":"other"}`, `{"code":"` + code + `","user":{"id":"u-18"}}`, `{"code":"` + code + `"}{"code":"` + code + `"}`,
			`[{"code":"` + code + `"}]`, `{"Code":"` + code + `"}`, `{"code":"` + code + `","trust":true}`, "\xef\xbb\xbf" + `{"code":"` + code + `"}`,
		} {
			w.do(t, call{method: "POST", path: "/v1/challenges/" + id + "/verify", body: body}).want(t, 400, "invalid_request")
		}
		for _, query := range []string{"?code=" + code, "?verified=true", "?org=other&org=acme"} {
			w.do(t, call{method: "POST", path: "/v1/challenges/" + id + "/verify" + query, body: doc{"code": code}}).want(t, 400, "invalid_request")
		}
		if left := w.verify(t, id, doc{"code": wrong(code)}).want(t, 422, "wrong_code").number("attempts_left"); left != 4 {
			t.Errorf("got %d attempts left, want 4: nothing of all that was an attempt", left)
		}
		w.verify(t, id, doc{"code": code}).want(t, 200, "")
	})
}

// raw sends the bytes of a request and returns the status of the answer, or 0 if the server hangs up.
func (w *world) raw(t *testing.T, request string) int {
	t.Helper()
	at, err := url.Parse(w.base)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", at.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprint(conn, request)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}

func TestB15NoSpellingOfARequestGetsAroundAChecks(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, "acme", doc{"profile": "kls"})
		before := w.do(t, call{method: "GET", path: "/v1/orgs/acme/policy"}).want(t, 200, "")
		body := `{"require":"nobody","acknowledge":true}`
		head := "Host: localhost\r\nContent-Type: application/json\r\nIf-Match: " + before.header.Get("ETag") + "\r\n"
		sized := fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
		chunked := fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
		const path = "/v1/orgs/acme/policy"
		requests := []string{"PUT " + path + " HTTP/1.0\r\n" + head + sized, "PUT http://localhost" + path + " HTTP/1.1\r\n" + head + sized}
		for _, spelled := range []string{
			path, path + "/", "/" + path, "/v1/./orgs/acme/policy", "/v1/x/../orgs/acme/policy", "/v1/orgs/acme/%70olicy", "/v1/orgs%2facme/policy",
			"/v1/orgs/acme/Policy", "/V1/orgs/acme/policy", "/prod" + path, "/$default" + path, path + "?", path + ";a=b", path + "%20", path + "%00", path + "#",
			"/v1/orgs/acme/policy/preview/../../policy", "/health/../v1/orgs/acme/policy", "/.well-known/jwks.json/../.." + path,
		} {
			for _, method := range []string{"PUT", "put", "POST", "PATCH", "DELETE", "CONNECT", "TRACE", "PUT\tx"} {
				requests = append(requests, method+" "+spelled+" HTTP/1.1\r\n"+head+sized)
			}
		}
		requests = append(requests,
			"PUT "+path+" HTTP/1.1\r\n"+head+chunked,
			"PUT "+path+" HTTP/1.1\r\n"+head+"Content-Length: 5\r\n"+chunked,
			"PUT "+path+" HTTP/1.1\r\n"+head+"Transfer-Encoding: identity\r\n"+sized,
			"POST "+path+" HTTP/1.1\r\n"+head+"X-HTTP-Method-Override: PUT\r\n"+sized,
			"PUT "+path+" HTTP/1.1\r\n"+head+"X-Original-URL: /health\r\nX-Forwarded-For: 127.0.0.1\r\n"+sized,
			"PUT "+path+" HTTP/1.1\r\n"+head+"Authorization: Bearer \r\n"+sized,
			"PUT "+path+" HTTP/1.1\r\n"+head+"Authorization: Basic "+w.key+"\r\n"+sized,
			"PUT "+path+" HTTP/1.1\r\n"+head+"Cookie: Authorization=Bearer "+w.key+"\r\n"+sized,
			"PUT "+path+"?access_token="+w.key+" HTTP/1.1\r\n"+head+sized,
		)
		for _, request := range requests {
			if status := w.raw(t, request); status/100 == 2 || status >= 500 && status != http.StatusNotImplemented && status != http.StatusHTTPVersionNotSupported {
				line, _, _ := strings.Cut(request, "\r\n")
				t.Errorf("%s: got %d without a bearer", line, status)
			}
		}
		after := w.do(t, call{method: "GET", path: path}).want(t, 200, "")
		if !bytes.Equal(after.raw, before.raw) {
			t.Errorf("the policy: got %s, want it as it was, %s", after.raw, before.raw)
		}
	})
}

func TestB16NoUpdateSaysThatAnAddressIsProven(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, "acme", doc{"profile": "karbon", "require": "everyone"})
		for _, more := range []doc{{"verified": true}, {"email_verified": true}, {"factors": []any{doc{"kind": "email"}}}, {"enabled": true}} {
			w.do(t, call{method: "PUT", path: ana.path(""), body: doc{"email": ana.email}.with(more)}).want(t, 400, "invalid_request")
			w.do(t, call{method: "PATCH", path: ana.path(""), body: doc{"enabled": true}.with(doc{"email": ana.email, "verified": true}), header: w.fresh(t, "")}).want(t, 400, "invalid_request")
		}
		w.do(t, call{method: "PUT", path: ana.path(""), body: doc{"email": ana.email, "phone": anasNumber}}).want(t, 200, "")
		if got := w.account(t, ana); len(got.list("factors")) != 0 || got.at("enabled") != false {
			t.Errorf("got %s, want no factor of what the client said", got.raw)
		}
		_, token := w.toEnrol(t, ana)
		asked := w.do(t, call{method: "POST", path: "/v1/enrolments", bearer: token, body: doc{"kind": "totp"}}).want(t, 201, "")
		if asked.at("prove") == nil || asked.at("totp") != nil {
			t.Errorf("got %s, want a code to the address, which nobody has proven", asked.raw)
		}
	})
}

func TestE9AnotherSiteMakesNoBrowserEnrol(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, "acme", doc{"profile": "helpdesk", "require": "everyone", "enrolment_proof": "none"})
		_, token := w.toEnrol(t, ana)
		const body = `{"kind":"totp"}`
		for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a", "text/plain; application/json"} {
			header := from("https://evil.example")
			header["Content-Type"] = kind
			w.do(t, call{method: "POST", path: "/v1/enrolments", bearer: token, body: body, header: header}).want(t, 415, "unsupported_media_type")
		}
		if status := w.raw(t, "GET /v1/enrolments?kind=totp HTTP/1.1\r\nHost: localhost\r\nCookie: token="+token+"\r\n\r\n"); status/100 == 2 {
			t.Errorf("by an image: got %d", status)
		}
		if status := w.raw(t, fmt.Sprintf("POST /v1/enrolments HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\nCookie: token=%s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", token, len(body), body)); status != http.StatusUnauthorized {
			t.Errorf("with a cookie for a bearer: got %d, want 401", status)
		}
		if allowed := w.preflight(t, "https://evil.example", "/v1/enrolments"); allowed != "" {
			t.Errorf("the preflight allows %q", allowed)
		}
		if got := w.account(t, ana); len(got.list("factors")) != 0 {
			t.Errorf("got %s, want no factor", got.raw)
		}
		w.do(t, call{method: "POST", path: "/v1/enrolments", bearer: token, body: body}).want(t, 201, "")
	})
}

func TestE11NoOtherLastCharacterIsTaken(t *testing.T) {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	others := func(token string, use func(string)) {
		for _, c := range letters {
			if other := token[:len(token)-1] + string(c); other != token {
				use(other)
			}
		}
		for _, tail := range []string{"=", "A", ".", "%00"} {
			use(token + tail)
		}
	}
	klsWorld(t, func(t *testing.T, w *world) {
		trusted := w.trusted(t, ana)
		others(trusted, func(other string) {
			if got := w.do(t, call{method: "POST", path: "/v1/decisions", body: ana.signIn(doc{"trust_token": other})}).want(t, 200, ""); got.text("decision") != "challenge" {
				t.Errorf("a trust token that ends otherwise: got %s", got.raw)
			}
		})
		asked := w.asked(t, ana, nil)
		id, token := asked.text("challenge", "id"), asked.text("challenge", "token")
		others(token, func(other string) {
			w.do(t, call{method: "GET", path: "/v1/challenges/" + id, bearer: other}).want(t, 401, "unauthenticated")
		})
		others(w.key, func(other string) {
			w.do(t, call{method: "GET", path: ana.path(""), bearer: other}).want(t, 401, "unauthenticated")
		})
		code := w.code(t, ana.email)
		others(code, func(other string) {
			if a := w.verify(t, id, doc{"code": other}); a.status == 200 {
				t.Errorf("got in by %q", other)
			}
		})
	})
}

func TestL1WhatIsMissingSpentForeignOrExpiredLooksTheSame(t *testing.T) {
	mailWorld(t, func(t *testing.T, w *world) {
		w.policy(t, "other", doc{"methods": doc{"email": "implicit"}, "require": "everyone", "trust": doc{"days": 0}})
		signs := func(p person) (id, token, code string) {
			asked := w.asked(t, p, nil)
			return asked.text("challenge", "id"), asked.text("challenge", "token"), w.code(t, p.email)
		}
		expired, expiredToken, expiredCode := signs(ana)
		w.advance(t, 16*time.Minute)
		spent, spentToken, spentCode := signs(person{"acme", "u-18", "bob@acme.example"})
		w.verify(t, spent, doc{"code": spentCode}).want(t, 200, "")
		foreign, _, foreignCode := signs(person{"other", ana.id, "ana@other.example"})
		own, ownToken, _ := signs(person{"acme", "u-19", "cleo@acme.example"})
		missing := own[:len(own)-24] + strings.Repeat("A", 24)

		plain := func(a answer) string {
			problem := string(a.raw)
			if request := a.text("request_id"); request != "" {
				problem = strings.ReplaceAll(problem, request, "")
			}
			return fmt.Sprint(a.status, a.header.Get("Content-Type"), a.header.Get("WWW-Authenticate"), problem)
		}
		var first string
		for name, c := range map[string][3]string{
			"missing": {missing, ownToken, "123456"}, "foreign": {foreign, ownToken, foreignCode}, "of another user": {spent, ownToken, spentCode},
			"spent": {spent, spentToken, spentCode}, "expired": {expired, expiredToken, expiredCode},
		} {
			got := plain(w.do(t, call{method: "POST", path: "/v1/challenges/" + c[0] + "/verify", bearer: c[1], body: doc{"code": c[2]}}).want(t, 404, "challenge_invalid"))
			if first == "" {
				first = got
			}
			if got != first {
				t.Errorf("%s: got %s, want %s as for all others", name, got, first)
			}
		}
	})
}

func TestL8NoErrorShowsWhatIsInside(t *testing.T) {
	mailWorld(t, func(t *testing.T, w *world) {
		id := w.asked(t, ana, nil).text("challenge", "id")
		code := w.code(t, ana.email)
		calls := map[string]call{
			"a start": {method: "POST", path: "/v1/challenges", body: ana.signIn(nil)}, "a verify": {method: "POST", path: "/v1/challenges/" + id + "/verify", body: doc{"code": code}},
			"an account": {method: "GET", path: ana.path("")}, "a policy": {method: "GET", path: "/v1/orgs/acme/policy"},
			"no JSON": {method: "POST", path: "/v1/challenges", body: `{"org":`}, "no key": {method: "GET", path: ana.path(""), bearer: "csk_nonsense"},
			"no cursor": {method: "GET", path: ana.path("/activity?cursor=nonsense")}, "no user": {method: "GET", path: "/v1/orgs/acme/users/nobody"},
		}
		for _, fault := range []string{"", "store", "keys", "email"} {
			for name, c := range calls {
				if fault != "" {
					w.fault(t, fault, "fail", 20)
				}
				a := w.do(t, c)
				if fault != "" {
					w.fault(t, fault, "fail", 0)
				}
				if a.status < 400 {
					continue
				}
				text := strings.ToLower(string(a.raw))
				for _, inside := range []string{"dynamo", "bolt", "table", "arn:", "amazon", "aws", "goroutine", ".go:", "panic", "sql", "partition", "u#", "epoch", code, strings.ToLower(w.key)} {
					if strings.Contains(text, inside) {
						t.Errorf("%s with a fault of %q: got %s, with %q in it", name, fault, a.raw, inside)
					}
				}
			}
		}
	})
}
