// Package phone reads phone numbers as people type them. For each number it returns the only spelling in E.164, the country, and
// whether the number can be that of a mobile phone. It implements the interface mfa.Numbers with the number plans of
// libphonenumber, which take 6 MB of a program. So only functions that get new numbers link it. All others use what was stored.
//
// It accepts only a complete international number. It refuses every number that it would have to complete or to change: a number
// without its country, with an extension, with letters, or with too many digits. It also refuses every number that can't be a
// mobile phone's, such as one of a premium rate, a toll-free one, a short one, and one that belongs to no country.
package phone

import (
	"errors"
	"strings"

	"github.com/nyaruka/phonenumbers"

	"countersign/pkg/mfa"
)

// Numbers implements mfa.Numbers.
type Numbers struct{}

// longest is the greatest number of bytes of a number as it is typed. E.164 allows 15 digits, and the rest is for what separates
// them.
const longest = 40

// separators are what people put between the digits of a number.
var separators = strings.NewReplacer(" ", "", "\u00a0", "", "\u202f", "", "-", "", "\u2010", "", "\u2011", "", ".", "", "(", "", ")", "", "/", "")

// These are the errors of Parse.
var (
	errForm  = errors.New("phone: not an international number")
	errPlan  = errors.New("phone: no number of its country's plan")
	errKind  = errors.New("phone: not the number of a mobile phone")
	errPlace = errors.New("phone: not the number of a country")
)

// Parse reads a number that begins with a plus sign, or with 00 instead, and its country calling code. Spaces, hyphens, dots,
// slashes and parentheses may separate the digits. After the country calling code there may be "(0)", which is left out,
// because it is only dialled within the country.
func (Numbers) Parse(typed string) (mfa.Number, error) {
	if len(typed) > longest {
		return mfa.Number{}, errForm
	}
	digits := separators.Replace(strings.Replace(typed, "(0)", "", 1))
	switch {
	case strings.HasPrefix(digits, "+"):
		digits = digits[1:]
	case strings.HasPrefix(digits, "00"):
		digits = digits[2:]
	default:
		return mfa.Number{}, errForm
	}
	if strings.ContainsFunc(digits, func(r rune) bool { return r < '0' || r > '9' }) {
		return mfa.Number{}, errForm
	}
	number, err := phonenumbers.Parse("+"+digits, "")
	if err != nil || !phonenumbers.IsValidNumber(number) {
		return mfa.Number{}, errPlan
	}
	spelled := phonenumbers.Format(number, phonenumbers.E164)
	if spelled != "+"+digits {
		return mfa.Number{}, errPlan
	}
	switch phonenumbers.GetNumberType(number) {
	case phonenumbers.MOBILE, phonenumbers.FIXED_LINE_OR_MOBILE:
	default:
		return mfa.Number{}, errKind
	}
	country := phonenumbers.GetRegionCodeForNumber(number)
	if len(country) != 2 || country == "ZZ" {
		return mfa.Number{}, errPlace
	}
	return mfa.Number{E164: spelled, Country: country}, nil
}
