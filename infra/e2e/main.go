package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
)

// The environment variables by which the stories learn about a target.
const (
	targetURL     = "COUNTERSIGN_TARGET"
	targetKeyFile = "COUNTERSIGN_TARGET_KEY_FILE"
	targetClient  = "COUNTERSIGN_TARGET_CLIENT"
	targetOrigin  = "COUNTERSIGN_TARGET_ORIGIN"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	held, err := run(ctx, os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(2)
	}
	if !held {
		os.Exit(1)
	}
}

// run tries the rules that the arguments ask for, and prints the table. It reports whether all of them were tried and held.
func run(ctx context.Context, args []string, out io.Writer) (bool, error) {
	flags := flag.NewFlagSet("e2e", flag.ContinueOnError)
	url := flags.String("target", "", "the `URL` of a deployment; without it, the rules are tried in worlds of their own")
	keyFile := flags.String("key-file", "", "a `file` with an API key of the target that has every scope")
	profile := flags.String("profile", "", "the product whose rules are tried: "+strings.Join(profiles(), ", ")+"; without it, all of them")
	client := flags.String("client", "local", "the `ID` of the client whose API key it is")
	origin := flags.String("origin", "", "an `origin` of pages that the client has registered; at the local server it isn't needed")
	if err := flags.Parse(args); err != nil {
		return false, err
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return false, err
	}
	rules, err := readRules(filepath.Join(root, ".github", "docs", "rules.md"), *profile)
	if err != nil {
		return false, err
	}
	environment, worlds := os.Environ(), []string{"bolt", "dynamo", "emulator"}
	if *url != "" {
		if *keyFile == "" {
			return false, fmt.Errorf("-target needs -key-file")
		}
		key, err := filepath.Abs(*keyFile)
		if err != nil {
			return false, err
		}
		environment = append(environment, targetURL+"="+*url, targetKeyFile+"="+key, targetClient+"="+*client, targetOrigin+"="+*origin)
		worlds = []string{"target"}
	}
	// The rules of a product are many, and with a clock of its own a world waits for nothing. An hour is enough on any machine.
	test := exec.CommandContext(ctx, "go", "test", "-json", "-count=1", "-timeout=1h", "-run", pattern(rules), "./infra/e2e")
	test.Dir, test.Env, test.Stderr = root, environment, os.Stderr
	lines, err := test.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := test.Start(); err != nil {
		return false, err
	}
	found, err := read(lines)
	failed := test.Wait()
	if err != nil {
		return false, err
	}
	if failed != nil && len(found.tests) == 0 {
		return false, fmt.Errorf("the stories could not be run: %w\n%s", failed, found.output.String())
	}
	return report(out, rules, worlds, found), nil
}

// moduleRoot returns the folder of the project around the working directory.
func moduleRoot(ctx context.Context) (string, error) {
	path, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", err
	}
	root := filepath.Dir(strings.TrimSpace(string(path)))
	if _, err := os.Stat(filepath.Join(root, "infra", "e2e")); err != nil {
		return "", fmt.Errorf("run it in the project's folder: %w", err)
	}
	return root, nil
}
