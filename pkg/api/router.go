package api

import (
	"encoding/base64"
	"slices"
	"strings"

	"countersign/pkg/mfa"
)

// A boundRoute is a route with its handler.
type boundRoute struct {
	*Route
	segments []string
	handle   handler
	knows    gate
}

// segmentsOf splits a path at its slashes. It returns nil for a path with an empty segment, such as one that ends in a slash:
// no route has such a path.
func segmentsOf(path string) []string {
	rest, ok := strings.CutPrefix(path, "/")
	if !ok {
		return nil
	}
	segments := strings.Split(rest, "/")
	for _, s := range segments {
		if s == "" {
			return nil
		}
	}
	return segments
}

// match finds the route of a request, and the values in its path. If no route fits, allowed has the methods that the path has.
func match(routes []boundRoute, method, path string) (found *boundRoute, values map[string]string, allowed []string) {
	segments := segmentsOf(path)
	for i := range routes {
		values, ok := routes[i].values(segments)
		switch {
		case !ok:
		case slices.Contains(routes[i].Methods(), method):
			return &routes[i], values, nil
		default:
			allowed = append(allowed, routes[i].Methods()...)
		}
	}
	return nil, nil, allowed
}

// values returns the segments of the path by the names that the pattern gives them, and whether the path fits the pattern.
func (b *boundRoute) values(segments []string) (map[string]string, bool) {
	if len(segments) != len(b.segments) {
		return nil, false
	}
	var values map[string]string
	for i, want := range b.segments {
		if want[0] != '{' {
			if segments[i] != want {
				return nil, false
			}
			continue
		}
		if values == nil {
			values = map[string]string{}
		}
		values[want[1:len(want)-1]] = segments[i]
	}
	return values, true
}

// A target is what a path names. An id that Countersign made isn't checked here, because package mfa has one answer for every
// text that isn't such an id.
type target struct {
	org, user string
	id        string // the id of a challenge, an enrolment or a browser
	factor    string
}

func targetOf(values map[string]string) (t target, err error) {
	t.id, t.factor = values["id"], values["factor"]
	for name, id := range map[string]*string{"org": &t.org, "user": &t.user} {
		segment, named := values[name]
		if !named {
			continue
		}
		var ok bool
		if *id, ok = parsePathID(segment); !ok {
			return target{}, invalid(name, "An id in a path is written as it is where it is made of A-Z a-z 0-9 - . _ @ : + | = , and is not . or .. "+
				"only. Any id can be written as ~ followed by its base64url without padding.")
		}
	}
	return t, nil
}

// parsePathID reads an id as it is written in a path. Package mfa checks that the text is a valid id.
func parsePathID(segment string) (id string, ok bool) {
	if encoded, ok := strings.CutPrefix(segment, "~"); ok {
		raw, err := base64.RawURLEncoding.DecodeString(encoded)
		// Go's decoder skips line ends and ignores bits that are left over. Only the text that the encoder writes is accepted.
		return string(raw), err == nil && len(raw) > 0 && base64.RawURLEncoding.EncodeToString(raw) == encoded
	}
	if segment == "." || segment == ".." {
		return "", false
	}
	for i := range len(segment) {
		c := segment[i]
		if !('A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("-._@:+|=,", c) >= 0) {
			return "", false
		}
	}
	return segment, true
}

// The param of a problem whose cause is no single field, and no parameter whose name can be repeated.
const (
	wholeBody  = "body"
	wholeQuery = "query"
)

// invalid refuses a request. param names the field, the header, the query parameter or the part of the path that is wrong.
func invalid(param, detail string) *mfa.Error {
	return &mfa.Error{Code: mfa.InvalidRequest, Param: param, Detail: detail}
}
