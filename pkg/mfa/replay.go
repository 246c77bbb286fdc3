package mfa

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// A replay is the Idempotency-Key of one try, with the item that remembers the answer. The item is read beside everything
// else, and written in the same commit as the work. The answer in it is sealed under a key that needs the Idempotency-Key
// itself, so that anyone who can only read the table can't read the answer. A nil replay stands for a call without an
// Idempotency-Key.
type replay struct {
	*Replay
	s    *Service
	key  store.Key
	aad  []string
	item store.Item
}

func (u *unit) replay(call Call, who *caller) (*replay, error) {
	if call.Replay == nil {
		return nil, nil
	}
	if k := call.Replay.Key; k == "" || len(k) > replayedSize {
		return nil, invalid("Idempotency-Key", "The Idempotency-Key must have 1 to %d bytes.", replayedSize)
	}
	owner := who.client()
	if owner == nil {
		sum := sha256.Sum256([]byte(who.hash))
		owner = sum[:]
	}
	sum := sha256.Sum256(seal.Join(call.Replay.Method, call.Replay.Path, call.Replay.Key))
	partition := "idem#" + base64.RawURLEncoding.EncodeToString(owner)
	sort := base64.RawURLEncoding.EncodeToString(sum[:])
	return &replay{Replay: call.Replay, s: u.s, key: store.Key{Partition: partition + "#" + sort, Sort: "answer"}, aad: []string{partition, sort}}, nil
}

func (r *replay) read() read {
	if r == nil {
		return read{}
	}
	return readItem(r.key, &r.item)
}

// earlier returns a Remembered if an answer is remembered and the caller could make the call now.
func (r *replay) earlier(u *unit, n *named) error {
	if r == nil || r.item.Absent() {
		return nil
	}
	var m remembered
	if err := record.Decode(r.item, &m); err != nil {
		return AsError(err)
	}
	if m.Needs != "" && !u.caller.has(m.Needs) {
		return n.missing()
	}
	same, err := u.ring.Check(m.Body, "idempotency", r.Key, string(r.Body))
	if err != nil {
		return err
	}
	if !same {
		return refuse(IdempotencyMismatch, "This Idempotency-Key was already used with another body.")
	}
	sealed, purpose := m.Later, "later"
	if u.now.Before(m.Until) {
		sealed, purpose = m.Full, "full"
	}
	answer, err := u.ring.OpenWith([]byte(r.Key), "idempotency "+purpose, r.aad, sealed)
	if err != nil {
		return err
	}
	return &Remembered{Answer: answer}
}

// remember adds the answer to what the unit commits. It replaces the answer that an earlier commit of the same call has
// remembered. An answer that is not to be remembered removes that one, so that the next call does the work again. A refusal
// to a token is never remembered, because a token can be refused any number of times, and what it can make us store has to
// be bounded.
func (r *replay) remember(u *unit, answer any, refused *Error) error {
	if r == nil {
		return nil
	}
	if refused != nil && (u.caller.key == nil || !refused.remembered()) {
		if r.item.Absent() {
			return r.unanswered(u.ctx)
		}
		u.delete(r.item)
		return nil
	}
	full, later, err := r.Encode(answer, refused)
	if err != nil {
		return err
	}
	u.put(r.item, &remembered{
		Body:  u.ring.Digest("idempotency", r.Key, string(r.Body)),
		Until: u.now.Add(shownFor), Needs: u.needs,
		Full:  u.ring.SealWith([]byte(r.Key), "idempotency full", r.aad, full),
		Later: u.ring.SealWith([]byte(r.Key), "idempotency later", r.aad, later),
	}, u.now.Add(rememberFor))
	return nil
}

// unanswered returns store.ErrConflict if an answer has been remembered since r was read. A refusal that is not remembered
// writes nothing, so no commit would find that out. If the same call is made twice at once, it must not be told that its own
// success has spent the challenge.
func (r *replay) unanswered(ctx context.Context) error {
	now, err := store.GetOne(ctx, r.s.Store, r.key)
	if err == nil && !now.Absent() {
		return store.ErrConflict
	}
	return err
}

const (
	shownFor     = 10 * time.Minute // how long what is shown once is repeated to a retry
	rememberFor  = 24 * time.Hour   // how long an answer is remembered
	replayedSize = 1 << 10          // of the longest Idempotency-Key, in bytes
)

// A Replay asks that calls with the same Idempotency-Key do their work once.
type Replay struct {
	Method, Path string
	Key          string
	Body         []byte

	// Encode turns the outcome into the bytes that a later call gets: full for as long as what is shown once may be
	// repeated, and later, which leaves that out, from then on.
	Encode func(answer any, err *Error) (full, later []byte, encodeErr error)
}

// A Remembered is the answer of an earlier call with the same Idempotency-Key. It is an error because it takes the place of
// the answer. Package api writes Answer out as it is.
type Remembered struct{ Answer []byte }

// Error says that the answer is an earlier one.
func (*Remembered) Error() string { return "the answer is a remembered one" }

// A remembered is the answer to a call that came with an Idempotency-Key.
type remembered struct {
	record.Head
	Body  string       `json:"body" record:"1,secret"` // the keyed digest of the request's body
	Until time.Time    `json:"until" record:"2"`       // until when Full is given; after that, Later is
	Full  []byte       `json:"full" record:"3"`        // the whole answer, sealed
	Later []byte       `json:"later" record:"4"`       // the answer without what is shown once, sealed
	Needs apikey.Scope `json:"needs" record:"5"`       // the only scope with which an API key may get it; empty if every scope that the step takes will do
}
