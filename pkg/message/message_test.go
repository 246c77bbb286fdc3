package message

import (
	"encoding/xml"
	"errors"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"countersign/pkg/seal"
)

const testedCode = "493028"

// A notice is all that any message can be about.
type notice struct {
	Addressee
	Code
	Facts
}

func testedNotice() notice {
	return notice{
		Addressee{Address: "ana@acme.example", Name: "Ana"},
		Code{Code: seal.NewSecret(testedCode), Sequence: "B", ValidFor: 10 * time.Minute},
		Facts{Until: time.Date(2026, 6, 3, 14, 5, 0, 0, time.UTC), Kind: "totp", Left: 7},
	}
}

func (n notice) by(sender, language string) Addressee {
	n.Sender, n.Language = sender, language
	return n.Addressee
}

func codeMessage(sender, language string, n notice) Message {
	return OfCode(n.by(sender, language), n.Code)
}

func noticeOf(topic, sender, language string, n notice) Message {
	m, _ := About(topic, n.by(sender, language), n.Facts)
	return m
}

// everyMessage is each message that n can become, by what it is.
func everyMessage(sender, language string, n notice) map[string]Message {
	all := map[string]Message{
		"code": codeMessage(sender, language, n),
		"sum":  Sum(n.by(sender, language), everythingWaits(n)),
	}
	for topic := range topics {
		all[topic] = noticeOf(topic, sender, language, n)
	}
	lasting, over := n, n
	lasting.ForGood, over.Until = true, time.Time{}
	all["lock for good"], all["lock that is over"] = noticeOf(Lock, sender, language, lasting), noticeOf(Lock, sender, language, over)
	known, other := n, n
	known.Browsers, other.Browsers = KnownBrowsers, OtherBrowsers
	for _, topic := range []string{Lock, RecoveryLock} {
		all[topic+" in known browsers"], all[topic+" in other browsers"] = noticeOf(topic, sender, language, known), noticeOf(topic, sender, language, other)
	}
	one, none := n, n
	one.Left, none.Left = 1, 0
	all["last but one used"], all["last one used"] = noticeOf(RecoveryUsed, sender, language, one), noticeOf(RecoveryUsed, sender, language, none)
	return all
}

// everythingWaits is every topic once, but for one that came three times.
func everythingWaits(n notice) (items []Item) {
	for _, topic := range slices.Sorted(maps.Keys(topics)) {
		items = append(items, Item{Topic: topic, Kind: n.Kind, Times: 1, Last: n.Until})
	}
	items[0].Times = 3
	return items
}

// eachMessage runs check on every message in every language.
func eachMessage(t *testing.T, n notice, check func(t *testing.T, language string, m Message)) {
	t.Helper()
	for _, language := range Languages() {
		for what, m := range everyMessage("Acme", language, n) {
			t.Run(language+", "+what, func(t *testing.T) { check(t, language, m) })
		}
	}
}

var (
	placeholder = regexp.MustCompile(`\{[^}]*\}`)
	markup      = regexp.MustCompile(`<[^>]*>`)
	domain      = regexp.MustCompile(`[^\s][.。．｡][^\s,]`)
	pageHead    = regexp.MustCompile(`(?s)<head>.*</head>`)
)

// elements lists the elements of a page in their order, with their attributes' names; it fails the test where they
// don't close each other.
func elements(t *testing.T, page string) []string {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(page))
	d.Strict, d.AutoClose, d.Entity = false, []string{"meta"}, xml.HTMLEntity
	var open, all []string
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("parse the page: %v", err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			name := e.Name.Local
			for _, a := range e.Attr {
				name += " " + a.Name.Local
			}
			all = append(all, name)
			if e.Name.Local != "meta" {
				open = append(open, e.Name.Local)
			}
		case xml.EndElement:
			if len(open) == 0 || open[len(open)-1] != e.Name.Local {
				t.Fatalf("</%s> closes %q", e.Name.Local, open)
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		t.Fatalf("%q are never closed", open)
	}
	return all
}

// said is what a page shows, a passage at a time.
func said(page string) string {
	page = pageHead.ReplaceAllString(page, "")
	page = strings.ReplaceAll(page, "</p>\n", "\n\n")
	return strings.TrimSpace(xmlText(markup.ReplaceAllString(page, ""))) + "\n"
}

// xmlText resolves character references, by another package than the one that wrote them.
func xmlText(escaped string) string {
	d := xml.NewDecoder(strings.NewReader("<p>" + escaped + "</p>"))
	var text struct {
		Text string `xml:",chardata"`
	}
	if err := d.Decode(&text); err != nil {
		return "not to be read: " + err.Error()
	}
	return text.Text
}

func TestTextAndHTMLSayTheSameWords(t *testing.T) {
	for _, name := range []string{"Ana", "", `<b>O'Neill & "Sons"</b>`} {
		n := testedNotice()
		n.Name = name
		eachMessage(t, n, func(t *testing.T, _ string, m Message) {
			if got, want := said(m.HTML), m.Text; got != want {
				t.Errorf("HTML says\n%s\nwant what the text says\n%s", got, want)
			}
		})
	}
}

func TestTheCodeIsInBothBodiesAndNeverInTheSubject(t *testing.T) {
	for _, language := range Languages() {
		m := codeMessage("Acme", language, testedNotice())
		if strings.Contains(m.Subject, testedCode) {
			t.Errorf("subject in %q holds the code: %q", language, m.Subject)
		}
		if got := strings.Count(m.Text, "\n"+testedCode+"\n"); got != 1 {
			t.Errorf("text in %q has %d lines that are the code, want 1:\n%s", language, got, m.Text)
		}
		if got := strings.Count(m.HTML, ">"+testedCode+"</p>"); got != 1 {
			t.Errorf("HTML in %q has %d passages that are the code, want 1:\n%s", language, got, m.HTML)
		}
		for _, body := range []string{m.Text, m.HTML} {
			if got := strings.Count(body, testedCode); got != 1 {
				t.Errorf("body in %q has the code %d times, want once:\n%s", language, got, body)
			}
		}
		if !m.Code.Equal(seal.NewSecret(testedCode)) {
			t.Errorf("in %q the recorder is not given the code", language)
		}
	}
}

func TestOnlyTheCodeMessageCarriesACode(t *testing.T) {
	eachMessage(t, testedNotice(), func(t *testing.T, _ string, m Message) {
		if strings.HasSuffix(t.Name(), "code") {
			return
		}
		if !m.Code.IsZero() || strings.Contains(m.Subject+m.Text+m.HTML, testedCode) {
			t.Errorf("a notice carries the code:\n%s", m.Text)
		}
	})
}

func TestALockScreenThatShowsHowTheMessageBeginsDoesNotShowTheCode(t *testing.T) {
	for _, language := range Languages() {
		n := testedNotice()
		n.Name = ""
		text := codeMessage("Acme", language, n).Text
		before, _, _ := strings.Cut(text, testedCode)
		if got := len([]rune(before)); got < 120 {
			t.Errorf("in %q the code comes after %d characters, want 120:\n%s", language, got, text)
		}
		if got := strings.TrimSpace(before); !strings.HasSuffix(got, ":") {
			t.Errorf("in %q the code is not announced:\n%s", language, got)
		}
	}
}

func TestTheCodeMessageSaysWhichCodeItIs(t *testing.T) {
	for _, language := range Languages() {
		m := codeMessage("Acme", language, testedNotice())
		for _, text := range []string{m.Subject, m.Text, said(m.HTML)} {
			if got, want := strings.ReplaceAll(text, "\u00a0", " "), "code B"; !strings.Contains(got, want) {
				t.Errorf("in %q not said: %q in\n%s", language, want, got)
			}
		}
	}
}

func TestMinutesAreCountedInWords(t *testing.T) {
	for _, test := range []struct {
		language string
		minutes  int
		want     string
	}{
		{"en", 15, "It is valid for 15 minutes."},
		{"en", 2, "It is valid for 2 minutes."},
		{"en", 1, "It is valid for 1 minute."},
		{"en", 0, "It is valid for less than a minute."},
		{"fr", 15, "Il est valable 15\u00a0minutes."},
		{"fr", 2, "Il est valable 2\u00a0minutes."},
		{"fr", 1, "Il est valable 1\u00a0minute."},
		{"fr", 0, "Il est valable moins d’une minute."},
	} {
		n := testedNotice()
		n.ValidFor = time.Duration(test.minutes)*time.Minute + 59*time.Second
		m := codeMessage("Acme", test.language, n)
		for _, body := range []string{m.Text, said(m.HTML)} {
			if !strings.Contains(body, "\n"+test.want+"\n") {
				t.Errorf("%d minutes in %q: got\n%s\nwant the line %q", test.minutes, test.language, body, test.want)
			}
		}
	}
}

func TestTheCodeMessageSaysToLookInSpamAndThatNobodyWillAskForTheCode(t *testing.T) {
	for language, want := range map[string][]string{
		"en": {"look in your spam folder", "Nobody from Acme will ever ask for this code.", "change it without delay"},
		"fr": {"regardez dans votre dossier de courrier indésirable (spam)", "Personne chez Acme ne vous demandera jamais ce code.", "changez-le sans attendre"},
	} {
		m := codeMessage("Acme", language, testedNotice())
		for _, w := range want {
			for _, body := range []string{m.Text, said(m.HTML)} {
				if !strings.Contains(body, w) {
					t.Errorf("in %q not said: %q in\n%s", language, w, body)
				}
			}
		}
	}
}

func TestALockNoticeSaysUntilWhenInUTC(t *testing.T) {
	paris := time.FixedZone("", 2*60*60)
	for _, test := range []struct {
		until    time.Time
		language string
		want     string
	}{
		{time.Date(2026, 6, 3, 14, 5, 0, 0, time.UTC), "en", "until 3 June 2026 at 14:05 UTC,"},
		{time.Date(2026, 6, 3, 14, 5, 0, 0, time.UTC), "fr", "avant le 3\u00a0juin 2026 à 14\u00a0h\u00a005 (UTC),"},
		{time.Date(2026, 8, 1, 9, 0, 0, 0, time.UTC), "en", "until 1 August 2026 at 09:00 UTC,"},
		{time.Date(2026, 8, 1, 9, 0, 0, 0, time.UTC), "fr", "avant le 1er\u00a0août 2026 à 9\u00a0h\u00a000 (UTC),"},
		{time.Date(2027, 1, 1, 1, 30, 0, 0, paris), "en", "until 31 December 2026 at 23:30 UTC,"},
		{time.Date(2026, 12, 31, 23, 59, 0, 1, time.UTC), "fr", "avant le 1er\u00a0janvier 2027 à 0\u00a0h\u00a000 (UTC),"},
	} {
		n := testedNotice()
		n.Until = test.until
		m := noticeOf(Lock, "Acme", test.language, n)
		for _, body := range []string{m.Text, said(m.HTML)} {
			if !strings.Contains(body, test.want) {
				t.Errorf("a lock until %v in %q: got\n%s\nwant %q", test.until, test.language, body, test.want)
			}
		}
	}
}

func TestALockThatOnlyAnotherFactorOrAnAdministratorLiftsNamesNoTime(t *testing.T) {
	for language, want := range map[string]string{
		"en": "until you prove in another way that it is you, or until an administrator unlocks your account",
		"fr": "jusqu’à ce que vous prouviez d’une autre manière que c’est bien vous, ou qu’un administrateur déverrouille votre compte",
	} {
		n := testedNotice()
		n.ForGood = true
		m := noticeOf(Lock, "Acme", language, n)
		for _, body := range []string{m.Text, said(m.HTML)} {
			if !strings.Contains(body, want) || strings.Contains(body, "9999") || strings.Contains(body, "10000") || strings.Contains(body, "UTC") {
				t.Errorf("a lock for good in %q: got\n%s\nwant %q and no time", language, body, want)
			}
		}
	}
}

func TestALockThatWasLiftedMeanwhileNamesNoTime(t *testing.T) {
	for language, want := range map[string]string{"en": "That is over now.", "fr": "C’est maintenant terminé."} {
		n := testedNotice()
		n.Until = time.Time{}
		text := noticeOf(Lock, "Acme", language, n).Text
		if !strings.Contains(text, want) || strings.Contains(text, "UTC") {
			t.Errorf("a lock that is over in %q: got\n%s\nwant %q and no time", language, text, want)
		}
	}
}

func TestATheftNoticeSaysWhatWasDoneAndWhatToDo(t *testing.T) {
	for language, want := range map[string][]string{
		"en": {"used in two places", "We have ended that trust.", "change your password without delay"},
		"fr": {"utilisé à deux endroits", "Nous avons mis fin à cette confiance.", "changez votre mot de passe sans attendre"},
	} {
		m := noticeOf(Theft, "Acme", language, testedNotice())
		for _, w := range want {
			if !strings.Contains(m.Text, w) {
				t.Errorf("in %q not said: %q in\n%s", language, w, m.Text)
			}
		}
	}
}

func TestANoticeOfAChangeSaysWhatWasDoneAndWhatToDo(t *testing.T) {
	for language, want := range map[string]map[string]string{
		"en": {
			Enrolled: "confirmed with an authenticator app", Removed: "no longer be confirmed with an authenticator app",
			RecoveryUsed: "7 recovery codes are left", "last but one used": "One recovery code is left", "last one used": "no recovery codes left",
			RecoveryMade: "The earlier ones no longer work", Disabled: "no longer asks for a second proof", RecoveryLock: "no recovery code will be accepted",
		},
		"fr": {
			Enrolled: "confirmé avec une application d’authentification", Removed: "ne peut plus être confirmé avec une application d’authentification",
			RecoveryUsed: "Il reste 7\u00a0codes de secours", "last but one used": "Il reste un code de secours", "last one used": "Il ne reste plus de code",
			RecoveryMade: "Les précédents ne fonctionnent plus", Disabled: "ne demande plus de seconde preuve", RecoveryLock: "aucun code de secours ne sera examiné",
		},
	} {
		for what, said := range want {
			m := everyMessage("Acme", language, testedNotice())[what]
			advice := map[string]string{"en": "without delay", "fr": "sans attendre"}[language]
			if !strings.Contains(m.Text, said) || !strings.Contains(m.Text, advice) {
				t.Errorf("%s in %q: want %q and %q in\n%s", what, language, said, advice, m.Text)
			}
		}
	}
}

func TestAMessageGreetsByTheNameThatIsKnown(t *testing.T) {
	for _, test := range []struct{ language, name, want string }{
		{"en", "Ana", "Hello Ana,\n"},
		{"en", "", "Hello,\n"},
		{"fr", "Zoë d’Aubigné-Lévêque", "Bonjour Zoë d’Aubigné-Lévêque,\n"},
		{"fr", "", "Bonjour,\n"},
		{"en", "J.R. Smith Jr.", "Hello J. R. Smith Jr.,\n"},
		{"en", "Nguyễn Thị Ánh", "Hello Nguyễn Thị Ánh,\n"}, // with combining marks
		{"en", "نور الهدى", "Hello نور الهدى,\n"},
		{"en", "\u200b \u202e", "Hello,\n"},
		{"en", "  Ana\r\nLima\t", "Hello Ana Lima,\n"},
		{"en", strings.Repeat("Ana ", 50), "Hello Ana Ana Ana Ana Ana Ana Ana Ana Ana Ana…,\n"},
		{"en", "Ana " + strings.Repeat("x", 196), "Hello Ana " + strings.Repeat("x", 36) + "…,\n"},
		{"en", "Maria da Conceição Fernandes de Albuquerque e Castro", "Hello Maria da Conceição Fernandes de…,\n"},
	} {
		n := testedNotice()
		n.Name = test.name
		text := codeMessage("Acme", test.language, n).Text
		if !strings.HasPrefix(text, test.want) {
			t.Errorf("%q is greeted with %q, want %q", test.name, text[:min(len(text), len(test.want))], test.want)
		}
	}
}

func TestAHostileNameIsInert(t *testing.T) {
	plain := testedNotice()
	for _, name := range []string{
		`<a href="https://evil.example">press here</a>`,
		`</p></div></body><script>alert(1)</script><!--`,
		`"><img src=x onerror=alert(1)>`,
		`&lt;b&gt; &#60;b&#62;`,
		`{{.}}{{.Code}}${code}%s%d{sender}{sequence}{minutes}{name}{time}`,
		"Ana\r\nBcc: everybody@evil.example\r\n\r\n<b>hi</b>",
		"Ana\n\n" + "111111" + "\n\n",
		"Ana\u2028\u2029\u0085\v\fLima",
		"\u202eanA\u202c \u2066x\u2069 \u200e\u200f\u061c",
		"A\u200bn\u200ca\u200d\u2060\ufeff\u00ad\u3164\u180e\ufe0f\U000e0041",
		"Visit evil.example, www.evil.example or https://evil.example\\@acme.example, mailto:a@evil.example",
		"evil。example evil．example evil｡example",
		"\x00\x1b[31mAna\x7f\u009b",
		"Z" + strings.Repeat("\u0335\u0346", 60),
		strings.Repeat("\u200bA", 60),
		"\xff\xfe",
	} {
		n := plain
		n.Name = name
		for _, language := range Languages() {
			harmless, messages := everyMessage("Acme", language, plain), everyMessage("Acme", language, n)
			for what, m := range messages {
				if got, want := m.Subject, harmless[what].Subject; got != want {
					t.Errorf("%q changes a subject to %q, want %q", name, got, want)
				}
				if got, want := elements(t, m.HTML), elements(t, harmless[what].HTML); !slices.Equal(got, want) {
					t.Errorf("%q makes a page of %q, want %q", name, got, want)
				}
				if got, want := said(m.HTML), m.Text; got != want {
					t.Errorf("%q: HTML says\n%q\nwant what the text says\n%q", name, got, want)
				}
				greeting, rest, _ := strings.Cut(m.Text, "\n")
				if _, want, _ := strings.Cut(harmless[what].Text, "\n"); rest != want {
					t.Errorf("%q changes more than the greeting: got\n%s\nwant\n%s", name, rest, want)
				}
				if got := len([]rune(greeting)); got > longestName+len("Bonjour …,") {
					t.Errorf("%q makes a greeting of %d characters", name, got)
				}
				if domain.MatchString(greeting) || strings.ContainsAny(greeting, `:/\@`) {
					t.Errorf("%q leaves what a mail program makes a link of in %q", name, greeting)
				}
				if strings.Contains(greeting, "\u0335\u0346\u0335\u0346\u0335") {
					t.Errorf("%q leaves more marks on a character than a name needs in %q", name, greeting)
				}
				for _, r := range greeting {
					if unicode.Is(unicode.C, r) || unicode.Is(unicode.Bidi_Control, r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) {
						t.Errorf("%q leaves %U in the greeting", name, r)
					}
				}
			}
		}
	}
}

func TestANameIsNotFilledIn(t *testing.T) {
	n := testedNotice()
	n.Name = "{sender} {sequence} {{.}}"
	if got, want := codeMessage("Acme", "en", n).Text, "Hello {sender} {sequence} {{. }},\n"; !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want it to begin with %q", got, want)
	}
}

func TestASenderIsInert(t *testing.T) {
	plain := everyMessage("Acme", "en", testedNotice())
	for what, m := range everyMessage("Acme\r\nBcc: x@evil.example\u202e </title><b> & {name}", "en", testedNotice()) {
		if strings.ContainsFunc(m.Subject, unicode.IsControl) || strings.ContainsRune(m.Subject, '\u202e') || strings.Contains(m.Subject, "Ana") {
			t.Errorf("got subject %q", m.Subject)
		}
		if got, want := elements(t, m.HTML), elements(t, plain[what].HTML); !slices.Equal(got, want) {
			t.Errorf("it makes a page of %q, want %q", got, want)
		}
		if got, want := said(m.HTML), m.Text; got != want {
			t.Errorf("HTML says\n%s\nwant\n%s", got, want)
		}
	}
}

func TestAMessageLinksToNothingAndLoadsNothing(t *testing.T) {
	eachMessage(t, testedNotice(), func(t *testing.T, _ string, m Message) {
		for _, part := range []string{"http", "//", "www.", "href", "src", "url(", "@import", "<a", "<img", "<link", "<script", "<table", "<form"} {
			if strings.Contains(strings.ToLower(m.HTML), part) {
				t.Errorf("HTML holds %q:\n%s", part, m.HTML)
			}
			if !strings.HasPrefix(part, "<") && strings.Contains(strings.ToLower(m.Text), part) {
				t.Errorf("text holds %q:\n%s", part, m.Text)
			}
		}
	})
}

func TestAPageNamesItsLanguageAndSuitsLightAndDark(t *testing.T) {
	eachMessage(t, testedNotice(), func(t *testing.T, language string, m Message) {
		for _, part := range []string{`<html lang="` + language + `">`, `<meta name="color-scheme" content="light dark">`, `<meta charset="utf-8">`} {
			if strings.Count(m.HTML, part) != 1 {
				t.Errorf("HTML lacks %s", part)
			}
		}
		if got := placeholder.FindString(m.Subject + m.Text); got != "" {
			t.Errorf("%s is not filled in:\n%s", got, m.Text)
		}
	})
}
