package activity

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAPageOfActivityReadsAMebibyteAtMostWhateverTheDayHolds(t *testing.T) {
	users := []string{"u-0", "u-1", "u-2"}
	f := onFile(t, users...)
	const total, rare = 30_000, "u-2"
	want := map[string]bool{}
	rares := 0
	for n := 0; n < total; {
		id := users[n/100%2]
		if n < 300 { // the rare user is only in the first events of the day
			id = rare
		}
		var events []toFile
		for range 100 {
			e := toFile{id: fmt.Sprintf("ev_%06d", n), kind: failed, user: id, at: f.clock.Now()}
			want[e.id] = true
			events = append(events, e)
			n++
		}
		if id == rare {
			rares += len(events)
		}
		f.file(t, events...)
		f.clock.Advance(2 * time.Minute)
	}
	for name, c := range map[string]struct {
		q         Query
		want      int
		mostPages int
	}{
		"all":             {Query{Limit: 200}, total, total/200 + 40},
		"one user":        {Query{Route: userRoute(rare)}, rares, 60},
		"a type not seen": {Query{Type: "policy"}, 0, 50},
		"from near the end": {
			Query{From: f.clock.Now().Add(-3 * time.Minute), Limit: 200}, 100, 2,
		},
	} {
		got, empty, pages := map[string]bool{}, 0, 0
		f.pages(t, c.q, func(page int, events []Event, more bool) {
			for _, e := range events {
				if got[e.ID] || !want[e.ID] {
					t.Fatalf("%s: %s is shown twice, or was never filed", name, e.ID)
				}
				got[e.ID] = true
			}
			if len(events) == 0 && more {
				empty++
			}
			if pages = page; pages > c.mostPages {
				t.Fatalf("%s: no end after %d pages", name, pages)
			}
		})
		if len(got) != c.want {
			t.Errorf("%s: got %d events, want %d", name, len(got), c.want)
		}
		if empty == 0 && name == "one user" {
			t.Errorf("%s: got no empty page, want some with a cursor: what is searched is far from the end", name)
		}
		t.Logf("%s: %d events on %d pages, %d of them empty", name, len(got), pages, empty)
	}
}

func TestAPageReadsAMebibyteAtMostThoughEachEventIsAboutAnotherUserWhoseKeyIsInABigItem(t *testing.T) {
	var users []string
	for i := range 200 {
		users = append(users, fmt.Sprintf("u-%03d", i))
	}
	f := onModel(t)
	for _, user := range users {
		f.makeUser(t, user, 14<<10)
	}
	want := 0
	for n := range 10 {
		for _, id := range users {
			f.file(t, toFile{id: fmt.Sprintf("ev_%d_%s", n, id), kind: sent, user: id, at: f.clock.Now(), padding: 100})
			want++
		}
	}
	got := map[string]bool{}
	f.pages(t, Query{Limit: 200}, func(_ int, events []Event, more bool) {
		if len(events) == 0 && more {
			t.Fatal("got an empty page where there is something to show")
		}
		for _, e := range events {
			if got[e.ID] || e.User == "" {
				t.Fatalf("%s is shown twice, or without its user", e.ID)
			}
			got[e.ID] = true
		}
	})
	if len(got) != want {
		t.Errorf("got %d events, want %d", len(got), want)
	}
}

// chaos files events in all ways that can happen, also in rare ones, and notes what a listing must show.
type chaos struct {
	*world
	rng   *rand.Rand
	users []string
	heavy bool                 // a day has more than what one page of a listing may read
	last  []toFile             // the batch that was filed before
	order map[string]int       // the order in which events were filed first, by their ids
	filed map[string]time.Time // when an event was filed, by its id
	all   map[string]toFile
}

// newChaos begins a case. Its store is in memory, because many cases are needed, and none of them tests durability.
func newChaos(t *testing.T, seed uint64) *chaos {
	users := []string{"u-0", "u-1", "u-2", "u-3", "u-4"}
	c := &chaos{
		world: onModel(t, users...), rng: rand.New(rand.NewPCG(seed, 9)), users: append(users, ""), heavy: seed%3 == 0,
		order: map[string]int{}, filed: map[string]time.Time{}, all: map[string]toFile{},
	}
	c.PerShard = []int{0, 300, 0, 60}[seed%4]
	return c
}

// step files a batch. Its events are of today or of yesterday, in order or not, few or many, and new or filed before.
func (c *chaos) step(t *testing.T) {
	t.Helper()
	if c.rng.IntN(4) == 0 && c.last != nil {
		c.file(t, c.last...) // as if the answer was lost
		return
	}
	pace := []time.Duration{time.Second, time.Minute}[c.rng.IntN(2)]
	c.clock.Advance(time.Duration(c.rng.IntN(90)) * pace)
	var batch [][]toFile // the events of each commit
	room := 36 << 10     // so that a batch has no more pages than are searched for an earlier filing
	for range 1 + c.rng.IntN(8) {
		at := c.clock.Now().Add(-time.Duration(c.rng.IntN(3)) * time.Second)
		switch c.rng.IntN(6) {
		case 0:
			at = at.Add(-time.Duration(c.rng.IntN(30)) * time.Hour) // it is late
		case 1:
			at = at.Add(time.Duration(c.rng.IntN(9)) * time.Minute) // its time is from the clock of another machine
		}
		id, events := c.users[c.rng.IntN(len(c.users))], []toFile(nil)
		for range 1 + c.rng.IntN(3) {
			e := toFile{
				id: fmt.Sprintf("ev_%04d_%d", len(c.all), c.rng.IntN(1000)), user: id, at: at,
				kind: []string{sent, failed, changed}[c.rng.IntN(3)],
			}
			if c.heavy {
				e.padding = c.rng.IntN(12 << 10)
			} else if c.rng.IntN(4) == 0 {
				e.padding = c.rng.IntN(4 << 10)
			}
			if room -= e.padding + 1024; room < 0 {
				break
			}
			c.all[e.id] = e
			events = append(events, e)
		}
		if len(events) > 0 {
			batch = append(batch, events)
		}
	}
	switch c.rng.IntN(4) {
	case 0:
		slices.Reverse(batch)
	case 1:
		batch = append(batch, batch[c.rng.IntN(len(batch))]) // the same events are twice in one batch
	}
	c.last = slices.Concat(batch...)
	for _, e := range c.last {
		if _, filed := c.order[e.id]; !filed {
			c.order[e.id], c.filed[e.id] = len(c.order), c.clock.Now()
		}
	}
	c.file(t, c.last...)
}

// question returns a random query, and what the listing must have.
func (c *chaos) question() (q Query, has func(toFile) bool) {
	q.Limit = 1 + c.rng.IntN(30)
	user := ""
	if c.rng.IntN(2) == 0 {
		user = c.users[c.rng.IntN(len(c.users))] // this may be all users
	}
	q.Route = userRoute(user)
	if c.rng.IntN(3) == 0 {
		q.Type = []string{"challenge", failed, "policy"}[c.rng.IntN(3)]
	}
	if c.rng.IntN(2) == 0 {
		q.From = c.moment()
	}
	if c.rng.IntN(3) == 0 {
		q.To = c.moment()
	}
	return q, func(e toFile) bool {
		return (user == "" || e.user == user) && (q.Type == "" || strings.HasPrefix(e.kind, q.Type)) &&
			!e.at.Before(q.From) && (q.To.IsZero() || e.at.Before(q.To))
	}
}

// moment returns the time of some event, or the beginning of its day.
func (c *chaos) moment() time.Time {
	ids := slices.Sorted(maps.Keys(c.all))
	at := c.all[ids[c.rng.IntN(len(ids))]].at
	if c.rng.IntN(4) == 0 {
		return at.Truncate(24 * time.Hour)
	}
	return at
}

func TestWhateverIsFiledInWhateverOrderAListingMissesNothingAndShowsNothingTwice(t *testing.T) {
	listings, pagesSeen, shortSeen, shards := 0, 0, 0, map[int]int{}
	for seed := range uint64(16) {
		c := newChaos(t, seed)
		for range 5 {
			for range 4 + c.rng.IntN(20) {
				c.step(t)
			}
			q, has := c.question()
			must := map[string]bool{}
			for id, e := range c.all {
				if has(e) {
					must[id] = true
				}
			}
			var shown []string
			seen := map[string]bool{}
			for pages, more := 0, true; more; pages++ {
				if pages > 500 {
					t.Fatalf("seed %d: no end", seed)
				}
				events, next := c.page(t, q)
				if more = next != nil; more {
					q.After = *next
				}
				if pagesSeen++; len(events) < q.Limit && more {
					shortSeen++
				}
				for _, e := range events {
					was, filed := c.all[e.ID]
					if !filed || seen[e.ID] || !has(was) || e.User != was.user || e.Type != was.kind || !e.Time.Equal(was.at) {
						t.Fatalf("seed %d, %+v: got %s, filed %v, shown before %v; it is %+v", seed, q, e.ID, filed, seen[e.ID], was)
					}
					seen[e.ID] = true
					shown = append(shown, e.ID)
					delete(must, e.ID)
				}
				for range c.rng.IntN(3) {
					c.step(t)
				}
				q.Limit = 1 + c.rng.IntN(30) // because a client may change the limit
			}
			listings++
			for id := range must {
				t.Errorf("seed %d, %+v: %+v is missing", seed, q, c.all[id])
			}
			if !slices.IsSortedFunc(shown, func(a, b string) int {
				if day := strings.Compare(c.all[b].at.Format(time.DateOnly), c.all[a].at.Format(time.DateOnly)); day != 0 {
					return day
				}
				if moment := c.filed[b].Compare(c.filed[a]); moment != 0 || c.PerShard > 0 && c.all[a].user != c.all[b].user {
					return moment
				}
				return c.order[b] - c.order[a]
			}) {
				t.Errorf("seed %d, %+v: not the last day first, and in it what was filed last: %v", seed, q, shown)
			}
		}
		if _, err := c.Check(t.Context(), acme); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		for _, item := range c.items(t, daysPartition(acme)) {
			d, err := readDay(item)
			if err != nil {
				t.Fatal(err)
			}
			shards[d.Shards]++
		}
	}
	if shards[1] == 0 || shards[2] == 0 || shards[8] == 0 || shortSeen == 0 {
		t.Errorf("got days by their shards %v and %d short pages, want some of each sort", shards, shortSeen)
	}
	t.Logf("%d listings, %d pages, %d of them cut short by what one may read; days by their shards: %v", listings, pagesSeen, shortSeen, shards)
}

func TestAnEventFiledAgainFarAwayIsNeverMissedAndKeepsItsID(t *testing.T) {
	for _, apart := range []int{1, 4, 5, 30} {
		f := onModel(t, "u-0")
		at := f.clock.Now()
		first := toFile{id: "ev_first", kind: sent, user: "u-0", at: at}
		f.file(t, first)
		for n := range apart - 1 {
			f.file(t, toFile{id: fmt.Sprint("ev_", n), kind: sent, user: "u-0", at: at})
		}
		f.file(t, first)
		shown := map[string]int{}
		f.pages(t, Query{Limit: 3}, func(_ int, events []Event, _ bool) {
			for _, e := range events {
				shown[e.ID]++
			}
		})
		want := 1
		if apart > 4 {
			want = 2
		}
		if shown["ev_first"] != want || len(shown) != apart {
			t.Errorf("%d pages apart: got it %d times, and %d events, want %d and %d", apart, shown["ev_first"], len(shown), want, apart)
		}
	}
}

func TestAPageHasAsManyItemsAsItsLimitSays(t *testing.T) {
	f := onModel(t, "u-0")
	for n := range 250 {
		f.file(t, toFile{id: fmt.Sprintf("ev_%03d", n), kind: sent, user: "u-0", at: f.clock.Now()})
	}
	for _, limit := range []int{1, 49, 50, 199, 200} {
		events, next := f.page(t, Query{Limit: limit})
		if len(events) != limit || next == nil || events[0].ID != "ev_249" {
			t.Errorf("limit %d: got %d items from %s on", limit, len(events), events[0].ID)
		}
	}
}

func TestAListingGoesOnThroughManyQuietDays(t *testing.T) {
	f := onModel(t, "u-0")
	const days = 100
	for n := range days {
		f.file(t, toFile{id: fmt.Sprintf("ev_%03d", n), kind: sent, user: "u-0", at: f.clock.Now()})
		f.clock.Advance(24 * time.Hour)
	}
	for kind, want := range map[string]int{"challenge": days, "policy": 0} {
		got, pages := 0, 0
		f.pages(t, Query{Type: kind, Limit: 200}, func(page int, events []Event, _ bool) {
			for _, e := range events {
				if got++; e.ID != fmt.Sprintf("ev_%03d", days-got) {
					t.Errorf("got %s in place %d", e.ID, got)
				}
			}
			pages = page
		})
		if got != want || pages < 2 || pages > 8 {
			t.Errorf("%s: got %d events on %d pages, want %d", kind, got, pages, want)
		}
	}
}

func TestAListingGoesOnThoughEachPageIsAsBigAsAnItemCanBe(t *testing.T) {
	f := onModel(t, "u-0")
	const filed = 40
	padding := biggest(t)
	for n := range filed {
		kind := sent
		if n%13 == 0 {
			kind = failed
		}
		f.file(t, toFile{id: fmt.Sprintf("ev_%02d", n), kind: kind, user: "u-0", at: f.clock.Now(), padding: padding})
	}
	for kind, want := range map[string]int{"": filed, failed: 4, "policy": 0} {
		got, pages := 0, 0
		f.pages(t, Query{Type: kind}, func(page int, events []Event, _ bool) {
			got += len(events)
			if pages = page; pages > filed {
				t.Fatalf("%s: no end", kind)
			}
		})
		if got != want {
			t.Errorf("%s: got %d events on %d pages, want %d", kind, got, pages, want)
		}
	}
}

func TestAListingToMidnightDoesNotReadTheDayThatBeginsThen(t *testing.T) {
	f := onModel(t, "u-0")
	at := f.clock.Now()
	f.file(t, toFile{id: "ev_a", kind: sent, user: "u-0", at: at})
	midnight := at.Truncate(24 * time.Hour).Add(24 * time.Hour)
	f.clock.Advance(24 * time.Hour)
	for n := range 20 {
		f.file(t, toFile{id: fmt.Sprint("ev_", n), kind: sent, user: "u-0", at: f.clock.Now()})
	}
	events, next := f.page(t, Query{To: midnight})
	if len(events) != 1 || events[0].ID != "ev_a" || next != nil {
		t.Errorf("got %d events, and more: %v, want the one of the day before", len(events), next != nil)
	}
	if got := f.read.Queries.Load(); got != 2 {
		t.Errorf("got %d queries, want one for the days and one for the pages", got)
	}
}
