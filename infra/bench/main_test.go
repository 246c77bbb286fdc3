package main

import (
	"strings"
	"testing"
)

func TestEveryStepOfTheTableCanBeCounted(t *testing.T) {
	var out strings.Builder
	if err := countedSteps(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{
		"| start, not asked | 1 | 0 |\n", "| verify, right | 2 | 1 |\n", "| verify with trust | 2 | 3 |\n",
		"| start, by app | 2 | 1 |\n", "| verify by app, right | 2 | 1 |\n", "| verify by app, with trust | 2 | 3 |\n",
		"| enrol, begin, an app | 2 | 1 |\n", "| enrol, begin, email | 2 | 2 |\n", "| enrol, finish, with recovery codes | 2 | 4 |\n",
		"| recover, which signs in | 2 | 1 |\n", "| recover, which removes all factors | 2 | 3 |\n", "| new recovery codes | 2 | 1 |\n",
	} {
		if !strings.Contains(out.String(), row) {
			t.Errorf("got %s, want it to have %s", out.String(), row)
		}
	}
}
