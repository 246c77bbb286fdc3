package mfa

import (
	"context"
	"errors"
	"sync"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// A unit is one try at one call: the moment at which it is decided, and all that it wants committed.
type unit struct {
	s        *Service
	ctx      context.Context
	filter   *seal.Filter
	ring     *seal.Ring
	reloaded bool           // this call has reloaded the key ring already
	now      time.Time      // in UTC, whole microseconds
	caller   *caller        // nil for the service's own work
	cause    activity.Actor // who has caused the service's own work; zero if nobody has
	origin   string         // of the page that makes the call with a token; empty if no page does
	client   string         // the name of the client whose call this is, or whose challenge it is about; empty if it has none
	admitted bool           // decide has seen that the caller may act on the challenge
	needs    apikey.Scope   // the only scope with which an API key may make this call; empty if every scope that the step takes will do

	codes []seal.Secret // the recovery codes that this call makes, the same in all of its tries
	out   *outgoing     // the code to hand over once this is committed; nil if there is none

	answered string // where it is counted that a code by SMS was answered; empty if none was

	replayed *replay // of the call's Idempotency-Key; nil if the call has none

	version  store.Version   // of this try's commit
	versions []store.Version // of the commits of all tries of this call, this one included
	writes   []store.Write
	events   []pendingEvent
	sums     []sum
	waits    time.Time // when there will be room for what waits to be told; zero: nothing new waits
	told     *guard    // of the user whom sums and waits are about
	err      error
}

func (u *unit) begin(ring *seal.Ring) {
	u.ring = ring
	u.now = u.s.Now().UTC().Truncate(time.Microsecond)
	u.version = store.NewVersion()
	u.versions = append(u.versions, u.version)
	u.writes, u.events, u.err, u.needs = nil, nil, nil, ""
	u.sums, u.waits, u.told = nil, time.Time{}, nil
	u.out, u.replayed, u.client, u.answered = nil, nil, "", ""
}

// put plans to write r over item. A zero expires means that the item never expires.
func (u *unit) put(item store.Item, r record.Record, expires time.Time) {
	u.writes = append(u.writes, store.Write{Key: item.Key, Expect: item.Version, Body: u.encode(r), Expires: expires})
}

// putCopies plans to write r over every copy of the item whose first copy is at key. It never expires. The copies have the same
// version, because one commit wrote them all.
func (u *unit) putCopies(key store.Key, version store.Version, r record.Record) {
	u.writes = append(u.writes, store.CopyWrites(store.Write{Key: key, Expect: version, Body: u.encode(r)})...)
}

func (u *unit) encode(r record.Record) []byte {
	body, err := record.EncodeIn(u.recordFormat(), r)
	if err != nil {
		u.err = errors.Join(u.err, err)
	}
	return body
}

// recordFormat returns the format that the key ring says for records. Work of the service's own has no ring; it writes the
// format that every build reads.
func (u *unit) recordFormat() int {
	if u.ring == nil {
		return 0
	}
	return u.ring.RecordFormat()
}

func (u *unit) delete(item store.Item) {
	u.writes = append(u.writes, store.Write{Key: item.Key, Expect: item.Version, Delete: true})
}

// event plans an event about what this commit makes true. The event is stored with one of the commit's puts.
func (u *unit) event(e pendingEvent) *pendingEvent {
	e.ID = newEventID()
	e.Time = u.now
	switch {
	case e.Actor != activity.Actor{}:
	case u.caller != nil:
		e.Actor = u.caller.actor(e.User)
	default:
		e.Actor = u.cause
	}
	if e.Data == nil {
		e.Data = map[string]any{}
	}
	if u.caller != nil && u.caller.session.visits(e.Actor) {
		e.Data["actor_org"] = u.caller.session.Org // the id of the actor is of another org than that of the event
	}
	if e.User != "" && e.Life == "" {
		u.err = errors.Join(u.err, errors.New("an event about a user that names no life: "+e.Type))
	}
	u.events = append(u.events, e)
	return &u.events[len(u.events)-1]
}

func (u *unit) commit(ctx context.Context) error {
	if u.err != nil {
		return u.err
	}
	if len(u.writes) == 0 {
		return nil
	}
	events, err := u.batchOfEvents()
	if err != nil {
		return err
	}
	for i := range u.writes {
		if !u.writes[i].Delete {
			u.writes[i].Events = events
			break
		}
	}
	return store.Settle(ctx, u.s.Store, u.s.Pause, u.version, u.writes...)
}

// commitCode is commit for a call that may send a code. Meanwhile it reads what the budgets of the code are judged by.
func (u *unit) commitCode(ctx context.Context) error {
	if u.out == nil || u.out.budgets == nil {
		return u.commit(ctx)
	}
	var looked sync.WaitGroup
	looked.Go(func() { u.out.budgets.look(ctx) })
	defer looked.Wait()
	return u.commit(ctx)
}

// alone does work of the service's own, which no caller has asked for: see repeat.
func (s *Service) alone(ctx context.Context, work func(*unit) error) error {
	return (&unit{s: s, ctx: ctx}).repeat(work)
}

// repeat calls work, which reads, decides and plans, and commits the plan. If the commit loses a race, it does all of this
// again.
func (u *unit) repeat(work func(*unit) error) error {
	for try := 1; ; try++ {
		u.begin(u.ring)
		if err := work(u); err != nil {
			return err
		}
		err := u.commit(u.ctx)
		if err == nil || !isConflict(err) || try == mostTries {
			return err
		}
		if err := u.s.pause(u.ctx, try); err != nil {
			return err
		}
	}
}

func isConflict(err error) bool { return errors.Is(err, store.ErrConflict) }
