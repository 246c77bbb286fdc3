package main

import (
	"context"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"countersign/pkg/store/dynamo"
	"countersign/pkg/store/record"
)

// A ledger notes every answer of a world, and every secret in the answers. When the world ends, each secret may be only in the
// one answer that has shown it, and in no other answer, log line, event, activity or stored byte.
type ledger struct {
	mu      sync.Mutex
	answers []noted
	shown   map[string]secret
}

// A noted is an answer, split into its words.
type noted struct {
	call   string
	words  []string
	replay bool // the call had an Idempotency-Key, so it may get the same answer again
}

// A secret is a text that may be shown only once.
type secret struct {
	kind   string
	answer int  // the number of the answer that has shown it; -1 if it was sent to the user and shown in no answer
	again  bool // according to the API, later answers may show it, too
}

// inWord says for each byte whether it can be part of a secret.
var inWord = func() (in [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") {
		in[c] = true
	}
	return in
}()

// words returns everything in a text that could be a secret: each word of six characters or more. A word ends at any other
// character, and at the escapes \n and \t, which can be escaped themselves. It is not a regular expression, because the texts
// have many megabytes, and with the race detector, a regular expression took most of the time of all tests.
func words(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := 0; i < len(text); i++ {
			if text[i] == '\\' && i+1 < len(text) && (text[i+1] == 'n' || text[i+1] == 't') {
				i++
				continue
			}
			from := i
			for i < len(text) && inWord[text[i]] {
				i++
			}
			if i-from >= 6 && !yield(text[from:i]) {
				return
			}
			if i > from {
				i-- // an escape can begin here
			}
		}
	}
}

// note notes an answer, and the secrets in it.
func (l *ledger) note(c call, a answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := len(l.answers)
	l.answers = append(l.answers, noted{call: c.method + " " + c.path, words: slices.Collect(words(string(a.raw))), replay: c.header["Idempotency-Key"] != ""})
	var value any
	if json.Unmarshal(a.raw, &value) == nil {
		l.find(value, at)
	}
}

// find looks for secrets in an answer.
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
			case "url":
				if _, handle, found := strings.Cut(text, "/csh_"); found {
					l.keep("csh_"+handle, secret{kind: "handle", answer: at})
				}
			case "secret":
				l.keep(text, secret{kind: "totp secret", answer: at})
			case "recovery_codes":
				codes, _ := part.([]any)
				for _, code := range codes {
					text, _ := code.(string)
					l.keep(text, secret{kind: "recovery code", answer: at})
					l.keep(strings.ReplaceAll(text, "-", ""), secret{kind: "recovery code", answer: at})
				}
			case "pass":
				l.keep(text, secret{kind: "pass", answer: at})
				l.keep(strings.ReplaceAll(text, "-", ""), secret{kind: "pass", answer: at})
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

// search looks for the secrets in everything that the world has left.
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
		for found := range words(text) {
			if s, ok := w.seen.shown[found]; ok {
				t.Errorf("a secret (%s) is in %s", s.kind, name)
			}
		}
	}
	for text, s := range w.seen.shown {
		for _, form := range storedForms(text, s) {
			if strings.Contains(places["the store"], form) {
				t.Errorf("a secret (%s) is in the store as it is", s.kind)
			}
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

// storedForms returns the texts and bytes in which a secret could be stored in a record. Records are CBOR (RFC 8949). A short
// text comes after a byte with its length, and a text that encodes bytes can be stored as these bytes.
func storedForms(text string, s secret) []string {
	if len(text) < 16 { // this is a code, which other text can contain by chance
		return []string{string(rune(0x60+len(text))) + text, string(rune(0x40+len(text))) + text}
	}
	forms := []string{text}
	if raw, err := base64.RawURLEncoding.DecodeString(text); err == nil {
		forms = append(forms, string(raw))
	}
	if raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(text); s.kind == "totp secret" && err == nil {
		forms = append(forms, string(raw), base64.StdEncoding.EncodeToString(raw))
	}
	return forms
}

func TestASecretIsFoundInARecord(t *testing.T) {
	type note struct {
		record.Head
		Code  string `record:"1"`
		Token string `record:"2,word"`
		App   []byte `record:"3"`
	}
	app := []byte("twenty bytes of app.")
	token := base64.RawURLEncoding.EncodeToString([]byte("thirty-two bytes of a signature."))
	secrets := map[string]secret{
		"123456": {kind: "emailed code"}, token: {kind: "token"}, base32.StdEncoding.EncodeToString(app): {kind: "totp secret"},
	}
	for text, s := range secrets {
		for has, n := range map[bool]note{true: {Code: "123456", Token: token, App: app}, false: {Code: "123457"}} {
			body, err := record.Encode(&n)
			if err != nil {
				t.Fatal(err)
			}
			found := slices.ContainsFunc(storedForms(text, s), func(form string) bool { return strings.Contains(string(body), form) })
			if found != has {
				t.Errorf("a %s in a record: found %t, want %t", s.kind, found, has)
			}
		}
	}
}

// filesOf returns a function that reads a data folder, except the files that are meant to have secrets: the outbox, the API key
// and the key ring.
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

// itemsOf returns a function that reads all items of a table.
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

func TestASecretIsFoundWhateverSurroundsIt(t *testing.T) {
	for text, want := range map[string]string{
		"":                     "",
		"short words":          "",
		"123456":               "123456",
		"code 123456.":         "123456",
		`{"code":"123456"}`:    "123456",
		`a\n123456\tcst_AB-9`:  "123456 cst_AB-9",
		`\123456`:              "123456",
		`twice \\n123456`:      "123456",
		"\x00secret\xffsecret": "secret secret",
		"123456\n654321":       "123456 654321",
		`ends in 123456\`:      "123456",
	} {
		if got := strings.Join(slices.Collect(words(text)), " "); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
