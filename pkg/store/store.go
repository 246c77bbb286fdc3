// Package store describes what Countersign needs from a database: four methods on small items, of which all writes are
// conditional.
//
// This contract is what the author of a backend works from, and what package storetest checks. It is narrow, so that one
// DynamoDB table and one bbolt file can both keep all of it, and so that a step of the service always has the same form:
// read, decide, make one Commit, answer.
//
// Every backend guarantees:
//
//   - Reads are strongly consistent. A Get or a Query that begins after a Commit has returned sees that Commit.
//   - A Commit is carried out as a whole, or not at all.
//   - There is no unconditional write. Every Put and Delete names the version that it expects, or expects that the item is
//     absent.
//   - A version is the random token of the Commit that wrote the item. It is not a number, because then an item that expired
//     and was made again could be mistaken for the earlier one.
//   - It is safe to commit again with the same token and the same writes. If the first Commit can still be seen in any of its
//     items, the second one returns nil and writes nothing. In this way a caller whose answer was lost finds out whether its
//     own Commit was carried out, or somebody else has written.
//   - An expired item is absent, for reads and for conditions, whether the backend has removed it yet or not. An item expires
//     when the clock reaches the second of its Expires.
//   - The Events of a Put are handed to the Feed at least once, and in order for each key.
//
// The contract has no scans, no secondary indexes, no transactions over several calls, and no reads that may be stale.
package store

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// These are the limits that every backend enforces. They are within the limits of DynamoDB.
const (
	MaxWrites    = 25       // writes in one Commit
	MaxKeys      = 100      // keys in one Get
	MaxItem      = 64 << 10 // bytes of Body and Events of one Put
	MaxPartition = 512      // bytes of a key's Partition
	MaxSort      = 512      // bytes of a key's Sort
	MaxLimit     = 1000     // items in one Page
)

var (
	// ErrConflict means that a Commit was refused as a whole, because an item didn't have the version that its write expected.
	ErrConflict = errors.New("store: conflict")
	// ErrFull means that a Count was refused, because the number would have become greater than its cap.
	ErrFull = errors.New("store: count is at its cap")
	// ErrInvalid means that the call breaks a limit of the contract. That is an error of the program, so it makes no sense to
	// call again.
	ErrInvalid = errors.New("store: invalid call")
)

// A Key names one item. Items that are read together have the same Partition. Within it they are in the order of Sort, which is
// compared byte by byte.
type Key struct{ Partition, Sort string }

// A Version is the token of the Commit that wrote an item. The zero Version means that the item is absent.
type Version string

// NewVersion makes the token of a Commit: 128 random bits, in base64url without padding.
func NewVersion() Version {
	var b [16]byte
	rand.Read(b[:])
	return Version(base64.RawURLEncoding.EncodeToString(b[:]))
}

// An Item is what the store has under a key. An absent item has its Key, a zero Version, and nothing else.
type Item struct {
	Key     Key
	Version Version
	Expires time.Time // in UTC and a whole second; zero if the item never expires
	Body    []byte
}

// Absent reports whether there is no such item, or it has expired.
func (i Item) Absent() bool { return i.Version == "" }

// A Write is a Put of one item or, if Delete is set, a Delete of it.
type Write struct {
	Key    Key
	Expect Version // the version that the item must have; zero if it must be absent, which a Delete can't expect
	Delete bool

	// A Delete has none of these.
	Body    []byte
	Expires time.Time // rounded up to the next whole second; zero if the item never expires
	Events  []byte    // handed to the Feed; empty if there is nothing to hand on
}

// A Query reads the items of one partition in the order of Sort.
type Query struct {
	Partition string
	Prefix    string // only items whose Sort begins with this
	After     string // only items whose Sort comes after this one, or with Reverse before it; empty: all
	Limit     int    // the most items in the page, from 1 to MaxLimit; zero means MaxLimit
	Reverse   bool   // whether the items come in reverse order
}

// A Page is what a Query found. If More is set, there may be further items. To get them, ask again with After set to Last. A page
// has no expired items. So it may have fewer items than Limit, or none, although More is set.
type Page struct {
	Items []Item
	Last  string // the Sort after which the next page begins, if More is set
	More  bool
}

// A Store keeps items. Its methods may be called from many goroutines at the same time. An error that is not named below means
// that the backend could not be asked, or didn't answer. Then a read can be tried again, and a Commit may have been carried out
// or not.
type Store interface {
	// Get reads the items of 1 to MaxKeys different keys, and returns them in the order of the keys. An absent item is not an
	// error: the item in its place is Absent. Each item is as it was at some moment of the call, but that may be another moment
	// for each of them. So a Commit that runs at the same time may be seen in some of its items and not in others.
	Get(ctx context.Context, keys ...Key) ([]Item, error)

	// Query reads one page of a partition.
	Query(ctx context.Context, q Query) (Page, error)

	// Commit carries out all writes, or none. At least one of them must be a Put, all must have different keys, and the token
	// must be new for each set of writes (see NewVersion). Commit returns ErrConflict if an item was not as expected, unless
	// it was a Commit with this token that changed it. After any other error, the same call can be made again with the same
	// token.
	Commit(ctx context.Context, token Version, writes ...Write) error

	// Count adds n, which must not be negative, to the number under key, and returns the number as it then is. A number that is
	// absent or expired counts as 0. If the number would become greater than cap, Count returns ErrFull and adds nothing. When
	// Count starts a number, the number gets the time expires; later calls don't change that. A call that failed may have
	// counted all the same, but no call counts twice: a backend doesn't repeat what may have been done. With an n of 0, Count
	// only reads. A key is used either with Count or with the other methods.
	Count(ctx context.Context, key Key, n, cap int64, expires time.Time) (int64, error)
}

// GetOne reads one item. It is not an error if the item is absent.
func GetOne(ctx context.Context, from Store, key Key) (Item, error) {
	items, err := from.Get(ctx, key)
	if err != nil {
		return Item{}, err
	}
	return items[0], nil
}

// A Record has the Events of one Put.
type Record struct {
	Key     Key
	Version Version // the version of the Commit
	Events  []byte
}

// A Feed hands on the Events of Puts that were committed. It hands on each of them at least once, and those of one key in the
// order of their Commits.
type Feed interface {
	// Deliver calls fn with the records that wait, at most limit at a time, until none is left of those that were committed
	// before Deliver began. If fn returns nil, its records are not handed on again. If fn returns an error, Deliver stops and
	// returns that error, and the next call hands on the same records again. If Deliver is called while another call runs, it
	// waits for that one.
	Deliver(ctx context.Context, limit int, fn func(context.Context, []Record) error) error
}

// A Holder shows, to operators and tests, those Events that it still has of the ones that were handed to the Feed.
type Holder interface {
	// Held returns the events that Puts of the item under key have handed on, as far as the backend still has them. The oldest
	// come first. The events of the last Put are among them if they have not been delivered, and if the item hasn't been changed
	// since.
	Held(ctx context.Context, key Key) ([]Record, error)
}

// CheckCommit returns ErrInvalid with what is wrong, unless the arguments of a Commit keep the contract. Backends call it first,
// so that all of them refuse the same arguments.
func CheckCommit(token Version, writes []Write) error {
	if token == "" {
		return fmt.Errorf("%w: commit without a token", ErrInvalid)
	}
	if len(writes) > MaxWrites {
		return fmt.Errorf("%w: %d writes, at most %d", ErrInvalid, len(writes), MaxWrites)
	}
	puts := 0
	seen := make(map[Key]bool, len(writes))
	for _, w := range writes {
		if err := checkKey(w.Key); err != nil {
			return err
		}
		if seen[w.Key] {
			return fmt.Errorf("%w: key written twice in one commit", ErrInvalid)
		}
		seen[w.Key] = true
		switch {
		case w.Delete && w.Expect == "":
			return fmt.Errorf("%w: delete without a version", ErrInvalid)
		case w.Delete && (w.Body != nil || w.Events != nil || !w.Expires.IsZero()):
			return fmt.Errorf("%w: delete with contents", ErrInvalid)
		case len(w.Body)+len(w.Events) > MaxItem:
			return fmt.Errorf("%w: item of %d bytes, at most %d", ErrInvalid, len(w.Body)+len(w.Events), MaxItem)
		}
		if !w.Delete {
			puts++
		}
	}
	if puts == 0 {
		return fmt.Errorf("%w: commit without a put", ErrInvalid)
	}
	return nil
}

// CheckGet returns ErrInvalid with what is wrong, unless the keys of a Get keep the contract.
func CheckGet(keys []Key) error {
	if len(keys) == 0 || len(keys) > MaxKeys {
		return fmt.Errorf("%w: get of %d keys, at least 1 and at most %d", ErrInvalid, len(keys), MaxKeys)
	}
	seen := make(map[Key]bool, len(keys))
	for _, key := range keys {
		if err := checkKey(key); err != nil {
			return err
		}
		if seen[key] {
			return fmt.Errorf("%w: key read twice in one get", ErrInvalid)
		}
		seen[key] = true
	}
	return nil
}

// checkKey returns ErrInvalid unless both parts of the key are there, are short enough, and are UTF-8.
func checkKey(key Key) error {
	if key.Partition == "" || key.Sort == "" || len(key.Partition) > MaxPartition || len(key.Sort) > MaxSort ||
		!utf8.ValidString(key.Partition) || !utf8.ValidString(key.Sort) {
		return fmt.Errorf("%w: key with a part that is empty, too long or not UTF-8", ErrInvalid)
	}
	return nil
}

// CheckQuery returns the limit that q has in effect. If q doesn't keep the contract, it returns ErrInvalid.
func CheckQuery(q Query) (limit int, err error) {
	if q.Partition == "" || len(q.Partition) > MaxPartition || len(q.Prefix) > MaxSort || len(q.After) > MaxSort {
		return 0, fmt.Errorf("%w: query key that is empty or too long", ErrInvalid)
	}
	if q.Limit < 0 || q.Limit > MaxLimit {
		return 0, fmt.Errorf("%w: query limit %d", ErrInvalid, q.Limit)
	}
	if q.Limit == 0 {
		return MaxLimit, nil
	}
	return q.Limit, nil
}

// CheckCount returns ErrInvalid unless the arguments of a Count keep the contract.
func CheckCount(key Key, n, cap int64, expires time.Time) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if n < 0 || cap < 0 || expires.IsZero() {
		return fmt.Errorf("%w: count of %d with cap %d, or one that never expires", ErrInvalid, n, cap)
	}
	return nil
}

// ExpirySecond returns the Unix second at which an item that is written with expires is gone. That is expires rounded up, or 0 if
// the item never expires.
func ExpirySecond(expires time.Time) int64 {
	if expires.IsZero() {
		return 0
	}
	s := expires.Unix()
	if expires.Nanosecond() > 0 {
		s++
	}
	return s
}

// Expired reports whether an item is absent at now that is gone at the Unix second expiry. An item with an expiry of 0 is never
// gone.
func Expired(expiry int64, now time.Time) bool { return expiry != 0 && now.Unix() >= expiry }
