package bolt_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"countersign/pkg/store"
	"countersign/pkg/store/bolt"
	"countersign/pkg/store/storetest"
)

// childFile is the environment variable that makes the program of this test the child. It names the file to which the child writes.
const childFile = "COUNTERSIGN_BOLT_TEST_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childFile); path != "" {
		fmt.Fprintln(os.Stderr, "child:", commitForEver(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

const workers = 8

func ticketsOf(worker int) string { return fmt.Sprintf("tickets#%d", worker) }
func logOf(worker int) string     { return fmt.Sprintf("log#%d", worker) }
func ticket(worker, turn int) store.Key {
	return store.Key{Partition: ticketsOf(worker), Sort: fmt.Sprintf("%09d", turn)}
}

// commitForEver is what the child does. Each of its workers has one ticket, and exchanges it for the next one. A turn is a Count, and
// then a Commit of a delete and three puts. The child prints a line for each turn when its commit has returned.
func commitForEver(path string) error {
	db, err := bolt.Open(path, bolt.Options{Now: storetest.NewClock(start).Now})
	if err != nil {
		return err
	}
	failed := make(chan error)
	var printing sync.Mutex
	for worker := range workers {
		go func() {
			ctx, last := context.Background(), store.Item{}
			page, err := db.Query(ctx, store.Query{Partition: ticketsOf(worker)})
			if len(page.Items) > 0 {
				last = page.Items[0]
			}
			turn, _ := strconv.Atoi(last.Key.Sort)
			for err == nil {
				turn++
				if _, err = db.Count(ctx, store.Key{Partition: "turns", Sort: ticketsOf(worker)}, 1, 1<<40, start.Add(time.Hour)); err != nil {
					break
				}
				token := store.NewVersion()
				writes := []store.Write{
					{Key: ticket(worker, turn), Events: []byte(strconv.Itoa(turn)), Expires: start.Add(time.Hour)},
					{Key: store.Key{Partition: logOf(worker), Sort: fmt.Sprintf("%09d.1", turn)}, Body: make([]byte, 1000)},
					{Key: store.Key{Partition: logOf(worker), Sort: fmt.Sprintf("%09d.2", turn)}, Body: make([]byte, 1000)},
				}
				if turn > 1 {
					writes = append(writes, store.Write{Key: last.Key, Expect: last.Version, Delete: true})
				}
				if err = db.Commit(ctx, token, writes...); err != nil {
					break
				}
				last = store.Item{Key: ticket(worker, turn), Version: token}
				printing.Lock()
				_, err = fmt.Printf("%d %d\n", worker, turn)
				printing.Unlock()
			}
			failed <- err
		}()
	}
	return <-failed
}

// startChild starts this program again as the child. It returns the child, and what the child prints.
func startChild(t *testing.T, path string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childFile+"="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		child.Process.Kill()
		child.Wait()
	})
	return child, bufio.NewScanner(out)
}

func TestNoAcknowledgedCommitIsLostAndNoneIsHalfDoneWhenTheProcessIsKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	var acknowledged [workers]int
	for round, lines := range []int{1, 20, 333, 700} {
		child, out := startChild(t, path)
		for read := 0; out.Scan(); read++ {
			if read == lines {
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			// All that was printed before the kill is read. A pipe takes a short line as a whole or not at all.
			var worker, turn int
			if _, err := fmt.Sscan(out.Text(), &worker, &turn); err != nil {
				t.Fatalf("got line %q: %v", out.Text(), err)
			}
			if turn != acknowledged[worker]+1 {
				t.Fatalf("worker %d: got turn %d after %d", worker, turn, acknowledged[worker])
			}
			acknowledged[worker] = turn
		}
		child.Wait()
		checkAfterKill(t, path, round, &acknowledged)
	}
}

// checkAfterKill checks what the child has left in the file, and sets done to the turns that were carried out.
func checkAfterKill(t *testing.T, path string, round int, done *[workers]int) {
	t.Helper()
	db, err := bolt.Open(path, bolt.Options{Now: storetest.NewClock(start).Now})
	if err != nil {
		t.Fatal(err)
	}
	for worker := range workers {
		tickets := all(t, db, ticketsOf(worker))
		if len(tickets) > 1 || (len(tickets) == 0 && done[worker] > 0) {
			t.Fatalf("round %d, worker %d: got %d tickets, want one", round, worker, len(tickets))
		}
		turn := 0
		if len(tickets) == 1 {
			turn, _ = strconv.Atoi(tickets[0].Key.Sort)
		}
		// One more turn may have been done than was printed, because the process may have ended before it could print the line.
		if turn < done[worker] || turn > done[worker]+1 {
			t.Errorf("round %d, worker %d: got turn %d, acknowledged were %d", round, worker, turn, done[worker])
		}
		log := all(t, db, logOf(worker))
		if len(log) != 2*turn {
			t.Errorf("round %d, worker %d: got %d parts of %d turns, want two of each", round, worker, len(log), turn)
		}
		for i, item := range log {
			if want := fmt.Sprintf("%09d.%d", i/2+1, i%2+1); item.Key.Sort != want || len(item.Body) != 1000 {
				t.Errorf("round %d, worker %d: got part %q of %d bytes, want %q of 1000", round, worker, item.Key.Sort, len(item.Body), want)
			}
		}
		if turn > 0 && log[len(log)-1].Version != tickets[0].Version {
			t.Errorf("round %d, worker %d: the ticket and the log are of two commits", round, worker)
		}
		count, err := db.Count(t.Context(), store.Key{Partition: "turns", Sort: ticketsOf(worker)}, 0, 1<<40, start.Add(time.Hour))
		if err != nil || count < int64(turn) || count > int64(turn+round+1) {
			t.Errorf("round %d, worker %d: got count %d, %v, want %d to %d", round, worker, count, err, turn, turn+round+1)
		}
		done[worker] = turn
	}

	// The records are refused, so that every round sees all events since the beginning.
	events, refusal := map[string]int{}, errors.New("not now")
	err = db.Deliver(t.Context(), 1<<20, func(_ context.Context, records []store.Record) error {
		for _, record := range records {
			events[record.Key.Partition]++
			if want := strconv.Itoa(events[record.Key.Partition]); string(record.Events) != want {
				t.Errorf("round %d, %s: got event %q, want %q", round, record.Key.Partition, record.Events, want)
			}
		}
		return refusal
	})
	if !errors.Is(err, refusal) {
		t.Fatalf("Deliver: got %v, want the receiver's error", err)
	}
	for worker, turn := range done {
		if got := events[ticketsOf(worker)]; got != turn {
			t.Errorf("round %d, worker %d: got %d events, want %d", round, worker, got, turn)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	file.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("round %d: the file: %v", round, err)
		}
		return nil
	})
}

// all returns all items of a partition.
func all(t *testing.T, db *bolt.DB, partition string) (items []store.Item) {
	t.Helper()
	for q := (store.Query{Partition: partition}); ; {
		page, err := db.Query(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, page.Items...)
		if !page.More {
			return items
		}
		q.After = page.Last
	}
}

func TestAFileInUseByAnotherProcessIsNotOpened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	child, out := startChild(t, path)
	if !out.Scan() {
		t.Fatal("the child says nothing")
	}
	if _, err := bolt.Open(path, bolt.Options{Now: storetest.NewClock(start).Now}); !errors.Is(err, bolt.ErrInUse) {
		t.Errorf("got %v, want %v", err, bolt.ErrInUse)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for out.Scan() {
	}
	child.Wait()
	open(t, path, storetest.NewClock(start).Now)
}
