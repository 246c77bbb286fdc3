package mfa

import (
	"errors"

	"countersign/pkg/seal"
)

// A known token says that this user has answered a challenge rightly in the browser that holds the token. The user is asked
// there all the same, but wrong answers count in a budget of their own. A known token is stored nowhere. A new epoch ends it.
// So does a new known word in the guard, when one browser is revoked or a theft is suspected.

// knownFacts returns what the user's known tokens are bound to.
func (g *guard) knownFacts() []string { return []string{g.Org, g.User, g.Epoch, g.KnownWord} }

// knownToken makes the token for a browser where the user has just answered rightly.
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
		return false, nil // the reloaded ring doesn't have that key either: the token is worth nothing
	}
	return known, err
}

// endKnownTokens ends all known tokens that the user has been given so far. Answers that were given before bring none any
// more.
func (g *guard) endKnownTokens() {
	g.KnownWord = newEpoch()
	for i := range g.Slots {
		g.Slots[i].KnownTokensEnded = true
	}
}
