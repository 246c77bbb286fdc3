package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// targetWorld is the name of the world that a target is.
const targetWorld = "target"

// A target is a running deployment at which the stories are tried, instead of in worlds of their own. See the program.
type target struct {
	url, key string
	client   string // the id of the client whose key it is, which is the audience of tokens
	origin   string // an origin that the client has registered; empty if there is none
	local    bool   // whether it has the calls under /local/
}

// targetNow returns the target that the program names, or nil.
var targetNow = sync.OnceValue(func() *target {
	at := &target{
		url: strings.TrimSuffix(os.Getenv(targetURL), "/"), client: os.Getenv(targetClient), origin: os.Getenv(targetOrigin),
	}
	if at.url == "" {
		return nil
	}
	key, err := os.ReadFile(os.Getenv(targetKeyFile))
	if err != nil {
		panic(err)
	}
	at.key = strings.TrimSpace(string(key))
	answer, err := http.Get(at.url + "/local/clock")
	if err != nil {
		panic(err)
	}
	answer.Body.Close()
	at.local = answer.StatusCode != http.StatusNotFound
	return at
})

// world returns the target as a world, in which a story has organisations of its own.
func (at *target) world(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, at.url, at.key, nil)
	w.on = &tenancy{target: at, mark: tenancyMark + strings.ToLower(rand.Text()[:12])}
	if at.local {
		w.do(t, call{method: "DELETE", path: "/local/outbox"})
		t.Cleanup(func() { w.search(t) })
	}
	return w
}

// A tenancy is what a story has for itself on a target that it shares with others. Its organisations have a mark at the end of
// their names, which the story doesn't see: the mark is added to what it sends, and taken away from what it gets.
//
// A nil tenancy is that of a story in a world of its own. Its methods then change nothing.
type tenancy struct {
	target *target
	mark   string
}

// tenancyMark begins the marks of all tenancies.
const tenancyMark = "-story-"

// remote reports whether the target has none of the calls under /local/.
func (on *tenancy) remote() bool { return on != nil && !on.target.local }

// needs skips the test if a call is one that the target doesn't have. The program prints why.
func (on *tenancy) needs(t *testing.T, c call) {
	t.Helper()
	if what := on.lacks(c.path); what != "" {
		t.Skipf("It needs %s.", what)
	}
}

// lacks returns what a call of that path would be for, if it is one that the target doesn't have.
func (on *tenancy) lacks(path string) string {
	if !on.remote() {
		return ""
	}
	for begins, what := range map[string]string{
		"/local/outbox": "the messages that were sent",
		"/local/events": "the events on the bus",
		"/local/clock":  "a clock that can be moved",
		"/local/sweep":  "the sweep at a moment of its own choice",
		"/local/faults": "faults of the services behind it",
		"/local/keys":   "another API key",
	} {
		if strings.HasPrefix(path, begins) {
			return what
		}
	}
	return ""
}

// needsOrigin skips the test if the program was told no origin of pages that a key can be used at.
func (on *tenancy) needsOrigin(t *testing.T) {
	t.Helper()
	if on.remote() && on.target.origin == "" {
		t.Skip("It needs -origin, an origin of pages that the client has registered.")
	}
}

// owns reports whether an organisation, as a story sees its name, is one of the story's own.
func (on *tenancy) owns(org string) bool { return on == nil || !strings.Contains(org, tenancyMark) }

var (
	orgInPath = regexp.MustCompile(`/orgs/([^/?]+)`)
	orgInText = regexp.MustCompile(`("org"\s*:\s*"[^"]+)"`)
)

// sent returns a call as it is made.
func (on *tenancy) sent(c call) call {
	if on == nil {
		return c
	}
	c.path = orgInPath.ReplaceAllString(c.path, "/orgs/$1"+on.mark)
	var text []byte
	switch b := c.body.(type) {
	case nil:
		return c
	case string:
		text = []byte(b)
	case []byte:
		text = b
	default:
		text, _ = json.Marshal(b) // a body that has no JSON is reported when the call is made
	}
	c.body = orgInText.ReplaceAll(text, []byte("$1"+on.mark+`"`))
	return c
}

// received returns an answer, or the claims of a token, as the story sees it.
func (on *tenancy) received(raw []byte) []byte {
	if on == nil {
		return raw
	}
	return bytes.ReplaceAll(raw, []byte(on.mark), nil)
}

// audience returns the audience of tokens.
func (w *world) audience() string {
	if w.on != nil {
		return w.on.target.client
	}
	return "local"
}
