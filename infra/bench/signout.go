package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"countersign/infra/dynamolocal"
	"countersign/pkg/activity"
	"countersign/pkg/mfa"
	"countersign/pkg/seal"
	"countersign/pkg/store"
)

const (
	mostMinutes = 10.0 // within which the bus is told of many users whom a policy has signed out
	handedOn    = 100  // records that publish gets at once, as the template says
)

// signOut measures the fan-out of a policy that signs out everyone: how long it takes until what the bus is to be told of each user
// is committed, on DynamoDB Local, and until it was told, on the embedded store.
func signOut(ctx context.Context, out io.Writer, _ options) (err error) {
	if _, err := dynamolocal.Install(ctx, nil); err != nil {
		return err
	}
	server, err := dynamolocal.Start(ctx, dynamolocal.Options{})
	if err != nil {
		return err
	}
	defer server.Stop()
	source, err := populated(ctx, manyUsers)
	if err != nil {
		return fmt.Errorf("make %d users: %w", manyUsers, err)
	}
	defer func() { err = errors.Join(err, source.end()) }()
	w, err := emptyTable(ctx, server.Endpoint, "signout")
	if err == nil {
		err = errors.Join(copyRoster(ctx, source.disk, w.Store), copyGuards(ctx, source.disk, w.Store, manyUsers))
	}
	if err != nil {
		return fmt.Errorf("copy %d users: %w", manyUsers, err)
	}
	settled, err := w.signsOut(ctx, nil, manyUsers)
	if err != nil {
		return fmt.Errorf("on DynamoDB Local: %w", err)
	}
	told, err := source.signsOut(ctx, source.disk, manyUsers)
	if err != nil {
		return fmt.Errorf("on the embedded store: %w", err)
	}
	fmt.Fprint(out, "| from the save of a policy that signs out 100,000 users | s |\n|---|---|\n")
	fmt.Fprintf(out, "| until the event of each is committed, on DynamoDB Local | %.0f |\n", settled.Seconds())
	fmt.Fprintf(out, "| until the bus and the activity have the event of each, on the embedded store | %.0f |\n", told.Seconds())
	fmt.Fprint(out, "\nOne run each. Then each user was settled, and on the embedded store the bus had one event of each, and no id twice. "+
		"The save itself is one commit, and sessions are ended from then on. The sweep goes on by 2,000 users at a time, 16 of them side by side.\n\n")
	fmt.Fprint(out, "| figure | measured | target | |\n|---|---|---|---|\n")
	for _, row := range []struct {
		name string
		took time.Duration
	}{{"on DynamoDB Local", settled}, {"on the embedded store, with the bus", told}} {
		fmt.Fprintf(out, "| fan-out to 100,000 users %s, min | %.1f | at most %.0f | %s |\n", row.name, row.took.Minutes(), mostMinutes, met(row.took.Minutes() <= mostMinutes))
	}
	return nil
}

// signsOut saves the policy that requires a factor of everyone and signs out who has none, and sweeps for as long as there is
// something to do. If there is a feed, it also hands on what was committed, and checks that the bus was told of each user once.
func (c *crowd) signsOut(ctx context.Context, feed store.Feed, users int) (time.Duration, error) {
	told := &toldUsers{events: map[string]string{}}
	c.Bus = told
	p, err := c.GetPolicy(ctx, c.call, crowdOrg)
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	if _, err := c.PutPolicy(ctx, c.call, crowdOrg, mfa.PolicyChange{Policy: c.policy, Version: &p.Version, Acknowledge: true}); err != nil {
		return 0, err
	}
	for more := true; more; {
		if more, err = c.FanOut(ctx); err != nil {
			return 0, err
		}
		if feed != nil {
			if err := feed.Deliver(ctx, handedOn, c.Publish); err != nil {
				return 0, err
			}
		}
	}
	took := time.Since(begun)
	if feed != nil {
		return took, told.check(users)
	}
	return took, c.settled(ctx, users)
}

// settled checks that the guard of each user was written since it was copied. The event about the user is on that write.
func (c *crowd) settled(ctx context.Context, users int) error {
	for i := range users {
		item, err := store.GetOne(ctx, c.Store, guardOf(i))
		if err != nil {
			return err
		}
		if item.Absent() || item.Version == copied {
			return fmt.Errorf("user %d was not settled", i)
		}
	}
	return nil
}

// toldUsers is a bus that keeps the user of each sign-out, by the event's id.
type toldUsers struct {
	mu     sync.Mutex
	events map[string]string
	twice  int
}

func (t *toldUsers) PutEvents(_ context.Context, events []activity.Event) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range events {
		if e.Type != mfa.UserSignedOut {
			continue
		}
		if _, known := t.events[e.ID]; known {
			t.twice++
		}
		t.events[e.ID] = e.User
	}
	return nil
}

// check checks that there was one event of each of so many users, and that none came twice.
func (t *toldUsers) check(users int) error {
	of := map[string]bool{}
	for _, user := range t.events {
		of[user] = true
	}
	if len(t.events) != users || len(of) != users || t.twice > 0 {
		return fmt.Errorf("%d events of %d users were told, and %d of them twice", len(t.events), len(of), t.twice)
	}
	return nil
}

// copied is the version of the guards that were copied.
const copied = store.Version("AAAAAAAAAAAAAAAAAAAAAA")

// guardOf is where the guard of a crowd's n-th user is.
func guardOf(n int) store.Key {
	route := seal.Route(crowdOrg) + seal.Route(crowdOrg, memberID(n))
	return store.Key{Partition: "u#" + base64.RawURLEncoding.EncodeToString([]byte(route)), Sort: "guard"}
}

// copyGuards copies the guards of so many users.
func copyGuards(ctx context.Context, from, to store.Store, users int) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2)
	for first := 0; first < users; first += store.MaxWrites {
		g.Go(func() error {
			var writes []store.Write
			for i := first; i < min(users, first+store.MaxWrites); i++ {
				item, err := store.GetOne(ctx, from, guardOf(i))
				if err != nil {
					return err
				}
				writes = append(writes, store.Write{Key: item.Key, Body: item.Body})
			}
			return store.Settle(ctx, to, nil, copied, writes...)
		})
	}
	return g.Wait()
}
