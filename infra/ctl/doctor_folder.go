package main

import (
	"context"
	"time"

	"countersign/infra/local/folder"
)

// lookAtFolder looks at what a local server keeps.
func lookAtFolder(ctx context.Context, dir string, wall func() time.Time) findings {
	var found findings
	f, err := openFolder(dir, wall)
	if err != nil {
		found.wrong("data folder", err.Error(), "name the folder that the local server was started with (-data)")
		return found
	}
	found.ok("data folder", "%s", dir)
	lookAtKeyFile(ctx, f, &found)
	lookAtClock(f, &found)
	db, err := openDatabase(f)
	switch {
	case inUse(err):
		found.unseen("database", err.Error(), "end it to have the database looked at; that it runs can be seen at /health, where it listens")
		return found
	case err != nil:
		found.wrong("database", err.Error(), "put back a copy of countersign.db, with the keys.json that belongs to it, or start with an empty folder")
		return found
	}
	found.ok("database", "countersign.db has the format that this program knows")
	c := &contentDoctor{store: db, now: f.Now(), local: true, findings: found}
	c.lookAtKeys(ctx)
	c.lookAtSweep(ctx)
	if err := db.Close(); err != nil {
		c.failed("database", err)
	}
	return c.findings
}

// lookAtKeyFile looks at what everything that is sealed in the database can be opened with.
func lookAtKeyFile(ctx context.Context, f *folder.Folder, found *findings) {
	const about = "key file"
	keys, err := f.OpenKeys(false)
	if err == nil {
		_, err = keys.Ring(ctx)
	}
	if err != nil {
		found.wrong(about, err.Error(), "put the file back, of mode 0600, or start with an empty folder")
		return
	}
	found.ok(about, "keys.json is whole, and its owner's alone")
}

func lookAtClock(f *folder.Folder, found *findings) {
	ahead := f.Ahead()
	if ahead == 0 {
		found.ok("clock", "this machine's")
		return
	}
	found.ok("clock", "%s ahead of this machine's: there it is %s", ahead, hour(f.Now()))
}
