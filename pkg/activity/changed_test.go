package activity

import (
	"errors"
	"slices"
	"testing"

	"countersign/pkg/store"
)

func TestWhateverIsChangedInTheActivityIsFound(t *testing.T) {
	w := onModel(t, "u-0")
	for range 3 {
		w.fileOne(t, w.clock.Now(), "u-0")
	}
	if _, err := w.Check(t.Context(), acme); err != nil {
		t.Fatal(err)
	}
	if n := len(w.pagesAt(t, w.clock.Now(), 0)); n != 3 {
		t.Fatalf("got %d pages, want 3", n)
	}
	was, err := readPage(dayOf(w.clock.Now()), w.pagesAt(t, w.clock.Now(), 0)[1])
	if err != nil {
		t.Fatal(err)
	}
	alter := func(change func(*page)) {
		p := was.page
		p.Entries = slices.Clone(was.Entries)
		change(&p)
		w.rewritePage(t, w.pagesAt(t, w.clock.Now(), 0)[1], &p)
	}
	altered := func(b []byte) []byte {
		b = slices.Clone(b)
		b[len(b)/2] ^= 1
		return b
	}
	erased := func(e *storedEntry) []byte {
		b, err := e.erase()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	// altering returns a function that changes the header of the only entry on the page.
	altering := func(change func(*header)) func(*page) {
		return func(p *page) {
			h := was.entries[0].header
			change(&h)
			open, err := encoding.Marshal(&h)
			if err != nil {
				t.Fatal(err)
			}
			p.Entries[0] = append(open, was.entries[0].sealed...)
		}
	}
	for what, change := range map[string]func(*page){
		"another type":           altering(func(h *header) { h.Events = []any{"challenge.failed", h.Events[1]} }),
		"another id":             altering(func(h *header) { h.Events = []any{h.Events[0], "ev_other"} }),
		"another event":          altering(func(h *header) { h.Events = append(h.Events, h.Events...) }),
		"another moment":         altering(func(h *header) { h.Ago++ }),
		"another user":           altering(func(h *header) { h.User = []byte(userRoute("u-1").user()) }),
		"another actor":          altering(func(h *header) { h.ActorID = "other" }),
		"another policy version": altering(func(h *header) { h.Policy++ }),
		"another encrypted part": func(p *page) { p.Entries[0] = slices.Concat(was.entries[0].open, altered(was.entries[0].sealed)) },
		"an entry more":          func(p *page) { p.Entries = append(p.Entries, p.Entries[0]) },
		"no entry":               func(p *page) { p.Entries = nil },
		"another digest":         func(p *page) { p.Entries[0] = altered(erased(was.entries[0])) },
		"an entry of other events": func(p *page) {
			p.Entries[0] = erased(&storedEntry{header: header{Events: make([]any, 4)}, bytes: was.entries[0].bytes})
		},
		"another time":             func(p *page) { p.Filed += 1000 },
		"another hash":             func(p *page) { p.Before = altered(p.Before) },
		"no hash":                  func(p *page) { p.Before = nil },
		"another count":            func(p *page) { p.Count++ },
		"another number of shards": func(p *page) { p.Shards *= 2 },
	} {
		alter(change)
		if _, err := w.Check(t.Context(), acme); !errors.Is(err, ErrBroken) {
			t.Errorf("%s: got %v, want %v", what, err, ErrBroken)
		}
	}
	// Some changes make an entry that can't be read at all.
	for what, change := range map[string]func(*page){
		"no encrypted part": func(p *page) { p.Entries[0] = was.entries[0].open },
		"no header":         func(p *page) { p.Entries[0] = was.entries[0].sealed },
		"nothing":           func(p *page) { p.Entries[0] = nil },
		"no user":           altering(func(h *header) { h.User = nil }),
	} {
		alter(change)
		if _, err := w.Check(t.Context(), acme); err == nil {
			t.Errorf("%s: got no error", what)
		}
	}
	alter(func(p *page) { p.Entries[0] = erased(was.entries[0]) })
	if _, err := w.Check(t.Context(), acme); err != nil {
		t.Errorf("nothing but a digest: %v", err)
	}
	if events, _ := w.page(t, Query{}); len(events) != 2 {
		t.Errorf("nothing but a digest: got %d events, want the other two", len(events))
	}
	alter(func(*page) {})
	if _, err := w.Check(t.Context(), acme); err != nil {
		t.Errorf("as it was: %v", err)
	}
	put := w.pagesAt(t, w.clock.Now(), 0)[1]
	w.commit(t, store.Write{Key: numbered(put, "299"), Body: put.Body, Expires: put.Expires})
	if _, err := w.Check(t.Context(), acme); !errors.Is(err, ErrBroken) {
		t.Errorf("a page that was put in: got %v", err)
	}
}
