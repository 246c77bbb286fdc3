// Command bench measures what Countersign costs and how fast it is, and prints the tables with how they were made. With
// -write it puts them into a file between its two marks, so that no figure in the README is typed by hand.
//
// Machines are noisy: what is compared is run in turn, several rounds, and the median is given.
//
// It sends nothing beyond this machine, and ends the processes it started.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"time"
)

func main() {
	verifies := flag.Int("n", 2000, "verifies in a round")
	rounds := flag.Int("rounds", 5, "rounds, of which the median is given")
	write := flag.String("write", "", "a file to put the tables into, between <!-- bench --> and <!-- /bench -->")
	flag.Parse()
	if err := bench(*verifies, *rounds, *write); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(verifies, rounds int, write string) error {
	var tables bytes.Buffer
	fmt.Fprintf(&tables, "Measured on %s, %s.\n\n", time.Now().UTC().Format("2006-01-02"), machine())
	if err := localServer(&tables, verifies, rounds); err != nil {
		return err
	}
	os.Stdout.Write(tables.Bytes())
	if write == "" {
		return nil
	}
	return between(write, tables.Bytes())
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
