package main

import (
	"context"
	"fmt"
	"io"

	"countersign/pkg/mfa/mfatest"
)

// countedSteps prints what each step asks of the store.
func countedSteps(_ context.Context, out io.Writer, _ options) error {
	fmt.Fprint(out, "| one step, counted | store round trips in sequence | items written |\n|---|---|---|\n")
	for _, c := range mfatest.Costs() {
		counted := ""
		if c.Counts > 0 {
			counted = fmt.Sprintf(", and %d calls of Count", c.Counts)
		}
		fmt.Fprintf(out, "| %s | %d | %d%s |\n", c.Step, c.Rounds, c.Items, counted)
	}
	fmt.Fprint(out, "\nA test of package mfa counts the calls of the store for each row, and fails if a row changes. Reads that are made at the same time "+
		"count as one round trip. The test makes sure of that: it holds each of them until all have begun.\n")
	return nil
}
