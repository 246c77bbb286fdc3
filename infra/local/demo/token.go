package demo

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// A token is looked at as any client has to: one algorithm, one type, a key that the issuer publishes, and then every
// claim that binds it to this application, this user and this very sign-in.

const (
	tokenType = "countersign+jwt"
	skew      = 5 * time.Second // between the clocks of issuer and client
)

// claims are those that the application looks at.
type claims struct {
	Issuer        string   `json:"iss"`
	Audience      string   `json:"aud"`
	Subject       string   `json:"sub"`
	Org           string   `json:"org"`
	Verified      bool     `json:"verified"`
	IssuedAt      int64    `json:"iat"`
	Expires       int64    `json:"exp"`
	ID            string   `json:"jti"`
	Nonce         string   `json:"nonce"`
	Purpose       string   `json:"purpose"`
	Action        string   `json:"action"`
	Decision      string   `json:"decision"`
	Reason        string   `json:"reason"`
	AMR           []string `json:"amr"`
	ACR           string   `json:"acr"`
	PolicyVersion int      `json:"policy_version"`

	text string // all of them, as they came
}

// expected is what a token must say.
type expected struct {
	issuer, audience, org, user, nonce string
	purpose, action                    string
	decision                           string // the one that was answered; verified goes with a challenge
	now                                time.Time
}

// checkToken verifies a token's signature against the issuer's published keys, and its claims. Its errors say which
// check failed.
func (d *Demo) checkToken(ctx context.Context, token string, want expected) (claims, error) {
	var c claims
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, errors.New("the token has not three parts")
	}
	var header struct{ Alg, Typ, Kid string }
	payload, payloadErr := base64.RawURLEncoding.DecodeString(parts[1])
	signature, signatureErr := base64.RawURLEncoding.DecodeString(parts[2])
	if err := errors.Join(decodePart(parts[0], &header), payloadErr, signatureErr); err != nil {
		return c, fmt.Errorf("the token can't be read: %w", err)
	}
	if header.Alg != "ES256" || header.Typ != tokenType {
		return c, fmt.Errorf("the token is a %q signed by %q", header.Typ, header.Alg)
	}
	key, err := d.publicKey(ctx, header.Kid)
	if err != nil {
		return c, err
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if len(signature) != 64 || !ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		return c, errors.New("the token's signature is wrong")
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return c, errors.New("the token's claims can't be read")
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, payload, "", "  "); err != nil {
		return c, err
	}
	c.text = pretty.String()
	return c, c.check(want)
}

func (c *claims) check(want expected) error {
	for _, check := range []struct {
		name string
		good bool
	}{
		{"iss", c.Issuer == want.issuer},
		{"aud", c.Audience == want.audience},
		{"org", c.Org == want.org},
		{"sub", c.Subject == want.user},
		{"nonce", c.Nonce == want.nonce && want.nonce != ""},
		{"purpose", c.Purpose == want.purpose},
		{"action", c.Action == want.action},
		{"decision", c.Decision == want.decision},
		{"verified", c.Verified == (want.decision == "challenge")},
		{"exp", want.now.Before(time.Unix(c.Expires, 0).Add(skew))},
		{"iat", !want.now.Add(skew).Before(time.Unix(c.IssuedAt, 0))},
	} {
		if !check.good {
			return fmt.Errorf("the token's %s is not what it must be", check.name)
		}
	}
	return nil
}

func decodePart(part string, into any) error {
	raw, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

// publicKey is the issuer's key of that id. One that isn't known is looked for once more: keys change.
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
	return nil, errors.New("the token names a key that isn't published")
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
