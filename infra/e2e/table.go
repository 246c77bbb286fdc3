package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// letters says by which letter the ids of a product's rules begin.
var letters = []struct{ profile, letter string }{
	{"kls", "K"}, {"salto", "S"}, {"talkdesk", "T"}, {"karbon", "C"}, {"helpdesk", "H"}, {"nist", "N"},
}

func profiles() []string {
	var names []string
	for _, l := range letters {
		names = append(names, l.profile)
	}
	return names
}

// A rule is a row of .github/docs/rules.md.
type rule struct{ id, text string }

var ruleRow = regexp.MustCompile(`^\| ([A-Z]\d+) \| (.+) \|$`)

// readRules returns the rules of a product in the order of their ids, or those of all products if profile is empty.
func readRules(path, profile string) ([]rule, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var rules []rule
	for _, l := range letters {
		if profile != "" && l.profile != profile {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if row := ruleRow.FindStringSubmatch(strings.TrimSpace(line)); row != nil && row[1][:1] == l.letter {
				rules = append(rules, rule{row[1], row[2]})
			}
		}
	}
	if len(rules) == 0 {
		return nil, fmt.Errorf("there is no product %q; there are %s", profile, strings.Join(profiles(), ", "))
	}
	return rules, nil
}

// pattern returns what selects the stories about some rules, and no others.
func pattern(rules []rule) string {
	var ids []string
	for _, r := range rules {
		ids = append(ids, r.id)
	}
	return "^Test([A-Z]+[0-9]+And)*(" + strings.Join(ids, "|") + ")(And[A-Z]+[0-9]+)*([A-Z][a-z]|A[A-Z])"
}

var (
	idsOfStory = regexp.MustCompile(`^Test((?:[A-Z]{1,2}\d+)(?:And[A-Z]{1,2}\d+)*)`)
	skipReason = regexp.MustCompile(`^\s+\w+\.go:\d+: (.*)$`)
)

// An outcome is how a rule did in a world. Outcomes are in order: the worst one of several counts.
type outcome int

const (
	untold   outcome = iota // no story about the rule ran there
	held                    // all did what the rule says
	notTried                // a story needs what the world hasn't got
	broken                  // a story found something else
)

// A finding is all that the stories about one rule found in one world.
type finding struct {
	outcome
	needs []string // what the stories that were not tried need
	tests []string // the stories that failed
}

// findings is what a run of the stories has found.
type findings struct {
	tests  map[string]bool                // by name, those that ended
	rules  map[string]map[string]*finding // by id and world
	output strings.Builder                // what isn't about any test
}

// read reads what go test -json writes.
func read(lines io.Reader) (*findings, error) {
	f := &findings{tests: map[string]bool{}, rules: map[string]map[string]*finding{}}
	said := map[string][]string{} // by test, the lines of its output
	in := bufio.NewScanner(lines)
	in.Buffer(nil, 16<<20)
	for in.Scan() {
		var e struct{ Action, Test, Output string }
		if err := json.Unmarshal(in.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("read what go test writes: %w", err)
		}
		switch e.Action {
		case "output", "build-output":
			if e.Test == "" {
				f.output.WriteString(e.Output)
			}
			said[e.Test] = append(said[e.Test], e.Output)
		case "pass", "fail", "skip":
			f.note(e.Action, e.Test, said[e.Test])
			delete(said, e.Test)
		}
	}
	return f, in.Err()
}

// note notes the end of a test. A story that is named Test… has one test for each world, which can have tests of its own.
func (f *findings) note(action, test string, said []string) {
	if test == "" {
		return
	}
	f.tests[test] = true
	story, rest, _ := strings.Cut(test, "/")
	world, _, _ := strings.Cut(rest, "/")
	ids := idsOfStory.FindStringSubmatch(story)
	if ids == nil || world == "" {
		return
	}
	for id := range strings.SplitSeq(ids[1], "And") {
		if f.rules[id] == nil {
			f.rules[id] = map[string]*finding{}
		}
		if f.rules[id][world] == nil {
			f.rules[id][world] = &finding{}
		}
		at := f.rules[id][world]
		switch action {
		case "pass":
			at.outcome = max(at.outcome, held)
		case "skip":
			at.outcome = max(at.outcome, notTried)
			at.needs = append(at.needs, reason(said))
		case "fail":
			at.outcome = broken
			at.tests = append(at.tests, test)
		}
	}
}

// reason returns why a test was skipped.
func reason(said []string) string {
	for _, line := range said {
		if m := skipReason.FindStringSubmatch(strings.TrimRight(line, "\n")); m != nil {
			return m[1]
		}
	}
	return "It doesn't say what it needs."
}

// report prints the table, and reports whether every rule was tried in every world and held.
func report(out io.Writer, rules []rule, worlds []string, f *findings) bool {
	all := true
	rows := [][]string{append([]string{"rule", "what it says"}, worlds...)}
	var remarks []string
	for _, r := range rules {
		row := []string{r.id, r.text}
		for _, world := range worlds {
			at := f.rules[r.id][world]
			if at == nil {
				at = &finding{needs: []string{"There is no story about it."}}
			}
			all = all && at.outcome == held
			row = append(row, at.word())
			slices.Sort(at.needs)
			for _, need := range slices.Compact(at.needs) {
				remarks = append(remarks, fmt.Sprintf("%s was not tried in %s. %s", r.id, world, need))
			}
			for _, test := range at.tests {
				remarks = append(remarks, fmt.Sprintf("%s doesn't hold in %s: %s failed.", r.id, world, test))
			}
		}
		rows = append(rows, row)
	}
	printTable(out, rows)
	if len(remarks) > 0 {
		fmt.Fprintf(out, "\n- %s\n", strings.Join(remarks, "\n- "))
	}
	return all
}

func (f *finding) word() string {
	switch f.outcome {
	case held:
		return "holds"
	case broken:
		return "broken"
	}
	return "not tried"
}

// printTable prints rows as a table of GitHub Flavored Markdown. The first row has the names of the columns.
func printTable(out io.Writer, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for i, row := range rows {
		for j, cell := range row {
			fmt.Fprintf(out, "| %-*s ", widths[j], cell)
		}
		fmt.Fprintln(out, "|")
		if i == 0 {
			for _, width := range widths {
				fmt.Fprintf(out, "|%s", strings.Repeat("-", width+2))
			}
			fmt.Fprintln(out, "|")
		}
	}
}
