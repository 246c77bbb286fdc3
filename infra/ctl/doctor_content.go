package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/cloud/keyring"
	"countersign/pkg/mfa"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// A contentDoctor looks at the items that a deployment needs. It asks the packages that keep them what state they are in.
type contentDoctor struct {
	store  store.Store
	now    time.Time // by the deployment's clock
	local  bool      // the store is that of a local server, which isn't running
	epoch  int64     // of the data (see seal.Ring.Epoch); 0 if it isn't known, or the data was never restored
	played bool      // the deployment runs on this machine for development, and its clock may be ahead
	findings
}

func (d *contentDoctor) lookAtRing(ctx context.Context) {
	const about, published = "key ring", "published keys"
	ring, err := keyring.StatusOf(ctx, d.store, d.now)
	d.epoch = ring.Epoch
	switch {
	case errors.Is(err, record.ErrUnreadable):
		d.wrong(about, "Its item can't be read ("+err.Error()+").", "Restore the item ring/ring from a backup, or run the version of this program that wrote the item.")
		return
	case err != nil:
		d.failed(about, err)
		return
	case ring.Rotated.IsZero():
		d.wrong(about, "There is no key ring yet.", "The first call with an API key makes it, such as GET /v1/orgs/acme/policy. "+
			"If the deployment was in use before, its key ring is lost. Then restore the item ring/ring from a backup before you make any call.")
		return
	case ring.Late:
		d.wrong(about, "Its newest keys were made on "+day(ring.Rotated)+", although new keys should be made every 30 days.",
			"The sweep makes new keys. See its log, and the queue in the output SweepFailuresQueue of the stack.")
	default:
		d.ok(about, "Its newest keys were made on %s.", day(ring.Rotated))
	}
	if !ring.Published {
		d.wrong(published, "They are not the keys of the key ring.", "The next run of the sweep publishes the keys of the ring. If it doesn't, see its log.")
		return
	}
	d.ok(published, "They are the keys of the key ring.")
}

func (d *contentDoctor) lookAtKeys(ctx context.Context) {
	const about = "API keys"
	lines, err := (&apikey.Registry{Store: d.store, Now: func() time.Time { return d.now }}).List(ctx)
	signsIn := func(l apikey.Key) bool { return slices.Contains(l.Scopes, apikey.SignIn) }
	unconfirmed := 0
	for _, l := range lines {
		if !l.Confirmed(d.epoch) {
			unconfirmed++
		}
	}
	const do = "To make one: keys create --client NAME --scope sign_in"
	switch {
	case err != nil:
		d.failed(about, err)
	case len(lines) == 0:
		d.wrong(about, "There is no API key, so no application can make a call.", do)
	case !slices.ContainsFunc(lines, signsIn):
		d.wrong(about, "No API key has the scope sign_in, so no application can start a sign-in. "+numberOfKeys(len(lines)), do)
	case unconfirmed > 0:
		d.wrong(about, fmt.Sprintf("%s %d of them can't be used, because the data was restored from a backup and nobody has confirmed them since.", numberOfKeys(len(lines)), unconfirmed),
			"To list them: keys list. Confirm those that were not revoked since the backup: keys confirm ID. Revoke the others: keys revoke ID")
	default:
		d.ok(about, "%s", numberOfKeys(len(lines)))
	}
}

func (d *contentDoctor) lookAtSweep(ctx context.Context) {
	const about = "sweep"
	const do = "See the log of the function sweep, its schedule, and the queue in the output SweepFailuresQueue of the stack."
	sweep, err := mfa.StatusOfSweep(ctx, d.store, d.now)
	switch {
	case errors.Is(err, record.ErrUnreadable):
		d.wrong(about, "The item that says how far it has come can't be read ("+err.Error()+").", "Restore the item sweep/mark from a backup, or run the version of this program that wrote the item.")
	case err != nil:
		d.failed(about, err)
	case sweep.Hour.IsZero() && d.local:
		d.wrong(about, "It has never run.", "Start the local server, which runs the sweep.")
	case sweep.Hour.IsZero():
		d.wrong(about, "It has never run.", "After a deployment, wait for 15 minutes. If it hasn't run then: "+do)
	case sweep.Ahead && !d.played:
		d.wrong(about, "It has come to "+hour(sweep.Hour)+", which is in the future by this clock.", "Set the clock of this machine right. With --local, also restore the file clock in the data folder.")
	case d.local:
		d.ok(about, "It has come to %s. When the server starts, it goes on from there.", hour(sweep.Hour))
	case sweep.Late:
		d.wrong(about, "It has come only to "+hour(sweep.Hour)+", although it should run every 15 minutes. Sign-ins don't need it, but until it runs no end of trust is announced and no new keys are made.", do)
	default:
		d.ok(about, "It has come to %s.", hour(sweep.Hour))
	}
}

func numberOfKeys(n int) string {
	if n == 1 {
		return "There is 1 API key."
	}
	return fmt.Sprintf("There are %d API keys.", n)
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func hour(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
