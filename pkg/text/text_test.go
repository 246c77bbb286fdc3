package text_test

import (
	"strings"
	"testing"

	"countersign/pkg/text"
)

func TestAnIDIsShortAndHasNoControlCharactersOrOuterWhiteSpace(t *testing.T) {
	for id, want := range map[string]bool{
		"u-1": true, "a b": true, "ü": true, strings.Repeat("a", 128): true,
		"": false, strings.Repeat("a", 129): false, " a": false, "a\u00a0": false, "a\nb": false, "a\x7f": false, "\xff": false,
	} {
		if problem := text.CheckID(id); (problem == "") != want {
			t.Errorf("%q: got %q, want it taken: %v", id, problem, want)
		}
	}
}

func TestATextIsBoundedInBytes(t *testing.T) {
	for s, want := range map[string]bool{"": true, "éé": true, " a ": true, "ééa": false, "a\t": false, "\xff": false} {
		if problem := text.Check(s, 4); (problem == "") != want || want != !strings.Contains(problem, "4 bytes") {
			t.Errorf("%q: got %q, want it taken: %v", s, problem, want)
		}
	}
}

func TestALineHoldsOnlyWhatCanBeSeen(t *testing.T) {
	for s, want := range map[string]string{
		"Zoë’s Bank":                       "Zoë’s Bank",
		" A\r\n\tB\u2028C\u00a0 D ":        "A B C D",
		"\u202eemcA\u200b\ufeff\ufe0f\x00": "emcA",
		"e" + strings.Repeat("\u0301", 6):  "e" + strings.Repeat("\u0301", 4),
		"\u3164":                           "",
	} {
		if got := text.Line(s); got != want {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
	}
}
