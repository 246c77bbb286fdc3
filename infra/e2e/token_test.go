package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// issuer returns the iss of the server's tokens.
func (w *world) issuer() string { return strings.Replace(w.base, "127.0.0.1", "localhost", 1) }

// claims verifies a token as a client does, with the published keys, and returns its claims. It checks signature, type and
// algorithm.
func (w *world) claims(t *testing.T, token string) jwt.MapClaims {
	t.Helper()
	set := w.do(t, call{method: "GET", path: "/.well-known/jwks.json"}).want(t, 200, "")
	claims := jwt.MapClaims{}
	_, err := jwt.ParseWithClaims(token, claims, func(j *jwt.Token) (any, error) {
		if j.Header["typ"] != "countersign+jwt" {
			t.Errorf("typ: got %v", j.Header["typ"])
		}
		for _, k := range set.list("keys") {
			if key := doc(k.(map[string]any)); key.text("kid") == j.Header["kid"] {
				return publicKey(t, key), nil
			}
		}
		t.Fatalf("no key %v in %s", j.Header["kid"], set.raw)
		return nil, nil
	}, jwt.WithValidMethods([]string{"ES256"}), jwt.WithTimeFunc(func() time.Time { return w.now(t) }))
	if err != nil {
		t.Fatalf("token: %v", err)
	}
	if org, ok := claims["org"].(string); ok {
		claims["org"] = string(w.on.received([]byte(org)))
	}
	return claims
}

func publicKey(t *testing.T, key doc) *ecdsa.PublicKey {
	t.Helper()
	point := []byte{4} // this byte means that the point is uncompressed (SEC 1 section 2.3.3)
	for _, name := range []string{"x", "y"} {
		raw, err := base64.RawURLEncoding.DecodeString(key.text(name))
		if err != nil || len(raw) != 32 {
			t.Fatalf("%s of key: %v", name, err)
		}
		point = append(point, raw...)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	return public
}

// advanceTo moves the clock to at, or at most a second past it.
func (w *world) advanceTo(t *testing.T, at time.Time) {
	t.Helper()
	if d := at.Sub(w.now(t)); d > 0 {
		w.advance(t, d+time.Second-1)
	}
}

// sweptEvents runs the sweep twice, and counts the events of a type about a user on the bus.
func (w *world) sweptEvents(t *testing.T, user, kind string) int {
	t.Helper()
	for range 2 {
		if a := w.do(t, call{method: "POST", path: "/local/sweep"}); a.status/100 != 2 {
			t.Fatalf("sweep: got %d %s", a.status, a.raw)
		}
	}
	return w.told(t, user, kind)
}

// told counts the events of a type about a user on the bus. The bus can get an event a second time, with the same id, if the
// sender was stopped meanwhile. That counts once.
func (w *world) told(t *testing.T, user, kind string) int {
	t.Helper()
	ids := map[string]bool{}
	for _, e := range w.events(t, user, kind) {
		ids[e.text("id")] = true
	}
	return len(ids)
}
