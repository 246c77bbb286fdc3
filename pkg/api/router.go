package api

import (
	"encoding/base64"
	"slices"
	"strings"

	"countersign/pkg/mfa"
)

// A bound route is one that this door answers.
type boundRoute struct {
	*Route
	segments []string
	handle   handler
}

// segmentsOf splits a path. One that has an empty segment, and so one that ends in a slash, is no path of ours.
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

// match finds the route of a request. Without one, allowed are the methods that the path has.
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

// values are what stands in the places of the pattern's names.
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

// A target is what a path names. What isn't the client's own is left as it came: the domain has one answer for all that
// are none.
type target struct {
	org, user string
	id        string // of a challenge, an enrolment or a browser
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

// parsePathID reads an id that stands in a path. Whether what it spells is an id is for the domain to say.
func parsePathID(segment string) (id string, ok bool) {
	if encoded, ok := strings.CutPrefix(segment, "~"); ok {
		raw, err := base64.RawURLEncoding.DecodeString(encoded)
		// Go's decoder skips line ends and takes bits that are left over: only one spelling is good.
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

// invalid refuses a request for the field, header or place of a path that is wrong.
func invalid(param, detail string) *mfa.Error {
	return &mfa.Error{Code: mfa.InvalidRequest, Param: param, Detail: detail}
}
