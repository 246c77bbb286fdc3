package mfa

import (
	"context"
	"slices"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/seal"
)

// A VerifyRequest is one answer to a challenge.
type VerifyRequest struct {
	Challenge string `json:"-"`
	Factor    string `json:"factor"` // the id of one; if empty, the one that a code was last sent for, or else the default
	Answer
	Trust *TrustChoice `json:"trust"` // nil if this browser is not to be trusted
}

// A TrustChoice asks that the browser be trusted from now on.
type TrustChoice struct {
	Name string `json:"name"` // for the user's own list of browsers; at most 100 bytes
}

// A VerifyAnswer says that a challenge was answered rightly.
type VerifyAnswer struct {
	Verified       bool            `json:"verified"`
	IssuedAt       time.Time       `json:"issued_at"`
	Token          seal.Secret     `json:"token"`
	TrustToken     *seal.Secret    `json:"trust_token,omitempty"`
	TrustedBrowser *TrustedBrowser `json:"trusted_browser,omitempty"`
	KnownToken     *seal.Secret    `json:"known_token,omitempty"`    // the browser keeps it for later starts
	RecoveryCodes  []seal.Secret   `json:"recovery_codes,omitempty"` // the first ones of a user whose factor an administrator has enrolled
}

// WithoutShownOnce returns the answer as it is repeated once what is shown only once may not be repeated any more.
func (a VerifyAnswer) WithoutShownOnce() any {
	a.TrustToken, a.KnownToken, a.RecoveryCodes = nil, nil, nil
	return a
}

// Verify checks one answer to a challenge. It compares the answer first, then records what follows from it, right or wrong,
// and only then says anything: of all answers that arrive at once, none is told its outcome before the guard has counted it.
//
// It returns WrongCode or WrongCredential with the attempts left, ChallengeInvalid for a challenge that can't be answered,
// Locked if the user's budget of wrong codes is spent, and NotFound or MethodForbidden for a factor that the user can't answer
// with. What can't be an answer with the factor is InvalidRequest, and is not counted.
func (s *Service) Verify(ctx context.Context, call Call, q VerifyRequest) (VerifyAnswer, error) {
	if err := q.Answer.form(); err != nil {
		return VerifyAnswer{}, err
	}
	if q.Trust != nil {
		if err := checkText("trust.name", q.Trust.Name, 100); err != nil {
			return VerifyAnswer{}, err
		}
	}
	var v challengeView
	return run(ctx, s, call, step[VerifyAnswer]{
		scope: apikey.SignIn, bearer: seal.ChallengeToken, named: challengeNamed(q.Challenge), reads: s.viewChallenge(q.Challenge, &v),
		decide: func(u *unit) (VerifyAnswer, error) { return v.verify(u, &q) },
	})
}

func (v *challengeView) verify(u *unit, q *VerifyRequest) (VerifyAnswer, error) {
	slot, err := v.checkAnswerable(u)
	if err != nil {
		if slot == nil || !slices.Contains(u.versions, slot.WrittenBy) {
			return VerifyAnswer{}, err
		}
		// An earlier try of this call has ended the challenge, and the answer to its commit was lost.
		if slot.State == verified {
			answer, err := v.verifyAnswer(u, slot)
			answer.RecoveryCodes = u.codes
			return answer, err
		}
		return VerifyAnswer{}, wrongAnswer(q.Answer, 0)
	}
	if !v.settled(slot) {
		return VerifyAnswer{}, errUnsettled
	}
	if slot != nil && slices.Contains(u.versions, slot.WrittenBy) {
		return VerifyAnswer{}, wrongAnswer(q.Answer, v.left(slot, len(q.Credential) == 0, u.now)) // an earlier try of this call has counted it
	}
	g := v.a.guard
	f, err := v.factorOf(q.Factor, q.Answer)
	if err != nil {
		return VerifyAnswer{}, err
	}
	kind := f.Kind.row()
	if err := kind.form(q.Answer); err != nil {
		return VerifyAnswer{}, err
	}
	if kind.guessable {
		if err := v.checkLock(u.now); err != nil {
			return VerifyAnswer{}, err
		}
	}
	asked := v.question(u, f)
	right, err := kind.check(asked, q.Answer)
	if err != nil {
		return VerifyAnswer{}, err
	}
	slot = g.openSlot(v.ch, u.now)
	if !right {
		return VerifyAnswer{}, wrongAnswer(q.Answer, v.wrong(u, slot, kind))
	}
	g.WrongCodes.right(codeBudget(), v.knownBrowser(), u.now)
	g.MFATime = u.now
	if kind.provesAddress && f.Contact == g.ProveAddress {
		g.ProveAddress = ""
	}
	if asked.enrolled != nil {
		asked.enrolled.Used = u.now
	}
	v.conclude(u, slot, verified)
	slot.Kind, slot.AMR = f.Kind, asked.amr
	u.event(v.ch.event(ChallengeVerified, map[string]any{"kind": f.Kind, "factor": f.ID}))
	if q.Trust != nil && v.ch.Purpose == SignIn && v.p.Trust.Days > 0 {
		slot.Browser = u.trust(v.a, q.Trust.Name, f.Kind, v.p).ID
	}
	if u.codes = nil; g.RecoveryCodesDue {
		u.newRecovery(g, v.p)
	}
	u.putGuard(v.a, v.p)
	answer, err := v.verifyAnswer(u, slot)
	answer.RecoveryCodes = u.codes
	return answer, err
}

// verifyAnswer is the answer to a challenge that was answered with a factor. A retry gets it again.
func (v *challengeView) verifyAnswer(u *unit, s *slot) (VerifyAnswer, error) {
	token, err := v.signToken(u, s)
	if err != nil {
		return VerifyAnswer{}, err
	}
	answer := VerifyAnswer{Verified: true, IssuedAt: s.issuedAt(), Token: token}
	if !s.KnownTokensEnded {
		if answer.KnownToken, err = v.a.guard.knownToken(u.ring); err != nil {
			return VerifyAnswer{}, err
		}
	}
	if s.Browser == "" {
		return answer, nil
	}
	if b := v.a.browser(s.Browser); b != nil {
		trust, err := b.signToken(u.ring, v.a.guard)
		if err != nil {
			return VerifyAnswer{}, err
		}
		answer.TrustToken, answer.TrustedBrowser = &trust, b.shown(v.p)
	}
	return answer, nil
}
