package activity

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strconv"
	"time"

	"countersign/pkg/seal"
)

// A Key is the key of what the activity says of one user. It has 32 bytes. It must be kept only where it is deleted when the user is
// erased.
type Key []byte

// NewKey makes a random Key.
func NewKey() Key {
	key := make(Key, 32)
	rand.Read(key)
	return key
}

// Entry returns the key of the entry whose events happened at that moment, in whole microseconds.
func (k Key) Entry(at time.Time) EntryKey {
	mac := hmac.New(sha256.New, k)
	mac.Write(seal.Join("key of an entry", strconv.FormatInt(at.UnixMicro(), 10)))
	return mac.Sum(nil)
}

// An EntryKey encrypts the one entry that has the events of a commit about a user. It has 32 bytes, for AES-256. It is derived from
// the user's Key, and reveals nothing of that key or of any other entry. So it may be stored with the events until they are filed, and
// they can be filed without the user's record. If the user is erased, it can't be derived again.
type EntryKey []byte

// A User is a user who exists, with the key of what the activity says of this user.
type User struct {
	ID  string
	Key Key
}

// seal makes the entry of events that belong together and are about the user of the key. h is its header.
func (k EntryKey) seal(events []Filing, h header, filed time.Time, d *deflater) ([]byte, error) {
	first := &events[0]
	h.User = []byte(first.Route.user())
	var p personal
	if h.ActorID == "" && first.Actor != (Actor{Kind: theUser, ID: first.User}) {
		p.ActorID = first.Actor.ID
	}
	var err error
	if p.Said, p.Each, err = (coder{first.Route, d}).saidBy(eventsOf(events)); err != nil {
		return nil, err
	}
	text, err := encoding.Marshal(&p)
	if err != nil {
		return nil, err
	}
	open, err := encoding.Marshal(&h)
	if err != nil {
		return nil, err
	}
	aead, err := k.aead()
	if err != nil {
		return nil, err
	}
	return append(open, aead.Seal(nil, nil, text, boundTo(open, first.Time))...), nil
}

// reveal sets in e what the event in place i of the entry says of its user. If the entry was encrypted with another key, because the
// user was erased and then made again, reveal reports false and doesn't change e.
func (u *User) reveal(from *storedEntry, i int, org Route, e *Event) bool {
	aead, err := u.Key.Entry(from.time()).aead()
	if err != nil {
		return false
	}
	text, err := aead.Open(nil, nil, from.sealed, boundTo(from.open, from.time()))
	if err != nil {
		return false
	}
	var p personal
	if err := decoding.Unmarshal(text, &p); err != nil {
		return false
	}
	data, err := (coder{route: from.route(org)}).dataOf(p.Said, p.Each, i)
	if err != nil {
		return false
	}
	e.User, e.Data = u.ID, data
	switch {
	case p.ActorID != "":
		e.Actor.ID = p.ActorID
	case e.Actor.Kind == theUser:
		e.Actor.ID = u.ID
	}
	return true
}

func (k EntryKey) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, fmt.Errorf("key of a user's activity: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// boundTo returns the associated data to which the encrypted part of an entry is bound. That is all the rest of the entry, also its
// user, and its time.
func boundTo(open []byte, at time.Time) []byte {
	return seal.Join("activity", string(open), strconv.FormatInt(at.UnixMicro(), 10))
}
