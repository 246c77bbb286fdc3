package machine

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"countersign/pkg/api"
	"countersign/pkg/mfa"
)

// maxBody is the most that a body may hold, in bytes.
const maxBody = 64 << 10

// The codes that only a door answers with.
const (
	methodNotAllowed     mfa.ErrorCode = "method_not_allowed"
	tooLarge             mfa.ErrorCode = "too_large"
	unsupportedMediaType mfa.ErrorCode = "unsupported_media_type"
)

func refuse(code mfa.ErrorCode, detail string) *mfa.Error {
	return &mfa.Error{Code: code, Detail: detail}
}

func invalid(param, detail string) *mfa.Error {
	return &mfa.Error{Code: mfa.InvalidRequest, Param: param, Detail: detail}
}

// A localCall answers one call with what will be its JSON; nil: 204.
type localCall func(r *http.Request, body []byte) (any, error)

// parameters are the names that the calls take in their query.
var parameters = map[string][]string{"GET /local/outbox": {"to"}}

// A door serves calls by path and method under the ground rules of the API.
type door map[string]map[string]localCall

// ServeHTTP implements http.Handler.
func (d door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := requestID(r)
	w.Header().Set("X-Request-Id", id)
	w.Header().Set("Cache-Control", "no-store")
	answer, err := d.answer(w, r)
	status, contentType := http.StatusOK, "application/json"
	if err != nil {
		p := problemOf(mfa.AsError(err), id)
		answer, status, contentType = p, p.Status, "application/problem+json"
	}
	if answer == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if l, long := answer.(list); long {
		l.send(w)
		return
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.Encode(answer)
}

// A list is an object of one name, whose value is a list of any length: it is sent while it is read, and not held.
type list struct {
	name  string
	items func(each func(item json.RawMessage) error) error
}

// send cuts the answer off where the list can't be read to its end, so that nobody takes the beginning for all of it.
func (l list) send(w io.Writer) {
	out := bufio.NewWriterSize(w, 64<<10)
	fmt.Fprintf(out, "{%q:[", l.name)
	separator := ""
	err := l.items(func(item json.RawMessage) error {
		out.WriteString(separator)
		separator = ","
		_, err := out.Write(item)
		return err
	})
	out.WriteString("]}\n")
	if err != nil || out.Flush() != nil {
		panic(http.ErrAbortHandler)
	}
}

// A problem is an error as it is sent (RFC 9457).
type problem struct {
	Type      string        `json:"type"`
	Title     string        `json:"title"`
	Status    int           `json:"status"`
	Code      mfa.ErrorCode `json:"code"`
	Detail    string        `json:"detail"`
	RequestID string        `json:"request_id"`
	Param     string        `json:"param,omitempty"`
}

// problemOf takes status and title from the API's own table.
func problemOf(e *mfa.Error, requestID string) problem {
	i := slices.IndexFunc(api.Problems, func(p api.Explanation) bool { return p.Code == e.Code })
	about := api.Problems[i]
	p := problem{
		Type: "/problems/" + string(e.Code), Title: about.Title, Status: about.Status, Code: e.Code,
		Detail: e.Detail, RequestID: requestID, Param: e.Param,
	}
	if p.Detail == "" {
		p.Detail = about.Explanation
	}
	return p
}

func (d door) answer(w http.ResponseWriter, r *http.Request) (any, error) {
	if err := fromHere(r); err != nil {
		return nil, err
	}
	calls, method := d[r.URL.EscapedPath()], r.Method
	if method == http.MethodHead { // is answered like a GET; net/http leaves the body out
		method = http.MethodGet
	}
	call := calls[method]
	switch {
	case calls == nil:
		return nil, refuse(mfa.NotFound, "There is no such call.")
	case call == nil:
		var allowed []string
		for method := range calls {
			if allowed = append(allowed, method); method == http.MethodGet {
				allowed = append(allowed, http.MethodHead)
			}
		}
		slices.Sort(allowed)
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		return nil, refuse(methodNotAllowed, "The call has another method.")
	}
	if _, err := api.ParseQuery(r.URL.RawQuery, parameters[method+" "+r.URL.EscapedPath()]...); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return nil, refuse(tooLarge, "A body is at most 64 KiB.")
	case err != nil:
		return nil, invalid("", "The body could not be read.")
	case len(body) > 0 && r.Method != http.MethodPost:
		return nil, invalid("", "The call has no body.")
	case len(body) > 0:
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
			return nil, refuse(unsupportedMediaType, "A body is application/json.")
		}
	}
	return call(r, body)
}

// requestID is the caller's, if it is sane, or a new one.
func requestID(r *http.Request) string {
	sent := r.Header.Values("X-Request-Id")
	if len(sent) == 1 && sane.MatchString(sent[0]) {
		return sent[0]
	}
	return rand.Text()
}

var sane = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

// fromHere refuses what was not addressed to this machine, and what a page of another origin asks for. A name that an
// attacker points at a loopback address (DNS rebinding) is not this machine's.
func fromHere(r *http.Request) error {
	switch {
	case !Loopback(r.Host):
		return refuse(mfa.Forbidden, "Local calls answer at localhost only.")
	case crossSite(r):
		return refuse(mfa.Forbidden, "Pages of other sites can't make local calls.")
	}
	return nil
}

// crossSite reports whether a browser made the request for a page of another origin (Fetch Metadata; RFC 6454).
func crossSite(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
	default:
		return true
	}
	origin := r.Header.Values("Origin")
	return len(origin) > 1 || len(origin) == 1 && origin[0] != "http://"+r.Host
}

// Loopback reports whether host, with or without a port, is this machine by a name that only this machine answers to.
func Loopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// decode reads a flat JSON object into fields, by exact name. Unknown and doubled names, other types and trailing data
// are refused. It reports which names were there.
func decode(body []byte, fields map[string]any) (given map[string]bool, err error) {
	given = map[string]bool{}
	broken := invalid("", "The body is no JSON object (RFC 8259), or something follows it.")
	if !utf8.Valid(body) {
		return nil, broken
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil, broken
	}
	for d.More() {
		token, err := d.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, broken
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, broken
		}
		into, known := fields[name]
		switch {
		case !known:
			return nil, invalid(shortened(name), "This call has no such field.")
		case given[name]:
			return nil, invalid(name, "The name stands twice.")
		}
		given[name] = true
		_, nullable := into.(**string)
		if err := json.Unmarshal(value, into); err != nil || string(value) == "null" && !nullable {
			return nil, invalid(name, "The value has the wrong type, or is out of its range.")
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, broken
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, broken
	}
	return given, nil
}

func shortened(name string) string { return fmt.Sprintf("%.64s", name) }
