package main

import (
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"countersign/pkg/store"
	"countersign/pkg/store/storetest"
)

func TestTheDocumentHasTheTablesThatTheProgramWrites(t *testing.T) {
	all, err := patterns(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var made strings.Builder
	write(&made, all)
	text, err := os.ReadFile(filepath.Join("..", "..", document))
	if err != nil {
		t.Fatal(err)
	}
	want, err := between(text, []byte(made.String()))
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != string(want) {
		t.Errorf("%s isn't as the program writes it: run go run ./infra/scale, and change nothing between its marks by hand", document)
	}
	for _, p := range all {
		for _, found := range []map[string]use{p.steps, p.alone, p.crowded} {
			if found[ofOthers] != (use{}) || found[ofRoster] != (use{}) {
				t.Errorf("%s: got %+v, want items of classes that limits are computed for", p.name, found)
			}
		}
		if copied := p.steps[ofKey]; copied != (use{reads: float64(p.calls)}) || p.steps[ofPolicy] != copied {
			t.Errorf("%s: got %+v, want that each call reads the API key and the policy once", p.name, p.steps)
		}
	}
}

func TestUnitsAreThoseThatDynamoDBCharges(t *testing.T) {
	r := record(storetest.NewModel(time.Now))
	at := func(partition string) store.Key { return store.Key{Partition: partition, Sort: "s"} }
	put := func(partition string, bytes int) store.Write { // an item of that size
		w := store.Write{Key: at(partition)}
		w.Body = make([]byte, bytes-sizeOf(w))
		return w
	}
	version := store.NewVersion()
	for _, c := range []struct {
		name string
		call func() error
		want map[string]use
	}{
		{"a put of a KB and a byte", func() error { return r.Commit(t.Context(), version, put("u#ana", 1025)) }, map[string]use{ofUser: {writes: 2}}},
		{"puts in a transaction, with the old size of one", func() error {
			smaller := put("u#ana", 100)
			smaller.Expect = version
			return r.Commit(t.Context(), store.NewVersion(), smaller, put("ch_1", 4097))
		}, map[string]use{ofUser: {writes: 4}, ofChallenge: {writes: 10}}},
		{"a put that loses", func() error {
			if err := r.Commit(t.Context(), store.NewVersion(), put("u#ana", 100)); err == nil {
				t.Error("got no conflict")
			}
			return nil
		}, map[string]use{}},
		{"items that are large, small and absent", func() error {
			_, err := r.Get(t.Context(), at("ch_1"), at("u#ana"), at("key#h#3"))
			return err
		}, map[string]use{ofChallenge: {reads: 2}, ofUser: {reads: 1}, ofKey: {reads: 1}}},
		{"a partition", func() error {
			_, err := r.Query(t.Context(), store.Query{Partition: "ch_1"})
			return err
		}, map[string]use{ofChallenge: {reads: 2}}},
		{"an empty partition", func() error {
			_, err := r.Query(t.Context(), store.Query{Partition: "act#o#2026-11-23#0"})
			return err
		}, map[string]use{ofPages: {reads: 1}}},
		{"a count, and a look at it", func() error {
			for n := range int64(2) {
				if _, err := r.Count(t.Context(), at("count#o#day#2026-11-23T00"), n, 10, time.Now().Add(time.Hour)); err != nil {
					return err
				}
			}
			return nil
		}, map[string]use{ofSMS: {reads: 1, writes: 1}}},
	} {
		if err := c.call(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		got, _ := r.take()
		if len(got) != len(c.want) {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
		for class, want := range c.want {
			if got[class] != want {
				t.Errorf("%s: %s: got %+v, want %+v", c.name, class, got[class], want)
			}
		}
	}
}

func TestALimitIsReachedWhereAllOfItIsTaken(t *testing.T) {
	p := &pattern{kind: kind{calls: 2}}
	for _, c := range []struct {
		l    limit
		want float64
	}{
		{limit{load: func(_ *pattern, s scene) float64 { return s.rate / 700 }}, 700},
		{limit{load: func(p *pattern, s scene) float64 { return float64(p.calls) * s.rate / 10_000 }}, 5000},
		{limit{load: func(*pattern, scene) float64 { return 0 }}, math.Inf(1)},
	} {
		if got := c.l.reached(p, scene{orgs: 1, keys: 1}); got != c.want && math.Abs(got-c.want) > c.want/100 {
			t.Errorf("got %.0f, want %.0f", got, c.want)
		}
	}
}

// With one item, a partition would be full at 3,000 reads. The busiest of several copies gets a little more than its share.
func TestTheBusiestCopyIsWhatLimits(t *testing.T) {
	if got := copies(3000, 1, 1); got != partitionReads {
		t.Errorf("one copy: got %.0f readers, want all of them", got)
	}
	if got := copies(24_000, 1, store.Copies); got < 3000 || got > 3200 {
		t.Errorf("%d copies: got %.0f readers of the busiest, want its share of 3,000 and a little more", store.Copies, got)
	}
	if one, ten := copies(24_000, 1, store.Copies), copies(24_000, 10, store.Copies); ten > one/8 {
		t.Errorf("ten keys: got %.0f readers of the busiest copy, want about a tenth of %.0f", ten, one)
	}
}

// More orgs in a batch are more pages after each other, and an org that has many of them has several shards.
func TestPublishIsSlowerOverManyOrgs(t *testing.T) {
	p := &pattern{marks: 2, steps: map[string]use{ofUser: {writes: 2}}}
	one, many := p.filing(scene{1000, 1, 1}), p.filing(scene{1000, 1000, 1})
	if one.busy >= many.busy || many.onPage > 1.1 || one.onPage < 10 {
		t.Errorf("got %+v for one org and %+v for a thousand, want more time for smaller pages", one, many)
	}
	if got := p.dayShards(scene{1000, 1, 1}); got != mostDayShards {
		t.Errorf("got %.0f shards, want %d", got, mostDayShards)
	}
	if got := p.dayShards(scene{1000, 1000, 1}); got != 1 {
		t.Errorf("got %.0f shards of a small org, want 1", got)
	}
	if got := p.filing(scene{1e6, 1, 1}).pages; got < 19_000 || got > 21_000 {
		t.Errorf("got %.0f pages a second, want one for each batch", got)
	}
}

func TestWhatIsKnownOfOtherFilesStandsThere(t *testing.T) {
	for file, parts := range map[string][]string{
		"template.yaml": {
			"ThrottlingRateLimit: 500,", "BatchSize: " + strconv.Itoa(batchSize) + "\n", "MaximumBatchingWindowInSeconds: " + strconv.Itoa(collect) + "\n",
		},
		"pkg/activity/day.go":  {"mostShards     = " + strconv.Itoa(mostDayShards) + "\n", "eventsPerShard = 4_000_000 "},
		"pkg/activity/file.go": {"orgsAtOnce = " + strconv.Itoa(orgsAtOnce) + "\n"},
		"pkg/mfa/expiry.go":    {"expiryShards = " + strconv.Itoa(dueShards) + "\n"},
	} {
		text, err := os.ReadFile(filepath.Join("..", "..", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range parts {
			if strings.Count(string(text), part) != 1 {
				t.Errorf("%s: got %q %d times, want it once", file, part, strings.Count(string(text), part))
			}
		}
	}
	if strings.Contains(must(os.ReadFile("../../template.yaml")), "ParallelizationFactor") {
		t.Error("template.yaml has a ParallelizationFactor, which the limits don't know")
	}
}

func must(text []byte, err error) string {
	if err != nil {
		panic(err)
	}
	return string(text)
}
