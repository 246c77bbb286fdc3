package emulator

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"countersign/infra/amazon"
)

// These are the limits of an HTTP API of API Gateway.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
const (
	mostBody  = 10 << 20 // bytes in a body
	mostHead  = 10240    // bytes in the request line and the headers
	mostEvent = 6 << 20  // bytes in an event, which is a limit of Lambda
)

// A front answers HTTP requests as an HTTP API of API Gateway does. It gives the functions events of payload format 2.0.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
type front struct {
	pools  map[string]*pool
	routes []route
	now    func() time.Time
	counts *counts
	log    *slog.Logger
}

// ServeHTTP implements http.Handler.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began, counted := time.Now(), &statusWriter{ResponseWriter: w, status: http.StatusOK}
	f.serve(counted, r)
	f.counts.answered(counted.status, time.Since(began))
}

// A statusWriter notes the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (f *front) serve(w http.ResponseWriter, r *http.Request) {
	id := rand.Text()[:15] + "="
	w.Header().Set("Apigw-Requestid", id)
	if headSize(r) > mostHead {
		say(w, http.StatusRequestHeaderFieldsTooLarge, "Request Header Fields Too Large")
		return
	}
	route, params := f.match(r)
	if route == nil {
		say(w, http.StatusNotFound, "Not Found")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBody))
	if long := (*http.MaxBytesError)(nil); errors.As(err, &long) {
		say(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	} else if err != nil {
		return // the caller has gone away
	}
	event, err := json.Marshal(payload(r, id, route.key, params, body, f.now()))
	if err != nil || len(event) > mostEvent {
		say(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	}
	to := f.pools[route.step]
	ctx, cancel := context.WithTimeout(r.Context(), to.f.wait)
	defer cancel()
	answer, err := to.invoke(ctx, event)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, errThrottled):
		say(w, http.StatusServiceUnavailable, "Service Unavailable")
	case err != nil:
		f.log.Warn("a function gave no answer", "step", route.step, "error", err)
		say(w, http.StatusInternalServerError, "Internal Server Error")
	default:
		pass(w, answer)
	}
}

// say writes an answer of API Gateway's own.
func say(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"message": message})
}

// headSize returns how many bytes the request line and the headers have.
func headSize(r *http.Request) int {
	n := len(r.Method) + 1 + len(r.RequestURI) + 1 + len(r.Proto) + 2 + len("Host: ") + len(r.Host) + 2
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + 2 + len(v) + 2
		}
	}
	return n
}

// A route is a route of the API in the template.
type route struct {
	key      string // "METHOD /path", with names in braces
	method   string
	segments []string
	step     string // the step of the function that it leads to
}

// routesOf returns the routes of all functions. If two routes fit a path, the more exact one comes first.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html#http-api-develop-routes.evaluation
func routesOf(functions map[string]*function) (all []route) {
	for step, f := range functions {
		for _, key := range f.routes {
			method, path, _ := strings.Cut(key, " ")
			all = append(all, route{key: key, method: method, segments: strings.Split(path, "/"), step: step})
		}
	}
	slices.SortFunc(all, func(a, b route) int {
		return cmp.Or(cmp.Compare(strings.Count(a.key, "{"), strings.Count(b.key, "{")), cmp.Compare(a.key, b.key))
	})
	return all
}

// match returns the route of a request, and the values of its parts in braces. The route is nil if there is none.
func (f *front) match(r *http.Request) (*route, map[string]string) {
	given := strings.Split(r.URL.EscapedPath(), "/")
	for i := range f.routes {
		if params := f.routes[i].fits(r.Method, given); params != nil {
			return &f.routes[i], params
		}
	}
	return nil, nil
}

// fits returns the values of the route's parts in braces. It returns nil if the route doesn't fit.
func (r *route) fits(method string, given []string) map[string]string {
	params := map[string]string{}
	if last := len(r.segments) - 1; strings.HasSuffix(r.segments[last], "+}") && len(given) > last { // it takes all that follows
		given = append(slices.Clone(given[:last]), strings.Join(given[last:], "/"))
	}
	if r.method != method || len(r.segments) != len(given) {
		return nil
	}
	for i, part := range r.segments {
		text, err := url.PathUnescape(given[i])
		name, braced := strings.CutPrefix(part, "{")
		switch {
		case err != nil || !braced && part != text || text == "" && part != "":
			return nil
		case braced:
			params[strings.TrimRight(name, "+}")] = text
		}
	}
	return params
}

func payload(r *http.Request, id, route string, params map[string]string, body []byte, now time.Time) *events.APIGatewayV2HTTPRequest {
	p := &events.APIGatewayV2HTTPRequest{
		Version: "2.0", RouteKey: route, RawPath: r.URL.Path, RawQueryString: r.URL.RawQuery,
		Headers: map[string]string{}, QueryStringParameters: map[string]string{}, PathParameters: params,
	}
	for name, values := range r.Header {
		if name == "Cookie" {
			for _, one := range strings.Split(strings.Join(values, "; "), ";") {
				p.Cookies = append(p.Cookies, strings.TrimSpace(one))
			}
			continue
		}
		p.Headers[strings.ToLower(name)] = strings.Join(values, ",")
	}
	for name, values := range r.URL.Query() {
		p.QueryStringParameters[name] = strings.Join(values, ",")
	}
	caller, _, _ := net.SplitHostPort(r.RemoteAddr)
	_, port, _ := net.SplitHostPort(r.Host)
	p.Headers["host"] = r.Host
	p.Headers["content-length"] = strconv.Itoa(len(body))
	p.Headers["x-forwarded-for"] = strings.TrimPrefix(p.Headers["x-forwarded-for"]+", "+caller, ", ")
	p.Headers["x-forwarded-port"], p.Headers["x-forwarded-proto"] = port, "http"
	if asText(r.Header.Get("Content-Type")) {
		// JSON can't contain bytes that aren't UTF-8. They are replaced here, as every program that writes JSON replaces them.
		p.Body = string(body)
	} else {
		p.Body, p.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), len(body) > 0
	}
	p.RequestContext = events.APIGatewayV2HTTPRequestContext{
		RouteKey: route, AccountID: amazon.AccountID, Stage: "$default", RequestID: id, APIID: apiID,
		DomainName: r.Host, DomainPrefix: "emulator",
		Time: now.UTC().Format("02/Jan/2006:15:04:05 -0700"), TimeEpoch: now.UnixMilli(),
		HTTP: events.APIGatewayV2HTTPRequestContextHTTPDescription{
			Method: r.Method, Path: r.URL.Path, Protocol: r.Proto, SourceIP: caller, UserAgent: r.UserAgent(),
		},
	}
	return p
}

// asText reports whether API Gateway passes on a body of that type as it is, and not in base64.
func asText(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && (strings.HasPrefix(kind, "text/") || kind == "application/json" || kind == "application/javascript" || kind == "application/xml")
}

// pass writes the answer of a function.
func pass(w http.ResponseWriter, answer []byte) {
	var said events.APIGatewayV2HTTPResponse
	body, err := []byte(nil), json.Unmarshal(answer, &said)
	if err == nil && said.IsBase64Encoded {
		body, err = base64.StdEncoding.DecodeString(said.Body)
	} else {
		body = []byte(said.Body)
	}
	if err != nil || said.StatusCode < 100 || said.StatusCode > 599 {
		say(w, http.StatusInternalServerError, "Internal Server Error")
		return
	}
	for name, value := range said.Headers {
		w.Header().Set(name, value)
	}
	for name, values := range said.MultiValueHeaders {
		w.Header()[http.CanonicalHeaderKey(name)] = values
	}
	for _, cookie := range said.Cookies {
		w.Header().Add("Set-Cookie", cookie)
	}
	w.WriteHeader(said.StatusCode)
	w.Write(body) // if the caller has gone away, nobody needs the answer
}
