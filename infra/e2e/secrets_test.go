package e2e

import (
	"context"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"countersign/pkg/store/dynamo"
)

// A ledger notes every answer of a world, and every secret in them. When the world ends, none of the secrets may be
// anywhere but in the one answer that showed it: in no other answer, no log line, no event, no activity and no stored byte.
type ledger struct {
	mu      sync.Mutex
	answers []noted
	shown   map[string]secret
}

// noted is an answer by its words.
type noted struct {
	call   string
	words  []string
	replay bool // the call had an Idempotency-Key: the same answer again is what it asks for
}

// A secret is something that may be shown once.
type secret struct {
	kind   string
	answer int  // that showed it; -1: none, it went to the user
	again  bool // the contract has later answers show it too
}

// word is what secrets are made of, between whatever surrounds them.
var word = regexp.MustCompile(`[A-Za-z0-9_-]{6,}`)

func words(text string) []string {
	found := word.FindAllString(strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\"`, `"`).Replace(text), -1) // escapes end words too
	slices.Sort(found)
	return slices.Compact(found)
}

// note reads an answer.
func (l *ledger) note(c call, a answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := len(l.answers)
	l.answers = append(l.answers, noted{call: c.method + " " + c.path, words: words(string(a.raw)), replay: c.header["Idempotency-Key"] != ""})
	var value any
	if json.Unmarshal(a.raw, &value) == nil {
		l.find(value, at)
	}
}

// find goes through an answer for what it shows.
func (l *ledger) find(value any, at int) {
	switch v := value.(type) {
	case []any:
		for _, part := range v {
			l.find(part, at)
		}
	case map[string]any:
		for name, part := range v {
			text, _ := part.(string)
			switch name {
			case "token":
				l.keep(text[strings.LastIndexByte(text, '.')+1:], secret{kind: "token", answer: at})
			case "trust_token":
				l.keep(text, secret{kind: "trust token", answer: at, again: true})
			case "secret":
				l.keep(text, secret{kind: "totp secret", answer: at})
			case "recovery_codes":
				codes, _ := part.([]any)
				for _, code := range codes {
					text, _ := code.(string)
					l.keep(text, secret{kind: "recovery code", answer: at})
					l.keep(strings.ReplaceAll(text, "-", ""), secret{kind: "recovery code", answer: at})
				}
			default:
				l.find(part, at)
			}
		}
	}
}

func (l *ledger) keep(text string, s secret) {
	if _, known := l.shown[text]; !known && text != "" {
		l.shown[text] = s
	}
}

// search looks for the secrets wherever the world has left anything.
func (w *world) search(t *testing.T) {
	if t.Failed() {
		return
	}
	for _, m := range w.do(t, call{method: "GET", path: "/local/outbox"}).want(t, 200, "").list("messages") {
		w.seen.keep(doc(m.(map[string]any)).text("code"), secret{kind: "emailed code", answer: -1})
	}
	events := w.do(t, call{method: "GET", path: "/local/events"}).want(t, 200, "")
	places := map[string]string{"the events": string(events.raw)}
	if w.log != nil {
		places["the log"] = w.log.String()
	}
	if w.stored != nil {
		places["the store"] = w.stored(t)
	}
	w.seen.mu.Lock()
	defer w.seen.mu.Unlock()
	w.seen.keep(w.key, secret{kind: "API key", answer: -1})
	for name, text := range places {
		for _, found := range words(text) {
			if s, ok := w.seen.shown[found]; ok {
				t.Errorf("a secret (%s) is in %s", s.kind, name)
			}
		}
	}
	for text, s := range w.seen.shown {
		if raw, err := base32.StdEncoding.DecodeString(text); s.kind == "totp secret" && (err != nil || strings.Contains(places["the store"], base64.StdEncoding.EncodeToString(raw))) {
			t.Errorf("a totp secret is in the store as it is, or isn't base32: %v", err)
		}
	}
	for i, a := range w.seen.answers {
		for _, found := range a.words {
			if s, ok := w.seen.shown[found]; ok && i != s.answer && !s.again && !a.replay {
				t.Errorf("a secret (%s) is in an answer to %s", s.kind, a.call)
			}
		}
	}
}

// filesOf is all that a data folder holds, but for what is there to hold secrets: the outbox, the API key and the ring.
func filesOf(dir string) func(*testing.T) string {
	return func(t *testing.T) string {
		t.Helper()
		var all strings.Builder
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			switch entry.Name() {
			case "outbox.jsonl", "api-key", "keys.json":
				continue
			}
			if entry.IsDir() {
				continue
			}
			text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
			if err != nil {
				t.Fatal(err)
			}
			all.Write(text)
		}
		return all.String()
	}
}

// itemsOf is all that a table holds.
func itemsOf(endpoint, table string) func(*testing.T) string {
	return func(t *testing.T) string {
		t.Helper()
		var all strings.Builder
		client := dynamo.LocalClient(endpoint)
		pages := dynamodb.NewScanPaginator(client, &dynamodb.ScanInput{TableName: aws.String(table)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			for _, item := range page.Items {
				for _, value := range item {
					switch v := value.(type) {
					case *types.AttributeValueMemberS:
						all.WriteString(v.Value + "\n")
					case *types.AttributeValueMemberB:
						all.Write(append(v.Value, '\n'))
					}
				}
			}
		}
		return all.String()
	}
}
