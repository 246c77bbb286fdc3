package activity

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"countersign/pkg/seal"
	"countersign/pkg/store"
)

// A Verified says what Log.Verify has found. All of it is as it was filed.
type Verified struct {
	Days, Pages int

	Checkpoints int       // how many checkpoints there are
	Serial      int       // the number of the last one; 0 if there is none
	At          time.Time // when that one was made
	Seen        int       // how many were seen elsewhere
	Later       int       // how many pages were filed after the last checkpoint of their day, and are covered by none
	Bare        int       // how many days have no checkpoint; such days are from before there were checkpoints, or are very new
}

// Verify does what Check does, and goes through the checkpoints of the org, too. Each must be signed with one of the keys and follow
// the one before it, and all that it tells of must be there. So Verify notices if a page, a day or the end of the activity was removed
// that a checkpoint tells of, also if the day has nothing after it. It returns an error that wraps ErrBroken for the first thing that
// is not as it was filed.
//
// Nothing in a store shows that its end was removed together with all checkpoints that tell of it. So seen are checkpoints that
// somebody has kept elsewhere, as they were on the event bus. Those of this org must be there, or have expired.
func (l *Log) Verify(ctx context.Context, org Route, keys seal.CheckpointKeys, seen ...string) (Verified, error) {
	c := &checking{l: l, org: org}
	if err := c.run(ctx); err != nil {
		return Verified{}, err
	}
	v := &verifying{checking: c, keys: keys, claimed: map[string][]claimedHead{}, seen: map[int]string{}}
	for _, signed := range seen {
		if claims, err := unverified(signed); err == nil && claims.Org != b64(org.org()) {
			continue
		}
		claims, err := v.claims(signed)
		if err != nil {
			return Verified{}, fmt.Errorf("a checkpoint that was seen elsewhere: %w", err)
		}
		if other, twice := v.seen[claims.Serial]; twice && other != signed {
			return Verified{}, fmt.Errorf("%w: two checkpoints with the number %d were seen elsewhere", ErrBroken, claims.Serial)
		}
		v.seen[claims.Serial] = signed
	}
	known := len(v.seen)
	if err := v.run(ctx); err != nil {
		return Verified{}, err
	}
	found, err := v.result(ctx)
	found.Seen = known
	return found, err
}

// verifying is one run of Verify, after all days were checked.
type verifying struct {
	*checking
	keys    seal.CheckpointKeys
	last    *storedCheckpoint
	count   int
	claimed map[string][]claimedHead // what the last checkpoint of each day says
	seen    map[int]string           // the checkpoints that were seen elsewhere, by their serial
}

func brokenCheckpoint(serial int, what string, args ...any) error {
	return fmt.Errorf("%w: checkpoint %d %s", ErrBroken, serial, fmt.Sprintf(what, args...))
}

// claims returns what a checkpoint says, if one of the keys signed it and it is about this org.
func (v *verifying) claims(signed string) (checkpointClaims, error) {
	claims, err := unverified(signed)
	if err != nil {
		return claims, fmt.Errorf("%w: it says nothing", ErrBroken)
	}
	switch _, err := v.keys.Verify(signed); {
	case errors.Is(err, seal.ErrUnknownKey):
		return claims, brokenCheckpoint(claims.Serial, "was signed with none of the keys")
	case err != nil:
		return claims, brokenCheckpoint(claims.Serial, "isn't as it was signed")
	case claims.Org != b64(v.org.org()):
		return claims, brokenCheckpoint(claims.Serial, "is about another org")
	}
	return claims, nil
}

func (v *verifying) run(ctx context.Context) error {
	q := store.Query{Partition: checkPartition(v.org)}
	for more := true; more; {
		found, err := v.l.Store.Query(ctx, q)
		if err != nil {
			return err
		}
		for _, item := range found.Items {
			c, err := readCheckpoint(item)
			if err != nil {
				return err
			}
			if err := v.checkpoint(ctx, c); err != nil {
				return err
			}
			v.last, v.count = c, v.count+1
		}
		q.After, more = found.Last, found.More
	}
	return v.missing()
}

// missing returns an error if a checkpoint that was seen elsewhere isn't there, and hasn't expired.
func (v *verifying) missing() error {
	for _, serial := range slices.Sorted(maps.Keys(v.seen)) {
		claims, err := v.claims(v.seen[serial])
		if err != nil {
			return err
		}
		if over, err := v.over(dayOf(claims.At)); err != nil || !over {
			return errors.Join(err, brokenCheckpoint(serial, "was seen elsewhere and is missing"))
		}
	}
	return nil
}

func (v *verifying) checkpoint(ctx context.Context, c *storedCheckpoint) error {
	claims, err := v.claims(c.Signed)
	if err != nil {
		return err
	}
	serial := claims.Serial
	if signed, was := v.seen[serial]; was {
		if signed != c.Signed {
			return brokenCheckpoint(serial, "isn't the one that was seen elsewhere")
		}
		delete(v.seen, serial)
	}
	switch before := claims.Before; {
	case (serial == 1) != (before == nil), before != nil && claims.At.Before(before.At):
		return brokenCheckpoint(serial, "isn't linked to the one before it")
	case v.last == nil && before == nil:
	case v.last == nil:
		if over, err := v.over(dayOf(before.At)); err != nil || !over {
			return errors.Join(err, brokenCheckpoint(serial-1, "is missing"))
		}
	case serial != v.last.claims.Serial+1:
		return brokenCheckpoint(v.last.claims.Serial+1, "is missing")
	case before.Hash != hashOfSigned(v.last.Signed) || !before.At.Equal(v.last.claims.At):
		return brokenCheckpoint(serial, "isn't linked to the one before it")
	}
	return v.covered(ctx, &claims)
}

// covered checks that all that a checkpoint tells of is there.
func (v *verifying) covered(ctx context.Context, claims *checkpointClaims) error {
	if over, err := v.over(claims.Day); err != nil || over {
		return err
	}
	item, err := store.GetOne(ctx, v.l.Store, dayKey(v.org, claims.Day))
	if err != nil {
		return err
	}
	if item.Absent() {
		return brokenCheckpoint(claims.Serial, "tells of %s, which is missing", claims.Day)
	}
	d, err := readDay(item)
	if err != nil {
		return err
	}
	if claims.Opened != b64(d.hash()) || len(claims.Heads) != d.Shards {
		return brokenCheckpoint(claims.Serial, "tells of %s, which was altered", claims.Day)
	}
	earlier := v.claimed[claims.Day]
	for shard, h := range claims.Heads {
		if earlier != nil && h.Page < earlier[shard].Page {
			return brokenCheckpoint(claims.Serial, "tells of fewer pages of %s, shard %d, than one before it", claims.Day, shard)
		}
		if err := v.lastOf(ctx, claims, shard, h); err != nil {
			return err
		}
	}
	v.claimed[claims.Day] = claims.Heads
	return nil
}

// lastOf checks that the page is there that a checkpoint says was the last one of a shard.
func (v *verifying) lastOf(ctx context.Context, claims *checkpointClaims, shard int, h claimedHead) error {
	if h.Page == 0 {
		return nil
	}
	item, err := store.GetOne(ctx, v.l.Store, store.Key{Partition: pagePartition(v.org, claims.Day, shard), Sort: pageSort(h.Page)})
	if err != nil {
		return err
	}
	if item.Absent() {
		return brokenCheckpoint(claims.Serial, "tells of page %d of %s, shard %d, which is missing", h.Page, claims.Day, shard)
	}
	p, err := readPage(claims.Day, item)
	if err != nil {
		return err
	}
	if b64(p.hash()) != h.Hash {
		return brokenCheckpoint(claims.Serial, "tells of page %d of %s, shard %d, which was altered", h.Page, claims.Day, shard)
	}
	return nil
}

// result counts what the checkpoints don't cover.
func (v *verifying) result(ctx context.Context) (Verified, error) {
	found := Verified{Days: len(v.days), Pages: v.pages, Checkpoints: v.count}
	if v.last != nil {
		found.Serial, found.At = v.last.claims.Serial, v.last.claims.At
	}
	for _, d := range v.days {
		claimed := v.claimed[d.name]
		if claimed == nil {
			found.Bare++
			continue
		}
		for shard, h := range claimed {
			last, err := v.l.lastPage(ctx, v.org, d.name, shard)
			if err != nil {
				return Verified{}, err
			}
			if last != nil {
				found.Later += last.number - h.Page
			}
		}
	}
	return found, nil
}
