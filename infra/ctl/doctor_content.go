package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/cloud"
	"countersign/pkg/mfa"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// A contentDoctor looks at what a deployment can't do without in its store. How that is, it asks the packages that keep it.
type contentDoctor struct {
	store  store.Store
	now    time.Time // the deployment's
	local  bool      // a local server's, which isn't running
	played bool      // a deployment on this machine, whose clock may be ahead
	findings
}

func (d *contentDoctor) lookAtRing(ctx context.Context) {
	const about, published = "key ring", "published keys"
	ring, err := cloud.StatusOfRing(ctx, d.store, d.now)
	switch {
	case errors.Is(err, record.ErrUnreadable):
		d.wrong(about, "its item can't be read ("+err.Error()+")", "restore the item ring/ring from a backup, or run the version of this program that wrote it")
		return
	case err != nil:
		d.failed(about, err)
		return
	case ring.Rotated.IsZero():
		d.wrong(about, "there is none yet", "make a call with an API key, such as GET /v1/orgs/acme/policy: the first makes it. "+
			"If the deployment has been used already, its ring was lost: restore the item ring/ring from a backup before any call")
		return
	case ring.Late:
		d.wrong(about, "its newest keys are of "+day(ring.Rotated)+", and new ones should come every 30 days",
			"the sweep rotates them: see its log, and the queue in the output SweepFailuresQueue of the stack")
	default:
		d.ok(about, "its newest keys are of %s", day(ring.Rotated))
	}
	if !ring.Published {
		d.wrong(published, "they are not those of the key ring", "the next run of the sweep publishes those of the ring: see its log")
		return
	}
	d.ok(published, "they are those of the key ring")
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

func (d *contentDoctor) lookAtSweep(ctx context.Context) {
	const about = "sweep"
	const do = "see the log of the function sweep, its schedule, and the queue in the output SweepFailuresQueue of the stack"
	sweep, err := mfa.StatusOfSweep(ctx, d.store, d.now)
	switch {
	case errors.Is(err, record.ErrUnreadable):
		d.wrong(about, "its mark can't be read ("+err.Error()+")", "restore the item sweep/mark from a backup, or run the version of this program that wrote it")
	case err != nil:
		d.failed(about, err)
	case sweep.Hour.IsZero() && d.local:
		d.wrong(about, "it has never run", "start the local server: it runs it")
	case sweep.Hour.IsZero():
		d.wrong(about, "it has never run", "wait a quarter of an hour after deploying; then "+do)
	case sweep.Ahead && !d.played:
		d.wrong(about, "it has come to "+hour(sweep.Hour)+", and by this clock that is still to come", "set this machine's clock right; with --local, put back the folder's file clock")
	case d.local:
		d.ok(about, "it has come to %s; the server takes it up from there when it starts", hour(sweep.Hour))
	case sweep.Late:
		d.wrong(about, "it has come to "+hour(sweep.Hour)+" only, and should run every 15 minutes; sign-ins don't wait for it, but ends of trust aren't announced and keys aren't rotated", do)
	default:
		d.ok(about, "it has come to %s", hour(sweep.Hour))
	}
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func hour(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
