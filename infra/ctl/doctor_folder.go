package main

import (
	"context"
	"time"

	"countersign/infra/local/folder"
)

// lookAtFolder looks at the data folder of a local server.
func lookAtFolder(ctx context.Context, dir string, wall func() time.Time) findings {
	var found findings
	f, err := openFolder(dir, wall)
	if err != nil {
		found.wrong("data folder", "It can't be used: "+err.Error(), "Name the folder that the local server was started with (-data).")
		return found
	}
	found.ok("data folder", "It is %s.", dir)
	lookAtKeyFile(ctx, f, &found)
	lookAtClock(f, &found)
	db, err := openDatabase(f)
	switch {
	case inUse(err):
		found.unseen("database", "It can't be checked now: "+err.Error(), "Stop the server, and run doctor again. While the server runs, its address with /health says whether it is healthy.")
		return found
	case err != nil:
		found.wrong("database", "It can't be opened: "+err.Error(), "Restore a copy of countersign.db, together with the keys.json that belongs to it, or start with an empty folder.")
		return found
	}
	found.ok("database", "The file countersign.db has the format that this program knows.")
	c := &contentDoctor{store: db, now: f.Now(), local: true, epoch: epochOfFolder(ctx, f), findings: found}
	c.lookAtKeys(ctx)
	c.lookAtSweep(ctx)
	if err := db.Close(); err != nil {
		c.failed("database", err)
	}
	return c.findings
}

// lookAtKeyFile looks at the file of the keys that open what is sealed in the database.
func lookAtKeyFile(ctx context.Context, f *folder.Folder, found *findings) {
	const about = "key file"
	keys, err := f.OpenKeys(false)
	if err == nil {
		_, err = keys.Ring(ctx)
	}
	if err != nil {
		found.wrong(about, "It can't be used: "+err.Error(), "Restore the file keys.json, with the mode 0600, or start with an empty folder.")
		return
	}
	found.ok(about, "The file keys.json is complete, and only its owner can read it.")
}

// epochOfFolder returns the epoch in the key file, or 0 if the file can't be read, which lookAtKeyFile reports.
func epochOfFolder(ctx context.Context, f *folder.Folder) int64 {
	keys, err := f.OpenKeys(false)
	if err != nil {
		return 0
	}
	ring, err := keys.Ring(ctx)
	if err != nil {
		return 0
	}
	return ring.Epoch()
}

func lookAtClock(f *folder.Folder, found *findings) {
	ahead := f.Ahead()
	if ahead == 0 {
		found.ok("clock", "It is the clock of this machine.")
		return
	}
	found.ok("clock", "It is %s ahead of the clock of this machine, at %s.", ahead, hour(f.Now()))
}
