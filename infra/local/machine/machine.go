// Package machine has what every Countersign has that runs on one person's machine, and that a deployment doesn't have: the
// [Command] that serves it, an API key in a file, and the [Calls] under /local/. Both the local server and the emulator use it, so
// a test that was written for one of them also runs with the other.
//
//	GET    /local/outbox?to=   Returns what would have been sent to an address, or to anyone without "to". The oldest message
//	                           comes first: {"messages":[{"at","channel","to","subject","text","html","code"}]}
//	DELETE /local/outbox       Publishes the events that were committed before, and then deletes all messages. If the events
//	                           can't be published, the status is 503 and nothing is deleted.
//	GET    /local/events       Returns what the event bus got. The oldest event comes first: {"events":[…]}
//	GET    /local/clock        Returns the service's time: {"now"}
//	POST   /local/clock        {"advance_s":n} moves the service's time forward.
//	POST   /local/sweep        Runs the sweep now: {"announced":n}
//	POST   /local/faults       {"target":"email|sms|store|keys|events","mode":"fail|slow|lost_reply","count":n} makes the next n
//	                           calls of the target fail, take 2 seconds longer, or fail after they were done. With lost_reply,
//	                           only commits of the store count. The count 0 removes the fault. A target has one fault at a time.
//	POST   /local/keys         {"scopes":[…],"org":null,"client":"local","name":null} makes an API key: {"key":"csk_…"}. These
//	                           are the defaults; the default for scopes is every scope.
//
// The outbox and the events include everything that was committed before the call. Faults of the store and the keys apply to
// calls of the API and not to the service's own work.
//
// The calls under /local/ answer only requests that name this machine as the host, and never a page of another origin. A command
// listens at an address that other machines can't reach, unless a flag allows it. Only the owner of the file can read the API
// key.
//
// The package doesn't know what answers the calls: it can be a server in one process or in many.
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
	"countersign/pkg/mfa"
	"countersign/pkg/seal"
)

// Client is the client to which the API key in the file belongs.
const Client = "local"

// Origins returns the origins of a server at a port, for a browser on this machine. The first is the issuer of the server.
func Origins(port int) []string {
	return []string{"http://localhost:" + strconv.Itoa(port), "http://127.0.0.1:" + strconv.Itoa(port)}
}

// RelyingParty is what authenticators know a server on one person's machine as. Browsers take the RP ID localhost on pages
// at http://localhost, whatever the port is.
func RelyingParty() mfa.RelyingParty {
	return mfa.RelyingParty{ID: "localhost", Name: "Countersign on this machine"}
}

// KeyFile returns the path of the API key's file in a data folder.
func KeyFile(dir string) string { return filepath.Join(dir, "api-key") }

// DemoKeyFile returns the path of the file with the demo's API key in a data folder.
func DemoKeyFile(dir string) string { return filepath.Join(dir, "demo-key") }

// MakeKey makes an API key that is valid for every org, and writes it to the file at path.
func MakeKey(ctx context.Context, keys *apikey.Registry, path string, scopes []apikey.Scope, origins []string) (seal.Secret, error) {
	key, err := keys.Create(ctx, apikey.Grant{Client: Client, Scopes: scopes, Origins: origins})
	if err != nil {
		return seal.Secret{}, fmt.Errorf("make an API key: %w", err)
	}
	if err := ReplaceFile(path, key.Reveal()+"\n"); err != nil {
		return seal.Secret{}, fmt.Errorf("keep the API key: %w", err)
	}
	return key, nil
}

// ReplaceFile writes content to the file at path, completely or not at all. Only the owner can read the file.
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
	gather     = 5 * time.Millisecond // how long to wait after a commit, so that several are published together
	handOnWait = time.Second          // how long to wait before trying again
)

// HandOn publishes committed events until ctx ends. It calls drain at once, again soon after each commit, which it hears of from
// wake, and again after a failure.
func HandOn(ctx context.Context, wake <-chan struct{}, drain func(context.Context) error, log *slog.Logger) {
	for Pause(ctx, gather) {
		if err := drain(ctx); err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, "events could not be published and will be tried again", "error", err)
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

// Pause waits for d. It reports false if ctx has ended.
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
