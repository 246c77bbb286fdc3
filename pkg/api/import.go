package api

import (
	"bytes"
	"context"
	"errors"

	"countersign/pkg/mfa"
)

const (
	// maxLines is the greatest length of a body that has lines, in bytes.
	maxLines = 1 << 20
	// mostLines is how many lines such a body can have, so that the answer is not too long for a function.
	mostLines = 10_000
)

// importNullable are the fields of a line of an import that may be null.
var importNullable = []string{"email", "phone", "name", "locale", "webauthn.*"}

// importOf makes the handler of an import.
func importOf(s *mfa.Service) handler {
	return serve(operation[mfa.ImportRequest, []mfa.Imported]{
		lines: true, read: readImport,
		query: map[string]func(string, *mfa.ImportRequest) error{
			"dry_run": func(value string, q *mfa.ImportRequest) error {
				if value != "true" && value != "false" {
					return invalid("dry_run", "The value must be true or false.")
				}
				q.DryRun = value == "true"
				return nil
			},
		},
		do: func(ctx context.Context, call mfa.Call, at target, q mfa.ImportRequest) ([]mfa.Imported, error) {
			return s.Import(ctx, call, at.org, q)
		},
		write: func(answers []mfa.Imported, a *answer) error {
			a.contentType = linesType
			for _, line := range answers {
				text, err := encode(line)
				if err != nil {
					return err
				}
				a.body = append(append(a.body, text...), '\n')
			}
			return nil
		},
	})
}

// readImport reads the lines of an import. A line that can't be read is refused when the others are taken. The last line may have no
// line feed.
func readImport(body []byte, q *mfa.ImportRequest) error {
	for line := range bytes.SplitSeq(bytes.TrimSuffix(body, []byte("\n")), []byte("\n")) {
		if len(q.Lines) == mostLines {
			return invalid(wholeBody, "The body has too many lines: 10000 are the most.")
		}
		var l mfa.ImportLine
		if err := decode(bytes.TrimSuffix(line, []byte("\r")), &l.ImportedUser, importNullable, []string{"id"}); err != nil {
			var refused *mfa.Error
			if !errors.As(err, &refused) {
				return err
			}
			if refused.Param == wholeBody {
				refused = invalid("", "Each line must be one JSON object in UTF-8 (RFC 8259), with nothing after it.")
			}
			l = mfa.ImportLine{Refused: refused}
		}
		q.Lines = append(q.Lines, l)
	}
	return nil
}
