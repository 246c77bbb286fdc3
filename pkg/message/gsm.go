package message

import (
	"strings"
	"unicode"
)

// oneSegment is how many septets a text message can have that is sent in one segment (3GPP TS 23.040, section 9.2.3.24.1: a
// longer one is sent and paid for in several).
const oneSegment = 160

// The characters of the GSM 7-bit default alphabet (3GPP TS 23.038, section 6.2.1), and those of its extension table, each of
// which takes two septets. The form feed of the extension table is left out.
const (
	gsmBasic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	gsmTable = "^{}\\[~]|€"
)

// septets returns how many septets a text takes in the GSM 7-bit default alphabet. It reports false if a character is not in
// that alphabet.
func septets(s string) (n int, fits bool) {
	for _, r := range s {
		switch {
		case strings.ContainsRune(gsmBasic, r):
			n++
		case strings.ContainsRune(gsmTable, r):
			n += 2
		default:
			return 0, false
		}
	}
	return n, true
}

// gsmReplacements are the characters that are written in another way in a text message: each of those in the second text of a
// row as the first text.
var gsmReplacements = [][2]string{
	{"A", "ÀÁÂÃĀĂĄǍ"}, {"a", "áâãāăąǎ"}, {"C", "ĆĈĊČ"}, {"c", "çćĉċč"}, {"D", "ĎĐÐ"}, {"d", "ďđð"}, {"E", "ÈÊËĒĔĖĘĚ"}, {"e", "êëēĕėęě"},
	{"G", "ĜĞĠĢ"}, {"g", "ĝğġģ"}, {"H", "ĤĦ"}, {"h", "ĥħ"}, {"I", "ÌÍÎÏĨĪĬĮİ"}, {"i", "íîïĩīĭįı"}, {"J", "Ĵ"}, {"j", "ĵ"}, {"K", "Ķ"}, {"k", "ķ"},
	{"L", "ĹĻĽĿŁ"}, {"l", "ĺļľŀł"}, {"N", "ŃŅŇ"}, {"n", "ńņňŉ"}, {"O", "ÒÓÔÕŌŎŐ"}, {"o", "óôõōŏő"}, {"OE", "Œ"}, {"oe", "œ"}, {"R", "ŔŖŘ"}, {"r", "ŕŗř"},
	{"S", "ŚŜŞŠȘ"}, {"s", "śŝşšș"}, {"SS", "ẞ"}, {"T", "ŢŤŦȚ"}, {"t", "ţťŧț"}, {"TH", "Þ"}, {"th", "þ"}, {"U", "ÙÚÛŨŪŬŮŰŲ"}, {"u", "úûũūŭůűų"},
	{"W", "Ŵ"}, {"w", "ŵ"}, {"Y", "ÝŶŸ"}, {"y", "ýÿŷ"}, {"Z", "ŹŻŽ"}, {"z", "źżž"},
	{"'", "’‘‚′`´"}, {"\"", "“”„″«»"}, {"-", "–—‐‑−"}, {"...", "…"}, {" ", "\u00a0\u202f\u2009"},
}

// gsm writes s in the GSM 7-bit default alphabet. A letter that the alphabet lacks is written without its accents, and what
// can't be written at all becomes a question mark.
func gsm(s string) string {
	var written strings.Builder
	for _, r := range s {
		if _, fits := septets(string(r)); fits {
			written.WriteRune(r)
		} else if !unicode.IsMark(r) {
			written.WriteString(replacement(r))
		}
	}
	return written.String()
}

func replacement(r rune) string {
	for _, row := range gsmReplacements {
		if strings.ContainsRune(row[1], r) {
			return row[0]
		}
	}
	return "?"
}

// cutTo returns the longest beginning of s, a text in the GSM 7-bit default alphabet, that takes at most n septets.
func cutTo(s string, n int) string {
	for i, r := range s {
		took, _ := septets(string(r))
		if n -= took; n < 0 {
			return s[:i]
		}
	}
	return s
}
