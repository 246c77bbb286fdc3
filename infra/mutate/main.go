package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The packages that are changed, and those whose tests look for changes, by default.
const (
	changed = "pkg/mfa,pkg/store,pkg/store/bolt,pkg/store/dynamo,pkg/store/dynamo/stream,pkg/seal,pkg/api,pkg/passkey,pkg/cloud,pkg/cloud/email,pkg/cloud/eventbus,pkg/cloud/keyring,pkg/cloud/textmessage"
	looking = changed + ",pkg/mfa/walk,pkg/activity,pkg/apikey,pkg/message,infra/local/server,infra/local/demo,infra/ctl"
)

func main() {
	var o options
	flag.IntVar(&o.n, "n", 600, "how many changes to try")
	flag.Uint64Var(&o.seed, "seed", 1, "a number that decides which changes are tried")
	flag.IntVar(&o.workers, "workers", 2, "how many changes to try at the same time")
	flag.StringVar(&o.packages, "packages", changed, "the packages to change")
	flag.StringVar(&o.tests, "tests", looking, "the packages whose tests look for changes; packages that don't exist are left out")
	flag.StringVar(&o.results, "results", "", "the file to which the results are written (default standard output)")
	flag.StringVar(&o.verdicts, "verdicts", "infra/mutate/verdicts.txt", "the file that says what was found out about survivors")
	skip := flag.String("skip", "", "a regular expression; tests whose names match it are not run")
	flag.Parse()
	if *skip != "" {
		o.skip = regexp.MustCompile(*skip)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := o.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

type options struct {
	n, workers               int
	seed                     uint64
	packages, tests, results string
	verdicts                 string
	skip                     *regexp.Regexp
}

func say(format string, a ...any) { fmt.Fprintf(os.Stderr, format+"\n", a...) }

// existing returns those packages of a list that exist.
func existing(names string) ([]listed, error) {
	var args []string
	for name := range strings.SplitSeq(names, ",") {
		if files, _ := filepath.Glob(filepath.Join(name, "*.go")); len(files) > 0 {
			args = append(args, "./"+name)
		}
	}
	return list(args...)
}

func (o *options) run(ctx context.Context) error {
	work, err := os.MkdirTemp("", "countersign-mutate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	packages, err := existing(o.packages)
	if err != nil {
		return err
	}
	all, err := find(packages)
	if err != nil {
		return err
	}
	chosen := choose(all, o.n, o.seed)
	say("%d of %d places were chosen.", len(chosen), len(all))
	layer, err := overlay(work, packages, chosen)
	if err != nil {
		return err
	}
	// This is set in the environment so that programs which are built by tests have the changes too.
	if err := os.Setenv("GOFLAGS", strings.TrimSpace(os.Getenv("GOFLAGS")+" -overlay="+layer)); err != nil {
		return err
	}
	suites, err := existing(o.tests)
	if err != nil {
		return err
	}
	var tests []*test
	for i := range suites {
		if !suites[i].tested() {
			continue
		}
		s, err := build(ctx, work, &suites[i])
		if err != nil {
			return err
		}
		more, err := s.tests(ctx)
		if err != nil {
			return err
		}
		tests = append(tests, more...)
	}
	say("Each of %d tests is run by itself, to find out which changes it reaches.", len(tests))
	reached, err := reach(ctx, work, o.workers, tests, o.skip, say)
	if err != nil {
		return err
	}
	killers := make([]string, len(chosen))
	began := time.Now()
	err = side(o.workers, len(chosen), func(i int) (err error) {
		m := chosen[i]
		if killers[i], err = m.kill(ctx, reached[m.ID]); err != nil {
			return err
		}
		if killers[i] == "" {
			say("This change survived, and %d tests reach it: %s", len(reached[m.ID]), m.place())
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	say("All changes were tried in %s.", time.Since(began).Round(time.Second))
	known, err := verdicts(o.verdicts)
	if err != nil {
		return err
	}
	text := o.report(len(all), chosen, killers, reached, known)
	if o.results == "" {
		_, err = os.Stdout.WriteString(text)
		return err
	}
	return os.WriteFile(o.results, []byte(text), 0o644)
}

// choose chooses n mutants by the seed, and numbers them. A sixth of them are drops, and the others are of any pattern.
func choose(all []*mutant, n int, seed uint64) []*mutant {
	random := rand.New(rand.NewPCG(seed, 0))
	order := random.Perm(len(all))
	var chosen []*mutant
	take := func(most int, fits func(*mutant) bool) {
		for _, i := range order {
			if len(chosen) < most && fits(all[i]) && !slices.Contains(chosen, all[i]) {
				chosen = append(chosen, all[i])
			}
		}
	}
	take((n+5)/6, func(m *mutant) bool { return m.Pattern == "drop" })
	take(n, func(*mutant) bool { return true })
	slices.SortStableFunc(chosen, func(a, b *mutant) int { return strings.Compare(a.File, b.File) })
	for i, m := range chosen {
		m.ID = i + 1
	}
	return chosen
}

// report writes the results.
func (o *options) report(places int, chosen []*mutant, killers []string, reached map[int][]*test, known map[string]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# How strong the tests are\n\n")
	fmt.Fprintf(&b, "This file was written by `go run ./infra/mutate -n %d -seed %d`. %d of %d places were changed, one at a time; infra/mutate/doc.go says how.\n\n", o.n, o.seed, len(chosen), places)
	table := func(title string, of func(*mutant) string) {
		type row struct{ tried, found, same int }
		rows := map[string]*row{}
		for i, m := range chosen {
			for _, name := range []string{of(m), "all"} {
				if rows[name] == nil {
					rows[name] = &row{}
				}
				r := rows[name]
				r.tried++
				switch {
				case killers[i] != "":
					r.found++
				case strings.HasPrefix(known[m.place()], "changes nothing"):
					r.same++
				}
			}
		}
		fmt.Fprintf(&b, "| %s | changed | found by a test | changes no behaviour | found, of those that change behaviour |\n|---|---|---|---|---|\n", title)
		var names []string
		for name := range rows {
			if name != "all" {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		for _, name := range append(names, "all") {
			r := rows[name]
			fmt.Fprintf(&b, "| %s | %d | %d | %d | %.1f %% |\n", name, r.tried, r.found, r.same, 100*float64(r.found)/float64(max(1, r.tried-r.same)))
		}
		b.WriteString("\n")
	}
	table("package", func(m *mutant) string { return m.Package })
	table("pattern", func(m *mutant) string { return m.Pattern })
	b.WriteString("## Survivors\n\n| place | pattern | what was changed | the line | tests that reach it | what was found out |\n|---|---|---|---|---|---|\n")
	for i, m := range chosen {
		if killers[i] == "" {
			finding := known[m.place()]
			if finding == "" {
				finding = "not looked at yet"
			}
			cell := strings.NewReplacer("|", "\\|")
			fmt.Fprintf(&b, "| %s, %s | %s | `%s` | `%s` | %d | %s |\n",
				m.File, m.Func, m.Pattern, cell.Replace(m.Part), cell.Replace(m.Text), len(reached[m.ID]), finding)
		}
	}
	return b.String()
}
