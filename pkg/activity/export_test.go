package activity

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/pkg/store"
	"countersign/pkg/store/storetest"
)

// resealed returns the lines of an export with an end that fits them, as somebody would write it who wants to hide a change.
func resealed(t *testing.T, lines []string) string {
	t.Helper()
	text := strings.Join(lines[:len(lines)-1], "")
	sum := sha256.Sum256([]byte(text))
	end, err := json.Marshal(exportedEnd{kindEnd, len(lines) - 1, hex.EncodeToString(sum[:])})
	if err != nil {
		t.Fatal(err)
	}
	return text + string(end) + "\n"
}

// lineOf returns the place of the first line that contains all of the texts.
func lineOf(t *testing.T, lines []string, texts ...string) int {
	t.Helper()
	at := slices.IndexFunc(lines, func(line string) bool {
		return !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) })
	})
	if at < 0 {
		t.Fatalf("no line has %q", texts)
	}
	return at
}

func TestL11AnExportWithOneByteFlippedIsNotVerified(t *testing.T) {
	w := signed(t, "ana")
	w.fileOne(t, w.clock.Now(), "ana", "")
	w.checkpoint(t)
	w.clock.Advance(24 * time.Hour)
	w.fileOne(t, w.clock.Now(), "ana")
	w.checkpoint(t)
	export := w.export(t)
	if _, err := w.verified(t, export); err != nil {
		t.Fatal(err)
	}
	for i := range export {
		for _, flip := range []byte{1, 0x20, 0x80} {
			changed := []byte(export)
			changed[i] ^= flip
			if _, err := w.verified(t, string(changed)); err == nil {
				t.Fatalf("byte %d was changed from %q to %q, and the export verifies", i, export[i], changed[i])
			}
		}
	}
	for n := range len(export) {
		if _, err := w.verified(t, export[:n]); !errors.Is(err, ErrBroken) {
			t.Fatalf("the first %d bytes: got %v, want ErrBroken", n, err)
		}
	}
}

// The end of an export only finds what happened by accident, since anybody can make one. So each change here comes with an end that
// fits it, and the chain and the checkpoints must find it.
func TestL11AChangeOfAnExportWithAnEndThatFitsIsFound(t *testing.T) {
	w := threeDays(t)
	lines := strings.SplitAfter(strings.TrimSuffix(w.export(t), "\n"), "\n")
	lines[len(lines)-1] += "\n"
	if _, err := w.verified(t, resealed(t, lines), w.made[8].Signed); err != nil {
		t.Fatal(err)
	}
	pageLine := func(day, page string) int {
		return lineOf(t, lines, `"kind":"page"`, `"day":"`+day+`"`, `"page":`+page+`,`)
	}
	without := func(gone ...int) []string {
		var left []string
		for i, line := range lines {
			if !slices.Contains(gone, i) {
				left = append(left, line)
			}
		}
		return left
	}
	swapped := func(a, b int) []string {
		moved := slices.Clone(lines)
		moved[a], moved[b] = moved[b], moved[a]
		return moved
	}
	// withPage returns the lines with a page that was changed, and that shows what it then has.
	withPage := func(at int, change func(*page)) []string {
		var line exportedPage
		if err := json.Unmarshal([]byte(lines[at]), &line); err != nil {
			t.Fatal(err)
		}
		item := store.Item{Key: store.Key{Partition: pagePartition(acme, line.Day, line.Shard), Sort: pageSort(line.Page)}, Body: line.Item}
		p, err := readPage(line.Day, item)
		if err != nil {
			t.Fatal(err)
		}
		change(&p.page)
		if item.Body, err = p.encode(); err != nil {
			t.Fatal(err)
		}
		line.Item = item.Body
		if line.Shows, err = shownAsJSON(item); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(line)
		if err != nil {
			t.Fatal(err)
		}
		changed := slices.Clone(lines)
		changed[at] = string(text) + "\n"
		return changed
	}
	dayLine := lineOf(t, lines, `"kind":"day","day":"2026-11-23"`)
	lastDay := lineOf(t, lines, `"kind":"day","day":"2026-11-24"`)
	check := func(serial string) int { return lineOf(t, lines, `"kind":"checkpoint","serial":`+serial+`,`) }
	for name, changed := range map[string][]string{
		"an entry is missing":             withPage(pageLine("2026-11-22", "2"), func(p *page) { p.Entries = p.Entries[1:]; p.Count-- }),
		"two entries changed places":      withPage(pageLine("2026-11-22", "2"), func(p *page) { p.Entries[0], p.Entries[1] = p.Entries[1], p.Entries[0] }),
		"a bit of an entry flipped":       withPage(pageLine("2026-11-24", "3"), func(p *page) { e := p.Entries[0]; e[len(e)-1] ^= 1 }),
		"the filing was moved":            withPage(pageLine("2026-11-24", "3"), func(p *page) { p.Filed++ }),
		"a page is missing":               without(pageLine("2026-11-23", "2")),
		"the first page is missing":       without(pageLine("2026-11-22", "1")),
		"the last page of a day":          without(pageLine("2026-11-23", "3")),
		"the tail is missing":             without(pageLine("2026-11-24", "3"), pageLine("2026-11-24", "4")),
		"all pages of a day":              without(pageLine("2026-11-23", "1"), pageLine("2026-11-23", "2"), pageLine("2026-11-23", "3")),
		"a day is missing":                without(dayLine, pageLine("2026-11-23", "1"), pageLine("2026-11-23", "2"), pageLine("2026-11-23", "3")),
		"the last day is missing":         without(lastDay, pageLine("2026-11-24", "1"), pageLine("2026-11-24", "2"), pageLine("2026-11-24", "3"), pageLine("2026-11-24", "4")),
		"a day without its item":          without(dayLine),
		"two pages changed places":        swapped(pageLine("2026-11-23", "1"), pageLine("2026-11-23", "2")),
		"two days changed places":         swapped(dayLine, lastDay),
		"a checkpoint is missing":         without(check("4")),
		"the first checkpoint is missing": without(check("1")),
		"two checkpoints changed places":  swapped(check("4"), check("5")),
		"the tail with its checkpoints":   without(pageLine("2026-11-24", "3"), pageLine("2026-11-24", "4"), check("9")),
		"a page before a checkpoint":      swapped(check("9"), pageLine("2026-11-22", "1")),
		"no head":                         lines[1:],
		"two heads":                       slices.Concat(lines[:1], lines),
		"two ends":                        slices.Concat(lines, lines[len(lines)-1:]),
		"a page twice":                    slices.Insert(slices.Clone(lines), pageLine("2026-11-22", "1"), lines[pageLine("2026-11-22", "1")]),
	} {
		if _, err := w.verified(t, resealed(t, changed), w.made[8].Signed); !errors.Is(err, ErrBroken) {
			t.Errorf("%s: got %v, want ErrBroken", name, err)
		}
	}
}

// If an export could say that it is from the future, all that was taken out of it would seem to have expired.
func TestAnExportFromTheFutureIsNotVerified(t *testing.T) {
	w := threeDays(t)
	lines := strings.SplitAfter(strings.TrimSuffix(w.export(t), "\n"), "\n")
	var head exportedOrg
	if err := json.Unmarshal([]byte(lines[0]), &head); err != nil {
		t.Fatal(err)
	}
	head.At = head.At.Add(2 * keptFor)
	text, err := json.Marshal(head)
	if err != nil {
		t.Fatal(err)
	}
	forged := resealed(t, []string{string(text) + "\n", lines[len(lines)-1]})
	if _, err := w.verified(t, forged); !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), "still to come") {
		t.Errorf("got %v", err)
	}
}

func TestALineOfAnExportHasNothingElseThanItsKindHas(t *testing.T) {
	w := threeDays(t)
	lines := strings.SplitAfter(strings.TrimSuffix(w.export(t), "\n"), "\n")
	at := lineOf(t, lines, `"kind":"page"`)
	for name, change := range map[string][2]string{
		"a field more":                {`{"kind":"page",`, `{"kind":"page","note":1,`},
		"a field twice":               {`{"kind":"page",`, `{"kind":"page","page":1,`},
		"white space":                 {`"shard":0`, `"shard": 0`},
		"the case of a name":          {`"shard":0`, `"Shard":0`},
		"another kind":                {`{"kind":"page"`, `{"kind":"leaf"`},
		"an event that shows another": {`challenge.sent`, `challenge.failed`},
		"another page":                {`"page":1`, `"page":7`},
		"a page of no day":            {`"day":"2026-11-22"`, `"day":"2026-11-2"`},
	} {
		changed := slices.Clone(lines)
		if changed[at] = strings.Replace(lines[at], change[0], change[1], 1); changed[at] == lines[at] {
			t.Fatalf("%s: nothing has changed", name)
		}
		if _, err := w.verified(t, resealed(t, changed)); !errors.Is(err, ErrBroken) {
			t.Errorf("%s: got %v, want ErrBroken", name, err)
		}
	}
}

// What somebody else reads in an export must not have more than what the activity says openly.
func TestAnExportHasNothingThatIsEncrypted(t *testing.T) {
	w := signed(t, "ana-the-user")
	filing := w.filings(t, []toFile{{id: "ev_1", kind: sent, user: "ana-the-user", at: w.clock.Now()}})
	filing[0].Data = map[string]any{"ip": "203.0.113.77"}
	if err := w.File(t.Context(), filing); err != nil {
		t.Fatal(err)
	}
	w.checkpoint(t)
	export := w.export(t)
	for _, secret := range []string{"ana-the-user", "203.0.113.77", string(filing[0].Key)} {
		if strings.Contains(export, secret) {
			t.Errorf("the export has %q", secret)
		}
	}
	if !strings.Contains(export, `"type":"challenge.sent"`) || !strings.Contains(export, `"id":"ev_1"`) {
		t.Errorf("the export doesn't say what happened: %s", export)
	}
}

// An export is read by a program that has never seen the org, so whatever stands in a file must not make it fail otherwise.
func FuzzAnExportIsReadOrRefused(f *testing.F) {
	f.Add([]byte(`{"kind":"organisation","format":1,"org":"acme","route":"AAAAAAAAAAAAAAAAAAAAAA==","at":"2026-11-22T10:00:00Z","keys":{}}` + "\n"))
	f.Add([]byte(`{"kind":"end","lines":0,"sha256":""}` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
		read, err := ReadExport(t.Context(), bytes.NewReader(text), storetest.NewModel(func() time.Time { return now }), now)
		if (err == nil) != (read != nil) {
			t.Errorf("got %v, %v", read, err)
		}
		if read != nil {
			read.Log.Verify(t.Context(), read.Route, read.Keys)
		}
	})
}
