package bolt_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/pkg/store"
	"countersign/pkg/store/bolt"
	"countersign/pkg/store/storetest"
)

// BenchmarkCommit overwrites items of 600 bytes, which is about the size of a guard, of 10,000 users. Each goroutine reads an item and
// puts it again with events, as a verify does.
func BenchmarkCommit(b *testing.B) {
	for _, goroutines := range []int{1, 4, 64} {
		b.Run(fmt.Sprintf("%d", goroutines), func(b *testing.B) {
			db, body := openNew(b, storetest.NewClock(start)), make([]byte, 600)
			const users = 10_000
			user := func(i int64) store.Key {
				return store.Key{Partition: fmt.Sprintf("u#%016x", (i%users)*0x9e3779b97f4a7c1), Sort: "guard"}
			}
			versions := make([]store.Version, users)
			for i := 0; i < users; i += store.MaxWrites {
				token, writes := store.NewVersion(), []store.Write{}
				for j := i; j < i+store.MaxWrites; j++ {
					versions[j] = token
					writes = append(writes, store.Write{Key: user(int64(j)), Body: body})
				}
				if err := db.Commit(b.Context(), token, writes...); err != nil {
					b.Fatal(err)
				}
			}
			var next atomic.Int64
			var all sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()
			for range goroutines {
				all.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						item, err := store.GetOne(b.Context(), db, user(i))
						if err != nil {
							b.Error(err)
							return
						}
						if err := db.Commit(b.Context(), store.NewVersion(), store.Write{Key: item.Key, Expect: item.Version, Body: body, Events: []byte("events")}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
		})
	}
}

// BenchmarkOpen opens a new file, commits once and closes it.
func BenchmarkOpen(b *testing.B) {
	dir, now := b.TempDir(), storetest.NewClock(start).Now
	for i := range b.N {
		db, err := bolt.Open(filepath.Join(dir, fmt.Sprint(i)), bolt.Options{Now: now})
		if err != nil {
			b.Fatal(err)
		}
		if err := db.Commit(b.Context(), store.NewVersion(), store.Write{Key: key("a"), Expires: start.Add(time.Hour)}); err != nil {
			b.Fatal(err)
		}
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
