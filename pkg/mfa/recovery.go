package mfa

import (
	"crypto/rand"
	"strings"
	"time"
	"unicode"

	"countersign/pkg/seal"
	"countersign/pkg/store"
)

// A recovery code has 120 random bits, and is written in Crockford's base32 as six groups of four. That is more than the 112
// bits of NIST SP 800-63B-4 section 3.1.2.2, so a keyed digest is enough.
const (
	recoveryAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	recoveryLen      = 24
	recoveryGroup    = 4
	mostRecoveryText = 128 // bytes that a person may type for one
	fewLeft          = 2   // with so many codes left, it is time for a new set
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

// canonicalRecovery reads what a person typed. Case, spaces and dashes don't matter, O stands for 0, and I and L for 1. If
// the result is not a whole code, it returns InvalidRequest, and nothing is counted as a guess.
func canonicalRecovery(typed seal.Secret) (seal.Secret, error) {
	text := typed.Reveal()
	read := make([]byte, 0, recoveryLen)
	for _, r := range text[:min(len(text), mostRecoveryText)] {
		switch {
		case unicode.IsSpace(r), unicode.Is(unicode.Dash, r):
			continue
		case r >= 'a' && r <= 'z': // only these: some letters outside ASCII have a capital in ASCII
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

// ungrouped returns the canonical form of a code that newRecoveryCode has made.
func ungrouped(code seal.Secret) seal.Secret {
	return seal.NewSecret(strings.ReplaceAll(code.Reveal(), "-", ""))
}

func (g *guard) recoveryFields(set string, canonical seal.Secret) []string {
	return []string{g.Org, g.User, set, canonical.Reveal()}
}

// newRecovery replaces the user's recovery codes by a new set of as many as the policy says. The codes are in u.codes. They
// are the same in all tries of a call, so that the caller gets those that were committed, whichever try it was.
func (u *unit) newRecovery(g *guard, p *orgPolicy) {
	g.RecoveryCodesDue, g.Recovery = false, nil
	for len(u.codes) < p.Recovery.Count {
		u.codes = append(u.codes, newRecoveryCode())
	}
	if u.codes = u.codes[:p.Recovery.Count]; len(u.codes) == 0 {
		u.codes = nil
		return
	}
	set := &recoverySet{ID: seal.ID("", nil), Made: u.now, MadeBy: u.version, PolicyVersion: p.Version}
	for _, code := range u.codes {
		set.Codes = append(set.Codes, u.ring.Digest("recovery", g.recoveryFields(set.ID, ungrouped(code))...))
	}
	g.Recovery = set
	for _, known := range []bool{false, true} {
		g.WrongRecoveryCodes.right(recoveryBudget(), known, u.now) // nobody has guessed at the new codes yet
	}
}

// recoverySet returns the user's set of recovery codes, or nil if the user has none that counts under p. A policy without
// recovery codes ends every set that was made before it, and a later policy doesn't bring them back.
func (g *guard) recoverySet(p *orgPolicy) *recoverySet {
	if g.Recovery == nil || p.Recovery.Count == 0 || g.Recovery.PolicyVersion < p.RecoveryEnded {
		return nil
	}
	return g.Recovery
}

// codesLeft returns how many recovery codes the user has left, under p.
func (g *guard) codesLeft(p *orgPolicy) int {
	if set := g.recoverySet(p); set != nil {
		return len(set.Codes)
	}
	return 0
}

// recoverable reports whether a recovery code or a pass would be checked now, in a browser that is known or is not.
func (g *guard) recoverable(p *orgPolicy, known bool, now time.Time) bool {
	_, locked := g.WrongRecoveryCodes.locked(known, now)
	return !locked && (g.codesLeft(p) > 0 || g.pass(p, now) != nil)
}

// The effects that a policy can give to a recovery code.
const (
	EffectSignIn  = "sign_in" // it signs the user in, once
	EffectReset   = "reset"   // it also removes factors, trust and the set
	EffectReenrol = "reenrol" // it leads to a new enrolment, which replaces all of these
)

// A RecoveryState says how many recovery codes are left, and when their set was made.
type RecoveryState struct {
	CodesLeft int        `json:"codes_left"`
	Created   *time.Time `json:"created"`
	FewLeft   bool       `json:"few_left"` // it is time for a new set
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

// A recoverySet is what is left of one set of recovery codes, as keyed digests.
type recoverySet struct {
	ID     string        `json:"id" record:"1,word"` // a random word that the digests are bound to
	Made   time.Time     `json:"made" record:"2"`
	MadeBy store.Version `json:"made_by" record:"3,word"` // the commit that made it

	PolicyVersion int      `json:"policy_version" record:"4"` // the policy that it was made under
	Codes         []string `json:"codes" record:"5,secret"`
}
