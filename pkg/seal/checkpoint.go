package seal

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// A checkpoint is a statement about what was filed, which is verified long after it was made, also where the deployment can't be
// reached. Checkpoints have signing keys of their own, one for each secret of the ring, which is derived from the secret. So a ring
// that was written by an earlier build has these keys too, and an earlier build can read the ring. Their public halves are published
// for as long as the ring has the secret, because activity is kept for more than a year.
//
// Nobody can take a checkpoint for a token: its type in the header is another one, and its key is not among the "keys" of the JWK
// set, but under a member of its own, which software that verifies tokens must ignore (RFC 7517 section 5).

const (
	checkpointStart = `{"alg":"ES256","typ":"countersign-checkpoint+jwt","kid":"`
	useCheckpoint   = use("sign")
)

// checkpointSeed is the number of bytes from which a private key is derived. They are 64 bits more than the key has, so that no key
// is noticeably more likely than another (FIPS 186-5 appendix A.2.1).
const checkpointSeed = scalarSize + 8

// checkpointSigner returns the signing key for checkpoints that is derived from the secret.
func (k *secretKey) checkpointSigner() *signer {
	seed := new(big.Int).SetBytes(expand(k.root, checkpointSeed, string(useCheckpoint), "checkpoint"))
	order := elliptic.P256().Params().N
	scalar := new(big.Int).Sub(order, big.NewInt(1))
	scalar.Mod(seed, scalar).Add(scalar, big.NewInt(1))
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar.FillBytes(make([]byte, scalarSize)))
	if err != nil {
		panic("seal: a derived key is not valid: " + err.Error())
	}
	s, err := newSigner(private, time.Time{})
	if err != nil {
		panic("seal: a derived key is not valid: " + err.Error())
	}
	return s
}

// SignCheckpoint signs claims, which must be encoded as a JSON object, as a checkpoint. The result has the form of a JWT (RFC 7519)
// of the type countersign-checkpoint+jwt. It is signed with the key of the newest secret.
func (r *Ring) SignCheckpoint(claims any) (string, error) {
	signed, err := r.newest().checkpointSigner().sign(checkpointStart, claims)
	if err != nil {
		return "", fmt.Errorf("seal: sign a checkpoint: %w", err)
	}
	return signed, nil
}

// CheckpointKeys are public keys that verify checkpoints, by their kid.
type CheckpointKeys map[string]*ecdsa.PublicKey

// ReadCheckpointKeys reads the keys for checkpoints from a JWK set that Ring.JWKS returned. A set that was published before there
// were checkpoints has none. It fails if the set or one of these keys is not as JWKS writes it.
func ReadCheckpointKeys(jwks []byte) (CheckpointKeys, error) {
	var set keySet
	if err := json.Unmarshal(jwks, &set); err != nil {
		return nil, fmt.Errorf("seal: read the key set: %w", err)
	}
	keys := CheckpointKeys{}
	for i, k := range set.Checkpoints {
		x, okX := decode(k.X)
		y, okY := decode(k.Y)
		if !okX || !okY || len(x) != scalarSize || len(y) != scalarSize {
			return nil, fmt.Errorf("seal: read the key set: checkpoint key %d has no point", i+1)
		}
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
		if err != nil {
			return nil, fmt.Errorf("seal: read the key set: checkpoint key %d: %w", i+1, err)
		}
		if want := publicJWK(thumbprint(k.X, k.Y), k.X, k.Y); k != want {
			return nil, fmt.Errorf("seal: read the key set: checkpoint key %d is not described as it is", i+1)
		}
		keys[k.Kid] = public
	}
	return keys, nil
}

// Verify returns the claims, as JSON, of a checkpoint that was signed with one of the keys. It accepts only what SignCheckpoint
// writes. It fails with ErrUnknownKey if none of the keys has the checkpoint's kid, and with another error if the key didn't sign it.
func (k CheckpointKeys) Verify(signed string) (claims []byte, err error) {
	claims, err = verified(checkpointStart, signed, func(kid string) *ecdsa.PublicKey { return k[kid] })
	if err != nil && !errors.Is(err, ErrUnknownKey) {
		return nil, errors.New("seal: this is no checkpoint that one of the keys signed")
	}
	return claims, err
}
