package phone_test

import (
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers"

	"countersign/pkg/mfa"
	"countersign/pkg/phone"
)

func TestM9ANumberHasOneSpellingHoweverItIsTyped(t *testing.T) {
	french := mfa.Number{E164: "+33612345678", Country: "FR"}
	for typed, want := range map[string]mfa.Number{
		"+33612345678":                          french,
		"+33 6 12 34 56 78":                     french,
		"+33-6-12-34-56-78":                     french,
		"+33.6.12.34.56.78":                     french,
		"+33 (0)6 12 34 56 78":                  french,
		"0033612345678":                         french,
		"00 33 6 12 34 56 78":                   french,
		"+33\u00a06\u00a012\u202f34\u201156 78": french,
		"+44 7400 123456":                       {E164: "+447400123456", Country: "GB"},
		"+44 (0)7400 123456":                    {E164: "+447400123456", Country: "GB"},
		"+44 7797 712345":                       {E164: "+447797712345", Country: "JE"},
		"+1 (201) 555-0123":                     {E164: "+12015550123", Country: "US"},
		"+1 506-234-5678":                       {E164: "+15062345678", Country: "CA"},
		"+49 1512 3456789":                      {E164: "+4915123456789", Country: "DE"},
		"+39 312 345 6789":                      {E164: "+393123456789", Country: "IT"},
	} {
		if got, err := (phone.Numbers{}).Parse(typed); err != nil || got != want {
			t.Errorf("%q: got %v and %v, want %v", typed, got, err, want)
		}
	}
}

func TestM9WhatIsNoMobilePhonesWholeNumberIsRefused(t *testing.T) {
	for why, typed := range map[string]string{
		"nothing":                            "",
		"only a plus":                        "+",
		"no country":                         "0612345678",
		"no country, and no prefix":          "612345678",
		"the prefix of another country":      "01133612345678",
		"an extension":                       "+33612345678 ext. 5",
		"an extension by a letter":           "+33612345678x5",
		"an extension as in a URI":           "+33612345678;ext=5",
		"an extension after a pause":         "+33612345678,5",
		"a URI":                              "tel:+33612345678",
		"letters":                            "+1800FLOWERS",
		"a digit too much":                   "+336123456789",
		"a digit too few":                    "+3361234567",
		"the prefix dialled within":          "+330612345678",
		"two plus signs":                     "++33612345678",
		"a plus sign within":                 "+336+12345678",
		"both prefixes":                      "+0033612345678",
		"a trailing line feed":               "+33612345678\n",
		"digits of another script":           "+٣٣٦١٢٣٤٥٦٧٨",
		"digits of full width":               "+\uff13\uff13\uff16\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18",
		"characters without width":           "+336\u200b12345678",
		"a fixed line":                       "+33123456789",
		"a premium rate":                     "+33891234567",
		"a premium rate, British":            "+449012345678",
		"a toll-free number":                 "+33805123456",
		"a shared cost":                      "+33810123456",
		"a personal number":                  "+447012345678",
		"a pager":                            "+447640123456",
		"a number over the internet":         "+33912345678",
		"a universal access number":          "+33300123456",
		"a short number":                     "+33 36 08",
		"an emergency number":                "112",
		"a satellite phone, of no country":   "+870773111632",
		"an international toll-free number":  "+80012345678",
		"an international premium rate":      "+979123456789",
		"a country calling code of nobody":   "+999123456789",
		"more separators than anybody types": "+33" + strings.Repeat(" ", 40) + "612345678",
	} {
		if got, err := (phone.Numbers{}).Parse(typed); err == nil || got != (mfa.Number{}) {
			t.Errorf("%s: got %v and %v, want an error", why, got, err)
		}
	}
}

func TestTheExampleOfEveryCountrysMobileNumbersIsTaken(t *testing.T) {
	taken := 0
	for country := range phonenumbers.GetSupportedRegions() {
		example := phonenumbers.GetExampleNumberForType(country, phonenumbers.MOBILE)
		if example == nil {
			continue
		}
		typed := phonenumbers.Format(example, phonenumbers.INTERNATIONAL)
		got, err := (phone.Numbers{}).Parse(typed)
		if err != nil {
			t.Errorf("%s: got %v for %q", country, err, typed)
			continue
		}
		taken++
		// Some countries share their numbers, so an example can also be a number of the other country.
		if got, want := phonenumbers.GetCountryCodeForRegion(got.Country), phonenumbers.GetCountryCodeForRegion(country); got != want {
			t.Errorf("%q: got a country with the calling code %d, want %d", typed, got, want)
		}
		if again, err := (phone.Numbers{}).Parse(got.E164); err != nil || again != got {
			t.Errorf("%q: read again, got %v and %v, want %v", got.E164, again, err, got)
		}
	}
	if taken < 200 {
		t.Errorf("got examples of %d countries, want nearly all", taken)
	}
}

func FuzzANumberThatIsTakenIsInE164(f *testing.F) {
	for _, typed := range []string{"+33612345678", "0033 6 12 34 56 78", "+1 (201) 555-0123", "+44 (0)7400 123456"} {
		f.Add(typed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		got, err := (phone.Numbers{}).Parse(typed)
		if err != nil {
			return
		}
		digits, ok := strings.CutPrefix(got.E164, "+")
		if !ok || len(digits) < 7 || len(digits) > 15 || strings.ContainsFunc(digits, func(r rune) bool { return r < '0' || r > '9' }) || len(got.Country) != 2 {
			t.Errorf("%q: got %v", typed, got)
		}
		kept := func(r rune) rune {
			if r < '0' || r > '9' {
				return -1
			}
			return r
		}
		if typedDigits := strings.Map(kept, strings.Replace(typed, "(0)", "", 1)); typedDigits != digits && typedDigits != "00"+digits {
			t.Errorf("%q: got other digits, %s", typed, got.E164)
		}
	})
}
