package mfa

import (
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"crypto/rand"
	"strings"
	"time"
	"unicode"
)

// A recovery code is 120 random bits (above the 112 of NIST SP 800-63B-4 section 3.1.2.2, so that a keyed digest is
// enough), written in Crockford's base32 as six groups of four.
const (
	recoveryAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	recoveryLen      = 24
	recoveryGroup    = 4
	mostRecoveryText = 128 // bytes that a person may type for one
	fewLeft          = 2
)

func newRecoveryCode() seal.Secret {
	var random [recoveryLen]byte
	rand.Read(random[:])
	var text strings.Builder
	for i, b := range random {
		if i > 0 && i%recoveryGroup == 0 {
			text.WriteByte('-')
		}
		text.WriteByte(recoveryAlphabet[b%32])
	}
	return seal.NewSecret(text.String())
}

// canonicalRecovery reads what a person typed: case, spaces and dashes don't matter, O is 0, I and L are 1. Anything that
// then isn't a whole code is no guess.
func canonicalRecovery(typed seal.Secret) (seal.Secret, error) {
	text := typed.Reveal()
	read := make([]byte, 0, recoveryLen)
	for _, r := range text[:min(len(text), mostRecoveryText)] {
		switch {
		case unicode.IsSpace(r), unicode.Is(unicode.Dash, r):
			continue
		case r >= 'a' && r <= 'z': // no others: some letters that aren't ASCII have capitals that are
			r -= 'a' - 'A'
		}
		switch r {
		case 'O':
			r = '0'
		case 'I', 'L':
			r = '1'
		}
		if r > unicode.MaxASCII || !strings.ContainsRune(recoveryAlphabet, r) || len(read) == recoveryLen {
			return seal.Secret{}, invalid("code", "A recovery code has 24 letters and digits.")
		}
		read = append(read, byte(r))
	}
	if len(read) != recoveryLen || len(text) > mostRecoveryText {
		return seal.Secret{}, invalid("code", "A recovery code has 24 letters and digits.")
	}
	return seal.NewSecret(string(read)), nil
}

func (g *guard) recoveryFields(set string, canonical seal.Secret) []string {
	return []string{g.Org, g.User, set, canonical.Reveal()}
}

// newRecovery puts a new set in the place of the user's, as the policy counts. The codes are in u.codes: they are the
// same over all tries of one call, so that whichever try is committed, they are what the caller hears.
func (u *unit) newRecovery(g *guard, p *orgPolicy) {
	g.RecoveryCodesDue, g.Recovery = false, nil
	for len(u.codes) < p.Recovery.Count {
		u.codes = append(u.codes, newRecoveryCode())
	}
	if u.codes = u.codes[:p.Recovery.Count]; len(u.codes) == 0 {
		u.codes = nil
		return
	}
	set := &recoverySet{ID: rand.Text(), Made: u.now, MadeBy: u.version, PolicyVersion: p.Version}
	for _, code := range u.codes {
		canonical := seal.NewSecret(strings.ReplaceAll(code.Reveal(), "-", ""))
		set.Codes = append(set.Codes, u.ring.Digest("recovery", g.recoveryFields(set.ID, canonical)...))
	}
	g.Recovery = set
	for _, known := range []bool{false, true} {
		g.WrongRecoveryCodes.right(recoveryBudget(), known, u.now) // none of these has been guessed at
	}
}

// recoverySet is the user's set of recovery codes, or nil where there is none that p lets count. A policy that has no
// recovery codes ends every set that was made before it, and a later policy doesn't bring them back.
func (g *guard) recoverySet(p *orgPolicy) *recoverySet {
	if g.Recovery == nil || p.Recovery.Count == 0 || g.Recovery.PolicyVersion < p.RecoveryEnded {
		return nil
	}
	return g.Recovery
}

// codesLeft is how many recovery codes the user has, under p.
func (g *guard) codesLeft(p *orgPolicy) int {
	if set := g.recoverySet(p); set != nil {
		return len(set.Codes)
	}
	return 0
}

// recoverable reports whether a recovery code would be looked at now, in a browser that is known or not.
func (g *guard) recoverable(p *orgPolicy, known bool, now time.Time) bool {
	_, locked := g.WrongRecoveryCodes.locked(known, now)
	return !locked && g.codesLeft(p) > 0
}

// The effects of a recovery code.
const (
	EffectSignIn  = "sign_in" // it signs in, once
	EffectReset   = "reset"   // it also removes factors, trust and the set
	EffectReenrol = "reenrol" // it lets in through a new enrolment, which replaces all of that
)

// A RecoveryState says how many recovery codes are left, and when their set was made.
type RecoveryState struct {
	CodesLeft int        `json:"codes_left"`
	Created   *time.Time `json:"created"`
	FewLeft   bool       `json:"few_left"` // time for a new set
}

func (g *guard) recoveryState(p *orgPolicy) RecoveryState {
	set := g.recoverySet(p)
	if set == nil {
		return RecoveryState{}
	}
	made := set.Made
	left := len(set.Codes)
	return RecoveryState{CodesLeft: left, Created: &made, FewLeft: left <= fewLeft && left < p.Recovery.Count}
}

// recoverySet is the codes that are left of one set, as keyed digests.
type recoverySet struct {
	ID     string        `json:"id"` // random
	Made   time.Time     `json:"made"`
	MadeBy store.Version `json:"by,omitempty"` // the commit that made it

	PolicyVersion int      `json:"policy_version,omitempty"` // that it was made under
	Codes         []string `json:"codes"`
}
