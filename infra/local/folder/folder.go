// Package folder has what the local server and other programs must know about the server's data folder: where the database and
// the key file are, whether there is a database, what the folder's clock says, and that only one process at a time opens the
// database.
//
// Looking at a folder creates nothing, not even the folder. New keys are made only if there is no database yet, because new keys
// can't open what an existing database has.
//
// The package doesn't know what else a server keeps in the folder, or what is in the database.
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

// ErrInUse means that another process, or another part of this process, has the database open.
var ErrInUse = errors.New("the data folder is in use")

// A Folder is the data folder of a local server.
type Folder struct {
	Clock

	dir string
}

// Open looks at the data folder dir and reads the offset of its clock. wall returns the machine's time. Open creates nothing, and
// it isn't an error if the folder doesn't exist yet.
func Open(dir string, wall func() time.Time) (*Folder, error) {
	f := &Folder{Clock{path: filepath.Join(dir, "clock"), wall: wall}, dir}
	if err := f.Load(); err != nil {
		return nil, err
	}
	return f, nil
}

// Dir returns the path of the folder.
func (f *Folder) Dir() string { return f.dir }

func (f *Folder) database() string { return filepath.Join(f.dir, "countersign.db") }

// HasDatabase reports whether there is a database. An empty file doesn't count: a server that was killed while it created the
// database leaves such a file. If there is something else than a file, HasDatabase fails.
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

// OpenDatabase opens the database. If there is none, it creates one. While another process has the database open, it fails with
// an error that wraps ErrInUse.
func (f *Folder) OpenDatabase() (*bolt.DB, error) {
	db, err := bolt.Open(f.database(), bolt.Options{Now: f.Now})
	if errors.Is(err, bolt.ErrInUse) {
		return nil, fmt.Errorf("%w: another process is using %s", ErrInUse, f.dir)
	}
	return db, err
}

// OpenKeys opens the key file. If the file is missing, it fails with an error that wraps fs.ErrNotExist; but if create is true
// and there is no database, it makes a key file with new keys.
func (f *Folder) OpenKeys(create bool) (*seal.File, error) {
	has, err := f.HasDatabase()
	if err != nil {
		return nil, err
	}
	keys, err := seal.OpenFile(filepath.Join(f.dir, "keys.json"), seal.FileOptions{Now: f.Now, Create: create && !has})
	if errors.Is(err, fs.ErrNotExist) && has {
		return nil, fmt.Errorf("%s has a database but no keys.json: restore the file, or start with an empty folder: %w", f.dir, err)
	}
	return keys, err
}
