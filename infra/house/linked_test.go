package house

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// A burden is a module that makes a function larger and its cold start longer. Only the functions that use it may link it.
type burden struct {
	module    string
	functions []string
}

var burdens = []burden{
	{"github.com/go-webauthn/webauthn", []string{"admin", "challenge", "enrol", "verify"}}, // these make options, check responses or take over keys
	{"github.com/nyaruka/phonenumbers", []string{"admin", "enrol"}},                        // these take new numbers; the others use what is stored

	// The SDK's clients, by the functions that call the services.
	{"github.com/aws/aws-sdk-go-v2/service/kms", []string{"account", "admin", "challenge", "enrol", "policy", "recover", "sweep", "verify"}},
	{"github.com/aws/aws-sdk-go-v2/service/sesv2", []string{"challenge", "enrol", "publish"}},
	{"github.com/aws/aws-sdk-go-v2/service/eventbridge", []string{"publish"}},
	{"github.com/aws/aws-sdk-go-v2/service/sns", []string{"challenge", "enrol", "publish"}},
	{"github.com/aws/aws-sdk-go-v2/service/pinpointsmsvoicev2", []string{"challenge", "enrol", "publish"}},

	// Later versions of these clients describe all their operations when a process starts (see the decision sdk-clients.md).
	{"github.com/aws/aws-sdk-go-v2/service/dynamodb/schemas", nil},
	{"github.com/aws/aws-sdk-go-v2/service/kms/schemas", nil},
	{"github.com/aws/aws-sdk-go-v2/service/sesv2/schemas", nil},
	{"github.com/aws/aws-sdk-go-v2/service/sns/schemas", nil},

	{"github.com/aws/aws-sdk-go-v2/config", nil}, // it would read files, the environment and the metadata service
}

// overburdened reports which functions link a module that they don't use. The listing has a line for each function, with its
// import path followed by the paths of all packages that it links.
func overburdened(listing string) (found []string) {
	for line := range strings.Lines(listing) {
		paths := strings.Fields(line)
		function := strings.TrimPrefix(paths[0], module+"/functions/")
		for _, b := range burdens {
			of := func(path string) bool { return path == b.module || strings.HasPrefix(path, b.module+"/") }
			if slices.ContainsFunc(paths[1:], of) && !slices.Contains(b.functions, function) {
				found = append(found, fmt.Sprintf("%s links %s and has no use for it", function, b.module))
			}
		}
	}
	return found
}

func TestAFunctionLinksNoLargeModuleThatItDoesNotUse(t *testing.T) {
	list := exec.Command("go", "list", "-f", `{{if eq .Name "main"}}{{.ImportPath}} {{join .Deps " "}}{{end}}`, "./functions/...")
	list.Dir = root
	listing, err := list.Output()
	if err != nil {
		t.Fatal("go list:", err)
	}
	for _, f := range overburdened(string(listing)) {
		t.Error(f)
	}
	for _, b := range burdens {
		for _, function := range b.functions {
			if !strings.Contains(string(listing), module+"/functions/"+function+" ") {
				t.Errorf("there is no function %s", function)
			}
		}
	}
}

func TestAFunctionThatLinksALargeModuleForNothingIsFound(t *testing.T) {
	for listing, want := range map[string]string{
		"countersign/functions/verify fmt github.com/go-webauthn/webauthn/protocol\n":                     "",
		"countersign/functions/recover fmt countersign/pkg/mfa\n":                                         "",
		"countersign/functions/recover fmt github.com/go-webauthn/webauthn-other\n":                       "",
		"countersign/functions/recover fmt github.com/go-webauthn/webauthn/protocol\n":                    "recover links github.com/go-webauthn/webauthn",
		"countersign/functions/admin fmt\ncountersign/functions/verify github.com/nyaruka/phonenumbers\n": "verify links github.com/nyaruka/phonenumbers",
	} {
		expect(t, listing, overburdened(listing), want)
	}
}
