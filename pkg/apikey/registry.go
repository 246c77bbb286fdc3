package apikey

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// A Registry makes, lists and revokes the API keys of a deployment. It is safe for concurrent use.
type Registry struct {
	Store store.Store
	Now   func() time.Time
}

// ErrNotFound says that there is no API key of an id, or not any more.
var ErrNotFound = errors.New("there is no API key of this id")

// ErrBusy says that an API key could not be revoked because its items kept changing. Trying again is safe.
var ErrBusy = errors.New("too many calls at once for this API key")

// An InvalidError says that what a call was given is not what it must be.
type InvalidError struct {
	Param  string // the field: client, name, scopes, org, origins or id
	Detail string // a sentence; it never holds what was given
}

// Error gives the field and the sentence.
func (e *InvalidError) Error() string { return e.Param + ": " + e.Detail }

const (
	revokeTries = 12        // of one revocation that lost races
	revokedFor  = time.Hour // how long a revocation whose answer was lost can be asked for again

	// keysPartition has a line for each API key: keys are looked up by their hash, which is all that the store has of them.
	keysPartition = "keys"
)

func lineAt(hash string) store.Key { return store.Key{Partition: keysPartition, Sort: hash} }

func revokedAt(hash string) store.Key {
	return store.Key{Partition: At(hash).Partition, Sort: "revoked"}
}

// revoked stands where an API key was. It says nothing; a revocation whose answer was lost is known again by it.
type revoked struct{ record.Head }

// Create makes an API key and gives its text, of which only the hash is kept. An error that is an InvalidError says what is
// wrong with the grant; after any other the key may be listed, and nobody has its text.
func (r *Registry) Create(ctx context.Context, g Grant) (seal.Secret, error) {
	if err := g.check(); err != nil {
		return seal.Secret{}, err
	}
	filter, err := (&FilterKeeper{Store: r.Store}).Filter(ctx)
	if err != nil {
		return seal.Secret{}, err
	}
	body, err := record.Encode(&keyRecord{Grant: g, Created: r.now()})
	if err != nil {
		return seal.Secret{}, err
	}
	carried := g.Carries()
	key := filter.NewBearer(seal.APIKey, carried[:])
	hash := seal.HashBearer(key.Reveal())
	err = store.Settle(ctx, r.Store, nil, store.NewVersion(), store.Write{Key: At(hash), Body: body}, store.Write{Key: lineAt(hash), Body: body})
	if err != nil {
		return seal.Secret{}, fmt.Errorf("make an API key: %w", err)
	}
	return key, nil
}

// List gives the API keys that there are, in no order that means anything.
func (r *Registry) List(ctx context.Context) ([]Key, error) {
	lines, err := r.lines(ctx, "")
	if err != nil {
		return nil, err
	}
	keys := make([]Key, 0, len(lines))
	for _, line := range lines {
		key, err := readLine(line)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// Revoke ends an API key, by its id, and gives what it was. From then on the key is good for nothing. Challenges that were
// begun with it can still be answered with their own tokens. It fails with ErrNotFound for a key that isn't there, with an
// InvalidError for what is not an id, and with ErrBusy.
func (r *Registry) Revoke(ctx context.Context, id string) (Key, error) {
	prefix, ok := strings.CutPrefix(id, idPrefix)
	if !ok || len(prefix) != idHash {
		return Key{}, invalid("id", fmt.Sprintf("The id of an API key is %s and %d letters, as they are listed.", idPrefix, idHash))
	}
	for try := 1; try <= revokeTries; try++ {
		key, err := r.revoke(ctx, prefix)
		if !errors.Is(err, store.ErrConflict) {
			return key, err
		}
		if err := store.Wait(ctx, store.Backoff(try)); err != nil {
			return Key{}, err
		}
	}
	return Key{}, ErrBusy
}

// revoke tries once. It fails with store.ErrConflict where another call was faster.
func (r *Registry) revoke(ctx context.Context, prefix string) (Key, error) {
	found, err := r.lines(ctx, prefix)
	switch {
	case err != nil:
		return Key{}, err
	case len(found) == 0:
		return Key{}, ErrNotFound
	case len(found) > 1: // one in 2^72
		return Key{}, invalid("id", "Several API keys have this id.")
	}
	line := found[0]
	key, err := readLine(line)
	if err != nil {
		return Key{}, err
	}
	hash := line.Key.Sort
	item, err := store.GetOne(ctx, r.Store, At(hash))
	if err != nil {
		return Key{}, fmt.Errorf("revoke an API key: %w", err)
	}
	body, err := record.Encode(&revoked{})
	if err != nil {
		return Key{}, err
	}
	writes := []store.Write{
		{Key: revokedAt(hash), Body: body, Expires: r.now().Add(revokedFor)},
		{Key: line.Key, Expect: line.Version, Delete: true},
	}
	if !item.Absent() {
		writes = append(writes, store.Write{Key: item.Key, Expect: item.Version, Delete: true})
	}
	if err := store.Settle(ctx, r.Store, nil, store.NewVersion(), writes...); err != nil {
		return Key{}, fmt.Errorf("revoke an API key: %w", err)
	}
	return key, nil
}

// lines reads the lines of the keys whose hash begins with prefix.
func (r *Registry) lines(ctx context.Context, prefix string) (found []store.Item, err error) {
	q := store.Query{Partition: keysPartition, Prefix: prefix}
	for more := true; more; {
		page, err := r.Store.Query(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("list API keys: %w", err)
		}
		found = append(found, page.Items...)
		q.After, more = page.Last, page.More
	}
	return found, nil
}

func readLine(item store.Item) (Key, error) {
	key, err := Read(item)
	if err != nil {
		return Key{}, fmt.Errorf("list API keys: %w", err)
	}
	key.ID = idOf(item.Key.Sort)
	return key, nil
}

// now is in UTC and whole microseconds, as all records have their times.
func (r *Registry) now() time.Time { return r.Now().UTC().Truncate(time.Microsecond) }
