package main

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
)

// everyCommand returns the names of all commands.
func everyCommand(t *testing.T) (names []string) {
	t.Helper()
	parser, err := kong.New(&commands{}, kong.Vars{"scopes": scopeNames(apikey.Scopes(), ",")})
	if err != nil {
		t.Fatal(err)
	}
	for _, leaf := range parser.Model.Leaves(true) {
		name := leaf.Name
		for at := leaf.Parent; at != nil && at.Type == kong.CommandNode; at = at.Parent {
			name = at.Name + " " + name
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// decoded returns the JSON values of an output, and fails the test if it isn't JSON or has no value.
func decoded(t *testing.T, name, said string) (values []any) {
	t.Helper()
	for d := json.NewDecoder(strings.NewReader(said)); ; {
		var v any
		err := d.Decode(&v)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%s: %v in %s", name, err, said)
		}
		values = append(values, v)
	}
	if len(values) == 0 {
		t.Fatalf("%s: printed nothing", name)
	}
	return values
}

func TestEveryCommandAnswersInJSON(t *testing.T) {
	a := audited(t, grounds(t)["a local server's folder"])
	a.service(t, func(s *mfa.Service, call mfa.Call) {
		if _, err := s.PutUser(t.Context(), call, acme, mfa.Person{ID: "u-99", Name: mfa.Some("Zoë")}); err != nil {
			t.Fatal(err)
		}
	})
	a.must(t, a.flagged("audit", "export", acme)...)
	export := a.file(t, "export.jsonl", a.said)
	policy := a.file(t, "policy.json", `{"profile":"kls"}`)
	events := a.file(t, "events.jsonl", `{"id":"ev_1","type":"user.erased","time":"`+a.moment()+`","org":"acme","user":"u-1"}`+"\n"+
		`{"id":"ev_2","type":"factor.enrolled","time":"`+a.moment()+`","org":"acme","user":"u-2"}`)
	key := func(scope string) string {
		a.must(t, a.flagged("keys", "create", "--client", "other", "--scope", scope)...)
		return lastKey(t, a)
	}
	published, _, replay := newPublishing(t)
	live := newRunning(t)
	live.sets(t, `{"pass":{"max_s":3600}}`)
	ana := users(t, withApp)
	folder := t.TempDir()
	giveUp(t, folder, "900", `{"Records":[{"eventName":"REMOVE"}]}`)

	// By command, in the order in which they are run: with which arguments, where, and what the answer says.
	type example struct {
		name  string
		args  []string
		by    *operator
		facts []string
	}
	here, bare := a.operator, newOperator()
	examples := []example{
		{"keys create", a.flagged("--client", "app", "--scope", "sign_in", "--label", "in Paris"), here, []string{`"id":`, `"key":"csk_`}},
		{"keys list", a.flagged(), here, []string{`"client": "app"`, `"label": "in Paris"`, `"last_used": null`, `"confirmed": true`}},
		{"keys revoke", a.flagged(key("manage")), here, []string{`"client":"other"`, `"created":`, `"revoked":true`}},
		{"keys confirm", a.flagged(key("admin")), here, []string{`"client":"other"`, `"confirmed":true`}},
		{"keys rotate", a.flagged(), here, []string{`"rotated":true`}},
		{"policy get", a.flagged(acme), here, []string{`"version": 2`}},
		{"policy diff", a.flagged(acme, policy), here, []string{`"setting": "methods.totp"`, `"from": "allowed"`, `"to": "forbidden"`}},
		{"policy apply", a.flagged(acme, policy, "--actor", "olga", "--acknowledge"), here, []string{`"version": 3`}},
		{"user show", a.flagged(acme, "u-99"), here, []string{`"id": "u-99"`}},
		{"user unlock", a.flagged(acme, "u-99", "--actor", "olga", "--reason", "called"), here, []string{`"id": "u-99"`}},
		{"import", live.flagged("acme", ana), live.operator, []string{`"line":1`, `"user":"ana"`, `"result":"created"`}},
		{"user pass", live.flagged("acme", "ana", "--actor", "olga", "--reason", "called"), live.operator, []string{`"pass": "`}},
		{"user reset", live.flagged("acme", "ana", "--actor", "olga", "--reason", "called"), live.operator, []string{`"factors": []`}},
		{"show", a.flagged("orgs"), here, []string{`"org":"acme"`}},
		{"audit export", a.flagged(acme), here, []string{`"acme"`}},
		{"audit verify", []string{export}, here, []string{`"org": "acme"`, `"checkpoints": 2`, `"keys_given": false`, `"pages_not_covered"`}},
		{"export org", a.flagged(acme), here, []string{`"u-99"`}},
		{"export user", a.flagged(acme, "u-99"), here, []string{`"u-99"`}},
		{"format", a.flagged(), here, []string{`"format":`, `"latest":`}},
		{"doctor", a.flagged(), here, []string{`"findings":`, `"verdict":"ok"`, `"verdict":"WRONG","about":"sweep"`, `"do":`, `"problems":1`}},
		{"restored", a.flagged("--moment", a.moment(), "--events", events, "--in-use"), here, []string{
			`"renewed":true`, `"unconfirmed":{"id":"ak_`, `"yours":{"type":"factor.enrolled"`, `"events":2`,
		}},
		{"adopt", []string{"--table", "countersign-Table-1", "--region", "eu-west-1", "--key", "1234abcd-12ab-34cd-56ef-1234567890ab", "--bucket", "bucket-1", "--stack", "new", filepath.Join(t.TempDir(), "adopt")},
			bare, []string{`"commands":["aws cloudformation`, `"folder":`}},
		{"replay", append(replay[1:], folder), published.operator, []string{`"handed":1`, `"before":0`, `"function":"countersign-publish"`}},
	}
	tried := map[string]bool{}
	for _, e := range examples {
		tried[e.name] = true
		args := append(append(strings.Fields(e.name), e.args...), "--json")
		want := 0
		if e.name == "doctor" {
			want = 1 // no sweep has run there, which is a problem
		}
		if code := e.by.run(t, args...); code != want {
			t.Errorf("%s: got the exit code %d\n%s%s", e.name, code, e.by.said, e.by.told)
			continue
		}
		decoded(t, e.name, e.by.said)
		for _, fact := range e.facts {
			if !strings.Contains(e.by.said, fact) {
				t.Errorf("%s: got %s, want %s in it", e.name, e.by.said, fact)
			}
		}
	}
	if got, want := slices.Sorted(maps.Keys(tried)), everyCommand(t); !slices.Equal(got, want) {
		t.Errorf("got the commands %v tried, want all of %v", got, want)
	}
}

// lastKey returns the id of the key that was made last.
func lastKey(t *testing.T, a *auditedGround) string {
	t.Helper()
	_, rest, found := strings.Cut(a.told, "Its id is ")
	if !found {
		t.Fatalf("got %s, want the id of the key", a.told)
	}
	id, _, _ := strings.Cut(rest, ".")
	return id
}
