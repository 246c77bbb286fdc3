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

// A Service answers the calls of this package. Its fields are set before the first call and not changed after it.
type Service struct {
	Store  store.Store
	Keys   seal.Keeper
	Filter *apikey.FilterKeeper // nil: every call reads the filter key of its bearer from Store
	Mail   Mailer
	Bus    Bus
	Now    func() time.Time

	Issuer string // the deployment's base URL: the tokens' iss, and what messages link to
	Sender string // the name under which messages go out for clients without one of their own; empty: Countersign

	Log *slog.Logger // nil: nothing is logged

	// Pause is how long to wait before a call that lost a race decides again, the first time with try 1.
	// Nil: store.Backoff.
	Pause func(try int) time.Duration
}

// A Mailer hands email over to a provider. It answers when the provider has taken the message, or with an error that
// says nothing of what the message said. The error wraps ErrNotTaken where the provider surely didn't take the message.
type Mailer interface {
	SendMail(ctx context.Context, m message.Message) error
}

// ErrNotTaken is wrapped by the error of a Mailer whose provider surely didn't take the message: no connection came about,
// or the provider refused it. A message whose answer was lost, or whose provider failed with it, may have been taken.
var ErrNotTaken = errors.New("mfa: the message was surely not taken")

// A Bus takes events for programs, at least once each.
type Bus interface {
	PutEvents(ctx context.Context, events []activity.Event) error
}

// A Call is how a request came in, as the door saw it.
type Call struct {
	Bearer string  // from the Authorization header; empty: none
	Replay *Replay // from the Idempotency-Key header; nil: none

	// How fresh the person is, for calls that change somebody's account.
	Reauthenticated string      // from Countersign-Reauthenticated-At: when the password was last checked, RFC 3339
	Proof           seal.Secret // from Countersign-Proof: the token of a step-up
}

func (s *Service) log() *slog.Logger {
	if s.Log != nil {
		return s.Log
	}
	return slog.New(slog.DiscardHandler)
}
