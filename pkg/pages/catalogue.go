package pages

import (
	"crypto/subtle"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A language has all texts of the pages in one language. Its files are catalogue/PART.CODE.json: a text for each key, or an
// object with the forms "one" and "other" of a text that counts, or with the forms of a text by what it is about. A text has
// the names of values in braces, and may have <b>.
type language struct {
	code  string
	texts map[string]text
}

// A text has one form, or one for each plural category of its language.
type text map[string]string

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(raw []byte) error {
	var single string
	if json.Unmarshal(raw, &single) == nil {
		*t = text{"other": single}
		return nil
	}
	forms := map[string]string{}
	if err := json.Unmarshal(raw, &forms); err != nil {
		return err
	}
	*t = forms
	return nil
}

// defaultLanguage is used for whoever asks for a language that isn't there.
const defaultLanguage = "en"

// one says of which numbers the category "one" is, in each language (CLDR plural rules). Every other number is of "other".
var one = map[string]func(n int) bool{
	"en": func(n int) bool { return n == 1 },
	"fr": func(n int) bool { return n == 0 || n == 1 },
}

type catalogues map[string]*language

//go:embed catalogue/*.json
var catalogueFiles embed.FS

func readCatalogues() (catalogues, error) {
	files, err := catalogueFiles.ReadDir("catalogue")
	if err != nil {
		return nil, err
	}
	all := catalogues{}
	for _, file := range files {
		parts := strings.Split(file.Name(), ".")
		if len(parts) != 3 {
			return nil, fmt.Errorf("the catalogue %s isn't named PART.LANGUAGE.json", file.Name())
		}
		code := parts[1]
		raw, err := catalogueFiles.ReadFile("catalogue/" + file.Name())
		if err != nil {
			return nil, err
		}
		said := map[string]text{}
		if err := json.Unmarshal(raw, &said); err != nil {
			return nil, fmt.Errorf("%s: %w", file.Name(), err)
		}
		if all[code] == nil {
			all[code] = &language{code: code, texts: map[string]text{}}
		}
		for key, t := range said {
			if all[code].texts[key] != nil {
				return nil, fmt.Errorf("%s: %s is in another part too", file.Name(), key)
			}
			all[code].texts[key] = t
		}
	}
	if all[defaultLanguage] == nil {
		return nil, fmt.Errorf("there is no catalogue of the language %s", defaultLanguage)
	}
	return all, nil
}

// of returns the language of a locale, such as fr for fr-CA; nil if there is none.
func (all catalogues) of(locale string) *language {
	code, _, _ := strings.Cut(strings.ToLower(strings.ReplaceAll(locale, "_", "-")), "-")
	return all[code]
}

// accepted returns the language that the header Accept-Language likes best (RFC 9110 section 12.5.4).
func (all catalogues) accepted(h http.Header) *language {
	best, weight := all[defaultLanguage], 0.0
	for item := range strings.SplitSeq(strings.Join(h.Values("Accept-Language"), ","), ",") {
		tag, said, weighted := strings.Cut(strings.TrimSpace(item), ";")
		q := 1.0
		if weighted {
			number, found := strings.CutPrefix(strings.TrimSpace(said), "q=")
			parsed, err := strconv.ParseFloat(number, 64)
			if !found || err != nil {
				continue
			}
			q = parsed
		}
		if known := all.of(tag); known != nil && q > weight && q <= 1 {
			best, weight = known, q
		}
	}
	return best
}

func (l *language) has(key string) bool { return l.texts[key] != nil }

// form returns the form of a text that fits the value of "n" among pairs.
func (l *language) form(key string, pairs []any) string {
	t := l.texts[key]
	if t == nil {
		panic("pages: there is no text " + key) // a test goes through all keys that pages use
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if n, is := pairs[i+1].(int); is && pairs[i] == "n" && t["one"] != "" && one[l.code](n) {
			return t["one"]
		}
	}
	return t["other"]
}

// text returns the text with values in place of their names.
func (l *language) text(key string, pairs ...any) string {
	return fill(l.form(key, pairs), pairs, func(s string) string { return s })
}

// marked returns the text as HTML. Only the catalogue can have markup: values are escaped.
func (l *language) marked(key string, pairs ...any) template.HTML {
	return template.HTML(fill(l.form(key, pairs), pairs, template.HTMLEscapeString))
}

func fill(form string, pairs []any, escape func(string) string) string {
	named := make([]string, 0, len(pairs))
	for i := 0; i+1 < len(pairs); i += 2 {
		named = append(named, fmt.Sprintf("{%v}", pairs[i]), escape(fmt.Sprint(pairs[i+1])))
	}
	return strings.NewReplacer(named...).Replace(form)
}

// A moment is a time on a page. The page has it in UTC, and a script writes it in the reader's time zone.
type moment struct {
	UTC  string // for the attribute datetime (RFC 3339)
	Text string
	Day  bool // only the day is shown
}

// moment returns a time as pages show it: without the day if that is today.
func (l *language) moment(at, now time.Time) *moment {
	at = at.UTC()
	m := &moment{UTC: at.Format(time.RFC3339), Text: at.Format("15:04") + " UTC"}
	if at.Format(time.DateOnly) != now.UTC().Format(time.DateOnly) {
		m.Text = l.text("date.with_time", "day", l.day(at).Text, "time", m.Text)
	}
	return m
}

// day returns the day of a time.
func (l *language) day(at time.Time) *moment {
	at = at.UTC()
	months := strings.Split(l.text("date.months"), " ")
	return &moment{
		UTC: at.Format(time.RFC3339), Day: true,
		Text: l.text("date.day", "d", at.Day(), "month", months[at.Month()-1], "year", at.Year()),
	}
}

// span writes a wait in seconds, minutes or hours. It rounds up.
func (l *language) span(seconds int) string {
	switch {
	case seconds < 120:
		return l.text("span.seconds", "n", seconds)
	case seconds < 2*60*60:
		return l.text("span.minutes", "n", (seconds+59)/60)
	}
	return l.text("span.hours", "n", (seconds+3599)/3600)
}

// languages returns the codes of all languages, sorted.
func (all catalogues) languages() []string {
	codes := make([]string, 0, len(all))
	for code := range all {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	return codes
}

// sameText compares two texts in a time that doesn't depend on them.
func sameText(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
