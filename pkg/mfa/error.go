package mfa

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"countersign/pkg/apikey"
)

// An ErrorCode says why a call did not succeed. The list of codes is closed: package api has one table that turns each of
// them into an HTTP status, and nothing else leaves the service.
type ErrorCode string

// All codes.
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

// DeliveryUnknown is not a reason for a refusal. In a repeated answer it says that it is not known whether the provider has
// taken a code.
const DeliveryUnknown ErrorCode = "delivery_unknown"

// An Error is the answer to a call that did not succeed. Detail is for people, and never holds a secret, a contact or
// another user's data.
type Error struct {
	Code         ErrorCode
	Param        string        // the path of the field that is wrong, such as "user.id"
	Detail       string        // a sentence
	AttemptsLeft *int          // with WrongCode: how many wrong answers can still be given
	RetryAfter   time.Duration // how long to wait; zero if that is not known. HTTP answers round it up to whole seconds
	ClockOff     time.Duration // with WrongCode at an enrolment: how far the app's clock is ahead; zero if that is not known
	Preview      *Preview      // with AcknowledgementRequired: what the change of policy does

	cause error // what the log may say about an Unavailable; it is never sent
}

// Error returns the code and, for the log, the cause.
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

// Unwrap returns the cause of an Unavailable, or nil if there is none.
func (e *Error) Unwrap() error { return e.cause }

// AsError returns the Error in err. An apikey.InvalidError, which says what is wrong with a grant, becomes InvalidRequest.
// Every other error becomes Unavailable: nobody gets in because something broke (law 8), and nobody learns how it broke (law
// 6).
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

// oneOf lists the words that a field takes, for a sentence.
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

// challengeInvalid is the answer for a challenge that is missing, expired, spent or someone else's. All of these get the
// same code and the same text.
func challengeInvalid() *Error {
	return refuse(ChallengeInvalid, "There is no such challenge to answer. Start again.")
}

// enrolmentInvalid is the same answer for an enrolment.
func enrolmentInvalid() *Error {
	return refuse(EnrolmentInvalid, "There is no such enrolment to go on with. Begin again.")
}

// remembered reports whether a later call with the same Idempotency-Key must get this answer again. It is false for what
// passes by itself (busy, limits, outages) and for what was refused before a decision: these calls are tried again.
func (e *Error) remembered() bool {
	switch e.Code {
	case Busy, Locked, TooManySends, TooManyRequests, DeliveryFailed, Unavailable, InvalidRequest, Unauthenticated, IdempotencyMismatch,
		ReauthenticationNeeded, StepUpNeeded: // these depend on headers, which are not part of the body
		return false
	}
	return true
}
