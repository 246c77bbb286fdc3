// Package machine is what every Countersign has that runs on one person's machine, and no deployment: the command that
// serves it there, an API key in a file, and the calls under /local/. So whatever is written against one runs against
// another.
//
//	GET    /local/outbox?to=   what would have been sent, oldest first: {"messages":[{"at","channel","to","subject",
//	                           "text","html","code"}]}; without to, to everybody
//	DELETE /local/outbox       hand on what was committed before, then forget all of it; 503, and nothing is forgotten, where
//	                           that can't be handed on
//	GET    /local/events       what the bus got, oldest first: {"events":[…]}
//	GET    /local/clock        the service's time: {"now"}
//	POST   /local/clock        {"advance_s":n} moves it forward
//	POST   /local/sweep        runs the sweep now: {"announced":n}
//	POST   /local/faults       {"target":"email|sms|store|keys|events","mode":"fail|slow|lost_reply","count":n}: the next n
//	                           calls of it fail, take 2 seconds more, or are done and then fail; a lost reply of the store
//	                           is one of a commit. 0 takes back what waits. One fault at a time for each target
//	POST   /local/keys         {"scopes":[…],"org":null,"client":"local","name":null} makes an API key: {"key":"csk_…"};
//	                           these are the defaults, with every scope
//
// The outbox and the events are those of all that was committed before the call. Faults of the store and the keys befall
// calls and not the service's own work, so that they hit what they are meant for.
//
// What it keeps: the calls answer nobody who speaks to another host than this machine, and no page of another origin. A
// command listens where other machines can't reach it, unless told to. The key's file is its owner's only.
//
// What it refuses: to know what answers the calls, which is a server in one process or one of many.
package machine

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/seal"
)

// Client is the client that the API key in the file is of.
const Client = "local"

// Origins are those of a server at a port, as a browser on this machine knows it. The first is its issuer.
func Origins(port int) []string {
	return []string{"http://localhost:" + strconv.Itoa(port), "http://127.0.0.1:" + strconv.Itoa(port)}
}

// KeyFile is the path of the API key in a data folder.
func KeyFile(dir string) string { return filepath.Join(dir, "api-key") }

// MakeKey makes an API key of every scope and org, and puts it in the data folder.
func MakeKey(ctx context.Context, keys *apikey.Registry, dir string, origins []string) (seal.Secret, error) {
	key, err := keys.Create(ctx, apikey.Grant{Client: Client, Scopes: apikey.Scopes(), Origins: origins})
	if err != nil {
		return seal.Secret{}, fmt.Errorf("make an API key: %w", err)
	}
	if err := ReplaceFile(KeyFile(dir), key.Reveal()+"\n"); err != nil {
		return seal.Secret{}, fmt.Errorf("keep the API key: %w", err)
	}
	return key, nil
}

// ReplaceFile puts content at path, readable by its owner only, whole or not at all.
func ReplaceFile(path, content string) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if _, err := file.WriteString(content); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

const (
	gather     = 5 * time.Millisecond // after a commit, so that what comes together is handed on together
	handOnWait = time.Second          // before what could not be handed on is tried again
)

// HandOn drains at once, soon after each commit, which wake tells of, and again where that failed, until ctx ends.
func HandOn(ctx context.Context, wake <-chan struct{}, drain func(context.Context) error, log *slog.Logger) {
	for Pause(ctx, gather) {
		if err := drain(ctx); err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, "events could not be handed on; they will be tried again", "error", err)
			if !Pause(ctx, handOnWait) {
				return
			}
			continue
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return
		}
	}
}

// Pause waits, and reports whether the work is to go on.
func Pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
