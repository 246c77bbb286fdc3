package main

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"countersign/infra/local/folder"
	"countersign/infra/local/shell"
	"countersign/pkg/store/bolt"
)

// openFolder opens the data folder of a local server. The folder must have been used, and openFolder makes nothing in it.
func openFolder(dir string, wall func() time.Time) (*folder.Folder, error) {
	f, err := folder.Open(dir, wall)
	if err != nil {
		return nil, err
	}
	has, err := f.HasDatabase()
	if err == nil && !has {
		err = fmt.Errorf("%s is not the data folder of a local server: it has no database countersign.db. To make one, run: go run ./infra/local -data %s", dir, quoted(dir))
	}
	return f, err
}

// openDatabase opens the folder's database. If a server has the database open, inUse is true for the error.
func openDatabase(f *folder.Folder) (*bolt.DB, error) {
	db, err := f.OpenDatabase()
	if inUse(err) {
		return nil, &folderInUse{f.Dir(), err}
	}
	return db, err
}

// A folderInUse is the error that a local server is using a folder.
type folderInUse struct {
	dir   string
	cause error
}

func (e *folderInUse) Error() string {
	return "a local server works on " + e.dir + ", and only one process at a time can"
}

func (e *folderInUse) Unwrap() error { return e.cause }

func inUse(err error) bool { return errors.Is(err, folder.ErrInUse) }

// quoted returns text as one word for the shell of this machine.
func quoted(text string) string { return shell.Of(runtime.GOOS).Quoted(text) }
