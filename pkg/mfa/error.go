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

// These are all codes.
const (
	InvalidRequest          ErrorCode = "invalid_request"           // a field of the request is wrong: Error.Param says which
	Unauthenticated         ErrorCode = "unauthenticated"           // the bearer is not valid here
	Forbidden               ErrorCode = "forbidden"                 // the bearer may not make this call, or the user was deprovisioned
	MethodForbidden         ErrorCode = "method_forbidden"          // the policy, the step-up or the account doesn't allow this factor, or recovery codes
	ReauthenticationNeeded  ErrorCode = "reauthentication_required" // the client has to check the user's password first
	StepUpNeeded            ErrorCode = "step_up_required"          // the user has to step up first
	CountryForbidden        ErrorCode = "country_forbidden"         // the policy doesn't allow text messages to the country of this number
	NotFound                ErrorCode = "not_found"                 // there is no such user, factor or browser
	ChallengeInvalid        ErrorCode = "challenge_invalid"         // there is no such challenge, or it can't be answered any more
	EnrolmentInvalid        ErrorCode = "enrolment_invalid"         // there is no such enrolment, or it can't be finished any more
	Busy                    ErrorCode = "busy"                      // there are too many calls at once for one user
	EmailPinned             ErrorCode = "email_pinned"              // the policy keeps email as a backup
	LastFactor              ErrorCode = "last_factor"               // the user must have a factor, and has no other
	RequiredByPolicy        ErrorCode = "required_by_policy"        // the user is required to use 2FA, so it can't be turned off
	AlreadyExists           ErrorCode = "already_exists"            // this address, key or passkey is enrolled already
	AcknowledgementRequired ErrorCode = "acknowledgement_required"  // the change of policy asks users who were not asked before: Error.Preview says how many
	NothingToSend           ErrorCode = "nothing_to_send"           // there is no address to send a code to, or no code to send
	TooManyRequests         ErrorCode = "too_many_requests"         // enrolments were begun too often
	VersionMismatch         ErrorCode = "version_mismatch"          // the policy or the brand has another version by now
	PreconditionRequired    ErrorCode = "precondition_required"     // the call doesn't say which version of the policy it replaces
	WrongCode               ErrorCode = "wrong_code"                // the answer was compared and counted, and is wrong
	WrongCredential         ErrorCode = "wrong_credential"          // the response of a security key or a passkey was checked and counted, and is not acceptable
	IdempotencyMismatch     ErrorCode = "idempotency_mismatch"      // the Idempotency-Key was used with another body
	Locked                  ErrorCode = "locked"                    // there were too many wrong answers, so no answer is compared
	TooManySends            ErrorCode = "too_many_sends"            // no further code can be sent yet, or none for this challenge
	DeliveryFailed          ErrorCode = "delivery_failed"           // the provider didn't take the code, or may not have taken it; or messages to that address come back
	Unavailable             ErrorCode = "unavailable"               // something that the call needs failed
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
	AttemptsLeft *int          // with WrongCode and WrongCredential: how many wrong answers can still be given
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
