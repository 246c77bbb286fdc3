package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/store"
)

// A contentDoctor looks at what a deployment can't do without in its store. Where items are is told in package mfa.
type contentDoctor struct {
	store  store.Store
	now    time.Time // the deployment's
	local  bool      // a local server's, which isn't running
	played bool      // a deployment on this machine, whose clock may be ahead
	findings
}

// Keys are rotated every 30 days, by the sweep.
const rotatedWithin = 32 * 24 * time.Hour

func (d *contentDoctor) lookAtRing(ctx context.Context) {
	const about = "key ring"
	item, err := store.GetOne(ctx, d.store, store.Key{Partition: "ring", Sort: "ring"})
	if err != nil {
		d.failed(about, err)
		return
	}
	if item.Absent() {
		d.wrong(about, "there is none yet", "make a call with an API key, such as GET /v1/orgs/acme/policy: the first makes it. "+
			"If the deployment has been used already, its ring was lost: restore the item ring/ring from a backup before any call")
		return
	}
	var ring struct {
		Rotated time.Time `json:"rotated"`
	}
	switch err := json.Unmarshal(item.Body, &ring); {
	case err != nil || ring.Rotated.IsZero():
		d.wrong(about, "its item can't be read", "restore the item ring/ring from a backup")
		return
	case d.now.Sub(ring.Rotated) > rotatedWithin:
		d.wrong(about, "its newest keys are of "+day(ring.Rotated)+", and new ones should come every 30 days",
			"the sweep rotates them: see its log, and the queue in the output SweepFailuresQueue of the stack")
	default:
		d.ok(about, "its newest keys are of %s", day(ring.Rotated))
	}
	d.lookAtPublished(ctx, item.Version)
}

// lookAtPublished compares versions, since one commit writes the key ring and publishes its public half.
func (d *contentDoctor) lookAtPublished(ctx context.Context, ring store.Version) {
	const about = "published keys"
	switch published, err := store.GetOne(ctx, d.store, mfa.PublishedKeysAt); {
	case err != nil:
		d.failed(about, err)
	case published.Version != ring:
		d.wrong(about, "they are not those of the key ring", "the next run of the sweep publishes those of the ring: see its log")
	default:
		d.ok(about, "they are those of the key ring")
	}
}

func (d *contentDoctor) lookAtKeys(ctx context.Context) {
	const about = "API keys"
	lines, err := (&apikey.Registry{Store: d.store, Now: func() time.Time { return d.now }}).List(ctx)
	signsIn := func(l apikey.Key) bool { return slices.Contains(l.Scopes, apikey.SignIn) }
	const do = "make one: keys create --client NAME --scope sign_in"
	switch {
	case err != nil:
		d.failed(about, err)
	case len(lines) == 0:
		d.wrong(about, "there is none, so nobody can call anything", do)
	case !slices.ContainsFunc(lines, signsIn):
		d.wrong(about, fmt.Sprintf("there are %d, and none with the scope sign_in", len(lines)), do)
	default:
		d.ok(about, "there are %d", len(lines))
	}
}

// The sweep runs every 15 minutes, and its mark is the hour that it has come to.
const sweptWithin = 30 * time.Minute

func (d *contentDoctor) lookAtSweep(ctx context.Context) {
	const about = "sweep"
	item, err := store.GetOne(ctx, d.store, store.Key{Partition: "sweep", Sort: "mark"})
	if err != nil {
		d.failed(about, err)
		return
	}
	const do = "see the log of the function sweep, its schedule, and the queue in the output SweepFailuresQueue of the stack"
	var mark struct {
		Hour time.Time `json:"hour"`
	}
	switch {
	case item.Absent() && d.local:
		d.wrong(about, "it has never run", "start the local server: it runs it")
	case item.Absent():
		d.wrong(about, "it has never run", "wait a quarter of an hour after deploying; then "+do)
	case json.Unmarshal(item.Body, &mark) != nil || mark.Hour.IsZero():
		d.wrong(about, "its mark can't be read", "restore the item sweep/mark from a backup")
	case mark.Hour.After(d.now) && !d.played:
		d.wrong(about, "it has come to "+hour(mark.Hour)+", and by this clock that is still to come", "set this machine's clock right; with --local, put back the folder's file clock")
	case d.local:
		d.ok(about, "it has come to %s; the server takes it up from there when it starts", hour(mark.Hour))
	case mark.Hour.Before(d.now.Add(-sweptWithin).Truncate(time.Hour)):
		d.wrong(about, "it has come to "+hour(mark.Hour)+" only, and should run every 15 minutes; sign-ins don't wait for it, but ends of trust aren't announced and keys aren't rotated", do)
	default:
		d.ok(about, "it has come to %s", hour(mark.Hour))
	}
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func hour(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
