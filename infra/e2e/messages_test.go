package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
)

// hostile are names that would do harm if they are not shown as plain text on one line.
var hostile = []string{
	`<a href="https://evil.example">Sign in</a><img src=x onerror=alert(1)>`,
	`{{.Code}} {sequence} {code} {sender} %s ${7*7}`,
	"\u202eana\u2066 \u200fevil.example\u200b",
	"Ana\" <ana@evil.example>, \"",
}

// directions reports whether a character changes the direction of text, or can't be seen.
func directions(r rune) bool { return unicode.In(r, unicode.Bidi_Control, unicode.Cf) }

// elements returns the names of the elements and attributes of a document, which must be well-formed.
func elements(t *testing.T, html string) (names []string) {
	t.Helper()
	// HTML has void elements, and a doctype that isn't XML.
	html = strings.Replace(html, "<!DOCTYPE html>\n", "", 1)
	html = regexp.MustCompile(`<meta [^<>]*>`).ReplaceAllString(html, "")
	d := xml.NewDecoder(strings.NewReader(html))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatalf("%v in %s", err, html)
		}
		if e, ok := token.(xml.StartElement); ok {
			names = append(names, e.Name.Local)
			for _, a := range e.Attr {
				names = append(names, e.Name.Local+" "+a.Name.Local)
			}
		}
	}
}

// wantInert fails the test if a message contains anything from a hostile name that could do harm. layout has the elements of a
// message with an ordinary name.
func wantInert(t *testing.T, m doc, to string, layout []string) {
	t.Helper()
	text, code := m.text("text"), m.text("code")
	if m.text("to") != to || strings.ContainsFunc(fmt.Sprint(m), directions) || strings.Contains(text, "evil.example") || strings.ContainsAny(text, "\r\x00") {
		t.Errorf("got %v to %s", m, to)
	}
	times := map[string]int{"email": 1, "sms": 2}[m.text("channel")]
	if code != "" && strings.Count(text, code) != times {
		t.Errorf("the code stands %d times in %q, want %d", strings.Count(text, code), text, times)
	}
	if m.text("channel") == "sms" {
		if strings.ContainsAny(text, "<>{}$") || strings.Contains(text, "Ana") || m.at("subject") != nil || m.at("html") != nil {
			t.Errorf("got %v, want a text without the name of the user", m)
		}
		return
	}
	if subject := m.text("subject"); subject == "" || strings.ContainsAny(subject, "\r\n<>{}") || strings.Contains(subject, "Ana") {
		t.Errorf("got the subject %q", subject)
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(elements(t, m.text("html"))))) {
		if !slices.Contains(layout, name) {
			t.Errorf("got %s in %s", name, m.text("html"))
		}
	}
}

func TestM4WhatANameHoldsIsInertInMailsAndTexts(t *testing.T) {
	saltoWorld(t, func(t *testing.T, w *world) {
		ordinary := person{"acme", "u-0", "u0@acme.example"}
		w.enrolMail(t, ordinary, "")
		w.events(t, ordinary.id, "")
		var layout []string
		for _, m := range w.messages(t, ordinary.email) {
			layout = append(layout, elements(t, m.text("html"))...)
		}
		total := len(w.messages(t, ""))
		for i, name := range hostile {
			p := person{"acme", fmt.Sprintf("u-%d", i+1), fmt.Sprintf("u%d@acme.example", i+1)}
			number := fmt.Sprintf("+3361%d345678", i)
			said := doc{"email": p.email, "phone": number, "name": name, "locale": []string{"en", "fr"}[i%2]}
			w.do(t, call{method: "PUT", path: p.path(""), body: said}).want(t, 200, "")
			p.email = "" // the calls below leave out values that are already known
			begun := w.do(t, call{method: "POST", path: "/v1/enrolments", body: p.bare(doc{"kind": "email"}), header: w.fresh(t, "")}).want(t, 201, "")
			mail := said["email"].(string)
			w.finish(t, "", begun.text("id"), w.code(t, mail)).want(t, 201, "") // this sends a notice
			up := w.do(t, call{method: "POST", path: "/v1/challenges", body: p.bare(doc{"purpose": "step_up"})}).want(t, 201, "")
			proof := w.verify(t, up.text("challenge", "id"), doc{"code": w.code(t, mail)}).want(t, 200, "").text("token")
			w.enrolNumber(t, p, number, proof)
			w.do(t, call{method: "PUT", path: p.path(""), body: doc{"phone": "+447400123456"}}).want(t, 200, "") // the user is told of this on every channel
			mails, texts := w.messages(t, mail), w.messages(t, number)
			if len(mails) != 5 || len(texts) != 2 {
				t.Fatalf("got %d mails and %d texts, want the code and the notice of two enrolments, a step-up, and a change", len(mails), len(texts))
			}
			for _, m := range mails {
				wantInert(t, m, mail, layout)
			}
			for _, m := range texts {
				wantInert(t, m, number, nil)
			}
			if total += len(mails) + len(texts); len(w.messages(t, "")) != total {
				t.Errorf("got %d messages in all, want %d: none to anybody else", len(w.messages(t, "")), total)
			}
			if i == 1 && !strings.Contains(mails[0].text("text"), "{sequence} {code} {sender}") {
				t.Errorf("the braces of a name were filled in: %q", mails[0].text("text"))
			}
		}
	})
}

func TestM4NoLineIsBroughtIntoAHeader(t *testing.T) {
	saltoWorld(t, func(t *testing.T, w *world) {
		put := func(field, value string) answer {
			return w.do(t, call{method: "PUT", path: ana.path(""), body: doc{field: value}})
		}
		put("email", ana.email).want(t, 200, "")
		for field, values := range map[string][]string{
			"name": {"Ana\r\nBcc: eve@evil.example", "Ana\n\n@evil.example #111111", "Ana\x00", "Ana\u0085"},
			"email": {
				"ana@acme.example\r\nBcc: eve@evil.example", "ana@acme.example,eve@evil.example", "Ana <ana@evil.example>", "ana@acme.example ", "\"a b\"@evil.example",
				"ana@evil.example\u2028", "ana@evil.example%0aBcc:eve", "<ana@evil.example>",
			},
			"phone": {"+33612345678\r\nX: y", "+33612345678\n"},
		} {
			for _, value := range values {
				if got := put(field, value).want(t, 400, "invalid_request"); got.text("param") != field {
					t.Errorf("%s %q: got %s", field, value, got.raw)
				}
				// A start with a bad value goes on with the known values.
				w.start(t, ana, doc{"user": doc{"id": ana.id, field: value}}).want(t, 200, "")
			}
		}
		if got := w.account(t, ana); got.text("email") != ana.email || got.text("name") != "" || got.text("phone") != "" {
			t.Errorf("got %s, want what was put first", got.raw)
		}
		for _, name := range []string{"Acme\r\nBcc: eve@evil.example", "Acme\n@evil.example #111111", "\u202eAcme", "Acme\u200b"} {
			w.do(t, call{method: "POST", path: "/local/keys", body: doc{"name": name}}).want(t, 400, "invalid_request")
		}
		// The name of a client is in subjects and text messages. It must do no harm there either.
		as := *w
		as.key = w.do(t, call{method: "POST", path: "/local/keys", body: doc{"client": "another", "name": `<b>{sequence}</b> {name}`}}).want(t, 200, "").text("key")
		as.enrolMail(t, ana, "")
		as.enrolNumber(t, person{"acme", "u-2", ""}, anasNumber, "")
		for _, m := range slices.Concat(w.messages(t, ana.email), w.messages(t, anasNumber)) {
			text := m.text("subject") + m.text("text")
			if !strings.Contains(text, `<b>{sequence}</b> {name}`) || strings.Contains(m.text("html"), "<b>") || strings.ContainsAny(m.text("subject"), "\r\n") {
				t.Errorf("got %v", m)
			}
		}
		for _, to := range []string{"eve@evil.example", "ana@evil.example"} {
			if got := w.messages(t, to); len(got) != 0 {
				t.Errorf("got %v", got)
			}
		}
	})
}

// gsm is the GSM 7-bit default alphabet (3GPP TS 23.038, section 6.2.1), and twice are the characters of its extension table,
// which count twice.
const (
	gsm   = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	twice = "^{}\\[~]|€"
)

// wantOneSegment fails the test unless a text takes one segment of 160 septets.
func wantOneSegment(t *testing.T, text string) {
	t.Helper()
	n := 0
	for _, r := range text {
		switch {
		case strings.ContainsRune(gsm, r):
			n++
		case strings.ContainsRune(twice, r):
			n += 2
		default:
			t.Errorf("%q is not in the alphabet: %q", r, text)
		}
	}
	if n > 160 {
		t.Errorf("got %d septets, want at most 160: %q", n, text)
	}
}

func TestM8ATextMessageIsOneSegmentForOneSite(t *testing.T) {
	saltoWorld(t, func(t *testing.T, w *world) {
		long := "Société d’Œuvres € {[~]} – Zürich & Łódź Банк"
		as := *w
		as.key = w.do(t, call{method: "POST", path: "/local/keys", body: doc{"client": "another", "name": long}}).want(t, 200, "").text("key")
		for i, language := range []string{"en", "fr"} {
			for j, by := range []*world{w, &as} {
				p, number := person{"acme", fmt.Sprintf("u-%d%d", i, j), ""}, fmt.Sprintf("+336%d%d345678", i+1, j+1)
				w.do(t, call{method: "PUT", path: p.path(""), body: doc{"locale": language}}).want(t, 200, "")
				by.enrolNumber(t, p, number, "")
				for _, purpose := range []string{"sign_in", "step_up"} {
					id := by.byNumber(t, p, purpose, "").text("challenge", "id")
					w.advance(t, 30*time.Second)
					by.send(t, "challenges", id, "").want(t, 200, "")
				}
				w.do(t, call{method: "PUT", path: p.path(""), body: doc{"phone": "+447400123456"}}).want(t, 200, "") // this sends a notice
				w.do(t, call{method: "PUT", path: p.path(""), body: doc{"phone": "+447400123457"}}).want(t, 200, "")
				codes, letters := 0, ""
				for _, m := range w.messages(t, number) {
					text, code := m.text("text"), m.text("code")
					wantOneSegment(t, text)
					if code == "" {
						if strings.Contains(text, "\n") || strings.Contains(text, "@") {
							t.Errorf("got the notice %q, want one line that is bound to nothing", text)
						}
						continue
					}
					codes++
					lines := strings.Split(text, "\n")
					if len(lines) != 2 || lines[1] != "@localhost #"+code || !strings.HasSuffix(lines[0], ": "+code) {
						t.Errorf("%s: got %q, want two lines, the last one for the site", language, text)
					}
					if of := regexp.MustCompile(map[string]string{"en": `Code ([A-Z]), valid`, "fr": `Code ([A-Z]), valable`}[language]).FindStringSubmatch(lines[0]); of != nil {
						letters += of[1]
					}
				}
				if codes != 5 || letters != "AABAB" || len(w.messages(t, number)) <= codes {
					t.Errorf("%s: got %d codes with the letters %q and %d messages, want a notice too", language, codes, letters, len(w.messages(t, number)))
				}
			}
		}
	})
}

func TestM9ANumberIsTakenInOneSpellingOrRefused(t *testing.T) {
	saltoWorld(t, func(t *testing.T, w *world) {
		w.policy(t, "acme", salto(doc{"require": "everyone"}))
		for i, typed := range []string{
			"+33612345600", "+33 6 12 34 56 01", "0033612345602", "00 33 (0)6.12.34.56.03", "+33-6-12-34-56-04", "+33\u00a06\u202f12345605",
		} {
			p, want := person{"acme", fmt.Sprintf("u-%d", i), ""}, fmt.Sprintf("+336123456%02d", i)
			if i%2 == 0 {
				w.enrolAt(t, p, typed, want)
				continue
			}
			asked := w.do(t, call{method: "POST", path: "/v1/challenges", body: p.bare(nil)}).want(t, 201, "")
			w.do(t, call{method: "POST", path: "/v1/enrolments", bearer: asked.text("enrolment", "token"), body: doc{"kind": "sms", "phone": typed}}).want(t, 201, "")
			if got := len(w.codes(t, want)); got != 1 {
				t.Errorf("%q: got %d codes to %s, want one", typed, got, want)
			}
		}
		before := w.textsSent(t)
		p := person{"acme", "u-20", ""}
		token := w.do(t, call{method: "POST", path: "/v1/challenges", body: p.bare(nil)}).want(t, 201, "").text("enrolment", "token")
		for why, typed := range map[string]string{
			"nothing": "", "no country": "0612345678", "no plus": "33612345678", "an extension": "+33612345678 ext. 5", "an extension as in a URI": "+33612345678;ext=5",
			"an extension after a pause": "+33612345678,5", "a URI": "tel:+33612345678", "letters": "+1800FLOWERS", "full-width digits": "+３３６１２３４５６７８", "a full-width plus": "＋33612345678",
			"Arabic digits": "+٣٣٦١٢٣٤٥٦٧٨", "two plus signs": "++33612345678", "both prefixes": "+0033612345678", "a digit too much": "+336123456789", "the prefix dialled within": "+330612345678", "a digit too few": "+3361234567",
			"a premium rate": "+33891234567", "a British premium rate": "+449012345678", "a short number": "+33 36 08", "an emergency number": "112", "a fixed line": "+33123456789",
			"a toll-free number": "+33805123456", "a satellite phone": "+870773111632", "a second line": "+33612345678\n@evil.example #1", "two numbers": "+33612345678,+33612345679",
		} {
			body := doc{"kind": "sms", "phone": typed}
			byKey := w.do(t, call{method: "POST", path: "/v1/enrolments", body: p.bare(body), header: w.fresh(t, "")}).want(t, 400, "invalid_request")
			byToken := w.do(t, call{method: "POST", path: "/v1/enrolments", bearer: token, body: body}).want(t, 400, "invalid_request")
			if byKey.text("param") != "phone" || byToken.text("param") != "phone" || typed != "" && strings.Contains(string(byKey.raw), typed) {
				t.Errorf("%s: got %s and %s", why, byKey.raw, byToken.raw)
			}
		}
		if got := w.textsSent(t) - before; got != 0 {
			t.Errorf("got %d messages to what is no number", got)
		}
	})
}

// enrolAt enrols a number as it is typed. The code must be sent to the only spelling of it.
func (w *world) enrolAt(t *testing.T, p person, typed, spelled string) {
	t.Helper()
	begun := w.beginNumber(t, p, typed, "").want(t, 201, "")
	w.finish(t, "", begun.text("id"), w.code(t, spelled)).want(t, 201, "")
}

func TestM9TheNumberInAProfileIsInOneSpelling(t *testing.T) {
	saltoWorld(t, func(t *testing.T, w *world) {
		put := func(phone any) answer {
			return w.do(t, call{method: "PUT", path: ana.path(""), body: doc{"phone": phone}})
		}
		begin := func() answer {
			return w.do(t, call{method: "POST", path: "/v1/enrolments", body: ana.bare(doc{"kind": "sms"}), header: w.fresh(t, "")})
		}
		put(anasNumber).want(t, 200, "")
		bad := []string{
			"+33 6 12 34 56 79", "0033612345679", "0612345679", "33612345679", "+33612345679x5", "+33612345679;ext=5", "tel:+33612345679", "+1800FLOWERS",
			"+３３６１２３４５６７９", "＋33612345679", "++33612345679", "+0612345679", "112", "+112", "+1234567890123456", "+33612345679\n", "",
		}
		for _, phone := range bad {
			if got := put(phone).want(t, 400, "invalid_request"); got.text("param") != "phone" {
				t.Errorf("%q: got %s", phone, got.raw)
			}
			// A sign-in drops a bad value, and goes on.
			w.do(t, call{method: "POST", path: "/v1/challenges", body: doc{"org": "acme", "user": doc{"id": ana.id, "phone": phone}}}).want(t, 200, "")
		}
		if got := w.account(t, ana).text("phone"); got != anasNumber {
			t.Errorf("got the number %q, want the first one", got)
		}
		told := 0
		for _, e := range w.events(t, ana.id, "user.updated") {
			if e.text("data", "dropped") == "phone" {
				told++
			}
		}
		if told != len(bad) {
			t.Errorf("got %d events about a number that was dropped, want %d", told, len(bad))
		}
		begun := begin().want(t, 201, "")
		w.finish(t, "", begun.text("id"), w.code(t, anasNumber)).want(t, 201, "")
		// E.164 has numbers that no message can reach. A profile may have such a number, but it can't be a factor.
		eve := person{"acme", "u-2", ""}
		for _, phone := range []string{"+33123456789", "+33891234567", "+449012345678"} {
			body := doc{"org": "acme", "user": doc{"id": eve.id, "phone": phone}, "kind": "sms"}
			got := w.do(t, call{method: "POST", path: "/v1/enrolments", body: body, header: w.fresh(t, "")}).want(t, 400, "invalid_request")
			if got.text("param") != "phone" {
				t.Errorf("%s: got %s", phone, got.raw)
			}
		}
		if got := w.textsSent(t); got != 1 {
			t.Errorf("got %d messages, want one", got)
		}
	})
}
