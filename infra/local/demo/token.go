package demo

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// This file verifies result tokens as every client must do it, with a JWT library. It accepts one algorithm, one type and only
// keys that the issuer publishes. Then it checks every claim that binds the token to this application, user and sign-in.

const (
	tokenType = "countersign+jwt"
	skew      = 5 * time.Second // how far the clocks of issuer and client may differ
)

// claims has the claims that the application checks.
type claims struct {
	jwt.RegisteredClaims
	Org         string   `json:"org"`
	Verified    bool     `json:"verified"`
	Nonce       string   `json:"nonce"`
	Purpose     string   `json:"purpose"`
	Action      string   `json:"action"`
	Decision    string   `json:"decision"`
	ActionLines []string `json:"action_lines"`
	AMR         []string `json:"amr"`

	text string // all claims, as they stand in the token
}

// expected is what a token must say.
type expected struct {
	issuer, audience, org, user, nonce string
	challenge                          string // the id of the challenge that was answered, which must be the jti; empty if there was none
	purpose, action                    string
	decision                           string // Countersign's decision; verified must be false if it is allow, and true otherwise
	now                                time.Time
}

// checkToken verifies the signature of a token with the issuer's published keys, and then its claims. Its errors say which check
// failed.
func (d *Demo) checkToken(ctx context.Context, token string, want expected) (claims, error) {
	var c claims
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodES256.Alg()}), jwt.WithStrictDecoding(),
		jwt.WithIssuer(want.issuer), jwt.WithAudience(want.audience), jwt.WithSubject(want.user),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(skew), jwt.WithTimeFunc(func() time.Time { return want.now }),
	)
	read, err := parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		if t.Header["typ"] != tokenType {
			return nil, fmt.Errorf("its typ is not %s", tokenType)
		}
		kid, _ := t.Header["kid"].(string)
		return d.publicKey(ctx, kid)
	})
	if err != nil {
		return claims{}, fmt.Errorf("the token is not good: %w", err)
	}
	if err := c.check(want); err != nil {
		return claims{}, err
	}
	payload, err := parser.DecodeSegment(strings.Split(read.Raw, ".")[1])
	if err != nil {
		return claims{}, err
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, payload, "", "  "); err != nil {
		return claims{}, err
	}
	c.text = pretty.String()
	return c, nil
}

// check checks the claims that bind the token to this sign-in. A library can't know them.
func (c *claims) check(want expected) error {
	for _, check := range []struct {
		name string
		good bool
	}{
		{"org", c.Org == want.org},
		{"nonce", c.Nonce == want.nonce && want.nonce != ""},
		{"jti", c.ID != "" && (want.challenge == "" || c.ID == want.challenge)},
		{"purpose", c.Purpose == want.purpose},
		{"action", c.Action == want.action},
		{"decision", c.Decision == want.decision},
		{"verified", c.Verified == (want.decision != "allow")},
	} {
		if !check.good {
			return fmt.Errorf("the token's %s is not what it must be", check.name)
		}
	}
	return nil
}

// publicKey returns the issuer's public key with this id. If it doesn't know the key, it fetches the keys again, because they
// change.
func (d *Demo) publicKey(ctx context.Context, kid string) (*ecdsa.PublicKey, error) {
	d.mu.Lock()
	key := d.keys[kid]
	d.mu.Unlock()
	if key != nil {
		return key, nil
	}
	keys, err := d.fetchKeys(ctx)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keys = keys
	if key := keys[kid]; key != nil {
		return key, nil
	}
	return nil, errors.New("the token names a key that is not published")
}

func (d *Demo) fetchKeys(ctx context.Context) (map[string]*ecdsa.PublicKey, error) {
	var set struct {
		Keys []struct{ Kty, Crv, X, Y, Kid string }
	}
	if err := d.call(ctx, request{method: "GET", path: "/.well-known/jwks.json"}, &set); err != nil {
		return nil, fmt.Errorf("fetch the key set: %w", err)
	}
	keys := map[string]*ecdsa.PublicKey{}
	for _, k := range set.Keys {
		if k.Kty != "EC" || k.Crv != "P-256" {
			continue
		}
		x, errX := base64.RawURLEncoding.DecodeString(k.X)
		y, errY := base64.RawURLEncoding.DecodeString(k.Y)
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
		if err := errors.Join(errX, errY, err); err != nil {
			return nil, fmt.Errorf("read the key set: %w", err)
		}
		keys[k.Kid] = key
	}
	return keys, nil
}
