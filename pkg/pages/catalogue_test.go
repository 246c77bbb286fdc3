package pages

import (
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	namesOf  = regexp.MustCompile(`\{\w+\}`)
	markupOf = regexp.MustCompile(`<[^>]*>`)
)

// shape is what the forms of a text have in common over all languages: the names of values, and the markup.
func shape(form string) string {
	names := slices.Compact(slices.Sorted(slices.Values(namesOf.FindAllString(form, -1))))
	return strings.Join(append(names, markupOf.FindAllString(form, -1)...), " ")
}

// tornInFrench finds where a line would break although French forbids it: before a tall mark, within quotation marks, and in “e-mail”.
var tornInFrench = regexp.MustCompile("(?i)e-mail| [:;?!»]|« ")

func TestEveryLanguageHasTheSameTexts(t *testing.T) {
	all, err := readCatalogues()
	if err != nil {
		t.Fatal(err)
	}
	if got := all.languages(); !slices.Equal(got, []string{"en", "fr"}) {
		t.Errorf("got the languages %v", got)
	}
	english := all[defaultLanguage]
	for code, l := range all {
		if one[code] == nil {
			t.Errorf("%s: nothing says which numbers are of the form one", code)
		}
		for key, want := range english.texts {
			got := l.texts[key]
			if got == nil {
				t.Errorf("%s lacks %s", code, key)
				continue
			}
			if !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want))) {
				t.Errorf("%s: %s has other forms than in English", code, key)
			}
			if code == "fr" && got["other"] == want["other"] && strings.Contains(want["other"], " ") && // not a single word, and not only values
				!strings.HasPrefix(want["other"], "{") {
				t.Errorf("%s: %s is the same as in English", code, key)
			}
			for form, said := range got {
				if shape(said) != shape(want["other"]) {
					t.Errorf("%s: %s, %s: has %q, and English has %q", code, key, form, shape(said), shape(want["other"]))
				}
				if strings.TrimSpace(said) != said || said == "" || strings.Contains(said, "'") {
					t.Errorf("%s: %s, %s: is empty, or has outer space or a straight apostrophe", code, key, form)
				}
				if found := tornInFrench.FindString(said); code == "fr" && found != "" {
					t.Errorf("%s: %s, %s: a line can break within %q", code, key, form, found)
				}
				for _, mark := range markupOf.FindAllString(said, -1) {
					if mark != "<b>" && mark != "</b>" {
						t.Errorf("%s: %s has the markup %s", code, key, mark)
					}
				}
			}
		}
		for key := range l.texts {
			if english.texts[key] == nil {
				t.Errorf("%s has %s, which English lacks", code, key)
			}
		}
	}
}

// A key is used if it stands in a template or in code. Where a part of it is a value, all keys that fit are used.
func TestEveryTextIsUsedAndEveryTextThatIsUsedIsThere(t *testing.T) {
	all, err := readCatalogues()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("html/*.html")
	if err != nil {
		t.Fatal(err)
	}
	code, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	var patterns []*regexp.Regexp
	keyIn := regexp.MustCompile(`(?:\.[TH] |printf |\b[TH]\(|text\(|marked\()"([\w.%]+)"( \+)?|key := "([\w.]+)"|key = "([\w.]+)"|v\.say\([^,]+, (?:"(\w+)"|(unavailable))\)`)
	for _, file := range append(files, code...) {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, found := range keyIn.FindAllStringSubmatch(string(source), -1) {
			key := found[1] + found[3] + found[4]
			switch {
			case found[5] != "" || found[6] != "":
				used["notice."+found[5]+found[6]+".title"], used["notice."+found[5]+found[6]+".text"] = true, true
			case strings.Contains(key, "%s") || found[2] != "" || strings.HasSuffix(key, "."):
				patterns = append(patterns, regexp.MustCompile(`^`+strings.ReplaceAll(regexp.QuoteMeta(key), "%s", `\w+`)+map[bool]string{true: `[\w.]+`}[found[2] != "" || strings.HasSuffix(key, ".")]+`$`))
			default:
				used[key] = true
			}
		}
	}
	english := all[defaultLanguage]
	for key := range used {
		if !english.has(key) {
			t.Errorf("%s is used, and not there", key)
		}
	}
	for key := range english.texts {
		if !used[key] && !slices.ContainsFunc(patterns, func(p *regexp.Regexp) bool { return p.MatchString(key) }) {
			t.Errorf("%s is there, and not used", key)
		}
	}
	for _, p := range patterns {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(english.texts)), p.MatchString) {
			t.Errorf("no text fits %s, which is used", p)
		}
	}
}

func TestTheLanguageIsTheOneThatTheBrowserLikesBest(t *testing.T) {
	all, err := readCatalogues()
	if err != nil {
		t.Fatal(err)
	}
	for accept, want := range map[string]string{
		"": "en", "fr": "fr", "fr-CA,fr;q=0.9,en;q=0.8": "fr", "en;q=0.1,fr;q=0.2": "fr", "de,es": "en", "de,fr;q=0.5": "fr",
		"fr;q=0,en;q=0.1": "en", "fr;q=nonsense": "en", "*": "en", "FR": "fr", ";;;,,": "en",
	} {
		if got := all.accepted(http.Header{"Accept-Language": {accept}}); got.code != want {
			t.Errorf("%q: got %s, want %s", accept, got.code, want)
		}
	}
}

func TestNumbersAndDatesAreWrittenAsInTheLanguage(t *testing.T) {
	all, err := readCatalogues()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 30, 9, 5, 0, 0, time.UTC)
	for _, c := range []struct{ got, want string }{
		{all["en"].text("wrong.left", "n", 0), "You have 0 tries left."},
		{all["en"].text("wrong.left", "n", 1), "You have 1 try left."},
		{all["fr"].text("wrong.left", "n", 0), "Il vous reste 0 essai."},
		{all["fr"].text("wrong.left", "n", 2), "Il vous reste 2 essais."},
		{all["en"].span(119), "119 seconds"}, {all["en"].span(121), "3 minutes"}, {all["fr"].span(7201), "3 heures"},
		{all["en"].moment(now.Add(time.Hour), now).Text, "10:05 UTC"},
		{all["en"].moment(now.Add(24*time.Hour), now).Text, "1 December 2026, 09:05 UTC"},
		{all["fr"].moment(now.Add(24*time.Hour), now).Text, "1 décembre 2026 à 09:05 UTC"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestM4AValueInATextIsNeverMarkup(t *testing.T) {
	all, err := readCatalogues()
	if err != nil {
		t.Fatal(err)
	}
	got := string(all["en"].marked("challenge.app_named", "label", `<a href="//evil">{action}</a>`))
	if !strings.Contains(got, "<b>&lt;a href=&#34;//evil&#34;&gt;{action}&lt;/a&gt;</b>") {
		t.Errorf("got %s", got)
	}
}

func TestNoBrandMakesAPageThatCannotBeRead(t *testing.T) {
	for _, colour := range []string{"#000000", "#ffffff", "#ffff00", "#0c5f5a", "#7f7f7f", "#ff0000", "#00ff00", "#0000ff"} {
		for _, paper := range []string{paperLight, paperDark} {
			accent := readable(colour, paper)
			if got := contrast(accent, paper); got < leastContrast {
				t.Errorf("%s on %s: became %s, with a contrast of %.2f", colour, paper, accent, got)
			}
			if got := contrast(inkOn(accent), accent); got < leastContrast {
				t.Errorf("words on %s: a contrast of %.2f", accent, got)
			}
		}
	}
	if got := readable("#0c5f5a", paperLight); got != "#0c5f5a" {
		t.Errorf("a colour that can be read became %s", got)
	}
}
