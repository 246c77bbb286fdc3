package cloud

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/aws/smithy-go"
)

// A refusal is the error with which one of Amazon's services answered. It leaves out the text that the service wrote for people,
// because that text quotes from the request.
type refusal struct {
	status int    // the HTTP status
	code   string // one of the service's closed list of codes; empty if the service gave none
}

func (r *refusal) Error() string {
	if r.code == "" {
		return fmt.Sprintf("refused with status %d", r.status)
	}
	return fmt.Sprintf("refused: %s (status %d)", r.code, r.status)
}

// Refused returns the error for one part of a request that a service refused with a code, while it answered the others.
func Refused(said string) error { return &refusal{http.StatusOK, code(said)} }

// throttled reports whether a request was refused because there were too many.
func (r *refusal) throttled() bool {
	return r.status == http.StatusTooManyRequests || strings.HasPrefix(r.code, "Throttl") || strings.HasPrefix(r.code, "TooManyRequests")
}

// errLost means that a request was sent, or may have been sent, and that no answer came.
var errLost = errors.New("no answer")

// Failure returns the part of an SDK client's error that may be logged: the code and the status with which the service refused
// the request, or that no answer came. It returns nil for nil. The SDK's own error quotes URLs, requests, and text that the
// service wrote for people.
func Failure(err error) error {
	if err == nil {
		return nil
	}
	if u, ok := errors.AsType[*unconnected](err); ok {
		return u
	}
	if answered := status(err); answered != 0 && answered/100 != 2 {
		refused := &refusal{status: answered}
		if named, ok := errors.AsType[smithy.APIError](err); ok {
			refused.code = code(named.ErrorCode())
		}
		return refused
	}
	if late, ok := errors.AsType[net.Error](err); ok && late.Timeout() || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w in time", errLost)
	}
	return errLost
}

// status returns the status of the answer from which the SDK made an error, or 0 if there was no answer.
func status(err error) int {
	answered, ok := errors.AsType[interface {
		error
		HTTPStatusCode() int
	}](err)
	if !ok {
		return 0
	}
	return answered.HTTPStatusCode()
}

// code returns the code of an error if it looks like one, and an empty text otherwise, so that nothing else gets into a log.
// UnknownError is what the SDK calls an error without a code.
func code(said string) string {
	if len(said) > 80 || !Word("")(said) || said == "UnknownError" {
		return ""
	}
	return said
}
