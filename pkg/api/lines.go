package api

import (
	"context"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"countersign/pkg/mfa"
)

// linesType is the content type of an answer with a JSON value on each line.
const linesType = "application/x-ndjson"

// An orgActivityRequest asks for a page of an org's activity.
type orgActivityRequest struct {
	mfa.ActivityQuery
	lines bool // the caller wants each event on a line of its own
}

// An orgActivity is a page of an org's activity, in the form that the caller wants.
type orgActivity struct {
	mfa.Activity
	lines bool
}

// orgActivityOf makes the handler for a page of an org's activity.
func orgActivityOf(s *mfa.Service) handler {
	query := map[string]func(string, *orgActivityRequest) error{}
	for name, read := range narrowing {
		query[name] = func(value string, q *orgActivityRequest) error { return read(value, &q.ActivityQuery) }
	}
	return serve(operation[orgActivityRequest, orgActivity]{
		bodiless: true, query: query,
		headers: func(h http.Header, q *orgActivityRequest) error {
			q.lines = prefersLines(h)
			return nil
		},
		do: func(ctx context.Context, call mfa.Call, at target, q orgActivityRequest) (orgActivity, error) {
			q.Org = at.org
			page, err := s.OrgActivity(ctx, call, q.ActivityQuery)
			return orgActivity{page, q.lines}, err
		},
		write: func(page orgActivity, a *answer) error {
			if !page.lines {
				return a.write(page.Activity)
			}
			return a.writeLines(page.Activity)
		},
	})
}

// writeLines writes a page of events as lines. The last line has the cursor, so a reader to whom it is missing knows that the
// answer was cut off.
func (a *answer) writeLines(page mfa.Activity) error {
	for _, item := range page.Items {
		a.body = append(append(a.body, item...), '\n')
	}
	last, err := encode(struct {
		Cursor *string `json:"cursor"`
	}{page.Cursor})
	a.contentType, a.body = linesType, append(append(a.body, last...), '\n')
	return err
}

// prefersLines reports whether the header Accept names lines, with a weight that is not lower than that of JSON, if that is
// named too (RFC 9110 section 12.5.1).
func prefersLines(h http.Header) bool {
	lines, plain := 0.0, 0.0
	for _, sent := range h.Values("Accept") {
		for wanted := range strings.SplitSeq(sent, ",") {
			kind, params, err := mime.ParseMediaType(wanted)
			if err != nil {
				continue
			}
			weight := 1.0
			if q, said := params["q"]; said {
				if weight, err = strconv.ParseFloat(q, 64); err != nil {
					continue
				}
			}
			switch kind {
			case linesType:
				lines = weight
			case "application/json":
				plain = weight
			}
		}
	}
	return lines > 0 && lines >= plain
}
