// Package folder is the data folder of a local server, as far as the server and whoever looks at it must agree: where the
// database and the key file are, when there is a database, what the folder's clock says, and that one process at a time
// opens the database.
//
// What it keeps: looking makes nothing, not even the folder. New keys are made only where there is no database yet, since
// new keys open nothing of what is there.
//
// What it refuses to know: what else a server puts there, and what the database holds.
package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"countersign/pkg/seal"
	"countersign/pkg/store/bolt"
)

// ErrInUse says that another process, or another part of this one, has the database open.
var ErrInUse = errors.New("the data folder is in use")

// A Folder is a data folder.
type Folder struct {
	Clock

	dir string
}

// Open looks at the data folder dir and reads its clock, which counts from wall. It makes nothing. A folder that isn't there
// yet is no error.
func Open(dir string, wall func() time.Time) (*Folder, error) {
	f := &Folder{Clock{path: filepath.Join(dir, "clock"), wall: wall}, dir}
	if err := f.Load(); err != nil {
		return nil, err
	}
	return f, nil
}

// Dir is the folder's path.
func (f *Folder) Dir() string { return f.dir }

func (f *Folder) database() string { return filepath.Join(f.dir, "countersign.db") }

// HasDatabase reports whether there is a database. An empty file is none: a server that was killed while it made the
// database leaves one. Anything but a file is an error.
func (f *Folder) HasDatabase() (bool, error) {
	about, err := os.Stat(f.database())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case !about.Mode().IsRegular():
		return false, fmt.Errorf("%s is not a file", f.database())
	}
	return about.Size() > 0, nil
}

// OpenDatabase opens the database, or makes it. Its error wraps ErrInUse while another process has it open.
func (f *Folder) OpenDatabase() (*bolt.DB, error) {
	db, err := bolt.Open(f.database(), bolt.Options{Now: f.Now})
	if errors.Is(err, bolt.ErrInUse) {
		return nil, fmt.Errorf("%w: another process works on %s", ErrInUse, f.dir)
	}
	return db, err
}

// OpenKeys opens the key file. Where create is set and there is no database, it makes the file if it isn't there. The
// error for a file that is missing wraps fs.ErrNotExist.
func (f *Folder) OpenKeys(create bool) (*seal.File, error) {
	has, err := f.HasDatabase()
	if err != nil {
		return nil, err
	}
	keys, err := seal.OpenFile(filepath.Join(f.dir, "keys.json"), seal.FileOptions{Now: f.Now, Create: create && !has})
	if errors.Is(err, fs.ErrNotExist) && has {
		return nil, fmt.Errorf("%s has a database but no keys.json: put the file back, or start with an empty folder: %w", f.dir, err)
	}
	return keys, err
}
