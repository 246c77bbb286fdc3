package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"

	"countersign/pkg/mfa"
)

// A Courier hands messages over to one of Amazon's services that deliver them to people. Those services take no token by which
// they would recognise a message that is handed over again. So a message that may have been taken is never handed over again. The
// Courier makes a second attempt only if no connection was made, or if the service said that there were too many messages.
type Courier struct {
	// Amazon has the settings of the SDK client for the service. Such a client makes one attempt, on a connection of its own.
	Amazon aws.Config

	reasons map[string]string
	failed  func(reason string)
}

// Courier makes a Courier. channel is the word for what it hands over, such as email. endpoint names the environment variable
// with the URL of a stand-in for the service. reasons gives a word for each code with which the service can refuse a message.
// Only a few words are used, because each of them is a metric of its own.
func (d *Deployment) Courier(channel, endpoint string, reasons map[string]string) *Courier {
	c := &Courier{Amazon: d.Amazon(endpoint), reasons: reasons}
	// A message needs a new connection. If Lambda froze the process and the other end closed an old connection meanwhile, the
	// answer would be lost, and it can't be asked for again.
	fresh := newTransport(d.opener.connector)
	fresh.DisableKeepAlives = true
	c.Amazon.HTTPClient = &http.Client{Transport: fresh, Timeout: messageTime, CheckRedirect: stay}
	c.Amazon.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	c.failed = func(reason string) { d.countUndelivered(channel, reason) }
	return c
}

// HandOver calls send, which hands a message over with a client that has the settings in Amazon. Its error has the code with
// which the service refused the message, and nothing of the message. The error wraps mfa.ErrNotTaken if no connection was made or
// the service refused the request. It doesn't wrap it if the service failed or its answer was lost. HandOver counts a message
// that was not handed over, under the reason.
func (c *Courier) HandOver(ctx context.Context, send func(context.Context) error) error {
	err := Failure(send(ctx))
	if tooEarly(err) && Wait(ctx, 1) == nil {
		err = Failure(send(ctx))
	}
	if err == nil {
		return nil
	}
	c.failed(c.reason(err))
	if surelyNotTaken(err) {
		return fmt.Errorf("%w: %w", mfa.ErrNotTaken, err)
	}
	return err
}

// Withhold counts a message that must not be handed over at all, under the reason. It returns an error that says why, and that
// wraps mfa.ErrNotTaken.
func (c *Courier) Withhold(reason string, why error) error {
	c.failed(reason)
	return fmt.Errorf("%w: %w", mfa.ErrNotTaken, why)
}

// reason returns the word that says why a message wasn't handed over.
func (c *Courier) reason(err error) string {
	if _, ok := errors.AsType[*unconnected](err); ok {
		return "unconnected"
	}
	refused, ok := errors.AsType[*refusal](err)
	switch {
	case !ok:
		return "no_answer"
	case refused.throttled():
		return "throttled"
	}
	if known, ok := c.reasons[refused.code]; ok {
		return known
	}
	return "refused"
}

// surelyNotTaken reports whether an error shows that the service has not taken the message.
func surelyNotTaken(err error) bool {
	if _, ok := errors.AsType[*unconnected](err); ok {
		return true
	}
	refused, ok := errors.AsType[*refusal](err)
	return ok && refused.status >= 400 && refused.status < 500
}

// tooEarly reports whether an error shows that the service has not taken the message, but may take it a moment later.
func tooEarly(err error) bool {
	refused, ok := errors.AsType[*refusal](err)
	return surelyNotTaken(err) && (!ok || refused.throttled())
}
