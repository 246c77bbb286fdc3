package cloud

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A proxyRequest is what API Gateway's HTTP API sends a function (payload format 2.0), as far as it is used.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
type proxyRequest struct {
	RawPath         string            `json:"rawPath"` // decoded already
	RawQueryString  string            `json:"rawQueryString"`
	Cookies         []string          `json:"cookies"`
	Headers         map[string]string `json:"headers"` // values of one name joined by commas
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
	RequestContext  struct {
		Stage     string `json:"stage"`
		RequestID string `json:"requestId"`
		HTTP      struct {
			Method   string `json:"method"`
			Protocol string `json:"protocol"`
			SourceIP string `json:"sourceIp"`
		} `json:"http"`
	} `json:"requestContext"`
}

// A proxyResponse is what a function answers.
type proxyResponse struct {
	StatusCode      int               `json:"statusCode"`
	Headers         map[string]string `json:"headers"`
	Cookies         []string          `json:"cookies,omitempty"`
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

// A gateway answers API Gateway's payloads by an HTTP handler.
type gateway struct {
	handler http.Handler
	tell    func(*recorder) // of each answer, before it leaves
}

// Invoke answers one request. It fails only for a payload that isn't one of payload format 2.0.
func (g *gateway) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var p proxyRequest
	if err := json.Unmarshal(payload, &p); err != nil {
		return nil, errors.New("the payload is not a request of API Gateway's") // the decoder's own error quotes it
	}
	r, err := p.request(ctx)
	if err != nil {
		return nil, err
	}
	w := &recorder{header: http.Header{}}
	g.handler.ServeHTTP(w, r)
	w.WriteHeader(http.StatusOK)
	g.tell(w)
	return json.Marshal(w.response())
}

func (p *proxyRequest) request(ctx context.Context) (*http.Request, error) {
	about := &p.RequestContext
	if about.HTTP.Method == "" || !strings.HasPrefix(p.RawPath, "/") {
		return nil, errors.New("the payload has no method, or no path")
	}
	body := []byte(p.Body)
	if p.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(p.Body); err != nil {
			return nil, errors.New("the payload's body is not base64")
		}
	}
	if !p.IsBase64Encoded {
		body = unread(body, p.Headers["content-length"])
	}
	// The path goes in as it is: to parse it would decode it once more.
	r := (&http.Request{
		Method: about.HTTP.Method, URL: &url.URL{Path: unstaged(p.RawPath, about.Stage), RawQuery: p.RawQueryString},
		Proto: about.HTTP.Protocol, Header: http.Header{}, RemoteAddr: about.HTTP.SourceIP,
		Body: http.NoBody, ContentLength: int64(len(body)),
	}).WithContext(ctx)
	if len(body) > 0 {
		r.Body = readCloser{bytes.NewReader(body)}
	}
	r.ProtoMajor, r.ProtoMinor, _ = http.ParseHTTPVersion(r.Proto)
	r.RequestURI = r.URL.RequestURI()
	for name, values := range p.Headers {
		r.Header.Set(name, values)
	}
	r.Host = r.Header.Get("Host")
	r.Header.Del("Host") // as net/http's server has it
	if len(p.Cookies) > 0 {
		r.Header.Set("Cookie", strings.Join(p.Cookies, "; "))
	}
	if id := strings.TrimRight(about.RequestID, "="); id != "" && r.Header.Get("X-Request-Id") == "" {
		r.Header.Set("X-Request-Id", id)
	}
	return r, nil
}

// unread is a body that came as text. JSON can't hold bytes that aren't UTF-8, so whoever wrote the payload has put U+FFFD in
// their place, and an id would be another id. The length that the caller declared tells of it. What was replaced is then put
// back as bytes that aren't UTF-8 either, so that the door refuses the body as it does everywhere else.
func unread(body []byte, declared string) []byte {
	const replacement = "\uFFFD"
	if declared == "" || declared == strconv.Itoa(len(body)) || !bytes.Contains(body, []byte(replacement)) {
		return body
	}
	return bytes.ReplaceAll(body, []byte(replacement), []byte{0xff})
}

// unstaged is a path without the name of the stage, which stands before it for every stage but $default.
func unstaged(path, stage string) string {
	if rest, ok := strings.CutPrefix(path, "/"+stage); ok && stage != "" && stage != "$default" {
		if rest == "" {
			return "/"
		}
		if rest[0] == '/' {
			return rest
		}
	}
	return path
}

// readCloser is a body that needs no closing.
type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// A recorder keeps an answer until it is whole.
type recorder struct {
	header http.Header
	status int         // 0: not said yet
	sent   http.Header // as they were when the status was said
	body   bytes.Buffer
}

// Header is what will be sent, until the status is said.
func (w *recorder) Header() http.Header { return w.header }

// WriteHeader says the status. Only the first that isn't informational counts.
func (w *recorder) WriteHeader(status int) {
	if w.status != 0 || status < 200 {
		return
	}
	w.status, w.sent = status, w.header.Clone()
}

// Write adds to the body; a status that can't have one gets none.
func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		if w.header.Get("Content-Type") == "" {
			w.header.Set("Content-Type", http.DetectContentType(b))
		}
		w.WriteHeader(http.StatusOK)
	}
	if w.status == http.StatusNoContent || w.status == http.StatusNotModified {
		return 0, http.ErrBodyNotAllowed
	}
	return w.body.Write(b)
}

func (w *recorder) response() proxyResponse {
	res := proxyResponse{StatusCode: w.status, Headers: map[string]string{}, Cookies: w.sent.Values("Set-Cookie")}
	for name, values := range w.sent {
		if name != "Set-Cookie" {
			res.Headers[name] = strings.Join(values, ", ")
		}
	}
	if body := w.body.Bytes(); utf8.Valid(body) && w.sent.Get("Content-Encoding") == "" {
		res.Body = string(body)
	} else {
		res.Body, res.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
	}
	return res
}

// problemCode returns the code of an answer that is a problem document. It is empty for all other answers.
func (w *recorder) problemCode() string {
	if w.sent.Get("Content-Type") != "application/problem+json" {
		return ""
	}
	var problem struct {
		Code string `json:"code"`
	}
	if json.Unmarshal(w.body.Bytes(), &problem) != nil || problem.Code == "" {
		return fmt.Sprintf("status_%d", w.status)
	}
	return problem.Code
}
