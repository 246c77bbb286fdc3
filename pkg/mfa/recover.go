package mfa

import (
	"context"
	"slices"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/seal"
)

// A RecoverRequest answers a challenge with a recovery code or a pass.
type RecoverRequest struct {
	Challenge string      `json:"-"`
	Code      seal.Secret `json:"code"`
}

// A RecoverAnswer says that a challenge was answered with a recovery code or a pass. If the sign-in goes on with Enrolment, it has no
// token: that comes with FinishEnrolment.
type RecoverAnswer struct {
	Verified  bool           `json:"verified"`
	IssuedAt  *time.Time     `json:"issued_at,omitempty"`
	Token     *seal.Secret   `json:"token,omitempty"`
	Effect    string         `json:"effect"`
	CodesLeft int            `json:"codes_left"`
	Enrolment *EnrolmentToDo `json:"enrolment,omitempty"`
}

// WithoutShownOnce returns the answer as it is repeated once what is shown only once may not be repeated any more.
func (a RecoverAnswer) WithoutShownOnce() any {
	a.Enrolment = a.Enrolment.withoutToken()
	return a
}

// Recover checks one recovery code, or the user's pass. Wrong ones have a budget of their own, and a lock that other codes have
// brought doesn't hold for them.
//
// It returns WrongCode with what is left of that budget, Locked if it is spent, ChallengeInvalid as Verify does, and
// MethodForbidden if the user has no recovery codes and no pass, the step-up asks for a kind of factor, or an enrolment would have to
// follow and nothing can be enrolled. What can't be a recovery code is InvalidRequest, and is not counted.
func (s *Service) Recover(ctx context.Context, call Call, q RecoverRequest) (RecoverAnswer, error) {
	code, err := canonicalRecovery(q.Code)
	if err != nil {
		return RecoverAnswer{}, err
	}
	var v challengeView
	reads := s.viewChallenge(q.Challenge, &v)
	var bearer, handle seal.Secret // of the enrolment that this may lead to, and of the link to its page, the same in all tries
	return run(ctx, s, call, step[RecoverAnswer]{
		scope: apikey.SignIn, bearer: seal.ChallengeToken, named: challengeNamed(q.Challenge), reads: reads,
		decide: func(u *unit) (RecoverAnswer, error) {
			if bearer.IsZero() {
				bearer, handle = u.newToken(seal.EnrolmentToken, q.Challenge), u.newHandle(q.Challenge)
			}
			return v.recover(u, code, bearer, handle)
		},
	})
}

func (v *challengeView) recover(u *unit, code, bearer, handle seal.Secret) (RecoverAnswer, error) {
	slot, err := v.checkOpen(u)
	if slot != nil && slices.Contains(u.versions, slot.WrittenBy) {
		// An earlier try of this call was committed, and the answer to that commit was lost.
		switch {
		case slot.State == verified && slot.Effect != "":
			return v.recoverAnswer(u, slot)
		case slot.State == "" && slot.Effect != "":
			return v.toEnrol(slot, bearer, u.s.pageOf(EnrolmentToken, handle)), nil
		case slot.State == "":
			return RecoverAnswer{}, wrongCode(v.a.guard.WrongRecoveryCodes.left(recoveryBudget(), v.ch.KnownBrowser, u.now))
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
	passes := g.pass(v.p, u.now) != nil
	switch until, locked := g.WrongRecoveryCodes.locked(v.ch.KnownBrowser, u.now); {
	case v.ch.OnlyKind != "":
		return RecoverAnswer{}, refuse(MethodForbidden, "This step-up can be answered only with a factor of the kind that it names.")
	case g.codesLeft(v.p) == 0 && !passes:
		return RecoverAnswer{}, refuse(MethodForbidden, "The user has no recovery codes left.")
	case !passes && !v.recovers():
		return RecoverAnswer{}, refuse(MethodForbidden, "After a recovery code the user has to enrol a new factor, and the policy allows none that the user could enrol.")
	case locked:
		return RecoverAnswer{}, lockedUntil(until, u.now)
	}
	if right, err := u.isPass(g, v.p, code); err != nil {
		return RecoverAnswer{}, err
	} else if right {
		return v.usePass(u)
	}
	at, err := v.recoveryCode(u, code)
	if err != nil {
		return RecoverAnswer{}, err
	}
	if at < 0 {
		return RecoverAnswer{}, v.wrongRecovery(u)
	}
	g.Recovery.Codes = slices.Delete(g.Recovery.Codes, at, at+1)
	g.WrongCodes.right(codeBudget(), v.ch.KnownBrowser, u.now)
	g.WrongRecoveryCodes.right(recoveryBudget(), v.ch.KnownBrowser, u.now)
	u.event(v.ch.event(RecoveryUsed, map[string]any{"effect": v.p.Recovery.Effect, "codes_left": len(g.Recovery.Codes)}))
	return v.effect(u, bearer, handle)
}

// recovers reports whether what has to follow a recovery code can follow.
func (v *challengeView) recovers() bool {
	return v.p.Recovery.Effect != EffectReenrol || len(v.a.bare().enrollable(&v.p.Policy)) > 0
}

// recoveryCode returns which of the user's recovery codes a code is. It is negative if it is none of them.
func (v *challengeView) recoveryCode(u *unit, code seal.Secret) (at int, err error) {
	g := v.a.guard
	at = -1
	if set := g.recoverySet(v.p); set != nil && v.recovers() {
		for i, digest := range set.Codes {
			right, err := u.ring.Check(digest, "recovery", g.recoveryFields(set.ID, code)...)
			if err != nil {
				return -1, err
			}
			if right {
				at = i
			}
		}
	}
	return at, nil
}

// usePass spends the user's pass. It proves nothing of the user, so it ends no lock of codes.
func (v *challengeView) usePass(u *unit) (RecoverAnswer, error) {
	g := v.a.guard
	g.Pass = nil
	g.WrongRecoveryCodes.right(recoveryBudget(), v.ch.KnownBrowser, u.now)
	slot := g.openSlot(v.ch, u.now)
	slot.Effect, slot.CodesLeft = effectPass, g.codesLeft(v.p)
	v.conclude(u, slot, verified)
	u.event(v.ch.event(PassUsed, map[string]any{"effect": effectPass}))
	u.event(v.ch.event(ChallengeVerified, map[string]any{"effect": effectPass}))
	u.putGuard(v.a, v.p)
	return v.recoverAnswer(u, slot)
}

// wrongRecovery counts a wrong recovery code, or a wrong pass, against the user.
func (v *challengeView) wrongRecovery(u *unit) error {
	g := v.a.guard
	g.openSlot(v.ch, u.now).WrittenBy = u.version
	locked := g.WrongRecoveryCodes.wrong(recoveryBudget(), v.ch.KnownBrowser, u.now)
	left := g.WrongRecoveryCodes.left(recoveryBudget(), v.ch.KnownBrowser, u.now)
	u.event(v.ch.event(ChallengeFailed, map[string]any{"recovery": true, "attempts_left": left}))
	if locked {
		data := g.WrongRecoveryCodes.lock(v.ch.KnownBrowser, u.now)
		data["recovery"] = true
		u.event(v.ch.event(ChallengeLocked, data))
	}
	u.putGuard(v.a, v.p)
	return wrongCode(left)
}

// effect carries out what a recovery code does, by the policy, besides being spent.
func (v *challengeView) effect(u *unit, bearer, handle seal.Secret) (RecoverAnswer, error) {
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
		u.putRosterEntry(v.a)
	case EffectReenrol:
		kinds = v.a.bare().enrollable(&v.p.Policy)
	}
	ch := v.ch
	ch.Epoch = g.Epoch
	if len(kinds) > 0 {
		ch.Enrolment, ch.Recovered, ch.Code = seal.HashBearer(bearer.Reveal()), effect, nil
		ch.Expires = u.now.Add(time.Duration(v.p.Challenge.WindowS) * time.Second)
	}
	slot := g.openSlot(ch, u.now)
	slot.Effect, slot.CodesLeft, slot.WrittenBy = effect, g.codesLeft(v.p), u.version
	if len(kinds) > 0 {
		slot.Until, slot.Sequence = ch.Expires, 0
		u.putGuard(v.a, v.p)
		page := u.linkTo(ch, handle, bearer)
		u.put(v.ch.Item, ch, ch.Expires.Add(shownFor))
		return v.toEnrol(slot, bearer, page), nil
	}
	v.conclude(u, slot, verified)
	u.event(ch.event(ChallengeVerified, map[string]any{"recovery": true}))
	u.putGuard(v.a, v.p)
	return v.recoverAnswer(u, slot)
}

// recoverAnswer is the answer to a challenge that a recovery code has ended.
func (v *challengeView) recoverAnswer(u *unit, s *slot) (RecoverAnswer, error) {
	token, err := v.signToken(u, s)
	at := s.issuedAt()
	return RecoverAnswer{Verified: true, IssuedAt: &at, Token: &token, Effect: s.Effect, CodesLeft: s.CodesLeft}, err
}

// toEnrol is the answer to a challenge that goes on with an enrolment.
func (v *challengeView) toEnrol(s *slot, bearer seal.Secret, page *seal.Secret) RecoverAnswer {
	return RecoverAnswer{
		Verified: true, Effect: s.Effect, CodesLeft: s.CodesLeft,
		Enrolment: &EnrolmentToDo{Token: &bearer, URL: page, Expires: v.ch.Expires, Kinds: v.a.bare().enrollable(&v.p.Policy)},
	}
}
