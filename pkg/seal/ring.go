package seal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"
)

// These are the times for which things last. The package comment says why they fit together.
const (
	// Published is how long a signing key is in the JWK set before it first signs.
	Published = 2 * time.Hour
	// SignerKept is how long tokens of a signing key can be verified after it last signed. It covers the life of a token
	// (120 s), the 10 minutes for which the token of a step-up is a proof, and clocks that differ.
	SignerKept = 2 * time.Hour
	// SecretKept is how long a secret must be kept at least, from the moment when it was replaced. It covers the 24 hours for
	// which an answer is remembered, and one hour for processes that still use an older ring.
	SecretKept = 25 * time.Hour
	// RingAge is how old a cached ring may become before a Keeper must fetch the ring again.
	RingAge = 30 * time.Minute
	// JWKSAge is how long a verifier may keep a JWK set.
	JWKSAge = time.Hour
)

// redactedRing is printed instead of a ring.
const redactedRing = "[key ring]"

// maxKeys is the greatest length of each list. With it, an encrypted ring fits into an item of the store (64 KB).
const maxKeys = 100

// Ring is an immutable set of keys. It is made by NewRing or Unmarshal, or from another ring by Rotate, Drop and Forget. It is
// safe for concurrent use. When it is printed, logged or encoded as JSON, the result is "[key ring]"; Marshal returns its content.
type Ring struct {
	// fmt prints a nested pointer as an address; see Secret.
	*keys
}

type keys struct {
	secrets []*secretKey // the oldest first, the newest last
	signers []*signer    // the oldest first
	format  int          // see RecordFormat
	epoch   int64        // see Epoch
}

// NewRing makes a ring with one secret and one signing key. Both are in use from now on.
func NewRing(now time.Time) *Ring {
	now = whole(now)
	return &Ring{&keys{
		secrets: []*secretKey{freshSecret(now)},
		signers: []*signer{freshSigner(now)},
	}}
}

// Rotate returns a ring with a new secret and a new signing key. The secret is in use from now on, and the signing key once it
// has been published for the time Published. The new ring doesn't have the signing keys that Drop removes. Rotate fails if
// the ring is full; then use Forget to make room.
func (r *Ring) Rotate(now time.Time) (*Ring, error) {
	rotated := r.Drop(now)
	if len(rotated.secrets) >= maxKeys || len(rotated.signers) >= maxKeys {
		return nil, fmt.Errorf("seal: rotate: the ring is full (%d secrets, %d signing keys, at most %d of each)",
			len(rotated.secrets), len(rotated.signers), maxKeys)
	}
	now = whole(now)
	return rotated.with(func(k *keys) {
		k.secrets = append(slices.Clip(k.secrets), freshSecret(now))
		k.signers = append(slices.Clip(k.signers), freshSigner(now.Add(Published)))
	}), nil
}

// Drop returns a ring without the signing keys that last signed more than SignerKept ago.
func (r *Ring) Drop(now time.Time) *Ring {
	var signers []*signer
	for i, s := range r.signers {
		retired, ok := r.retired(i)
		if ok && retired.Add(SignerKept).Before(now) {
			continue
		}
		signers = append(signers, s)
	}
	return r.with(func(k *keys) { k.signers = signers })
}

// Forget returns a ring without the secret that has this key id. What is still sealed or digested under that secret is then
// lost for ever, and the key that verifies its checkpoints is not published any more. Forget fails if the secret is the newest
// one, or if it was replaced less than SecretKept ago. It fails with ErrUnknownKey if there is no such secret.
func (r *Ring) Forget(keyID string, now time.Time) (*Ring, error) {
	i := slices.IndexFunc(r.secrets, func(s *secretKey) bool { return s.id == keyID })
	if i < 0 {
		return nil, fmt.Errorf("seal: forget: %w", ErrUnknownKey)
	}
	if i == len(r.secrets)-1 {
		return nil, errors.New("seal: forget: the newest secret is in use, so rotate the ring first")
	}
	until := r.secrets[i+1].created.Add(SecretKept)
	if now.Before(until) {
		return nil, fmt.Errorf("seal: forget: the secret must be kept until %s", until.Format(time.RFC3339))
	}
	return r.with(func(k *keys) { k.secrets = slices.Delete(slices.Clone(k.secrets), i, i+1) }), nil
}

// RecordFormat returns the format in which the deployment's records are to be written. It is 0 if it was never set. Package
// record explains the formats. The format is in the ring because every process that decides about sign-ins has the ring.
func (r *Ring) RecordFormat() int { return r.format }

// WithRecordFormat returns a ring with the same keys, which says that records are to be written in this format.
func (r *Ring) WithRecordFormat(format int) *Ring {
	return r.with(func(k *keys) { k.format = format })
}

// Epoch returns the epoch of the deployment: the moment when its data was last restored from a backup, in Unix seconds. It is 0
// if that has never happened. What was given to clients and users before that moment isn't valid any more; package mfa says what
// that means. The epoch is in the ring for the same reason as the format.
func (r *Ring) Epoch() int64 { return r.epoch }

// WithEpoch returns a ring with the same keys and another epoch of the deployment.
func (r *Ring) WithEpoch(epoch int64) *Ring {
	return r.with(func(k *keys) { k.epoch = epoch })
}

// with returns a copy of the ring to which change has been applied.
func (r *Ring) with(change func(*keys)) *Ring {
	k := *r.keys
	change(&k)
	return &Ring{&k}
}

// Newest returns the id of the newest secret, which seals and digests.
func (r *Ring) Newest() string {
	return r.newest().id
}

// KeyIDs returns the ids of the secrets, the oldest first.
func (r *Ring) KeyIDs() []string {
	var ids []string
	for _, s := range r.secrets {
		ids = append(ids, s.id)
	}
	return ids
}

// String returns "[key ring]".
func (r *Ring) String() string { return redactedRing }

// GoString returns "[key ring]".
func (r *Ring) GoString() string { return redactedRing }

// Format writes "[key ring]" for every verb.
func (r *Ring) Format(state fmt.State, _ rune) { io.WriteString(state, redactedRing) }

// MarshalJSON returns the JSON string "[key ring]".
func (r *Ring) MarshalJSON() ([]byte, error) { return []byte(`"` + redactedRing + `"`), nil }

// LogValue returns "[key ring]" for log/slog.
func (r *Ring) LogValue() slog.Value { return slog.StringValue(redactedRing) }

func (r *Ring) newest() *secretKey {
	return r.secrets[len(r.secrets)-1]
}

func (r *Ring) secret(keyID string) (*secretKey, error) {
	for _, s := range slices.Backward(r.secrets) {
		if s.id == keyID {
			return s, nil
		}
	}
	return nil, ErrUnknownKey
}

// retired returns when the signing key at i last signs: at the moment when a later key begins to sign.
func (r *Ring) retired(i int) (at time.Time, ok bool) {
	for _, later := range r.signers[i+1:] {
		if !ok || later.notBefore.Before(at) {
			at, ok = later.notBefore, true
		}
	}
	return at, ok
}

// whole returns a time in the form that the record of a ring has: in UTC and whole seconds.
func whole(t time.Time) time.Time {
	return t.UTC().Truncate(time.Second)
}

func random(size int) []byte {
	raw := make([]byte, size)
	rand.Read(raw)
	return raw
}
