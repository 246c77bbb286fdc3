package activity

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"countersign/pkg/store"
)

// open opens the day of a moment with that many shards, whatever was on the day before.
func (w *world) open(t *testing.T, at time.Time, shards int) {
	t.Helper()
	key := dayKey(acme, dayOf(at))
	w.rewrite(t, store.Item{Key: key}, &day{Shards: shards, Opened: w.clock.Now()})
}

// ofShards returns one user for each of that many shards.
func ofShards(shards int) []string {
	users := make([]string, shards)
	for n, left := 0, shards; left > 0; n++ {
		user := "u-" + strconv.Itoa(n)
		if at := userRoute(user).shard(shards); users[at] == "" {
			users[at], left = user, left-1
		}
	}
	return users
}

func TestADayHasAsManyShardsAsTheDayBeforeCalledFor(t *testing.T) {
	w := onModel(t, "u-0")
	w.PerShard = 10
	want := 1
	for n, day := range []struct{ events, next int }{{10, 1}, {11, 2}, {20, 2}, {21, 4}, {40, 4}, {41, 8}, {500, 8}, {9, 1}, {1, 1}} {
		var batch []toFile
		for i := range day.events {
			batch = append(batch, toFile{id: fmt.Sprintf("ev_%d_%d", n, i), kind: sent, user: []string{"u-0", ""}[i%2], at: w.clock.Now()})
		}
		half := len(batch) / 2
		w.file(t, batch[:half]...)
		w.file(t, batch[half:]...)
		if got := w.dayAt(t, w.clock.Now()).Shards; got != want {
			t.Errorf("day %d: got %d shards, want %d", n, got, want)
		}
		want = day.next
		w.clock.Advance(time.Duration(24*(1+n%2)) * time.Hour) // sometimes a day without events comes between them
	}
	if _, err := w.Check(t.Context(), acme); err != nil {
		t.Error(err)
	}
}

func TestPublishersThatOpenADayAtOnceAgreeOnItsShards(t *testing.T) {
	for name, perShard := range map[string]struct{ ours, theirs int }{"we would have more": {1, 10}, "they have more": {10, 1}} {
		users := ofShards(4)
		w := onModel(t, users...)
		w.fileOne(t, w.clock.Now(), users...)
		w.clock.Advance(24 * time.Hour)
		w.PerShard = perShard.ours
		theirs := toFile{id: "ev_theirs", kind: sent, user: users[3], at: w.clock.Now()}
		w.beside(t, theirs, perShard.theirs)
		w.fileOne(t, w.clock.Now(), users...)
		want := map[int]int{10: 1, 1: 4}[perShard.theirs]
		if got := w.dayAt(t, w.clock.Now()); got.Shards != want || got.Begun != 1<<want-1 {
			t.Errorf("%s: got %d shards, of which %b have begun, want all of %d", name, got.Shards, got.Begun, want)
		}
		if _, err := w.Check(t.Context(), acme); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if events, _ := w.page(t, Query{From: w.clock.Now()}); len(events) != 1+len(users) {
			t.Errorf("%s: got %d events, want %d", name, len(events), 1+len(users))
		}
	}
}

func TestABatchOfASmallOrgCostsOneReadAndOneWrite(t *testing.T) {
	users := ofShards(2)
	w := onModel(t, users...)
	w.fileOne(t, w.clock.Now(), users...)
	w.faults.Reset()
	w.fileOne(t, w.clock.Now(), users...)
	if got := w.faults.Counts(); got.Calls() != 2 || got.Query != 1 || got.Items != 1 {
		t.Errorf("a batch: got %+v, want one query and one item written", got)
	}
	w.clock.Advance(24 * time.Hour)
	w.faults.Reset()
	w.fileOne(t, w.clock.Now(), users...)
	if got := w.faults.Counts(); got.Calls() != 6 || got.Query != 3 || got.Get != 2 || got.Items != 3 {
		t.Errorf("the first batch of a day: got %+v, want five reads, and the day and its place in the list of active orgs written with its page", got)
	}
}

func TestABatchOfABigOrgIsAPageInEachShardThatItIsAbout(t *testing.T) {
	users := ofShards(8)
	w := onModel(t, users...)
	w.open(t, w.clock.Now(), 8)
	w.fileOne(t, w.clock.Now(), users...)
	w.faults.Reset()
	w.fileOne(t, w.clock.Now(), users[1], users[4], users[1], "")
	if got := w.faults.Counts(); got.Items != 3 || got.Commit != 3 || got.Get != 0 {
		t.Errorf("got %+v, want three pages", got)
	}
	for shard := range 8 {
		want := 1
		if shard == 0 || shard == 1 || shard == 4 {
			want = 2
		}
		if got := len(w.pagesAt(t, w.clock.Now(), shard)); got != want {
			t.Errorf("shard %d: got %d pages, want %d", shard, got, want)
		}
	}
}

func TestAUserIsListedFromOneShard(t *testing.T) {
	users := ofShards(8)
	w := onModel(t, users...)
	w.open(t, w.clock.Now(), 8)
	for range 3 {
		w.fileOne(t, w.clock.Now(), users...)
	}
	for _, user := range users {
		events, next := w.page(t, Query{Route: userRoute(user)})
		if len(events) != 3 || next != nil {
			t.Errorf("%s: got %d events, and more: %v, want 3", user, len(events), next != nil)
		}
		if got := w.read.Queries.Load(); got != 2 {
			t.Errorf("%s: got %d queries, want one for the days and one for the shard", user, got)
		}
	}
}

func TestAListingOfManyShardsIsInTheOrderOfFilingAndBounded(t *testing.T) {
	users := ofShards(8)
	w := onModel(t, users...)
	w.open(t, w.clock.Now(), 8)
	const batches = 300
	filed := map[string]int{}
	for n := range batches {
		var batch []toFile
		for i := range 1 + n%7 {
			e := toFile{id: fmt.Sprintf("ev_%03d_%d", n, i), kind: sent, user: users[(n*3+i*i)%8], at: w.clock.Now()}
			filed[e.id] = n
			batch = append(batch, e)
		}
		w.file(t, batch...)
		w.clock.Advance(10 * time.Second)
	}
	for _, limit := range []int{3, 50, 200} {
		seen, last, pages := map[string]bool{}, batches, 0
		w.pages(t, Query{Limit: limit}, func(page int, events []Event, more bool) {
			for _, e := range events {
				if seen[e.ID] || filed[e.ID] > last {
					t.Errorf("limit %d: got %s after one of batch %d, seen before: %v", limit, e.ID, last, seen[e.ID])
				}
				seen[e.ID], last = true, filed[e.ID]
			}
			if more && len(events) < limit && limit < 200 {
				t.Errorf("limit %d: page %d has %d events", limit, page, len(events))
			}
			pages = page
		})
		if len(seen) != len(filed) || pages > len(filed)/limit+3 {
			t.Errorf("limit %d: got %d events on %d pages, want %d", limit, len(seen), pages, len(filed))
		}
	}
}

func TestAListingGoesOnThoughAllPagesOfAllShardsAreAsBigAsAnItemCanBe(t *testing.T) {
	users := ofShards(8)
	w := onModel(t, users...)
	w.open(t, w.clock.Now(), 8)
	padding := biggest(t)
	for n := range 6 {
		for _, user := range users {
			w.file(t, toFile{id: fmt.Sprint("ev_", n, user), kind: sent, user: user, at: w.clock.Now(), padding: padding})
		}
		w.clock.Advance(time.Minute)
	}
	seen := map[string]bool{}
	w.pages(t, Query{}, func(page int, events []Event, more bool) {
		for _, e := range events {
			if seen[e.ID] {
				t.Errorf("got %s twice", e.ID)
			}
			seen[e.ID] = true
		}
		if page > 200 {
			t.Fatal("no end")
		}
	})
	if len(seen) != 48 {
		t.Errorf("got %d events, want 48", len(seen))
	}
}

func TestPublishersThatFileAtOnceLoseNothing(t *testing.T) {
	users := ofShards(4)
	w := onFile(t, users...)
	w.open(t, w.clock.Now(), 4)
	const publishers, batches = 4, 5
	g, ctx := errgroup.WithContext(t.Context())
	for n := range publishers {
		var filings [][]Filing
		for b := range batches {
			filings = append(filings, w.filings(t, []toFile{
				{id: fmt.Sprintf("ev_%d_%d_a", n, b), kind: sent, user: users[(n+b)%4], at: w.clock.Now()},
				{id: fmt.Sprintf("ev_%d_%d_b", n, b), kind: sent, user: users[b%4], at: w.clock.Now()},
			}))
		}
		g.Go(func() error {
			for _, batch := range filings {
				if err := w.File(ctx, batch); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Check(t.Context(), acme); err != nil {
		t.Error(err)
	}
	if events, _ := w.page(t, Query{Limit: 200}); len(events) != publishers*batches*2 {
		t.Errorf("got %d events, want %d", len(events), publishers*batches*2)
	}
}
