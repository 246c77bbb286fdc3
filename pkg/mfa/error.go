package mfa

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"countersign/pkg/apikey"
)

// A ErrorCode is one of the closed list of answers that are not a success. The HTTP door has one table that turns each into a
// status; nothing else leaves the service.
type ErrorCode string

// The codes, as callers see them.
const (
	InvalidRequest          ErrorCode = "invalid_request"
	Unauthenticated         ErrorCode = "unauthenticated"
	Forbidden               ErrorCode = "forbidden"
	MethodForbidden         ErrorCode = "method_forbidden"
	ReauthenticationNeeded  ErrorCode = "reauthentication_required"
	StepUpNeeded            ErrorCode = "step_up_required"
	NotFound                ErrorCode = "not_found"
	ChallengeInvalid        ErrorCode = "challenge_invalid"
	EnrolmentInvalid        ErrorCode = "enrolment_invalid"
	Busy                    ErrorCode = "busy"
	EmailPinned             ErrorCode = "email_pinned"
	LastFactor              ErrorCode = "last_factor"
	RequiredByPolicy        ErrorCode = "required_by_policy"
	AlreadyExists           ErrorCode = "already_exists"
	AcknowledgementRequired ErrorCode = "acknowledgement_required"
	NothingToSend           ErrorCode = "nothing_to_send"
	TooManyRequests         ErrorCode = "too_many_requests"
	VersionMismatch         ErrorCode = "version_mismatch"
	PreconditionRequired    ErrorCode = "precondition_required"
	WrongCode               ErrorCode = "wrong_code"
	IdempotencyMismatch     ErrorCode = "idempotency_mismatch"
	Locked                  ErrorCode = "locked"
	TooManySends            ErrorCode = "too_many_sends"
	DeliveryFailed          ErrorCode = "delivery_failed"
	Unavailable             ErrorCode = "unavailable"
)

// DeliveryUnknown is no answer of its own: in a repeated answer it says that nothing is known of a code's hand-over.
const DeliveryUnknown ErrorCode = "delivery_unknown"

// An Error is an answer with a Code. Detail is for people and never holds a secret, a contact or another user's data.
type Error struct {
	Code         ErrorCode
	Param        string        // the field that is wrong, as a path: "user.id"
	Detail       string        // a sentence
	AttemptsLeft *int          // after a wrong answer
	RetryAfter   time.Duration // zero: not said; rounded up to whole seconds on the wire
	ClockOff     time.Duration // with WrongCode at an enrolment: how far the app's clock is ahead; zero: not said
	Preview      *Preview      // with AcknowledgementRequired

	cause error // what the log may say of an Unavailable; never sent
}

// Error gives the code and, for the log, what caused it.
func (e *Error) Error() string {
	text := string(e.Code)
	if e.Param != "" {
		text += " (" + e.Param + ")"
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// Unwrap gives what caused an Unavailable, if anything did.
func (e *Error) Unwrap() error { return e.cause }

// AsError finds the answer in err. What the registry of API keys finds wrong with a grant becomes InvalidRequest. Everything
// else becomes Unavailable: nobody gets in because something broke (law 8), and nobody hears how it broke (law 6).
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if wrong, ok := errors.AsType[*apikey.InvalidError](err); ok {
		return invalid(wrong.Param, "%s", wrong.Detail)
	}
	return &Error{Code: Unavailable, Detail: "The service can't answer right now; try again.", cause: err}
}

func invalid(param, format string, args ...any) *Error {
	return &Error{Code: InvalidRequest, Param: param, Detail: fmt.Sprintf(format, args...)}
}

func refuse(code ErrorCode, detail string) *Error { return &Error{Code: code, Detail: detail} }

// oneOf writes the words that a field takes.
func oneOf(words []string) string {
	last := len(words) - 1
	if last <= 0 {
		return strings.Join(words, "")
	}
	return "one of " + strings.Join(words[:last], ", ") + " and " + words[last]
}

func notYet(param string) *Error {
	return invalid(param, "This value is not supported yet.")
}

// The answer for a challenge that is missing, expired, spent or someone else's: one code and one text for all of them.
func challengeInvalid() *Error {
	return refuse(ChallengeInvalid, "There is no such challenge to answer. Start again.")
}

// The same for an enrolment.
func enrolmentInvalid() *Error {
	return refuse(EnrolmentInvalid, "There is no such enrolment to go on with. Begin again.")
}

// remembered reports whether an answer is what a later call with the same Idempotency-Key must hear again. What
// passes by itself (busy, limits, outages) and what never got as far as being decided are tried anew.
func (e *Error) remembered() bool {
	switch e.Code {
	case Busy, Locked, TooManySends, TooManyRequests, DeliveryFailed, Unavailable, InvalidRequest, Unauthenticated, IdempotencyMismatch,
		ReauthenticationNeeded, StepUpNeeded: // headers say those, which are no part of the body
		return false
	}
	return true
}
