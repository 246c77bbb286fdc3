package pages

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers"
)

// dialled are the regions of libphonenumber that stand for a country. "001" stands for none.
func dialled() (all []string) {
	for region := range phonenumbers.GetSupportedRegions() {
		if len(region) == 2 {
			all = append(all, region)
		}
	}
	return all
}

func TestEveryCountryHasItsCallingCodeAndANameInEveryLanguage(t *testing.T) {
	all, err := readCatalogues()
	if err != nil {
		t.Fatal(err)
	}
	regions := dialled()
	if n := strings.Count(callingCodes, ",") + 1; n != len(regions) || n < 200 {
		t.Errorf("got %d countries, want %d", n, len(regions))
	}
	for _, region := range regions {
		code, _ := calling(region)
		if number, err := phonenumbers.Parse("+"+code+"612345678", ""); err != nil || int(number.GetCountryCode()) != phonenumbers.GetCountryCodeForRegion(region) {
			t.Errorf("%s: got the calling code %q, want %d", region, code, phonenumbers.GetCountryCodeForRegion(region))
		}
		for language, l := range all {
			if l.texts["country"][region] == "" {
				t.Errorf("%s has no name for %s", language, region)
			}
		}
	}
	for _, unknown := range []string{"", "ZZ", "XX", "33", "fr"} {
		if code, _ := calling(unknown); code != "" {
			t.Errorf("got the calling code %s of %q", code, unknown)
		}
	}
}

// abroadOnly are countries in which a mobile number is dialled so differently that it has to be typed with a plus. Argentina has a 15
// within its mobile numbers, and a 9 before them from abroad. Of Tristan da Cunha no mobile number is known.
const abroadOnly = "AR TA"

func TestAMobileNumberAsItIsDialledWithinItsCountryBecomesTheInternationalOne(t *testing.T) {
	for _, region := range dialled() {
		if strings.Contains(abroadOnly, region) {
			continue
		}
		example := phonenumbers.GetExampleNumberForType(region, phonenumbers.MOBILE)
		want := phonenumbers.Format(example, phonenumbers.E164)
		for _, typed := range []string{
			phonenumbers.Format(example, phonenumbers.NATIONAL), phonenumbers.GetNationalSignificantNumber(example),
			want, "00" + want[1:], phonenumbers.Format(example, phonenumbers.INTERNATIONAL),
		} {
			if got := typedIn(region, typed).wholeNumber(); got != want {
				t.Errorf("%s: %q became %s, want %s", region, typed, got, want)
			}
		}
	}
	if got := typedIn("DE", "+33 6 12 34 56 78").wholeNumber(); got != "+33612345678" {
		t.Errorf("got %s, want the number that was typed with a plus", got)
	}
	if got := typedIn("", "06 12 34 56 78").wholeNumber(); got != "0612345678" {
		t.Errorf("without a country: got %s", got)
	}
}

// typedIn is a visit in which a form with a number was sent.
func typedIn(country, number string) *visit {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(url.Values{"country": {country}, "phone": {number}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.ParseForm()
	return &visit{r: r}
}

func TestTheCountriesStandInTheOrderOfTheirNamesAndOneIsChosenWhereItCanBeKnown(t *testing.T) {
	all, err := readCatalogues()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		language, codes, accept, typed, want, chosen string
	}{
		{"en", "HR FR EG DE", "", "", "Croatia+385 Egypt+20 France+33 Germany+49", ""},
		{"fr", "HR FR EG DE", "", "", "Allemagne+49 Croatie+385 Égypte+20 France+33", ""},
		{"fr", "HR FR EG DE", "en, fr-FR;q=0.9", "", "Allemagne+49 Croatie+385 Égypte+20 France+33", "FR"},
		{"en", "HR FR", "de-CH", "", "Croatia+385 France+33", ""},
		{"en", "HR FR", "fr-FR", "HR", "Croatia+385 France+33", "HR"},
		{"en", "FR", "", "", "France+33", "FR"},
		{"en", "FR ZZ", "", "", "France+33", "FR"},
		{"en", "ZZ", "", "", "", ""},
	} {
		v := &visit{language: all[c.language], r: httptest.NewRequest(http.MethodGet, "/", nil)}
		if c.typed != "" {
			v.r = typedIn(c.typed, "").r
		}
		v.r.Header.Set("Accept-Language", c.accept)
		var names []string
		chosen := ""
		for _, f := range v.countries(strings.Fields(c.codes)) {
			names = append(names, f.Name+"+"+f.Calling)
			if f.Chosen {
				chosen += f.Code
			}
		}
		if got := strings.Join(names, " "); got != c.want || chosen != c.chosen {
			t.Errorf("%+v: got %s with %q chosen", c, got, chosen)
		}
	}
}
