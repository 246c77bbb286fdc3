package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/pkg/message"
	"countersign/pkg/seal"
)

func opened(t *testing.T, path string) journal {
	t.Helper()
	j, err := openJournal(path, func(int64, []byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.close() })
	return j
}

func put(t *testing.T, j journal, entries ...any) {
	t.Helper()
	if _, err := j.add(entries...); err != nil {
		t.Fatal(err)
	}
}

// wantEntries fails the test unless the journal has these texts.
func wantEntries(t *testing.T, when string, j journal, want ...string) {
	t.Helper()
	var got []string
	if err := j.each(func(entry json.RawMessage) error {
		var text string
		err := json.Unmarshal(entry, &text)
		got = append(got, text)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", when, got, want)
	}
}

func TestAJournalKeepsWhatWasAdded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list.jsonl")
	j := opened(t, path)
	long := strings.Repeat("long ", pieceSize)
	put(t, j, "one")
	put(t, j, "two <&> \n", "three", long)
	wantEntries(t, "added", j, "one", "two <&> \n", "three", long)
	wantEntries(t, "read again", opened(t, path), "one", "two <&> \n", "three", long)
	if err := j.clear(); err != nil {
		t.Fatal(err)
	}
	wantEntries(t, "cleared", j)
	put(t, j, "four")
	wantEntries(t, "added after that", j, "four")
	wantEntries(t, "read again after that", opened(t, path), "four")
}

func TestALastLineThatWasCutShortIsDropped(t *testing.T) {
	for _, torn := range []string{`"tw`, `"two"`, `{`} {
		path := filepath.Join(t.TempDir(), "list.jsonl")
		if err := os.WriteFile(path, []byte("\"one\"\n"+torn), 0o644); err != nil {
			t.Fatal(err)
		}
		j := opened(t, path)
		put(t, j, "three")
		wantEntries(t, torn, j, "one", "three")
		wantEntries(t, torn+", read again", opened(t, path), "one", "three")
		if about, err := os.Stat(path); err != nil || about.Mode().Perm() != 0o600 {
			t.Errorf("got mode %o and %v, want 600", about.Mode().Perm(), err)
		}
	}
}

func TestAJournalThatIsDamagedInTheMiddleIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox.jsonl")
	for content, line := range map[string]string{
		`{"to":"a"}` + "\n" + `{"to":"sec` + "\n" + `{"to":"c"}` + "\n": "line 2",
		`{"to":"a"}` + "\n\n":                "line 2",
		`{"to":"a"}` + "\n" + `"sec"` + "\n": "line 2",
		`{"to":5,"text":"sec"}` + "\n":       "line 1",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := openOutbox(filepath.Dir(path), time.Now)
		if err == nil || !strings.Contains(err.Error(), line) || strings.Contains(err.Error(), "sec") {
			t.Errorf("%q: got %v, want an error that names %s and not what is in it", content, err, line)
		}
	}
}

func TestWhoeverReadsAJournalSeesWhatItHadAndHoldsNobodyUp(t *testing.T) {
	j := opened(t, filepath.Join(t.TempDir(), "list.jsonl"))
	big := strings.Repeat("x", 3*pieceSize)
	put(t, j, big, big)
	seen := 0
	if err := j.each(func(json.RawMessage) error { seen++; put(t, j, "more"); return nil }); err != nil || seen != 2 {
		t.Errorf("added to meanwhile: got %d entries, %v, want the two that were there", seen, err)
	}
	seen = 0
	if err := j.each(func(json.RawMessage) error {
		if seen++; seen > 1 {
			return nil
		}
		err := j.clear()
		put(t, j, big, "new", big, "new", big)
		return err
	}); err != nil || seen != 1 {
		t.Errorf("cleared meanwhile: got %d entries, %v, want the one that was read before", seen, err)
	}
	stop := errors.New("enough")
	if err := j.each(func(json.RawMessage) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v, want %v", err, stop)
	}
}

func TestAnOutboxFindsTheMessagesToAnAddress(t *testing.T) {
	dir := t.TempDir()
	o, err := openOutbox(dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{}
	check := func(when string) {
		t.Helper()
		for to := range want {
			var got []string
			if err := o.each(to, func(entry json.RawMessage) error {
				var m struct{ To, Text string }
				err := json.Unmarshal(entry, &m)
				if to != "" && m.To != to {
					t.Errorf("%s: got a message to %s, want those to %s", when, m.To, to)
				}
				got = append(got, m.Text)
				return err
			}); err != nil || !slices.Equal(got, want[to]) {
				t.Errorf("%s: to %q: got %v, %v, want %v", when, to, got, err, want[to])
			}
		}
	}
	send := func(n int) {
		t.Helper()
		to, text := fmt.Sprintf("u%d@acme.example", n%7), fmt.Sprintf("message %d %s", n, strings.Repeat(".", n%97))
		if err := o.SendMail(t.Context(), message.Message{To: to, Text: text, Code: seal.NewSecret("123456")}); err != nil {
			t.Fatal(err)
		}
		want[to], want[""] = append(want[to], text), append(want[""], text)
	}
	want["nobody@acme.example"] = nil
	check("empty")
	for n := range 2*pieceSize/indexEntry + 3 {
		send(n)
	}
	check("sent")
	if err := o.close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "outbox.index"), []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	if o, err = openOutbox(dir, time.Now); err != nil {
		t.Fatal(err)
	}
	defer o.close()
	check("opened again")
	send(1)
	check("sent after that")
	if err := o.clear(); err != nil {
		t.Fatal(err)
	}
	for to := range want {
		want[to] = nil
	}
	check("cleared")
	send(2)
	check("sent after that, too")
	if _, err := o.index.append(appendIndexEntry(nil, "nobody@acme.example", 0)); err != nil { // as one of the same hash
		t.Fatal(err)
	}
	check("beside a message of the same hash")
}

func TestAnOutboxTakesNoMemoryForWhatIsInIt(t *testing.T) {
	o, err := openOutbox(t.TempDir(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	used := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := used()
	const messages, text = 2000, 10 << 10
	for n := range messages {
		if err := o.SendMail(t.Context(), message.Message{To: fmt.Sprintf("u%d@acme.example", n), Text: strings.Repeat("x", text)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, to := range []string{"", "u7@acme.example"} {
		if err := o.each(to, func(json.RawMessage) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if grown := used() - before; grown > messages*text/20 {
		t.Errorf("%d bytes more are in use after %d bytes were sent", grown, messages*text)
	}
	runtime.KeepAlive(o)
}
