// Command timing shows that a stranger learns nothing of a user by how long an answer takes. It serves the local server's
// real handler on loopback, over its embedded store, and asks about users of every state with bearers that were not made
// here, and with genuine ones that don't fit the call. For each way of asking it compares the times for a user who was
// never seen with those for every other user.
//
// The measure is dudect's (Reparaz, Balasch, Verbauwhede: "Dude, is my code constant time?", 2017): Welch's t over samples
// taken in random order, once over all of them and once over those below each of a hundred thresholds, which crop what the
// machine was doing otherwise. The largest |t| of these counts. Below 4.5 there is nothing to be seen.
//
// A test that never fails shows nothing. So the program then builds itself once more, over a package mfa that reads the
// account beside the key, as it did before the filter key came, and measures that: there |t| must be above 10, but where a
// genuine enrolment token has its own user read and nobody else. The change is made by the compiler's -overlay, so no such
// code is in the tree.
//
// It fails when either isn't so. Machines are noisy, so it is no test of the suite; the suite tests the program.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
)

// What is seen of a leak: below unseen nothing is, and above plain it can't be missed.
const (
	unseen = 4.5
	plain  = 10
)

func main() {
	samples := flag.Int("samples", 20_000, "samples of each pair of users")
	report := flag.String("report", "", "measure only this build, and write what was found to this file as JSON")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, *samples, *report); err != nil {
		fmt.Fprintln(os.Stderr, "timing:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, samples int, report string) error {
	found, err := measure(ctx, samples)
	if err != nil {
		return err
	}
	if report != "" {
		text, err := json.Marshal(found)
		if err != nil {
			return err
		}
		return os.WriteFile(report, text, 0o600)
	}
	fmt.Fprintf(out, "Largest |t| against an unknown user, over %d samples a pair:\n\n", samples)
	found.print(out)
	leaking, err := leak(ctx, samples)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nThe same for a build that reads the account beside the key:\n\n")
	leaking.print(out)
	for _, row := range found {
		if most := row.most(); most >= unseen {
			return fmt.Errorf("%s: |t| is %.1f, and must be below %.1f", row.Ask, most, unseen)
		}
	}
	for _, row := range leaking {
		if most := row.most(); most <= plain && !row.Own {
			return fmt.Errorf("%s: |t| of the build that leaks is %.1f, and must be above %d to show anything", row.Ask, most, plain)
		}
	}
	return nil
}

// leak measures a build that leaks.
func leak(ctx context.Context, samples int) (found table, err error) {
	dir, err := os.MkdirTemp("", "countersign-timing")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	overlay, err := writeOverlay(ctx, dir)
	if err != nil {
		return nil, err
	}
	program, report := filepath.Join(dir, "timing"), filepath.Join(dir, "report")
	build := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-o", program, "countersign/infra/timing")
	if said, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the one that leaks: %w: %s", err, said)
	}
	again := exec.CommandContext(ctx, program, "-samples", fmt.Sprint(samples), "-report", report)
	if said, err := again.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("measure the one that leaks: %w: %s", err, said)
	}
	text, err := os.ReadFile(report)
	if err != nil {
		return nil, err
	}
	return found, json.Unmarshal(text, &found)
}
