package api

import (
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// parseQuery reads a query that may have the known names, each of them once and with a value. It refuses any other query with
// invalid_request, because ignoring a part of a filter would let more through than the caller wants. An error repeats only
// a known name.
func parseQuery(raw string, known ...string) (map[string]string, error) {
	if raw == "" {
		return nil, nil
	}
	said := map[string]string{}
	for pair := range strings.SplitSeq(raw, "&") {
		encodedName, encodedValue, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(encodedName)
		if err != nil || !slices.Contains(known, name) {
			return nil, invalid(wholeQuery, "The query has a parameter that this call does not have.")
		}
		if _, twice := said[name]; twice {
			return nil, invalid(name, "This parameter is given twice in the query.")
		}
		value, err := url.QueryUnescape(encodedValue)
		switch {
		case err != nil, strings.Contains(encodedValue, ";"), !utf8.ValidString(value):
			return nil, invalid(name, "The parameter's value is not well-formed percent-encoded UTF-8.")
		case value == "":
			return nil, invalid(name, "The parameter has no value. To leave it out, send neither its name nor a value.")
		}
		said[name] = value
	}
	return said, nil
}
