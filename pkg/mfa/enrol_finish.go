package mfa

import (
	"context"
	"slices"
	"time"

	"countersign/pkg/seal"
	"countersign/pkg/store"
)

// A FinishRequest is the first answer with the factor that is being enrolled.
type FinishRequest struct {
	Enrolment string `json:"-"`
	Answer           // empty only where the address was proven before
}

// A FinishAnswer is an enrolled factor. RecoveryCodes are there when a new set was made, Token when the enrolment was part
// of a sign-in or a step-up, Offer where email could be enrolled as a backup.
type FinishAnswer struct {
	Factor        Factor          `json:"factor"`
	RecoveryCodes []seal.Secret   `json:"recovery_codes,omitempty"`
	Token         *seal.Secret    `json:"token,omitempty"`
	IssuedAt      *time.Time      `json:"issued_at,omitempty"`
	Offer         *EnrolmentOffer `json:"offer,omitempty"`
}

// WithoutShownOnce is the answer as it is repeated once what is shown once may no longer be.
func (a FinishAnswer) WithoutShownOnce() any {
	a.RecoveryCodes = nil
	return a
}

// FinishEnrolment looks at the first code of a factor, and if it is right the factor counts from then on. Wrong ones count
// against the enrolment and the user as at Verify; one that is right for a clock that is off says by how much. The code is
// spent: it is no good at a sign-in.
//
// A user's first factor turns 2FA on and brings recovery codes, where the policy has any. After a recovery whose effect is
// reenrol it takes the place of all earlier factors, trust and codes.
func (s *Service) FinishEnrolment(ctx context.Context, call Call, q FinishRequest) (FinishAnswer, error) {
	if !q.Answer.isZero() {
		if err := q.Answer.form(); err != nil {
			return FinishAnswer{}, err
		}
	}
	var v enrolmentView
	st := enrolmentStep[FinishAnswer](s, call, q.Enrolment, &v)
	st.decide = func(u *unit) (FinishAnswer, error) { return v.finish(u, &q) }
	return run(ctx, s, call, st)
}

func (v *enrolmentView) finish(u *unit, q *FinishRequest) (FinishAnswer, error) {
	slot, err := v.underWay(u, q.Enrolment)
	if slot != nil && slices.Contains(u.versions, slot.WrittenBy) {
		// Counted or done by this very call, whose commit's answer was lost.
		if slot.State == verified {
			return v.finished(u, slot)
		}
		return FinishAnswer{}, v.wrongFirst(u, q, v.left(slot, u.now))
	}
	if err != nil {
		return FinishAnswer{}, err
	}
	en := &v.a.pending
	if !settledEnrolment(en, slot) {
		return FinishAnswer{}, errUnsettled
	}
	kind := en.Factor.Kind.row()
	if !en.Proven {
		if err := kind.form(q.Answer); err != nil {
			return FinishAnswer{}, err
		}
	}
	if v.guessed(kind) {
		if err := v.checkLock(u.now); err != nil {
			return FinishAnswer{}, err
		}
	}
	if err := v.mayEnrol(en.Factor.Kind); err != nil {
		return FinishAnswer{}, err // the policy or the account has changed since it was begun
	}
	l := enrolledFactor{ID: en.Factor.ID, Kind: en.Factor.Kind, Used: u.now}
	right := en.Proven
	if !right {
		right, err = kind.check(v.question(u, &l), q.Answer)
	}
	if err != nil {
		return FinishAnswer{}, err
	}
	if !right {
		return FinishAnswer{}, v.wrongFirst(u, q, v.wrongFinish(u, kind))
	}
	return v.enrol(u, l)
}

// guessed reports whether an answer with a factor of the kind, which is being enrolled, could be a guess. A user who gave a
// recovery code and is shown the new factor's secret guesses at nothing, so a lock that somebody else's guesses brought
// doesn't keep that user out.
func (v *enrolmentView) guessed(kind kindRow) bool {
	recovered := v.byToken && v.ch.Recovered != ""
	return kind.guessable && !(recovered && kind.enrolleeHoldsSecret)
}

// wrongFirst is the answer to a wrong first answer, with what the kind can say of it besides.
func (v *enrolmentView) wrongFirst(u *unit, q *FinishRequest, left int) error {
	answer := wrongCode(left)
	en := &v.a.pending
	if e, explains := en.Factor.Kind.row().authenticator.(explainer); explains && en.ID == q.Enrolment {
		if err := e.explain(v.question(u, nil), q.Answer, answer); err != nil {
			return err
		}
	}
	return answer
}

// wrongFinish counts a wrong answer against the enrolment, and where it could be a guess against the user. It answers how
// many are left.
func (v *enrolmentView) wrongFinish(u *unit, kind kindRow) (left int) {
	g, en := v.a.guard, &v.a.pending
	slot := g.openEnrolmentSlot(en)
	slot.Wrong++
	slot.WrittenBy = u.version
	locked := false
	left = v.p.Challenge.Attempts - slot.Wrong
	if v.guessed(kind) {
		locked = g.WrongCodes.wrong(codeBudget(), v.knownBrowser(), u.now)
		left = v.left(slot, u.now)
	}
	if slot.Wrong >= v.p.Challenge.Attempts {
		slot.State, slot.EndedAt = failed, u.now
	}
	u.event(v.a.event(ChallengeFailed, v.p, map[string]any{"enrolment": en.ID, "attempts_left": left}))
	if locked {
		data := g.WrongCodes.lock(v.knownBrowser(), u.now)
		data["enrolment"] = en.ID
		u.event(v.a.event(ChallengeLocked, v.p, data))
	}
	u.putGuard(v.a, v.p)
	return left
}

// enrol makes the factor count.
func (v *enrolmentView) enrol(u *unit, l enrolledFactor) (FinishAnswer, error) {
	g, en := v.a.guard, v.a.pending
	enabled := g.Enabled
	if v.byToken && v.ch.Recovered == EffectReenrol {
		u.removeAll(v.a, v.p, "reenrolled")
	}
	if len(g.Factors) == 0 && !g.Enabled {
		g.Enabled = true
		if !enabled {
			u.event(v.a.event(UserEnabled, v.p, nil))
		}
	}
	g.Factors = append(g.Factors, l)
	record := en.Factor
	record.Created = u.now
	v.a.enrolled = append(v.a.enrolled, &record)
	data := map[string]any{"factor": record.ID, "kind": record.Kind}
	if en.Reason != "" {
		data["reason"] = en.Reason
	}
	e := v.a.event(FactorEnrolled, v.p, data)
	if en.Actor != nil {
		e.Actor = *en.Actor
	}
	u.event(e)
	switch {
	case g.recoverySet(v.p) != nil:
		u.codes = nil
	case en.Actor != nil:
		u.codes, g.RecoveryCodesDue = nil, v.p.Recovery.Count > 0
	default:
		u.newRecovery(g, v.p)
	}
	slot := g.openEnrolmentSlot(&en)
	slot.State, slot.EndedAt, slot.WrittenBy, slot.Kind, slot.Factor = verified, u.now, u.version, l.Kind, l.ID
	if v.byToken {
		g.MFATime = u.now
		ended := g.openSlot(v.ch, u.now)
		v.conclude(u, ended, verified)
		ended.Kind, ended.Factor, ended.Effect = l.Kind, l.ID, v.ch.Recovered
		u.event(v.ch.event(ChallengeVerified, map[string]any{"kind": l.Kind, "factor": l.ID, "enrolled": true}))
	}
	u.put(store.Item{Key: factorKey(v.a.route, record.ID)}, &record, time.Time{})
	u.delete(v.a.pending.Item)
	u.putRosterEntry(v.a)
	u.putGuard(v.a, v.p)
	return v.finished(u, slot)
}

// finished is what the finish of an enrolment answers: at once, and again to its own retry.
func (v *enrolmentView) finished(u *unit, s *slot) (FinishAnswer, error) {
	answer := FinishAnswer{Factor: v.brought(s)}
	if v.byToken {
		ended := v.a.guard.slot(v.ch.ID)
		if ended == nil {
			return FinishAnswer{}, enrolmentInvalid() // a retry so late that the guard has forgotten the challenge
		}
		var err error
		if answer, err = v.enrolled(u, ended); err != nil {
			return FinishAnswer{}, err
		}
	}
	answer.RecoveryCodes = u.codes
	answer.Offer = v.a.backupOffer(answer.Factor.Kind, v.p)
	return answer, nil
}

// backupOffer offers a user who has just enrolled a factor of one kind those that could back it up; nil: none could.
func (a *account) backupOffer(enrolled Kind, p *orgPolicy) *EnrolmentOffer {
	kinds := slices.DeleteFunc(p.offered(), func(k Kind) bool { return k == enrolled || a.mayEnrol(k, &p.Policy) != nil })
	if len(kinds) == 0 {
		return nil
	}
	return &EnrolmentOffer{Kinds: kinds}
}

// enrolled is what a challenge answers that an enrolment has ended.
func (v *challengeView) enrolled(u *unit, s *slot) (FinishAnswer, error) {
	token, err := v.signToken(u, s)
	if err != nil {
		return FinishAnswer{}, err
	}
	at := s.EndedAt
	return FinishAnswer{Token: &token, IssuedAt: &at, Factor: v.brought(s)}, nil
}

// brought is the factor of an enrolment that has ended. It may have been removed since.
func (v *challengeView) brought(s *slot) Factor {
	if h := v.a.factor(s.Factor); h != nil {
		return h.shown(v.a.guard.enrolled(s.Factor))
	}
	return Factor{ID: s.Factor, Kind: s.Kind, Created: s.EndedAt}
}
