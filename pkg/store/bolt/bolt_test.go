package bolt_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"countersign/pkg/store"
	"countersign/pkg/store/bolt"
	"countersign/pkg/store/storetest"
)

var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// open opens the file at path, and closes it at the end of the test.
func open(t testing.TB, path string, now func() time.Time) *bolt.DB {
	t.Helper()
	db, err := bolt.Open(path, bolt.Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return db
}

// openNew opens a new file, and closes it at the end of the test.
func openNew(t testing.TB, clock *storetest.Clock) *bolt.DB {
	t.Helper()
	return open(t, filepath.Join(t.TempDir(), "store"), clock.Now)
}

func put(key store.Key, body string) store.Write { return store.Write{Key: key, Body: []byte(body)} }

func key(sort string) store.Key { return store.Key{Partition: "p", Sort: sort} }

func TestAFileKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(t testing.TB, now func() time.Time) (store.Store, store.Feed) {
		db := open(t, filepath.Join(t.TempDir(), "store"), now)
		return db, db
	})
}

// A file that is opened again for every call keeps the contract, too. So nothing is decided by what is in memory.
func TestAFileOpenedAnewForEachCallKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(t testing.TB, now func() time.Time) (store.Store, store.Feed) {
		r := &reopened{path: filepath.Join(t.TempDir(), "store"), now: now}
		return r, r
	})
}

// reopened opens its file when a call comes, and closes it when no call is running any longer.
type reopened struct {
	path string
	now  func() time.Time

	mu    sync.Mutex
	db    *bolt.DB
	users int
}

func (r *reopened) use(fn func(*bolt.DB) error) (err error) {
	r.mu.Lock()
	if r.users == 0 {
		if r.db, err = bolt.Open(r.path, bolt.Options{Now: r.now}); err != nil {
			r.mu.Unlock()
			return err
		}
	}
	r.users++
	db := r.db
	r.mu.Unlock()
	err = fn(db)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.users--; r.users == 0 {
		err = errors.Join(err, db.Close())
	}
	return err
}

func (r *reopened) Get(ctx context.Context, keys ...store.Key) (items []store.Item, err error) {
	err = r.use(func(db *bolt.DB) error { items, err = db.Get(ctx, keys...); return err })
	return items, err
}

func (r *reopened) Query(ctx context.Context, q store.Query) (page store.Page, err error) {
	err = r.use(func(db *bolt.DB) error { page, err = db.Query(ctx, q); return err })
	return page, err
}

func (r *reopened) Commit(ctx context.Context, token store.Version, writes ...store.Write) error {
	return r.use(func(db *bolt.DB) error { return db.Commit(ctx, token, writes...) })
}

func (r *reopened) Count(ctx context.Context, key store.Key, n, cap int64, expires time.Time) (number int64, err error) {
	err = r.use(func(db *bolt.DB) error { number, err = db.Count(ctx, key, n, cap, expires); return err })
	return number, err
}

func (r *reopened) Deliver(ctx context.Context, limit int, fn func(context.Context, []store.Record) error) error {
	return r.use(func(db *bolt.DB) error { return db.Deliver(ctx, limit, fn) })
}

func TestAFileInUseIsNotOpenedTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	db := open(t, path, storetest.NewClock(start).Now)
	if _, err := bolt.Open(path, bolt.Options{Now: storetest.NewClock(start).Now}); !errors.Is(err, bolt.ErrInUse) {
		t.Fatalf("got %v, want %v", err, bolt.ErrInUse)
	}
	if err := db.Commit(t.Context(), store.NewVersion(), put(key("a"), "")); err != nil {
		t.Fatalf("the first after that: got %v, want nil", err)
	}
}

func TestAFileIsForItsOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	open(t, path, storetest.NewClock(start).Now)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 && runtime.GOOS != "windows" { // Windows has no such permissions
		t.Errorf("got permissions %o, want 600", got)
	}
}

func TestAFileThatIsNotOursIsRefusedAndLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	for what, spoil := range map[string]func(*bbolt.Tx) error{
		"another's": func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucket([]byte("another's"))
			return err
		},
		"of a later format": func(tx *bbolt.Tx) error {
			bucket, err := tx.CreateBucket([]byte("format"))
			if err != nil {
				return err
			}
			return bucket.Put([]byte("format"), []byte("2"))
		},
	} {
		path := path + what
		file, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(file.Update(spoil), file.Close()); err != nil {
			t.Fatal(err)
		}
		if db, err := bolt.Open(path, bolt.Options{Now: storetest.NewClock(start).Now}); err == nil {
			db.Close()
			t.Errorf("a file %s: got no error", what)
		}
		// The lock has been released.
		if file, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second}); err != nil {
			t.Fatalf("a file %s, opened by its owner: %v", what, err)
		}
		file.Close()
	}
	if err := os.WriteFile(path, []byte("a text of more than no bytes"), 0o600); err != nil {
		t.Fatal(err)
	}
	if db, err := bolt.Open(path, bolt.Options{Now: storetest.NewClock(start).Now}); err == nil {
		db.Close()
		t.Error("a text: got no error")
	}
}

func TestAClosedStoreRefusesEveryCall(t *testing.T) {
	clock := storetest.NewClock(start)
	db := openNew(t, clock)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	_, get := store.GetOne(ctx, db, key("a"))
	_, query := db.Query(ctx, store.Query{Partition: "p"})
	commit := db.Commit(ctx, store.NewVersion(), put(key("a"), ""))
	_, count := db.Count(ctx, key("n"), 1, 1, start.Add(time.Hour))
	_, read := db.Count(ctx, key("n"), 0, 1, start.Add(time.Hour))
	deliver := db.Deliver(ctx, 1, nil)
	_, purge := db.Purge(ctx)
	for name, err := range map[string]error{"Get": get, "Query": query, "Commit": commit, "Count": count, "Count of 0": read, "Deliver": deliver, "Purge": purge} {
		if !errors.Is(err, bolt.ErrClosed) {
			t.Errorf("%s: got %v, want %v", name, err, bolt.ErrClosed)
		}
	}
	if err := db.Close(); err != nil {
		t.Errorf("Close again: got %v, want nil", err)
	}
}

func TestCloseWaitsForCommitsAndLosesNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	clock := storetest.NewClock(start)
	db := open(t, path, clock.Now)
	var committed sync.Map
	var some, all sync.WaitGroup
	some.Add(64)
	for i := range 64 {
		all.Go(func() {
			once := sync.OnceFunc(some.Done)
			defer once()
			for turn := 0; ; turn++ {
				k := key(fmt.Sprintf("%d-%d", i, turn))
				err := db.Commit(context.Background(), store.NewVersion(), put(k, ""))
				if errors.Is(err, bolt.ErrClosed) {
					return
				}
				if err != nil {
					t.Errorf("got %v, want nil or %v", err, bolt.ErrClosed)
					return
				}
				committed.Store(k, true)
				once()
			}
		})
	}
	some.Wait()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	db = open(t, path, clock.Now)
	committed.Range(func(k, _ any) bool {
		if item, err := store.GetOne(t.Context(), db, k.(store.Key)); err != nil || item.Absent() {
			t.Errorf("%v: got absent %t, %v, want it there", k, item.Absent(), err)
		}
		return true
	})
}

func TestCloseEndsADeliveryAfterTheBatchInHand(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	clock := storetest.NewClock(start)
	db := open(t, path, clock.Now)
	for i := range 3 {
		if err := db.Commit(t.Context(), store.NewVersion(), store.Write{Key: key(fmt.Sprint(i)), Events: fmt.Append(nil, i)}); err != nil {
			t.Fatal(err)
		}
	}
	closed := make(chan error, 1)
	err := db.Deliver(t.Context(), 1, func(ctx context.Context, records []store.Record) error {
		go func() { closed <- db.Close() }()
		for { // this ends when Close has begun
			if _, err := store.GetOne(ctx, db, key("0")); errors.Is(err, bolt.ErrClosed) {
				return nil
			}
		}
	})
	if !errors.Is(err, bolt.ErrClosed) {
		t.Errorf("Deliver: got %v, want %v", err, bolt.ErrClosed)
	}
	if err := <-closed; err != nil {
		t.Fatalf("Close: %v", err)
	}
	db = open(t, path, clock.Now)
	var got []string
	if err := db.Deliver(t.Context(), 10, func(_ context.Context, records []store.Record) error {
		for _, record := range records {
			got = append(got, string(record.Events))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"1", "2"}; !slices.Equal(got, want) {
		t.Errorf("after opening anew: got %q, want %q", got, want)
	}
}

func TestACallWhoseContextHasEndedSaysSo(t *testing.T) {
	db := openNew(t, storetest.NewClock(start))
	if err := db.Commit(t.Context(), store.NewVersion(), store.Write{Key: key("a"), Events: []byte("e")}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, get := store.GetOne(ctx, db, key("a"))
	_, query := db.Query(ctx, store.Query{Partition: "p"})
	commit := db.Commit(ctx, store.NewVersion(), put(key("b"), ""))
	_, count := db.Count(ctx, key("n"), 1, 1, start.Add(time.Hour))
	_, read := db.Count(ctx, key("n"), 0, 1, start.Add(time.Hour))
	deliver := db.Deliver(ctx, 1, func(context.Context, []store.Record) error { return nil })
	_, purge := db.Purge(ctx)
	for name, err := range map[string]error{"Get": get, "Query": query, "Commit": commit, "Count": count, "Count of 0": read, "Deliver": deliver, "Purge": purge} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want %v", name, err, context.Canceled)
		}
	}
	if item, err := store.GetOne(t.Context(), db, key("b")); err != nil || !item.Absent() {
		t.Errorf("the commit: got %+v, %v, want it absent", item, err)
	}
}

func TestACommitWhoseCallerStoppedWaitingIsWholeOrNotAtAll(t *testing.T) {
	db := openNew(t, storetest.NewClock(start))
	var all sync.WaitGroup
	for i := range 400 {
		ctx, cancel := context.WithCancel(t.Context())
		a, b := key(fmt.Sprintf("a%d", i)), key(fmt.Sprintf("b%d", i))
		body, begun := []byte("as it was"), make(chan struct{})
		all.Go(func() {
			close(begun)
			err := db.Commit(ctx, store.NewVersion(), store.Write{Key: a, Body: body}, store.Write{Key: b, Body: body})
			clear(body) // the memory is the caller's again, whether the call has ended or not
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want nil or %v", err, context.Canceled)
			}
		})
		all.Go(func() {
			<-begun
			for range i % 20 { // some of them sooner and some later
				runtime.Gosched()
			}
			cancel()
		})
	}
	all.Wait()
	if err := db.Commit(t.Context(), store.NewVersion(), put(key("last"), "")); err != nil { // all commits before it have ended
		t.Fatal(err)
	}
	for i := range 400 {
		a, errA := store.GetOne(t.Context(), db, key(fmt.Sprintf("a%d", i)))
		b, errB := store.GetOne(t.Context(), db, key(fmt.Sprintf("b%d", i)))
		if errA != nil || errB != nil || a.Version != b.Version {
			t.Fatalf("%d: got versions %q and %q, %v, %v, want the same", i, a.Version, b.Version, errA, errB)
		}
		if !a.Absent() && (string(a.Body) != "as it was" || string(b.Body) != "as it was") {
			t.Fatalf("%d: got bodies %q and %q, want them as they were", i, a.Body, b.Body)
		}
	}
}

func TestADeliveryEndsThoughEveryReceiptBringsNewEvents(t *testing.T) {
	db, n := openNew(t, storetest.NewClock(start)), 0
	tell := func() error {
		n++
		return db.Commit(t.Context(), store.NewVersion(), store.Write{Key: key(fmt.Sprint(n)), Events: []byte("e")})
	}
	if err := errors.Join(tell(), tell()); err != nil {
		t.Fatal(err)
	}
	for turn, want := range []int{2, 2, 2} {
		got := 0
		if err := db.Deliver(t.Context(), 1, func(_ context.Context, records []store.Record) error {
			got++
			return tell()
		}); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("delivery %d: got %d records, want %d", turn, got, want)
		}
	}
}

func TestADeliveryThatWaitsForAnotherEndsWithItsContext(t *testing.T) {
	db := openNew(t, storetest.NewClock(start))
	if err := db.Commit(t.Context(), store.NewVersion(), store.Write{Key: key("a"), Events: []byte("e")}); err != nil {
		t.Fatal(err)
	}
	err := db.Deliver(t.Context(), 1, func(ctx context.Context, _ []store.Record) error {
		ctx, cancel := context.WithCancel(ctx)
		second := make(chan error)
		go func() {
			second <- db.Deliver(ctx, 1, func(context.Context, []store.Record) error {
				t.Error("a second delivery within the first")
				return nil
			})
		}()
		cancel()
		if err := <-second; !errors.Is(err, context.Canceled) {
			t.Errorf("the second: got %v, want %v", err, context.Canceled)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAStoreNeedsToKnowTheTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	if _, err := bolt.Open(path, bolt.Options{}); err == nil {
		t.Error("got no error")
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file: got %v, want none", err)
	}
}
