package mfa

import (
	"cmp"
	"context"

	"countersign/pkg/apikey"
)

// A ChallengeState says how far a challenge has come.
type ChallengeState struct {
	State   string `json:"state"`             // pending, verified, expired or failed
	Outcome any    `json:"outcome,omitempty"` // a VerifyAnswer, RecoverAnswer or FinishAnswer
}

// LookAtChallenge tells a client how far one of its challenges has come. For ten minutes after the challenge was verified
// there is an outcome too: the answer of the call that ended the challenge, with its token signed again under the same jti.
// It still has the trust token and the known token, but no recovery codes. A challenge that is gone, or another client's, is
// ChallengeInvalid.
func (s *Service) LookAtChallenge(ctx context.Context, call Call, id string) (ChallengeState, error) {
	var v challengeView
	return run(ctx, s, call, step[ChallengeState]{
		scope: apikey.SignIn, named: challengeNamed(id), reads: s.viewChallenge(id, &v),
		decide: func(u *unit) (ChallengeState, error) {
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
