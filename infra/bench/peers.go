package main

import (
	"context"
	"fmt"
	"io"
	"os"
)

// peerVerifies is how many sign-ins a round has. There are fewer than in the other sections, because it takes several calls to
// begin one on another product.
const peerVerifies = 200

// peers measures other products in turn with the local server.
func peers(ctx context.Context, out io.Writer, o options) error {
	dir, err := os.MkdirTemp("", "countersign-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ours, err := buildLocal(ctx, dir)
	if err != nil {
		return err
	}
	fmt.Fprint(out, "| a second factor over HTTP, 4 at a time | per second | p50, ms | p99, ms | CPU each with the store, ms | resident without the store's processes, MB | exec to ready, ms |\n"+
		"|---|---|---|---|---|---|---|\n")
	theirs, err := buildKratos(ctx, dir)
	if err != nil {
		fmt.Fprintf(out, "| Ory Kratos %s | could not be measured: %v |\n", kratosVersion, err)
		return nil
	}
	defer theirs.close()
	var our, their []figures
	for range o.rounds {
		for _, turn := range []struct {
			contender
			into *[]figures
		}{{ours, &our}, {theirs, &their}} {
			f, err := measure(ctx, turn.contender, peerVerifies, 4)
			if err != nil {
				return err
			}
			*turn.into = append(*turn.into, f)
		}
	}
	ready := func(f figures) float64 { return f.ready }
	fmt.Fprintf(out, "| Countersign's local server, by %s | %s | %.0f |\n", factorName, cells(our), median(our, ready))
	fmt.Fprintf(out, "| Ory Kratos %s on PostgreSQL, by TOTP | %s | %.0f |\n", kratosVersion, cells(their), median(their, ready))
	fmt.Fprintf(out, "\nEach figure is the median of %d rounds of %d sign-ins. The products run in turn. Passwords, enrolments and the begin of the second step are not timed. Both products sync a sign-in to disk before they answer.\n\n"+
		"| beside Kratos | measured | target | |\n|---|---|---|---|\n", o.rounds, peerVerifies)
	for _, row := range []struct {
		name string
		of   func(figures) float64
		most float64
		more bool // whether more is better
	}{
		{"per second", func(f figures) float64 { return f.perSecond }, 5, true},
		{"p50", func(f figures) float64 { return f.p50 }, 5, false},
		{"p99", func(f figures) float64 { return f.p99 }, 5, false},
		{"CPU each", func(f figures) float64 { return f.cpu }, 7, false},
		{"exec to ready", ready, 50, false},
		{"memory", func(f figures) float64 { return f.resident }, 5, false},
	} {
		times, word := median(their, row.of)/median(our, row.of), "less"
		if row.more {
			times, word = 1/times, "more"
		}
		fmt.Fprintf(out, "| %s | %.1f times %s | at least %.0f times | %s |\n", row.name, times, word, row.most, met(times >= row.most))
	}
	return nil
}
