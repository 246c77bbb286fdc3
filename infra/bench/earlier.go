package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"countersign/infra/emulator/emulator"
)

// ofNovember is the commit whose functions the targets of the project compare with.
const ofNovember = "2baa2d1"

// An earlier has the functions of an earlier commit. They use the same stand-ins as the functions of today, and a table of their own.
type earlier struct {
	*rig
	commit string // as it was asked for
	verify starter
}

// earlier builds the functions of commits. The names of the commits are separated by commas.
func (r *rig) earlier(ctx context.Context, commits string) (all []earlier, err error) {
	defer func() {
		if err != nil {
			closeAll(all)
		}
	}()
	for commit := range strings.SplitSeq(commits, ",") {
		if commit = strings.TrimSpace(commit); commit == "" {
			continue
		}
		e, err := r.checkedOut(ctx, commit)
		if err != nil {
			return all, fmt.Errorf("the functions of %s: %w", commit, err)
		}
		all = append(all, e)
	}
	return all, nil
}

func closeAll(all []earlier) {
	for _, e := range all {
		e.close()
	}
}

// checkedOut puts the tree of a commit into a folder and builds its functions. They get the environment that their own template
// gives them.
func (r *rig) checkedOut(ctx context.Context, commit string) (e earlier, err error) {
	e = earlier{&rig{amazon: r.amazon, borrowed: true, table: "countersign-" + commit, running: map[string]*function{}}, commit, starter{}}
	defer func() {
		if err != nil {
			e.close()
		}
	}()
	if e.dir, err = os.MkdirTemp("", "countersign-bench"); err != nil {
		return e, err
	}
	e.module = filepath.Join(e.dir, "tree")
	archive := filepath.Join(e.dir, "tree.tar")
	for _, command := range [][]string{
		{"git", "archive", "--output", archive, commit}, {"mkdir", e.module}, {"tar", "--extract", "--file", archive, "--directory", e.module},
	} {
		c := exec.CommandContext(ctx, command[0], command[1:]...)
		c.Dir = r.module
		if said, err := c.CombinedOutput(); err != nil {
			return e, fmt.Errorf("%s: %w: %s", command[0], err, said)
		}
	}
	if err := e.build(ctx, "./functions/..."); err != nil {
		return e, err
	}
	if _, err := e.service(ctx, e.table); err != nil {
		return e, err
	}
	// The ctl of that commit makes the API key, because its record may have had another format.
	make := exec.CommandContext(ctx, "go", "run", "./infra/ctl", "keys", "create", "--table", e.table, "--endpoint", e.amazon.Table,
		"--client", "bench", "--scope", "sign_in", "--scope", "manage", "--scope", "admin")
	make.Dir = e.module
	key, err := make.Output()
	if err != nil {
		return e, fmt.Errorf("make an API key: %w", err)
	}
	e.apiKey = strings.TrimSpace(string(key))
	if err := e.policy(ctx, benchOrg, "kls"); err != nil {
		return e, err
	}
	environment, err := e.environment("verify")
	e.verify = starter{name: "verify of " + commit, path: e.program("verify"), environment: environment, event: e.rightCode}
	return e, err
}

// compare prints what was measured of the earlier verify, and of the verify of today.
func (e earlier) compare(out io.Writer, all []condition, measured map[string]map[string][]start) {
	fmt.Fprintf(out, "| verify now, and as of %s, ms | exec to next, then | now | now ÷ then | exec to first answer, then | now | now ÷ then |\n"+
		"|---|---|---|---|---|---|---|\n", e.commit)
	for _, c := range all {
		runs, done := measured[c.name]
		if !done {
			continue
		}
		then, now := runs[e.verify.name], runs["verify"]
		fmt.Fprintf(out, "| %s | %.1f | %.1f | %.2f | %.1f | %.1f | %.2f |\n", c.name, middle(then, next), middle(now, next), ratio(now, then, next),
			middle(then, total), middle(now, total), ratio(now, then, total))
	}
	fmt.Fprintln(out)
}

// sizes prints the sizes of the functions of today and of earlier commits, and returns those of today in MB.
func (r *rig) sizes(ctx context.Context, out io.Writer, all []earlier) (now map[string]float64, err error) {
	if now, err = r.binaries(ctx); err != nil {
		return nil, err
	}
	fmt.Fprint(out, "| binary for arm64, stripped, MB | now |")
	line := "|---|---|"
	var then []map[string]float64
	for _, e := range all {
		sizes, err := e.binaries(ctx)
		if err != nil {
			return nil, err
		}
		then = append(then, sizes)
		fmt.Fprintf(out, " as of %s | now ÷ then |", e.commit)
		line += "---|---|"
	}
	fmt.Fprintf(out, "\n%s\n", line)
	for _, step := range slices.Sorted(maps.Keys(now)) {
		fmt.Fprintf(out, "| %s | %.2f |", step, now[step])
		for _, sizes := range then {
			if sizes[step] == 0 {
				fmt.Fprint(out, " none | |")
				continue
			}
			fmt.Fprintf(out, " %.2f | %.3f |", sizes[step], now[step]/sizes[step])
		}
		fmt.Fprintln(out)
	}
	fmt.Fprintln(out)
	return now, nil
}

// binaries builds the functions as they are deployed, and returns the size of each in MB.
func (r *rig) binaries(ctx context.Context) (map[string]float64, error) {
	dir := filepath.Join(r.dir, "arm64")
	err := goBuild(ctx, r.module, []string{"GOOS=linux", "GOARCH=arm64"}, append(emulator.BuildFlags(), "-o", dir+string(filepath.Separator), "./functions/...")...)
	if err != nil {
		return nil, err
	}
	sizes := map[string]float64{}
	for step := range r.deployed {
		info, err := os.Stat(filepath.Join(dir, step))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		sizes[step] = float64(info.Size()) / 1e6
	}
	return sizes, nil
}

// targets prints the targets of the project, and whether they are met.
func targets(out io.Writer, memory int, measured map[string]map[string][]start, all []earlier, sizes map[string]float64) {
	fmt.Fprint(out, "| figure | measured | target | |\n|---|---|---|---|\n")
	row := func(name string, got, most float64, format string) {
		fmt.Fprintf(out, "| %s | "+format+" | at most "+format+" | %s |\n", name, got, most, met(got <= most))
	}
	now, lambda := measured[asInLambda(memory)]
	then := measured[asInLambda(memoryBefore)]
	if lambda {
		of := fmt.Sprintf("verify, exec to first answer at %d MB as in Lambda ÷ ", memory)
		for _, e := range all {
			if e.commit == ofNovember {
				row(of+fmt.Sprintf("that of the build of November (%s) at %d MB", ofNovember, memoryBefore), ratio(now["verify"], then[e.verify.name], total), 0.60, "%.2f")
			}
		}
		row(of+fmt.Sprintf("naive's at %d MB", memoryBefore), ratio(now["verify"], then["naive"], total), 1./6, "%.3f")
		row("verify, resident at its first answer, MB", middle(now["verify"], resident), 14, "%.1f")
	}
	const webauthn = 2.2 // what go-webauthn may add
	for _, size := range []struct {
		step string
		most float64
	}{{"verify", 9.2 + webauthn}, {"challenge", 10.5 + webauthn}, {"pages", 9.5}} {
		row(size.step+", binary for arm64, MB", sizes[size.step], size.most, "%.2f")
	}
}

func met(yes bool) string {
	if yes {
		return "met"
	}
	return "**missed**"
}
