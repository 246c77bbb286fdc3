package emulator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// A function is what template.yaml says of one.
type function struct {
	step        string        // the name of its folder under functions/
	timeout     time.Duration // of one invocation
	environment map[string]string
	events      any // what it is run by
}

type object = map[string]any

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

// readTemplate reads the functions of root's template.yaml, with values in the place of what CloudFormation fills in.
func readTemplate(root string, values map[string]string) (map[string]function, error) {
	source, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		return nil, err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(source, &document); err != nil {
		return nil, fmt.Errorf("template.yaml: %w", err)
	}
	plain(&document)
	var said struct {
		Globals   struct{ Function object }
		Resources map[string]struct {
			Type       string `yaml:"Type"`
			Properties object `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	var top object
	if err := errors.Join(document.Decode(&said), document.Decode(&top)); err != nil {
		return nil, fmt.Errorf("template.yaml: %w", err)
	}
	global := of(top, "Globals", "Function")
	found := map[string]function{}
	for name, r := range said.Resources {
		if r.Type != "AWS::Serverless::Function" {
			continue
		}
		folder, _ := r.Properties["CodeUri"].(string)
		f := function{step: filepath.Base(folder), timeout: seconds(r.Properties["Timeout"]), environment: map[string]string{}, events: r.Properties["Events"]}
		if f.timeout == 0 {
			f.timeout = seconds(of(global, "Timeout"))
		}
		all := object{}
		for _, from := range []any{global, r.Properties} {
			variables, _ := of(from, "Environment", "Variables").(object)
			maps.Copy(all, variables)
		}
		for variable, value := range all {
			if f.environment[variable], err = filled(value, values); err != nil {
				return nil, fmt.Errorf("template.yaml: %s of %s: %w", variable, name, err)
			}
		}
		found[f.step] = f
	}
	return found, nil
}

// rate is how often a schedule of minutes runs a function.
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#rate-based
func (f function) rate() (time.Duration, error) {
	said := of(f.events, "Schedule", "Properties", "ScheduleExpression")
	var minutes int
	if n, err := fmt.Sscanf(fmt.Sprint(said), "rate(%d minutes)", &minutes); n != 1 || err != nil || minutes < 1 {
		return 0, fmt.Errorf("template.yaml: the schedule of %s is %v, which is no number of minutes", f.step, said)
	}
	return time.Duration(minutes) * time.Minute, nil
}

// plain turns CloudFormation's short forms into what a YAML reader understands: ${Name} for a reference, and a map of one
// entry for any other function.
func plain(n *yaml.Node) {
	for _, inner := range n.Content {
		plain(inner)
	}
	name, short := strings.CutPrefix(n.Tag, "!")
	switch {
	case !short || strings.HasPrefix(name, "!"):
	case name == "Sub" && n.Kind == yaml.ScalarNode:
		n.Tag = "!!str"
	case n.Kind == yaml.ScalarNode:
		n.Tag, n.Value = "!!str", "${"+n.Value+"}"
	case n.Kind == yaml.SequenceNode:
		inner := *n
		inner.Tag = "!!seq"
		*n = yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{{Kind: yaml.ScalarNode, Tag: "!!str", Value: "Fn::" + name}, &inner}}
	}
}

// filled is a value with what stands in it filled in: the first side of a condition.
func filled(value any, values map[string]string) (string, error) {
	if sides, ok := of(value, "Fn::If").([]any); ok && len(sides) == 3 {
		value = sides[1]
	}
	text := fmt.Sprint(value)
	for name, is := range values {
		text = strings.ReplaceAll(text, "${"+name+"}", is)
	}
	if strings.Contains(text, "${") {
		return "", fmt.Errorf("the emulator doesn't know what %s would be", text)
	}
	return text, nil
}

// of gives what a path of names leads to; nil where there is nothing.
func of(in any, path ...string) any {
	for _, name := range path {
		m, _ := in.(object)
		in = m[name]
	}
	return in
}

// reference gives the name in ${Name} or ${Name.Attribute}; empty: it is neither.
func reference(in any) string {
	text, _ := in.(string)
	m := regexp.MustCompile(`^\$\{(\w+)(\.\w+)?\}$`).FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	return m[1]
}

func seconds(value any) time.Duration {
	n, _ := value.(int)
	return time.Duration(n) * time.Second
}

// Build builds every function of the module at root for this machine, into dir: dir/challenge and so on.
func Build(ctx context.Context, root, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	build := exec.CommandContext(ctx, "go", "build", "-tags", "lambda.norpc", "-trimpath", "-ldflags=-s -w",
		"-o", dir+string(filepath.Separator), "./functions/...")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the functions: %w\n%s", err, bytes.TrimSpace(out))
	}
	return nil
}
