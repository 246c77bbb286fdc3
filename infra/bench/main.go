// Command bench measures what Countersign costs and how fast it is. It prints tables, and says how they were made. It writes
// the same tables into infra/bench/RESULTS.md, and puts four lines of figures from there into README. So no figure in either
// file is typed by hand.
//
// Machines are noisy. Therefore things that are compared run in turn, in several rounds, and a figure is the median of them.
// What is counted (round trips, items, request units) is exact.
//
// It refuses to leave anything running: it stops every process that it has started. It sends nothing beyond this machine, except
// to package registries, from which it gets what it compares with.
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

// options says what to measure, and how thoroughly.
type options struct {
	verifies int // how many verifies a round on a server has
	rounds   int // how many rounds there are
	write    bool
	only     string // names of sections, separated by commas; empty means all
	peers    bool
	memory   int    // the memory in MB for which functions get their share of a core; 0 stands for that of the template
	before   string // commits, separated by commas, whose functions are started in turn with those of today
}

// A section is a part of the results, with one table or several.
type section struct {
	name    string
	title   string // the heading in the file of results
	exact   bool   // the result is the same on every machine, so no date and machine are given
	measure func(context.Context, io.Writer, options) error
}

func sections() []section {
	return []section{
		{"steps", "One step, counted", true, countedSteps},
		{"coldstart", "A function's cold start", false, coldStart},
		{"cost", "What a sign-in costs", false, costs},
		{"growth", "An organisation with very many users", false, growth},
		{"signout", "Signing out very many users", false, signOut},
		{"local", "The local server", false, localServer},
		{"peers", "Beside other products", false, peers},
	}
}

func main() {
	var o options
	flag.IntVar(&o.verifies, "n", 2000, "how many verifies a round on a server has, at least 100")
	flag.IntVar(&o.rounds, "rounds", 5, "how many rounds to measure; a figure is their median")
	flag.BoolVar(&o.write, "write", true, "write the measured tables into "+resultsFile+", and the lines that quote them into "+quotingFile)
	flag.StringVar(&o.only, "only", "", "measure only these sections, separated by commas: "+strings.Join(names(), ", "))
	flag.BoolVar(&o.peers, "peers", false, "also measure other products, which are downloaded and built first")
	flag.IntVar(&o.memory, "memory", 0, "measure cold starts at the share of a core that Lambda gives for so many MB (default that of the template)")
	flag.StringVar(&o.before, "before", "", "also build and start the functions of these commits, separated by commas")
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
		return errors.New("there must be at least 1 round, and at least 100 verifies in it")
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
			fmt.Println("Other products were not measured. To measure them, add -peers, which downloads and builds them.")
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
