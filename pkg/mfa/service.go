package mfa

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/message"
	"countersign/pkg/seal"
	"countersign/pkg/store"
)

// A Service answers the calls of this package. Set its fields before the first call, and don't change them after it.
type Service struct {
	Store  store.Store
	Keys   seal.Keeper
	Filter *apikey.FilterKeeper // if nil, every call reads the filter key of bearers from Store
	Uses   *apikey.Uses         // notes on which days API keys are used; nil where that isn't noted
	Mail   Mailer
	Text   Texter // nil in a function that sends no text messages
	Bus    Bus
	Now    func() time.Time

	RelyingParty RelyingParty // what authenticators know this deployment as
	Passkeys     Passkeys     // nil in functions that run no WebAuthn ceremony: a call that needs one is Unavailable
	Numbers      Numbers      // nil where no numbers are enrolled: beginning to enrol one is Unavailable

	Issuer string // the deployment's base URL, which is the iss of tokens
	// CodeDomain is the domain of the pages on which users type codes that come by SMS. Text messages bind codes to it. If it is
	// empty, it is the host of Issuer. It has at most message.LongestHost characters, so that a message is one segment.
	CodeDomain string
	Sender     string // the name under which messages are sent for clients without one of their own; if empty, Countersign

	// Wake is called by Publish when a policy has signed users out, so that a run of FanOut follows soon. If it is nil, the next
	// Sweep does that, or what takes the event about the policy from the bus.
	Wake func()

	Log *slog.Logger // if nil, nothing is logged

	// Pause says how long a call that lost a race waits before it decides again. try is 1 the first time. If Pause is nil,
	// store.Backoff says it.
	Pause func(try int) time.Duration
}

// A Mailer hands email over to a provider. SendMail returns nil when the provider has taken the message. Its error says
// nothing of what the message says, and wraps ErrNotTaken if the provider surely didn't take the message.
type Mailer interface {
	SendMail(ctx context.Context, m message.Message) error
}

// ErrNotTaken is wrapped by the error of a Mailer if the provider surely didn't take the message: no connection was made, or
// the provider refused the message. If the provider failed, or its answer was lost, it may have taken the message.
var ErrNotTaken = errors.New("mfa: the message was surely not taken")

// A Bus takes events for other programs. It gets each event at least once.
type Bus interface {
	PutEvents(ctx context.Context, events []activity.Event) error
}

// A Call is what the HTTP API, or another front of this package, knows about a request besides its body.
type Call struct {
	Bearer string  // from the Authorization header; empty if there is none
	Replay *Replay // from the Idempotency-Key header; nil if there is none

	// How the user has just shown who they are, for calls that change the account.
	Reauthenticated string      // from Countersign-Reauthenticated-At: when the password was last checked (RFC 3339)
	Proof           seal.Secret // from Countersign-Proof: the token of a step-up

	// Origin is from the Origin header, which a browser adds; empty if there is none. With the token of a challenge or of an
	// enrolment, a WebAuthn ceremony that the call begins can be answered only from there.
	Origin string
}

func (s *Service) log() *slog.Logger {
	if s.Log != nil {
		return s.Log
	}
	return slog.New(slog.DiscardHandler)
}
