package mfa

import (
	"context"
	"fmt"
	"time"

	"countersign/pkg/seal"
	"countersign/pkg/store"
)

// A SendRequest asks for a fresh code of an open challenge.
type SendRequest struct {
	Challenge string `json:"-"`
	Factor    string `json:"factor"` // empty: the challenge's default
}

// A SendAnswer says what was sent.
type SendAnswer struct {
	Sent *Sent `json:"sent"`
}

// sight is a challenge with all that decides about it, as the reads of a step found it.
type sight struct {
	a  *account
	p  *orgPolicy
	ch *heldChallenge
}

// lookAt names the reads that a step on a challenge starts with. An id that can't be one of ours reads nothing, and is
// then as absent as any other.
func (s *Service) lookAt(id string, into *sight) []read {
	raw, ok := seal.ParseID("ch_", id, routeLen)
	if !ok {
		*into = sight{a: &account{}, p: &orgPolicy{}, ch: &heldChallenge{}}
		return nil
	}
	r := route(raw)
	return []read{s.readAccount(r, &into.a), s.readPolicy(r, "", &into.p), s.readChallenge(id, &into.ch)}
}

// challengeNamed is the challenge that a path names.
func challengeNamed(id string) *named {
	raw, _ := seal.ParseID("ch_", id, routeLen)
	return &named{at: route(raw), missing: challengeInvalid}
}

// heldChallenge is a challenge with the item it is in.
type heldChallenge struct {
	item store.Item
	challenge
}

func (s *Service) readChallenge(id string, into **heldChallenge) read {
	return func(ctx context.Context) error {
		item, err := s.Store.Get(ctx, challengeKey(id))
		if err != nil {
			return err
		}
		h := &heldChallenge{item: item, challenge: challenge{ID: id}}
		*into = h
		if item.Absent() {
			return nil
		}
		return decode(item, &h.challenge)
	}
}

// errUnsettled says that challenge and guard were read at two moments with a send between them.
var errUnsettled = fmt.Errorf("challenge and guard don't belong together: %w", store.ErrConflict)

// open answers ChallengeInvalid unless the challenge can still be answered, by this caller. The slot it gives may be
// nil: nothing has come to the guard yet. With an error, it is how the challenge ended.
func (v *sight) open(u *unit) (*slot, error) {
	ch := &v.ch.challenge
	if v.ch.item.Absent() || !u.caller.mayAnswer(ch) {
		return nil, challengeInvalid()
	}
	u.known = true
	if !v.a.known() {
		return nil, challengeInvalid()
	}
	s := v.a.guard.slot(ch.ID)
	switch {
	case s != nil && s.State != "":
		return s, challengeInvalid()
	case ch.Epoch != v.a.guard.Epoch, s == nil && !ch.Begun.After(v.a.guard.Floor), !u.now.Before(ch.Expires):
		return nil, challengeInvalid()
	}
	return s, nil
}

// answerable is open to those who answer with a factor or a recovery code: not where only enrolling answers.
func (v *sight) answerable(u *unit) (*slot, error) {
	s, err := v.open(u)
	if err == nil && v.ch.Enrolment != "" {
		return nil, challengeInvalid()
	}
	return s, err
}

// settled reports whether challenge and guard were read at one moment: a code that was sent meanwhile is in both, and so
// is a recovery that goes on with an enrolment.
func (v *sight) settled(s *slot) bool {
	sequence := 0
	if v.ch.Code != nil {
		sequence = v.ch.Code.Sequence
	}
	return s == nil && sequence == 0 || s != nil && s.Sequence == sequence && s.Effect == v.ch.Recovered
}

// factor finds the factor that a request names, or failing that the one last sent to, or the default, or where there was
// none the strongest. It refuses one that isn't the user's or isn't allowed now; nothing is sent or spent.
func (v *sight) factor(named string) (factor, error) {
	id := named
	switch {
	case id != "":
	case v.ch.Code != nil:
		id = v.ch.Code.Factor
	default:
		id = v.ch.Default
	}
	for _, f := range v.a.factors(&v.p.Policy) {
		switch {
		case f.ID != id && id != "":
		case v.ch.Only != "" && v.ch.Only != f.Kind:
			return factor{}, refuse(MethodForbidden, "This step-up needs a factor of another kind.")
		default:
			return f, nil
		}
	}
	if id == v.a.implicitEmail() || v.a.factor(id) != nil {
		return factor{}, refuse(MethodForbidden, "The organisation's policy doesn't allow this factor.")
	}
	return factor{}, refuse(NotFound, "The user has no such factor.")
}

// SendCode makes a fresh code for an open challenge and sends it; every earlier code of the challenge is dead.
//
// It answers TooManySends where a limit holds, DeliveryFailed where the provider didn't take the message (the wait until
// the next is given back), and Locked where no code would be looked at.
func (s *Service) SendCode(ctx context.Context, call Call, q SendRequest) (SendAnswer, error) {
	var v sight
	reads := s.lookAt(q.Challenge, &v)
	var out *outgoing
	answer, err := run(ctx, s, call, step[SendAnswer]{
		scope: ScopeSignIn, token: seal.ChallengeToken, named: challengeNamed(q.Challenge), reads: reads,
		decide: func(u *unit) (SendAnswer, error) {
			out = nil
			slot, err := v.answerable(u)
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
			if f.Kind != Email {
				return SendAnswer{}, refuse(NothingToSend, "The code of this factor is not sent: the user's own app shows it.")
			}
			if until, locked := v.a.guard.Guesses.locked(u.now); locked {
				return SendAnswer{}, lockedUntil(until, u.now)
			}
			if out, err = u.newChallengeCode(v.a, &v.ch.challenge, f, v.p); err != nil {
				return SendAnswer{}, err
			}
			u.put(v.a.item, v.a.guard, time.Time{})
			u.put(v.ch.item, &v.ch.challenge, v.ch.Expires.Add(shownFor))
			return SendAnswer{Sent: v.ch.Code.shown(f, v.p)}, nil
		},
	})
	if err != nil || out == nil {
		return answer, err
	}
	if err := s.deliver(ctx, out); err != nil {
		refused := notDelivered()
		s.undelivered(ctx, call, s.amendChallenge(&v.ch.challenge), nil, refused)
		return SendAnswer{}, refused
	}
	return answer, nil
}

func notDelivered() *Error {
	return refuse(DeliveryFailed, "The message could not be handed over to the provider; try again.")
}

// deliver hands a committed code to the provider. The provider's error goes to the log only.
func (s *Service) deliver(ctx context.Context, out *outgoing) error {
	err := s.Mail.SendMail(ctx, out.message)
	if err != nil {
		s.log().WarnContext(ctx, "mail was not handed over", "kind", out.factor.Kind, "error", err)
	}
	return err
}

// An amendment records that a code which was committed as sent was not taken by the provider, and gives its wait back.
// It reports false where there is nothing left to record it on.
type amendment struct {
	scope    Scope
	or       Scope
	token    string
	reads    []read
	giveBack func(*unit) bool
}

// undelivered carries an amendment out, and puts answer, or refused, in the place of what was to be remembered. The send
// stays counted: the provider may have taken the message all the same. That the record fails changes nothing for the
// caller.
func (s *Service) undelivered(ctx context.Context, call Call, m amendment, answer any, refused *Error) {
	_, err := run(ctx, s, call, step[any]{
		scope: m.scope, or: m.or, token: m.token, amends: true, reads: m.reads,
		decide: func(u *unit) (any, error) {
			if !m.giveBack(u) {
				return nil, challengeInvalid()
			}
			if refused != nil {
				return nil, refused
			}
			return answer, nil
		},
	})
	if err != nil && AsError(err).Code != DeliveryFailed {
		s.log().WarnContext(ctx, "a failed delivery could not be recorded", "error", err)
	}
}

// amendChallenge is for the code of a challenge.
func (s *Service) amendChallenge(sent *challenge) amendment {
	var ch *heldChallenge
	return amendment{
		scope: ScopeSignIn, token: seal.ChallengeToken, reads: []read{s.readChallenge(sent.ID, &ch)},
		giveBack: func(u *unit) bool {
			if ch.item.Absent() {
				return false
			}
			u.known = true
			if ch.Code != nil && ch.Code.Sequence == sent.Code.Sequence {
				ch.Code.Again = u.now
			}
			u.put(ch.item, &ch.challenge, ch.Expires.Add(shownFor))
			u.event(ch.event(DeliveryFailure, map[string]any{"channel": "email", "sequence": letter(sent.Code.Sequence)}))
			return true
		},
	}
}
