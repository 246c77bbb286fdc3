// Package store says what Countersign asks of a database: four methods on small items, each write conditional.
//
// The contract is what a backend is written against and what storetest checks. It is kept so narrow that one
// DynamoDB table and one bbolt file can both keep it to the letter, and that a whole step of the service is
// "read, decide, one Commit, answer".
//
// What holds for every backend:
//
//   - Reads are strongly consistent: a Get or Query that starts after a Commit returned sees it.
//   - A Commit happens whole or not at all.
//   - There is no unconditional write. Every Put and Delete names the version it expects, or absence.
//   - A version is the random token of the Commit that wrote the item, never a number, so an item that expired and was
//     made anew can't be mistaken for the old one.
//   - Committing again with the same token and writes is safe: if the first Commit is still to be seen in any of its
//     items it answers nil and writes nothing. That is how a lost answer is told from a stranger's write.
//   - Expired is absent, to reads and to conditions alike, whatever the backend still holds. An item expires when the
//     clock reaches the second of its Expires.
//   - What rode on a Commit as Events is handed to the Feed at least once, in order for each key.
//
// What it refuses to do: scans, secondary indexes, transactions that span calls, and reads that may be stale.
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

// Limits that every backend enforces alike, chosen to stay inside DynamoDB's.
const (
	MaxWrites    = 25       // writes in one Commit
	MaxKeys      = 100      // keys in one Get
	MaxItem      = 64 << 10 // bytes of Body and Events of one Put
	MaxPartition = 512      // bytes of a key's Partition
	MaxSort      = 512      // bytes of a key's Sort
	MaxLimit     = 1000     // items in one Page
)

var (
	// ErrConflict means a Commit was refused, whole, because an item was not at the version its write expected.
	ErrConflict = errors.New("store: conflict")
	// ErrFull means a Count was refused because it would have passed its cap.
	ErrFull = errors.New("store: count is at its cap")
	// ErrInvalid means the call breaks the contract's limits. It is a programming error and is never worth a retry.
	ErrInvalid = errors.New("store: invalid call")
)

// A Key names one item: Partition groups what is read together, Sort orders items within it, byte by byte.
type Key struct{ Partition, Sort string }

// A Version is the token of the Commit that wrote an item. The zero Version means the item is absent.
type Version string

// NewVersion makes a commit token: 128 random bits, base64url without padding.
func NewVersion() Version {
	var b [16]byte
	rand.Read(b[:])
	return Version(base64.RawURLEncoding.EncodeToString(b[:]))
}

// An Item is what the store holds under a key. An absent item has a zero Version and nothing but its Key.
type Item struct {
	Key     Key
	Version Version
	Expires time.Time // zero: never; otherwise in UTC, a whole second
	Body    []byte
}

// Absent reports whether there is no such item (or it has expired).
func (i Item) Absent() bool { return i.Version == "" }

// A Write is a Put or, where Delete is set, a Delete, of one item.
type Write struct {
	Key    Key
	Expect Version // the version the item must be at; zero: it must be absent (a Delete must name one)
	Delete bool

	// For a Put only.
	Body    []byte
	Expires time.Time // zero: never; rounded up to the next whole second
	Events  []byte    // handed to the Feed; empty: nothing is
}

// A Query reads the items of one partition in order of Sort.
type Query struct {
	Partition string
	Prefix    string // only items whose Sort begins with it
	After     string // only items strictly after this Sort (before it, with Reverse); empty: from the end it starts at
	Limit     int    // 1 to MaxLimit; zero means MaxLimit
	Reverse   bool
}

// A Page is what a Query found. More says that there may be further items; ask again with After set to the last Sort.
// Expired items are never in it, so a page may hold fewer than Limit items, or none, and More still be true.
type Page struct {
	Items []Item
	Last  string // the Sort to go on after, when More
	More  bool
}

// A Store keeps items. Its methods may be called from many goroutines. An error other than those named below means the
// backend could not be asked or did not answer: a read can be tried again, and a Commit may or may not have happened.
type Store interface {
	// Get reads the items of 1 to MaxKeys keys, none of which stands twice, in the order of the keys. An absent item is no
	// error: it stands in its place as an absent one. Each item is as it was at some moment of the call, but not all of them
	// at the same moment: a Commit that runs at the same time may be seen in some of its items and not in others.
	Get(ctx context.Context, keys ...Key) ([]Item, error)

	// Query reads a partition, in pages.
	Query(ctx context.Context, q Query) (Page, error)

	// Commit carries out all writes, or none. At least one write is a Put, no key stands twice, and token is new for
	// each set of writes (NewVersion). It answers ErrConflict when an item was not as expected and the Commit with this
	// very token is not what changed it. After any other error the same call can be made again with the same token.
	Commit(ctx context.Context, token Version, writes ...Write) error

	// Count adds n (0 or more) to the number kept under key, starting from nothing if it is absent or expired, unless
	// that would make it more than cap: then it answers ErrFull and adds nothing. It returns the number as it now is.
	// expires applies when the number is started and doesn't move it later. A call that failed may have counted:
	// over-counting is the safe side. With n 0 it only reads. A key is used with Count or with the other methods, never both.
	Count(ctx context.Context, key Key, n, cap int64, expires time.Time) (int64, error)
}

// GetOne reads one item. An absent one is no error.
func GetOne(ctx context.Context, from Store, key Key) (Item, error) {
	items, err := from.Get(ctx, key)
	if err != nil {
		return Item{}, err
	}
	return items[0], nil
}

// A Record is what one Put handed on.
type Record struct {
	Key     Key
	Version Version // the Commit it came with
	Events  []byte
}

// A Feed hands on the Events of committed Puts: each at least once, and those of one key in the order of their Commits.
type Feed interface {
	// Deliver calls fn with the records that wait, at most limit at a time, until none that was committed before
	// Deliver began is left. What fn answered nil to is not handed on again; on an error it stops, returns it, and the
	// same records come again with the next call. Calls to Deliver don't overlap: a second one waits for the first.
	Deliver(ctx context.Context, limit int, fn func(context.Context, []Record) error) error
}

// A Holder shows what it still holds of the Events that were handed to the Feed, for operators and tests to look at.
type Holder interface {
	// Held returns what Puts of the item under key have handed on, as far as the backend still holds it, the oldest first. As
	// long as the item is as its last Put wrote it, and what that Put handed on has not been delivered, it is among them.
	Held(ctx context.Context, key Key) ([]Record, error)
}

// CheckCommit answers ErrInvalid, with what is wrong, unless the arguments of a Commit keep the contract.
// Backends call it first, so that all of them refuse the same things.
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

// CheckGet answers ErrInvalid, with what is wrong, unless the keys of a Get keep the contract.
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

// checkKey returns ErrInvalid unless both parts of key are there, short enough and UTF-8.
func checkKey(key Key) error {
	if key.Partition == "" || key.Sort == "" || len(key.Partition) > MaxPartition || len(key.Sort) > MaxSort ||
		!utf8.ValidString(key.Partition) || !utf8.ValidString(key.Sort) {
		return fmt.Errorf("%w: key with a part that is empty, too long or not UTF-8", ErrInvalid)
	}
	return nil
}

// CheckQuery answers ErrInvalid unless q keeps the contract, and otherwise its effective limit.
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

// CheckCount answers ErrInvalid unless the arguments of a Count keep the contract.
func CheckCount(key Key, n, cap int64, expires time.Time) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if n < 0 || cap < 0 || expires.IsZero() {
		return fmt.Errorf("%w: count of %d with cap %d, or one that never expires", ErrInvalid, n, cap)
	}
	return nil
}

// ExpirySecond is the Unix second at which an item written with expires is gone: expires rounded up; 0 for never.
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

// Expired reports whether an item that is gone at the Unix second expiry (0: never) is absent at now.
func Expired(expiry int64, now time.Time) bool { return expiry != 0 && now.Unix() >= expiry }
