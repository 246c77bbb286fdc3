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

// A Registry makes, lists, confirms and revokes the API keys of a deployment. It is safe for concurrent use.
type Registry struct {
	Store store.Store
	Now   func() time.Time
}

// errNotFound means that there is no API key with this id. It may have been revoked.
var errNotFound = errors.New("there is no API key with this id")

// errBusy means that an API key could not be revoked or confirmed because its items kept changing. The caller can try again.
var errBusy = errors.New("there were too many calls at once for this API key")

// An InvalidError means that an argument of a call is not valid.
type InvalidError struct {
	Param  string // the field: client, name, scopes, org, origins or id
	Detail string // a sentence that says what the field must be; it never repeats the value
}

// Error returns the field and the sentence.
func (e *InvalidError) Error() string { return e.Param + ": " + e.Detail }

const (
	changeTries = 12        // how often a revocation or a confirmation is tried when other calls change the key
	revokedFor  = time.Hour // for how long the item stays that shows that a key was revoked

	// keysPartition has an entry for each API key. Without it the keys couldn't be listed, because they are stored by their hash.
	keysPartition = "keys"
)

func lineAt(hash string) store.Key { return store.Key{Partition: keysPartition, Sort: hash} }

func revokedAt(hash string) store.Key {
	return store.Key{Partition: at(hash).Partition, Sort: "revoked"}
}

// revoked is stored when an API key is revoked. It is empty. If the answer of the commit was lost, this item shows that the
// revocation was done.
type revoked struct{ record.Head }

// Create makes an API key and returns its text, of which only the hash is stored. It fails with an InvalidError if the grant
// isn't valid. After any other error, the key may exist, but nobody has its text.
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
	writes := append(store.CopyWrites(store.Write{Key: at(hash), Body: body}), store.Write{Key: lineAt(hash), Body: body})
	if err := store.Settle(ctx, r.Store, nil, store.NewVersion(), writes...); err != nil {
		return seal.Secret{}, fmt.Errorf("make an API key: %w", err)
	}
	return key, nil
}

// List returns all API keys. Their order has no meaning.
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

// Revoke ends the API key with this id, and returns what it was. From then on the key can't be used. Challenges that were
// started with it can still be answered with their own tokens. Revoke fails if there is no such key, with an
// InvalidError if id isn't the id of an API key, and if other calls keep changing the key's items; it can then be called again.
func (r *Registry) Revoke(ctx context.Context, id string) (Key, error) {
	return r.change(ctx, id, r.revoke)
}

// Confirm says that the API key with this id is good in an epoch of the deployment, and returns what it is. A key that was made
// before the data was restored from a backup needs that, because it may have been revoked since the backup was made. Confirm
// fails as Revoke does.
func (r *Registry) Confirm(ctx context.Context, id string, epoch int64) (Key, error) {
	return r.change(ctx, id, func(ctx context.Context, line store.Item, key Key) error {
		copies, err := r.Store.Get(ctx, store.CopyKeys(at(line.Key.Sort))...)
		if err != nil {
			return fmt.Errorf("confirm an API key: %w", err)
		}
		if key.Confirmed(epoch) {
			return nil
		}
		body, err := record.Encode(&keyRecord{Grant: key.Grant, Created: key.Created, Epoch: epoch})
		if err != nil {
			return err
		}
		writes := []store.Write{{Key: line.Key, Expect: line.Version, Body: body}}
		for _, item := range copies {
			if item.Absent() {
				return store.ErrConflict // it has been revoked since its entry was read
			}
			writes = append(writes, store.Write{Key: item.Key, Expect: item.Version, Body: body})
		}
		err = store.Settle(ctx, r.Store, nil, store.NewVersion(), writes...)
		if err != nil {
			return fmt.Errorf("confirm an API key: %w", err)
		}
		return nil
	})
}

// change finds the entry of the API key with this id, and does something to it, again and again while other calls change it.
func (r *Registry) change(ctx context.Context, id string, do func(context.Context, store.Item, Key) error) (Key, error) {
	prefix, ok := strings.CutPrefix(id, idPrefix)
	if !ok || len(prefix) != idHash {
		return Key{}, invalid("id", fmt.Sprintf("The id of an API key must be %s and %d characters, as in the list of keys.", idPrefix, idHash))
	}
	for try := 1; try <= changeTries; try++ {
		key, err := r.once(ctx, prefix, do)
		if !errors.Is(err, store.ErrConflict) {
			return key, err
		}
		if err := store.Wait(ctx, store.Backoff(try)); err != nil {
			return Key{}, err
		}
	}
	return Key{}, errBusy
}

// once tries a change once. It fails with store.ErrConflict if another call has changed the key.
func (r *Registry) once(ctx context.Context, prefix string, do func(context.Context, store.Item, Key) error) (Key, error) {
	found, err := r.lines(ctx, prefix)
	switch {
	case err != nil:
		return Key{}, err
	case len(found) == 0:
		return Key{}, errNotFound
	case len(found) > 1: // two keys have the same id with a probability of 1 in 2^72
		return Key{}, invalid("id", "Several API keys have this id.")
	}
	key, err := readLine(found[0])
	if err != nil {
		return Key{}, err
	}
	if err := do(ctx, found[0], key); err != nil {
		return Key{}, err
	}
	return key, nil
}

// revoke ends the API key that has this entry.
func (r *Registry) revoke(ctx context.Context, line store.Item, _ Key) error {
	hash := line.Key.Sort
	copies, err := r.Store.Get(ctx, store.CopyKeys(at(hash))...)
	if err != nil {
		return fmt.Errorf("revoke an API key: %w", err)
	}
	body, err := record.Encode(&revoked{})
	if err != nil {
		return err
	}
	writes := []store.Write{
		{Key: revokedAt(hash), Body: body, Expires: r.now().Add(revokedFor)},
		{Key: line.Key, Expect: line.Version, Delete: true},
	}
	for _, item := range copies { // each of those that there are, so that a key can be revoked whatever happened to some of its copies
		if !item.Absent() {
			writes = append(writes, store.Write{Key: item.Key, Expect: item.Version, Delete: true})
		}
	}
	if err := store.Settle(ctx, r.Store, nil, store.NewVersion(), writes...); err != nil {
		return fmt.Errorf("revoke an API key: %w", err)
	}
	return nil
}

// lines reads the entries of the keys whose hash begins with prefix.
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

// now returns the time in UTC and whole microseconds, as all records have it.
func (r *Registry) now() time.Time { return r.Now().UTC().Truncate(time.Microsecond) }
