package mfa

import (
	"time"

	"countersign/pkg/seal"
	"countersign/pkg/store"
)

// A pass lets a user in once who has nothing at hand to answer with. An administrator issues it and hands it over. It has the form
// of a recovery code, so that it can be typed where a recovery code can, and wrong guesses at it count as wrong recovery codes. A
// user has one pass at most. A new epoch ends it.

// effectPass is the effect of a pass: it signs the user in, once, and changes nothing. No policy gives it to a recovery code.
const effectPass = "pass"

// A pass is what the guard holds of the user's pass: a keyed digest, as of a recovery code.
type pass struct {
	ID     string        `json:"id" record:"1,word"` // a random word that the digest is bound to
	Digest string        `json:"digest" record:"2,secret"`
	Ends   time.Time     `json:"ends" record:"3"`
	MadeBy store.Version `json:"made_by" record:"4,word"` // the commit that made it

	PolicyVersion int `json:"policy_version" record:"5"` // the policy that it was made under
}

// newPass gives the user a pass in place of any earlier one.
func (u *unit) newPass(g *guard, p *orgPolicy, code seal.Secret, ends time.Time) {
	id := seal.ID("", nil)
	g.Pass = &pass{ID: id, Digest: u.ring.Digest("pass", g.recoveryFields(id, ungrouped(code))...), Ends: ends, MadeBy: u.version, PolicyVersion: p.Version}
}

// pass returns the user's pass, or nil if the user has none that is good under p. A policy that lowers pass.max_s ends every pass
// that was issued before it, and a later policy doesn't bring it back.
func (g *guard) pass(p *orgPolicy, now time.Time) *pass {
	if g.Pass == nil || !now.Before(g.Pass.Ends) || p.Pass.MaxS == 0 || g.Pass.PolicyVersion < p.PassesEnded {
		return nil
	}
	return g.Pass
}

// isPass reports whether a code in its canonical form is the user's pass.
func (u *unit) isPass(g *guard, p *orgPolicy, canonical seal.Secret) (bool, error) {
	pass := g.pass(p, u.now)
	if pass == nil {
		return false, nil
	}
	return u.ring.Check(pass.Digest, "pass", g.recoveryFields(pass.ID, canonical)...)
}
