package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	resultsFile = "infra/bench/RESULTS.md"
	quotingFile = "README.md"
)

const resultsHead = `# What it costs and how fast it is

` + "`go run ./infra/bench`" + ` writes this file and prints the same tables. Nothing in it is typed by hand. A run with ` + "`-only`" + ` replaces
only the parts that it measures, so each part says when it was measured. The part about other products needs ` + "`-peers`" + `,
which downloads and builds them.

Machines are noisy. Things that are compared were therefore run in turn in the same minutes, and a figure is the median of
several rounds. Times belong to the machine that is named, and only their ratios can be carried to another. What is counted
(round trips, items, request units) is exact.
`

// results has the text of each section in the file of results, by the name of the section.
type results map[string]string

// readResults reads the file of results below root. If there is no file yet, the results are empty.
func readResults(root string) (results, error) {
	text, err := os.ReadFile(filepath.Join(root, resultsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return results{}, nil
	}
	if err != nil {
		return nil, err
	}
	found := results{}
	for _, s := range sections() {
		begin, end := marks(s.name)
		_, rest, begins := bytes.Cut(text, begin)
		tables, _, ends := bytes.Cut(rest, end)
		if begins && ends {
			found[s.name] = string(tables)
		}
	}
	return found, nil
}

// write writes the results into their file, and the lines that quote them into README.
func (r results) write(root string) error {
	if err := os.WriteFile(filepath.Join(root, resultsFile), []byte(r.text()), 0o644); err != nil {
		return err
	}
	lines, err := r.quoted()
	if err != nil {
		return fmt.Errorf("%s is written, but %s quotes it: %w", resultsFile, quotingFile, err)
	}
	return between(filepath.Join(root, quotingFile), "bench", []byte(lines))
}

// text returns the whole file of results.
func (r results) text() string {
	var out strings.Builder
	out.WriteString(resultsHead)
	for _, s := range sections() {
		begin, end := marks(s.name)
		tables := r[s.name]
		if tables == "" {
			tables = "Not measured yet.\n"
		}
		fmt.Fprintf(&out, "\n## %s\n\n%s%s%s", s.title, begin, tables, end)
	}
	return out.String()
}

// quoted returns the four lines of figures for README.
func (r results) quoted() (string, error) {
	var missing error
	of := func(section, row, column string) string {
		value, err := r.cell(section, row, column)
		missing = errors.Join(missing, err)
		return value
	}
	const lambda, bill = "as in Lambda", "in all"
	verify, naive := of("coldstart", lambda, "verify, exec to first answer"), of("coldstart", lambda, "naive, exec to first answer")
	app, email := of("cost", "by authenticator app (two calls), all of one org", bill), of("cost", "by email (two calls), all of one org", bill)
	ours, theirs := of("peers", "Countersign's local server, by "+factorName, "per second"), of("peers", "Ory Kratos "+kratosVersion+" on PostgreSQL, by TOTP", "per second")
	trips, items := of("steps", "verify, right", "store round trips in sequence"), of("steps", "verify, right", "items written")
	lines := fmt.Sprintf("| what | measured |\n|---|---|\n"+
		"| checking a code | round trips to the store: %s; items written: %s |\n"+
		"| a cold `verify`, from its start to its first answer | %s ms; %s ms for a program that makes the same calls in the usual way |\n"+
		"| a million sign-ins, at list price, without the emails | %s USD by authenticator app, %s USD by email |\n"+
		"| second factors checked in a second by the local server | %s; %s by Ory Kratos on PostgreSQL |\n",
		trips, items, verify, naive, app, email, ours, theirs)
	return lines, missing
}

// cell returns the cell of a section's table that is in the column with that heading, in the first row whose name ends in row.
func (r results) cell(section, row, column string) (string, error) {
	var headings []string
	for line := range strings.Lines(r[section]) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if slices.Contains(cells, column) {
			headings = cells
		}
		if at := slices.Index(headings, column); strings.HasSuffix(cells[0], row) && at >= 0 && at < len(cells) {
			return cells[at], nil
		}
	}
	return "", fmt.Errorf("the part %s has no %q of %q", section, column, row)
}

func marks(name string) (begin, end []byte) {
	return []byte("<!-- " + name + " -->\n"), []byte("<!-- /" + name + " -->\n")
}

// between replaces what is between the two marks of a name in a file.
func between(path, name string, tables []byte) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	begin, end := marks(name)
	before, rest, begins := bytes.Cut(text, begin)
	_, after, ends := bytes.Cut(rest, end)
	if !begins || !ends {
		return fmt.Errorf("%s has no %q and %q", path, begin, end)
	}
	return os.WriteFile(path, slices.Concat(before, begin, tables, end, after), 0o644)
}
