// Package textmessage sends a deployment's text messages (SMS), by Amazon SNS or by AWS End User Messaging, through the SDK's
// clients.
//
// The package guarantees that a message that the provider may have taken is not handed over again (see cloud.Courier), because
// each one costs money, that it goes to one number in the format E.164, and that errors contain nothing of a number or a message.
//
// The package doesn't choose countries, count what is sent, or write messages. Package mfa does that.
package textmessage

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"countersign/pkg/cloud"
	"countersign/pkg/message"
	"countersign/pkg/mfa"
)

// These are the values of COUNTERSIGN_SMS_PROVIDER.
const (
	none               = "none"
	bySNS              = "sns"
	byEndUserMessaging = "end-user-messaging"
)

// channel is the word for text messages in metrics.
const channel = "sms"

// A sender hands text messages over to a provider. It is an mfa.Texter.
type sender struct {
	provider string
	courier  *cloud.Courier
	send     func(context.Context, message.Text) error // makes one attempt
	optedOut func(error) bool                          // whether the error of send says that the number has opted out
}

var _ mfa.Texter = (*sender)(nil)

// Of returns what sends the text messages of a deployment, through the provider that the setting COUNTERSIGN_SMS_PROVIDER names.
// It is nil if the setting is none or missing. The other settings that it reads are listed at cloud.Deployment.
func Of(d *cloud.Deployment) mfa.Texter {
	switch providerOf(d) {
	case bySNS:
		return newSNS(d)
	case byEndUserMessaging:
		return newEndUserMessaging(d)
	}
	return nil
}

// CodeDomain reads the domain to which the text messages of a deployment bind their codes. It is empty if the deployment sends no
// text messages. Only functions that send codes read it.
func CodeDomain(d *cloud.Deployment) string {
	if provider := providerOf(d); provider != bySNS && provider != byEndUserMessaging {
		return ""
	}
	const name = "COUNTERSIGN_SMS_CODE_DOMAIN"
	if set := d.Optional(name, fmt.Sprintf("a domain such as acme.example, of at most %d characters", message.LongestHost), fits); set != "" {
		return set
	}
	issuer, err := url.Parse(d.Issuer())
	if err != nil {
		return "" // the issuer is refused already
	}
	if host := issuer.Hostname(); len(host) <= message.LongestHost {
		return host
	}
	return d.Setting(name, "set, because the host of COUNTERSIGN_ISSUER is too long for a text message", fits)
}

// fits reports whether v is a domain that is short enough for a text message.
func fits(v string) bool { return len(v) <= message.LongestHost && cloud.Domain(v) }

// providerOf reads which provider sends the text messages of a deployment.
func providerOf(d *cloud.Deployment) string {
	known := []string{none, bySNS, byEndUserMessaging}
	return d.Optional("COUNTERSIGN_SMS_PROVIDER", "none, sns or end-user-messaging", func(v string) bool { return slices.Contains(known, v) })
}

// errNumber refuses a recipient before the provider is asked.
var errNumber = errors.New("the recipient is not a number in the format E.164")

// SendText hands m over. Its error has the code with which the provider refused m, and nothing of m. The error wraps
// mfa.ErrNotTaken if no connection was made or the provider refused the request. It doesn't wrap it if the provider failed or its
// answer was lost. It wraps mfa.ErrOptedOut too if the number has opted out.
func (s *sender) SendText(ctx context.Context, m message.Text) error {
	if !isE164(m.To) {
		return fmt.Errorf("%s: %w", s.provider, s.courier.Withhold("address", errNumber))
	}
	var optedOut bool
	err := s.courier.HandOver(ctx, func(ctx context.Context) error {
		err := s.send(ctx, m)
		optedOut = s.optedOut(err)
		return err
	})
	switch {
	case optedOut:
		return fmt.Errorf("%s: %w: %w", s.provider, mfa.ErrOptedOut, err)
	case err != nil:
		return fmt.Errorf("%s: %w", s.provider, err)
	}
	return nil
}

// isE164 reports whether v is a number in the international format: a plus sign, and 7 to 15 digits.
// https://www.itu.int/rec/T-REC-E.164
func isE164(v string) bool {
	digits, plus := strings.CutPrefix(v, "+")
	return plus && len(digits) >= 7 && len(digits) <= 15 && digits[0] != '0' && strings.Trim(digits, "0123456789") == ""
}

// highestPrice reads the setting that bounds what a message may cost, in USD. A message that costs more is not delivered. It is
// nil if there is no bound.
func highestPrice(d *cloud.Deployment) *string {
	decimal := regexp.MustCompile(`^[0-9]{1,2}\.[0-9]{1,5}$`)
	return given(d.Optional("COUNTERSIGN_SMS_MAX_PRICE", "an amount of USD such as 0.25", decimal.MatchString))
}

// given returns a pointer to a setting, or nil if the setting is missing.
func given(setting string) *string {
	if setting == "" {
		return nil
	}
	return &setting
}
