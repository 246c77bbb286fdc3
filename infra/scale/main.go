// Command scale draws what one deployment carries, and names the limit that is reached first. It signs users in with the real
// service over a store that records which items each call reads and writes, and of what size. From that it computes how busy
// every class of items gets, for sign-ins of each kind, over one org and over many, and compares that with what Amazon gives. It
// writes its tables into .github/docs/scale.md, which also says what they mean.
//
// It measures no time, so its tables are the same on every machine. It asks nothing of Amazon.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
)

const (
	document = ".github/docs/scale.md"
	begin    = "<!-- scale -->\n"
	end      = "<!-- /scale -->\n"
)

func main() {
	root := flag.String("root", ".", "the folder of the project, in which "+document+" is")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, filepath.Join(*root, document)); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		stop()
		os.Exit(1)
	}
}

// run prints the tables, and puts them into the document between its marks.
func run(ctx context.Context, path string) error {
	made, err := tables(ctx)
	if err != nil {
		return err
	}
	os.Stdout.Write(made)
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text, err = between(text, made)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, text, 0o644)
}

func tables(ctx context.Context) ([]byte, error) {
	all, err := patterns(ctx)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	write(&out, all)
	return out.Bytes(), nil
}

// between returns a text in which the tables stand between the marks.
func between(text, tables []byte) ([]byte, error) {
	before, rest, begins := bytes.Cut(text, []byte(begin))
	_, after, ends := bytes.Cut(rest, []byte(end))
	if !begins || !ends {
		return nil, fmt.Errorf("there is no %q with %q after it", begin, end)
	}
	return slices.Concat(before, []byte(begin), tables, []byte(end), after), nil
}
