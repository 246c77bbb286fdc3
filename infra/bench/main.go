// Command bench measures what Countersign costs and how fast it is, and prints the tables with how they were made. With
// -write it puts them into a file between its two marks, so that no figure in the README is typed by hand.
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
	verifies int    // in a round on a server
	rounds   int    // of which the median is given
	write    string // a file; empty: none
	only     string // names of sections, between commas; empty: all
	peers    bool
}

// A section is one table, or several that belong together.
type section struct {
	name    string
	measure func(context.Context, io.Writer, options) error
}

func sections() []section {
	return []section{
		{"steps", func(ctx context.Context, out io.Writer, _ options) error { return countedSteps(ctx, out) }},
		{"coldstart", coldStart},
		{"cost", costs},
		{"local", localServer},
		{"peers", peers},
	}
}

func main() {
	var o options
	flag.IntVar(&o.verifies, "n", 2000, "verifies in a round on a server")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds, of which the median is given")
	flag.StringVar(&o.write, "write", "", "a file to put the tables into, between <!-- bench --> and <!-- /bench -->")
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
	if o.write != "" && o.only != "" {
		return errors.New("-write takes all sections")
	}
	var tables bytes.Buffer
	out := io.MultiWriter(os.Stdout, &tables)
	fmt.Fprintf(out, "Measured on %s, %s.\n", time.Now().UTC().Format("2006-01-02"), machine())
	for _, s := range sections() {
		if !slices.Contains(wanted, s.name) {
			continue
		}
		fmt.Fprintln(out)
		if err := s.measure(ctx, out, o); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	if o.write == "" {
		return nil
	}
	return between(o.write, tables.Bytes())
}

// between replaces what stands in a file between the two marks.
func between(path string, tables []byte) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(text, []byte("<!-- bench -->\n"))
	_, after, ended := bytes.Cut(rest, []byte("<!-- /bench -->"))
	if !ok || !ended {
		return fmt.Errorf("%s has no <!-- bench --> and <!-- /bench -->", path)
	}
	whole := bytes.Join([][]byte{before, []byte("<!-- bench -->\n"), tables, []byte("<!-- /bench -->"), after}, nil)
	return os.WriteFile(path, whole, 0o644)
}
