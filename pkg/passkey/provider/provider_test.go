package provider

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

// A list has the name that it gives to each AAGUID.
type list struct {
	Source string
	Listed map[string]string
}

func sources(t *testing.T) map[string]list {
	t.Helper()
	content, err := os.ReadFile("testdata/sources.json")
	if err != nil {
		t.Fatal(err)
	}
	var found map[string]list
	if err := json.Unmarshal(content, &found); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestEveryNameComesFromAPublicList(t *testing.T) {
	listed := 0
	for _, l := range sources(t) {
		if !strings.Contains(l.Source, "https://") {
			t.Errorf("%q is no source", l.Source)
		}
		for aaguid, theirs := range l.Listed {
			listed++
			name := names[aaguid]
			if maker, _, _ := strings.Cut(name, " "); maker == "" || !strings.Contains(strings.ToLower(theirs), strings.ToLower(maker)) {
				t.Errorf("%s is %q here and %q in %s", aaguid, name, theirs, l.Source)
			}
		}
	}
	if listed != len(names) || listed < 40 {
		t.Errorf("got %d names, and sources for %d", len(names), listed)
	}
}

func TestAnAuthenticatorIsNamedByItsAAGUID(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	for aaguid, want := range names {
		if !form.MatchString(aaguid) {
			t.Errorf("%q is no AAGUID", aaguid)
			continue
		}
		raw, err := hex.DecodeString(strings.ReplaceAll(aaguid, "-", ""))
		if err != nil {
			t.Fatal(err)
		}
		if got, known := Of(raw); got != want || !known {
			t.Errorf("%s: got %q, %t, want %q", aaguid, got, known, want)
		}
	}
}

func TestWhatIsNotKnownHasNoName(t *testing.T) {
	for _, aaguid := range [][]byte{nil, {}, make([]byte, 15), make([]byte, 16), make([]byte, 17), []byte("0123456789abcdef")} {
		if name, known := Of(aaguid); name != "" || known {
			t.Errorf("%x: got %q, %t", aaguid, name, known)
		}
	}
}
