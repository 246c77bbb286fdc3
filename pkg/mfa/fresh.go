package mfa

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"

	"countersign/pkg/seal"
)

const (
	freshFor  = 10 * time.Minute // a password check, and a step-up as proof
	clockSkew = time.Minute      // that a client's clock may be ahead
)

// The action that a step-up must be bound to, or to none, to be proof for a change of the account.
const accountAction = "account"

// fresh refuses a change of an account unless the client has just checked the user's password and, while the user's 2FA
// is on, the user has just stepped up. It binds neither to the change: whoever holds the client's key is believed.
func (u *unit) fresh(call Call, a *account, p *orgPolicy) error {
	at, err := time.Parse(time.RFC3339, call.Reauthenticated)
	if err != nil || u.now.Sub(at) > freshFor || at.Sub(u.now) > clockSkew {
		return refuse(ReauthenticationNeeded, "Check the user's password again, and say when in Countersign-Reauthenticated-At (RFC 3339, at most 10 minutes ago).")
	}
	if !a.on(&p.Policy) {
		return nil
	}
	ok, err := u.proves(call.Proof, a.guard)
	switch {
	case err != nil:
		return err
	case !ok:
		return refuse(StepUpNeeded, "The user's 2FA is on: let the user step up, and give the token of that verify in Countersign-Proof within 10 minutes.")
	}
	return nil
}

// proves reports whether token is that of a step-up which this user has just answered with a factor, for this client.
// It is bound to the user's epoch, and so dies with the next reset or revocation.
func (u *unit) proves(token seal.Secret, g *guard) (bool, error) {
	raw, err := u.ring.Verify(token.Reveal())
	switch {
	case errors.Is(err, seal.ErrUnknownKey) && !u.reloaded:
		return false, err
	case err != nil:
		return false, nil
	}
	var c tokenClaims
	if err := json.Unmarshal(raw, &c); err != nil {
		return false, nil
	}
	age := u.now.Sub(time.Unix(c.IssuedAt, 0))
	return c.Issuer == u.s.Issuer && c.Audience == u.caller.key.Client && c.Org == g.Org && c.Subject == g.User &&
		c.Verified && !c.Recovered && c.Decision == Challenge && c.Purpose == StepUp &&
		(c.Action == nil || *c.Action == accountAction) &&
		c.Epoch == epochClaim(g.Epoch) && age <= freshFor && age >= -clockSkew, nil
}

// epochClaim names an epoch in a token, and tells nothing of it.
func epochClaim(epoch string) string {
	if epoch == "" {
		return ""
	}
	sum := sha256.Sum256(seal.Join("epoch of a token", epoch))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}
