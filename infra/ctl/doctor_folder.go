package main

import (
	"context"
	"path/filepath"
	"time"

	"countersign/pkg/seal"
)

// lookAtFolder looks at what a local server keeps.
func lookAtFolder(ctx context.Context, dir string, wall func() time.Time) findings {
	var found findings
	folder, err := openFolder(dir, wall)
	if err != nil {
		found.wrong("data folder", err.Error(), "name the folder that the local server was started with (-data)")
		return found
	}
	found.ok("data folder", "%s", dir)
	folder.lookAtKeyFile(ctx, &found)
	folder.lookAtClock(&found)
	db, err := folder.open()
	switch {
	case inUse(err):
		found.unseen("database", err.Error(), "end it to have the database looked at; that it runs can be seen at /health, where it listens")
		return found
	case err != nil:
		found.wrong("database", err.Error(), "put back a copy of countersign.db, with the keys.json that belongs to it, or start with an empty folder")
		return found
	}
	found.ok("database", "countersign.db has the format that this program knows")
	c := &contentDoctor{store: db, now: folder.now(), local: true, findings: found}
	c.lookAtKeys(ctx)
	c.lookAtSweep(ctx)
	if err := db.Close(); err != nil {
		c.failed("database", err)
	}
	return c.findings
}

// lookAtKeyFile looks at what everything that is sealed in the database can be opened with.
func (f *folder) lookAtKeyFile(ctx context.Context, found *findings) {
	const about = "key file"
	keys, err := seal.OpenFile(filepath.Join(f.dir, "keys.json"), seal.FileOptions{Now: f.now})
	if err == nil {
		_, err = keys.Ring(ctx)
	}
	if err != nil {
		found.wrong(about, err.Error(), "put the file back, of mode 0600, or start with an empty folder")
		return
	}
	found.ok(about, "keys.json is whole, and its owner's alone")
}

func (f *folder) lookAtClock(found *findings) {
	if f.ahead == 0 {
		found.ok("clock", "this machine's")
		return
	}
	found.ok("clock", "%s ahead of this machine's: there it is %s", f.ahead, hour(f.now()))
}
