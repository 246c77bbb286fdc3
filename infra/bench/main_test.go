package main

import (
	"fmt"
	"strings"
	"testing"

	"countersign/pkg/mfa/mfatest"
)

func TestTheTableOfStepsIsThatWhichATestOfTheDomainCounts(t *testing.T) {
	var out strings.Builder
	if err := countedSteps(t.Context(), &out, options{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range mfatest.Costs() {
		row := fmt.Sprintf("| %s | %d | %d |\n", c.Step, c.Rounds, c.Items)
		if c.Counts > 0 {
			row = fmt.Sprintf("| %s | %d | %d, and %d calls of Count |\n", c.Step, c.Rounds, c.Items, c.Counts)
		}
		if !strings.Contains(out.String(), row) {
			t.Errorf("got %s, want it to have %s", out.String(), row)
		}
	}
	r, err := readResults(aTree(t))
	if err != nil {
		t.Fatal(err)
	}
	if got := r["steps"]; got != out.String() {
		t.Errorf("%s has the table\n%s\nwant what go run ./infra/bench -only steps puts there:\n%s", resultsFile, got, out.String())
	}
}
