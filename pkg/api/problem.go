package api

import (
	"strconv"
	"time"

	"countersign/pkg/mfa"
)

// The codes that only this package uses.
const (
	methodNotAllowed     mfa.ErrorCode = "method_not_allowed"
	tooLarge             mfa.ErrorCode = "too_large"
	unsupportedMediaType mfa.ErrorCode = "unsupported_media_type"
)

// A problem is the body of an answer that reports an error (RFC 9457).
type problem struct {
	Type         string        `json:"type"`
	Title        string        `json:"title"`
	Status       int           `json:"status"`
	Code         mfa.ErrorCode `json:"code"`
	Detail       string        `json:"detail"`
	RequestID    string        `json:"request_id"`
	Param        string        `json:"param,omitempty"`
	AttemptsLeft *int          `json:"attempts_left,omitempty"`
	RetryAfterS  int           `json:"retry_after_s,omitempty"`
	ClockOffS    int           `json:"clock_off_s,omitempty"`
	Preview      *mfa.Preview  `json:"preview,omitempty"`
}

// problemAnswer makes the answer for an error. A code that the table doesn't have is answered as unavailable.
func problemAnswer(e *mfa.Error, requestID string) answer {
	about := problemOf(e.Code)
	if about == nil {
		about = problemOf(mfa.Unavailable)
		e = &mfa.Error{Code: mfa.Unavailable}
	}
	p := problem{
		Type: "/problems/" + string(about.Code), Title: about.Title, Status: about.Status, Code: about.Code,
		Detail: e.Detail, RequestID: requestID, Param: e.Param, AttemptsLeft: e.AttemptsLeft,
		RetryAfterS: int((e.RetryAfter + time.Second - 1) / time.Second), ClockOffS: int(e.ClockOff / time.Second), Preview: e.Preview,
	}
	if p.Detail == "" {
		p.Detail = about.Explanation
	}
	a := answer{status: about.Status, code: about.Code, contentType: "application/problem+json"}
	var err error
	if a.body, err = encode(&p); err != nil {
		panic(err) // every value of a problem can be encoded
	}
	if p.RetryAfterS > 0 {
		a.retryAfter = strconv.Itoa(p.RetryAfterS)
	}
	if about.Code == mfa.Unauthenticated {
		a.authenticate = "Bearer"
	}
	return a
}
