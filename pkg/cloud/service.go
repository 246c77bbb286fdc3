package cloud

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// mostAnswer bounds how much of an answer is read, in bytes.
const mostAnswer = 1 << 20

// A service is one of Amazon's that speaks JSON.
type service struct {
	client   *http.Client
	name     string // that requests are signed for
	endpoint string // without a slash at its end
	region   string
	signer   aws.Credentials
	now      func() time.Time

	attempts int
	again    func(error) bool // whether what failed with that may be asked again
}

// A request is one operation's. Those of the AWS JSON 1.1 protocol have a target, those of REST a path.
type request struct {
	operation string // for errors
	target    string // X-Amz-Target
	path      string // empty: /
	in, out   any    // marshalled and unmarshalled as JSON
}

// A refusal is what a service answered instead of an answer. What it said in free text is left out: it quotes from the
// request.
type refusal struct {
	status int
	code   string // of the service's closed list, or empty
}

func (r *refusal) Error() string {
	if r.code == "" {
		return fmt.Sprintf("refused with status %d", r.status)
	}
	return fmt.Sprintf("refused: %s (status %d)", r.code, r.status)
}

// errLost says that a request was sent, or may have been, and its answer didn't come.
var errLost = errors.New("no answer")

// call makes one request, and again while its error says that it may and attempts are left.
func (s *service) call(ctx context.Context, q request) error {
	body, err := json.Marshal(q.in)
	if err != nil {
		return fmt.Errorf("%s: %w", q.operation, err)
	}
	for attempt := 1; ; attempt++ {
		err := s.attempt(ctx, q, body)
		if err == nil {
			return nil
		}
		if attempt >= s.attempts || !s.again(err) || wait(ctx, attempt) != nil {
			return fmt.Errorf("%s: %w", q.operation, err)
		}
	}
}

func (s *service) attempt(ctx context.Context, q request, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.endpoint+"/"+strings.TrimPrefix(q.path, "/"), bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	if q.target != "" {
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", q.target)
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, s.signer, r, hex.EncodeToString(sum[:]), s.name, s.region, s.now()); err != nil {
		return err
	}
	res, err := s.client.Do(r)
	if err != nil {
		return failure(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, mostAnswer))
	if err != nil {
		return failure(err)
	}
	if res.StatusCode != http.StatusOK {
		return &refusal{res.StatusCode, errorCode(res.Header, answer)}
	}
	if q.out == nil {
		return nil
	}
	if json.Unmarshal(answer, q.out) != nil {
		return errors.New("the answer is not as documented")
	}
	return nil
}

// failure keeps of an error of the HTTP client what there is to know, without the URL.
func failure(err error) error {
	if u, ok := errors.AsType[*unconnected](err); ok {
		return u
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w in time", errLost)
	}
	return errLost
}

// errorCode reads which error an answer is, as the AWS JSON protocols say it.
// https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization
func errorCode(h http.Header, body []byte) string {
	code := h.Get("X-Amzn-ErrorType")
	if code == "" {
		var said struct {
			Type string `json:"__type"`
			Code string `json:"code"`
		}
		json.Unmarshal(body, &said) // what is no JSON names no error
		if code = said.Type; code == "" {
			code = said.Code
		}
	}
	code, _, _ = strings.Cut(code, ":")
	if at := strings.LastIndexByte(code, '#'); at >= 0 {
		code = code[at+1:]
	}
	return named(code)
}

// named is an error's code if it looks like one, so that nothing else gets into a log.
func named(code string) string {
	if len(code) > 80 || !word("")(code) {
		return ""
	}
	return code
}

// passing reports whether an error may pass by itself.
func passing(err error) bool {
	refused, ok := errors.AsType[*refusal](err)
	return !ok || refused.status >= 500 || throttled(refused)
}

// throttled reports whether a request was refused for being one too many.
func throttled(r *refusal) bool {
	return r.status == http.StatusTooManyRequests || strings.HasPrefix(r.code, "Throttl") || strings.HasPrefix(r.code, "TooManyRequests")
}

// wait pauses before the attempt after this one, unless there is no time for it.
func wait(ctx context.Context, attempt int) error {
	timer := time.NewTimer(pauseBefore(attempt))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pauseBefore is a random time, longer with each attempt, so that those who collided don't meet again.
func pauseBefore(attempt int) time.Duration {
	return rand.N(min(25*time.Millisecond<<min(attempt, 10), longestPause))
}
