// Package server is the whole of Countersign in one process, for one person's machine: the same domain and the same HTTP
// door as in the cloud, over a store in one file, with everything that a newcomer or a test needs to see what it does. It
// sends nothing: what would have been sent is recorded, as is what the event bus would have got. Its clock can be moved,
// and parts of it told to fail.
//
// What it keeps:
//
//   - What was answered outlives a SIGKILL: users, locks and trust in the store, and also the recorded messages, the
//     events and the clock.
//   - One process at a time works on a data folder.
//   - The clock only moves forward.
//   - The /local/* calls and the demo answer nobody who speaks to another host than this machine, and no page of another
//     origin.
//
// Package machine says what the calls under /local/ are.
//
// The data folder holds codes, keys and an API key of every scope in the clear, readable by its owner only. So this is a
// laptop's tool, never a deployment: whoever reads the outbox can sign in as anybody. It refuses to make new keys for a
// folder that has data already. What was sent and told is in files of the folder, outbox.jsonl and events.jsonl, and is read
// from there when it is asked for: the server takes no more memory the longer it runs. outbox.index beside them says where
// the messages to an address are, by a hash of the address; it is made anew at each start.
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
	"time"

	"countersign/infra/local/demo"
	"countersign/infra/local/folder"
	"countersign/infra/local/machine"
	"countersign/pkg/api"
	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/seal"
	"countersign/pkg/store"
)

// Options say where a server keeps its data and how it is reached.
type Options struct {
	// Dir is the data folder. It is made if there is none.
	Dir string
	// Port is the one that the server is reached at. Its issuer is http://localhost:<Port>.
	Port int
	// BrowserOrigins are those whose pages may call the API from a browser. Its own pages are not among them: they needn't be.
	BrowserOrigins []string
	// Backend opens another store than the one in the folder. What it opens must tell the time by now.
	Backend func(now func() time.Time) (Backend, error)
	// Log says what goes wrong inside. Nil: nothing is logged.
	Log *slog.Logger
}

// A Backend is a store with its feed.
type Backend struct {
	Store store.Store
	Feed  store.Feed
	Close func() error // nil: nothing is to be closed
	// Purge removes what has expired and answers how many items that were. Nil: the backend does so by itself.
	Purge func(context.Context) (int, error)
}

// A Server is an http.Handler: the API, the /local/* calls, and the demo at /.
type Server struct {
	folder  *folder.Folder
	outbox  *outbox
	bus     bus
	faults  faults
	backend Backend
	service *mfa.Service // what calls come to: faults befall it
	own     *mfa.Service // the server's own work: faults meant for a call's reads and writes don't
	apiKey  seal.Secret
	origins []string // of the server, as a browser on this machine knows it
	log     *slog.Logger

	calls http.Handler // everything but the demo, and what the demo itself is a client of
	demo  http.Handler

	wake     chan struct{} // something was committed
	ended    sync.WaitGroup
	closings []func() error
}

// callTime is how long a call may take: what API Gateway would wait for.
const callTime = 29 * time.Second

// Open opens the data folder, or makes it, and starts the server's own work: handing events on, the sweep, and removing
// what has expired. It answers folder.ErrInUse when another process, or another Server of
// this one, has the folder open.
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
	// Before the folder was ours, whoever had it may have moved the clock once more.
	if err := s.folder.Load(); err != nil {
		return nil, err
	}
	if err := s.openRecords(o.Dir); err != nil {
		return nil, err
	}
	s.origins = machine.Origins(o.Port)
	s.assemble(keys, s.origins[0], o.BrowserOrigins)

	ctx, stop := context.WithCancel(context.Background())
	s.closings = append(s.closings, func() error { stop(); s.ended.Wait(); return nil })
	if err := s.publishKeys(ctx); err != nil {
		return nil, fmt.Errorf("publish the keys: %w", err)
	}
	if err := s.keepAPIKey(ctx, o); err != nil {
		return nil, err
	}
	s.demo, err = demo.New(ctx, demo.Options{
		Countersign: s.calls, Key: s.apiKey, Client: machine.Client, Issuer: s.service.Issuer, Now: s.folder.Now,
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
			return nil, fmt.Errorf("%w; end it, or give this one another folder", err)
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

func (s *Server) assemble(keys seal.Keeper, issuer string, browserOrigins []string) {
	watched := watchedStore{s.backend.Store, s.wake}
	s.own = &mfa.Service{
		Store: watched, Keys: keys, Filter: &apikey.FilterKeeper{Store: watched}, Mail: faultyMail{s.outbox, &s.faults}, Bus: faultyBus{s.bus, &s.faults},
		Now: s.folder.Now, Issuer: issuer, Log: s.log,
	}
	exposed := *s.own
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
}

// publishedKeys reads the public keys from where publishKeys put them, as the function pages does.
func (s *Server) publishedKeys(ctx context.Context) ([]byte, error) {
	return mfa.PublishedKeys(ctx, s.service.Store)
}

// publishKeys sees to it that the public half of the key ring is published.
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
			http.Error(w, "The demo answers at "+s.Issuer()+" only.", http.StatusForbidden)
			return
		}
		s.demo.ServeHTTP(w, r)
	default:
		s.calls.ServeHTTP(w, r)
	}
}

// keepAPIKey sees to it that DIR/api-key holds a key that is good.
func (s *Server) keepAPIKey(ctx context.Context, o Options) error {
	path := machine.KeyFile(o.Dir)
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the API key: %w", err)
	}
	if err == nil {
		key := strings.TrimSpace(string(text))
		_, err := s.own.GetPolicy(ctx, mfa.Call{Bearer: key}, demo.Org)
		if err == nil {
			s.apiKey = seal.NewSecret(key)
			return os.Chmod(path, 0o600)
		}
		if mfa.AsError(err).Code == mfa.Unavailable {
			return fmt.Errorf("look up the API key: %w", err)
		}
	}
	s.apiKey, err = machine.MakeKey(ctx, &apikey.Registry{Store: s.own.Store, Now: s.folder.Now}, o.Dir, s.origins)
	return err
}

// Issuer is the base URL by which this machine reaches the server, and the iss of its tokens.
func (s *Server) Issuer() string { return s.service.Issuer }

// APIKey is the one in DIR/api-key: every scope, every org.
func (s *Server) APIKey() seal.Secret { return s.apiKey }

// Close ends the server's own work and closes the store. Calls that are under way should have ended.
func (s *Server) Close() error { return s.closeAll() }

// closeAll undoes in reverse what Open did.
func (s *Server) closeAll() error {
	var errs []error
	for i := len(s.closings) - 1; i >= 0; i-- {
		errs = append(errs, s.closings[i]())
	}
	s.closings = nil
	return errors.Join(errs...)
}
