package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/message"
	"countersign/pkg/mfa"
	"countersign/pkg/seal"
	"countersign/pkg/store/bolt"
	"countersign/pkg/store/fault"
)

const (
	benchOrg  = "bench"
	benchUser = "ana"
	benchMail = "ana@bench.example"
)

// A step is one call of the domain: what it is named in the table, and what brings a world to where the call is next.
type step struct {
	name    string
	prepare func(*world) call
}

// A call is what is counted.
type call func(context.Context) error

// steps are the rows of the table that take no enrolment.
func steps() []step {
	return []step{
		{"start, not asked", func(w *world) call {
			w.policy("default", nil)
			w.do(w.start(mfa.StartRequest{}))
			return w.start(mfa.StartRequest{})
		}},
		{"start, not asked, a user's first sight", func(w *world) call {
			w.policy("default", nil)
			return w.start(mfa.StartRequest{})
		}},
		{"start, trusted without rotation", func(w *world) call {
			w.policy("kls", func(p *mfa.Policy) { p.Trust.Rotate = false })
			return w.start(mfa.StartRequest{TrustToken: w.trusted()})
		}},
		{"start, trusted and rotated", func(w *world) call {
			w.policy("kls", nil)
			return w.start(mfa.StartRequest{TrustToken: w.trusted()})
		}},
		{"start, by email", func(w *world) call {
			w.policy("kls", nil)
			w.seen()
			return w.start(mfa.StartRequest{})
		}},
		{"start, by email, a user's first sight", func(w *world) call {
			w.policy("kls", nil)
			return w.start(mfa.StartRequest{})
		}},
		{"start, by email, with an Idempotency-Key", func(w *world) call {
			w.policy("kls", nil)
			w.seen()
			w.client.Replay = w.replay("/v1/challenges")
			return w.start(mfa.StartRequest{})
		}},
		{"send again, by email", func(w *world) call {
			w.policy("kls", nil)
			id := w.challenge()
			w.ahead += time.Minute
			return func(ctx context.Context) error {
				_, err := w.service.SendCode(ctx, w.client, mfa.SendRequest{Challenge: id})
				return err
			}
		}},
		{"verify, right", func(w *world) call {
			w.policy("kls", nil)
			return w.verify(mfa.VerifyRequest{Challenge: w.challenge(), Answer: mfa.Answer{Code: w.code()}})
		}},
		{"verify, wrong", func(w *world) call {
			w.policy("kls", nil)
			wrong := w.verify(mfa.VerifyRequest{Challenge: w.challenge(), Answer: mfa.Answer{Code: otherThan(w.code())}})
			return func(ctx context.Context) error {
				if err := wrong(ctx); mfa.AsError(err).Code != mfa.WrongCode {
					return fmt.Errorf("a wrong code was answered with %v", err)
				}
				return nil
			}
		}},
		{"verify with trust", func(w *world) call {
			w.policy("kls", nil)
			return w.verify(mfa.VerifyRequest{Challenge: w.challenge(), Answer: mfa.Answer{Code: w.code()}, Trust: &mfa.TrustChoice{}})
		}},
		{"verify with trust and an Idempotency-Key", func(w *world) call {
			w.policy("kls", nil)
			id := w.challenge()
			w.client.Replay = w.replay("/v1/challenges/" + id + "/verify")
			return w.verify(mfa.VerifyRequest{Challenge: id, Answer: mfa.Answer{Code: w.code()}, Trust: &mfa.TrustChoice{}})
		}},
		{"look at a challenge", func(w *world) call {
			w.policy("kls", nil)
			id := w.challenge()
			return func(ctx context.Context) error {
				_, err := w.service.LookAtChallenge(ctx, w.client, id)
				return err
			}
		}},
		{"put a policy", func(w *world) call { return w.put("kls", nil) }},
	}
}

// countedSteps runs each step on the real domain over a bolt file, and prints what the store was asked.
func countedSteps(ctx context.Context, out io.Writer) error {
	fmt.Fprint(out, "| one step, counted | store round trips in sequence | items written |\n|---|---|---|\n")
	for _, s := range append(steps(), factorSteps()...) {
		counts, err := s.count(ctx)
		if err != nil {
			return fmt.Errorf("step %q: %w", s.name, err)
		}
		fmt.Fprintf(out, "| %s | %d | %d |\n", s.name, counts.Rounds, counts.Items)
	}
	fmt.Fprint(out, "\nCounted between the domain and its store while each call was made once. Reads side by side are one round trip: each is "+
		"held until all have begun. A test fails when a row changes.\n")
	return nil
}

// count makes the call twice, in two worlds: to learn how many reads it makes, and with each read held until all of them
// have begun, so that those side by side are one round.
func (s step) count(ctx context.Context) (fault.Counts, error) {
	free, err := s.once(ctx, 0)
	if err != nil {
		return fault.Counts{}, err
	}
	return s.once(ctx, free.Get+free.Query)
}

func (s step) once(ctx context.Context, reads int) (counts fault.Counts, err error) {
	w, err := newWorld(ctx)
	if err != nil {
		return counts, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	do := s.prepare(w)
	if w.err != nil {
		return counts, w.err
	}
	w.meet(reads)
	w.faults.Reset()
	if err := do(ctx); err != nil {
		return counts, err
	}
	return w.faults.Counts(), nil
}

// A world is the domain over a store that counts. The first thing that goes wrong while it is brought about stays in err.
type world struct {
	ctx     context.Context
	service *mfa.Service
	faults  *fault.Store
	client  mfa.Call
	ring    *seal.Ring
	sent    []message.Message
	ahead   time.Duration
	close   func() error
	err     error

	app, recovery seal.Secret // of the user: what an authenticator app was given, and a code
}

func (w *world) now() time.Time { return time.Now().UTC().Add(w.ahead) }

func newWorld(ctx context.Context) (*world, error) {
	dir, err := os.MkdirTemp("", "countersign-bench")
	if err != nil {
		return nil, err
	}
	w := &world{ctx: ctx, ring: seal.NewRing(time.Now())}
	db, err := bolt.Open(filepath.Join(dir, "countersign.db"), bolt.Options{Now: w.now})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	w.close = func() error { return errors.Join(db.Close(), os.RemoveAll(dir)) }
	w.faults = fault.New(db)
	w.service = &mfa.Service{Store: w.faults, Keys: w, Filter: &apikey.FilterKeeper{Store: w.faults}, Mail: w, Now: w.now, Issuer: "https://bench.example"}
	key, err := (&apikey.Registry{Store: w.faults, Now: w.now}).Create(ctx, apikey.Grant{Client: "bench", Scopes: apikey.Scopes()})
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	w.client = mfa.Call{Bearer: key.Reveal()}
	if _, err := w.service.Filter.Filter(ctx); err != nil { // a process reads it once, before its first call
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

// Ring implements seal.Keeper.
func (w *world) Ring(context.Context) (*seal.Ring, error) { return w.ring, nil }

// Reload implements seal.Keeper.
func (w *world) Reload(context.Context) (*seal.Ring, error) { return w.ring, nil }

// SendMail implements mfa.Mailer: it keeps the message.
func (w *world) SendMail(_ context.Context, m message.Message) error {
	w.sent = append(w.sent, m)
	return nil
}

func (w *world) do(c call) {
	if w.err == nil {
		w.err = c(w.ctx)
	}
}

func (w *world) put(profile string, change func(*mfa.Policy)) call {
	return func(ctx context.Context) error {
		p, err := mfa.ProfilePolicy(profile)
		if err != nil {
			return err
		}
		if change != nil {
			change(&p)
		}
		none := 0
		_, err = w.service.PutPolicy(ctx, w.client, benchOrg, mfa.PolicyChange{Policy: p, Version: &none, Acknowledge: true})
		return err
	}
}

func (w *world) policy(profile string, change func(*mfa.Policy)) { w.do(w.put(profile, change)) }

func ana() mfa.Person { return mfa.Person{ID: benchUser, Email: mfa.Some(benchMail)} }

// seen makes the user known.
func (w *world) seen() {
	w.do(func(ctx context.Context) error {
		_, err := w.service.PutUser(ctx, w.client, benchOrg, ana())
		return err
	})
}

func (w *world) start(q mfa.StartRequest) call {
	q.Org, q.User = benchOrg, ana()
	return func(ctx context.Context) error {
		_, err := w.service.StartChallenge(ctx, w.client, q)
		return err
	}
}

// challenge starts a sign-in and gives the challenge's id.
func (w *world) challenge() string { return w.asked(mfa.SignIn) }

// asked starts a challenge for a purpose and gives its id.
func (w *world) asked(purpose string) (id string) {
	w.do(func(ctx context.Context) error {
		a, err := w.service.StartChallenge(ctx, w.client, mfa.StartRequest{Org: benchOrg, User: ana(), Purpose: purpose})
		if err == nil && a.Challenge == nil {
			err = errors.New("the user was not asked")
		}
		if err == nil {
			id = a.Challenge.ID
		}
		return err
	})
	return id
}

// code is the one that was sent last.
func (w *world) code() seal.Secret {
	if len(w.sent) == 0 {
		w.err = errors.Join(w.err, errors.New("no code was sent"))
		return seal.NewSecret("000000")
	}
	return w.sent[len(w.sent)-1].Code
}

func otherThan(code seal.Secret) seal.Secret {
	if code.Reveal() == "000000" {
		return seal.NewSecret("000001")
	}
	return seal.NewSecret("000000")
}

func (w *world) verify(q mfa.VerifyRequest) call {
	return func(ctx context.Context) error {
		_, err := w.service.Verify(ctx, w.client, q)
		return err
	}
}

// trusted answers a challenge and gives what the browser is trusted by.
func (w *world) trusted() (token seal.Secret) {
	q := mfa.VerifyRequest{Challenge: w.challenge(), Answer: mfa.Answer{Code: w.code()}, Trust: &mfa.TrustChoice{}}
	w.do(func(ctx context.Context) error {
		a, err := w.service.Verify(ctx, w.client, q)
		if err == nil && a.TrustToken == nil {
			err = errors.New("the browser was not trusted")
		}
		if err == nil {
			token = *a.TrustToken
		}
		return err
	})
	return token
}

func (w *world) replay(path string) *mfa.Replay {
	return &mfa.Replay{
		Method: "POST", Path: path, Key: "bench", Body: []byte("{}"),
		Encode: func(any, *mfa.Error) (full, later []byte, _ error) { return []byte("{}"), []byte("{}"), nil },
	}
}

// meet holds each of the next n reads until all n have begun, for ten seconds at the most.
func (w *world) meet(n int) {
	var all sync.WaitGroup
	all.Add(n)
	begun := make(chan struct{})
	go func() {
		all.Wait()
		close(begun)
	}()
	hold := fault.Fault{Before: func(ctx context.Context) error {
		all.Done()
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		select {
		case <-begun:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("the reads are not side by side: %w", ctx.Err())
		}
	}}
	w.faults.Inject(fault.Get, n, hold)
	w.faults.Inject(fault.Query, n, hold)
}
