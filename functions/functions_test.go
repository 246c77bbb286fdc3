// Package functions checks that the deployment agrees with the code. It compares template.yaml with the route table, the
// OpenAPI document, the folders of the functions, and the events to try them with. It compares the settings that each
// function gets with those that the function reads, and what each function may do with what it does.
//
// If one of these has something that the other lacks, a test fails and names it.
package functions

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"countersign/infra/emulator/template"
	"countersign/pkg/api"
	"countersign/pkg/api/openapi"
	"countersign/pkg/pages"
)

// same reports what is in only one of two sets.
func same(t *testing.T, one string, in []string, other string, also []string) {
	t.Helper()
	for _, name := range in {
		if !slices.Contains(also, name) {
			t.Errorf("%s: in %s, but not in %s", name, one, other)
		}
	}
	for _, name := range also {
		if !slices.Contains(in, name) {
			t.Errorf("%s: in %s, but not in %s", name, other, one)
		}
	}
}

func TestTemplateRouteTableAndDocumentHaveTheSameRoutes(t *testing.T) {
	var deployed, documented, table, operations []string
	read, functions := readTemplate(t)
	for step, f := range functions {
		for _, route := range f.Routes {
			deployed = append(deployed, step+": "+route)
		}
	}
	for _, s := range api.Steps {
		for _, r := range s.Routes {
			for _, method := range r.Methods() {
				table = append(table, s.Name+": "+method+" "+r.Pattern)
			}
			operations = append(operations, fmt.Sprintf("%s %s is %s, open: %t", r.Method, r.Pattern, r.Operation, r.Open))
		}
	}
	for _, route := range pages.Routes {
		table = append(table, "pages: "+route)
	}
	document, err := openapi.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range document.Operations() {
		documented = append(documented, fmt.Sprintf("%s %s is %s, open: %t", o.Method, o.Pattern, o.ID, o.Open))
	}
	same(t, "template.yaml", deployed, "the route table", table)
	same(t, "the OpenAPI document", documented, "the route table", operations)
	if n := len(read.Named("AWS::ApiGatewayV2::Route")); n != len(deployed) {
		t.Errorf("%d routes in template.yaml lead to functions, want %d", len(deployed), n)
	}
}

func TestEveryFunctionHasAFolderAnEventAndAPartOfTheTemplate(t *testing.T) {
	_, functions := readTemplate(t)
	deployed := slices.Collect(maps.Keys(functions))
	same(t, "template.yaml", deployed, "functions/*/main.go", matching(t, "*/main.go", func(path string) string { return filepath.Dir(path) }))
	same(t, "template.yaml", deployed, "events/*.json", matching(t, "../events/*", func(path string) string {
		return stepOf(eventName(path))
	}))
	for _, s := range api.Steps {
		if !slices.Contains(deployed, s.Name) {
			t.Errorf("%s: in the route table, but not in template.yaml", s.Name)
		}
	}
}

func TestTheDescriptionAndItsPictureNameEveryFunction(t *testing.T) {
	_, functions := readTemplate(t)
	for path, mark := range map[string]string{"../.github/docs/architecture.md": "\n| %s |", "../.github/pictures/architecture.svg": ">%s<"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for name := range functions {
			if !strings.Contains(string(text), fmt.Sprintf(mark, name)) {
				t.Errorf("%s doesn't name the function %s", filepath.Base(path), name)
			}
		}
	}
}

func TestOperatorsAreToldOfEveryParameter(t *testing.T) {
	template, err := os.ReadFile("../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../.github/docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, begins := strings.Cut(string(template), "\nParameters:\n")
	parameters, _, ends := strings.Cut(rest, "\nRules:\n")
	names := regexp.MustCompile(`(?m)^  (\w+):$`).FindAllStringSubmatch(parameters, -1)
	if !begins || !ends || len(names) < 10 {
		t.Fatalf("got %d parameters, want those of the template", len(names))
	}
	for _, name := range names {
		if !strings.Contains(string(page), "\n| `"+name[1]+"` |") {
			t.Errorf("operating.md doesn't tell of the parameter %s", name[1])
		}
	}
	if rows := regexp.MustCompile("(?m)^\\| `[A-Z]\\w+` \\|").FindAllString(string(page), -1); len(rows) != len(names) {
		t.Errorf("operating.md tells of %d parameters, and there are %d", len(rows), len(names))
	}
}

func matching(t *testing.T, pattern string, name func(path string) string) (names []string) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		names = append(names, name(path))
	}
	return names
}

func TestEveryFunctionIsBuiltRunAndReachedAlike(t *testing.T) {
	deployed, functions := readTemplate(t)
	global := deployed.Globals.Function
	for _, c := range []struct {
		path string
		want any
	}{{"Runtime", "provided.al2023"}, {"Architectures", []any{"${Architecture}"}}, {"Handler", "bootstrap"}} {
		if got := global[c.path]; fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s of all functions: got %v, want %v", c.path, got, c.want)
		}
	}
	roles, logs := map[string]string{}, map[string]string{}
	for step, f := range functions {
		if got := deployed.Resources[f.Resource].Metadata["BuildMethod"]; got != "go1.x" {
			t.Errorf("%s: is built by %v, want go1.x", step, got)
		}
		for part := range f.Properties {
			if !slices.Contains([]string{
				"AutoPublishAliasAllProperties", "CodeUri", "DeploymentPreference", "Description", "Environment", "EventInvokeConfig",
				"Events", "LoggingConfig", "ReservedConcurrentExecutions", "Role", "Timeout", "VersionDescription",
			}, part) {
				t.Errorf("%s: has a %s of its own", step, part)
			}
		}
		group := template.Reference(template.Of(f.Properties, "LoggingConfig", "LogGroup"))
		if template.Of(deployed.Resources[group].Properties, "RetentionInDays") == nil {
			t.Errorf("%s: its logs are kept for ever", step)
		}
		for name, owner := range map[string]map[string]string{f.Role: roles, group: logs} {
			if other := owner[name]; other != "" {
				t.Errorf("%s and %s share %s", step, other, name)
			}
			owner[name] = step
		}
		reached := slices.ContainsFunc(deployed.Named("AWS::Lambda::Permission"), func(name string) bool {
			p := deployed.Resources[name].Properties
			return p["FunctionName"] == "${"+f.Resource+".Alias}" && p["Principal"] == "apigateway.amazonaws.com"
		})
		if reached != (len(f.Routes) > 0) {
			t.Errorf("%s: the API may call it: %t, and has routes to it: %v", step, reached, f.Routes)
		}
	}
	roles["DeployRole"] = "CodeDeploy"
	same(t, "the roles of functions and of CodeDeploy", slices.Collect(maps.Keys(roles)), "template.yaml", deployed.Named("AWS::IAM::Role"))
	for _, name := range deployed.Named("AWS::ApiGatewayV2::Integration") {
		if got := deployed.Resources[name].Properties["PayloadFormatVersion"]; got != "2.0" {
			t.Errorf("%s: payload format %v, want 2.0", name, got)
		}
	}
}

func TestAMainOnlyBindsItsStep(t *testing.T) {
	for _, path := range matching(t, "*/main.go", filepath.ToSlash) {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, source, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		ours := []string{"net/http", "countersign/pkg/api", "countersign/pkg/cloud", "countersign/pkg/passkey", "countersign/pkg/phone"}
		if path == "pages/main.go" {
			ours = append(ours, "countersign/pkg/pages")
		}
		for _, i := range file.Imports {
			imported, _ := strconv.Unquote(i.Path.Value)
			if !slices.Contains(ours, imported) && !strings.HasPrefix(imported, "countersign/pkg/cloud/") {
				t.Errorf("%s: imports %s", path, imported)
			}
		}
		_, body, _ := bytes.Cut(source, []byte("func main() {\n"))
		if lines := bytes.Count(body, []byte("\n")) - 1; lines < 1 || lines > 10 {
			t.Errorf("%s: %d lines in main, want 1 to 10", path, lines)
		}
		step := filepath.Dir(path)
		if !bytes.Contains(body, []byte(`("`+step+`", `)) {
			t.Errorf("%s: doesn't say that it is %s", path, step)
		}
	}
}

func TestNoFunctionLinksWhatIsForTestsOrOneMachine(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "./...").Output()
	if err != nil {
		t.Fatal("go list:", err)
	}
	for path := range strings.FieldsSeq(string(out)) {
		if path == "testing" || strings.HasPrefix(path, "countersign/infra/") || path == "countersign/pkg/store/bolt" ||
			path == "countersign/pkg/api/openapi" || path == "os/exec" {
			t.Errorf("some function links %s", path)
		}
	}
}

// Templates reach methods by name, so the linker keeps every exported method of the values that they could get. The client of
// DynamoDB has a method for each of its operations, which would be a seventh of this function.
func TestTheFunctionWithTemplatesLinksNoOperationThatItDoesNotUse(t *testing.T) {
	built := filepath.Join(t.TempDir(), "pages")
	build := exec.Command("go", "build", "-o", built, "./pages")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	names, err := os.ReadFile(built)
	if err != nil {
		t.Fatal(err)
	}
	for operation, want := range map[string]bool{"GetItem": true, "CreateBackup": false, "DeleteTable": false} {
		if got := bytes.Contains(names, []byte("service/dynamodb.(*Client)."+operation+"\x00")); got != want {
			t.Errorf("%s: linked is %v, want %v", operation, got, want)
		}
	}
}

// strictly reads JSON, and fails the test if the JSON has a field that the type lacks.
func strictly(t testing.TB, what string, content []byte, into any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// patternOf returns the pattern of the route that a request is for.
func patternOf(method, path string) string {
	_, pattern := routeOf(method, path)
	return pattern
}

// routeOf returns the step and the pattern of the route that a request is for.
func routeOf(method, path string) (step, pattern string) {
	for _, s := range api.Steps {
		for _, r := range s.Routes {
			like := regexp.MustCompile(`\\\{\w+\\\}`).ReplaceAllString(regexp.QuoteMeta(r.Pattern), `[^/]+`)
			if r.Method == method && regexp.MustCompile(`^`+like+`$`).MatchString(path) {
				return s.Name, r.Pattern
			}
		}
	}
	return "", ""
}
