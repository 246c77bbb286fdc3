package mfa

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// Kinds returns all kinds of factor, the strongest first.
func Kinds() []Kind {
	all := make([]Kind, len(kinds))
	for i, row := range kinds {
		all[i] = row.kind
	}
	return all
}

// Method returns what the policy says about a kind.
func (p *Policy) Method(k Kind) string { return p.method(k) }

// Check returns InvalidRequest for the first setting that has an invalid value.
func (p *Policy) Check() error { return p.check() }

// SweepAtMost is Sweep with other bounds on one run.
func (s *Service) SweepAtMost(ctx context.Context, items, hours int) (Swept, error) {
	return s.sweep(ctx, items, hours)
}

// SweepHours is the part of Sweep that looks at the hours in which something is due.
func (s *Service) SweepHours(ctx context.Context) (Swept, error) {
	return s.sweep(ctx, mostDue, mostHours)
}

// PutFactor gives an existing user a factor of any kind, even of one that can't be enrolled yet, and turns 2FA on.
func (s *Service) PutFactor(ctx context.Context, org, user string, kind Kind, contact string) error {
	var a *account
	return s.alone(ctx, func(u *unit) error {
		if err := readAll(ctx, s.Store, s.readAccount(routeOf(org, user), &a)); err != nil {
			return err
		}
		f := &factorRecord{ID: seal.ID("fa_", nil), Kind: kind, Contact: contact, Created: u.now}
		if number, err := s.Numbers.Parse(contact); err == nil {
			f.Country = number.Country
		}
		a.guard.Factors = append(a.guard.Factors, enrolledFactor{ID: f.ID, Kind: kind})
		a.guard.Enabled = true
		u.put(store.Item{Key: factorKey(a.route, f.ID)}, f, time.Time{})
		u.putRosterEntry(a)
		u.put(a.item, a.guard, time.Time{})
		return nil
	})
}

// AnswerWith ends an open challenge as a right answer by a factor of any kind does, even of one whose answers can't be
// checked yet.
func (s *Service) AnswerWith(ctx context.Context, challenge string, kind Kind) error {
	var v challengeView
	return s.alone(ctx, func(u *unit) error {
		if err := readAll(ctx, s.Store, s.viewChallenge(challenge, &v)...); err != nil {
			return err
		}
		v.a.guard.MFATime = u.now
		slot := v.a.guard.openSlot(v.ch, u.now)
		v.conclude(u, slot, verified)
		slot.Kind = kind
		u.put(v.a.item, v.a.guard, time.Time{})
		return nil
	})
}

// Transplant returns the body of an item with one field taken from another item of the same kind. field is its name in JSON.
func Transplant(into, from store.Item, field string) ([]byte, error) {
	to, of := recordAt(into.Key), recordAt(from.Key)
	if err := errors.Join(record.Decode(into, to), record.Decode(from, of)); err != nil {
		return nil, err
	}
	kind := reflect.TypeOf(to).Elem()
	for i := range kind.NumField() {
		if name, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ","); name == field {
			reflect.ValueOf(to).Elem().Field(i).Set(reflect.ValueOf(of).Elem().Field(i))
			return record.Encode(to)
		}
	}
	return nil, errors.New("no field " + field)
}

// Listing returns the body of a guard with one more factor.
func Listing(item store.Item, factor string, kind Kind) ([]byte, error) {
	var g guard
	if err := record.Decode(item, &g); err != nil {
		return nil, err
	}
	g.Factors = append(g.Factors, enrolledFactor{ID: factor, Kind: kind})
	return record.Encode(&g)
}

// DueBody returns the body of an expiry entry of a trusted browser whose user doesn't exist.
func DueBody(at time.Time) []byte {
	body, err := record.Encode(&expiryEntry{Route: make([]byte, routeLen), Browser: seal.ID("tb_", nil), Epoch: newEpoch(), Due: at})
	if err != nil {
		panic(err)
	}
	return body
}

// Padded returns the body of a guard with a name of that many bytes.
func Padded(item store.Item, bytes int) ([]byte, error) {
	var g guard
	if err := record.Decode(item, &g); err != nil {
		return nil, err
	}
	g.Profile.Name = strings.Repeat("p", bytes)
	return record.Encode(&g)
}

// EntryKey returns the key that is stored with the events of a record.
func EntryKey(t testing.TB, r store.Record) activity.EntryKey {
	t.Helper()
	b, err := decodeEventBatch(r)
	if err != nil {
		t.Fatal(err)
	}
	return b.EntryKey
}

// NameEvents gives all events of a record the same id.
func NameEvents(t testing.TB, r store.Record, id string) store.Record {
	t.Helper()
	b, err := decodeEventBatch(r)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b.events {
		b.events[i].ID = id
	}
	if b.Said, err = activity.Encode(b.filedUnder(), b.events); err != nil {
		t.Fatal(err)
	}
	if r.Events, err = record.Encode(b); err != nil {
		t.Fatal(err)
	}
	return r
}

// FactorKey returns the key of the record of a user's factor.
func FactorKey(org, user, id string) store.Key { return factorKey(routeOf(org, user), id) }

// CredentialKey returns the key of the item that says who owns a credential id.
func CredentialKey(id []byte) store.Key { return credentialKey(id) }

// SignedOutID is the id of the event that the cut-off of a version has hit a user.
func SignedOutID(version int, at time.Time, org, user string) string {
	return (&cutoff{Version: version, At: at}).signedOutID(routeOf(org, user))
}
