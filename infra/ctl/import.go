package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"countersign/pkg/mfa"
)

type importUsers struct {
	access
	Org    string `arg:"" help:"The id of the organisation."`
	File   string `arg:"" type:"existingfile" help:"A file with a user to a line, as JSON, as an import of the API takes them."`
	DryRun bool   `name:"dry-run" help:"Say what would happen, and change nothing."`
}

const (
	mostImportBytes = 1 << 20 // of one call of the API
	mostImportLines = 10_000
)

// A fileLine is a line of the file, with its number from 1.
type fileLine struct {
	number int
	text   []byte
}

// Run imports the users in the file, some at a time, and prints what happened to each line. If it is cut off, it can be run again: a
// line that was taken changes nothing more. It ends with an error if a line was refused.
func (c *importUsers) Run(ctx context.Context, p *program) error {
	r, err := c.open()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	var left []fileLine
	for i, line := range bytes.Split(text, []byte("\n")) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			left = append(left, fileLine{i + 1, line})
		}
	}
	counts := map[mfa.ImportResult]int{}
	for len(left) > 0 {
		n := batch(left)
		answers, err := r.importLines(ctx, c, left[:n])
		if err != nil {
			return fmt.Errorf("%d lines were answered, and the others were not. Run it again with the same file: %w", sum(counts), err)
		}
		var again []fileLine
		for i, answer := range answers {
			if answer.Result == mfa.ImportLeft {
				again = append(again, left[i])
				continue
			}
			answer.Line = left[i].number
			counts[answer.Result]++
			if err := c.print(p, answer); err != nil {
				return err
			}
		}
		if len(again) == n {
			return fmt.Errorf("%d lines were answered, and the service had no time for the others. Run it again with the same file", sum(counts))
		}
		left = slices.Concat(again, left[n:])
	}
	if !p.json {
		fmt.Fprintf(p.errs, "%d created, %d updated, %d unchanged, %d refused.\n",
			counts[mfa.ImportCreated], counts[mfa.ImportUpdated], counts[mfa.ImportUnchanged], counts[mfa.ImportRefused])
	}
	if n := counts[mfa.ImportRefused]; n > 0 {
		return fmt.Errorf("%d lines were refused", n)
	}
	return nil
}

// batch returns how many of the lines fit into one call: at least one.
func batch(lines []fileLine) (n int) {
	size := 0
	for _, line := range lines {
		if size += len(line.text) + 1; n > 0 && (size > mostImportBytes || n == mostImportLines) {
			break
		}
		n++
	}
	return n
}

// importLines sends lines, and returns an answer for each.
func (r *remote) importLines(ctx context.Context, c *importUsers, lines []fileLine) (answers []mfa.Imported, err error) {
	path := "/v1/orgs/" + idInPath(c.Org) + "/import"
	if c.DryRun {
		path += "?dry_run=true"
	}
	var body []byte
	for _, line := range lines {
		body = append(append(body, line.text...), '\n')
	}
	said, err := r.post(ctx, path, "application/x-ndjson", body)
	if err != nil {
		return nil, err
	}
	for d := json.NewDecoder(bytes.NewReader(said)); d.More(); {
		var answer mfa.Imported
		if err := d.Decode(&answer); err != nil {
			return nil, fmt.Errorf("the answer of the API: %w", err)
		}
		answers = append(answers, answer)
	}
	if len(answers) != len(lines) {
		return nil, errors.New("the API has not answered each line")
	}
	return answers, nil
}

func (c *importUsers) print(p *program, answer mfa.Imported) error {
	if p.json {
		return json.NewEncoder(p.out).Encode(answer)
	}
	said := fmt.Sprintf("line %d: %s", answer.Line, strings.TrimSpace(answer.User+" "+string(answer.Result)))
	if len(answer.Factors) > 0 {
		said += fmt.Sprint(" with ", answer.Factors)
	}
	if answer.Result == mfa.ImportRefused {
		said += fmt.Sprintf(": %s %s %s", answer.Code, answer.Param, answer.Detail)
	}
	_, err := fmt.Fprintln(p.out, said)
	return err
}

func sum(counts map[mfa.ImportResult]int) (n int) {
	for _, count := range counts {
		n += count
	}
	return n
}
