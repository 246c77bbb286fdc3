// Package template reads template.yaml, for the programs that run the functions on one machine and for the tests of the
// functions.
//
// A value is read the same way, however the file writes it. What CloudFormation would fill in is read as ${Name} or
// ${Name.Attribute}, whether the file has !Ref, !GetAtt or !Sub. Any other function of CloudFormation is read as a map with one
// entry, under the full name of the function.
//
// The package refuses short forms that it doesn't know. It doesn't check whether the values make sense.
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

// A Resource is a resource of a template.
type Resource struct {
	Type       string `yaml:"Type"`
	Properties Object `yaml:"Properties"`
	Metadata   Object `yaml:"Metadata"`
	Attributes Object `yaml:",inline"` // all other attributes, such as DeletionPolicy
}

// An Object is a map in the file, or a JSON object.
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

// plain replaces the short forms of CloudFormation by plain YAML.
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
	case name == "Condition" && n.Kind == yaml.ScalarNode:
		inner := yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: n.Value}
		*n = yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{{Kind: yaml.ScalarNode, Tag: "!!str", Value: "Condition"}, &inner}}
	case n.Kind == yaml.SequenceNode:
		inner := *n
		inner.Tag = "!!seq"
		*n = yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{{Kind: yaml.ScalarNode, Tag: "!!str", Value: "Fn::" + name}, &inner}}
	default:
		return fmt.Errorf("line %d: this form of !%s is not known", n.Line, name)
	}
	return nil
}

// Of returns the value at a path of names. It is nil if there is none.
func Of(in any, path ...string) any {
	for _, name := range path {
		m, _ := in.(Object)
		in = m[name]
	}
	return in
}

// Several returns a value, or a list of values, as a list of texts. For a condition it returns the values of both sides, and
// leaves out a side that is AWS::NoValue.
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

// Reference returns the name in ${Name} or ${Name.Attribute}. It is empty for any other value.
func Reference(in any) string {
	text, _ := in.(string)
	m := regexp.MustCompile(`^\$\{(\w+)(\.\w+)?\}$`).FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	return m[1]
}

// Fill returns a value in which each ${Name} is replaced by the value of that name. For a condition it takes the first side. It
// returns an error if a name is not in values.
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
		return "", fmt.Errorf("there is no value for %s", text)
	}
	return text, nil
}

// Named returns the names of the resources of a type, sorted.
func (t *Template) Named(kind string) (names []string) {
	for name, r := range t.Resources {
		if r.Type == kind {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// A Function is a function of the template.
type Function struct {
	Step        string // the name of its folder, which is also the name of its step if it serves one
	Resource    string
	Role        string
	Routes      []string // "METHOD /path"
	Timeout     time.Duration
	Wait        time.Duration // how long the API waits for its answer: the TimeoutInMillis of its integration
	Memory      int           // in MB
	Environment Object        // its own variables, and those of all functions
	Properties  Object

	defaults map[string]string // of the parameters of the template
}

// longestWait is how long an HTTP API waits for a function if the template doesn't say it.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
const longestWait = 30 * time.Second

// Functions returns the functions of the template, by step.
func (t *Template) Functions() (map[string]*Function, error) {
	found, defaults := map[string]*Function{}, map[string]string{}
	for name, parameter := range t.Parameters {
		if value, there := parameter["Default"]; there {
			defaults[name] = fmt.Sprint(value)
		}
	}
	for _, name := range t.Named("AWS::Serverless::Function") {
		f := &Function{Resource: name, Environment: Object{}, Properties: t.Resources[name].Properties, defaults: defaults}
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
	alias, _ := t.Globals.Function["AutoPublishAlias"].(string)
	for _, name := range t.Named("AWS::ApiGatewayV2::Route") {
		route := t.Resources[name].Properties
		integration := strings.NewReplacer("integrations/${", "", "}", "").Replace(fmt.Sprint(route["Target"]))
		uri := fmt.Sprint(t.Resources[integration].Properties["IntegrationUri"])
		for _, f := range found {
			if strings.HasSuffix(uri, "/functions/${"+f.Resource+".Arn}:"+alias+"/invocations") {
				f.Routes = append(f.Routes, fmt.Sprint(route["RouteKey"]))
				f.Wait = longestWait
				if ms, ok := t.Resources[integration].Properties["TimeoutInMillis"].(int); ok {
					f.Wait = time.Duration(ms) * time.Millisecond
				}
			}
		}
	}
	return found, nil
}

// Variables returns the environment of the function as NAME=value, sorted. values has what CloudFormation would fill in, by
// name. A parameter that it lacks has its default value.
func (f *Function) Variables(values map[string]string) (all []string, err error) {
	filled := maps.Clone(f.defaults)
	maps.Copy(filled, values)
	for _, name := range slices.Sorted(maps.Keys(f.Environment)) {
		is, err := Fill(f.Environment[name], filled)
		if err != nil {
			return nil, fmt.Errorf("template.yaml: %s of %s: %w", name, f.Step, err)
		}
		all = append(all, name+"="+is)
	}
	return all, nil
}

// A BrowserAccess says what the template allows to pages of other origins. It is the CorsConfiguration of the API.
type BrowserAccess struct {
	Origins                   any // the reference to the parameter that has the origins
	Methods, Headers, Exposed []string
	MaxAge                    time.Duration
	Credentials               bool
}

// BrowserAccess reads from the resource Api what is allowed to pages of other origins.
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
