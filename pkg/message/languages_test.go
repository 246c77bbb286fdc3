package message

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// lacks names the texts of w that are missing, or that hold other placeholders than the English one does.
func lacks(w *words) []string {
	var names []string
	got, want := reflect.ValueOf(*w), reflect.ValueOf(*languages["en"])
	for i := range got.NumField() {
		name := got.Type().Field(i).Name
		switch field := got.Field(i); {
		case field.Kind() == reflect.Array:
			for j := range field.Len() {
				if field.Index(j).String() == "" {
					names = append(names, name)
				}
			}
		case field.Kind() == reflect.Map:
			for _, kind := range want.Field(i).MapKeys() {
				if text := field.MapIndex(kind); !text.IsValid() || text.String() == "" {
					names = append(names, name)
				}
			}
		case field.String() == "":
			names = append(names, name)
		case name == "moments":
			for _, part := range []string{"{day}", "{month}", "{year}", "{mm}"} {
				if strings.Count(field.String(), part) != 1 {
					names = append(names, name+" "+part)
				}
			}
			if strings.Count(field.String(), "{hour}")+strings.Count(field.String(), "{hh}") != 1 {
				names = append(names, name+" {hour}")
			}
		case !slices.Equal(placeholders(field.String()), placeholders(want.Field(i).String())):
			names = append(names, name)
		}
	}
	return names
}

func placeholders(text string) []string {
	return slices.Sorted(slices.Values(placeholder.FindAllString(text, -1)))
}

func TestEveryLanguageHasEveryText(t *testing.T) {
	for _, language := range Languages() {
		if got := lacks(languages[language]); len(got) > 0 {
			t.Errorf("%q lacks %q", language, got)
		}
	}
}

func TestALanguageThatLacksATextIsFoundOut(t *testing.T) {
	for _, test := range []struct {
		want string
		harm func(*words)
	}{
		{"codeSpam", func(w *words) { w.codeSpam = "" }},
		{"lockUntil", func(w *words) { w.lockUntil = "Bientôt." }},
		{"codeSubject", func(w *words) { w.codeSubject += "{name}" }},
		{"kinds", func(w *words) {
			w.kinds = maps.Clone(w.kinds)
			delete(w.kinds, "webauthn")
		}},
		{"months", func(w *words) { w.months[11] = "" }},
		{"moments {hour}", func(w *words) { w.moments = "{day} {month} {year} {mm}" }},
	} {
		w := *languages["fr"]
		test.harm(&w)
		if got, want := lacks(&w), []string{test.want}; !slices.Equal(got, want) {
			t.Errorf("lacks %q, want %q", got, want)
		}
	}
}

func TestEveryLanguageHasTheSameStructure(t *testing.T) {
	n := testedNotice()
	for what, english := range everyMessage("Acme", "en", n) {
		for _, language := range Languages() {
			m := everyMessage("Acme", language, n)[what]
			if got, want := elements(t, m.HTML), elements(t, english.HTML); !slices.Equal(got, want) {
				t.Errorf("%s in %q is made of %q, want %q", what, language, got, want)
			}
			if got, want := strings.Count(m.Text, "\n"), strings.Count(english.Text, "\n"); got != want {
				t.Errorf("%s in %q has %d lines, want %d", what, language, got, want)
			}
			if m.To != n.Address || m.Subject == "" {
				t.Errorf("%s in %q goes to %q about %q", what, language, m.To, m.Subject)
			}
		}
	}
}

func TestALanguageThatIsNotOursIsAnsweredInEnglish(t *testing.T) {
	for _, language := range []string{"", "de", "EN", `"><b>`} {
		for what, want := range everyMessage("Acme", "en", testedNotice()) {
			got := everyMessage("Acme", language, testedNotice())[what]
			if got.Text != want.Text || got.HTML != want.HTML || got.Subject != want.Subject {
				t.Errorf("%s in %q is not the English one:\n%s", what, language, got.HTML)
			}
		}
	}
}

func TestFrenchIsSetAsFrenchIs(t *testing.T) {
	high := regexp.MustCompile(`.?[:;!?]`)
	w := reflect.ValueOf(*languages["fr"])
	for i := range w.NumField() {
		if w.Field(i).Kind() != reflect.String {
			continue
		}
		name, text := w.Type().Field(i).Name, w.Field(i).String()
		for _, sign := range high.FindAllString(text, -1) {
			if !strings.HasPrefix(sign, "\u00a0") {
				t.Errorf("%s has no no-break space in %q: %q", name, sign, text)
			}
		}
		if strings.ContainsAny(text, `'"`) {
			t.Errorf("%s has a typewriter's quote: %q", name, text)
		}
		for _, familiar := range []string{" tu ", " ton ", " ta ", " tes ", " toi"} {
			if strings.Contains(" "+strings.ToLower(text), familiar) {
				t.Errorf("%s says%sto a user: %q", name, familiar, text)
			}
		}
	}
}
