package seal

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// clientKeys returns the keys that a client reads from a JWKS.
func clientKeys(t *testing.T, jwks []byte) map[string]*ecdsa.PublicKey {
	t.Helper()
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(jwks, &set); err != nil {
		t.Fatal(err)
	}
	found := map[string]*ecdsa.PublicKey{}
	for _, key := range set.Keys {
		want := map[string]string{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": key["kid"], "x": key["x"], "y": key["y"]}
		if !reflect.DeepEqual(key, want) {
			t.Errorf("key %v, want %v", key, want)
		}
		x, errX := base64.RawURLEncoding.Strict().DecodeString(key["x"])
		y, errY := base64.RawURLEncoding.Strict().DecodeString(key["y"])
		if errX != nil || errY != nil || len(x) != 32 || len(y) != 32 {
			t.Fatalf("coordinates of %d and %d bytes, want 32 (%v, %v)", len(x), len(y), errX, errY)
		}
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
		if err != nil {
			t.Fatal(err)
		}
		found[key["kid"]] = public
	}
	return found
}

// clientVerify does what a client does with a token. It uses the JWT library that clients use.
func clientVerify(t *testing.T, jwks []byte, token string) (jwt.MapClaims, error) {
	t.Helper()
	keys := clientKeys(t, jwks)
	claims := jwt.MapClaims{}
	_, err := jwt.ParseWithClaims(token, claims, func(token *jwt.Token) (any, error) {
		kid, _ := token.Header["kid"].(string)
		if key := keys[kid]; key != nil && token.Header["typ"] == "countersign+jwt" {
			return key, nil
		}
		return nil, fmt.Errorf("no key %q for a %q", kid, token.Header["typ"])
	}, jwt.WithValidMethods([]string{"ES256"}), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())
	return claims, err
}

func mustSign(t *testing.T, ring *Ring, now time.Time) string {
	t.Helper()
	token, err := ring.Sign(now, map[string]any{"sub": "u-17", "org": "acme & <co>"})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func headerKid(t *testing.T, token string) string {
	t.Helper()
	head, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		t.Fatal(err)
	}
	var header map[string]string
	if err := json.Unmarshal(raw, &header); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"alg": "ES256", "typ": "countersign+jwt", "kid": header["kid"]}
	if !reflect.DeepEqual(header, want) {
		t.Errorf("header %v, want %v", header, want)
	}
	return header["kid"]
}

func TestATokenVerifiesWithAClientsLibraryAndByHand(t *testing.T) {
	ring := NewRing(start)
	for range 20 {
		token := mustSign(t, ring, start)
		claims, err := clientVerify(t, ring.JWKS(), token)
		if err != nil {
			t.Fatal(err)
		}
		if want := (jwt.MapClaims{"sub": "u-17", "org": "acme & <co>"}); !reflect.DeepEqual(claims, want) {
			t.Errorf("claims %v, want %v", claims, want)
		}
		parts := strings.Split(token, ".")
		signature, err := base64.RawURLEncoding.DecodeString(parts[2])
		if err != nil || len(signature) != 64 {
			t.Fatalf("a signature of %d bytes, %v; want 64", len(signature), err)
		}
		sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		if !ecdsa.Verify(clientKeys(t, ring.JWKS())[headerKid(t, token)], sum[:], r, s) {
			t.Error("the signature doesn't verify by hand")
		}
		own, err := ring.Verify(token)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := string(own), `{"org":"acme \u0026 \u003cco\u003e","sub":"u-17"}`; got != want {
			t.Errorf("claims %s, want %s", got, want)
		}
	}
}

func TestASignaturesNumbersKeepTheirLeadingZeros(t *testing.T) {
	ring := NewRing(start)
	var first, second bool
	// One number in 256 has a leading zero byte.
	for tries := 0; !first || !second; tries++ {
		token := mustSign(t, ring, start)
		if _, err := ring.Verify(token); err != nil {
			t.Fatal(err)
		}
		signature, ok := decode(token[strings.LastIndexByte(token, '.')+1:])
		if !ok || tries > 20_000 {
			t.Fatalf("after %d tokens no leading zeros", tries)
		}
		if signature[0] == 0 || signature[32] == 0 {
			first, second = first || signature[0] == 0, second || signature[32] == 0
			if _, err := clientVerify(t, ring.JWKS(), token); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestAKeyIDIsTheKeysThumbprint(t *testing.T) {
	// This is the P-256 key of RFC 7517 appendix A.1. Other libraries give the same RFC 7638 thumbprint for it.
	x, errX := base64.RawURLEncoding.DecodeString("MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4")
	y, errY := base64.RawURLEncoding.DecodeString("4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM")
	if errX != nil || errY != nil {
		t.Fatal(errX, errY)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSigner(&ecdsa.PrivateKey{PublicKey: *public}, start)
	if err != nil {
		t.Fatal(err)
	}
	if want := "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s"; s.kid != want {
		t.Errorf("kid %s, want %s", s.kid, want)
	}
}

func TestATokenChangedAnywhereIsRefused(t *testing.T) {
	ring := NewRing(start)
	token := mustSign(t, ring, start)
	for i := range token {
		for bit := range 8 {
			changed := []byte(token)
			changed[i] ^= 1 << bit
			refuseVerify(t, ring, fmt.Sprintf("character %d bit %d", i, bit), string(changed))
		}
	}
	for n := range len(token) {
		refuseVerify(t, ring, fmt.Sprintf("cut to %d", n), token[:n])
	}
	parts := strings.Split(token, ".")
	for name, changed := range map[string]string{
		"padded":             token + "=",
		"line end after":     token + "\n",
		"line end inside":    parts[0] + "." + parts[1] + "\n." + parts[2],
		"space before":       " " + token,
		"four parts":         token + ".",
		"signature dropped":  parts[0] + "." + parts[1] + ".",
		"no signature":       parts[0] + "." + parts[1],
		"zero signature":     parts[0] + "." + parts[1] + "." + encode(make([]byte, 64)),
		"longer signature":   parts[0] + "." + parts[1] + "." + parts[2] + "AA",
		"claims swapped":     parts[0] + "." + encode([]byte(`{"sub":"u-18"}`)) + "." + parts[2],
		"very long":          parts[0] + "." + strings.Repeat("A", 1<<20) + "." + parts[2],
		"very many parts":    strings.Repeat(".", 1<<20),
		"signature twice":    token + "." + parts[2],
		"header as claims":   parts[1] + "." + parts[0] + "." + parts[2],
		"last character":     token[:len(token)-1] + string(alternate(token[len(token)-1])),
		"json serialisation": `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
	} {
		refuseVerify(t, ring, name, changed)
	}
}

// alternate returns another character that carries the same bits as last, if it is the last one of the base64url of 64 bytes.
func alternate(last byte) byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return alphabet[strings.IndexByte(alphabet, last)^1]
}

func refuseVerify(t *testing.T, ring *Ring, name, token string) {
	t.Helper()
	claims, err := ring.Verify(token)
	if claims != nil || (err != errOpen && err != ErrUnknownKey) {
		t.Errorf("%s: Verify = %s, %v; want a refusal", name, claims, err)
	}
}

func TestL3ATokenOfAnotherHeaderIsRefused(t *testing.T) {
	ring := NewRing(start)
	key := ring.signers[0]
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	right := map[string]any{"typ": "countersign+jwt", "kid": key.kid}
	with := func(name string, value any) map[string]any {
		header := map[string]any{"typ": "countersign+jwt", "kid": key.kid, name: value}
		if value == nil {
			delete(header, name)
		}
		return header
	}
	for name, c := range map[string]struct {
		method jwt.SigningMethod
		header map[string]any
		key    any
	}{
		"alg none":                    {jwt.SigningMethodNone, right, jwt.UnsafeAllowNoneSignatureType},
		"HMAC of the public key":      {jwt.SigningMethodHS256, right, []byte(key.x + key.y)},
		"HMAC of the JWKS":            {jwt.SigningMethodHS256, right, ring.JWKS()},
		"EdDSA":                       {jwt.SigningMethodEdDSA, right, crypto.Signer(edwards)},
		"a stranger's key, our kid":   {jwt.SigningMethodES256, right, own},
		"typ JWT":                     {jwt.SigningMethodES256, with("typ", "JWT"), key.private},
		"no typ":                      {jwt.SigningMethodES256, with("typ", nil), key.private},
		"no kid":                      {jwt.SigningMethodES256, with("kid", nil), key.private},
		"another kid":                 {jwt.SigningMethodES256, with("kid", strings.Repeat("A", 43)), key.private},
		"kid a path":                  {jwt.SigningMethodES256, with("kid", "../../dev/null"), key.private},
		"critical extension":          {jwt.SigningMethodES256, with("crit", []string{"b64"}), key.private},
		"jwk in the header":           {jwt.SigningMethodES256, with("jwk", map[string]string{"kty": "EC"}), own},
		"jku in the header":           {jwt.SigningMethodES256, with("jku", "https://evil.example/"), own},
		"members in another order":    {jwt.SigningMethodES256, right, key.private},
		"P-384 under the same header": {jwt.SigningMethodES384, right, mustP384(t)},
	} {
		token := jwt.NewWithClaims(c.method, jwt.MapClaims{"sub": "u-17"})
		for k := range token.Header {
			if k != "alg" {
				delete(token.Header, k)
			}
		}
		for k, v := range c.header {
			token.Header[k] = v
		}
		signed, err := token.SignedString(c.key)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		refuseVerify(t, ring, name, signed)
	}
}

func mustP384(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestOnlyAnObjectIsSigned(t *testing.T) {
	ring := NewRing(start)
	for _, claims := range []any{nil, "text", 7, []string{"a"}, func() {}} {
		if token, err := ring.Sign(start, claims); err == nil {
			t.Errorf("%T was signed: %s", claims, token)
		}
	}
	token, err := ring.Sign(start, struct {
		Code Secret `json:"code"`
	}{NewSecret("123456")})
	if err != nil {
		t.Fatal(err)
	}
	if claims, err := ring.Verify(token); err != nil || string(claims) != `{"code":"[secret]"}` {
		t.Errorf("claims %s, %v; want the secret redacted", claims, err)
	}
}

func FuzzVerify(f *testing.F) {
	ring := NewRing(start)
	token, err := ring.Sign(start, map[string]any{"sub": "u-17"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	f.Add("..")
	f.Fuzz(func(t *testing.T, changed string) {
		if changed == token {
			return
		}
		parts := strings.Split(changed, ".")
		parts[0] = strings.Split(token, ".")[0]
		refuseVerify(t, ring, "as given", changed)
		if ours := strings.Join(parts, "."); ours != token {
			refuseVerify(t, ring, "under our header", ours)
		}
	})
}

func BenchmarkSign(b *testing.B) {
	ring := NewRing(start)
	claims := map[string]any{"sub": "u-17", "org": "acme", "iat": 1, "exp": 121}
	for b.Loop() {
		if _, err := ring.Sign(start, claims); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	ring := NewRing(start)
	token, err := ring.Sign(start, map[string]any{"sub": "u-17"})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := ring.Verify(token); err != nil {
			b.Fatal(err)
		}
	}
}

func TestATokenLongerThanAnyOfOursIsRefused(t *testing.T) {
	ring := NewRing(start)
	for _, c := range []struct {
		size int
		want error
	}{{4 << 10, nil}, {maxToken, errOpen}, {1 << 20, errOpen}} {
		token, err := ring.Sign(start, map[string]string{"long": strings.Repeat("a", c.size)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ring.Verify(token); err != c.want {
			t.Errorf("%d bytes: got %v, want %v", len(token), err, c.want)
		}
	}
}
