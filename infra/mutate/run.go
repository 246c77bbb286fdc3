package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A test is one top-level test of a package's test binary.
type test struct {
	suite *suite
	name  string
	took  time.Duration
}

// A suite is the test binary of a package, with all changes in it.
type suite struct {
	dir, binary, path string
}

// build builds the test binary of a package.
func build(ctx context.Context, work string, p *listed) (*suite, error) {
	s := &suite{dir: p.Dir, path: p.path(), binary: filepath.Join(work, strings.ReplaceAll(p.path(), "/", "_")+".test")}
	out, err := exec.CommandContext(ctx, "go", "test", "-vet=off", "-c", "-o", s.binary, p.ImportPath).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("build the tests of %s: %w\n%s", p.path(), err, out)
	}
	return s, nil
}

// run runs tests of the suite, and reports whether all of them passed.
func (s *suite) run(ctx context.Context, limit time.Duration, environment []string, names ...string) (passed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.binary, "-test.failfast", "-test.run", "^("+strings.Join(names, "|")+")$")
	cmd.Dir, cmd.Env = s.dir, append(os.Environ(), environment...)
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	var failed *exec.ExitError
	switch {
	case err == nil:
		return true, nil
	case errors.As(err, &failed), errors.Is(err, exec.ErrWaitDelay), ctx.Err() != nil:
		return false, nil // a change with which the test doesn't end is found too
	}
	return false, err
}

// tests returns the tests of the suite.
func (s *suite) tests(ctx context.Context) ([]*test, error) {
	cmd := exec.CommandContext(ctx, s.binary, "-test.list", "^Test")
	cmd.Dir = s.dir
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the tests of %s: %w", s.path, err)
	}
	var found []*test
	for name := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(name, "Test") {
			found = append(found, &test{suite: s, name: name})
		}
	}
	return found, nil
}

// slowest is how long a test may take without a change. Slower tests are left out.
const slowest = 60 * time.Second

// reach runs each test by itself, and returns which tests reach each change. A test that fails without a change is left out.
func reach(ctx context.Context, work string, workers int, tests []*test, skip *regexp.Regexp, say func(string, ...any)) (map[int][]*test, error) {
	reached := map[int][]*test{}
	var mu sync.Mutex
	err := side(workers, len(tests), func(i int) error {
		t := tests[i]
		if skip != nil && skip.MatchString(t.name) {
			return nil
		}
		to := filepath.Join(work, fmt.Sprintf("reach-%d", i))
		began := time.Now()
		passed, err := t.suite.run(ctx, slowest, []string{"MUTANT_REACH=" + to}, t.name)
		t.took = time.Since(began)
		if err != nil {
			return err
		}
		if !passed {
			say("%s %s is left out, because without a change it fails, or takes more than %s.", t.suite.path, t.name, slowest)
			return nil
		}
		text, err := os.ReadFile(to)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		for line := range strings.FieldsSeq(string(text)) {
			n, err := strconv.Atoi(line)
			if err != nil {
				return fmt.Errorf("read what %s reached: %w", t.name, err)
			}
			if !slices.Contains(reached[n], t) {
				reached[n] = append(reached[n], t)
			}
		}
		return nil
	})
	return reached, err
}

// kill runs the tests that reach a change until one fails, and returns the names of those that ran with it. The result is empty
// if the change survived.
func (m *mutant) kill(ctx context.Context, tests []*test) (string, error) {
	tests = slices.Clone(tests)
	slices.SortStableFunc(tests, func(a, b *test) int {
		own := func(t *test) int {
			if t.suite.path == m.Package {
				return 0
			}
			return 1
		}
		if c := own(a) - own(b); c != 0 {
			return c
		}
		return int(a.took - b.took)
	})
	for len(tests) > 0 {
		n := 1
		for took := tests[0].took; n < len(tests) && n < 20 && tests[n].suite == tests[0].suite && took < 2*time.Second; n++ {
			took += tests[n].took
		}
		var names []string
		limit := 20 * time.Second
		for _, t := range tests[:n] {
			names = append(names, t.name)
			limit += 5 * t.took
		}
		passed, err := tests[0].suite.run(ctx, limit, []string{"MUTANT=" + strconv.Itoa(m.ID)}, names...)
		if err != nil {
			return "", err
		}
		if !passed {
			return tests[0].suite.path + ": " + strings.Join(names, " or "), nil
		}
		tests = tests[n:]
	}
	return "", nil
}

// side calls work n times, with workers calls at a time, and returns the first error of each worker.
func side(workers, n int, work func(int) error) error {
	next := make(chan int)
	failed := make(chan error, workers)
	for range workers {
		go func() {
			var first error
			for i := range next {
				if first == nil {
					first = work(i)
				}
			}
			failed <- first
		}()
	}
	for i := range n {
		next <- i
	}
	close(next)
	var all []error
	for range workers {
		all = append(all, <-failed)
	}
	return errors.Join(all...)
}

// verdicts reads what was found out about survivors. Each line has a place, " => ", and the finding.
func verdicts(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for line := range bytes.Lines(text) {
		place, finding, ok := strings.Cut(strings.TrimSpace(string(line)), " => ")
		if ok {
			found[place] = finding
		}
	}
	return found, nil
}
