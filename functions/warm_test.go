package functions

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"countersign/infra/emulator/template"
)

// Until a function asks for its first event, Lambda gives it a whole core.
func TestPagesHasReadThePublishedKeysWhenItAsksForItsFirstCall(t *testing.T) {
	_, functions := readTemplate(t)
	maps.DeleteFunc(functions, func(step string, _ *template.Function) bool { return step != "pages" && step != "sweep" })
	d := deploy(t, functions) // sweep makes the keys
	asked := func() (said []string) {
		d.account.mu.Lock()
		defer d.account.mu.Unlock()
		for _, u := range d.account.done["pages"] {
			said = append(said, strings.TrimPrefix(u.action, "dynamodb:")+" "+strings.Join(u.keys[leadingKeys], " "))
		}
		return said
	}
	before := len(asked())
	pages := d.take("pages")
	if got, want := asked()[before:], []string{"GetItem jwks"}; !slices.Equal(got, want) {
		t.Errorf("at its start it asked for %q, want %q", got, want)
	}
	d.release("pages", pages)
	var response events.APIGatewayV2HTTPResponse
	d.invoke("pages", eventFile(t, "pages"), &response)
	if response.StatusCode != 200 || !strings.Contains(response.Body, `"keys":[`) {
		t.Errorf("got %d %s, want the keys", response.StatusCode, response.Body)
	}
	if got := asked()[before:]; len(got) != 2 {
		t.Errorf("with its first call it has asked for %q, want once more for the keys as they are by then", got)
	}
}
