package mfa_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/store"
	"countersign/pkg/store/fault"
	"countersign/pkg/store/storetest"
)

// fileOne files a page with one event of the moment at.
func (f *filing) fileOne(t *testing.T, at time.Time) {
	t.Helper()
	f.file(t, f.record(toFile{id: fmt.Sprint("ev_", store.NewVersion()), kind: mfa.ChallengeSent, user: "u-0", at: at}))
}

// pagesOf are the pages of a day, by number.
func (f *filing) pagesOf(t *testing.T, day time.Time) (pages []store.Item) {
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
func (f *filing) rewrite(t *testing.T, item store.Item, change func(map[string]any)) {
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

func (f *filing) remove(t *testing.T, items ...store.Item) {
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
func (f *filing) move(t *testing.T, page store.Item, number string) {
	t.Helper()
	f.remove(t, page)
	w := store.Write{Key: store.Key{Partition: page.Key.Partition, Sort: number}, Body: page.Body, Expires: page.Expires}
	if err := f.read.Commit(t.Context(), store.NewVersion(), w); err != nil {
		t.Fatal(err)
	}
}

// threeDays files two pages on each of three days, and one on a fourth.
func threeDays(t *testing.T) (f *filing, days []time.Time) {
	t.Helper()
	f = onModel(t, "u-0")
	for n := range 4 {
		days = append(days, f.Clock.Now())
		f.fileOne(t, f.Clock.Now())
		f.Clock.Advance(time.Hour)
		if n < 3 {
			f.fileOne(t, f.Clock.Now())
			f.Clock.Advance(47 * time.Hour)
		}
	}
	if pages, err := f.CheckActivity(t.Context(), org); err != nil || pages != 7 {
		t.Fatalf("got %d pages, %v, want 7", pages, err)
	}
	return f, days
}

func TestAFirstPageOfADayThatIsNotLinkedToTheLastOfTheDayBeforeIsFound(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, f *filing, days []time.Time){
		"not linked": func(t *testing.T, f *filing, days []time.Time) {
			f.rewrite(t, f.pagesOf(t, days[3])[0], func(page map[string]any) { delete(page, "before"); delete(page, "earlier") })
		},
		"linked to no hash": func(t *testing.T, f *filing, days []time.Time) {
			f.rewrite(t, f.pagesOf(t, days[3])[0], func(page map[string]any) { delete(page, "before") })
		},
		"linked to no place": func(t *testing.T, f *filing, days []time.Time) {
			f.rewrite(t, f.pagesOf(t, days[3])[0], func(page map[string]any) { delete(page, "earlier") })
		},
		"linked to another hash": func(t *testing.T, f *filing, days []time.Time) {
			f.rewrite(t, f.pagesOf(t, days[3])[0], func(page map[string]any) { page["before"] = "AAAA" })
		},
		"under another number": func(t *testing.T, f *filing, days []time.Time) {
			f.move(t, f.pagesOf(t, days[3])[0], "00000002")
		},
		"the last page of the last day, under another number": func(t *testing.T, f *filing, days []time.Time) {
			f.fileOne(t, f.Clock.Now())
			f.move(t, f.pagesOf(t, days[3])[1], "00000003")
		},
		"the first of all, linked to what isn't there": func(t *testing.T, f *filing, days []time.Time) {
			before := days[0].Add(-240 * time.Hour)
			f.fileOne(t, before)
			f.rewrite(t, f.pagesOf(t, before)[0], func(page map[string]any) { page["before"] = "AAAA" })
		},
		"linked to a later day": func(t *testing.T, f *filing, days []time.Time) {
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
		"linked to itself": func(t *testing.T, f *filing, days []time.Time) {
			f.rewrite(t, f.pagesOf(t, days[3])[0], func(page map[string]any) {
				page["earlier"] = map[string]any{"day": days[3].Format(time.DateOnly), "number": 1}
			})
		},
		"linked to the page before the last": func(t *testing.T, f *filing, days []time.Time) {
			second := f.pagesOf(t, days[2])[1]
			var linked struct{ Before string }
			if err := json.Unmarshal(second.Body, &linked); err != nil {
				t.Fatal(err)
			}
			f.rewrite(t, f.pagesOf(t, days[3])[0], func(page map[string]any) {
				page["before"], page["earlier"] = linked.Before, map[string]any{"day": days[2].Format(time.DateOnly), "number": 1}
			})
		},
		"linked to the day before the last": func(t *testing.T, f *filing, days []time.Time) {
			var linked struct {
				Before  string
				Earlier map[string]any
			}
			if err := json.Unmarshal(f.pagesOf(t, days[2])[0].Body, &linked); err != nil {
				t.Fatal(err)
			}
			f.rewrite(t, f.pagesOf(t, days[3])[0], func(page map[string]any) { page["before"], page["earlier"] = linked.Before, linked.Earlier })
		},
		"linked to a page that was removed": func(t *testing.T, f *filing, days []time.Time) {
			f.remove(t, f.pagesOf(t, days[2])[1])
		},
		"linked to a page that was altered": func(t *testing.T, f *filing, days []time.Time) {
			f.rewrite(t, f.pagesOf(t, days[2])[1], func(page map[string]any) { page["filed"] = f.Clock.Now() })
		},
		"linked to a day that was removed": func(t *testing.T, f *filing, days []time.Time) {
			f.remove(t, f.pagesOf(t, days[2])...)
			for _, item := range f.read.Store.(*storetest.Model).Items() {
				if item.Key.Partition[:4] == "act#" && item.Key.Sort == days[2].Format(time.DateOnly) {
					f.remove(t, item)
				}
			}
		},
		"the last day, removed but for its name": func(t *testing.T, f *filing, days []time.Time) {
			f.remove(t, f.pagesOf(t, days[3])...)
		},
		"the first page of the last day, with more behind it": func(t *testing.T, f *filing, days []time.Time) {
			f.fileOne(t, f.Clock.Now())
			f.remove(t, f.pagesOf(t, days[3])[0])
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, days := threeDays(t)
			f.rewrite(t, f.pagesOf(t, days[3])[0], func(map[string]any) {})
			if _, err := f.CheckActivity(t.Context(), org); err != nil {
				t.Fatalf("written again as it was: %v", err)
			}
			spoil(t, f, days)
			if _, err := f.CheckActivity(t.Context(), org); !errors.Is(err, mfa.ErrActivityBroken) {
				t.Errorf("got %v, want %v", err, mfa.ErrActivityBroken)
			}
		})
	}
}

func TestDaysThatAreFiledLateAreLinkedAsTheyWereFiled(t *testing.T) {
	f := onModel(t, "u-0")
	day := func(n int) time.Time { return f.Clock.Now().Add(time.Duration(n) * 24 * time.Hour) }
	for _, n := range []int{0, -2, -1, 0, -2, -3, -1, 0} { // days before the moment, the latest first, and again
		f.fileOne(t, day(n))
		f.Clock.Advance(time.Hour)
		if _, err := f.CheckActivity(t.Context(), org); err != nil {
			t.Fatalf("after one of %d days ago: %v", -n, err)
		}
	}
}

func TestTwoDaysThatAreFiledAtOnceAreNotTakenForBroken(t *testing.T) {
	f := onModel(t, "u-0")
	yesterday := f.Clock.Now().Add(-24 * time.Hour)
	f.Faults.Inject(fault.Commit, 1, fault.Fault{Before: func(ctx context.Context) error {
		beside := *f.Service
		beside.Store = f.read // where no fault waits
		return beside.Publish(ctx, []store.Record{f.record(toFile{id: "ev_beside", kind: mfa.ChallengeSent, user: "u-0", at: yesterday})})
	}})
	f.fileOne(t, f.Clock.Now())
	if pages, err := f.CheckActivity(t.Context(), org); err != nil || pages != 2 {
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
		tell(f.Clock.Now())
		if f.Clock.Now().Day()%5 == 0 {
			tell(f.Clock.Now().Add(-30 * time.Hour)) // what comes late goes with the others of its day
		}
		f.Clock.Advance(12 * time.Hour)
		tell(f.Clock.Now())
		f.Clock.Advance(12 * time.Hour)
	}
	for hour := range 27 {
		pages, err := f.CheckActivity(t.Context(), org)
		if err != nil {
			t.Fatalf("%d hours later: %v", hour, err)
		}
		got, want := map[string]int{}, 0
		for _, e := range activity(t, f.World, mfa.ActivityQuery{Org: org, ListQuery: mfa.ListQuery{Limit: 200}}) {
			got[e.Time.Format(time.DateOnly)]++
		}
		for day, n := range filed {
			began, _ := time.Parse(time.DateOnly, day)
			kept := f.Clock.Now().Before(began.Add(401 * 24 * time.Hour)) // 400 from the day's end
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
		f.Clock.Advance(time.Hour)
	}
}
