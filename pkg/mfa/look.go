package mfa

import (
	"cmp"
	"context"
	"slices"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/seal"
)

// A ChallengeState says how far a challenge has come. The holder of the challenge's own token gets what the start has begun
// instead of an outcome.
type ChallengeState struct {
	State   string `json:"state"`             // pending, verified, expired or failed
	Outcome any    `json:"outcome,omitempty"` // a VerifyAnswer, RecoverAnswer or FinishAnswer
	*BegunSignIn
}

// A BegunSignIn is what a start has begun, without the bearer: what a page needs to be drawn again.
type BegunSignIn struct {
	Decision
	ID        string             `json:"id,omitempty"` // of the challenge that the enrolment will answer
	Challenge *ChallengeToAnswer `json:"challenge,omitempty"`
	Enrolment *EnrolmentToDo     `json:"enrolment,omitempty"`
	Backup    *Backup            `json:"backup,omitempty"`        // what the enrolment is for, if the sign-in was answered already, so that it can be left out
	Countries []string           `json:"sms_countries,omitempty"` // to whose numbers codes are sent, if a number can be enrolled (ISO 3166-1 alpha-2)
	ReturnURL *string            `json:"return_url"`              // where the browser goes afterwards; nil if the client gave none
	Page      PageFacts          `json:"page"`
}

// PageFacts are what a page says besides: how the org looks to its users, and what is left to a user who can't answer.
type PageFacts struct {
	Brand          Brand      `json:"brand"`           // its name is that by which users know the org, or else the client's; null if that has none either
	Locale         string     `json:"locale"`          // the user's language; empty if the client didn't say it
	AttemptsLeft   int        `json:"attempts_left"`   // how many wrong codes can still be given; 0 while the user is locked
	LockedUntil    *time.Time `json:"locked_until"`    // until when no code is checked; null if the user isn't locked, or if only an administrator ends the lock
	RecoveryEffect string     `json:"recovery_effect"` // what a recovery code does: sign_in, reset or reenrol
	ResetByUser    string     `json:"reset_by_user"`   // whether users can ask for a reset of their own account: off, approve or hold
	ProveAddress   string     `json:"prove_address"`   // a hint at the address that has to be proven before anything is enrolled; empty if none has to
}

// LookAtChallenge tells a client how far one of its challenges has come. For ten minutes after the challenge was verified
// there is an outcome too: the answer of the call that ended the challenge, with its token signed again under the same jti.
// It still has the trust token and the known token, but no recovery codes. A challenge that is gone, or another client's, is
// ChallengeInvalid.
//
// To the holder of the challenge's own token it tells what the start has begun, as it is now, and never an outcome. A
// challenge that can't be answered any more is ChallengeInvalid then.
func (s *Service) LookAtChallenge(ctx context.Context, call Call, id string) (ChallengeState, error) {
	var v challengeView
	return run(ctx, s, call, step[ChallengeState]{
		scope: apikey.SignIn, bearer: seal.ChallengeToken, named: challengeNamed(id), reads: s.viewChallenge(id, &v),
		decide: func(u *unit) (ChallengeState, error) {
			if u.caller.key == nil {
				return v.page(u)
			}
			slot, err := v.checkOpen(u)
			switch {
			case err == nil:
				return ChallengeState{State: pending}, nil
			case !u.admitted:
				return ChallengeState{}, err
			case slot == nil:
				return ChallengeState{State: expired}, nil
			}
			state := ChallengeState{State: cmp.Or(slot.State, failed)}
			if slot.State == verified && u.now.Before(slot.EndedAt.Add(shownFor)) {
				state.Outcome, err = v.outcome(u, slot)
				return state, err
			}
			return state, nil
		},
	})
}

// page returns what the holder of the challenge's own token sees.
func (v *challengeView) page(u *unit) (ChallengeState, error) {
	tried, err := v.checkAnswerable(u)
	if err != nil {
		return ChallengeState{}, err
	}
	if !v.settled(tried) {
		return ChallengeState{}, errUnsettled
	}
	ch := v.ch
	now := verdict{factors: v.a.factors(&v.p.Policy), knownBrowser: ch.KnownBrowser}
	if ch.OnlyKind != "" {
		now.factors = slices.DeleteFunc(now.factors, func(f factor) bool { return f.Kind != ch.OnlyKind })
	}
	if v.checkLock(u.now) != nil {
		now.dropGuessable()
	}
	shown := v.shown(u, now.factors)
	for _, f := range now.factors {
		if f.ID == ch.Default {
			shown.Default = &f.ID
		}
		if ch.Code != nil && ch.Code.Factor == f.ID && !ch.Code.NotTaken {
			shown.Sent = ch.Code.shown(f, v.p)
		}
	}
	if shown.WebAuthn, err = v.optionsAgain(u); err != nil {
		return ChallengeState{}, err
	}
	begun := v.started()
	begun.Challenge = shown
	if until, locked := v.a.guard.WrongCodes.locked(v.knownBrowser(), u.now); !locked {
		begun.Page.AttemptsLeft = v.left(cmp.Or(tried, &slot{}), true, u.now)
	} else if until.Before(forever) {
		begun.Page.LockedUntil = &until
	}
	return ChallengeState{State: pending, BegunSignIn: begun}, nil
}

func (v *challengeView) started() *BegunSignIn {
	decision := Decision{Decision: Challenge, Reason: v.ch.Reason, PolicyVersion: v.ch.PolicyVersion}
	brand := v.p.Brand
	if name := v.p.known(v.ch.Sender); name != "" {
		brand.Name = &name
	}
	return &BegunSignIn{Decision: decision, ReturnURL: v.ch.ReturnURL, Page: PageFacts{
		Brand: brand, Locale: v.a.guard.Profile.Locale, RecoveryEffect: v.p.Recovery.Effect, ResetByUser: v.p.Reset.SelfService,
	}}
}

// LookAtEnrolment tells the holder of an enrolment token what the start has begun, or the recovery code, as it is now. Once an
// enrolment has answered the sign-in, it tells which backup can be enrolled with the token still. A
// token with which nothing can be enrolled any more is EnrolmentInvalid.
func (s *Service) LookAtEnrolment(ctx context.Context, call Call) (BegunSignIn, error) {
	var v enrolmentView
	return run(ctx, s, call, step[BegunSignIn]{
		bearer: seal.EnrolmentToken, reads: s.viewEnrolment(call.Bearer, "", &v),
		decide: func(u *unit) (BegunSignIn, error) {
			slot, err := v.checkOpen(u)
			if err != nil {
				return BegunSignIn{}, err
			}
			if v.backsUp() {
				return v.offersBackup(), nil
			}
			kinds := slices.DeleteFunc(v.enrollee().enrollable(&v.p.Policy), func(k Kind) bool { return v.ch.OnlyKind != "" && k != v.ch.OnlyKind })
			begun := v.started()
			begun.Decision.Decision, begun.ID = Enrol, v.ch.ID
			begun.Enrolment, begun.Countries = &EnrolmentToDo{Expires: v.ch.Expires, Kinds: kinds}, v.p.textCountries()
			if v.ch.Reason == Grace {
				begun.Enrolment.Skippable = v.a.skippable(v.p.demand())
			}
			if v.mustProve(slot) {
				address := v.a.addressFactor()
				begun.Page.ProveAddress = address.hint()
			}
			return *begun, nil
		},
	})
}

// offersBackup returns what the holder of an enrolment token sees who has enrolled the first factor with it.
func (v *enrolmentView) offersBackup() BegunSignIn {
	begun := v.started()
	begun.Decision.Decision, begun.ID, begun.Backup = Enrol, v.ch.ID, v.a.backup(v.p)
	begun.Enrolment = &EnrolmentToDo{Expires: *v.ended, Kinds: begun.Backup.Kinds}
	return *begun
}
