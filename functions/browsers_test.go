package functions

import (
	"regexp"
	"slices"
	"testing"

	"countersign/infra/emulator/template"
	"countersign/infra/local/machine"
	"countersign/pkg/api"
	"countersign/pkg/apikey"
)

// The template and the local server allow pages of other origins the same. The emulator reads from the template what it
// allows.
func TestPagesOfOtherOriginsMayDoTheSameEverywhere(t *testing.T) {
	deployed, _ := readTemplate(t)
	got, err := deployed.BrowserAccess()
	if err != nil {
		t.Fatal(err)
	}
	want := machine.AccessFrom(nil)
	if !slices.Equal(got.Methods, want.Methods) || !slices.Equal(got.Headers, want.Headers) || !slices.Equal(got.Exposed, want.Exposed) || got.MaxAge != want.MaxAge {
		t.Errorf("template.yaml has %+v, and the local server %+v", got, want)
	}
	if got.Credentials || template.Reference(got.Origins) != "BrowserOrigins" {
		t.Errorf("template.yaml has %+v, want the origins of the parameter and no cookies", got)
	}
	var methods []string
	for _, s := range api.Steps {
		for _, r := range s.Routes {
			methods = append(methods, r.Methods()...)
		}
	}
	slices.Sort(methods)
	same(t, "the route table", slices.Compact(methods), "what pages may do", want.Methods)
}

func TestBrowserOriginsAreOriginsOrNothing(t *testing.T) {
	deployed, _ := readTemplate(t)
	pattern, err := regexp.Compile("^(?:" + deployed.Parameters["BrowserOrigins"]["AllowedPattern"].(string) + ")$")
	if err != nil {
		t.Fatal(err)
	}
	for origin, good := range map[string]bool{
		"https://app.example": true, "https://a.b-c.example:8443": true, "http://localhost:3000": true, "http://localhost": true,
		"*": false, "https://*.example": false, "null": false, "http://app.example": false, "https://App.example": false, "https://app.example/": false,
		"https://app.example:": false, "https://localhost.example@evil.example": false, "http://localhost.evil.example": false, "app.example": false,
		"https://": false, "https://app": false, " https://app.example": false,
	} {
		if got := pattern.MatchString(origin); got != good {
			t.Errorf("%q: got %v, want %v", origin, got, good)
		}
		if good && apikey.CheckOrigin(origin) != nil {
			t.Errorf("%q: no client could have it", origin)
		}
	}
	if !pattern.MatchString("") {
		t.Error("there is always one")
	}
}
