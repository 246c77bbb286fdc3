// Package template reads template.yaml, for what runs the functions on one machine and for what checks them.
//
// What it keeps: a value means the same however the file writes it. What CloudFormation fills in stands as ${Name} or
// ${Name.Attribute}, whether the file says !Ref, !GetAtt or !Sub; any other function is a map of one entry under its full
// name.
//
// What it refuses: short forms that it doesn't know, and to judge what it reads.
package template

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// A Template is template.yaml.
type Template struct {
	Globals struct {
		Function Object `yaml:"Function"`
	} `yaml:"Globals"`
	Parameters map[string]Object   `yaml:"Parameters"`
	Rules      map[string]Object   `yaml:"Rules"`
	Conditions map[string]Object   `yaml:"Conditions"`
	Resources  map[string]Resource `yaml:"Resources"`
	Outputs    map[string]Object   `yaml:"Outputs"`
}

// A Resource is one of a template's.
type Resource struct {
	Type       string `yaml:"Type"`
	Properties Object `yaml:"Properties"`
	Metadata   Object `yaml:"Metadata"`
	Attributes Object `yaml:",inline"` // all others, such as DeletionPolicy
}

// An Object is a map of the file's, or of JSON.
type Object = map[string]any

// Read reads the template.yaml in a folder.
func Read(root string) (*Template, error) {
	source, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		return nil, err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(source, &document); err != nil {
		return nil, fmt.Errorf("template.yaml: %w", err)
	}
	var read Template
	if err := errors.Join(plain(&document), document.Decode(&read)); err != nil {
		return nil, fmt.Errorf("template.yaml: %w", err)
	}
	return &read, nil
}

// plain turns CloudFormation's short forms into what every YAML reader understands.
func plain(n *yaml.Node) error {
	for _, inner := range n.Content {
		if err := plain(inner); err != nil {
			return err
		}
	}
	name, short := strings.CutPrefix(n.Tag, "!")
	if !short || strings.HasPrefix(name, "!") {
		return nil
	}
	switch {
	case name == "Sub" && n.Kind == yaml.ScalarNode:
		n.Tag = "!!str"
	case (name == "Ref" || name == "GetAtt") && n.Kind == yaml.ScalarNode:
		n.Tag, n.Value = "!!str", "${"+n.Value+"}"
	case n.Kind == yaml.SequenceNode:
		inner := *n
		inner.Tag = "!!seq"
		*n = yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{{Kind: yaml.ScalarNode, Tag: "!!str", Value: "Fn::" + name}, &inner}}
	default:
		return fmt.Errorf("line %d: a form of !%s that isn't known", n.Line, name)
	}
	return nil
}

// Of gives what a path of names leads to; nil where there is nothing.
func Of(in any, path ...string) any {
	for _, name := range path {
		m, _ := in.(Object)
		in = m[name]
	}
	return in
}

// Several makes a list of what may stand alone. Both sides of a condition are in it, but for no value at all.
func Several(in any) (all []string) {
	switch in := in.(type) {
	case nil:
	case []any:
		for _, one := range in {
			all = append(all, Several(one)...)
		}
	case Object:
		sides, ok := in["Fn::If"].([]any)
		if !ok {
			panic(fmt.Sprintf("neither a text nor a condition: %v", in))
		}
		return Several(sides[1:])
	default:
		if text := fmt.Sprint(in); text != "${AWS::NoValue}" {
			all = append(all, text)
		}
	}
	return all
}

// Reference gives the name in ${Name} or ${Name.Attribute}; empty: it is neither.
func Reference(in any) string {
	text, _ := in.(string)
	m := regexp.MustCompile(`^\$\{(\w+)(\.\w+)?\}$`).FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	return m[1]
}

// Fill is a value with what stands in it filled in, as values say by name: the first side, where there is a condition. It is
// an error if something is left.
func Fill(value any, values map[string]string) (string, error) {
	sides := Several(value)
	if len(sides) == 0 {
		return "", nil
	}
	text := sides[0]
	for name, is := range values {
		text = strings.ReplaceAll(text, "${"+name+"}", is)
	}
	if strings.Contains(text, "${") {
		return "", fmt.Errorf("nobody says what %s would be", text)
	}
	return text, nil
}

// Named lists the resources of a type, sorted by name.
func (t *Template) Named(kind string) (names []string) {
	for name, r := range t.Resources {
		if r.Type == kind {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// A Function is one of the template's, with all that belongs to it.
type Function struct {
	Step        string // the name of its folder, and of its step if it serves one
	Resource    string
	Role        string
	Routes      []string // "METHOD /path"
	Timeout     time.Duration
	Memory      int    // MB
	Environment Object // with the globals
	Properties  Object
}

// Functions are those of the template, by step.
func (t *Template) Functions() (map[string]*Function, error) {
	found := map[string]*Function{}
	for _, name := range t.Named("AWS::Serverless::Function") {
		f := &Function{Resource: name, Environment: Object{}, Properties: t.Resources[name].Properties}
		folder, _ := f.Properties["CodeUri"].(string)
		step, ok := strings.CutPrefix(folder, "functions/")
		if !ok || found[step] != nil {
			return nil, fmt.Errorf("template.yaml: %s: CodeUri %q is not a folder of its own under functions/", name, folder)
		}
		f.Step, f.Role = step, Reference(f.Properties["Role"])
		for _, from := range []Object{t.Globals.Function, f.Properties} {
			variables, _ := Of(from, "Environment", "Variables").(Object)
			maps.Copy(f.Environment, variables)
			if s, ok := from["Timeout"].(int); ok {
				f.Timeout = time.Duration(s) * time.Second
			}
			if mb, ok := from["MemorySize"].(int); ok {
				f.Memory = mb
			}
		}
		found[step] = f
	}
	for _, name := range t.Named("AWS::ApiGatewayV2::Route") {
		route := t.Resources[name].Properties
		integration := strings.NewReplacer("integrations/${", "", "}", "").Replace(fmt.Sprint(route["Target"]))
		uri := fmt.Sprint(t.Resources[integration].Properties["IntegrationUri"])
		for _, f := range found {
			if strings.HasSuffix(uri, "/functions/${"+f.Resource+".Arn}/invocations") {
				f.Routes = append(f.Routes, fmt.Sprint(route["RouteKey"]))
			}
		}
	}
	return found, nil
}

// Variables are the function's environment as NAME=value, sorted, with what CloudFormation fills in as values say by name.
func (f *Function) Variables(values map[string]string) (all []string, err error) {
	for _, name := range slices.Sorted(maps.Keys(f.Environment)) {
		is, err := Fill(f.Environment[name], values)
		if err != nil {
			return nil, fmt.Errorf("template.yaml: %s of %s: %w", name, f.Step, err)
		}
		all = append(all, name+"="+is)
	}
	return all, nil
}

// A BrowserAccess is what the template lets pages of other origins do, but for which origins those are: the
// CorsConfiguration of its API, where that has a condition.
type BrowserAccess struct {
	Origins                   any // what stands for them
	Methods, Headers, Exposed []string
	MaxAge                    time.Duration
	Credentials               bool
}

// BrowserAccess reads it from the resource Api.
func (t *Template) BrowserAccess() (BrowserAccess, error) {
	sides, _ := Of(t.Resources["Api"].Properties, "CorsConfiguration", "Fn::If").([]any)
	if len(sides) != 3 {
		return BrowserAccess{}, errors.New("template.yaml: the API has no CorsConfiguration under a condition")
	}
	seconds, _ := Of(sides[1], "MaxAge").(int)
	credentials, _ := Of(sides[1], "AllowCredentials").(bool)
	return BrowserAccess{
		Origins: Of(sides[1], "AllowOrigins"), Methods: Several(Of(sides[1], "AllowMethods")), Headers: Several(Of(sides[1], "AllowHeaders")),
		Exposed: Several(Of(sides[1], "ExposeHeaders")), MaxAge: time.Duration(seconds) * time.Second, Credentials: credentials,
	}, nil
}
