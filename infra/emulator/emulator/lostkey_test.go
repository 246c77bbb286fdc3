package emulator_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/pquerna/otp/totp"

	"countersign/infra/emulator/emulator"
)

// app is a user of the organisation apps who has an authenticator app.
type app struct {
	w    *world
	who  doc
	code func() string
}

func (w *world) newApp(t *testing.T) app {
	t.Helper()
	who := doc{"org": "apps", "user": doc{"id": "ben", "email": "ben@acme.example"}}
	now := func() time.Time {
		at, err := time.Parse(time.RFC3339, w.call("GET", "/local/clock", nil).want(t, 200, "").text("now"))
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	begin := doc{"org": who["org"], "user": who["user"], "kind": "totp"}
	begun := w.call("POST", "/v1/enrolments", begin, "Countersign-Reauthenticated-At", now().Format(time.RFC3339)).want(t, 201, "qr_svg")
	code := func() string {
		w.call("POST", "/local/clock", doc{"advance_s": 30}).want(t, 200, "")
		c, err := totp.GenerateCode(begun.text("totp", "secret"), now())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	w.call("POST", "/v1/enrolments/"+begun.text("id")+"/finish", doc{"code": code()}).want(t, 201, "recovery_codes")
	return app{w, who, code}
}

// signIn answers a challenge with a code of the app.
func (a app) signIn(t *testing.T) answer {
	t.Helper()
	id := a.w.call("POST", "/v1/challenges", a.who).want(t, 201, `"challenge"`).text("challenge", "id")
	return a.w.call("POST", "/v1/challenges/"+id+"/verify", doc{"code": a.code()})
}

// restart ends all processes of the functions.
func (w *world) restart() {
	for _, step := range w.Steps() {
		w.Kill(step)
	}
}

// TestADisabledKMSKeyLetsNobodyInAndALostOneIsReplaced plays "The KMS key is in danger" and "A lost KMS key" of operating.md.
func TestADisabledKMSKeyLetsNobodyInAndALostOneIsReplaced(t *testing.T) {
	w := open(t, emulator.Options{})
	w.policy(t)
	ben := w.newApp(t)
	ben.signIn(t).want(t, 200, "token")
	ana := doc{"org": "acme", "user": doc{"id": "ana", "email": "ana@acme.example"}}
	id := w.start(t, "ana")
	ana["trust_token"] = w.verify(id, w.code(t, "ana")).want(t, 200, "trust_token").text("trust_token")

	// While the key is disabled, functions that start can't open the key ring.
	w.DisableKey(true)
	w.restart()
	w.call("POST", "/v1/challenges", ana).want(t, 503, "unavailable")
	w.call("GET", "/health", nil).want(t, 200, "")
	w.DisableKey(false)
	w.call("POST", "/v1/challenges", ana).want(t, 200, "trusted_browser")
	ben.signIn(t).want(t, 200, "token")

	// The key is deleted, and there is another one. The ring was wrapped by the old one, so nothing goes on.
	w.LoseKey()
	w.restart()
	w.call("POST", "/v1/challenges", ana).want(t, 503, "unavailable")

	// Without the item of the ring, the next call makes a new ring. Users with a code by email are asked again in each browser.
	kid := w.kid(t)
	table := w.Table()
	ring := map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: "ring"}, "sk": &types.AttributeValueMemberS{Value: "ring"}}
	if _, err := w.admin.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &table, Key: ring}); err != nil {
		t.Fatal(err)
	}
	w.restart()
	id = w.call("POST", "/v1/challenges", ana).want(t, 201, "new_browser").text("challenge", "id")
	w.verify(id, w.code(t, "ana")).want(t, 200, "trust_token")
	if got := w.kid(t); got == kid {
		t.Error("the published keys are still the lost ones")
	}

	// The secret of an app can't be opened any more, so an administrator resets its user, who enrols again.
	ben.signIn(t).want(t, 503, "unavailable")
	w.call("POST", "/v1/orgs/apps/users/ben/reset", doc{"actor": "olga", "reason": "the KMS key is lost"}).want(t, 200, `"factors":[]`)
	w.newApp(t).signIn(t).want(t, 200, "token")
	if all := w.call("GET", "/v1/orgs/acme/activity?user=ana", nil).want(t, 200, ""); strings.Count(all.raw, "browser.trusted") != 2 {
		t.Errorf("got %s, want what was filed before and since", all.raw)
	}
}

// kid returns the id of the key that tokens are signed with.
func (w *world) kid(t *testing.T) string {
	t.Helper()
	keys, _ := w.call("GET", "/.well-known/jwks.json", nil).want(t, 200, "kid").doc["keys"].([]any)
	kid, _ := keys[0].(doc)["kid"].(string)
	return kid
}
