package seal

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock is a clock that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

func mustOpen(t *testing.T, path string, options FileOptions) *File {
	t.Helper()
	file, err := OpenFile(path, options)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func mustRing(t *testing.T, keeper Keeper) *Ring {
	t.Helper()
	ring, err := keeper.Ring(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func filesIn(t *testing.T, path string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func rotateAt(now time.Time) func(*Ring) (*Ring, error) {
	return func(ring *Ring) (*Ring, error) { return ring.Rotate(now) }
}

func TestAMissingKeyFileIsMadeOnlyWhenAsked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	_, err := OpenFile(path, FileOptions{Now: at(start)})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want %v with the path", err, fs.ErrNotExist)
	}
	if names := filesIn(t, path); names != nil {
		t.Errorf("there is %q", names)
	}
	made := mustRing(t, mustOpen(t, path, FileOptions{Now: at(start), Create: true}))
	if names := filesIn(t, path); len(names) != 1 || names[0] != "keys" {
		t.Errorf("there is %q, want only the key file", names)
	}
	for _, create := range []bool{false, true} {
		found := mustRing(t, mustOpen(t, path, FileOptions{Now: at(start), Create: create}))
		if found.Newest() != made.Newest() {
			t.Errorf("create %v: another ring", create)
		}
	}
	if _, err := OpenFile(path, FileOptions{}); err == nil {
		t.Error("opened without a clock")
	}
	if _, err := OpenFile(filepath.Join(path, "below", "keys"), FileOptions{Now: at(start), Create: true}); err == nil {
		t.Error("opened below a file")
	}
}

func TestAKeyFileThatOthersMayUseIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no permission bits")
	}
	path := filepath.Join(t.TempDir(), "keys")
	mustOpen(t, path, FileOptions{Now: at(start), Create: true})
	about, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := about.Mode().Perm(); got != 0o600 {
		t.Errorf("made with mode %04o, want 0600", got)
	}
	for _, mode := range []fs.FileMode{0o604, 0o640, 0o602, 0o620, 0o601, 0o644, 0o777} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := OpenFile(path, FileOptions{Now: at(start), Create: true})
		if err == nil || !strings.Contains(err.Error(), "0600") || !strings.Contains(err.Error(), path) {
			t.Errorf("mode %04o: %v, want an error that says 0600", mode, err)
		}
	}
	for _, mode := range []fs.FileMode{0o600, 0o400} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		mustOpen(t, path, FileOptions{Now: at(start)})
	}
}

func TestADamagedKeyFileIsRefusedAndLeftAsItIs(t *testing.T) {
	ring := NewRing(start)
	whole := ring.Marshal().Reveal()
	for name, content := range map[string]string{
		"empty": "", "cut short": whole[:len(whole)/2], "not JSON": "hello", "too large": whole + strings.Repeat(" ", maxFile), "another format": `{"format":9}`,
	} {
		path := filepath.Join(t.TempDir(), "keys")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := OpenFile(path, FileOptions{Now: at(start), Create: true})
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want an error that names the file", name, err)
			continue
		}
		if got, want := strings.Contains(err.Error(), "larger than"), name == "too large"; got != want {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(err.Error(), encode(ring.newest().master)[:9]) {
			t.Errorf("%s: the error shows a key", name)
		}
		if left, err := os.ReadFile(path); err != nil || string(left) != content {
			t.Errorf("%s: the file was changed, or %v", name, err)
		}
	}
	folder := t.TempDir()
	if err := os.Chmod(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFile(folder, FileOptions{Now: at(start), Create: true}); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder: %v, want that it is not a regular file", err)
	}
}

// TestAnotherProcessOpensTheKeyFile is run by the processes that the next test starts.
func TestAnotherProcessOpensTheKeyFile(t *testing.T) {
	path := os.Getenv("SEAL_KEY_FILE")
	if path == "" {
		return
	}
	ring := mustRing(t, mustOpen(t, path, FileOptions{Now: at(start), Create: true}))
	os.Stdout.WriteString("newest " + ring.Newest() + "\n")
}

func TestAllWhoCreateAKeyFileAtOnceGetOneRing(t *testing.T) {
	const processes, routines, rounds = 4, 16, 20
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for round := range rounds {
		path := filepath.Join(t.TempDir(), "keys")
		newest := make(chan string, processes+routines)
		begin := make(chan struct{})
		var all sync.WaitGroup
		for range routines {
			all.Go(func() {
				<-begin
				file, err := OpenFile(path, FileOptions{Now: at(start), Create: true})
				if err != nil {
					t.Error(err)
					return
				}
				ring, err := file.Ring(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				newest <- ring.Newest()
			})
		}
		if round == 0 {
			for range processes {
				all.Go(func() {
					command := exec.CommandContext(t.Context(), executable, "-test.run=^TestAnotherProcessOpensTheKeyFile$")
					command.Env = append(os.Environ(), "SEAL_KEY_FILE="+path)
					<-begin
					out, err := command.CombinedOutput()
					if err != nil {
						t.Errorf("%v: %s", err, out)
						return
					}
					newest <- between(string(out), "newest ", "\n")
				})
			}
		}
		close(begin)
		all.Wait()
		close(newest)
		want := mustRing(t, mustOpen(t, path, FileOptions{Now: at(start)})).Newest()
		for got := range newest {
			if got != want {
				t.Errorf("one got key %s, and the file has %s", got, want)
			}
		}
		if names := filesIn(t, path); len(names) != 1 {
			t.Errorf("there is %q, want only the key file", names)
		}
	}
}

func TestARotationReachesWhoOpenedTheFileBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	clock := &clock{at: start}
	ours := mustOpen(t, path, FileOptions{Now: clock.now, Create: true})
	theirs := mustOpen(t, path, FileOptions{Now: clock.now})
	before := mustRing(t, ours)
	rotated, err := theirs.Update(t.Context(), rotateAt(start))
	if err != nil {
		t.Fatal(err)
	}
	if got := mustRing(t, theirs); got != rotated || got.Newest() == before.Newest() {
		t.Error("who rotated has the old ring")
	}
	sealed := rotated.Seal("totp", factorFields, factorSecret)

	clock.advance(RingAge)
	if got := mustRing(t, ours); got != before {
		t.Error("a ring of RingAge was not taken from the cache")
	}
	if _, err := before.Open("totp", factorFields, sealed); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("got %v, want %v", err, ErrUnknownKey)
	}
	reloaded, err := ours.Reload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := reloaded.Open("totp", factorFields, sealed); err != nil || !bytes.Equal(opened, factorSecret) {
		t.Errorf("after a reload opened %q, %v; want %q", opened, err, factorSecret)
	}

	third, err := theirs.Update(t.Context(), rotateAt(start))
	if err != nil {
		t.Fatal(err)
	}
	clock.advance(RingAge + time.Second)
	if got := mustRing(t, ours).Newest(); got != third.Newest() {
		t.Error("a ring older than RingAge was taken from the cache")
	}
	if names := filesIn(t, path); len(names) != 1 {
		t.Errorf("there is %q, want only the key file", names)
	}
	if about, err := os.Stat(path); err != nil || (posix && about.Mode().Perm() != 0o600) {
		t.Errorf("after an update: mode %v, %v; want 0600", about.Mode(), err)
	}
}

func TestAReloadWithoutChangeKeepsTheRing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	file := mustOpen(t, path, FileOptions{Now: at(start), Create: true})
	before := mustRing(t, file)
	if after, err := file.Reload(t.Context()); err != nil || after != before {
		t.Errorf("another ring, or %v", err)
	}
}

func TestAnUpdateBuildsOnTheFileNotOnTheCache(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	ours := mustOpen(t, path, FileOptions{Now: at(start), Create: true})
	theirs := mustOpen(t, path, FileOptions{Now: at(start)})
	first, err := theirs.Update(t.Context(), rotateAt(start))
	if err != nil {
		t.Fatal(err)
	}
	second, err := ours.Update(t.Context(), rotateAt(start))
	if err != nil {
		t.Fatal(err)
	}
	if ids := second.KeyIDs(); len(ids) != 3 || ids[1] != first.Newest() {
		t.Errorf("%d keys, want 3 with the other's rotation in the middle", len(ids))
	}
}

func TestUpdatesOfManyAreNotLost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	mustOpen(t, path, FileOptions{Now: at(start), Create: true})
	var done []string
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 8 {
		file := mustOpen(t, path, FileOptions{Now: at(start)})
		all.Go(func() {
			for range 4 {
				ring, err := file.Update(t.Context(), rotateAt(start))
				if err != nil {
					if !strings.Contains(err.Error(), "another update") {
						t.Error(err)
					}
					continue
				}
				mu.Lock()
				done = append(done, ring.Newest())
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if len(done) == 0 {
		t.Fatal("no update was made")
	}
	held := mustRing(t, mustOpen(t, path, FileOptions{Now: at(start)}))
	for _, id := range done {
		if _, err := held.secret(id); err != nil {
			t.Errorf("a rotation was lost: key %s", id)
		}
	}
}

func TestAnUpdateThatFailsChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	file := mustOpen(t, path, FileOptions{Now: at(start), Create: true})
	before := mustRing(t, file)
	refusal := errors.New("no")
	if _, err := file.Update(t.Context(), func(*Ring) (*Ring, error) { return nil, refusal }); !errors.Is(err, refusal) {
		t.Errorf("got %v, want %v", err, refusal)
	}
	if names := filesIn(t, path); len(names) != 1 {
		t.Errorf("there is %q, want only the key file", names)
	}
	if err := os.WriteFile(path+".next", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Update(t.Context(), rotateAt(start)); err == nil || !strings.Contains(err.Error(), path+".next") {
		t.Errorf("got %v, want an error that names what to remove", err)
	}
	if _, err := os.Stat(path + ".next"); err != nil {
		t.Errorf("another's update was taken away: %v", err)
	}
	if after, err := file.Reload(t.Context()); err != nil || after != before {
		t.Errorf("the ring changed, or %v", err)
	}
}

func TestNoRingIsGivenWhenTheFileCannotBeRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	clock := &clock{at: start}
	file := mustOpen(t, path, FileOptions{Now: clock.now, Create: true})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Ring(t.Context()); err != nil {
		t.Errorf("the cached ring: %v", err)
	}
	if _, err := file.Reload(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Reload: %v, want %v", err, fs.ErrNotExist)
	}
	clock.advance(RingAge + time.Second)
	if _, err := file.Ring(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an old ring: %v, want %v", err, fs.ErrNotExist)
	}
	if names := filesIn(t, path); names != nil {
		t.Errorf("there is %q: a ring was made anew", names)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := file.Reload(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("Reload after the end: %v, want %v", err, context.Canceled)
	}
	if _, err := file.Update(ended, rotateAt(start)); !errors.Is(err, context.Canceled) {
		t.Errorf("Update after the end: %v, want %v", err, context.Canceled)
	}
}

func TestARingOfTheFutureIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	clock := &clock{at: start}
	ours := mustOpen(t, path, FileOptions{Now: clock.now, Create: true})
	before := mustRing(t, ours)
	rotated, err := mustOpen(t, path, FileOptions{Now: clock.now}).Update(t.Context(), rotateAt(start))
	if err != nil {
		t.Fatal(err)
	}
	if got := mustRing(t, ours); got != before {
		t.Fatal("the cached ring was not used while it was fresh")
	}
	clock.advance(-time.Second)
	if got := mustRing(t, ours); got.Newest() != rotated.Newest() {
		t.Error("after the clock went back: got the cached ring, want what the file has")
	}
}
