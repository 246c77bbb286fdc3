// Package text says which text the service takes from outside, to keep it and to show it again: ids, texts of a bounded
// length, and single lines of visible characters. It knows no field's name: whoever asks says where the text stood.
package text

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// mostID is the length of the longest id, in bytes.
const mostID = 128

// CheckID gives, as a sentence, what an id must be, where id isn't one: 1 to 128 bytes of UTF-8 without control characters
// or outer white space. For an id it gives the empty string.
func CheckID(id string) (problem string) {
	if id == "" || len(id) > mostID || !utf8.ValidString(id) || strings.TrimSpace(id) != id || strings.ContainsFunc(id, unicode.IsControl) {
		return "An id must be 1 to 128 bytes of UTF-8, without control characters and without white space at its ends."
	}
	return ""
}

// Check gives, as a sentence, what a text must be, where s isn't that: at most so many bytes of UTF-8 without control
// characters. For such a text it gives the empty string.
func Check(s string, most int) (problem string) {
	if len(s) > most || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return fmt.Sprintf("The text can have at most %d bytes of UTF-8, and no control characters.", most)
	}
	return ""
}

// mostMarks is how many combining marks may follow each other: enough for names, too few to draw over other lines.
const mostMarks = 4

// Line makes s one line of characters that are seen: without control characters, without those that turn the direction
// of text, and without those of no width. White space becomes single spaces. What HTML makes of it is up to whoever puts
// it there.
func Line(s string) string {
	var seen strings.Builder
	marks := 0
	for _, r := range s {
		switch {
		case unicode.IsSpace(r): // as many as there are become one space, in the end
		case !unicode.IsPrint(r), unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector):
			continue
		}
		if !unicode.IsMark(r) {
			marks = 0
		} else if marks++; marks > mostMarks {
			continue
		}
		seen.WriteRune(r)
	}
	return strings.Join(strings.Fields(seen.String()), " ")
}
