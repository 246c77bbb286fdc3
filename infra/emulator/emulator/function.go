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

// A function is a function as template.yaml describes it.
type function struct {
	step        string        // the name of its folder in functions
	resource    string        // its name in the template
	timeout     time.Duration // how long one invocation may take
	wait        time.Duration // how long the API waits for its answer
	environment []string      // NAME=value
	events      any           // the events of the template that invoke it
	routes      []string      // the routes of the API that lead to it: "METHOD /path"
}

type object = template.Object

// moduleRoot returns the folder of the project around the working directory.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	file := strings.TrimSpace(string(out))
	if filepath.Base(file) != "go.mod" {
		return "", errors.New("find the module: the working directory is not in it")
	}
	return filepath.Dir(file), nil
}

// readFunctions reads the functions of the template.yaml in root. values has what CloudFormation would fill in, by name.
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
		f := &function{step: step, resource: said.Resource, timeout: said.Timeout, wait: said.Wait, events: said.Properties["Events"], routes: said.Routes}
		if f.environment, err = said.Variables(values); err != nil {
			return nil, err
		}
		found[step] = f
	}
	return found, nil
}

// readAccess reads from the template.yaml in root what pages of other origins may do.
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

// rate returns the time between two runs of a function by its schedule, which must be in minutes.
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#rate-based
func (f *function) rate() (time.Duration, error) {
	said := template.Of(f.events, "Schedule", "Properties", "ScheduleExpression")
	var minutes int
	if n, err := fmt.Sscanf(fmt.Sprint(said), "rate(%d minutes)", &minutes); n != 1 || err != nil || minutes < 1 {
		return 0, fmt.Errorf("template.yaml: the schedule of %s is %v, which is not a number of minutes", f.step, said)
	}
	return time.Duration(minutes) * time.Minute, nil
}

// BuildFlags returns the flags with which operators build the functions (see .github/docs/operating.md).
func BuildFlags() []string {
	return []string{"-tags=lambda.norpc,nethttpomithttp2", "-trimpath", "-ldflags=-s -w"}
}

// Build builds every function for this machine into dir, as dir/challenge and so on. root is a folder of the project.
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
