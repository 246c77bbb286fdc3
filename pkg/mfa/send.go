package mfa

import (
	"context"
	"encoding/json"

	"countersign/pkg/apikey"
	"countersign/pkg/seal"
)

// A SendRequest asks for a new code of an open challenge.
type SendRequest struct {
	Challenge string `json:"-"`
	Factor    string `json:"factor"` // the id of one; if empty, the one that a code was last sent for, or else the default
}

// A SendAnswer says what was sent, or has the options of a new WebAuthn ceremony. If it has neither, it is a repeated answer,
// and SendError is DeliveryUnknown.
type SendAnswer struct {
	Sent      *Sent           `json:"sent"`
	SendError ErrorCode       `json:"send_error,omitempty"`
	WebAuthn  json.RawMessage `json:"webauthn,omitempty"` // the options of a new ceremony, if the factor is a security key or a passkey
}

// unsent returns the answer that doesn't say that the code was sent, but gives the reason.
func (SendAnswer) unsent(why *Error) SendAnswer { return SendAnswer{SendError: why.Code} }

// SendCode makes a new code for an open challenge and sends it. Every earlier code of the challenge is dead. For a security key
// or a passkey it begins a new ceremony in place of the earlier one, and sends nothing.
//
// It returns TooManySends if a limit is reached, Locked if no code would be checked, NothingToSend for a factor that has no
// codes to send, and DeliveryFailed if the provider didn't take the message or may not have taken it. The next code needn't
// wait then. It is DeliveryFailed, too, if messages to that address come back and the user has asked for a code since.
func (s *Service) SendCode(ctx context.Context, call Call, q SendRequest) (SendAnswer, error) {
	var v challengeView
	return run(ctx, s, call, step[SendAnswer]{
		scope: apikey.SignIn, bearer: seal.ChallengeToken, named: challengeNamed(q.Challenge), reads: s.viewChallenge(q.Challenge, &v),
		unsent: SendAnswer.unsent, strict: true,
		decide: func(u *unit) (SendAnswer, error) {
			slot, err := v.checkAnswerable(u)
			if err != nil {
				return SendAnswer{}, err
			}
			if !v.settled(slot) {
				return SendAnswer{}, errUnsettled
			}
			f, err := v.factor(q.Factor)
			if err != nil {
				return SendAnswer{}, err
			}
			answer, err := f.Kind.row().ask(v.question(u, f))
			switch {
			case err != nil:
				return SendAnswer{}, err
			case answer == nil:
				return SendAnswer{}, refuse(NothingToSend, "There is no code to send for this factor: the user's own app shows it.")
			}
			if u.out != nil { // the guard counts what is sent, and only that
				u.putGuard(v.a, v.p)
			}
			u.put(v.ch.Item, v.ch, v.ch.Expires.Add(shownFor))
			return *answer, nil
		},
	})
}
