package pages

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// A problem is the API's answer to a call that it refuses or can't carry out (RFC 9457).
type problem struct {
	Status       int    `json:"status"`
	Code         string `json:"code"`
	Param        string `json:"param"`
	RequestID    string `json:"request_id"`
	AttemptsLeft *int   `json:"attempts_left"`
	RetryAfterS  int    `json:"retry_after_s"`
	ClockOffS    int    `json:"clock_off_s"`
}

func (p *problem) Error() string {
	return fmt.Sprintf("the API has answered %s with %d", p.Code, p.Status)
}

// codeOf returns the code of the problem that err is. It is empty for another error.
func codeOf(err error) string {
	if p := new(problem); errors.As(err, &p) {
		return p.Code
	}
	return ""
}

// unavailable is the code of a problem that passes by itself. It also stands for an API that can't be reached.
const unavailable = "unavailable"

// mostAnswer is how many bytes of an answer are read.
const mostAnswer = 1 << 20

// A call is a call of the API.
type call struct {
	method, path string
	bearer       string
	body         any    // encoded as JSON; nil if there is none
	word         string // of the form that makes the call; empty if a repeated call does no harm
	header       http.Header
	etag         *string // gets the header ETag of the answer; nil if nobody asks for it
}

// get asks the API for something with the bearer of the visit.
func (v *visit) get(path string, into any) error {
	return v.do(call{method: http.MethodGet, path: path, bearer: v.bearer}, into)
}

// post makes a call with the bearer of the visit, once for each form that is sent.
func (v *visit) post(path string, body, into any) error {
	return v.do(call{method: http.MethodPost, path: path, bearer: v.bearer, body: body, word: v.r.PostForm.Get("word")}, into)
}

// do makes a call, and reads its answer into a value. Its error is a *problem.
func (v *visit) do(c call, into any) error {
	raw, err := v.roundTrip(c)
	if err == nil && into != nil && len(raw) > 0 {
		err = json.Unmarshal(raw, into)
	}
	var p *problem
	if err != nil && !errors.As(err, &p) {
		v.site.Log.ErrorContext(v.r.Context(), "the API could not be called", "method", c.method, "error", err)
		return &problem{Status: http.StatusServiceUnavailable, Code: unavailable}
	}
	return err
}

func (v *visit) roundTrip(c call) ([]byte, error) {
	var body []byte
	if c.body != nil {
		var err error
		if body, err = json.Marshal(c.body); err != nil {
			return nil, err
		}
	}
	r, err := http.NewRequestWithContext(v.r.Context(), c.method, v.site.Base+c.path, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the call has a bad path")
	}
	for name, values := range c.header {
		r.Header[name] = values
	}
	if c.body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.bearer != "" {
		r.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	if c.word != "" {
		r.Header.Set("Idempotency-Key", repeatKey(c.word, c.method, c.path, body))
	}
	r.Header.Set("Origin", v.site.origin) // a ceremony that is begun for these pages can be answered only there
	answer, err := v.site.send(r)
	if err != nil {
		return nil, errors.New("no answer came") // the error itself has the path, and so an id
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(answer.Body, mostAnswer))
	if err != nil {
		return nil, errors.New("no whole answer came")
	}
	if c.etag != nil {
		*c.etag = answer.Header.Get("ETag")
	}
	if answer.StatusCode < 300 {
		return raw, nil
	}
	p := &problem{Code: unavailable}
	if strings.HasPrefix(answer.Header.Get("Content-Type"), "application/problem+json") {
		if err := json.Unmarshal(raw, p); err != nil {
			return nil, err
		}
	}
	p.Status = answer.StatusCode
	return nil, p
}

// send hands a call to the API: to its handler in this process, or over the network.
func (s *site) send(r *http.Request) (*http.Response, error) {
	if s.API == nil {
		return s.Client.Do(r)
	}
	inside := &inside{header: http.Header{}}
	r.RequestURI, r.RemoteAddr = r.URL.RequestURI(), "127.0.0.1:0"
	s.API.ServeHTTP(inside, r.WithContext(context.WithoutCancel(r.Context())))
	return inside.response(), nil
}

// inside records the answer of a handler in this process.
type inside struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (i *inside) Header() http.Header { return i.header }

func (i *inside) WriteHeader(status int) {
	if i.status == 0 {
		i.status = status
	}
}

func (i *inside) Write(p []byte) (int, error) {
	i.WriteHeader(http.StatusOK)
	return i.body.Write(p)
}

func (i *inside) response() *http.Response {
	i.WriteHeader(http.StatusOK)
	return &http.Response{StatusCode: i.status, Header: i.header, Body: io.NopCloser(&i.body)}
}
