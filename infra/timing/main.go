// Command timing shows that a stranger learns nothing about a user from how long an answer takes. It serves the handler of the
// local server on loopback, with its embedded store. It asks about users in every state, with bearers that were not made here
// and with genuine bearers that don't fit the call. For each way of asking, it compares the times for a user who was never
// seen with the times for every other user.
//
// It measures as dudect does (Reparaz, Balasch, Verbauwhede: "Dude, is my code constant time?", 2017). The samples are taken
// in random order. Welch's t is computed over all of them, and over those below each of a hundred thresholds, which leave out
// the times at which the machine did something else. The largest |t| counts. Below 4.5 no difference can be seen.
//
// A measurement that never finds anything would show nothing. So the program then builds itself again, with a package mfa that
// reads the account together with the key, and measures that build. There |t| must be above 10. The only exception is a
// genuine enrolment token, with which the account of the token's own user is read. The flag -overlay of the compiler makes the
// change, so the project has no such code.
//
// The program fails if one of the two is not so. Machines are noisy, so the test suite doesn't run the full measurement. It
// tests the program itself.
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

// If |t| is below unseen, there is no difference to see. If it is above plain, there is one for sure.
const (
	unseen = 4.5
	plain  = 10
)

func main() {
	samples := flag.Int("samples", 20_000, "how many samples to take for each pair of users")
	report := flag.String("report", "", "measure only this build, and write the result to this file as JSON")
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
	fmt.Fprintf(out, "The largest |t| of each user against an unknown user, over %d samples for each pair:\n\n", samples)
	found.print(out)
	leaking, err := leak(ctx, samples)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nThe same for a build that reads the account together with the key:\n\n")
	leaking.print(out)
	for _, row := range found {
		if most := row.most(); most >= unseen {
			return fmt.Errorf("%s: |t| is %.1f, and must be below %.1f", row.Ask, most, unseen)
		}
	}
	for _, row := range leaking {
		if most := row.most(); most <= plain && !row.Own {
			return fmt.Errorf("%s: |t| of the build that leaks is %.1f, and must be above %d, because otherwise a leak would not be found", row.Ask, most, plain)
		}
	}
	return nil
}

// leak measures a build that leaks whether a user exists.
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
