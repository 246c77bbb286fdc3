package activity

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	ana = Route("org of 16 bytes.ana of 16 bytes.")
	bob = Route("org of 16 bytes.bob of 16 bytes.")
	now = time.Date(2026, 11, 22, 10, 0, 0, 123_456_000, time.UTC)
)

// stored returns an entry of events as it is read from a page that was filed a second and a half after them.
func stored(t *testing.T, events ...Filing) *storedEntry {
	t.Helper()
	filed := events[0].Time.Add(1500 * time.Millisecond).Truncate(time.Millisecond)
	b, err := newEntry(events, filed, &deflater{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := readEntry(b, filed)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// about returns events about ana, one for each value in says. If key is nil, ana is gone.
func about(key Key, says ...map[string]any) (events []Filing) {
	var sealing EntryKey
	if key != nil {
		sealing = key.Entry(now)
	}
	for i, data := range says {
		events = append(events, Filing{
			Event: Event{
				ID: fmt.Sprint("ev_", i), Type: "user.updated", Time: now, Org: "acme", User: "u-17", Actor: Actor{"user", "u-17"}, PolicyVersion: 3, Data: data,
			},
			Route: ana, Key: sealing,
		})
	}
	return events
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// anasKey is the key of ana in tests that need only one.
var anasKey = NewKey()

// wantRead checks that events are read as they were filed by a reader who has anasKey.
func wantRead(t *testing.T, events ...Filing) {
	t.Helper()
	e := stored(t, events...)
	if e.count() != len(events) {
		t.Fatalf("got %d events, want %d", e.count(), len(events))
	}
	for i := range events {
		got, err := e.event(i, "acme")
		if err != nil {
			t.Fatal(err)
		}
		if events[i].Key != nil && !(&User{"u-17", anasKey}).reveal(e, i, ana, &got) {
			t.Error("what is encrypted doesn't open")
		}
		if got, want := asJSON(t, got), asJSON(t, events[i].Event); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestAnEventIsReadAgainAsItWasWhateverItSays(t *testing.T) {
	id := func(prefix string, parts ...Route) string {
		raw := ""
		for _, part := range parts {
			raw += string(part)
		}
		return prefix + base64.RawURLEncoding.EncodeToString([]byte(raw))
	}
	const random = Route("16 random bytes.")
	for _, value := range []any{
		nil, true, false, 0.0, 1.0, -1.0, 23.0, 24.0, 1.5, -2.25, 1e15, 1e300, 1 << 40,
		"", "A", "totp", "email", "sso", "locale", "name", "revoked", "no word", "Übermut", strings.Repeat("long and said again ", 20),
		"2026-12-22T10:00:00Z", "203.0.113.7", "2001:db8::1", "::ffff:203.0.113.7", "203.0.113.07", "2001:DB8::1", "fe80::1%eth0", "1.2.3",
		id("ch_", ana, random), id("ch_", bob, random), id("ch_", random), id("fa_", random), id("tb_", random), id("en_", ana, random), id("en_", ana),
		"fa_", "fa_*", "fa_AAAAAAAAAAAAAAAAAAAAA", "fa_AAAAAAAAAAAAAAAAAAAAAB", "xx_AAAAAAAAAAAAAAAAAAAAAA", id("fa_", random) + "=", id("fa_", random) + "\n",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
		noise(23), noise(24), noise(300), browsers,
		[]any{}, []any{"totp", "email", 3.0, nil, []any{"sms"}}, map[string]any{}, map[string]any{"kind": "sms", "of": map[string]any{"ip": "203.0.113.7"}},
	} {
		data := map[string]any{"reason": value, "no name": value}
		wantRead(t, about(anasKey, data)...)
		nobody := about(nil, data)
		nobody[0].User, nobody[0].Route, nobody[0].Actor = "", ana.org(), Actor{"client", "app"}
		wantRead(t, nobody...)
	}
	for _, table := range []table{types, actors, names, values} {
		for _, text := range table.words {
			e := about(anasKey, map[string]any{text: text})
			e[0].Type, e[0].Actor = text, Actor{text, "somebody"}
			wantRead(t, e...)
		}
	}
	for _, actor := range []Actor{{"user", "u-17"}, {"user", "u-18"}, {"administrator", "olga"}, {"client", "app"}, {"service", ""}, {"robot", "r2"}} {
		for _, version := range []int{0, 1, 23, 24, 1000, 1 << 30} {
			for _, id := range []string{"ev_1", "", "ev_", id("ev_", random), id("ch_", random)} {
				e := about(anasKey, map[string]any{})
				e[0].ID, e[0].Actor, e[0].PolicyVersion = id, actor, version
				wantRead(t, e...)
			}
		}
	}
	for _, away := range []time.Duration{-48 * time.Hour, -time.Hour, 0, time.Microsecond, time.Hour} {
		e := about(NewKey(), map[string]any{})
		filed := e[0].Time.Add(away).Truncate(time.Millisecond)
		b, err := newEntry(e, filed, &deflater{})
		if err != nil {
			t.Fatal(err)
		}
		read, err := readEntry(b, filed)
		if err != nil || !read.time().Equal(now) {
			t.Errorf("filed %s after: got %v, %v, want %v", away, read.time(), err, now)
		}
	}
}

func TestNoTextIsStoredAsSomethingLonger(t *testing.T) {
	for _, text := range append([]string{noise(longText - 1), noise(longText), noise(100)}, values.words...) {
		stored, err := (coder{ana, &deflater{}}).text(text)
		b, _ := encoding.Marshal(stored)
		if plain, _ := encoding.Marshal(text); err != nil || len(b) > len(plain) {
			t.Errorf("%q: got %d bytes, %v, want at most %d", text, len(b), err, len(plain))
		}
	}
}

func TestWhatSeveralEventsOfOneEntrySayIsReadAgainAsItWas(t *testing.T) {
	for _, says := range [][]map[string]any{
		{{"kind": "totp"}, {"kind": "totp"}},
		{{"kind": "totp"}, {"kind": "email"}},
		{{"kind": "totp", "factor": "x"}, {"kind": "totp"}},
		{{}, {"kind": "totp"}},
		{{"kind": "totp"}, {}},
		{{"kind": nil}, {}},
		{{"changed": []any{"email"}, "x": 1.0}, {"changed": []any{"email"}, "x": 2.0}, {"changed": []any{"email"}}},
		{{}, {}, {}},
	} {
		wantRead(t, about(anasKey, says...)...)
		nobody := about(nil, says...)
		for i := range nobody {
			nobody[i].User, nobody[i].Route = "", ana.org()
		}
		wantRead(t, nobody...)
	}
}

func TestOnlyEventsOfOneCommitMakeAnEntry(t *testing.T) {
	key := NewKey()
	if got := together(about(key, nil, nil, nil)); got != 3 {
		t.Errorf("got %d together, want all 3", got)
	}
	for what, change := range map[string]func(*Filing){
		"another user":           func(e *Filing) { e.Route = bob },
		"nobody":                 func(e *Filing) { e.User = "" },
		"another moment":         func(e *Filing) { e.Time = e.Time.Add(time.Microsecond) },
		"another actor":          func(e *Filing) { e.Actor.ID = "u-18" },
		"another kind of actor":  func(e *Filing) { e.Actor.Kind = "client" },
		"another policy version": func(e *Filing) { e.PolicyVersion++ },
		"another life":           func(e *Filing) { e.Key = NewKey().Entry(now) },
		"a user who is gone":     func(e *Filing) { e.Key = nil },
		"the same again":         func(e *Filing) { e.ID = "ev_0" },
	} {
		events := about(key, nil, nil, nil)
		change(&events[2])
		if got := together(events); got != 2 {
			t.Errorf("%s: got %d together, want 2", what, got)
		}
	}
}

func TestAnEntryOfAUserWhoIsGoneSaysNothingOfThem(t *testing.T) {
	for _, actor := range []Actor{{"user", "u-17"}, {"administrator", "olga"}} {
		gone := about(nil, map[string]any{"changed": "secretplace"})
		gone[0].Actor = actor
		e := stored(t, gone...)
		got, err := e.event(0, "acme")
		if err != nil || got.User != "" || got.Actor != (Actor{Kind: actor.Kind}) || len(got.Data) != 0 || got.Data == nil || e.route(ana) != "" {
			t.Errorf("got %+v, %v", got, err)
		}
		for _, text := range []string{"u-17", "olga", "secretplace"} {
			if strings.Contains(string(e.bytes), text) {
				t.Errorf("%q has %s", e.bytes, text)
			}
		}
	}
}

func TestAnEntryIsWholeOrHasNothingButItsDigest(t *testing.T) {
	whole := stored(t, about(NewKey(), map[string]any{"kind": "totp"}, map[string]any{"kind": "sms"})...)
	b, err := whole.erase()
	if err != nil {
		t.Fatal(err)
	}
	erased, err := readEntry(b, whole.filed)
	if err != nil || string(erased.digest()) != string(whole.digest()) || erased.count() != 2 {
		t.Fatalf("got %+v, %v, want the digest and the number of events", erased, err)
	}
	again, err := erased.erase()
	if err != nil || string(again) != string(b) {
		t.Errorf("taken away again: got %x, %v", again, err)
	}
	for what, change := range map[string]func(*header) []byte{
		"a digest of another length": func(h *header) []byte { *h = erased.header; h.Erased = h.Erased[:16]; return nil },
		"a digest of no events":      func(h *header) []byte { *h = erased.header; h.Count = 0; return nil },
		"a digest of fewer than no":  func(h *header) []byte { *h = erased.header; h.Count = -1; return nil },
		"a digest and events":        func(h *header) []byte { h.Erased, h.Count = erased.Erased, 2; return whole.sealed },
		"a digest and a secret":      func(h *header) []byte { *h = erased.header; return whole.sealed },
		"a count and events":         func(h *header) []byte { h.Count = 2; return whole.sealed },
		"no events":                  func(h *header) []byte { h.Events = nil; return whole.sealed },
		"half an event":              func(h *header) []byte { h.Events = h.Events[:3]; return whole.sealed },
		"a user and no secret":       func(*header) []byte { return nil },
		"a secret and no user":       func(h *header) []byte { h.User = nil; return whole.sealed },
	} {
		h := whole.header
		sealed := change(&h)
		open, err := encoding.Marshal(&h)
		if err != nil {
			t.Fatal(err)
		}
		if e, err := readEntry(append(open, sealed...), whole.filed); err == nil {
			t.Errorf("%s: got %+v, want an error", what, e)
		}
	}
}

// What an entry says of its user can be opened only for that user, and only with that entry.
func TestWhatTheActivitySaysOfAUserIsBoundToItsEntry(t *testing.T) {
	key := NewKey()
	e := stored(t, about(key, map[string]any{"changed": "email"})...)
	for name, c := range map[string]struct {
		key    Key
		change func(*storedEntry)
		opens  bool
	}{
		"as it is":             {key, func(*storedEntry) {}, true},
		"another header":       {key, func(e *storedEntry) { e.open = stored(t, about(key, nil)...).open[:3] }, false},
		"another user's place": {key, func(e *storedEntry) { e.open = []byte(strings.Replace(string(e.open), "ana", "bob", 1)) }, false},
		"another moment":       {key, func(e *storedEntry) { e.filed = e.filed.Add(time.Millisecond) }, false},
		"altered":              {key, func(e *storedEntry) { e.sealed[len(e.sealed)-1] ^= 1 }, false},
		"the user made again":  {NewKey(), func(*storedEntry) {}, false},
		"a user without a key": {nil, func(*storedEntry) {}, false},
	} {
		moved := *e
		moved.sealed = slices.Clone(e.sealed)
		c.change(&moved)
		got := Event{ID: "ev_1"}
		if opened := (&User{"u-17", c.key}).reveal(&moved, 0, ana, &got); opened != c.opens || (got.User != "") != c.opens {
			t.Errorf("%s: got opened %v, %+v, want %v", name, opened, got, c.opens)
		}
	}
}

// A key that is stored with events until they are filed is good for their entry only.
func TestTheKeyOfAnEntryIsOfItsMoment(t *testing.T) {
	key := NewKey()
	if string(key.Entry(now)) == string(key.Entry(now.Add(time.Microsecond))) || string(key.Entry(now)) == string(key) || string(key.Entry(now)) == string(NewKey().Entry(now)) {
		t.Error("two keys are the same")
	}
	if string(key.Entry(now)) != string(key.Entry(now.Add(999*time.Nanosecond).In(time.FixedZone("", 3600)))) {
		t.Error("the same moment has two keys")
	}
}

// The tables are a part of what is stored. If you add a word, change the number and the hash here, too.
func TestTheTablesOfWordsOnlyGrow(t *testing.T) {
	for name, c := range map[string]struct {
		table  []string
		pinned int
		sum    string
	}{
		"types":    {types.words, 39, "a2c9d3c54390fce3"},
		"actors":   {actors.words, 4, "d153f9011fd7c960"},
		"names":    {names.words, 32, "298f263a29941fc0"},
		"values":   {values.words, 34, "219cdaa3c1382ea1"},
		"prefixes": {prefixes.words, 7, "9efac65a9f6ae340"},
		"browsers": {[]string{browsers[max(0, len(browsers)-1193):]}, 1, "3c54d416be5b2313"},
	} {
		sum := sha256.Sum256([]byte(strings.Join(c.table[:min(c.pinned, len(c.table))], "\n")))
		if got := hex.EncodeToString(sum[:8]); got != c.sum || len(c.table) != c.pinned {
			t.Errorf("%s: got %d words and %s, want %d and %s", name, len(c.table), got, c.pinned, c.sum)
		}
		for i, text := range c.table {
			if slices.Index(c.table, text) != i {
				t.Errorf("%s: %q is there twice", name, text)
			}
		}
	}
	if len(prefixes.words) > inUserID || len(values.words) > 256-firstAfter+simpleGap {
		t.Error("a table has more words than there are places")
	}
}

// A build that is being rolled out, and may be rolled back, has words that the build before it doesn't know.
func TestALaterWordIsReadAndNotStoredByItsPlace(t *testing.T) {
	before := table{words: []string{"a", "b"}}
	rolledOut := table{words: []string{"a", "b", "c", "d"}, later: 2}
	after := table{words: []string{"a", "b", "c", "d"}}
	for _, text := range after.words {
		stored := word(rolledOut, text)
		if place, ok := stored.(int); ok {
			stored = int64(place) // this is the type in which it is read
		}
		if got, ok := wordOf(before, stored); !ok || got != text {
			t.Errorf("%s: the build before reads %v as %q, %v", text, stored, got, ok)
		}
	}
	if got, ok := wordOf(rolledOut, int64(word(after, "d").(int))); !ok || got != "d" {
		t.Errorf("what the build after stores is read as %q, %v", got, ok)
	}
	for _, place := range []int64{-1, 4} {
		if got, ok := wordOf(after, place); ok {
			t.Errorf("place %d: got %q, want none", place, got)
		}
	}
}

func TestWhatTheDomainRecordsIsInTheTables(t *testing.T) {
	files, err := filepath.Glob("../mfa/*.go")
	if err != nil {
		t.Fatal(err)
	}
	constant := regexp.MustCompile(`(?m)^\t\w+ += "([a-z]+\.[a-z_]+)"$`)
	recorded := regexp.MustCompile(`(?:\.event\(|Event\{).*map\[string\]any\{(.*)\}`)
	name := regexp.MustCompile(`"([a-z_]+)":`)
	found := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(file) == "event.go" {
			for _, m := range constant.FindAllStringSubmatch(string(source), -1) {
				if found[m[1]] = true; !slices.Contains(types.words, m[1]) {
					t.Errorf("the type %s is in no table", m[1])
				}
			}
		}
		for _, line := range recorded.FindAllStringSubmatch(string(source), -1) {
			for _, m := range name.FindAllStringSubmatch(line[1], -1) {
				if found[m[1]] = true; !slices.Contains(names.words, m[1]) {
					t.Errorf("%s: the name %s is in no table", file, m[1])
				}
			}
		}
	}
	if len(found) < len(types.words)+10 {
		t.Errorf("found only %d words in %d files", len(found), len(files))
	}
}

// Every later build must be able to read what was stored.
func TestEntriesThatWereStoredAreRead(t *testing.T) {
	filed := now.Add(1500 * time.Millisecond).Truncate(time.Millisecond)
	for want, stored := range map[string]string{
		`[{"id":"ev_ZXZlbnQgYTAgb2YgMTYgYg","type":"challenge.started","time":"2026-11-22T10:00:00.123456Z","org":"acme","user":"u-17","actor":{"kind":"user","id":"u-17"},"policy_version":3,"data":{"challenge":"ch_b3JnIG9mIDE2IGJ5dGVzLmFuYSBvZiAxNiBieXRlcy5jaGFsbGVuZ2UgMTYgYnku","ip":"203.0.113.77","reason":"required","user_agent":"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"}},{"id":"ev_ZXZlbnQgYTEgb2YgMTYgYg","type":"challenge.sent","time":"2026-11-22T10:00:00.123456Z","org":"acme","user":"u-17","actor":{"kind":"user","id":"u-17"},"policy_version":3,"data":{"challenge":"ch_b3JnIG9mIDE2IGJ5dGVzLmFuYSBvZiAxNiBieXRlcy5jaGFsbGVuZ2UgMTYgYnku","factor":"fa_ZmFjdG9yIG9mIDE2IGJ5Lg","kind":"email","sequence":"A"}}]`: "a4011a0016e1980250616e61206f662031362062797465732e038400506576656e74206130206f66203136206201506576656e74206131206f662031" +
			"362062040340b699a6db3f5161228ad1d5dadff60ee7262bae1f8aae3c4508a8e6421109bb41f76c67082e8560d6addb0a8fe367b03f4467b7521bf5" +
			"b3ba9b425be8a4344a9ffc802c111bf2af09200cdcf97b417ba244e238ff28f2ee8ae7a233191102240fea50",
		`[{"id":"ev_ZXZlbnQgYjAgb2YgMTYgYg","type":"challenge.verified","time":"2026-11-22T10:00:00.123456Z","org":"acme","user":"u-17","actor":{"kind":"user","id":"u-17"},"policy_version":3,"data":{"challenge":"ch_b3JnIG9mIDE2IGJ5dGVzLmFuYSBvZiAxNiBieXRlcy5jaGFsbGVuZ2UgMTYgYnku","factor":"fa_ZmFjdG9yIG9mIDE2IGJ5Lg","kind":"email"}}]`: "a4011a0016e1980250616e61206f662031362062797465732e038202506576656e74206230206f66203136206204032a1435dc1f1ff715d190d8da36" +
			"66cf8a4bd9dc2d3e0c0011fdba89512ca0fd8d389e78980171d8ff1eaf7f31dd2012bf9cd3b1d07d32127ffa6f8436149ec75ab33ab6fbad0e10",
		`[{"id":"ev_9","type":"policy.changed","time":"2026-11-22T10:00:00.123456Z","org":"acme","user":null,"actor":{"kind":"administrator","id":"olga"},"policy_version":24,"data":{"changed":["trust","require"],"n":2}}]`: "a7011a0016e19803820e6465765f39041818050306646f6c67610750641a2aff2c719acc54723a909dc3c98608a20d82657472757374677265717569" +
			"7265616e02",
	} {
		b, err := hex.DecodeString(stored)
		if err != nil {
			t.Fatal(err)
		}
		e, err := readEntry(b, filed)
		if err != nil {
			t.Fatal(err)
		}
		var got []Event
		for i := range e.count() {
			event, err := e.event(i, "acme")
			if err != nil {
				t.Fatal(err)
			}
			if e.User != nil && !(&User{"u-17", make(Key, 32)}).reveal(e, i, ana, &event) {
				t.Error("what is encrypted doesn't open")
			}
			got = append(got, event)
		}
		if got := asJSON(t, got); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func FuzzAnEntryIsReadOrRefused(f *testing.F) {
	mailed, answered := signIn(true)
	for _, events := range [][]Filing{mailed, answered} {
		b, err := newEntry(events, now, &deflater{})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{0xa1, 0x03, 0x82, 0x18, 0x63, 0x60})                         // a type that is in no table
	f.Add([]byte{0xa2, 0x03, 0x82, 0, 0x60, 0x08, 0xa1, 0, 0x42, 0x81, 0x03}) // a text that deflate can't have written
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := readEntry(b, now)
		if err != nil {
			return
		}
		if e.Erased != nil {
			return
		}
		for i := range e.count() {
			if event, err := e.event(i, "acme"); err == nil && event.Data == nil {
				t.Errorf("got %+v", event)
			}
		}
	})
}
