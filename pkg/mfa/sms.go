package mfa

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"countersign/pkg/message"
)

// A Texter hands text messages (SMS) over to a provider. SendText returns nil when the provider has taken the message. Its
// error says nothing of the number or of what the message says, and wraps ErrNotTaken if the provider surely didn't take the
// message. A message that may have been taken is never handed over a second time, because each one costs money.
type Texter interface {
	SendText(ctx context.Context, m message.Text) error
}

// ErrOptedOut is wrapped, beside ErrNotTaken, by the error of a Texter if the owner of the number has asked the provider for no
// more messages.
var ErrOptedOut = errors.New("mfa: the number has opted out of text messages")

// Numbers reads the phone numbers that people type. Package phone implements it.
type Numbers interface {
	// Parse returns the number that was typed. It returns an error, which doesn't say anything of the number, unless it is
	// the whole, international number of a mobile phone.
	Parse(typed string) (Number, error)
}

// A Number is the number of a mobile phone.
type Number struct {
	E164    string // ITU-T E.164: a plus, and 7 to 15 digits
	Country string // ISO 3166-1 alpha-2
}

// phone is the authenticator of the kind sms. A code is sent to a number that the user has typed, and the user types it in.
type phone struct{ sixDigits }

func (phone) room(_ *account, p *Policy) error {
	if len(p.SMS.Countries) == 0 {
		return countryForbidden()
	}
	return nil
}

func (m phone) begin(q *question, answer *EnrolAnswer) error {
	number, err := q.number()
	if err != nil {
		return err
	}
	if !q.v.p.texts(number.Country) {
		return countryForbidden()
	}
	for _, f := range q.v.a.factorRecords {
		if f.Kind == SMS && f.Contact == number.E164 && q.v.a.guard.enrolled(f.ID) != nil {
			return refuse(AlreadyExists, "This number is already enrolled.")
		}
	}
	q.f.Contact, q.f.Country = number.E164, number.Country
	answer.SendAnswer, err = m.ask(q)
	return err
}

// number reads the number that the user has typed or, if the user has typed none, the number that the client knows.
func (q *question) number() (Number, error) {
	if q.u.s.Numbers == nil || q.u.s.Text == nil {
		return Number{}, errors.New("enrol a number: this function was given nothing that reads numbers, or nothing that sends to them")
	}
	typed := q.v.a.guard.Profile.Phone
	if q.asked.Phone != nil {
		typed = *q.asked.Phone
	}
	if typed == "" {
		return Number{}, invalid("phone", "The phone number is required.")
	}
	number, err := q.u.s.Numbers.Parse(typed)
	if err != nil {
		return Number{}, invalid("phone", "The number must be the whole number of a mobile phone, with a plus sign and the country calling code before it.")
	}
	return number, nil
}

// ask refuses a number whose country the policy has closed since it was enrolled. The factor stays the user's, so that the
// user is still asked for a second factor.
func (m phone) ask(q *question) (*SendAnswer, error) {
	if !q.v.p.texts(q.f.Country) {
		return nil, countryForbidden()
	}
	return q.send(m)
}

// check notes that a code was answered, for the budget of the prefix.
func (phone) check(q *question, given Answer) (bool, error) {
	right, err := q.wasSent(given)
	if right {
		q.u.answered = prefixPartition(q.v.a.route, q.f.Contact, q.in.binding().last.Sent)
	}
	return right, err
}

// hint shows the last two digits, which is enough for users to recognise their own number.
func (phone) hint(number string) string {
	if len(number) < 2 {
		return ""
	}
	return "•••• " + number[len(number)-2:]
}

// life implements carrier.
func (phone) life(p *Policy) int { return p.Challenge.SMSCodeS }

// limits implements carrier. Enrolling a number is held to half of what signing in may use.
func (phone) limits(q *question) []sendLimit {
	limits := []sendLimit{{sendsInHour, time.Hour}, {min(sendsInDay, q.v.p.SMS.UserDailyCap), 24 * time.Hour}}
	if q.first {
		for i := range limits {
			limits[i].most = half(limits[i].most)
		}
	}
	return limits
}

// half returns half of a budget, but at least one if there is any.
func half(n int) int { return max(min(n, 1), n/2) }

// outgoing implements carrier.
func (phone) outgoing(q *question, to message.Addressee, c message.Code) *outgoing {
	u, m := q.u, message.OfCodeText(to, c, q.u.s.codeHost())
	return &outgoing{channel: channelSMS, give: func() error { return u.s.sendText(u.ctx, m) }, budgets: q.sharedBudgets()}
}

// sendText hands a text message over. In a function that sends none, it is surely not taken.
func (s *Service) sendText(ctx context.Context, m message.Text) error {
	if s.Text == nil {
		return fmt.Errorf("%w: this function was given nothing that sends text messages", ErrNotTaken)
	}
	return s.Text.SendText(ctx, m)
}

// codeHost returns the domain that text messages bind codes to. No request has a say in it.
func (s *Service) codeHost() string {
	if s.CodeDomain != "" {
		return s.CodeDomain
	}
	issuer, err := url.Parse(s.Issuer)
	if err != nil {
		return ""
	}
	return issuer.Hostname()
}

func countryForbidden() *Error {
	return refuse(CountryForbidden, "The organisation's policy does not allow text messages to this country.")
}

// countries are the codes of ISO 3166-1 alpha-2.
const countries = `
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC CD
CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF
GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN
KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA
NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI
SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI
VN VU WF WS YE YT ZA ZM ZW
`

// unofficial are the codes that phone numbers have besides: those of Ascension Island, Tristan da Cunha and Kosovo.
const unofficial = "AC TA XK"

// isCountry reports whether a policy can name a country by this code.
func isCountry(code string) bool {
	return slices.Contains(strings.Fields(countries+unofficial), code)
}
