package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"countersign/infra/local/folder"
	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/cloud/keyring"
	"countersign/pkg/mfa"
	"countersign/pkg/seal"
)

type restoredData struct {
	Moment time.Time `required:"" placeholder:"TIME" help:"The moment to which the data was restored, such as 2026-11-22T10:20:00Z."`
	Events []string  `sep:"none" type:"existingfile" placeholder:"FILE" help:"A file with the events that were put on the bus since then: JSON objects, as they were on the bus or as EventBridge wraps them. Give the flag once for each file. Erasures, removals of factors and deprovisionings are repeated from it."`
	InUse  bool      `help:"Go on although the sweep has run here since that moment."`
}

// eventMargin is how much earlier than the restored moment the time of an event may be although the data doesn't have its effect.
// The time of an event is taken before its commit.
const eventMargin = time.Minute

// Run gives the restored data a new epoch, names the API keys that have to be confirmed, and repeats what the events say.
func (c *restoredData) Run(ctx context.Context, p *program, where place) error {
	events, err := c.read()
	if err != nil {
		return err
	}
	return stopFirst(where.use(p, func(s *site) error {
		epoch, err := c.renew(ctx, p, where, s)
		if err != nil {
			return err
		}
		if err := nameUnconfirmed(ctx, p, s, epoch); err != nil {
			return err
		}
		return c.repeat(ctx, p, &mfa.Service{Store: s.store, Now: s.keys.Now}, events, epoch)
	}))
}

// renew gives the data a new epoch, unless that was done since the restore. It returns the epoch.
func (c *restoredData) renew(ctx context.Context, p *program, where place, s *site) (int64, error) {
	now := s.keys.Now()
	if c.Moment.After(now) {
		return 0, wrongCall("--moment must not be in the future")
	}
	epoch, err := epochOf(ctx, p, where, s)
	switch {
	case err != nil:
		return 0, err
	case epoch > c.Moment.Unix():
		err := p.say(restoredLine{Epoch: second(epoch)}, "The data has had a new epoch since %s, which is after that moment. It gets no other one.\n", second(epoch))
		return epoch, err
	}
	swept, err := mfa.StatusOfSweep(ctx, s.store, now)
	if err != nil {
		return 0, err
	}
	if swept.Hour.After(c.Moment) && !c.InUse {
		return 0, fmt.Errorf("the sweep has run on this data at %s, so the data is in use, or was not restored to %s. Compare the name and the moment. To go on all the same, give --in-use",
			swept.Hour.UTC().Format(time.RFC3339), c.Moment.UTC().Format(time.RFC3339))
	}
	keys, err := s.keys.List(ctx)
	if err != nil {
		return 0, err
	}
	epoch = max(epoch+1, now.Unix())
	for _, k := range keys {
		epoch = max(epoch, k.Created.Unix()+1) // so that every key counts as made before this epoch, whatever the clocks say
	}
	if err := setEpoch(ctx, p, where, s, epoch); err != nil {
		return 0, err
	}
	err = p.say(restoredLine{Epoch: second(epoch), Renewed: true}, "The data has a new epoch, %s. Trusted browsers, known browsers, challenges, enrolments, proofs and recovery codes of before are dead.\n", second(epoch))
	return epoch, err
}

// epochOf returns the epoch in the key ring of a place. The ring of a local server is in a file of its own.
func epochOf(ctx context.Context, p *program, where place, s *site) (int64, error) {
	if where.Local == "" {
		status, err := keyring.StatusOf(ctx, s.store, p.now())
		if err == nil && status.Rotated.IsZero() {
			err = keyring.ErrNoRing
		}
		return status.Epoch, err
	}
	ring, err := changeFolderRing(ctx, p, where, nil)
	if err != nil {
		return 0, err
	}
	return ring.Epoch(), nil
}

func setEpoch(ctx context.Context, p *program, where place, s *site, epoch int64) error {
	if where.Local == "" {
		return keyring.SetEpoch(ctx, s.store, epoch)
	}
	_, err := changeFolderRing(ctx, p, where, func(r *seal.Ring, _ time.Time) (*seal.Ring, error) { return r.WithEpoch(epoch), nil })
	return err
}

// changeFolderRing changes the key file of a local server, by its clock, and returns its ring. A nil change only reads it.
func changeFolderRing(ctx context.Context, p *program, where place, change func(*seal.Ring, time.Time) (*seal.Ring, error)) (*seal.Ring, error) {
	f, err := folder.Open(where.Local, p.now)
	if err != nil {
		return nil, err
	}
	keys, err := f.OpenKeys(false)
	if err != nil {
		return nil, err
	}
	if change == nil {
		return keys.Ring(ctx)
	}
	return keys.Update(ctx, func(r *seal.Ring) (*seal.Ring, error) { return change(r, f.Now()) })
}

// nameUnconfirmed prints the API keys that can't be used until they are confirmed.
func nameUnconfirmed(ctx context.Context, p *program, s *site, epoch int64) error {
	keys, err := s.keys.List(ctx)
	if err != nil {
		return err
	}
	keys = slices.DeleteFunc(keys, func(k apikey.Key) bool { return k.Confirmed(epoch) })
	if len(keys) == 0 {
		return nil
	}
	slices.SortFunc(keys, byCreation)
	if p.json {
		for _, k := range keys {
			unconfirmed, err := listedOf(ctx, s, k, epoch)
			if err != nil {
				return err
			}
			if err := p.say(restoredLine{Unconfirmed: &unconfirmed}, ""); err != nil {
				return err
			}
		}
		return nil
	}
	fmt.Fprintln(p.out, "These API keys are good for nothing until you confirm them. Some of them may have been revoked since the backup:")
	return printKeys(ctx, p, s, keys, epoch)
}

// repeat does again what was done since the restored moment, according to the events.
func (c *restoredData) repeat(ctx context.Context, p *program, s *mfa.Service, events []activity.Event, epoch int64) error {
	if len(c.Events) == 0 {
		return p.say(restoredLine{Looked: new(int)}, "No events were given, so nothing was repeated that was erased, removed or deprovisioned since.\n")
	}
	left := map[string]map[restoredEvent]bool{} // the users or orgs for whom something is left to do, by the type of the event
	for _, e := range events {
		came, err := s.Repeat(ctx, e, epoch)
		if err != nil {
			return fmt.Errorf("event %s: %w", e.ID, err)
		}
		about := restoredEvent{Type: e.Type, Org: e.Org, User: e.User}
		switch {
		case came == mfa.Repeated:
			err = p.say(restoredLine{Repeated: &about}, "%s was repeated for %s.\n", e.Type, about)
		case came == mfa.UsedSince:
			err = p.say(restoredLine{NotRepeated: &about}, "%s was not repeated for %s, who was seen since the restore. Do it yourself if it is still wanted.\n", e.Type, about)
		case yours[e.Type] != "":
			if left[e.Type] == nil {
				left[e.Type] = map[restoredEvent]bool{}
			}
			left[e.Type][about] = true
		}
		if err != nil {
			return err
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(left)) {
		if !p.json {
			fmt.Fprintf(p.out, "%s: %s\n", kind, yours[kind])
		}
		for _, about := range slices.SortedFunc(maps.Keys(left[kind]), func(a, b restoredEvent) int { return strings.Compare(a.String(), b.String()) }) {
			if err := p.say(restoredLine{Yours: &about, Do: yours[kind]}, "  %s\n", about); err != nil {
				return err
			}
		}
	}
	looked := len(events)
	return p.say(restoredLine{Looked: &looked}, "%d events since the restore were looked at.\n", looked)
}

// A restoredLine is a line of JSON that restored prints. Each line has one of the facts.
type restoredLine struct {
	Epoch       string         `json:"epoch,omitempty"`
	Renewed     bool           `json:"renewed,omitempty"` // the epoch is new
	Unconfirmed *listedKey     `json:"unconfirmed,omitempty"`
	Repeated    *restoredEvent `json:"repeated,omitempty"`
	NotRepeated *restoredEvent `json:"not_repeated,omitempty"` // the user was seen since the restore
	Yours       *restoredEvent `json:"yours,omitempty"`        // something is left to do, which do says
	Do          string         `json:"do,omitempty"`
	Looked      *int           `json:"events,omitempty"` // how many events were looked at
}

// A restoredEvent says what an event was, and about whom.
type restoredEvent struct {
	Type string `json:"type"`
	Org  string `json:"org"`
	User string `json:"user,omitempty"`
}

// String returns about whom the event was.
func (e restoredEvent) String() string {
	if e.User == "" {
		return jsonText(e.Org)
	}
	return jsonText(e.Org) + " " + jsonText(e.User)
}

// yours says, by the type of an event that can't be repeated, what the operator has to do.
var yours = map[string]string{
	mfa.FactorEnrolled: "These users have lost a factor that they enrolled since, and have to enrol it again.",
	mfa.UserEnabled:    "These users have turned 2FA on since. If it is off now, they have to turn it on again.",
	mfa.UserUpdated:    "These users may have an earlier address or phone. The client has to put them again.",
	mfa.PolicyChanged:  "These organisations have an earlier policy. Their administrators have to put it again.",
}

// read returns the events of all files that are not earlier than the restore, in the order of their times.
func (c *restoredData) read() (events []activity.Event, err error) {
	since := c.Moment.Add(-eventMargin)
	seen := map[string]bool{} // a bus gets each event at least once
	for _, name := range c.Events {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		found, err := readEvents(file)
		file.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, e := range found {
			if !e.Time.Before(since) && !seen[e.ID] {
				seen[e.ID] = true
				events = append(events, e)
			}
		}
	}
	slices.SortStableFunc(events, func(a, b activity.Event) int { return a.Time.Compare(b.Time) })
	return events, nil
}

// readEvents reads JSON objects, each of which is an event or has one in its field detail. They may be on lines of their own or not.
func readEvents(from io.Reader) (events []activity.Event, err error) {
	decoder := json.NewDecoder(from)
	for n := 1; ; n++ {
		var wrapped struct {
			activity.Event
			Detail *activity.Event `json:"detail"`
		}
		err := decoder.Decode(&wrapped)
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		e := wrapped.Event
		if wrapped.Detail != nil {
			e = *wrapped.Detail
		}
		if err != nil || e.ID == "" || e.Type == "" || e.Time.IsZero() || e.Org == "" {
			return nil, fmt.Errorf("object %d is not an event of Countersign", n)
		}
		events = append(events, e)
	}
}

// second writes an epoch as a time.
func second(epoch int64) string { return time.Unix(epoch, 0).UTC().Format(time.RFC3339) }
