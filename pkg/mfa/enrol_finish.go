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
	Answer           // empty only if the address was proven before
}

// A FinishAnswer is an enrolled factor. It has RecoveryCodes if a new set was made, Token if the enrolment has answered a
// sign-in or a step-up, and Offer if a factor of another kind could be enrolled as a backup.
type FinishAnswer struct {
	Factor        Factor          `json:"factor"`
	RecoveryCodes []seal.Secret   `json:"recovery_codes,omitempty"`
	Token         *seal.Secret    `json:"token,omitempty"`
	IssuedAt      *time.Time      `json:"issued_at,omitempty"`
	Offer         *EnrolmentOffer `json:"offer,omitempty"`
}

// WithoutShownOnce returns the answer as it is repeated once what is shown only once may not be repeated any more.
func (a FinishAnswer) WithoutShownOnce() any {
	a.RecoveryCodes = nil
	return a
}

// FinishEnrolment checks the first answer with a factor. If it is right, the factor counts from then on. Wrong answers count
// against the enrolment and the user as at Verify. If a code is right for a clock that is off, the refusal says by how much.
// The code is spent: it is not accepted at a sign-in. A security key or a passkey that is enrolled already, for this user or
// another one, is AlreadyExists.
//
// A user's first factor turns 2FA on and brings recovery codes, if the policy has any. After a recovery whose effect is
// reenrol, the new factor takes the place of all earlier factors, trust and codes.
func (s *Service) FinishEnrolment(ctx context.Context, call Call, q FinishRequest) (FinishAnswer, error) {
	if !q.Answer.isZero() {
		if err := q.Answer.form(); err != nil {
			return FinishAnswer{}, err
		}
	}
	var v enrolmentView
	st := enrolmentStep[FinishAnswer](s, call, q.Enrolment, &v)
	st.reads = append(st.reads, readOwner(q.Answer, &v.owner))
	if raw, ok := seal.ParseID("en_", q.Enrolment, routeLen); ok {
		st.reads = append(st.reads, readFence(route(raw), &v.passing))
	}
	st.decide = func(u *unit) (FinishAnswer, error) { return v.finish(u, &q) }
	return run(ctx, s, call, st)
}

func (v *enrolmentView) finish(u *unit, q *FinishRequest) (FinishAnswer, error) {
	slot, err := v.underWay(u, q.Enrolment)
	if slot != nil && slices.Contains(u.versions, slot.WrittenBy) {
		// An earlier try of this call has counted the answer or enrolled the factor, and the answer to its commit was lost.
		if slot.State == verified {
			return v.finished(u, slot)
		}
		return FinishAnswer{}, v.wrongFirst(u, q, v.left(slot, v.guessed(v.a.enrolment.Factor.Kind.row()), u.now))
	}
	if err != nil {
		return FinishAnswer{}, err
	}
	en := &v.a.enrolment
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
	enrolled := enrolledFactor{ID: en.Factor.ID, Kind: en.Factor.Kind, Used: u.now}
	asked, right := v.question(u, &enrolled), en.Proven
	if !right {
		right, err = kind.check(asked, q.Answer)
	}
	if err != nil {
		return FinishAnswer{}, err
	}
	if !right {
		return FinishAnswer{}, v.wrongFirst(u, q, v.wrongFinish(u, kind))
	}
	return v.enrol(u, asked)
}

// guessed reports whether an answer with the factor that is being enrolled could be a guess. A user who gave a recovery code
// and is shown the new factor's secret doesn't guess. So a lock that an attacker's guesses have brought doesn't keep that
// user out.
func (v *enrolmentView) guessed(kind kindRow) bool {
	recovered := v.byToken && v.ch.Recovered != ""
	return kind.guessable && !(recovered && kind.enrolleeHoldsSecret)
}

// wrongFirst is the answer to a wrong first answer, with what the kind can say about it.
func (v *enrolmentView) wrongFirst(u *unit, q *FinishRequest, left int) error {
	answer := wrongAnswer(q.Answer, left)
	en := &v.a.enrolment
	if e, explains := en.Factor.Kind.row().authenticator.(explainer); explains && en.ID == q.Enrolment {
		if err := e.explain(v.question(u, nil), q.Answer, answer); err != nil {
			return err
		}
	}
	return answer
}

// wrongFinish counts a wrong answer against the enrolment and, if it could be a guess, against the user. It returns how many
// wrong answers can still be given.
func (v *enrolmentView) wrongFinish(u *unit, kind kindRow) (left int) {
	g, en := v.a.guard, &v.a.enrolment
	slot := g.openEnrolmentSlot(en)
	slot.Wrong++
	slot.WrittenBy = u.version
	locked := false
	left = v.p.Challenge.Attempts - slot.Wrong
	if v.guessed(kind) {
		locked = g.WrongCodes.wrong(codeBudget(), v.knownBrowser(), u.now)
		left = v.left(slot, true, u.now)
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
func (v *enrolmentView) enrol(u *unit, asked *question) (FinishAnswer, error) {
	g, en, enrolled := v.a.guard, v.a.enrolment, *asked.enrolled
	enabled := g.Enabled
	if v.replaces() {
		u.removeAll(v.a, v.p, "reenrolled")
	}
	if len(g.Factors) == 0 && !g.Enabled {
		g.Enabled = true
		if !enabled {
			u.event(v.a.event(UserEnabled, v.p, nil))
		}
	}
	g.Factors, g.ProveAddress = append(g.Factors, enrolled), ""
	record := en.Factor
	record.Created = u.now
	v.a.factorRecords = append(v.a.factorRecords, &record)
	data := map[string]any{"factor": record.ID, "kind": record.Kind}
	if en.Reason != "" {
		data["reason"] = en.Reason
	}
	if en.Proven {
		data["proven"] = true // no code was answered now
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
	slot.State, slot.EndedAt, slot.WrittenBy, slot.Kind, slot.Factor = verified, u.now, u.version, enrolled.Kind, enrolled.ID
	if v.byToken && !v.backsUp() {
		g.MFATime = u.now
		ended := g.openSlot(v.ch, u.now)
		v.conclude(u, ended, verified)
		ended.Kind, ended.Factor, ended.Effect, ended.AMR = enrolled.Kind, enrolled.ID, v.ch.Recovered, asked.amr
		u.event(v.ch.event(ChallengeVerified, map[string]any{"kind": enrolled.Kind, "factor": enrolled.ID, "enrolled": true}))
	}
	u.put(store.Item{Key: factorKey(v.a.route, record.ID)}, &record, time.Time{})
	u.delete(v.a.enrolment.Item)
	u.putRosterEntry(v.a)
	u.putGuard(v.a, v.p)
	if err := u.pass(&v.passing, v.p); err != nil {
		return FinishAnswer{}, err
	}
	if asked.claims != nil { // after the others, since it outlives the user, and the first item that is put holds the events
		u.writes = slices.DeleteFunc(u.writes, func(w store.Write) bool { return w.Key == v.owner.Key }) // of the factor that it replaces
		u.put(v.owner, asked.claims, time.Time{})
	}
	return v.finished(u, slot)
}

// finished is the answer of FinishEnrolment. A retry gets it again.
func (v *enrolmentView) finished(u *unit, s *slot) (FinishAnswer, error) {
	answer := FinishAnswer{Factor: v.brought(s)}
	if v.byToken {
		ended := v.a.guard.slot(v.ch.ID)
		if ended == nil {
			return FinishAnswer{}, enrolmentInvalid() // a retry so late that the guard has forgotten the challenge
		}
		if ended.Factor == s.Factor { // a backup comes after the sign-in, and brings no token
			var err error
			if answer, err = v.finishAnswer(u, ended); err != nil {
				return FinishAnswer{}, err
			}
		}
	}
	answer.RecoveryCodes = u.codes
	answer.Offer = v.a.backupOffer(answer.Factor.Kind, v.p)
	return answer, nil
}

// finishAnswer is the answer to a challenge that an enrolment has ended.
func (v *challengeView) finishAnswer(u *unit, s *slot) (FinishAnswer, error) {
	token, err := v.signToken(u, s)
	if err != nil {
		return FinishAnswer{}, err
	}
	at := s.issuedAt()
	return FinishAnswer{Token: &token, IssuedAt: &at, Factor: v.brought(s)}, nil
}

// brought is the factor that an enrolment has added. It may have been removed since.
func (v *challengeView) brought(s *slot) Factor {
	if f := v.a.factor(s.Factor); f != nil {
		return f.shown(v.a.guard.enrolled(s.Factor))
	}
	return Factor{ID: s.Factor, Kind: s.Kind, Created: s.EndedAt}
}
