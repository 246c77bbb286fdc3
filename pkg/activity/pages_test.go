package activity

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

func TestWhatOneCommitBroughtIsSpreadOverPagesWhereItIsTooMuchForOne(t *testing.T) {
	for name, c := range map[string]struct{ events, padding, pages int }{
		"as many as a page takes": {100, 0, 1},
		"one more":                {101, 0, 2},
		"many":                    {250, 0, 3},
		"as big as a page":        {3, 15_000, 1},
		"too big together":        {4, 15_000, 2},
		"too big each":            {2, 55_000, 2},
	} {
		w := onModel(t, "u-0")
		var batch []toFile
		for i := range c.events {
			batch = append(batch, toFile{id: fmt.Sprintf("ev_%03d", i), kind: sent, user: "u-0", at: w.clock.Now(), padding: c.padding})
		}
		filings := w.filings(t, batch)
		for i := range filings {
			filings[i].Data["place"] = float64(i)
			filings[i].Data["padding"] = fmt.Sprint(i) + noise(c.padding) // so no two events say the same
		}
		if err := w.File(t.Context(), filings); err != nil {
			t.Fatal(err)
		}
		if got := len(w.pagesAt(t, w.clock.Now(), 0)); got != c.pages {
			t.Errorf("%s: got %d pages, want %d", name, got, c.pages)
		}
		next := c.events
		w.pages(t, Query{}, func(_ int, events []Event, _ bool) {
			for _, e := range events {
				if next--; e.Data["place"] != int64(next) {
					t.Errorf("%s: got %v in place %d", name, e.Data["place"], next)
				}
			}
		})
		if _, err := w.Check(t.Context(), acme); err != nil || next != 0 {
			t.Errorf("%s: %v, and %d events are missing", name, err, next)
		}
	}
}

// The chain depends on the hashes. Check also looks at most of what they cover, so only this test shows that they cover it.
func TestTheHashOfADayAndOfAPageIsOfAllThatTheySay(t *testing.T) {
	entries := func() []*storedEntry {
		return []*storedEntry{stored(t, about(nil, nil)...), {header: header{Erased: make([]byte, 32), Count: 2}}}
	}
	one := entries()
	pages := map[string]string{}
	for name, change := range map[string]func(*storedPage){
		"as it is":                 func(*storedPage) {},
		"another place":            func(p *storedPage) { p.key.Partition = "act#o#2026-11-22#1" },
		"another number":           func(p *storedPage) { p.key.Sort = "12" },
		"another number of shards": func(p *storedPage) { p.Shards = 2 },
		"another moment":           func(p *storedPage) { p.Filed++ },
		"another page before":      func(p *storedPage) { p.Before = []byte("other") },
		"another count":            func(p *storedPage) { p.Count++ },
		"another entry":            func(p *storedPage) { p.entries = []*storedEntry{entries()[0], one[1]} },
		"another order":            func(p *storedPage) { p.entries = []*storedEntry{one[1], one[0]} },
		"an entry less":            func(p *storedPage) { p.entries = one[:1] },
		"an entry of other events": func(p *storedPage) {
			p.entries = []*storedEntry{one[0], {header: header{Erased: one[1].Erased, Count: 3}}}
		},
	} {
		p := &storedPage{entries: one, page: page{Shards: 1, Filed: 5, Before: []byte("before"), Count: 3}}
		p.key = store.Key{Partition: "act#o#2026-11-22#0", Sort: "11"}
		change(p)
		hash := string(p.hash())
		if other, there := pages[hash]; there {
			t.Errorf("a page with %s has the hash of the page %s", name, other)
		}
		pages[hash] = name
	}
	days := map[string]string{}
	for name, change := range map[string]func(*storedDay){
		"as it is":                 func(*storedDay) {},
		"another org":              func(d *storedDay) { d.Item.Key.Partition = "act#p" },
		"another day":              func(d *storedDay) { d.name = "2026-11-23" },
		"another number of shards": func(d *storedDay) { d.Shards = 2 },
		"another moment":           func(d *storedDay) { d.Opened = now.Add(1) },
		"another day before":       func(d *storedDay) { d.Earlier = "2026-11-20" },
		"another page before":      func(d *storedDay) { d.Heads = []head{{2, []byte("hash")}, {}} },
		"another hash before":      func(d *storedDay) { d.Heads = []head{{1, []byte("other")}, {}} },
		"another shard before":     func(d *storedDay) { d.Heads = []head{{}, {1, []byte("hash")}} },
		"a shard less before":      func(d *storedDay) { d.Heads = d.Heads[:1] },
	} {
		d := &storedDay{name: "2026-11-22", day: day{Shards: 1, Opened: now, Earlier: "2026-11-21", Heads: []head{{1, []byte("hash")}, {}}}}
		d.Item.Key.Partition = "act#o"
		change(d)
		hash := string(d.hash())
		if other, there := days[hash]; there {
			t.Errorf("a day with %s has the hash of the day %s", name, other)
		}
		days[hash] = name
	}
}

func TestAPageOfAFormatThatIsNotKnownIsRefused(t *testing.T) {
	for _, format := range []int{-1, 0, record.Latest + 1} {
		body, err := encoding.Marshal(map[int]any{0: format, 99: "of later days"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readPage("2026-11-22", store.Item{Key: store.Key{Sort: "11"}, Body: body}); !errors.Is(err, record.ErrUnreadable) || !strings.Contains(err.Error(), fmt.Sprint("format ", format)) {
			t.Errorf("format %d: got %v", format, err)
		}
	}
	for name, body := range map[string][]byte{"nothing": nil, "JSON": []byte(`{"format":1}`), "a field that is not known": {0xa2, 0, 1, 0x18, 99, 0}} {
		if _, err := readPage("2026-11-22", store.Item{Key: store.Key{Sort: "11"}, Body: body}); !errors.Is(err, record.ErrUnreadable) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
