package activity_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/store"
	"countersign/pkg/store/fault"
	"countersign/pkg/store/storetest"
)

// fileOne files a page with one event of the moment at.
func (f *world) fileOne(t *testing.T, at time.Time) {
	t.Helper()
	f.file(t, toFile{id: fmt.Sprint("ev_", store.NewVersion()), kind: sent, user: "u-0", at: at})
}

// pagesOf are the pages of a day, by number.
func (f *world) pagesOf(t *testing.T, day time.Time) (pages []store.Item) {
	t.Helper()
	suffix := "#" + day.Format(time.DateOnly)
	for _, item := range f.read.Store.(*storetest.Model).Items() {
		if p := item.Key.Partition; p[:4] == "act#" && p[len(p)-len(suffix):] == suffix {
			pages = append(pages, item)
		}
	}
	return pages
}

// rewrite changes fields of an item's body, and leaves the bytes of all others as they are.
func (f *world) rewrite(t *testing.T, item store.Item, change func(map[string]any)) {
	t.Helper()
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(item.Body, &fields); err != nil {
		t.Fatal(err)
	}
	body := map[string]any{}
	for name, value := range fields {
		body[name] = value
	}
	change(body)
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	w := store.Write{Key: item.Key, Expect: item.Version, Body: text, Expires: item.Expires}
	if err := f.read.Commit(t.Context(), store.NewVersion(), w); err != nil {
		t.Fatal(err)
	}
}

func (f *world) remove(t *testing.T, items ...store.Item) {
	t.Helper()
	writes := []store.Write{{Key: store.Key{Partition: "elsewhere", Sort: string(store.NewVersion())}}} // a commit has a put
	for _, item := range items {
		writes = append(writes, store.Write{Key: item.Key, Expect: item.Version, Delete: true})
	}
	if err := f.read.Commit(t.Context(), store.NewVersion(), writes...); err != nil {
		t.Fatal(err)
	}
}

// move puts a page under another number.
func (f *world) move(t *testing.T, page store.Item, number string) {
	t.Helper()
	f.remove(t, page)
	w := store.Write{Key: store.Key{Partition: page.Key.Partition, Sort: number}, Body: page.Body, Expires: page.Expires}
	if err := f.read.Commit(t.Context(), store.NewVersion(), w); err != nil {
		t.Fatal(err)
	}
}

// threeDays files two pages on each of three days, and one on a fourth.
func threeDays(t *testing.T) (f *world, days []time.Time) {
	t.Helper()
	f = onModel(t, "u-0")
	for n := range 4 {
		days = append(days, f.clock.Now())
		f.fileOne(t, f.clock.Now())
		f.clock.Advance(time.Hour)
		if n < 3 {
			f.fileOne(t, f.clock.Now())
			f.clock.Advance(47 * time.Hour)
		}
	}
	if pages, err := f.Check(t.Context(), orgRoute()); err != nil || pages != 7 {
		t.Fatalf("got %d pages, %v, want 7", pages, err)
	}
	return f, days
}

func TestAFirstPageOfADayThatIsNotLinkedToTheLastOfTheDayBeforeIsFound(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, f *world, days []time.Time){
		"not linked": func(t *testing.T, f *world, days []time.Time) {
			f.rewrite(t, f.pagesOf(t, days[3])[0], func(page map[string]any) { delete(page, "before"); delete(page, "earlier") })
		},
		"linked to no hash": func(t *testing.T, f *world, days []time.Time) {
			f.rewrite(t, f.pagesOf(t, days[3])[0], func(page map[string]any) { delete(page, "before") })
		},
		"linked to no place": func(t *testing.T, f *world, days []time.Time) {
			f.rewrite(t, f.pagesOf(t, days[3])[0], func(page map[string]any) { delete(page, "earlier") })
		},
		"linked to another hash": func(t *testing.T, f *world, days []time.Time) {
			f.rewrite(t, f.pagesOf(t, days[3])[0], func(page map[string]any) { page["before"] = "AAAA" })
		},
		"under another number": func(t *testing.T, f *world, days []time.Time) {
			f.move(t, f.pagesOf(t, days[3])[0], "00000002")
		},
		"the last page of the last day, under another number": func(t *testing.T, f *world, days []time.Time) {
			f.fileOne(t, f.clock.Now())
			f.move(t, f.pagesOf(t, days[3])[1], "00000003")
		},
		"the first of all, linked to what isn't there": func(t *testing.T, f *world, days []time.Time) {
			before := days[0].Add(-240 * time.Hour)
			f.fileOne(t, before)
			f.rewrite(t, f.pagesOf(t, before)[0], func(page map[string]any) { page["before"] = "AAAA" })
		},
		"linked to a later day": func(t *testing.T, f *world, days []time.Time) {
			before := days[0].Add(-240 * time.Hour)
			f.fileOne(t, before)
			var linked struct {
				Before  string
				Earlier map[string]any
			}
			if err := json.Unmarshal(f.pagesOf(t, days[3])[0].Body, &linked); err != nil {
				t.Fatal(err)
			}
			f.rewrite(t, f.pagesOf(t, before)[0], func(page map[string]any) { page["before"], page["earlier"] = linked.Before, linked.Earlier })
		},
		"linked to itself": func(t *testing.T, f *world, days []time.Time) {
			f.rewrite(t, f.pagesOf(t, days[3])[0], func(page map[string]any) {
				page["earlier"] = map[string]any{"day": days[3].Format(time.DateOnly), "number": 1}
			})
		},
		"linked to the page before the last": func(t *testing.T, f *world, days []time.Time) {
			second := f.pagesOf(t, days[2])[1]
			var linked struct{ Before string }
			if err := json.Unmarshal(second.Body, &linked); err != nil {
				t.Fatal(err)
			}
			f.rewrite(t, f.pagesOf(t, days[3])[0], func(page map[string]any) {
				page["before"], page["earlier"] = linked.Before, map[string]any{"day": days[2].Format(time.DateOnly), "number": 1}
			})
		},
		"linked to the day before the last": func(t *testing.T, f *world, days []time.Time) {
			var linked struct {
				Before  string
				Earlier map[string]any
			}
			if err := json.Unmarshal(f.pagesOf(t, days[2])[0].Body, &linked); err != nil {
				t.Fatal(err)
			}
			f.rewrite(t, f.pagesOf(t, days[3])[0], func(page map[string]any) { page["before"], page["earlier"] = linked.Before, linked.Earlier })
		},
		"linked to a page that was removed": func(t *testing.T, f *world, days []time.Time) {
			f.remove(t, f.pagesOf(t, days[2])[1])
		},
		"linked to a page that was altered": func(t *testing.T, f *world, days []time.Time) {
			f.rewrite(t, f.pagesOf(t, days[2])[1], func(page map[string]any) { page["filed"] = f.clock.Now() })
		},
		"linked to a day that was removed": func(t *testing.T, f *world, days []time.Time) {
			f.remove(t, f.pagesOf(t, days[2])...)
			for _, item := range f.read.Store.(*storetest.Model).Items() {
				if item.Key.Partition[:4] == "act#" && item.Key.Sort == days[2].Format(time.DateOnly) {
					f.remove(t, item)
				}
			}
		},
		"the last day, removed but for its name": func(t *testing.T, f *world, days []time.Time) {
			f.remove(t, f.pagesOf(t, days[3])...)
		},
		"the first page of the last day, with more behind it": func(t *testing.T, f *world, days []time.Time) {
			f.fileOne(t, f.clock.Now())
			f.remove(t, f.pagesOf(t, days[3])[0])
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, days := threeDays(t)
			f.rewrite(t, f.pagesOf(t, days[3])[0], func(map[string]any) {})
			if _, err := f.Check(t.Context(), orgRoute()); err != nil {
				t.Fatalf("written again as it was: %v", err)
			}
			spoil(t, f, days)
			if _, err := f.Check(t.Context(), orgRoute()); !errors.Is(err, activity.ErrBroken) {
				t.Errorf("got %v, want %v", err, activity.ErrBroken)
			}
		})
	}
}

func TestDaysThatAreFiledLateAreLinkedAsTheyWereFiled(t *testing.T) {
	f := onModel(t, "u-0")
	day := func(n int) time.Time { return f.clock.Now().Add(time.Duration(n) * 24 * time.Hour) }
	for _, n := range []int{0, -2, -1, 0, -2, -3, -1, 0} { // days before the moment, the latest first, and again
		f.fileOne(t, day(n))
		f.clock.Advance(time.Hour)
		if _, err := f.Check(t.Context(), orgRoute()); err != nil {
			t.Fatalf("after one of %d days ago: %v", -n, err)
		}
	}
}

func TestTwoDaysThatAreFiledAtOnceAreNotTakenForBroken(t *testing.T) {
	f := onModel(t, "u-0")
	yesterday := f.clock.Now().Add(-24 * time.Hour)
	f.faults.Inject(fault.Commit, 1, fault.Fault{Before: func(ctx context.Context) error {
		beside := f.Log
		beside.Store, beside.Commit = f.read, committing(f.read, f.clock.Now) // where no fault waits
		return beside.File(ctx, f.filings(t, []toFile{{id: "ev_beside", kind: sent, user: "u-0", at: yesterday}}))
	}})
	f.fileOne(t, f.clock.Now())
	if pages, err := f.Check(t.Context(), orgRoute()); err != nil || pages != 2 {
		t.Errorf("got %d pages, %v, want 2", pages, err)
	}
}

func TestTheChainHoldsAndADayIsThereWholeWhenOldDaysAreGone(t *testing.T) {
	f := onModel(t, "u-0")
	filed := map[string]int{}
	tell := func(at time.Time) {
		f.fileOne(t, at)
		filed[at.Format(time.DateOnly)]++
	}
	for range 410 {
		tell(f.clock.Now())
		if f.clock.Now().Day()%5 == 0 {
			tell(f.clock.Now().Add(-30 * time.Hour)) // what comes late goes with the others of its day
		}
		f.clock.Advance(12 * time.Hour)
		tell(f.clock.Now())
		f.clock.Advance(12 * time.Hour)
	}
	for hour := range 27 {
		pages, err := f.Check(t.Context(), orgRoute())
		if err != nil {
			t.Fatalf("%d hours later: %v", hour, err)
		}
		got, want := map[string]int{}, 0
		f.pages(t, activity.Query{Limit: 200}, func(_ int, events []activity.Event, _ bool) {
			for _, e := range events {
				got[e.Time.Format(time.DateOnly)]++
			}
		})
		for day, n := range filed {
			began, _ := time.Parse(time.DateOnly, day)
			kept := f.clock.Now().Before(began.Add(401 * 24 * time.Hour)) // 400 from the day's end
			if kept && got[day] != n || !kept && got[day] != 0 {
				t.Errorf("%d hours later: got %d events of %s, want %d, kept %v", hour, got[day], day, n, kept)
			}
			if kept {
				want += n
			}
		}
		if pages != want {
			t.Errorf("%d hours later: got %d pages, want %d", hour, pages, want)
		}
		f.clock.Advance(time.Hour)
	}
}

func TestWhateverIsChangedInTheActivityIsFound(t *testing.T) {
	w := onModel(t, "u-0")
	for range 3 {
		w.fileOne(t, w.clock.Now())
	}
	if _, err := w.Check(t.Context(), orgRoute()); err != nil {
		t.Fatal(err)
	}
	pages := w.pagesOf(t, w.clock.Now())
	if len(pages) != 3 {
		t.Fatalf("got %d pages, want 3", len(pages))
	}
	middle := pages[1]
	altered := map[string]json.RawMessage{}
	var entries []map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(middle.Body, &altered), json.Unmarshal(altered["entries"], &entries)); err != nil {
		t.Fatal(err)
	}
	entry := entries[0]
	put := store.Write{Key: middle.Key, Expect: middle.Version, Expires: middle.Expires}
	check := func(what string, want error) {
		t.Helper()
		altered["entries"], _ = json.Marshal(entries)
		put.Body, _ = json.Marshal(altered)
		version := store.NewVersion()
		if err := w.Store.Commit(t.Context(), version, put); err != nil {
			t.Fatal(err)
		}
		put.Expect = version
		if _, err := w.Check(t.Context(), orgRoute()); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", what, err, want)
		}
	}
	for _, field := range []string{"body", "sealed", "of", "salt"} {
		was := entry[field]
		entry[field] = bytes.Replace(was, []byte(`"type":"`), []byte(`"type":"x`), 1)
		if field != "body" {
			entry[field] = slices.Concat(was[:1], []byte("AB"), was[3:])
		}
		if bytes.Equal(entry[field], was) {
			t.Fatalf("%s was not altered: %s", field, was)
		}
		check("altered "+field, activity.ErrBroken)
		delete(entry, field)
		check("no "+field, activity.ErrBroken)
		entry[field] = was
		check("as it was", nil)
	}
	for field, alteration := range map[string]string{
		"filed": `"2026-11-23T00:00:00Z"`, "before": `"AAAA"`, "earlier": `{"day":"2026-11-22","number":1}`,
	} {
		was, there := altered[field]
		altered[field] = json.RawMessage(alteration)
		check("altered "+field, activity.ErrBroken)
		if altered[field] = was; !there {
			delete(altered, field)
		}
		check("as it was", nil)
	}
	for field := range entry {
		if field != "digest" {
			delete(entry, field)
		}
	}
	check("nothing but a digest", nil)
	put.Expect, put.Key = "", store.Key{Partition: middle.Key.Partition, Sort: "00000099"}
	if err := w.Store.Commit(t.Context(), store.NewVersion(), put); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Check(t.Context(), orgRoute()); !errors.Is(err, activity.ErrBroken) {
		t.Errorf("a page that was put in: got %v", err)
	}
}
