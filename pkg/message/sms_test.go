package message

import (
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/pkg/seal"
)

// senders are names of clients, each of which says how a text message writes it.
var senders = map[string]string{
	"Acme":                           "Acme",
	"Zoë’s Bank":                     "Zoe's Bank",
	"Crédit Agricole":                "Crédit Agricole",
	"Garçon & Œuvre":                 "Garcon & OEuvre",
	"Zoe\u0308":                      "Zoe",
	"Łódź – «Şirket»…":               "Lodz - \"Sirket\"...",
	"Acme \U0001f512":                "Acme ?",
	"Банк":                           "",
	"銀行":                             "",
	"":                               "",
	" A\r\n@evil.example #111111\n ": "A @evil.example #111111",
	"{[~]}":                          "",
	"a{[~]}":                         "a{[~]}",
	"a{sequence}":                    "a{sequence}",
}

func codeText(sender, language, host string, valid time.Duration) Text {
	return OfCodeText(Addressee{Sender: sender, Address: "+33612345678", Name: "<b>Ana</b>", Language: language},
		Code{Code: seal.NewSecret(testedCode), Sequence: "B", ValidFor: valid}, host)
}

func TestM8ATextMessageIsOneSegmentThatEndsWithTheSite(t *testing.T) {
	hosts := []string{"a.fr", "app.acme.example", "abcdefghij.execute-api.ap-southeast-1.amazonaws.com", strings.Repeat("a", LongestHost-len(".com")) + ".com"}
	for _, language := range Languages() {
		for _, host := range hosts {
			for _, valid := range []time.Duration{time.Second, time.Minute, 10 * time.Minute} {
				for _, sender := range append(sendersOf(), strings.Repeat("Société ", 30), strings.Repeat("€", 100)) {
					got := codeText(sender, language, host, valid)
					n, fits := septets(got.Text)
					if !fits || n > oneSegment {
						t.Errorf("%s, %q: got %d septets, all in the alphabet: %v, of %q", language, sender, n, fits, got.Text)
					}
					lines := strings.Split(got.Text, "\n")
					if len(lines) != 2 || lines[1] != "@"+host+" #"+testedCode || strings.Count(got.Text, testedCode) != 2 {
						t.Errorf("%s, %q: got %q, want two lines that both have the code, the last one for %s", language, sender, got.Text, host)
					}
					if !strings.Contains(lines[0], "B") || got.Code.Reveal() != testedCode || got.ValidFor != valid || got.To != "+33612345678" {
						t.Errorf("%s, %q: got %+v", language, sender, got)
					}
				}
			}
		}
	}
}

func sendersOf() (names []string) {
	for name := range senders {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func TestM8WhatTheAlphabetOfTextMessagesLacksIsReplaced(t *testing.T) {
	for sender, want := range senders {
		got := codeText(sender, "en", "acme.example", 10*time.Minute).Text
		if want != "" {
			want += ": "
		}
		want += "never give this code to anyone, not even to us. Code B, valid for 10 min: " + testedCode + "\n@acme.example #" + testedCode
		if got != want {
			t.Errorf("%q: got %q, want %q", sender, got, want)
		}
	}
}

func TestM4TheNameOfTheUserIsNotInATextMessage(t *testing.T) {
	if got := codeText("Acme", "en", "acme.example", time.Minute).Text; strings.Contains(got, "Ana") || strings.Contains(got, "<") {
		t.Errorf("got %q", got)
	}
}

func TestM8EveryTextOfATextMessageIsWrittenAsItIs(t *testing.T) {
	typography := strings.NewReplacer("’", "'", "\u00a0", " ")
	for language, w := range languages {
		for _, text := range []string{w.codeText, w.codeTextUnderAMinute, w.codeTextMinutes, w.textNotYou} {
			if got, want := gsm(text), typography.Replace(text); got != want {
				t.Errorf("%s: %q loses letters: got %q", language, text, got)
			}
		}
	}
}

func TestM8TheAlphabetHas127CharactersOfOneSeptetAndNineOfTwo(t *testing.T) {
	if n := len([]rune(gsmBasic)); n != 127 {
		t.Errorf("got %d characters, want the 128 of the table without the escape", n)
	}
	if n := len([]rune(gsmTable)); n != 9 {
		t.Errorf("got %d characters of the extension table, want 9", n)
	}
	for text, want := range map[string]int{"": 0, "a": 1, "é": 1, "€": 2, "a€b\n": 5, "@": 1, "ç": -1, "ê": -1, "’": -1, "\u00a0": -1, "\t": -1} {
		n, fits := septets(text)
		if fits != (want >= 0) || fits && n != want {
			t.Errorf("%q: got %d, %v, want %d", text, n, fits, want)
		}
	}
}

func TestM8ANoticeByTextMessageIsOneSegmentThatSaysWhatHappened(t *testing.T) {
	typography := strings.NewReplacer("’", "'", "\u00a0", " ")
	for language, w := range languages {
		for _, sender := range append(sendersOf(), strings.Repeat("Société ", 30), strings.Repeat("€", 100)) {
			to := Addressee{Sender: sender, Address: "+33612345678", Name: "Ana", Language: language}
			texts := map[string]Text{w.sumSubject: SumText(to)}
			for topic, says := range topics {
				texts[says(w, Facts{})[0]] = AboutText(topic, to, "")
			}
			for subject, got := range texts {
				before, after, ok := strings.Cut(typography.Replace(subject), "{sender}")
				if shortSender(sender) == "" {
					before, after = strings.TrimRight(before, " ("), strings.TrimLeft(after, ")")
				}
				if n, fits := septets(got.Text); !fits || n > oneSegment || strings.Contains(got.Text, "\n") {
					t.Errorf("%s, %q: got %d septets, all in the alphabet: %v, of %q", language, sender, n, fits, got.Text)
				}
				if !ok || !strings.HasPrefix(got.Text, before) || strings.Contains(got.Text, "  ") || strings.Contains(got.Text, "()") || !strings.HasSuffix(got.Text, after+". "+typography.Replace(w.textNotYou)) {
					t.Errorf("%s, %q: got %q, want what %q says", language, sender, got.Text, subject)
				}
				if got.To != to.Address || !got.Code.IsZero() || got.ValidFor != 0 {
					t.Errorf("%s: got %+v", language, got)
				}
			}
		}
		short := AboutText(Enrolled, Addressee{Sender: "Acme Payroll", Language: language}, "").Text
		if !strings.Contains(short, " Acme Payroll") {
			t.Errorf("%s: got %q, want the sender in it", language, short)
		}
	}
}
