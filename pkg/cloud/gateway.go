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

// A proxyRequest has the fields that are used of what API Gateway's HTTP API sends to a function (payload format 2.0).
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
type proxyRequest struct {
	RawPath         string            `json:"rawPath"` // API Gateway has already decoded it
	RawQueryString  string            `json:"rawQueryString"`
	Cookies         []string          `json:"cookies"`
	Headers         map[string]string `json:"headers"` // several values of one name are joined by commas
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

// A proxyResponse is the answer of a function.
type proxyResponse struct {
	StatusCode      int               `json:"statusCode"`
	Headers         map[string]string `json:"headers"`
	Cookies         []string          `json:"cookies,omitempty"`
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

// A gateway answers the payloads of API Gateway with the help of an HTTP handler.
type gateway struct {
	handler http.Handler
	tell    func(*recorder) // is called with each answer before it is sent
}

// Invoke answers one request. It fails only if the payload isn't one of payload format 2.0.
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
	// The path is used as it is, because parsing it would decode it a second time.
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
	r.Header.Del("Host") // net/http's server removes it, too
	if len(p.Cookies) > 0 {
		r.Header.Set("Cookie", strings.Join(p.Cookies, "; "))
	}
	if id := strings.TrimRight(about.RequestID, "="); id != "" && r.Header.Get("X-Request-Id") == "" {
		r.Header.Set("X-Request-Id", id)
	}
	return r, nil
}

// unread restores a body that came as text. JSON can't contain bytes that aren't UTF-8, so the program that wrote the payload has
// replaced them by U+FFFD, and an id would become another id. The length that the caller declared shows that this has happened.
// unread then puts bytes that aren't UTF-8 in the place of what was replaced, so that this body is refused as it is everywhere
// else.
func unread(body []byte, declared string) []byte {
	const replacement = "\uFFFD"
	if declared == "" || declared == strconv.Itoa(len(body)) || !bytes.Contains(body, []byte(replacement)) {
		return body
	}
	return bytes.ReplaceAll(body, []byte(replacement), []byte{0xff})
}

// unstaged returns a path without the name of the stage. Paths begin with that name in every stage but $default.
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

// A recorder keeps an answer until it is complete.
type recorder struct {
	header http.Header
	status int         // 0 until it is set
	sent   http.Header // the headers at the moment when the status was set
	body   bytes.Buffer
}

// Header returns the headers of the answer. Changes to them count until the status is set.
func (w *recorder) Header() http.Header { return w.header }

// WriteHeader sets the status. Only the first call with a status that isn't informational (1xx) counts.
func (w *recorder) WriteHeader(status int) {
	if w.status != 0 || status < 200 {
		return
	}
	w.status, w.sent = status, w.header.Clone()
}

// Write adds to the body. If the status allows no body, nothing is added.
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
