package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"countersign/infra/dynamolocal"
	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/bolt"
	"countersign/pkg/store/dynamo"
)

const (
	manyUsers   = 100_000
	fewUsers    = 10_000
	mostSeconds = 10.0 // what a preview and a count of many users may take
	mostGrowth  = 2.0  // how many times as much memory ten times as many users may take
)

// growth measures the calls that go through all users of an org, on DynamoDB Local: the preview of a policy and the counts of
// adoption. Both run in this process, and DynamoDB Local beside it on the same cores.
func growth(ctx context.Context, out io.Writer, o options) error {
	if _, err := dynamolocal.Install(ctx, nil); err != nil {
		return err
	}
	server, err := dynamolocal.Start(ctx, dynamolocal.Options{})
	if err != nil {
		return err
	}
	defer server.Stop()
	var rows [2][]passed // of few users and of many, and in each by call
	for i, users := range []int{fewUsers, manyUsers} {
		w, err := tableOf(ctx, server.Endpoint, users)
		if err != nil {
			return fmt.Errorf("make %d users: %w", users, err)
		}
		for _, call := range w.calls() {
			p, err := pass(ctx, call, o.rounds, users)
			if err != nil {
				return fmt.Errorf("%s of %d users: %w", call.name, users, err)
			}
			rows[i] = append(rows[i], p)
		}
	}
	fmt.Fprint(out, "| call | users | s | memory at most, MB | of 10,000 users, s | memory at most, MB |\n|---|---|---|---|---|---|\n")
	for i, many := range rows[1] {
		few := rows[0][i]
		fmt.Fprintf(out, "| %s | %d | %.1f | %.1f | %.1f | %.1f |\n", many.name, manyUsers, many.seconds, many.memory, few.seconds, few.memory)
	}
	fmt.Fprintf(out, "\nEach time is the median of %d rounds, and memory is the most that the heap had at once in them, beyond what it had before. "+
		"The calls read the roster of the organisation, all shards side by side.\n\n", o.rounds)
	fmt.Fprint(out, "| figure | measured | target | |\n|---|---|---|---|\n")
	for i, many := range rows[1] {
		fmt.Fprintf(out, "| %s of 100,000 users, s | %.1f | at most %.0f | %s |\n", many.name, many.seconds, mostSeconds, met(many.seconds <= mostSeconds))
		ratio := many.memory / rows[0][i].memory
		fmt.Fprintf(out, "| %s, memory for 100,000 users ÷ for 10,000 | %.2f | at most %.1f | %s |\n", many.name, ratio, mostGrowth, met(ratio <= mostGrowth))
	}
	return nil
}

// A crowd is a service on a table in which an org has many users.
type crowd struct {
	*mfa.Service
	call   mfa.Call
	policy mfa.Policy // another one than the org has
}

// A diskCrowd is a crowd in a store on the disk.
type diskCrowd struct {
	*crowd
	disk *bolt.DB
	dir  string
}

// populated makes the users in a store on the disk.
func populated(ctx context.Context, users int) (*diskCrowd, error) {
	dir, err := os.MkdirTemp("", "countersign-bench")
	if err != nil {
		return nil, err
	}
	disk, err := bolt.Open(filepath.Join(dir, "store"), bolt.Options{Now: time.Now})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	d := &diskCrowd{disk: disk, dir: dir}
	if d.crowd, err = newCrowd(ctx, disk); err != nil {
		return nil, errors.Join(err, d.end())
	}
	g, within := errgroup.WithContext(ctx)
	g.SetLimit(64)
	for i := range users {
		g.Go(func() error {
			said := mfa.Person{ID: memberID(i), Name: mfa.Some(fmt.Sprintf("Ana Perez %d", i)), Email: mfa.Some(fmt.Sprintf("ana.perez.%d@acme.example", i))}
			_, err := d.PutUser(within, d.call, crowdOrg, said)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, errors.Join(err, d.end())
	}
	return d, nil
}

// memberID returns the id of the n-th user of a crowd.
func memberID(n int) string { return fmt.Sprintf("6c1f8a52-2f0b-4c06-9d0e-%012d", n) }

// end closes the store and removes it.
func (d *diskCrowd) end() error { return errors.Join(d.disk.Close(), os.RemoveAll(d.dir)) }

// tableOf makes a crowd in a table of DynamoDB Local, which has the roster of the org only. That is all of the users that the
// measured calls read.
func tableOf(ctx context.Context, endpoint string, users int) (c *crowd, err error) {
	source, err := populated(ctx, users)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, source.end()) }()
	if c, err = emptyTable(ctx, endpoint, fmt.Sprintf("growth-%d", users)); err != nil {
		return nil, err
	}
	return c, copyRoster(ctx, source.disk, c.Store)
}

// emptyTable makes a crowd without users in a new table of DynamoDB Local. The table has no stream, because DynamoDB Local goes
// through the whole stream of a table at each request.
func emptyTable(ctx context.Context, endpoint, table string) (*crowd, error) {
	admin := dynamo.LocalClient(endpoint)
	if err := errors.Join(dynamo.CreateTable(ctx, admin, table), dynamo.EndStream(ctx, admin, table)); err != nil {
		return nil, err
	}
	return newCrowd(ctx, dynamo.New(dynamo.Options{Client: admin, Table: table}))
}

const crowdOrg = "acme"

// newCrowd makes a service on a store, with an API key and an org that has a policy.
func newCrowd(ctx context.Context, on store.Store) (*crowd, error) {
	ring := seal.NewRing(time.Now())
	c := &crowd{Service: &mfa.Service{Store: on, Keys: oneRing{ring}, Filter: &apikey.FilterKeeper{Store: on}, Now: time.Now, Issuer: issuer}}
	key, err := (&apikey.Registry{Store: on, Now: time.Now}).Create(ctx, apikey.Grant{Client: "bench", Scopes: apikey.Scopes()})
	if err != nil {
		return nil, err
	}
	c.call = mfa.Call{Bearer: key.Reveal()}
	if c.policy, err = mfa.ProfilePolicy("talkdesk"); err != nil {
		return nil, err
	}
	version := 0
	if _, err := c.PutPolicy(ctx, c.call, crowdOrg, mfa.PolicyChange{Policy: c.policy, Version: &version, Acknowledge: true}); err != nil {
		return nil, err
	}
	c.policy.Require = mfa.Everyone
	return c, nil
}

// oneRing is a keeper of one key ring.
type oneRing struct{ ring *seal.Ring }

func (k oneRing) Ring(context.Context) (*seal.Ring, error)   { return k.ring, nil }
func (k oneRing) Reload(context.Context) (*seal.Ring, error) { return k.ring, nil }

// copyRoster copies the roster of the org, which has 16 shards.
func copyRoster(ctx context.Context, from, to store.Store) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2)
	for shard := range 16 {
		partition := fmt.Sprintf("roster#%s#%x", base64.RawURLEncoding.EncodeToString([]byte(seal.Route(crowdOrg))), shard)
		q := store.Query{Partition: partition, Limit: store.MaxWrites}
		for more := true; more; {
			page, err := from.Query(ctx, q)
			if err != nil {
				return errors.Join(g.Wait(), err)
			}
			var writes []store.Write
			for _, item := range page.Items {
				writes = append(writes, store.Write{Key: item.Key, Body: item.Body})
			}
			if len(writes) > 0 {
				g.Go(func() error { return store.Settle(ctx, to, nil, store.NewVersion(), writes...) })
			}
			q.After, more = page.Last, page.More
		}
	}
	return g.Wait()
}

// A throughAll is a call that goes through all users of an org.
type throughAll struct {
	name string
	make func(context.Context) (users int, err error)
}

func (c *crowd) calls() []throughAll {
	return []throughAll{
		{"preview of a policy", func(ctx context.Context) (int, error) {
			p, err := c.PreviewPolicy(ctx, c.call, crowdOrg, c.policy)
			return p.MustEnrol, err
		}},
		{"counts of adoption", func(ctx context.Context) (int, error) {
			a, err := c.Adoption(ctx, c.call, mfa.AdoptionQuery{Org: crowdOrg})
			return a.Now.Users, err
		}},
	}
}

// A passed is what a call took.
type passed struct {
	name    string
	seconds float64
	memory  float64 // in MB: the most that the heap had at once, beyond what it had before
}

// pass makes a call a few times, which has to go through so many users.
func pass(ctx context.Context, call throughAll, rounds, want int) (passed, error) {
	p := passed{name: call.name}
	var seconds []float64
	for range rounds {
		watched := watchHeap()
		begun := time.Now()
		users, err := call.make(ctx)
		seconds = append(seconds, time.Since(begun).Seconds())
		p.memory = max(p.memory, watched())
		if err != nil {
			return p, err
		}
		if users != want {
			return p, fmt.Errorf("it counted %d users", users)
		}
	}
	slices.Sort(seconds)
	p.seconds = seconds[len(seconds)/2]
	return p, nil
}

// watchHeap begins to look at the heap every few milliseconds. The function that it returns ends that, and returns the most that
// was seen, in MB beyond what the heap had at the beginning. Garbage counts until it is collected.
func watchHeap() func() float64 {
	runtime.GC()
	before := heapBytes()
	stop, most := make(chan struct{}), make(chan uint64)
	go func() {
		seen, ticks := before, time.NewTicker(5*time.Millisecond)
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
				seen = max(seen, heapBytes())
			case <-stop:
				most <- max(seen, heapBytes())
				return
			}
		}
	}()
	return func() float64 {
		close(stop)
		return float64(<-most-before) / 1e6
	}
}

func heapBytes() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
