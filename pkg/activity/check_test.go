package activity

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"countersign/pkg/store"
	"countersign/pkg/store/fault"
	"countersign/pkg/store/record"
)

// fileOne files one batch, which has an event of the moment at about each of these users.
func (w *world) fileOne(t *testing.T, at time.Time, users ...string) {
	t.Helper()
	var batch []toFile
	for _, user := range users {
		batch = append(batch, toFile{id: fmt.Sprint("ev_", store.NewVersion()), kind: sent, user: user, at: at})
	}
	w.file(t, batch...)
}

// dayAt returns the day of a moment.
func (w *world) dayAt(t *testing.T, at time.Time) *storedDay {
	t.Helper()
	item, err := store.GetOne(t.Context(), w.read, dayKey(acme, dayOf(at)))
	if err != nil {
		t.Fatal(err)
	}
	d, err := readDay(item)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// items returns the items of a partition.
func (w *world) items(t *testing.T, partition string) []store.Item {
	t.Helper()
	found, err := w.read.Query(t.Context(), store.Query{Partition: partition})
	if err != nil || found.More {
		t.Fatalf("got more: %v, %v", found.More, err)
	}
	return found.Items
}

// pagesAt returns the pages of a shard on the day of a moment.
func (w *world) pagesAt(t *testing.T, at time.Time, shard int) []store.Item {
	t.Helper()
	return w.items(t, pagePartition(acme, dayOf(at), shard))
}

func (w *world) commit(t *testing.T, writes ...store.Write) {
	t.Helper()
	if err := w.read.Commit(t.Context(), store.NewVersion(), writes...); err != nil {
		t.Fatal(err)
	}
}

// rewrite replaces an item by a record.
func (w *world) rewrite(t *testing.T, item store.Item, r record.Record) {
	t.Helper()
	body, err := record.Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	w.commit(t, store.Write{Key: item.Key, Expect: item.Version, Body: body, Expires: item.Expires})
}

// rewritePage replaces an item by a page.
func (w *world) rewritePage(t *testing.T, item store.Item, p *page) {
	t.Helper()
	body, err := p.encode()
	if err != nil {
		t.Fatal(err)
	}
	w.commit(t, store.Write{Key: item.Key, Expect: item.Version, Body: body, Expires: item.Expires})
}

// alterPage changes a page, and leaves what is linked to it as it is.
func (w *world) alterPage(t *testing.T, item store.Item, change func(*page)) {
	t.Helper()
	p, err := readPage(dayOf(w.clock.Now()), item)
	if err != nil {
		t.Fatal(err)
	}
	change(&p.page)
	w.rewritePage(t, item, &p.page)
}

// alterDay changes what a day says, and leaves what is linked to it as it is.
func (w *world) alterDay(t *testing.T, at time.Time, change func(*day)) {
	t.Helper()
	d := w.dayAt(t, at)
	change(&d.day)
	w.rewrite(t, d.Item, &d.day)
}

// forgeDay changes what a day says, and links all of its pages to that, as somebody would do to hide the change.
func (w *world) forgeDay(t *testing.T, at time.Time, change func(*day)) {
	t.Helper()
	w.alterDay(t, at, change)
	d := w.dayAt(t, at)
	for shard := range mostShards {
		before := d.hash()
		for _, item := range w.pagesAt(t, at, shard) {
			w.alterPage(t, item, func(p *page) { p.Before = before })
			again, err := store.GetOne(t.Context(), w.read, item.Key)
			if err != nil {
				t.Fatal(err)
			}
			p, err := readPage(d.name, again)
			if err != nil {
				t.Fatal(err)
			}
			before = p.hash()
		}
	}
}

func (w *world) remove(t *testing.T, items ...store.Item) {
	t.Helper()
	writes := []store.Write{{Key: store.Key{Partition: "elsewhere", Sort: string(store.NewVersion())}}} // because a commit must have a put
	for _, item := range items {
		writes = append(writes, store.Write{Key: item.Key, Expect: item.Version, Delete: true})
	}
	w.commit(t, writes...)
}

// move puts a page under another key.
func (w *world) move(t *testing.T, page store.Item, key store.Key) {
	t.Helper()
	w.remove(t, page)
	w.commit(t, store.Write{Key: key, Body: page.Body, Expires: page.Expires})
}

// numbered returns the key of another page of the same shard.
func numbered(page store.Item, number string) store.Key {
	return store.Key{Partition: page.Key.Partition, Sort: number}
}

// inEachShard returns two users, who are in different shards if there are several.
var inEachShard = func() []string {
	for n := 1; ; n++ {
		if other := "u-" + strconv.Itoa(n); userRoute("u-0").shard(2) == 0 && userRoute(other).shard(2) == 1 {
			return []string{"u-0", other}
		}
	}
}()

// fourDays files two batches on each of three days, and one on a fourth day, about users of each shard. From the second day on there
// are that many shards, which is 1 or 2.
func fourDays(t *testing.T, shards int) (w *world, days []time.Time) {
	t.Helper()
	w = onModel(t, inEachShard...)
	w.PerShard = 4 / shards // because 4 events are filed on each of the first three days
	for n := range 4 {
		days = append(days, w.clock.Now())
		w.fileOne(t, w.clock.Now(), inEachShard...)
		w.clock.Advance(time.Hour)
		if n < 3 {
			w.fileOne(t, w.clock.Now(), inEachShard...)
			w.clock.Advance(47 * time.Hour)
		}
	}
	want := 7
	if shards == 2 {
		want = 2 + 4 + 4 + 2
	}
	if pages, err := w.Check(t.Context(), acme); err != nil || pages != want {
		t.Fatalf("got %d pages, %v, want %d", pages, err, want)
	}
	return w, days
}

func TestADayThatIsNotLinkedToTheLastPagesOfTheDayBeforeIsFound(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, w *world, days []time.Time, shard int){
		"not linked": func(t *testing.T, w *world, days []time.Time, _ int) {
			w.forgeDay(t, days[3], func(d *day) { d.Earlier, d.Heads = "", nil })
		},
		"linked to no hash": func(t *testing.T, w *world, days []time.Time, shard int) {
			w.forgeDay(t, days[3], func(d *day) { d.Heads[shard].Hash = nil })
		},
		"linked to no page": func(t *testing.T, w *world, days []time.Time, shard int) {
			w.forgeDay(t, days[3], func(d *day) { d.Heads[shard] = head{} })
		},
		"linked to no pages": func(t *testing.T, w *world, days []time.Time, _ int) {
			w.forgeDay(t, days[3], func(d *day) { d.Heads = nil })
		},
		"linked to no day": func(t *testing.T, w *world, days []time.Time, _ int) {
			w.forgeDay(t, days[3], func(d *day) { d.Earlier = "" })
		},
		"linked to another hash": func(t *testing.T, w *world, days []time.Time, shard int) {
			w.forgeDay(t, days[3], func(d *day) { d.Heads[shard].Hash = []byte("AAAA") })
		},
		"linked to a shard that the day before doesn't have": func(t *testing.T, w *world, days []time.Time, _ int) {
			w.forgeDay(t, days[3], func(d *day) { d.Heads = append(d.Heads, head{}) })
		},
		"its first page under another number": func(t *testing.T, w *world, days []time.Time, shard int) {
			first := w.pagesAt(t, days[3], shard)[0]
			w.move(t, first, numbered(first, "12"))
		},
		"the last page of the last day, under another number": func(t *testing.T, w *world, days []time.Time, shard int) {
			w.fileOne(t, w.clock.Now(), inEachShard...)
			last := w.pagesAt(t, days[3], shard)[1]
			w.move(t, last, numbered(last, "13"))
		},
		"the first of all, linked to what isn't there": func(t *testing.T, w *world, days []time.Time, _ int) {
			before := days[0].Add(-240 * time.Hour)
			w.fileOne(t, before, inEachShard...)
			w.forgeDay(t, before, func(d *day) { d.Heads = []head{{1, []byte("AAAA")}} })
		},
		"linked to a later day": func(t *testing.T, w *world, days []time.Time, _ int) {
			before := days[0].Add(-240 * time.Hour)
			w.fileOne(t, before, inEachShard...)
			linked := w.dayAt(t, days[3])
			w.forgeDay(t, before, func(d *day) { d.Earlier, d.Heads = linked.Earlier, linked.Heads })
		},
		"linked to itself": func(t *testing.T, w *world, days []time.Time, _ int) {
			w.forgeDay(t, days[3], func(d *day) { d.Earlier = dayOf(days[3]) })
		},
		"linked to the page before the last": func(t *testing.T, w *world, days []time.Time, shard int) {
			first, err := readPage(dayOf(w.clock.Now()), w.pagesAt(t, days[2], shard)[0])
			if err != nil {
				t.Fatal(err)
			}
			w.forgeDay(t, days[3], func(d *day) { d.Heads[shard] = head{1, first.hash()} })
		},
		"linked to the day before the last": func(t *testing.T, w *world, days []time.Time, _ int) {
			linked := w.dayAt(t, days[2])
			w.forgeDay(t, days[3], func(d *day) { d.Earlier, d.Heads = linked.Earlier, linked.Heads })
		},
		"linked to a page that was removed": func(t *testing.T, w *world, days []time.Time, shard int) {
			w.remove(t, w.pagesAt(t, days[2], shard)[1])
		},
		"linked to a page that was altered": func(t *testing.T, w *world, days []time.Time, shard int) {
			w.alterPage(t, w.pagesAt(t, days[2], shard)[1], func(p *page) { p.Filed++ })
		},
		"linked to a day that was removed": func(t *testing.T, w *world, days []time.Time, _ int) {
			for shard := range 2 {
				w.remove(t, w.pagesAt(t, days[2], shard)...)
			}
			w.remove(t, w.dayAt(t, days[2]).Item)
		},
		"linked to a day that was removed but for its pages": func(t *testing.T, w *world, days []time.Time, _ int) {
			w.remove(t, w.dayAt(t, days[2]).Item)
		},
		"linked to a shard that was removed, with all that says that it had begun": func(t *testing.T, w *world, days []time.Time, shard int) {
			w.remove(t, w.pagesAt(t, days[2], shard)...)
			w.alterDay(t, days[2], func(d *day) { d.Begun &^= 1 << shard })
		},
		"the last day, removed but for its name": func(t *testing.T, w *world, days []time.Time, _ int) {
			for shard := range 2 {
				w.remove(t, w.pagesAt(t, days[3], shard)...)
			}
		},
		"a shard of the last day, removed": func(t *testing.T, w *world, days []time.Time, shard int) {
			w.remove(t, w.pagesAt(t, days[3], shard)...)
		},
		"all shards of the last day, removed and said not to have begun": func(t *testing.T, w *world, days []time.Time, _ int) {
			for shard := range 2 {
				w.remove(t, w.pagesAt(t, days[3], shard)...)
			}
			w.alterDay(t, days[3], func(d *day) { d.Begun = 0 })
		},
		"a shard that is said not to have begun": func(t *testing.T, w *world, days []time.Time, shard int) {
			w.alterDay(t, days[3], func(d *day) { d.Begun &^= 1 << shard })
		},
		"a shard more that is said to have begun": func(t *testing.T, w *world, days []time.Time, _ int) {
			w.alterDay(t, days[3], func(d *day) { d.Begun |= 1 << d.Shards })
		},
		"the first page of the last day, with more behind it": func(t *testing.T, w *world, days []time.Time, shard int) {
			w.fileOne(t, w.clock.Now(), inEachShard...)
			w.remove(t, w.pagesAt(t, days[3], shard)[0])
		},
		"another number of shards": func(t *testing.T, w *world, days []time.Time, _ int) {
			w.alterDay(t, days[3], func(d *day) { d.Shards *= 2 })
		},
		"another number of shards, forged into the day": func(t *testing.T, w *world, days []time.Time, _ int) {
			w.forgeDay(t, days[3], func(d *day) { d.Shards *= 2 })
		},
		"another number of shards of an earlier day, forged into all its pages": func(t *testing.T, w *world, days []time.Time, _ int) {
			for shard := range 2 {
				for _, item := range w.pagesAt(t, days[1], shard) {
					w.alterPage(t, item, func(p *page) { p.Shards *= 2 })
				}
			}
			w.forgeDay(t, days[1], func(d *day) { d.Shards *= 2 })
		},
		"another moment of opening": func(t *testing.T, w *world, days []time.Time, _ int) {
			w.alterDay(t, days[3], func(d *day) { d.Opened = d.Opened.Add(time.Second) })
		},
		"pages that don't count": func(t *testing.T, w *world, days []time.Time, shard int) {
			w.alterPage(t, w.pagesAt(t, days[3], shard)[0], func(p *page) { p.Count++ })
		},
	} {
		for shards := 1; shards <= 2; shards++ {
			for shard := range shards {
				t.Run(fmt.Sprintf("%s, in shard %d of %d", name, shard, shards), func(t *testing.T) {
					w, days := fourDays(t, shards)
					w.forgeDay(t, days[3], func(*day) {})
					if _, err := w.Check(t.Context(), acme); err != nil {
						t.Fatalf("written again as it was: %v", err)
					}
					spoil(t, w, days, shard)
					if _, err := w.Check(t.Context(), acme); !errors.Is(err, ErrBroken) {
						t.Errorf("got %v, want %v", err, ErrBroken)
					}
				})
			}
		}
	}
}

func TestDaysThatAreFiledLateAreLinkedAsTheyWereFiled(t *testing.T) {
	for _, each := range []int{0, 1} { // the events for which there is a shard
		w := onModel(t, inEachShard...)
		w.PerShard = each
		day := func(n int) time.Time { return w.clock.Now().Add(time.Duration(n) * 24 * time.Hour) }
		for _, n := range []int{0, -2, -1, 0, -2, -3, -1, 0} { // days from the moment: some events come late, and some come twice
			w.fileOne(t, day(n), inEachShard...)
			w.clock.Advance(time.Hour)
			if _, err := w.Check(t.Context(), acme); err != nil {
				t.Fatalf("after one of %d days ago: %v", -n, err)
			}
		}
	}
}

// beside lets another publisher file an event just before the log commits.
func (w *world) beside(t *testing.T, e toFile, perShard int) {
	w.faults.Inject(fault.Commit, 1, fault.Fault{Before: func(ctx context.Context) error {
		beside := w.Log
		beside.Store, beside.Commit = w.read, committing(w.read, w.clock.Now) // because no fault is injected there
		beside.PerShard = perShard
		return beside.File(ctx, w.filings(t, []toFile{e}))
	}})
}

func TestTwoDaysThatAreFiledAtOnceAreNotTakenForBroken(t *testing.T) {
	w := onModel(t, "u-0")
	w.beside(t, toFile{id: "ev_beside", kind: sent, user: "u-0", at: w.clock.Now().Add(-24 * time.Hour)}, 0)
	w.fileOne(t, w.clock.Now(), "u-0")
	if pages, err := w.Check(t.Context(), acme); err != nil || pages != 2 {
		t.Errorf("got %d pages, %v, want 2", pages, err)
	}
}

func TestTheChainHoldsAndADayIsThereWholeWhenOldDaysAreGone(t *testing.T) {
	for _, each := range []int{0, 2} { // the events for which there is a shard
		w := onModel(t, inEachShard...)
		w.PerShard = each // there are two shards each day, because a batch is filed at least twice
		filed := map[string]int{}
		tell := func(at time.Time) {
			w.fileOne(t, at, inEachShard...)
			filed[dayOf(at)] += len(inEachShard)
		}
		for range 410 {
			tell(w.clock.Now())
			if w.clock.Now().Day()%5 == 0 {
				tell(w.clock.Now().Add(-30 * time.Hour)) // an event that comes late is filed with the others of its day
			}
			w.clock.Advance(12 * time.Hour)
			tell(w.clock.Now())
			w.clock.Advance(12 * time.Hour)
		}
		for hour := range 27 {
			pages, err := w.Check(t.Context(), acme)
			if err != nil {
				t.Fatalf("%d hours later: %v", hour, err)
			}
			got, want, all := map[string]int{}, 0, 0
			w.pages(t, Query{Limit: 200}, func(_ int, events []Event, _ bool) {
				for _, e := range events {
					got[dayOf(e.Time)]++
					all++
				}
			})
			for day, n := range filed {
				began, _ := time.Parse(time.DateOnly, day)
				kept := w.clock.Now().Before(began.Add(401 * 24 * time.Hour)) // that is until 400 days after the end of the day
				if kept && got[day] != n || !kept && got[day] != 0 {
					t.Errorf("%d hours later: got %d events of %s, want %d, kept %v", hour, got[day], day, n, kept)
				}
				if kept {
					want += n
				}
			}
			wantPages := want
			if each == 0 {
				wantPages /= len(inEachShard)
			}
			if all != want || pages != wantPages {
				t.Errorf("%d hours later: got %d events on %d pages, want %d on %d", hour, all, pages, want, wantPages)
			}
			w.clock.Advance(time.Hour)
		}
	}
}
