package mfa

import (
	"strings"
	"testing"
)

// A recovery code has 120 random bits: 24 letters, each of which is equally likely to be any of 32. Among ten thousand
// codes, a letter occurs in one place 312 times on average, with a standard deviation of 17. About once in half a million
// runs, one of the 768 counts is more than six deviations from the average.
func TestE4EveryLetterOfARecoveryCodeIsAsLikelyAsAnyOther(t *testing.T) {
	const n = 10_000
	seen := make(map[string]bool, n)
	var count [recoveryLen][len(recoveryAlphabet)]int
	for range n {
		code := newRecoveryCode()
		canonical, err := canonicalRecovery(code)
		if err != nil {
			t.Fatal(err)
		}
		text := canonical.Reveal()
		if text != strings.ReplaceAll(code.Reveal(), "-", "") || len(text) != 24 {
			t.Fatalf("got %d letters", len(text))
		}
		seen[text] = true
		for place, letter := range []byte(text) {
			count[place][strings.IndexByte(recoveryAlphabet, letter)]++
		}
	}
	if len(seen) != n {
		t.Errorf("got %d different codes of %d", len(seen), n)
	}
	for place := range count {
		for letter, times := range count[place] {
			if off := times - n/32; max(off, -off) > 6*17 {
				t.Errorf("place %d: got %q %d times, want about %d", place, recoveryAlphabet[letter], times, n/32)
			}
		}
	}
}
