package emulator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"countersign/infra/emulator/template"
	"countersign/infra/local/machine"
)

// A function is what template.yaml says of one.
type function struct {
	step        string        // the name of its folder under functions/
	timeout     time.Duration // of one invocation
	environment []string      // NAME=value
	events      any           // what it is run by
	routes      []string      // of the API, that lead to it: "METHOD /path"
}

type object = template.Object

// moduleRoot is the folder of the module that the working directory is in.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	file := strings.TrimSpace(string(out))
	if filepath.Base(file) != "go.mod" {
		return "", errors.New("find the module: run this inside of it")
	}
	return filepath.Dir(file), nil
}

// readFunctions reads the functions of root's template.yaml, with values in the place of what CloudFormation fills in.
func readFunctions(root string, values map[string]string) (map[string]*function, error) {
	read, err := template.Read(root)
	if err != nil {
		return nil, err
	}
	all, err := read.Functions()
	if err != nil {
		return nil, err
	}
	found := map[string]*function{}
	for step, said := range all {
		f := &function{step: step, timeout: said.Timeout, events: said.Properties["Events"], routes: said.Routes}
		if f.environment, err = said.Variables(values); err != nil {
			return nil, err
		}
		found[step] = f
	}
	return found, nil
}

// readAccess reads what root's template.yaml lets pages of some origins do.
func readAccess(root string, origins []string) (machine.BrowserAccess, error) {
	read, err := template.Read(root)
	if err != nil {
		return machine.BrowserAccess{}, err
	}
	said, err := read.BrowserAccess()
	if err != nil {
		return machine.BrowserAccess{}, err
	}
	return machine.BrowserAccess{Origins: origins, Methods: said.Methods, Headers: said.Headers, Exposed: said.Exposed, MaxAge: said.MaxAge}, nil
}

// rate is how often a schedule of minutes runs a function.
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#rate-based
func (f *function) rate() (time.Duration, error) {
	said := template.Of(f.events, "Schedule", "Properties", "ScheduleExpression")
	var minutes int
	if n, err := fmt.Sscanf(fmt.Sprint(said), "rate(%d minutes)", &minutes); n != 1 || err != nil || minutes < 1 {
		return 0, fmt.Errorf("template.yaml: the schedule of %s is %v, which is no number of minutes", f.step, said)
	}
	return time.Duration(minutes) * time.Minute, nil
}

// BuildFlags are those that operators build the functions with: see the commands of .github/docs/operating.md.
func BuildFlags() []string {
	return []string{"-tags=lambda.norpc,nethttpomithttp2", "-trimpath", "-ldflags=-s -w"}
}

// Build builds every function for this machine, into dir: dir/challenge and so on. root is a folder of the module.
func Build(ctx context.Context, root, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	build := exec.CommandContext(ctx, "go", append(append([]string{"build"}, BuildFlags()...),
		"-o", dir+string(filepath.Separator), "countersign/functions/...")...)
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the functions: %w\n%s", err, bytes.TrimSpace(out))
	}
	return nil
}
