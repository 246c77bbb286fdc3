package mfa

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"time"
	"unicode"

	"countersign/pkg/apikey"
	"countersign/pkg/seal"
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
	g.Owed, g.Recovery = false, nil
	for len(u.codes) < p.Recovery.Count {
		u.codes = append(u.codes, newRecoveryCode())
	}
	if u.codes = u.codes[:p.Recovery.Count]; len(u.codes) == 0 {
		u.codes = nil
		return
	}
	set := &recoverySet{ID: rand.Text(), Made: u.now, By: u.token, PolicyVersion: p.Version}
	for _, code := range u.codes {
		canonical := seal.NewSecret(strings.ReplaceAll(code.Reveal(), "-", ""))
		set.Codes = append(set.Codes, u.ring.Digest("recovery", g.recoveryFields(set.ID, canonical)...))
	}
	g.Recovery = set
	for _, known := range []bool{false, true} {
		g.Looked.right(recoveryBudget(), known, u.now) // none of these has been guessed at
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
	_, locked := g.Looked.locked(known, now)
	return !locked && g.codesLeft(p) > 0
}

// A RecoverRequest is an answer to a challenge by a recovery code.
type RecoverRequest struct {
	Challenge string      `json:"-"`
	Code      seal.Secret `json:"code"`
}

// The effects of a recovery code.
const (
	EffectSignIn  = "sign_in" // it signs in, once
	EffectReset   = "reset"   // it also removes factors, trust and the set
	EffectReenrol = "reenrol" // it lets in through a new enrolment, which replaces all of that
)

// A RecoverAnswer is a challenge that was answered by a recovery code. It has no token where the sign-in goes on with
// Enrolment: the token comes with its finish.
type RecoverAnswer struct {
	Verified  bool           `json:"verified"`
	IssuedAt  *time.Time     `json:"issued_at,omitempty"`
	Token     *seal.Secret   `json:"token,omitempty"`
	Effect    string         `json:"effect"`
	CodesLeft int            `json:"codes_left"`
	Enrolment *EnrolmentToDo `json:"enrolment,omitempty"`
}

// WithoutShownOnce is the answer as it is repeated once what is shown once may no longer be.
func (a RecoverAnswer) WithoutShownOnce() any {
	a.Enrolment = a.Enrolment.withoutToken()
	return a
}

// Recover looks at one recovery code. Wrong ones have a budget of their own, which no lock of the other codes touches.
//
// It answers WrongCode with what is left of that budget, Locked when it is spent, MethodForbidden where the user has no
// recovery codes or the step-up asks for a kind of factor, ChallengeInvalid as Verify does, and InvalidRequest,
// uncounted, for what can't be a recovery code.
func (s *Service) Recover(ctx context.Context, call Call, q RecoverRequest) (RecoverAnswer, error) {
	code, err := canonicalRecovery(q.Code)
	if err != nil {
		return RecoverAnswer{}, err
	}
	var v sight
	reads := s.lookAt(q.Challenge, &v)
	var bearer seal.Secret // of the enrolment that this may lead to: the same over all tries
	return run(ctx, s, call, step[RecoverAnswer]{
		scope: apikey.SignIn, token: seal.ChallengeToken, named: challengeNamed(q.Challenge), reads: reads,
		decide: func(u *unit) (RecoverAnswer, error) {
			if bearer.IsZero() {
				bearer = u.newToken(seal.EnrolmentToken, q.Challenge)
			}
			return v.recover(u, code, bearer)
		},
	})
}

func (v *sight) recover(u *unit, code, bearer seal.Secret) (RecoverAnswer, error) {
	slot, err := v.open(u)
	if slot != nil && slices.Contains(u.tokens, slot.By) {
		// What it did was committed, and the answer to the commit was lost.
		switch {
		case slot.State == verified && slot.Effect != "":
			return v.recovered(u, slot)
		case slot.State == "" && slot.Effect != "":
			return v.toEnrol(slot, bearer), nil
		case slot.State == "":
			return RecoverAnswer{}, wrongCode(v.a.guard.Looked.left(recoveryBudget(), v.ch.Known, u.now))
		}
	}
	switch {
	case err != nil:
		return RecoverAnswer{}, err
	case v.ch.Enrolment != "":
		return RecoverAnswer{}, challengeInvalid()
	case !v.settled(slot):
		return RecoverAnswer{}, errUnsettled
	}
	g := v.a.guard
	switch until, locked := g.Looked.locked(v.ch.Known, u.now); {
	case v.ch.Only != "":
		return RecoverAnswer{}, refuse(MethodForbidden, "This step-up can be answered only with a factor of the kind that it names.")
	case g.codesLeft(v.p) == 0:
		return RecoverAnswer{}, refuse(MethodForbidden, "The user has no recovery codes left.")
	case v.p.Recovery.Effect == EffectReenrol && len(v.a.bare().enrollable(&v.p.Policy)) == 0:
		return RecoverAnswer{}, refuse(MethodForbidden, "After a recovery code the user has to enrol a new factor, and the policy allows none that the user could enrol.")
	case locked:
		return RecoverAnswer{}, lockedUntil(until, u.now)
	}
	at := -1
	for i, digest := range g.Recovery.Codes {
		right, err := u.ring.Check(digest, "recovery", g.recoveryFields(g.Recovery.ID, code)...)
		if err != nil {
			return RecoverAnswer{}, err
		}
		if right {
			at = i
		}
	}
	if at < 0 {
		return RecoverAnswer{}, v.wrongRecovery(u)
	}
	g.Recovery.Codes = slices.Delete(g.Recovery.Codes, at, at+1)
	g.Guesses.right(codeBudget(), v.ch.Known, u.now)
	g.Looked.right(recoveryBudget(), v.ch.Known, u.now)
	u.event(v.ch.event(RecoveryUsed, map[string]any{"effect": v.p.Recovery.Effect, "codes_left": len(g.Recovery.Codes)}))
	return v.effect(u, bearer)
}

// wrongRecovery counts a wrong recovery code against the user.
func (v *sight) wrongRecovery(u *unit) error {
	g := v.a.guard
	g.open(&v.ch.challenge, u.now).By = u.token
	locked := g.Looked.wrong(recoveryBudget(), v.ch.Known, u.now)
	left := g.Looked.left(recoveryBudget(), v.ch.Known, u.now)
	u.event(v.ch.event(ChallengeFailed, map[string]any{"recovery": true, "attempts_left": left}))
	if locked {
		data := g.Looked.lock(v.ch.Known, u.now)
		data["recovery"] = true
		u.event(v.ch.event(ChallengeLocked, data))
	}
	u.putGuard(v.a, v.p)
	return wrongCode(left)
}

// effect carries out what the policy says a recovery code does beyond being spent.
func (v *sight) effect(u *unit, bearer seal.Secret) (RecoverAnswer, error) {
	g, effect := v.a.guard, v.p.Recovery.Effect
	var kinds []Kind
	switch effect {
	case EffectReset:
		if g.Enabled {
			u.event(v.a.event(UserDisabled, v.p, map[string]any{"cause": "recovery"})) // recovery.used brings the notice
		}
		u.removeAll(v.a, v.p, "recovery")
		if g.required(&v.p.Policy) && len(v.a.factors(&v.p.Policy)) == 0 {
			kinds = v.a.enrollable(&v.p.Policy)
		}
		u.list(v.a)
	case EffectReenrol:
		kinds = v.a.bare().enrollable(&v.p.Policy)
	}
	ch := &v.ch.challenge
	ch.Epoch = g.Epoch
	if len(kinds) > 0 {
		ch.Enrolment, ch.Recovered, ch.Code = seal.HashBearer(bearer.Reveal()), effect, nil
		ch.Expires = u.now.Add(time.Duration(v.p.Challenge.WindowS) * time.Second)
	}
	slot := g.open(ch, u.now)
	slot.Effect, slot.Left, slot.By = effect, g.codesLeft(v.p), u.token
	if len(kinds) > 0 {
		slot.Until, slot.Sequence = ch.Expires, 0
		u.putGuard(v.a, v.p)
		u.put(v.ch.item, ch, ch.Expires.Add(shownFor))
		return v.toEnrol(slot, bearer), nil
	}
	v.end(u, slot, verified)
	u.event(ch.event(ChallengeVerified, map[string]any{"recovery": true}))
	u.putGuard(v.a, v.p)
	return v.recovered(u, slot)
}

// recovered is what a challenge answers that a recovery code has ended.
func (v *sight) recovered(u *unit, s *slot) (RecoverAnswer, error) {
	token, err := v.token(u, s)
	at := s.At
	return RecoverAnswer{Verified: true, IssuedAt: &at, Token: &token, Effect: s.Effect, CodesLeft: s.Left}, err
}

// toEnrol is what a challenge answers that goes on with an enrolment.
func (v *sight) toEnrol(s *slot, bearer seal.Secret) RecoverAnswer {
	return RecoverAnswer{
		Verified: true, Effect: s.Effect, CodesLeft: s.Left,
		Enrolment: &EnrolmentToDo{Token: &bearer, Expires: v.ch.Expires, Kinds: v.a.bare().enrollable(&v.p.Policy)},
	}
}

// A RecoveryCodes is a new set, shown once.
type RecoveryCodes struct {
	RecoveryCodes []seal.Secret `json:"recovery_codes,omitempty"`
	Created       time.Time     `json:"created"`
}

// WithoutShownOnce is the answer as it is repeated once what is shown once may no longer be.
func (a RecoveryCodes) WithoutShownOnce() any {
	a.RecoveryCodes = nil
	return a
}

// NewRecoveryCodes makes a new set of recovery codes; the one before it is dead when the call returns. It needs a fresh
// user. It answers MethodForbidden where the policy has none, or the user has no factor that they could stand in for.
func (s *Service) NewRecoveryCodes(ctx context.Context, call Call, org, user string) (RecoveryCodes, error) {
	return change(ctx, s, call, org, user, func(u *unit, a *account, p *orgPolicy) (RecoveryCodes, error) {
		if made := a.guard.Recovery; made != nil && slices.Contains(u.tokens, made.By) {
			return RecoveryCodes{RecoveryCodes: u.codes, Created: made.Made}, nil // by this very call, whose commit's answer was lost
		}
		if err := u.fresh(call, a, p); err != nil {
			return RecoveryCodes{}, err
		}
		if p.Recovery.Count == 0 || len(a.factors(&p.Policy)) == 0 {
			return RecoveryCodes{}, refuse(MethodForbidden, "The policy has no recovery codes, or the user has no factor that they could stand in for.")
		}
		u.newRecovery(a.guard, p)
		u.event(a.event(RecoveryMade, p, map[string]any{"codes_left": len(u.codes)}))
		u.putGuard(a, p)
		return RecoveryCodes{RecoveryCodes: u.codes, Created: u.now}, nil
	})
}
