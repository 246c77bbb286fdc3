package openapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

const claims = `{"iss":"http://localhost:8080","aud":"portal","sub":"u-17","org":"acme","verified":true,"iat":1,"exp":121,"jti":"ch_a",` +
	`"nonce":null,"purpose":"sign_in","action":null,"action_lines":[],"decision":"challenge","reason":"enabled","amr":["pwd","otp"],"acr":"aal1",` +
	`"auth_time":1,"mfa_time":null,"policy_version":3}`

const tokenHeader = `{"alg":"ES256","typ":"countersign+jwt","kid":"k"}`

// unsigned returns a token whose signature is not valid.
func unsigned(header, claims string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(header)) + "." + encode([]byte(claims)) + ".c2ln"
}

func TestWhatATokenSaysIsCheckedWhereverOneIsAnswered(t *testing.T) {
	v := newValidator(t)
	for _, c := range []struct{ name, token, want string }{
		{"a good one", unsigned(tokenHeader, claims), ""},
		{"a stray claim", unsigned(tokenHeader, strings.Replace(claims, "{", `{"admin":true,`, 1)), "admin"},
		{"a claim that is missing", unsigned(tokenHeader, strings.Replace(claims, `"nonce":null,`, "", 1)), "nonce"},
		{"a reason that is none", unsigned(tokenHeader, strings.Replace(claims, `"enabled"`, `"because"`, 1)), "reason"},
		{"another algorithm", unsigned(strings.Replace(tokenHeader, "ES256", "none", 1), claims), "alg"},
		{"claims that are no JSON", unsigned(tokenHeader, "{"), "mediatype"},
	} {
		verified := `{"verified":true,"issued_at":"2026-11-22T10:00:00Z","token":"` + c.token + `"}`
		for path, body := range map[string]string{
			"POST /v1/challenges/ch_a/verify": verified,
			"GET /v1/challenges/ch_a":         `{"state":"verified","outcome":` + verified + `}`,
		} {
			method, path, _ := strings.Cut(path, " ")
			err := v.Response(method, path, 200, headers(), []byte(body))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%s at %s: got %v, want an error about %q", c.name, path, err, c.want)
			}
		}
	}
}

// strictDocument returns the strict copy of the document, without the check of tokens, because the tokens of the examples have no
// claims.
func strictDocument(t *testing.T) *reader {
	t.Helper()
	root, err := strict()
	if err != nil {
		t.Fatal(err)
	}
	r, err := read(root)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Every answer has an example. Each object in it is tried with a field that the document doesn't have.
func TestAStrayFieldAnywhereInAnAnswerIsFound(t *testing.T) {
	r := strictDocument(t)
	examples, tried := 0, 0
	for _, o := range r.operations() {
		for status, a := range o.answers {
			for kind, schema := range a.types {
				if kind != "application/json" {
					continue
				}
				answer := r.refer(within(r.root, "paths", o.Pattern, strings.ToLower(o.Method), "responses", status))
				for name := range within(answer, "content", kind, "examples") {
					examples++
					example := within(answer, "content", kind, "examples", name)["value"]
					where := fmt.Sprint(o.ID, " ", status, ", example ", name)
					if err := schema.Validate(example); err != nil {
						t.Errorf("%s: %v", where, err)
					}
					everyObject(example, "", func(object map[string]any, path string) {
						if strings.HasSuffix(path, ".data") || strings.Contains(path, ".webauthn") {
							return // an event's data can have any field, and Countersign doesn't decide what is in a member webauthn
						}
						tried++
						object["stray"] = true
						if schema.Validate(example) == nil {
							t.Errorf("%s: a stray field in %s isn't found", where, path)
						}
						delete(object, "stray")
					})
				}
			}
		}
	}
	if examples < 30 || tried < 80 {
		t.Errorf("%d objects of %d examples were tried, want 80 of 30 or more", tried, examples)
	}
}

func everyObject(here any, path string, visit func(map[string]any, string)) {
	switch here := here.(type) {
	case map[string]any:
		visit(here, path)
		for name, below := range here {
			everyObject(below, path+"."+name, visit)
		}
	case []any:
		for _, below := range here {
			everyObject(below, path+"[]", visit)
		}
	}
}

func TestAnOperationAnswersWithNoCodeButItsOwn(t *testing.T) {
	v := newValidator(t)
	root, err := parse()
	if err != nil {
		t.Fatal(err)
	}
	statuses := within(root, "components", "schemas", "Code", "x-status")
	for _, o := range v.operations {
		own, _ := within(root, "paths", o.Pattern, strings.ToLower(o.Method))["x-problems"].([]any)
		if len(own) == 0 {
			t.Errorf("%s can't be refused", o.ID)
		}
		for code, status := range statuses {
			number, err := status.(json.Number).Int64()
			if err != nil {
				t.Fatal(err)
			}
			body := fmt.Sprintf(`{"type":"/problems/%s","title":"t","status":%d,"code":%q,"detail":"d","request_id":"r-1"`, code, number, code)
			h := headers("Content-Type", "application/problem+json")
			switch code {
			case "unauthenticated":
				h.Set("WWW-Authenticate", "Bearer")
			case "wrong_code", "wrong_credential":
				body += `,"attempts_left":1`
			case "acknowledgement_required":
				body += `,"preview":{"users":1,"without_factor":0,"signed_out":0,"must_enrol":0,"losing_only_kind":0,"sample":[]}`
			}
			err = v.Response(o.Method, strings.NewReplacer("{", "", "}", "").Replace(o.Pattern), int(number), h, []byte(body+"}"))
			if documented := slices.Contains(own, any(code)); (err == nil) != documented {
				t.Errorf("%s answered %s: got %v, documented: %v", o.ID, code, err, documented)
			}
		}
	}
}

// Each of these made a generator stop, or write code that doesn't compile.
func TestTheDocumentHasNothingThatAGeneratorStumblesOver(t *testing.T) {
	root, err := parse()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for kind := range within(root, "components") {
		if kind == "securitySchemes" {
			continue
		}
		for name := range within(root, "components", kind) {
			if also := names[strings.ToLower(name)]; also != "" {
				t.Errorf("%s is a name in %s and in %s", name, also, kind)
			}
			names[strings.ToLower(name)] = kind
		}
	}
	for kind := range within(root, "components") {
		everyObject(within(root, "components")[kind], kind, func(object map[string]any, path string) {
			if strings.HasSuffix(path, ".value") || strings.Contains(path, ".x-strict") {
				return // no tool reads these as schemas
			}
			for _, word := range []string{"enum", "const"} {
				if value, said := object[word]; said && object["type"] == nil {
					if _, isName := value.(map[string]any); !isName {
						t.Errorf("%s has %s and no type", path, word)
					}
				}
			}
			if object["const"] != nil && object["type"] == "boolean" {
				t.Errorf("%s is a constant truth value, for which OpenAPI Generator writes Java that doesn't compile", path)
			}
			for name, schema := range within(object, "properties") {
				if _, ok := schema.(map[string]any); !ok {
					t.Errorf("%s.properties.%s is %v, which is no schema to most generators", path, name, schema)
				}
			}
			for _, word := range []string{"items", "not", "if", "then", "else", "unevaluatedProperties"} {
				if _, ok := object[word].(bool); ok {
					t.Errorf("%s.%s is a boolean schema", path, word)
				}
			}
		})
	}
	for name := range within(root, "components", "schemas") {
		for property := range within(root, "components", "schemas", name, "properties") {
			if strings.EqualFold(strings.ReplaceAll(property, "_", ""), name) {
				t.Errorf("%s has a property of its own name, which is one variable in Python", name)
			}
		}
	}
	for _, o := range document(t).operations() {
		if answer := within(root, "paths", o.Pattern, strings.ToLower(o.Method), "responses", "default"); answer["$ref"] == nil {
			t.Errorf("%s has no default answer", o.ID)
		}
	}
}

func TestAnswersAreOpenAndRequestsAreClosed(t *testing.T) {
	root, err := parse()
	if err != nil {
		t.Fatal(err)
	}
	r, err := read(root)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	var walk func(here any, closed bool)
	walk = func(here any, closed bool) {
		everyObject(here, "", func(object map[string]any, path string) {
			if said, isSchema := object["default"]; isSchema && object["type"] != nil {
				t.Errorf("%v has the default %v, which some clients would send", object, said)
			}
			if ref, ok := object["$ref"].(string); ok && !seen[fmt.Sprint(ref, closed)] {
				seen[fmt.Sprint(ref, closed)] = true
				walk(r.refer(object), closed)
			}
			if object["properties"] == nil || !isObject(object["type"]) {
				return
			}
			if said := object["additionalProperties"]; closed && said != false || !closed && said != nil {
				t.Errorf("an object with %v: closed %v, want %v", object["properties"], said, closed)
			}
		})
	}
	for _, item := range within(root, "paths") {
		everyObject(item, "", func(object map[string]any, path string) {
			walk(object["requestBody"], true)
			walk(object["responses"], false)
		})
	}
	if len(seen) < 50 {
		t.Errorf("%d references were followed, want 50 or more", len(seen))
	}
}

// YAML 1.1, which many parsers still read, gives some plain words another meaning, and allows no plain "?" in braces.
func TestEveryYAMLParserReadsTheSame(t *testing.T) {
	var tree yaml.Node
	if err := yaml.Unmarshal(Document, &tree); err != nil {
		t.Fatal(err)
	}
	scalars := 0
	var walk func(node *yaml.Node, flow bool)
	walk = func(node *yaml.Node, flow bool) {
		flow = flow || node.Style&yaml.FlowStyle != 0
		if node.Kind == yaml.ScalarNode && node.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
			scalars++
			switch strings.ToLower(node.Value) {
			case "on", "off", "yes", "no", "y", "n":
				t.Errorf("line %d: YAML 1.1 takes %s for a truth value: quote it", node.Line, node.Value)
			}
			if flow && strings.Contains(node.Value, "?") {
				t.Errorf("line %d: quote what has a question mark", node.Line)
			}
		}
		for _, below := range node.Content {
			walk(below, flow)
		}
	}
	walk(&tree, false)
	if scalars < 1000 {
		t.Errorf("%d plain scalars were looked at, want 1000 or more", scalars)
	}
}

func TestTheStrictCopyIsWholeAndReadsAgain(t *testing.T) {
	text, err := Strict()
	if err != nil {
		t.Fatal(err)
	}
	again, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	r, err := read(again.(map[string]any))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(r.operations()), len(document(t).operations()); got != want || r.err != nil {
		t.Errorf("got %d operations and %v, want %d", got, r.err, want)
	}
	if bytes.Contains(text, []byte(`"default": {
     "$ref"`)) {
		t.Error("an operation still has a default answer")
	}
}
