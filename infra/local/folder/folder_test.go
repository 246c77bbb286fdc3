package folder_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/infra/local/folder"
	"countersign/infra/local/machine"
)

func open(t *testing.T, dir string) *folder.Folder {
	t.Helper()
	f, err := folder.Open(dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestLookingAtAFolderMakesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	f := open(t, dir)
	if has, err := f.HasDatabase(); has || err != nil {
		t.Errorf("got %v, %v, want no database", has, err)
	}
	if _, err := f.OpenKeys(false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want that there is no key file", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want no folder", err)
	}
}

func TestNewKeysAreMadeOnlyWhereThereIsNoDatabase(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "countersign.db"), nil, 0o600); err != nil { // of a server that was killed at once
		t.Fatal(err)
	}
	if has, err := f.HasDatabase(); has || err != nil {
		t.Errorf("an empty file: got %v, %v, want that it is no database", has, err)
	}
	if _, err := f.OpenKeys(true); err != nil {
		t.Fatal(err)
	}
	db, err := f.OpenDatabase()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, dir).OpenDatabase(); !errors.Is(err, folder.ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a second time: got %v, want ErrInUse with the folder's name", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if has, err := f.HasDatabase(); !has || err != nil {
		t.Errorf("got %v, %v, want a database", has, err)
	}
	if err := os.Remove(filepath.Join(dir, "keys.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.OpenKeys(true); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "has a database but no keys.json") {
		t.Errorf("got %v, want that the keys are missing", err)
	}
}

func TestADatabaseIsAFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "countersign.db"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, dir).HasDatabase(); err == nil {
		t.Error("a folder is taken for a database")
	}
}

func TestTheClockMovesForwardToItsEndAndNoFurther(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	for _, step := range []struct {
		by   int64
		want error
	}{
		{-1, machine.ErrTooFar}, {0, nil}, {60, nil}, {machine.MostAhead, machine.ErrTooFar}, {machine.MostAhead - 60, nil}, {1, machine.ErrTooFar}, {0, nil},
	} {
		if err := f.Advance(step.by); !errors.Is(err, step.want) {
			t.Errorf("by %d: got %v, want %v", step.by, err, step.want)
		}
	}
	if got, want := open(t, dir).Ahead(), machine.MostAhead*time.Second; got != want {
		t.Errorf("read again: got %v ahead, want %v", got, want)
	}
	if off := f.Now().Sub(time.Now().Add(machine.MostAhead * time.Second)).Abs(); off > time.Minute || f.Now().Location() != time.UTC {
		t.Errorf("the folder's time is %v off, or not in UTC", off)
	}
}
