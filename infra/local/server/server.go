// Package server runs all of Countersign in one process on one person's machine. It has the same packages mfa and api as in the
// cloud, and keeps its data in one file. It also has what a newcomer or a test needs to see what happens. It sends no messages:
// it records what would have been sent, and what the event bus would have got. Its clock can be moved, and parts of it can be
// made to fail. Package machine describes the calls under /local/ for that.
//
// The server guarantees:
//
//   - What was answered survives a SIGKILL: users, locks and trust in the store, and also the recorded messages, the events and
//     the clock.
//   - Only one process at a time uses a data folder.
//   - The clock only moves forward.
//   - The calls under /local/ and the demo answer only requests that name this machine as the host, and never a page of another
//     origin.
//
// The data folder has codes, keys and two API keys in the clear, one of them with every scope; only the owner can read it. So
// the server is a tool for a laptop and never a deployment: anyone who can read the outbox can sign in as any user. The server
// never makes new keys for a folder that has data already. The recorded messages and events are in the files outbox.jsonl and
// events.jsonl, and are read from there when they are needed, so the server doesn't need more memory the longer it runs. The
// file outbox.index finds the messages to an address by a hash of the address. It is made again at each start.
package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"countersign/infra/local/demo"
	"countersign/infra/local/folder"
	"countersign/infra/local/machine"
	"countersign/pkg/api"
	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/pages"
	"countersign/pkg/passkey"
	"countersign/pkg/phone"
	"countersign/pkg/seal"
	"countersign/pkg/store"
)

// Options say where a server keeps its data and how it is reached.
type Options struct {
	// Dir is the data folder. It is created if it doesn't exist.
	Dir string
	// Port is the port at which the server is reached. Its issuer is http://localhost:<Port>.
	Port int
	// BrowserOrigins are the origins whose pages may call the API from a browser. The server's own pages need no such entry.
	BrowserOrigins []string
	// Backend opens another store than the one in the folder. The store must use now as its clock. Backend may be nil.
	Backend func(now func() time.Time) (Backend, error)
	// Log gets the causes of failures. If it is nil, nothing is logged.
	Log *slog.Logger
}

// A Backend is a store with its feed.
type Backend struct {
	Store store.Store
	Feed  store.Feed
	Close func() error // may be nil
	// Purge removes expired items and returns how many there were. If it is nil, the backend removes them by itself.
	Purge func(context.Context) (int, error)
}

// A Server is an http.Handler for the API, the hosted pages, the calls under /local/, and the demo at /.
type Server struct {
	folder  *folder.Folder
	outbox  *outbox
	bus     bus
	faults  faults
	backend Backend
	service *mfa.Service // answers calls, and has all faults
	own     *mfa.Service // does the server's own work, and doesn't have the faults of the store and the keys
	apiKey  seal.Secret
	demoKey seal.Secret // has only the scopes that an application needs
	origins []string    // the server's origins, for a browser on this machine
	log     *slog.Logger

	calls http.Handler // the API and the calls under /local/; the pages and the demo are clients of it
	pages http.Handler
	demo  http.Handler

	wake     chan struct{} // gets a value when something was committed
	draining sync.Mutex    // held while events are published
	fanOut   atomic.Bool   // it may not have been told yet of users whom a policy has signed out
	ended    sync.WaitGroup
	closings []func() error
}

// callTime is how long a call may take. API Gateway waits as long.
const callTime = 29 * time.Second

// Open opens the data folder, or creates it, and starts the server's own work: publishing events, the sweep, and removing expired
// items. It fails with folder.ErrInUse if another process, or another Server of this process, uses the folder.
func Open(o Options) (_ *Server, err error) {
	s := &Server{log: o.Log, wake: make(chan struct{}, 1)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.closeAll())
		}
	}()
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	if s.folder, err = folder.Open(o.Dir, time.Now); err != nil {
		return nil, err
	}
	keys, err := s.openStore(o)
	if err != nil {
		return nil, err
	}
	// Another process may have moved the clock before this one got the folder.
	if err := s.folder.Load(); err != nil {
		return nil, err
	}
	if err := s.openRecords(o.Dir); err != nil {
		return nil, err
	}
	s.origins = machine.Origins(o.Port)
	if err := s.assemble(keys, s.origins[0], o.BrowserOrigins); err != nil {
		return nil, err
	}

	ctx, stop := context.WithCancel(context.Background())
	s.closings = append(s.closings, func() error { stop(); s.ended.Wait(); return nil })
	if err := s.publishKeys(ctx); err != nil {
		return nil, fmt.Errorf("publish the keys: %w", err)
	}
	if err := s.keepKeys(ctx, o.Dir); err != nil {
		return nil, err
	}
	s.pages, err = pages.Handler(pages.Config{Base: s.service.Issuer, API: s.calls, Now: s.folder.Now, Log: s.log})
	if err != nil {
		return nil, err
	}
	s.demo, err = demo.New(ctx, demo.Options{
		Countersign: s.calls, Key: s.demoKey, AdminKey: s.apiKey, Client: machine.Client, Issuer: s.service.Issuer, Now: s.folder.Now,
	})
	if err != nil {
		return nil, err
	}
	s.ended.Go(func() { machine.HandOn(ctx, s.wake, s.drain, s.log) })
	s.ended.Go(func() { s.sweep(ctx) })
	s.ended.Go(func() { s.purge(ctx) })
	return s, nil
}

// openStore opens the store and the keys.
func (s *Server) openStore(o Options) (*seal.File, error) {
	keys, err := s.folder.OpenKeys(true)
	if err != nil {
		return nil, err
	}
	if o.Backend != nil {
		if s.backend, err = o.Backend(s.folder.Now); err != nil {
			return nil, err
		}
	} else {
		db, err := s.folder.OpenDatabase()
		if errors.Is(err, folder.ErrInUse) {
			return nil, fmt.Errorf("%w; end that process, or use another folder", err)
		}
		if err != nil {
			return nil, err
		}
		s.backend = Backend{Store: db, Feed: db, Close: db.Close, Purge: db.Purge}
	}
	if s.backend.Close != nil {
		s.closings = append(s.closings, s.backend.Close)
	}
	return keys, nil
}

func (s *Server) openRecords(dir string) error {
	var err error
	if s.outbox, err = openOutbox(dir, s.folder.Now); err != nil {
		return fmt.Errorf("open the outbox: %w", err)
	}
	s.closings = append(s.closings, s.outbox.close)
	events, err := openJournal(filepath.Join(dir, "events.jsonl"), func(int64, []byte) error { return nil })
	if err != nil {
		return fmt.Errorf("open the events: %w", err)
	}
	s.bus = bus{events}
	s.closings = append(s.closings, events.close)
	return nil
}

func (s *Server) assemble(keys seal.Keeper, issuer string, browserOrigins []string) (err error) {
	watched := watchedStore{s.backend.Store, s.wake}
	s.own = &mfa.Service{
		Store: watched, Keys: keys, Filter: &apikey.FilterKeeper{Store: watched}, Mail: faultyMail{s.outbox, &s.faults}, Text: faultyText{s.outbox, &s.faults}, Bus: faultyBus{s.bus, &s.faults},
		Numbers: phone.Numbers{}, Now: s.folder.Now, Issuer: issuer, Log: s.log, RelyingParty: machine.RelyingParty(),
	}
	s.own.Wake = func() { s.fanOut.Store(true) }
	s.fanOut.Store(true) // an earlier process may not have finished it
	if s.own.Passkeys, err = passkey.New(s.own.RelyingParty); err != nil {
		return err
	}
	exposed := *s.own
	exposed.Uses = &apikey.Uses{Store: watched, Now: s.folder.Now} // no fault that was ordered for a call is spent on it
	exposed.Store, exposed.Keys = faultyStore{watched, &s.faults}, faultyKeys{keys, &s.faults}
	s.service = &exposed
	door := api.New(api.Options{Timeout: callTime, Now: time.Now, Log: s.log},
		api.Challenge(s.service), api.Verify(s.service), api.Enrol(s.service), api.Recover(s.service),
		api.Account(s.service), api.Policy(s.service), api.Admin(s.service),
		api.Pages(s.publishedKeys))
	s.calls = &machine.Calls{
		API: machine.AccessFrom(browserOrigins).Before(door), Drain: s.drain, Outbox: s.outbox.each, ClearOutbox: s.outbox.clear, Events: s.bus.each, Now: s.folder.Now, Advance: s.folder.Advance,
		Sweep:    func(ctx context.Context) (int, error) { return sweepAll(ctx, s.service) },
		SetFault: s.faults.set, Keys: &apikey.Registry{Store: watched, Now: s.folder.Now}, Origins: s.origins, Log: s.log,
	}
	return nil
}

// publishedKeys reads the public keys that publishKeys has stored, as the function pages does.
func (s *Server) publishedKeys(ctx context.Context) ([]byte, error) {
	return mfa.PublishedKeys(ctx, s.service.Store)
}

// publishKeys stores the public keys of the ring, if the store doesn't have them yet.
func (s *Server) publishKeys(ctx context.Context) error {
	ring, err := s.own.Keys.Ring(ctx)
	if err != nil {
		return err
	}
	published, err := store.GetOne(ctx, s.own.Store, mfa.PublishedKeysAt)
	if err != nil {
		return err
	}
	publish, err := mfa.PublishKeys(ring, published.Version)
	if err != nil || bytes.Equal(publish.Body, published.Body) {
		return err
	}
	return s.own.Store.Commit(ctx, store.NewVersion(), publish)
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch path := r.URL.Path; {
	case path == "/" || strings.HasPrefix(path, demo.Prefix):
		if !machine.Loopback(r.Host) {
			http.Error(w, "The demo can be used only at "+s.Issuer()+".", http.StatusForbidden)
			return
		}
		s.demo.ServeHTTP(w, r)
	case strings.HasPrefix(path, pages.Prefix):
		s.pages.ServeHTTP(w, r)
	default:
		s.calls.ServeHTTP(w, r)
	}
}

// keepKeys makes sure that the files api-key and demo-key in the data folder have valid API keys.
func (s *Server) keepKeys(ctx context.Context, dir string) (err error) {
	s.apiKey, err = s.keepKey(ctx, machine.KeyFile(dir), apikey.Scopes(), func(call mfa.Call) error {
		_, err := s.own.GetPolicy(ctx, call, demo.Org)
		return err
	})
	if err != nil {
		return err
	}
	s.demoKey, err = s.keepKey(ctx, machine.DemoKeyFile(dir), demo.Scopes, func(call mfa.Call) error {
		_, err := s.own.Introspect(ctx, call, mfa.IntrospectRequest{Org: demo.Org, User: "ana", IssuedAt: s.folder.Now()})
		return err
	})
	return err
}

// keepKey returns the API key in a file. If try finds that the service doesn't take it, a new one is made.
func (s *Server) keepKey(ctx context.Context, path string, scopes []apikey.Scope, try func(mfa.Call) error) (seal.Secret, error) {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return seal.Secret{}, fmt.Errorf("read the API key: %w", err)
	}
	if err == nil {
		key := strings.TrimSpace(string(text))
		err := try(mfa.Call{Bearer: key})
		if err == nil {
			return seal.NewSecret(key), os.Chmod(path, 0o600)
		}
		if mfa.AsError(err).Code == mfa.Unavailable {
			return seal.Secret{}, fmt.Errorf("look up the API key: %w", err)
		}
	}
	return machine.MakeKey(ctx, &apikey.Registry{Store: s.own.Store, Now: s.folder.Now}, path, scopes, s.origins)
}

// Issuer returns the base URL by which this machine reaches the server. It is also the iss of the server's tokens.
func (s *Server) Issuer() string { return s.service.Issuer }

// APIKey returns the API key in the data folder. It has every scope and is valid for every org.
func (s *Server) APIKey() seal.Secret { return s.apiKey }

// Close ends the server's own work and closes the store. All calls must have ended before.
func (s *Server) Close() error { return s.closeAll() }

// closeAll undoes what Open did, in the reverse order.
func (s *Server) closeAll() error {
	var errs []error
	for i := len(s.closings) - 1; i >= 0; i-- {
		errs = append(errs, s.closings[i]())
	}
	s.closings = nil
	return errors.Join(errs...)
}
