package main

import (
	"bytes"
	"math"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
)

func TestWelchsTIsThatOfTheTextbook(t *testing.T) {
	// Welch's third example: https://en.wikipedia.org/wiki/Welch%27s_t-test#Examples
	a := []float64{19.8, 20.4, 19.6, 17.8, 18.5, 18.9, 18.3, 18.9, 19.5, 22.0}
	b := []float64{28.2, 26.6, 20.1, 23.3, 25.2, 22.1, 17.7, 27.6, 20.6, 13.7, 23.2, 17.5, 20.6, 18.0, 23.9, 21.6, 24.3, 20.4, 24.0, 13.2}
	if got := welch(a, b, math.Inf(1)); math.Abs(got-2.22) > 0.01 {
		t.Errorf("got %.3f, want 2.22", got)
	}
	if got := welch(a, []float64{1}, math.Inf(1)); got != 0 {
		t.Errorf("of one sample: got %v, want 0", got)
	}
	if got := welch([]float64{1, 1}, []float64{1, 1}, math.Inf(1)); got != 0 {
		t.Errorf("of samples that don't vary: got %v, want 0", got)
	}
}

func TestASmallShiftIsSeenUnderRareLongDelays(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	times := func(shift float64) []float64 {
		all := make([]float64, 10_000)
		for i := range all {
			all[i] = 30 + shift + random.NormFloat64()
			if random.IntN(100) == 0 {
				all[i] += 10_000 * random.Float64()
			}
		}
		return all
	}
	if got := largestT(times(0), times(0)); got >= unseen {
		t.Errorf("of equal times: got %.1f, want less than %.1f", got, unseen)
	}
	if got := largestT(times(0), times(0.3)); got <= plain {
		t.Errorf("of times 1 %% apart: got %.1f, want more than %d", got, plain)
	}
}

// Every question gets the same answer about every user. If not, sample returns an error.
func TestL2EveryWayOfAskingHearsTheSameOfEverybody(t *testing.T) {
	found, err := measure(t.Context(), 40)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	found.print(&out)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(found) < 9 || len(lines) != len(found)+1 {
		t.Fatalf("got a table of %d lines for %d ways of asking:\n%s", len(lines), len(found), out.String())
	}
	for _, want := range []string{"unknown too", "known", "enrolled", "locked", "deprovisioned", "20 browsers"} {
		if !strings.Contains(lines[0], want) {
			t.Errorf("nobody is %s: %s", want, lines[0])
		}
	}
}

func TestTheBuildThatLeaksIsMadeOfTheCodeAsItIs(t *testing.T) {
	overlay, err := writeOverlay(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if said, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "countersign/pkg/mfa").CombinedOutput(); err != nil {
		t.Errorf("it doesn't compile: %v: %s", err, said)
	}
}
