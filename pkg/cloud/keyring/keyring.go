// Package keyring keeps a deployment's key ring in an item of its table, wrapped under a data key that KMS wraps.
//
// What the package guarantees:
//
//   - Each commit that changes the ring also publishes its public half, so the items of both have the same version.
//   - The first process of a deployment that asks for the ring makes it. If several do so at once, one of them makes it, and all
//     get that ring.
//   - KMS is asked once per process, and again when the ring was changed.
//
// The package doesn't make a new ring in the place of one that is lost, because a new ring could open nothing that was sealed
// under the old one.
package keyring

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"countersign/pkg/cloud"
	"countersign/pkg/mfa"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

const (
	// rotateEvery is the age that a ring's newest keys reach before the sweep adds newer ones. A ring has room for 100 secrets,
	// which lasts for eight years.
	rotateEvery = 30 * 24 * time.Hour
	// lateAfter is the age of the newest keys from which on the rotation is late: something keeps the sweep from doing it.
	lateAfter = rotateEvery + 2*24*time.Hour
	// retireAfter is the time after a rotation from which on the previous signing key may be dropped.
	retireAfter = seal.Published + seal.SignerKept + time.Minute

	// Anybody can cause reloads, by sending forged key ids. So only reloadBurst reloads can follow each other at once, and then
	// one in each reloadEvery. Whoever asks for more gets the cached ring.
	reloadBurst = 5
	reloadEvery = time.Second
)

// ringKey is the key of the ring's item in the table.
var ringKey = store.Key{Partition: "ring", Sort: "ring"}

// A Keeper keeps the key ring of a deployment. It is a seal.Keeper.
type Keeper struct {
	store  store.Store
	master masterKey
	now    func() time.Time

	mu     sync.Mutex
	ring   *seal.Ring // nil if there is none yet
	item   ringItem   // the item that ring was read from
	loaded time.Time  // when the read of ring began

	reloads time.Time // when all reloads are allowed again, if there are no more until then
}

var _ seal.Keeper = (*Keeper)(nil)

// Of makes the keeper of a deployment's key ring. It reads the setting COUNTERSIGN_KMS_KEY. cloud.Serve reads the ring before the
// first call of the function.
func Of(d *cloud.Deployment) *Keeper {
	id := d.Setting("COUNTERSIGN_KMS_KEY", "the id or ARN of a KMS key", cloud.Word(":/_-"))
	client := kms.NewFromConfig(d.Amazon("COUNTERSIGN_KMS_ENDPOINT"))
	o := client.Options()
	at, err := o.EndpointResolverV2.ResolveEndpoint(context.Background(), kms.EndpointParameters{
		Region: &o.Region, UseFIPS: aws.Bool(o.EndpointOptions.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled), UseDualStack: aws.Bool(false), Endpoint: o.BaseEndpoint,
	})
	if err == nil {
		d.ConnectAhead(at.URI, 1)
	}
	k := &Keeper{store: d.Store(), master: masterKey{client, id}, now: d.Now}
	d.Prepare("key ring", func(ctx context.Context) error { _, err := k.Ring(ctx); return err })
	return k
}

// A ringItem is the body of the ring's item, together with the version of the item.
type ringItem struct {
	record.Head
	DataKey []byte    `json:"data_key" record:"1"` // as KMS wrapped it
	Sealed  []byte    `json:"sealed" record:"2"`   // the ring, under the data key
	Rotated time.Time `json:"rotated" record:"3"`  // when the newest keys were added
	Retired bool      `json:"retired" record:"4"`  // whether the signing key before the newest has been dropped, or there was none
	Writes  int       `json:"writes" record:"5"`   // the format in which records are to be written; 0 if it was never set
	Epoch   int64     `json:"epoch" record:"6"`    // the epoch of the deployment; 0 if its data was never restored
	Wanted  bool      `json:"wanted" record:"7"`   // whether an operator wants newer keys at the next run of the sweep

	version store.Version
}

// Ring returns the cached ring. If that is older than seal.RingAge, Ring reads the item.
func (k *Keeper) Ring(ctx context.Context) (*seal.Ring, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if age := k.now().Sub(k.loaded); k.ring != nil && age >= 0 && age <= seal.RingAge {
		return k.ring, nil
	}
	return k.load(ctx)
}

// Reload reads the item, and unwraps the ring if it has changed. If Reload is called too often, it returns the cached ring.
func (k *Keeper) Reload(ctx context.Context) (*seal.Ring, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ring != nil && !k.mayReload() {
		return k.ring, nil
	}
	return k.load(ctx)
}

// Rotate adds new keys to the ring. If another process does so at the same time, its keys are enough.
func (k *Keeper) Rotate(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, err := k.load(ctx); err != nil {
		return err
	}
	return k.rotate(ctx)
}

// Tend does what is due for the ring. It adds new keys every 30 days, or when an operator wants them (WantKeys), and some hours
// later it drops the signing key before them. It also publishes the ring's public half if that of another ring is published. It
// asks KMS only when there is something to do.
func (k *Keeper) Tend(ctx context.Context) (changed bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	item, err := k.read(ctx)
	if err != nil {
		return false, err
	}
	published, err := k.published(ctx)
	if err != nil {
		return false, err
	}
	age := k.now().Sub(item.Rotated)
	if item.version != "" && published == item.version && age < rotateEvery && !item.Wanted && (item.Retired || age < retireAfter) {
		return false, nil
	}
	made := item.version == ""
	ring, err := k.load(ctx)
	if err != nil || made {
		return err == nil, err
	}
	age = k.now().Sub(k.item.Rotated) // another process may have rotated the ring since
	switch {
	case age >= rotateEvery, k.item.Wanted:
		return true, k.rotate(ctx)
	case !k.item.Retired && age >= retireAfter:
		return true, k.write(ctx, ring.Drop(k.now()), ringItem{Rotated: k.item.Rotated, Retired: true})
	}
	// What was read first may be out of date: the commit that changed the ring has changed this item too.
	if published, err = k.published(ctx); err != nil || published == k.item.version {
		return false, err
	}
	return true, k.write(ctx, ring, ringItem{Rotated: k.item.Rotated, Retired: k.item.Retired})
}

// Rotated returns when the ring in the table got its newest keys. It is zero if there is no ring yet. It doesn't need KMS.
func (k *Keeper) Rotated(ctx context.Context) (time.Time, error) {
	item, err := k.read(ctx)
	return item.Rotated, err
}

func (k *Keeper) rotate(ctx context.Context) error {
	now := k.now().UTC()
	next, err := k.ring.Rotate(now)
	if err != nil {
		return err
	}
	return k.write(ctx, next, ringItem{Rotated: now})
}

// mayReload reports whether another reload is allowed now, and counts it if so.
func (k *Keeper) mayReload() bool {
	now := k.now()
	ahead := k.reloads.Sub(now)
	if ahead < 0 || ahead > reloadBurst*reloadEvery { // the clock was moved back
		ahead = 0
	}
	if ahead > (reloadBurst-1)*reloadEvery {
		return false
	}
	k.reloads = now.Add(ahead + reloadEvery)
	return true
}

// load returns the ring that the table has. The caller of this method and of those below must hold the lock.
func (k *Keeper) load(ctx context.Context) (*seal.Ring, error) {
	began := k.now()
	item, err := k.read(ctx)
	if err != nil {
		return nil, err
	}
	if item.version == "" {
		if k.ring != nil {
			return nil, errors.New("the key ring is gone from the table: restore its item ring/ring")
		}
		now := k.now().UTC()
		err := k.write(ctx, seal.NewRing(now), ringItem{Rotated: now, Retired: true})
		return k.ring, err
	}
	if k.ring == nil || item.version != k.item.version {
		ring, err := k.unwrap(ctx, &item)
		if err != nil {
			return nil, err
		}
		k.ring, k.item = ring, item
	}
	k.loaded = began
	return k.ring, nil
}

// read reads the item. If it is absent, the version is empty.
func (k *Keeper) read(ctx context.Context) (ringItem, error) {
	found, err := store.GetOne(ctx, k.store, ringKey)
	if err != nil {
		return ringItem{}, fmt.Errorf("read the key ring: %w", err)
	}
	if found.Absent() {
		return ringItem{}, nil
	}
	item := ringItem{version: found.Version}
	if err := record.Decode(found, &item); err != nil {
		return ringItem{}, fmt.Errorf("read the key ring: %w", err)
	}
	return item, nil
}

// published returns the version of the public half that is published.
func (k *Keeper) published(ctx context.Context) (store.Version, error) {
	found, err := store.GetOne(ctx, k.store, mfa.PublishedKeysAt)
	if err != nil {
		return "", fmt.Errorf("read the published keys: %w", err)
	}
	return found.Version, nil
}

// write replaces the ring that was read last by ring. next has the new item's facts about the keys. If several processes write at
// once, one of them wins, and the others get its ring.
func (k *Keeper) write(ctx context.Context, ring *seal.Ring, next ringItem) error {
	began := k.now()
	next.Rotated, next.version = next.Rotated.Truncate(time.Second), store.NewVersion()
	next.Writes, next.Epoch = k.item.Writes, k.item.Epoch
	if err := k.wrap(ctx, &next, ring); err != nil {
		return err
	}
	body, err := record.Encode(&next)
	if err != nil {
		return fmt.Errorf("write the key ring: %w", err)
	}
	published, err := k.published(ctx)
	if err != nil {
		return err
	}
	publish, err := mfa.PublishKeys(ring, published)
	if err != nil {
		return err
	}
	err = store.Settle(ctx, k.store, nil, next.version, store.Write{Key: ringKey, Expect: k.item.version, Body: body}, publish)
	if errors.Is(err, store.ErrConflict) {
		_, err := k.load(ctx)
		return err
	}
	if err != nil {
		return fmt.Errorf("write the key ring: %w", err)
	}
	k.ring, k.item, k.loaded = ring, next, began
	return nil
}
