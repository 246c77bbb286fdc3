package mfa

import (
	"errors"

	"countersign/pkg/seal"
)

// A known token says that this user has answered a challenge rightly in the browser that holds it. It spares no question:
// wrong answers there are only counted in a budget of their own. It is stored nowhere. A new epoch ends it, and where one
// browser is revoked or a theft suspected, a new word in the guard does.

// knownFacts are all that the user's known tokens are bound to.
func (g *guard) knownFacts() []string { return []string{g.Org, g.User, g.Epoch, g.KnownWord} }

// knownToken is the token for a browser where the user has just answered rightly.
func (g *guard) knownToken(ring *seal.Ring) (*seal.Secret, error) {
	token, err := seal.KnownToken.Make(ring, ring.Newest(), nil, g.knownFacts()...)
	if err != nil {
		return nil, err
	}
	return &token, nil
}

// knowsBrowser reports whether a token that came with a start is a known token of this user.
func (u *unit) knowsBrowser(g *guard, token seal.Secret) (bool, error) {
	t, ok := seal.KnownToken.Parse(token)
	if !ok {
		return false, nil
	}
	known, err := t.Check(u.ring, g.knownFacts()...)
	if errors.Is(err, seal.ErrUnknownKey) && u.reloaded {
		return false, nil // no ring of ours has that key: the token is worth nothing, and the next verify gives another
	}
	return known, err
}

// endKnownTokens ends every known token of the user that was given so far. None is given again for an answer of before.
func (g *guard) endKnownTokens() {
	g.KnownWord = newEpoch()
	for i := range g.Slots {
		g.Slots[i].KnownTokensEnded = true
	}
}
