package seal

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func checkpointKeys(t *testing.T, ring *Ring) CheckpointKeys {
	t.Helper()
	keys, err := ReadCheckpointKeys(ring.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func mustSignCheckpoint(t *testing.T, ring *Ring) string {
	t.Helper()
	signed, err := ring.SignCheckpoint(map[string]any{"serial": 7})
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestACheckpointVerifiesWithThePublishedKeysForAsLongAsItsSecretIsKept(t *testing.T) {
	ring := NewRing(start)
	signed := mustSignCheckpoint(t, ring)
	after := mustRotate(t, mustRotate(t, ring, start.Add(time.Hour)), start.Add(2*time.Hour))
	read, err := Unmarshal(after.Drop(start.Add(10_000 * time.Hour)).Marshal())
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]*Ring{"now": ring, "after rotations": after, "read again, years later": read} {
		claims, err := checkpointKeys(t, r).Verify(signed)
		if err != nil || string(claims) != `{"serial":7}` {
			t.Errorf("%s: got %s, %v", name, claims, err)
		}
	}
	if later := mustSignCheckpoint(t, after); headOf(later) == headOf(signed) {
		t.Error("after a rotation the same key signs")
	}
	forgotten, err := after.Forget(ring.Newest(), start.Add(1000*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := checkpointKeys(t, forgotten).Verify(signed); err != ErrUnknownKey {
		t.Errorf("the secret was forgotten: got %v, want %v", err, ErrUnknownKey)
	}
	if _, err := checkpointKeys(t, NewRing(start)).Verify(signed); err != ErrUnknownKey {
		t.Errorf("another ring: got %v, want %v", err, ErrUnknownKey)
	}
}

func headOf(signed string) string {
	head, _, _ := strings.Cut(signed, ".")
	return head
}

// The type and the keys of a checkpoint are its own. So neither is ever accepted in the place of the other.
func TestACheckpointIsNoTokenAndATokenIsNoCheckpoint(t *testing.T) {
	ring := mustRotate(t, NewRing(start), start)
	signed, token := mustSignCheckpoint(t, ring), mustSign(t, ring, start)
	if _, err := ring.Verify(signed); err == nil {
		t.Error("a checkpoint is accepted as a token")
	}
	if _, err := clientVerify(t, ring.JWKS(), signed); err == nil {
		t.Error("a client accepts a checkpoint as a token")
	}
	if _, err := checkpointKeys(t, ring).Verify(token); err == nil {
		t.Error("a token is accepted as a checkpoint")
	}
	tokens := clientKeys(t, ring.JWKS())
	checkpoints := checkpointKeys(t, ring)
	if len(tokens) != 2 || len(checkpoints) != 2 {
		t.Fatalf("got %d and %d keys, want 2 of each", len(tokens), len(checkpoints))
	}
	for kid, public := range checkpoints {
		if tokens[kid] != nil {
			t.Errorf("%s is among the keys of tokens", kid)
		}
		for _, other := range tokens {
			if public.Equal(other) {
				t.Errorf("%s is the key of a token", kid)
			}
		}
	}
	// The header of a token under a key of checkpoints, and the other way round.
	for _, s := range []struct {
		signer *signer
		start  string
	}{{ring.newest().checkpointSigner(), headerStart}, {ring.signers[0], checkpointStart}} {
		mixed, err := s.signer.sign(s.start, map[string]any{"serial": 7})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ring.Verify(mixed); err == nil {
			t.Error("a token under a key of checkpoints is accepted")
		}
		if _, err := checkpoints.Verify(mixed); err == nil {
			t.Error("a checkpoint under a key of tokens is accepted")
		}
	}
}

func TestACheckpointWithOneBitFlippedIsRefused(t *testing.T) {
	ring := NewRing(start)
	keys, signed := checkpointKeys(t, ring), mustSignCheckpoint(t, ring)
	for i := range signed {
		for bit := range 8 {
			b := []byte(signed)
			b[i] ^= 1 << bit
			if _, err := keys.Verify(string(b)); err == nil {
				t.Fatalf("bit %d of byte %d was flipped, and it is accepted", bit, i)
			}
		}
	}
	if _, err := ring.SignCheckpoint([]int{1}); err == nil {
		t.Error("claims that are no object are signed")
	}
}

// Software of others verifies a checkpoint by what is published.
func TestACheckpointVerifiesWithALibrary(t *testing.T) {
	ring := NewRing(start)
	keys := checkpointKeys(t, ring)
	claims := jwt.MapClaims{}
	parsed, err := jwt.ParseWithClaims(mustSignCheckpoint(t, ring), claims, func(token *jwt.Token) (any, error) {
		return keys[token.Header["kid"].(string)], nil
	}, jwt.WithValidMethods([]string{"ES256"}), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())
	if err != nil || claims["serial"] != 7.0 || parsed.Header["typ"] != "countersign-checkpoint+jwt" {
		t.Errorf("got %v, %v, %v", claims, parsed, err)
	}
}

func TestAKeySetThatIsNotAsItIsPublishedHasNoCheckpointKeys(t *testing.T) {
	jwks := string(NewRing(start).JWKS())
	var set keySet
	if err := json.Unmarshal([]byte(jwks), &set); err != nil {
		t.Fatal(err)
	}
	k := set.Checkpoints[0]
	for name, bad := range map[string]string{
		"no JSON":        "{",
		"another kid":    strings.Replace(jwks, k.Kid, set.Keys[0].Kid, 1),
		"another use":    strings.Replace(jwks, `"checkpoint_keys":[{"kty":"EC"`, `"checkpoint_keys":[{"kty":"OKP"`, 1),
		"no coordinate":  strings.Replace(jwks, k.Y, "", 1),
		"not on a curve": strings.Replace(jwks, k.Y, k.X, 1),
	} {
		if keys, err := ReadCheckpointKeys([]byte(bad)); err == nil {
			t.Errorf("%s: got %d keys, want an error", name, len(keys))
		}
	}
	keys, err := ReadCheckpointKeys([]byte(`{"keys":[]}`))
	if err != nil || len(keys) != 0 {
		t.Errorf("a set from before there were checkpoints: got %d keys, %v", len(keys), err)
	}
	if _, err := keys.Verify(mustSignCheckpoint(t, NewRing(start))); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("got %v, want %v", err, ErrUnknownKey)
	}
}

// What was signed must be verifiable by every later build, so the derivation may never change.
func TestTheKeyOfCheckpointsIsDerivedInTheSameWayForEver(t *testing.T) {
	k := newSecretKey(make([]byte, secretSize), start)
	if got, want := k.checkpointSigner().kid, "bz5xyZUgP3GPV3bespHrUUA8g8a7HDWr63bZg7n7HKQ"; got != want {
		t.Errorf("got the key %s, want %s", got, want)
	}
}
