package activity

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// checkPrefix is the text before the first '#' in the partitions of checkpoints.
const checkPrefix = "check"

// FilingTime is longer than the times of two filings can differ. So all that was filed on a day is in its list of active days when
// this time has passed since the day was over.
const FilingTime = filingTime

// A checkpoint says, in signed form, which pages were the last ones of a day at some moment. The checkpoints of an org are numbered,
// and each has the hash of the one before it.
type checkpoint struct {
	record.Head
	Signed string `json:"signed" record:"1"` // a checkpointClaims that was signed by seal.Ring.SignCheckpoint
}

// checkpointClaims is what a checkpoint says.
type checkpointClaims struct {
	Org    string         `json:"org"`    // the org's route, in base64url as all bytes here
	Serial int            `json:"serial"` // 1 for the first checkpoint of the org
	At     time.Time      `json:"at"`     // when it was made
	Before *claimedBefore `json:"before"` // the checkpoint before it; null for the first one
	Day    string         `json:"day"`    // the day of whose pages it tells
	Opened string         `json:"opened"` // the hash of that day, which the first page of each of its shards has
	Heads  []claimedHead  `json:"heads"`  // the last page of each shard of the day
	Events int            `json:"events"` // how many events are on the pages of the day
}

type claimedBefore struct {
	Hash string    `json:"hash"` // SHA-256 of the signed text of that checkpoint
	At   time.Time `json:"at"`   // when it was made
}

type claimedHead struct {
	Page int    `json:"page"` // the number of the page; 0 if the shard has none
	Hash string `json:"hash"` // the hash of the page; empty if the shard has none
}

func checkPartition(r Route) string { return checkPrefix + "#" + b64(r.org()) }

func checkKey(r Route, serial int) store.Key {
	return store.Key{Partition: checkPartition(r), Sort: pageSort(serial)}
}

func hashOfSigned(signed string) string {
	sum := sha256.Sum256([]byte(signed))
	return b64(sum[:])
}

// A Checkpoint is a signed statement about which pages a day of an org has. It is kept in the store, and whoever keeps it elsewhere
// too can show later that the end of the activity was removed together with its checkpoints.
type Checkpoint struct {
	Day    string // such as 2026-11-30
	Serial int    // 1 for the first checkpoint of the org; each is one more than the one before it
	Signed string // a JWT of the type countersign-checkpoint+jwt
}

// PlanCheckpoint plans the next checkpoint of an active day, with the writes that must be committed. It returns nil if nothing
// was filed in the day since its last checkpoint, or if the day has expired; there may be writes all the same. sign is
// seal.Ring.SignCheckpoint. If the commit loses a race, call PlanCheckpoint again.
func (l *Log) PlanCheckpoint(ctx context.Context, of Active, now time.Time, sign func(claims any) (string, error)) (*Checkpoint, []store.Write, error) {
	found, err := l.Store.Get(ctx, of.key, dayKey(of.route, of.Day))
	if err != nil || found[0].Absent() || found[1].Absent() {
		return nil, nil, err
	}
	var active activeDay
	if err := record.Decode(found[0], &active); err != nil {
		return nil, nil, err
	}
	d, err := readDay(found[1])
	if err != nil {
		return nil, nil, err
	}
	heads, events, err := l.heads(ctx, of.route, d)
	if err != nil {
		return nil, nil, err
	}
	sum := hashOfHeads(heads)
	if string(sum) == string(active.Heads) {
		return nil, nil, nil
	}
	active.Heads = sum
	claims := checkpointClaims{Org: b64(of.route), Serial: 1, At: now.UTC().Truncate(time.Microsecond), Day: d.name, Opened: b64(d.hash()), Events: events}
	for _, h := range heads {
		claims.Heads = append(claims.Heads, claimedHead{h.Number, b64(h.Hash)})
	}
	last, err := l.lastCheckpoint(ctx, of.route)
	if err != nil {
		return nil, nil, err
	}
	if last != nil && last.tellsOf(&claims) { // as a day does that is in two lists
		writes, err := activeWrite(&active)
		return nil, writes, err
	}
	if last != nil {
		claims.Serial, claims.Before = last.claims.Serial+1, &claimedBefore{hashOfSigned(last.Signed), last.claims.At}
		if claims.At.Before(last.claims.At) { // a clock was ahead, and the order must stay that of the serials
			claims.At = last.claims.At
		}
	}
	made := &Checkpoint{Day: d.name, Serial: claims.Serial}
	if made.Signed, err = sign(claims); err != nil {
		return nil, nil, err
	}
	body, err := record.Encode(&checkpoint{Signed: made.Signed})
	if err != nil {
		return nil, nil, err
	}
	expires, err := keptUntil(dayOf(claims.At))
	if err != nil {
		return nil, nil, err
	}
	writes, err := activeWrite(&active)
	return made, append([]store.Write{{Key: checkKey(of.route, made.Serial), Body: body, Expires: expires}}, writes...), err
}

// activeWrite returns the write that notes what an active day says now.
func activeWrite(a *activeDay) ([]store.Write, error) {
	body, err := record.Encode(a)
	return []store.Write{{Key: a.Item.Key, Expect: a.Item.Version, Body: body, Expires: a.Item.Expires}}, err
}

func hashOfHeads(heads []head) []byte {
	var fields []string
	for _, h := range heads {
		fields = append(fields, strconv.Itoa(h.Number), string(h.Hash))
	}
	sum := sha256.Sum256(seal.Join(fields...))
	return sum[:16]
}

// storedCheckpoint is a checkpoint as it was read.
type storedCheckpoint struct {
	checkpoint
	claims checkpointClaims
}

// tellsOf reports whether a checkpoint tells of the same pages as another one would.
func (c *storedCheckpoint) tellsOf(other *checkpointClaims) bool {
	return c.claims.Day == other.Day && slices.Equal(c.claims.Heads, other.Heads)
}

// readCheckpoint reads a checkpoint, and doesn't verify it.
func readCheckpoint(item store.Item) (*storedCheckpoint, error) {
	c := &storedCheckpoint{}
	if err := record.Decode(item, &c.checkpoint); err != nil {
		return nil, err
	}
	var err error
	if c.claims, err = unverified(c.Signed); err != nil || pageSort(c.claims.Serial) != item.Key.Sort {
		return nil, fmt.Errorf("%w: the checkpoint %s is damaged", ErrBroken, item.Key.Sort)
	}
	return c, nil
}

// unverified returns what a checkpoint says, whoever signed it.
func unverified(signed string) (claims checkpointClaims, err error) {
	_, rest, _ := strings.Cut(signed, ".")
	payload, _, _ := strings.Cut(rest, ".")
	text, err := base64.RawURLEncoding.Strict().DecodeString(payload)
	if err == nil {
		err = json.Unmarshal(text, &claims)
	}
	return claims, err
}

// lastCheckpoint returns the newest checkpoint of an org, or nil if it has none.
func (l *Log) lastCheckpoint(ctx context.Context, org Route) (*storedCheckpoint, error) {
	found, err := l.Store.Query(ctx, store.Query{Partition: checkPartition(org), Limit: 1, Reverse: true})
	if err != nil || len(found.Items) == 0 {
		return nil, err
	}
	return readCheckpoint(found.Items[0])
}
