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

// How long things last. The package comment says why these fit together.
const (
	// Published is how long a signing key is in the JWKS before it first signs.
	Published = 2 * time.Hour
	// SignerKept is how long a signing key verifies after it last signed. It covers a token's life (120 s), the 10 minutes
	// for which a step-up is proof, and skewed clocks.
	SignerKept = 2 * time.Hour
	// SecretKept is the least time a secret is kept after its successor came: the day that an idempotent answer lives, and
	// an hour for processes that still work with an older ring.
	SecretKept = 25 * time.Hour
	// RingAge is how old a cached ring may become before a keeper must ask its source again.
	RingAge = 30 * time.Minute
	// JWKSAge is how long a verifier may keep a JWKS.
	JWKSAge = time.Hour
)

// What is printed in a ring's place.
const redactedRing = "[key ring]"

// maxKeys bounds each list, so that a wrapped ring fits the store's 64 KB item.
const maxKeys = 100

// Ring is an immutable set of keys, made by NewRing, Unmarshal, or from another by Rotate, Drop and Forget. It is safe for
// concurrent use. It prints, logs and marshals to JSON as "[key ring]"; Marshal gives what it holds.
type Ring struct {
	// fmt prints a nested pointer as an address: see Secret.
	*keys
}

type keys struct {
	secrets []*secretKey // Oldest first; the last is the newest.
	signers []*signer    // Oldest first.
}

// NewRing makes a ring with one secret and one signing key, both in use from now.
func NewRing(now time.Time) *Ring {
	now = whole(now)
	return &Ring{&keys{
		secrets: []*secretKey{freshSecret(now)},
		signers: []*signer{freshSigner(now)},
	}}
}

// Rotate gives a ring with a new secret, in use from now, and a new signing key, in use when its publishing is over; and
// without the signing keys that Drop would remove. It fails when the ring is full, which Forget helps.
func (r *Ring) Rotate(now time.Time) (*Ring, error) {
	rotated := r.Drop(now)
	if len(rotated.secrets) >= maxKeys || len(rotated.signers) >= maxKeys {
		return nil, fmt.Errorf("seal: rotate: the ring is full (%d secrets, %d signing keys, at most %d of each)",
			len(rotated.secrets), len(rotated.signers), maxKeys)
	}
	now = whole(now)
	return &Ring{&keys{
		secrets: append(slices.Clip(rotated.secrets), freshSecret(now)),
		signers: append(slices.Clip(rotated.signers), freshSigner(now.Add(Published))),
	}}, nil
}

// Drop gives a ring without the signing keys that last signed longer than SignerKept before now.
func (r *Ring) Drop(now time.Time) *Ring {
	var signers []*signer
	for i, s := range r.signers {
		retired, ok := r.retired(i)
		if ok && retired.Add(SignerKept).Before(now) {
			continue
		}
		signers = append(signers, s)
	}
	return &Ring{&keys{secrets: r.secrets, signers: signers}}
}

// Forget gives a ring without the secret of that key id. What is still sealed or digested under it is lost for good. It
// fails if the secret is the newest, if its successor came less than SecretKept before now, or (ErrUnknownKey) if it
// isn't there.
func (r *Ring) Forget(keyID string, now time.Time) (*Ring, error) {
	i := slices.IndexFunc(r.secrets, func(s *secretKey) bool { return s.id == keyID })
	if i < 0 {
		return nil, fmt.Errorf("seal: forget: %w", ErrUnknownKey)
	}
	if i == len(r.secrets)-1 {
		return nil, errors.New("seal: forget: the newest secret is in use; rotate first")
	}
	until := r.secrets[i+1].created.Add(SecretKept)
	if now.Before(until) {
		return nil, fmt.Errorf("seal: forget: the secret must be kept until %s", until.Format(time.RFC3339))
	}
	return &Ring{&keys{secrets: slices.Delete(slices.Clone(r.secrets), i, i+1), signers: r.signers}}, nil
}

// Newest is the id of the key that seals and digests.
func (r *Ring) Newest() string {
	return r.newest().id
}

// KeyIDs are the ids of the secrets, oldest first.
func (r *Ring) KeyIDs() []string {
	var ids []string
	for _, s := range r.secrets {
		ids = append(ids, s.id)
	}
	return ids
}

// String gives "[key ring]".
func (r *Ring) String() string { return redactedRing }

// GoString gives "[key ring]".
func (r *Ring) GoString() string { return redactedRing }

// Format writes "[key ring]", whatever the verb.
func (r *Ring) Format(state fmt.State, _ rune) { io.WriteString(state, redactedRing) }

// MarshalJSON gives the JSON string "[key ring]".
func (r *Ring) MarshalJSON() ([]byte, error) { return []byte(`"` + redactedRing + `"`), nil }

// LogValue gives "[key ring]" to log/slog.
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

// retired is when signer i last signs: when the publishing of any later key is over.
func (r *Ring) retired(i int) (at time.Time, ok bool) {
	for _, later := range r.signers[i+1:] {
		if !ok || later.notBefore.Before(at) {
			at, ok = later.notBefore, true
		}
	}
	return at, ok
}

// whole is what a record of the ring can hold of a time.
func whole(t time.Time) time.Time {
	return t.UTC().Truncate(time.Second)
}

func random(size int) []byte {
	raw := make([]byte, size)
	rand.Read(raw)
	return raw
}
