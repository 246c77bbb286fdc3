package functions

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// A template is template.yaml. What CloudFormation fills in stands as ${Name} or ${Name.Attribute}, whether the file says
// !Ref, !GetAtt or !Sub; any other function is a map of one entry under its full name.
type template struct {
	Globals struct {
		Function object `yaml:"Function"`
	} `yaml:"Globals"`
	Parameters map[string]object   `yaml:"Parameters"`
	Resources  map[string]resource `yaml:"Resources"`
	Outputs    map[string]object   `yaml:"Outputs"`
}

type resource struct {
	Type       string `yaml:"Type"`
	Properties object `yaml:"Properties"`
	Metadata   object `yaml:"Metadata"`
}

type object = map[string]any

func readTemplate(t testing.TB) *template {
	t.Helper()
	source, err := os.ReadFile("../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(source, &document); err != nil {
		t.Fatal(err)
	}
	if err := plain(&document); err != nil {
		t.Fatal(err)
	}
	var read template
	if err := document.Decode(&read); err != nil {
		t.Fatal(err)
	}
	return &read
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
		return fmt.Errorf("line %d: a form of !%s that this test doesn't read", n.Line, name)
	}
	return nil
}

// of gives what a path of names leads to; nil where there is nothing.
func of(in any, path ...string) any {
	for _, name := range path {
		m, _ := in.(object)
		in = m[name]
	}
	return in
}

// several makes a list of what may stand alone. Both sides of a condition are in it, but for no value at all.
func several(in any) (all []string) {
	switch in := in.(type) {
	case nil:
	case []any:
		for _, one := range in {
			all = append(all, several(one)...)
		}
	case object:
		sides, ok := in["Fn::If"].([]any)
		if !ok {
			panic(fmt.Sprintf("neither a text nor a condition: %v", in))
		}
		return several(sides[1:])
	default:
		if text := fmt.Sprint(in); text != "${AWS::NoValue}" {
			all = append(all, text)
		}
	}
	return all
}

// reference gives the name in ${Name} or ${Name.Attribute}.
func reference(in any) string {
	text, _ := in.(string)
	m := regexp.MustCompile(`^\$\{(\w+)(\.\w+)?\}$`).FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	return m[1]
}

// named lists the resources of a type, sorted by name.
func (t *template) named(kind string) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(t.Resources)) {
		if t.Resources[name].Type == kind {
			names = append(names, name)
		}
	}
	return names
}

// A function is one of the template's, with all that belongs to it.
type function struct {
	step        string // the name of its folder, and of its step if it serves one
	resource    string
	role        string
	routes      []string // "METHOD /path"
	environment object   // with the globals
	properties  object
}

// functions are those of the template, by step.
func (t *template) functions(tb testing.TB) map[string]*function {
	tb.Helper()
	found := map[string]*function{}
	for _, name := range t.named("AWS::Serverless::Function") {
		properties := t.Resources[name].Properties
		folder, _ := properties["CodeUri"].(string)
		step, ok := strings.CutPrefix(folder, "functions/")
		if !ok || found[step] != nil {
			tb.Fatalf("%s: CodeUri %q is not a folder of its own under functions/", name, folder)
		}
		environment := object{}
		for _, variables := range []any{of(t.Globals.Function, "Environment", "Variables"), of(properties, "Environment", "Variables")} {
			v, _ := variables.(object)
			maps.Copy(environment, v)
		}
		found[step] = &function{
			step: step, resource: name, role: reference(properties["Role"]), environment: environment, properties: properties,
		}
	}
	for _, name := range t.named("AWS::ApiGatewayV2::Route") {
		route := t.Resources[name].Properties
		integration := strings.NewReplacer("integrations/${", "", "}", "").Replace(fmt.Sprint(route["Target"]))
		uri := fmt.Sprint(of(t.Resources[integration].Properties, "IntegrationUri"))
		for _, f := range found {
			if strings.HasSuffix(uri, "/functions/${"+f.resource+".Arn}/invocations") {
				f.routes = append(f.routes, fmt.Sprint(route["RouteKey"]))
			}
		}
	}
	return found
}
