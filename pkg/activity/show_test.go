package activity

import (
	"strings"
	"testing"
	"time"

	"countersign/pkg/store"
)

func TestADayAndAPageAreShownWithoutWhatIsEncrypted(t *testing.T) {
	users := ofShards(2)
	w := onModel(t, users...)
	w.PerShard = 1
	w.fileOne(t, w.clock.Now(), users...)
	w.clock.Advance(24 * time.Hour)
	filings := w.filings(t, []toFile{{id: "ev_1", kind: sent, user: users[0], at: w.clock.Now()}, {id: "ev_2", kind: changed, at: w.clock.Now()}})
	filings[0].Actor, filings[0].Data = Actor{"administrator", "olga"}, map[string]any{"reason": "secretplace"}
	filings[1].Data = map[string]any{"changed": []any{"trust"}}
	if err := w.File(t.Context(), filings); err != nil {
		t.Fatal(err)
	}
	d := w.dayAt(t, w.clock.Now())
	day, err := Show(w.items(t, daysPartition(acme))[1])
	if err != nil {
		t.Fatal(err)
	}
	want := `{"format":1,"shards":2,"opened":"2026-11-23T10:00:00Z","earlier":"2026-11-22",` +
		`"heads":[{"number":1,"hash":"` + b64(d.Heads[0].Hash) + `"}],"begun":[0],"hash":"` + b64(d.hash()) + `"}`
	if got := asJSON(t, day); got != want {
		t.Errorf("the day: got  %s\nwant %s", got, want)
	}
	item := w.pagesAt(t, w.clock.Now(), 0)[0]
	page, err := Show(item)
	if err != nil {
		t.Fatal(err)
	}
	p, err := readPage(dayOf(w.clock.Now()), item)
	if err != nil {
		t.Fatal(err)
	}
	want = `{"format":1,"shards":2,"filed":"2026-11-23T10:00:00Z","before":"` + b64(d.hash()) + `","count":2,"hash":"` + b64(p.hash()) + `","entries":[` +
		`{"digest":"` + b64(p.entries[0].digest()) + `","count":1,"time":"2026-11-23T10:00:00Z","user":"` + b64(userRoute(users[0]).user()) + `",` +
		`"actor":{"kind":"administrator"},"policy_version":2,"events":[{"id":"ev_1","type":"challenge.sent"}],"encrypted_bytes":`
	got := asJSON(t, page)
	if !strings.HasPrefix(got, want) || !strings.Contains(got, `"id":"ev_2","type":"policy.changed","data":{"changed":["trust"]}`) {
		t.Errorf("the page: got  %s\nwant %s …", got, want)
	}
	for _, text := range []string{"olga", "secretplace", users[0] + `"`} {
		if strings.Contains(got, text) {
			t.Errorf("the page: %s is in %s", text, got)
		}
	}
	erased, err := p.entries[0].erase()
	if err != nil {
		t.Fatal(err)
	}
	w.alterPage(t, item, erasing(erased))
	if page, err = Show(w.pagesAt(t, w.clock.Now(), 0)[0]); err != nil {
		t.Fatal(err)
	}
	want = `"hash":"` + b64(p.hash()) + `","entries":[{"digest":"` + b64(p.entries[0].digest()) + `","erased":true,"count":1}`
	if got := asJSON(t, page); !strings.Contains(got, want) {
		t.Errorf("an entry that was taken away: got %s\nwant %s", got, want)
	}
	for name, item := range map[string]store.Item{
		"another item":   {Key: store.Key{Partition: "org#x", Sort: "policy"}},
		"another day":    {Key: store.Key{Partition: "act#x", Sort: "2026-11-22"}, Body: []byte("{")},
		"another page":   {Key: store.Key{Partition: "act#x#2026-11-22#0", Sort: "11"}, Body: []byte("{")},
		"an older place": {Key: store.Key{Partition: "act#x#2026-11-22", Sort: "11"}, Body: item.Body},
	} {
		if shown, err := Show(item); err == nil {
			t.Errorf("%s: got %v, want an error", name, shown)
		}
	}
}

// erasing replaces the first entry of a page by what is left of it when it is taken away.
func erasing(left []byte) func(*page) { return func(p *page) { p.Entries[0] = left } }
