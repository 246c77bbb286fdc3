package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"countersign/infra/local/shell"
	"countersign/pkg/store/bolt"
)

// A folder is the data folder of a local server, as package infra/local/server lays it out.
type folder struct {
	dir   string
	ahead time.Duration // of the server's clock
	wall  func() time.Time
}

// openFolder finds out whether there is such a folder, and what its clock says. It makes nothing.
func openFolder(dir string, wall func() time.Time) (*folder, error) {
	f := &folder{dir: dir, wall: wall}
	about, err := os.Stat(f.database())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not the data folder of a local server: it has no countersign.db. To make one: go run ./infra/local -data %s", dir, quoted(dir))
	}
	if err != nil {
		return nil, err
	}
	if !about.Mode().IsRegular() || about.Size() == 0 {
		return nil, fmt.Errorf("%s is no database", f.database())
	}
	text, err := os.ReadFile(filepath.Join(dir, "clock"))
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, err
	}
	seconds, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || seconds < 0 || seconds > int64(mostAhead/time.Second) {
		return nil, fmt.Errorf("%s holds no number of seconds: put back what it held", filepath.Join(dir, "clock"))
	}
	f.ahead = time.Duration(seconds) * time.Second
	return f, nil
}

// mostAhead is how far a local server's clock can have been moved.
const mostAhead = 100 * 365 * 24 * time.Hour

func (f *folder) database() string { return filepath.Join(f.dir, "countersign.db") }

// now is the server's time.
func (f *folder) now() time.Time { return f.wall().UTC().Add(f.ahead) }

// open opens the database. While the server has it open, inUse says so of the error.
func (f *folder) open() (*bolt.DB, error) {
	db, err := bolt.Open(f.database(), bolt.Options{Now: f.now})
	if errors.Is(err, bolt.ErrInUse) {
		return nil, &folderInUse{f.dir}
	}
	return db, err
}

// folderInUse says that a local server works on a folder.
type folderInUse struct{ dir string }

func (e *folderInUse) Error() string {
	return "a local server works on " + e.dir + ", and only one process can"
}

func inUse(err error) bool {
	_, ok := errors.AsType[*folderInUse](err)
	return ok
}

// quoted is text as one word of the shell of this machine.
func quoted(text string) string { return shell.Of(runtime.GOOS).Quoted(text) }
