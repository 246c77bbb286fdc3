package bolt

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"countersign/pkg/store"
	"countersign/pkg/store/storetest"
)

var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

func openInside(t testing.TB, clock *storetest.Clock) *DB {
	t.Helper()
	d, err := Open(filepath.Join(t.TempDir(), "store"), Options{Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func key(sort string) store.Key { return store.Key{Partition: "p", Sort: sort} }

// held returns the number of keys in each bucket.
func (d *DB) held(t testing.TB) map[string]int {
	t.Helper()
	n := map[string]int{}
	for _, name := range [][]byte{bucketItems, bucketCounts, bucketExpiry, bucketOutbox} {
		if err := d.view(name, func(bucket *bbolt.Bucket) error {
			return bucket.ForEach(func(_, _ []byte) error { n[string(name)]++; return nil })
		}); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// checkIndex checks that the expiry index has exactly one entry for each item and count that can expire.
func (d *DB) checkIndex(t testing.TB) {
	t.Helper()
	got, want := map[string]bool{}, map[string]bool{}
	err := errors.Join(
		d.view(bucketExpiry, func(bucket *bbolt.Bucket) error {
			return bucket.ForEach(func(entry, _ []byte) error { got[string(entry)] = true; return nil })
		}),
		d.view(bucketItems, func(bucket *bbolt.Bucket) error {
			return bucket.ForEach(func(k, v []byte) error {
				expiry, _, _, err := decodeItem(v)
				if expiry != 0 {
					want[string(encodeExpiry(expiry, kindItem, k))] = true
				}
				return err
			})
		}),
		d.view(bucketCounts, func(bucket *bbolt.Bucket) error {
			return bucket.ForEach(func(k, v []byte) error {
				expiry, _, _, err := readCount(v, time.Time{})
				want[string(encodeExpiry(expiry, kindCount, k))] = true
				return err
			})
		}),
	)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("the expiry index has %d entries, want %d, or others", len(got), len(want))
	}
}

// hold keeps the writer busy until release is called. All jobs that are submitted until then are the next group.
func (d *DB) hold(t testing.TB) (release func()) {
	held, free := make(chan struct{}), make(chan struct{})
	var job sync.WaitGroup
	job.Go(func() {
		if _, err := d.submit(t.Context(), 0, func(*tables) (int64, error) {
			close(held)
			<-free
			return 0, nil
		}); err != nil {
			t.Errorf("the job that holds: %v", err)
		}
	})
	<-held
	return func() { close(free); job.Wait() }
}

// queued waits until n jobs wait for the writer.
func (d *DB) queued(n int) {
	for len(d.queue) < n {
		runtime.Gosched()
	}
}

// transaction returns the number of the last transaction.
func (d *DB) transaction(t testing.TB) (id int) {
	t.Helper()
	if err := d.file.View(func(tx *bbolt.Tx) error { id = tx.ID(); return nil }); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestWhatArrivesTogetherSharesOneTransactionAndAConflictIsOneCallersAnswer(t *testing.T) {
	d := openInside(t, storetest.NewClock(start))
	if err := d.Commit(t.Context(), store.NewVersion(), store.Write{Key: key("taken")}); err != nil {
		t.Fatal(err)
	}
	before, release := d.transaction(t), d.hold(t)
	errs := make([]error, 60)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			switch i % 3 {
			case 0:
				errs[i] = d.Commit(t.Context(), store.NewVersion(), store.Write{Key: key(fmt.Sprint(i))})
			case 1:
				errs[i] = d.Commit(t.Context(), store.NewVersion(), store.Write{Key: key(fmt.Sprint(i))}, store.Write{Key: key("taken")})
			case 2:
				_, errs[i] = d.Count(t.Context(), key("n"), 1, 10, start.Add(time.Hour))
			}
		})
	}
	d.queued(len(errs))
	release()
	all.Wait()

	full := 0
	for i, err := range errs {
		item, _ := store.GetOne(t.Context(), d, key(fmt.Sprint(i)))
		switch {
		case i%3 == 0 && (err != nil || item.Absent()):
			t.Errorf("a good commit: got %v, absent %t", err, item.Absent())
		case i%3 == 1 && (!errors.Is(err, store.ErrConflict) || !item.Absent()):
			t.Errorf("a commit that conflicts: got %v, absent %t", err, item.Absent())
		case i%3 == 2 && errors.Is(err, store.ErrFull):
			full++
		case i%3 == 2 && err != nil:
			t.Errorf("a count: got %v", err)
		}
	}
	if full != 10 {
		t.Errorf("got %d of 20 counts refused, want 10", full)
	}
	if got := d.transaction(t) - before; got != 1 {
		t.Errorf("got %d transactions, want 1", got)
	}
}

func TestWhatOnlyConflictsMakesNoTransaction(t *testing.T) {
	d := openInside(t, storetest.NewClock(start))
	if err := d.Commit(t.Context(), store.NewVersion(), store.Write{Key: key("a")}); err != nil {
		t.Fatal(err)
	}
	before := d.transaction(t)
	if err := d.Commit(t.Context(), store.NewVersion(), store.Write{Key: key("a")}); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("got %v, want %v", err, store.ErrConflict)
	}
	if got := d.transaction(t) - before; got != 0 {
		t.Errorf("got %d transactions, want none", got)
	}
}

func TestAJobThatEndedBeforeItsTurnIsNotDone(t *testing.T) {
	d := openInside(t, storetest.NewClock(start))
	release := d.hold(t)
	ctx, cancel := context.WithCancel(t.Context())
	var call sync.WaitGroup
	var err error
	call.Go(func() { err = d.Commit(ctx, store.NewVersion(), store.Write{Key: key("a")}) })
	d.queued(1)
	cancel()
	call.Wait() // it returns although the writer is held
	if !errors.Is(err, ctx.Err()) {
		t.Errorf("got %v, want %v", err, ctx.Err())
	}
	release()
	if err := d.Commit(t.Context(), store.NewVersion(), store.Write{Key: key("a")}); err != nil {
		t.Errorf("the key is taken: %v", err)
	}
}

func TestAWriteThatFailsUndoesItsWholeGroupAndNoOther(t *testing.T) {
	d := openInside(t, storetest.NewClock(start))
	release := d.hold(t)
	broken, errs := errors.New("broken"), make([]error, 3)
	var all sync.WaitGroup
	all.Go(func() { errs[0] = d.Commit(t.Context(), store.NewVersion(), store.Write{Key: key("a")}) })
	d.queued(1)
	all.Go(func() {
		_, errs[1] = d.submit(t.Context(), 0, func(tab *tables) (int64, error) { tab.failed = broken; return 0, nil })
	})
	d.queued(2)
	all.Go(func() { errs[2] = d.Commit(t.Context(), store.NewVersion(), store.Write{Key: key("b")}) })
	d.queued(3)
	release()
	all.Wait()
	for i, err := range errs {
		if !errors.Is(err, broken) {
			t.Errorf("%d: got %v, want %v", i, err, broken)
		}
	}
	if err := d.Commit(t.Context(), store.NewVersion(), store.Write{Key: key("a")}, store.Write{Key: key("b")}); err != nil {
		t.Errorf("the next: got %v, want nil", err)
	}
}

func TestAfterAFailedSyncNothingIsWrittenAndEverythingAcknowledgedIsStillRead(t *testing.T) {
	clock := storetest.NewClock(start)
	d := openInside(t, clock)
	d.file.MaxSize = 17 << 20
	body, good := make([]byte, store.MaxItem), 0
	var first error
	for ; first == nil; good++ {
		first = d.Commit(t.Context(), store.NewVersion(), store.Write{Key: key(fmt.Sprint(good)), Body: body})
	}
	good--
	d.file.MaxSize = 0
	if err := d.Commit(t.Context(), store.NewVersion(), store.Write{Key: key("next")}); err == nil || err.Error() != first.Error() {
		t.Errorf("the next: got %v, want %v", err, first)
	}
	path := d.file.Path()
	for range 2 {
		for i := range good {
			if item, err := store.GetOne(t.Context(), d, key(fmt.Sprint(i))); err != nil || len(item.Body) != len(body) {
				t.Errorf("%d: got %d bytes, %v, want %d", i, len(item.Body), err, len(body))
			}
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		var err error
		if d, err = Open(path, Options{Now: clock.Now}); err != nil {
			t.Fatal(err)
		}
		defer d.Close()
	}
	if err := d.Commit(t.Context(), store.NewVersion(), store.Write{Key: key("next")}); err != nil {
		t.Errorf("opened anew: got %v, want nil", err)
	}
}

func TestPurgeRemovesWhatExpiredMoreThanAnHourAgoAndNothingElse(t *testing.T) {
	clock := storetest.NewClock(start)
	d := openInside(t, clock)
	expires := start.Add(10 * time.Second)
	for i := range 2*purgeStep + 10 {
		if i%store.MaxWrites != 0 {
			continue
		}
		var writes []store.Write
		for j := i; j < i+store.MaxWrites; j++ {
			writes = append(writes, store.Write{Key: key(fmt.Sprintf("due%d", j)), Expires: expires})
		}
		if err := d.Commit(t.Context(), store.NewVersion(), writes...); err != nil {
			t.Fatal(err)
		}
	}
	due := d.held(t)["items"]
	if err := d.Commit(t.Context(), store.NewVersion(), store.Write{Key: key("later"), Expires: expires.Add(time.Second)},
		store.Write{Key: key("never")}, store.Write{Key: key("told"), Expires: expires, Events: []byte("told")}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Count(t.Context(), key("due"), 1, 1, expires); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Count(t.Context(), key("later"), 1, 1, expires.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	purge := func(want int) {
		t.Helper()
		if got, err := d.Purge(t.Context()); got != want || err != nil {
			t.Fatalf("Purge: got %d, %v, want %d", got, err, want)
		}
		d.checkIndex(t)
	}
	purge(0)
	clock.Advance(10*time.Second + time.Hour)
	purge(0) // it expired exactly an hour ago
	clock.Advance(time.Second)
	purge(due + 2)
	want := map[string]int{"items": 2, "counts": 1, "expiry": 2, "outbox": 1}
	if got := d.held(t); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	clock.Advance(time.Second)
	purge(2)
	clock.Advance(1000 * time.Hour)
	purge(0)
	if item, err := store.GetOne(t.Context(), d, key("never")); err != nil || item.Absent() {
		t.Errorf("an item without expiry: got absent %t, %v, want it there", item.Absent(), err)
	}
}

func TestThePurgeOfAnEmptyFileFindsNothing(t *testing.T) {
	d := openInside(t, storetest.NewClock(start))
	if got, err := d.Purge(t.Context()); got != 0 || err != nil {
		t.Errorf("got %d, %v, want 0", got, err)
	}
}

func TestAnItemOverwrittenManyTimesHasOneEntryInTheExpiryIndex(t *testing.T) {
	clock := storetest.NewClock(start)
	d := openInside(t, clock)
	d.file.NoSync = true
	var version store.Version
	for i := range 500 {
		next := store.NewVersion()
		if err := d.Commit(t.Context(), next, store.Write{Key: key("a"), Expect: version, Expires: start.Add(time.Duration(i/2) * time.Minute).Add(time.Minute)}); err != nil {
			t.Fatal(err)
		}
		version = next
		if _, err := d.Count(t.Context(), key("n"), 1, 1<<40, clock.Now().Add(10*time.Second)); err != nil {
			t.Fatal(err)
		}
		clock.Advance(time.Second)
	}
	d.checkIndex(t)
	want := map[string]int{"items": 1, "counts": 1, "expiry": 2}
	if got := d.held(t); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Many random calls, between which the clock moves and Purge runs, get the same answers as from the model, which has no Purge.
func TestARandomWalkIsAnsweredAsByTheModel(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 2))
			clock := storetest.NewClock(start)
			d, model := openInside(t, clock), storetest.NewModel(clock.Now)
			d.file.NoSync = true
			versions := map[store.Key]store.Version{}
			someKey := func() store.Key {
				return store.Key{Partition: []string{"p", "pp"}[random.IntN(2)], Sort: fmt.Sprint(random.IntN(12))}
			}
			expiry := func() time.Time { return clock.Now().Add(time.Duration(random.Int64N(int64(5 * time.Second)))) }
			for step := range 1500 {
				switch random.IntN(8) {
				default:
					token, writes := store.NewVersion(), []store.Write{}
					for range 1 + random.IntN(3) {
						w := store.Write{Key: someKey()}
						if random.IntN(5) > 0 {
							w.Expect = versions[w.Key]
						}
						if w.Expect != "" && random.IntN(3) == 0 {
							w.Delete = true
						} else {
							w.Body = []byte(token)
							if random.IntN(2) == 0 {
								w.Expires = expiry()
							}
						}
						writes = append(writes, w)
					}
					got, want := d.Commit(t.Context(), token, writes...), model.Commit(t.Context(), token, writes...)
					if fmt.Sprint(got) != fmt.Sprint(want) {
						t.Fatalf("step %d: Commit %+v: got %v, want %v", step, writes, got, want)
					}
					if got == nil {
						for _, w := range writes {
							versions[w.Key] = token
						}
					}
				case 0:
					k, n, limit, expires := someKey(), random.Int64N(4), random.Int64N(20), expiry()
					got, gotErr := d.Count(t.Context(), k, n, limit, expires)
					want, wantErr := model.Count(t.Context(), k, n, limit, expires)
					if got != want || fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
						t.Fatalf("step %d: Count: got %d, %v, want %d, %v", step, got, gotErr, want, wantErr)
					}
				case 1:
					q := store.Query{Partition: "p", Prefix: []string{"", "1"}[random.IntN(2)], Reverse: random.IntN(2) == 0, After: []string{"", "1", "5"}[random.IntN(3)]}
					got, gotErr := d.Query(t.Context(), q)
					want, wantErr := model.Query(t.Context(), q)
					if len(got.Items)+len(want.Items) > 0 && !reflect.DeepEqual(got.Items, want.Items) || gotErr != nil || wantErr != nil {
						t.Fatalf("step %d: Query %+v: got %+v, %v, want %+v, %v", step, q, got, gotErr, want, wantErr)
					}
				case 2:
					clock.Advance(time.Duration(random.Int64N(int64(2 * time.Second))))
					if random.IntN(20) == 0 {
						clock.Advance(2 * time.Hour)
						if _, err := d.Purge(t.Context()); err != nil {
							t.Fatal(err)
						}
						d.checkIndex(t)
					}
				}
			}
			d.checkIndex(t)
		})
	}
}

func TestASuccessorIsTheFirstKeyAfterAllThatBeginSo(t *testing.T) {
	for prefix, want := range map[string]string{"\x00a": "\x00b", "\x00a\xff": "\x00b", "\x00\xff\xff": "\x01", "\x00a\xfe": "\x00a\xff"} {
		if got := string(successor([]byte(prefix))); got != want {
			t.Errorf("%q: got %q, want %q", prefix, got, want)
		}
	}
}

func FuzzDamagedValuesAreErrorsAndWholeOnesComeBack(f *testing.F) {
	f.Add([]byte{}, "p", "s", "v", int64(1))
	f.Add(encodeItem(1, "v", []byte("body")), "p", "s", "v", int64(-1))
	f.Add(encodeRecord(encodeKey(key("s")), "v", []byte("e")), "", "\xff", "", int64(0))
	f.Add([]byte{2, 0, 9, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, "p", "s", "v", int64(1)<<62)
	f.Fuzz(func(t *testing.T, value []byte, partition, sort, version string, expiry int64) {
		decodeItem(value)
		decodeRecord(value)
		decodeExpiry(value)
		readCount(value, start)
		if len(partition) > store.MaxPartition || version == "" {
			return
		}
		k := store.Key{Partition: partition, Sort: sort}
		if e, v, b, err := decodeItem(encodeItem(expiry, store.Version(version), value)); e != expiry || string(v) != version || string(b) != string(value) || err != nil {
			t.Errorf("item: got %d, %q, %q, %v", e, v, b, err)
		}
		want := store.Record{Key: k, Version: store.Version(version), Events: value}
		if got, err := decodeRecord(encodeRecord(encodeKey(k), want.Version, want.Events)); !reflect.DeepEqual(got, want) || err != nil {
			t.Errorf("record: got %+v, %v, want %+v", got, err, want)
		}
	})
}
