// Command bench measures what Countersign costs and how fast it is. It prints the tables with how they were made, and writes
// them into infra/bench/RESULTS.md, of which README quotes four lines: no figure in either file is typed by hand.
//
// Machines are noisy: what is compared is run in turn, several rounds, and the median is given. What is counted (round
// trips, items, request units) is exact.
//
// It sends nothing beyond this machine but to package registries, where it installs what it compares with, and ends the
// processes it started.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options say how thoroughly to measure.
type options struct {
	verifies int // in a round on a server
	rounds   int // of which the median is given
	write    bool
	only     string // names of sections, between commas; empty: all
	peers    bool
}

// A section is one table, or several that belong together.
type section struct {
	name    string
	title   string // in the file of results
	exact   bool   // it is the same on every day and machine
	measure func(context.Context, io.Writer, options) error
}

func sections() []section {
	return []section{
		{"steps", "One step, counted", true, countedSteps},
		{"coldstart", "A function's cold start", false, coldStart},
		{"cost", "What a sign-in costs", false, costs},
		{"local", "The local server", false, localServer},
		{"peers", "Beside other products", false, peers},
	}
}

func main() {
	var o options
	flag.IntVar(&o.verifies, "n", 2000, "verifies in a round on a server")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds, of which the median is given")
	flag.BoolVar(&o.write, "write", true, "put the tables that were measured into "+resultsFile+", and what "+quotingFile+" quotes of them there")
	flag.StringVar(&o.only, "only", "", "the sections to measure, between commas: "+strings.Join(names(), ", ")+" (default all)")
	flag.BoolVar(&o.peers, "peers", false, "measure what a user would pick instead, too; it is downloaded and built first")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := bench(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func names() (all []string) {
	for _, s := range sections() {
		all = append(all, s.name)
	}
	return all
}

func bench(ctx context.Context, o options) error {
	wanted := names()
	if o.only != "" {
		wanted = strings.Split(o.only, ",")
	}
	for _, name := range wanted {
		if !slices.Contains(names(), name) {
			return fmt.Errorf("there is no section %q", name)
		}
	}
	if o.rounds < 1 || o.verifies < 100 {
		return errors.New("at least 1 round of 100 verifies")
	}
	root, err := moduleFolder(ctx)
	if err != nil {
		return err
	}
	found, err := readResults(root)
	if err != nil {
		return err
	}
	for _, s := range sections() {
		if !slices.Contains(wanted, s.name) {
			continue
		}
		if s.name == "peers" && !o.peers {
			fmt.Println("Other products were not measured: it takes `-peers`, which downloads and builds them.")
			continue
		}
		var tables bytes.Buffer
		if !s.exact {
			fmt.Fprintf(&tables, "Measured on %s, %s.\n\n", time.Now().UTC().Format(time.DateOnly), machine())
		}
		if err := s.measure(ctx, io.MultiWriter(os.Stdout, &tables), o); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Println()
		found[s.name] = tables.String()
	}
	if !o.write {
		return nil
	}
	return found.write(root)
}
