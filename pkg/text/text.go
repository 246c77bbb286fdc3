// Package text checks text that comes from callers and is stored and shown again: ids ([CheckID]), texts of limited length
// ([Check]), and lines of visible characters ([Line]). It doesn't know the names of fields; its callers add them to errors.
package text

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// mostID is the greatest length of an id in bytes.
const mostID = 128

// CheckID checks that id has 1 to 128 bytes of UTF-8, without control characters and without white space at its ends. If it
// doesn't, the result is a sentence that says what an id must be. For a valid id the result is empty.
func CheckID(id string) (problem string) {
	if id == "" || len(id) > mostID || !utf8.ValidString(id) || strings.TrimSpace(id) != id || strings.ContainsFunc(id, unicode.IsControl) {
		return "An id must be 1 to 128 bytes of UTF-8, without control characters and without white space at its ends."
	}
	return ""
}

// Check checks that s has at most so many bytes of UTF-8, and no control characters. If that isn't so, the result is a sentence
// that says what the text must be. For a valid text the result is empty.
func Check(s string, most int) (problem string) {
	if len(s) > most || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return fmt.Sprintf("The text can have at most %d bytes of UTF-8, and no control characters.", most)
	}
	return ""
}

// mostMarks is how many combining marks may follow each other. It is enough for names, and too few to draw over other lines.
const mostMarks = 4

// Line makes s one line of visible characters: it removes control characters, characters that change the direction of text,
// and characters without width, and turns white space into single spaces. It doesn't escape anything for HTML.
func Line(s string) string {
	var seen strings.Builder
	marks := 0
	for _, r := range s {
		switch {
		case unicode.IsSpace(r): // strings.Fields turns white space into single spaces below
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
