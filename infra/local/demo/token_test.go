package demo

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"
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
	signed := encode(t, header) + "." + encode(t, claims)
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	var signature [64]byte
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature[:])
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
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	published := map[string]any{"keys": []any{map[string]any{
		"kty": "EC", "crv": "P-256", "kid": "k1",
		"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:]),
	}}}
	d := &Demo{o: Options{Issuer: "http://localhost:1"}, http: &http.Client{Transport: inside{
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { json.NewEncoder(w).Encode(published) }),
	}}}
	now := time.Unix(1_800_000_000, 0)
	want := expected{issuer: "http://localhost:1", audience: "local", org: "demo", user: "ana", nonce: "n1", purpose: "sign_in", decision: "challenge", now: now}
	header := map[string]any{"alg": "ES256", "typ": "countersign+jwt", "kid": "k1"}
	claims := map[string]any{
		"iss": "http://localhost:1", "aud": "local", "org": "demo", "sub": "ana", "nonce": "n1", "purpose": "sign_in",
		"decision": "challenge", "verified": true, "iat": now.Unix(), "exp": now.Unix() + 120,
	}
	with := func(of map[string]any, name string, value any) map[string]any {
		changed := maps.Clone(of)
		changed[name] = value
		return changed
	}
	good := sign(t, key, header, claims)
	if _, err := d.checkToken(t.Context(), good, want); err != nil {
		t.Fatalf("a good token: %v", err)
	}
	parts := strings.Split(good, ".")
	bad := map[string]string{
		"signed by a stranger":      sign(t, stranger, header, claims),
		"alg none":                  encode(t, with(header, "alg", "none")) + "." + parts[1] + ".",
		"alg HS256":                 sign(t, key, with(header, "alg", "HS256"), claims),
		"another type":              sign(t, key, with(header, "typ", "JWT"), claims),
		"an unknown key":            sign(t, key, with(header, "kid", "k2"), claims),
		"claims of another token":   parts[0] + "." + encode(t, with(claims, "sub", "bob")) + "." + parts[2],
		"no signature":              parts[0] + "." + parts[1] + ".",
		"two parts":                 parts[0] + "." + parts[1],
		"nothing":                   "",
		"verified by no one, asked": sign(t, key, header, with(claims, "verified", false)),
	}
	for name, value := range map[string]any{
		"iss": "http://localhost:2", "aud": "other", "org": "acme", "sub": "bob", "nonce": "n2", "purpose": "step_up", "action": "account", "decision": "allow",
		"exp": now.Unix() - 10, "iat": now.Unix() + 60,
	} {
		bad[name] = sign(t, key, header, with(claims, name, value))
	}
	for name, token := range bad {
		if _, err := d.checkToken(t.Context(), token, want); err == nil {
			t.Errorf("%s: the token was believed", name)
		}
	}
	missing := want
	missing.nonce = ""
	if _, err := d.checkToken(t.Context(), sign(t, key, header, with(claims, "nonce", "")), missing); err == nil {
		t.Error("a token without a nonce was believed")
	}
}
