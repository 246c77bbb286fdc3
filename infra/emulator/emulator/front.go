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

// What API Gateway's HTTP API takes, and for how long it waits.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
const (
	mostBody  = 10 << 20 // bytes of a body
	mostHead  = 10240    // bytes of the request line and the headers
	longest   = 30 * time.Second
	mostEvent = 6 << 20 // bytes of what Lambda takes
)

// A front answers HTTP as API Gateway's HTTP API does, by functions that it speaks payload format 2.0 with.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
type front struct {
	pools  map[string]*pool
	routes []route
	now    func() time.Time
	log    *slog.Logger
}

// ServeHTTP implements http.Handler.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
		return // nobody is there any more
	}
	event, err := json.Marshal(payload(r, id, route.key, params, body, f.now()))
	if err != nil || len(event) > mostEvent {
		say(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), longest)
	defer cancel()
	answer, err := f.pools[route.step].invoke(ctx, event)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		say(w, http.StatusServiceUnavailable, "Service Unavailable")
	case err != nil:
		f.log.Warn("a function gave no answer", "step", route.step, "error", err)
		say(w, http.StatusInternalServerError, "Internal Server Error")
	default:
		pass(w, answer)
	}
}

// say answers as API Gateway does by itself.
func say(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"message": message})
}

// headSize is how many bytes a request's line and headers have, as they were sent but for their order.
func headSize(r *http.Request) int {
	n := len(r.Method) + 1 + len(r.RequestURI) + 1 + len(r.Proto) + 2 + len("Host: ") + len(r.Host) + 2
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + 2 + len(v) + 2
		}
	}
	return n
}

// A route is one of the API's that the template has.
type route struct {
	key      string // "METHOD /path", with names in braces
	method   string
	segments []string
	step     string // of the function that it leads to
}

// routesOf are those of all functions, the more exact one first where two fit.
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

// match finds the route of a request, and what stands for the parts of it in braces; nil: there is none.
func (f *front) match(r *http.Request) (*route, map[string]string) {
	given := strings.Split(r.URL.EscapedPath(), "/")
	for i := range f.routes {
		if params := f.routes[i].fits(r.Method, given); params != nil {
			return &f.routes[i], params
		}
	}
	return nil, nil
}

// fits gives what stands for the parts in braces; nil: the route is another.
func (r *route) fits(method string, given []string) map[string]string {
	if r.method != method || len(r.segments) != len(given) {
		return nil
	}
	params := map[string]string{}
	for i, part := range r.segments {
		text, err := url.PathUnescape(given[i])
		name, braced := strings.CutPrefix(part, "{")
		switch {
		case err != nil || !braced && part != text || text == "" && part != "":
			return nil
		case braced:
			params[strings.TrimSuffix(name, "}")] = text
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
		// JSON can't hold what isn't UTF-8: it is replaced, here as by whoever else writes a payload.
		p.Body = string(body)
	} else {
		p.Body, p.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), len(body) > 0
	}
	p.RequestContext = events.APIGatewayV2HTTPRequestContext{
		RouteKey: route, AccountID: amazon.AccountID, Stage: "$default", RequestID: id, APIID: "emulator",
		DomainName: r.Host, DomainPrefix: "emulator",
		Time: now.UTC().Format("02/Jan/2006:15:04:05 -0700"), TimeEpoch: now.UnixMilli(),
		HTTP: events.APIGatewayV2HTTPRequestContextHTTPDescription{
			Method: r.Method, Path: r.URL.Path, Protocol: r.Proto, SourceIP: caller, UserAgent: r.UserAgent(),
		},
	}
	return p
}

// asText reports whether API Gateway hands a body of a type on as it is, rather than in base64.
func asText(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && (strings.HasPrefix(kind, "text/") || kind == "application/json" || kind == "application/javascript" || kind == "application/xml")
}

// pass hands on what a function answered.
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
	w.Write(body) // who has gone away needs no answer
}
