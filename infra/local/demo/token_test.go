package demo

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func encode(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func sign(t *testing.T, key *ecdsa.PrivateKey, header, claims any) string {
	t.Helper()
	return signAs(t, jwt.SigningMethodES256, key, header, claims)
}

// signAs signs as a method does, whatever the header says.
func signAs(t *testing.T, method jwt.SigningMethod, key, header, claims any) string {
	t.Helper()
	signed := encode(t, header) + "." + encode(t, claims)
	signature, err := method.Sign(signed, key)
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// signES384 signs with a key of ES256 as if it were one of ES384.
func signES384(t *testing.T, key *ecdsa.PrivateKey, header, claims any) string {
	t.Helper()
	signed := encode(t, header) + "." + encode(t, claims)
	sum := sha512.Sum384([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	var signature [96]byte
	r.FillBytes(signature[:48])
	s.FillBytes(signature[48:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature[:])
}

// with returns claims of which one is another.
func with(of map[string]any, name string, value any) map[string]any {
	changed := maps.Clone(of)
	changed[name] = value
	return changed
}

// published is the key set of an issuer that has one key, and the point of that key.
func published(t *testing.T, key *ecdsa.PrivateKey) (set map[string]any, point []byte) {
	t.Helper()
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{"keys": []any{map[string]any{
		"kty": "EC", "crv": "P-256", "kid": "k1",
		"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:]),
	}}}, point
}

func TestATokenIsBelievedOnlyIfEverythingInItIsRight(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys, point := published(t, key)
	d := &Demo{o: Options{Issuer: "http://localhost:1"}, http: &http.Client{Transport: inside{
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { json.NewEncoder(w).Encode(keys) }),
	}}}
	now := time.Unix(1_800_000_000, 0)
	want := expected{issuer: "http://localhost:1", audience: "local", org: "demo", user: "ana", nonce: "n1", challenge: "ch_1", purpose: "sign_in", decision: "challenge", now: now}
	header := map[string]any{"alg": "ES256", "typ": "countersign+jwt", "kid": "k1"}
	claims := map[string]any{
		"iss": "http://localhost:1", "aud": "local", "org": "demo", "sub": "ana", "nonce": "n1", "purpose": "sign_in",
		"decision": "challenge", "verified": true, "jti": "ch_1", "iat": now.Unix(), "exp": now.Unix() + 120,
	}
	good := sign(t, key, header, claims)
	if _, err := d.checkToken(t.Context(), good, want); err != nil {
		t.Fatalf("a good token: %v", err)
	}
	within := expected{}
	for name, at := range map[string]time.Duration{"5 seconds early": -5 * time.Second, "just before its end": 120*time.Second + 4*time.Second} {
		within = want
		within.now = now.Add(at)
		if _, err := d.checkToken(t.Context(), good, within); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	without := func(of map[string]any, name string) map[string]any {
		changed := maps.Clone(of)
		delete(changed, name)
		return changed
	}
	parts := strings.Split(good, ".")
	bad := map[string]string{
		"signed by a stranger":      sign(t, stranger, header, claims),
		"alg none":                  encode(t, with(header, "alg", "none")) + "." + parts[1] + ".",
		"alg HS256":                 sign(t, key, with(header, "alg", "HS256"), claims),
		"alg HS256, by public key":  signAs(t, jwt.SigningMethodHS256, point, with(header, "alg", "HS256"), claims),
		"alg ES384":                 signES384(t, key, with(header, "alg", "ES384"), claims),
		"another type":              sign(t, key, with(header, "typ", "JWT"), claims),
		"no type":                   sign(t, key, without(header, "typ"), claims),
		"an unknown key":            sign(t, key, with(header, "kid", "k2"), claims),
		"no key named":              sign(t, key, without(header, "kid"), claims),
		"four parts":                good + ".",
		"claims of another token":   parts[0] + "." + encode(t, with(claims, "sub", "bob")) + "." + parts[2],
		"no signature":              parts[0] + "." + parts[1] + ".",
		"two parts":                 parts[0] + "." + parts[1],
		"nothing":                   "",
		"verified by no one, asked": sign(t, key, header, with(claims, "verified", false)),
	}
	for name, value := range map[string]any{
		"iss": "http://localhost:2", "aud": "other", "org": "acme", "sub": "bob", "nonce": "n2", "purpose": "step_up", "action": "account", "decision": "allow", "jti": "ch_2",
		"exp": now.Unix() - 10, "iat": now.Unix() + 60,
	} {
		bad[name] = sign(t, key, header, with(claims, name, value))
	}
	for _, name := range []string{"iss", "aud", "org", "sub", "nonce", "jti", "purpose", "decision", "verified", "exp"} {
		bad["no "+name] = sign(t, key, header, without(claims, name))
	}
	for name, token := range bad {
		if _, err := d.checkToken(t.Context(), token, want); err == nil {
			t.Errorf("%s: the token was believed", name)
		}
	}
	allowed, allow := want, with(with(with(claims, "decision", "allow"), "verified", false), "jti", "dc_1")
	allowed.decision, allowed.challenge = "allow", ""
	if _, err := d.checkToken(t.Context(), sign(t, key, header, allow), allowed); err != nil {
		t.Errorf("of somebody who wasn't asked: %v", err)
	}
	if _, err := d.checkToken(t.Context(), sign(t, key, header, without(allow, "jti")), allowed); err == nil {
		t.Error("a token without an id was believed")
	}
	missing := want
	missing.nonce = ""
	if _, err := d.checkToken(t.Context(), sign(t, key, header, with(claims, "nonce", "")), missing); err == nil {
		t.Error("a token without a nonce was believed")
	}
}
