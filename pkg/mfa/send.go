package mfa

import (
	"context"
	"errors"
	"fmt"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// A SendRequest asks for a fresh code of an open challenge.
type SendRequest struct {
	Challenge string `json:"-"`
	Factor    string `json:"factor"` // empty: the challenge's default
}

// A SendAnswer says what was sent. Without Sent it is a repeated answer, and SendError is DeliveryUnknown.
type SendAnswer struct {
	Sent      *Sent `json:"sent"`
	SendError Code  `json:"send_error,omitempty"`
}

// unsent is the answer where it isn't said that the code was sent, for that reason.
func (SendAnswer) unsent(why Code) SendAnswer { return SendAnswer{SendError: why} }

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
	return []read{s.readAccount(r, &into.a), readPolicy(r, "", &into.p), readChallenge(id, &into.ch)}
}

// challengeNamed is the challenge that a path names.
func challengeNamed(id string) *named {
	raw, _ := seal.ParseID("ch_", id, routeLen)
	return &named{at: route(raw), challenge: id, missing: challengeInvalid}
}

// heldChallenge is a challenge with the item it is in.
type heldChallenge struct {
	item store.Item
	challenge
}

func readChallenge(id string, into **heldChallenge) read {
	return read{key: challengeKey(id), take: func(item store.Item) error {
		h := &heldChallenge{item: item, challenge: challenge{ID: id}}
		*into = h
		if item.Absent() {
			return nil
		}
		return record.Decode(item, &h.challenge)
	}}
}

// errUnsettled says that challenge and guard were read at two moments with a send between them.
var errUnsettled = fmt.Errorf("challenge and guard don't belong together: %w", store.ErrConflict)

// ask is the question that f is, asked in the challenge.
func (v *sight) ask(u *unit, f factor) *question {
	return &question{u: u, v: v, in: v, f: f, live: v.a.guard.live(f.ID)}
}

func (v *sight) binding() binding { return v.ch.binding() }

// sent makes code the one that answers the challenge, or that proves the account's address before it is answered.
func (v *sight) sent(u *unit, f factor, code *sentCode) {
	ch := &v.ch.challenge
	ch.Code = code
	v.a.guard.open(ch, u.now).Sequence = code.Sequence
	u.event(ch.event(ChallengeSent, map[string]any{"kind": f.Kind, "factor": f.ID, "sequence": letter(code.Sequence)}))
	u.out.notHanded = ch.notHanded(v.a.route, u.out.mark)
}

// open answers ChallengeInvalid unless the challenge can still be answered, by this caller. The slot it gives may be
// nil: nothing has come to the guard yet. With an error, it is how the challenge ended.
func (v *sight) open(u *unit) (*slot, error) {
	ch := &v.ch.challenge
	if v.ch.item.Absent() || !u.caller.mayAnswer(ch) {
		return nil, challengeInvalid()
	}
	u.known, u.client = true, ch.Sender
	if !v.a.known() {
		return nil, challengeInvalid()
	}
	s := v.a.guard.slot(ch.ID)
	switch {
	case s != nil && (s.State != "" || s.exhausted(v.p)):
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
			return factor{}, refuse(MethodForbidden, "This step-up can be answered only with a factor of the kind that it names.")
		default:
			return f, nil
		}
	}
	if id == v.a.addressID() || v.a.factor(id) != nil {
		return factor{}, refuse(MethodForbidden, "The organisation's policy does not allow this factor.")
	}
	return factor{}, refuse(NotFound, "The user has no such factor.")
}

// SendCode makes a fresh code for an open challenge and sends it; every earlier code of the challenge is dead.
//
// It answers TooManySends where a limit holds, DeliveryFailed where the provider didn't take the message (the wait until
// the next is given back), and Locked where no code would be looked at.
func (s *Service) SendCode(ctx context.Context, call Call, q SendRequest) (SendAnswer, error) {
	var v sight
	return run(ctx, s, call, step[SendAnswer]{
		scope: apikey.SignIn, token: seal.ChallengeToken, named: challengeNamed(q.Challenge), reads: s.lookAt(q.Challenge, &v),
		unsent: SendAnswer.unsent, strict: true,
		decide: func(u *unit) (SendAnswer, error) {
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
			answer, err := f.Kind.row().ask(v.ask(u, f))
			switch {
			case err != nil:
				return SendAnswer{}, err
			case answer == nil:
				return SendAnswer{}, refuse(NothingToSend, "There is no code to send for this factor: the user's own app shows it.")
			}
			u.putGuard(v.a, v.p)
			u.put(v.ch.item, &v.ch.challenge, v.ch.Expires.Add(shownFor))
			return *answer, nil
		},
	})
}

// handOver gives the code that u committed to the provider, and answers what came of it. What u committed as the answer to
// be repeated says that nothing is known of the hand-over: what is known now takes its place. Where the provider didn't
// take the code, or may not have, that is recorded too. All of it is done before anything is answered.
func handOver[T any](u *unit, st step[T], answer T) (T, error) {
	out := u.out
	err := u.s.Mail.SendMail(u.ctx, out.message)
	if err == nil {
		u.amend(func(next *unit) error { return next.replayed.remember(next, answer, nil) })
		return answer, nil
	}
	u.s.log().WarnContext(u.ctx, "mail was not handed over", "error", err)
	notTaken := errors.Is(err, ErrNotTaken)
	answer = st.unsent(answer, DeliveryFailed)
	var refused *Error
	if st.strict {
		var none T
		answer, refused = none, refuse(DeliveryFailed, "The message could not be handed over to the provider. Try again.")
	}
	u.amend(func(next *unit) error {
		if err := out.notHanded(next, notTaken); err != nil {
			return err
		}
		return next.replayed.remember(next, answer, refused)
	})
	if refused != nil {
		return answer, refused
	}
	return answer, nil
}

// amend corrects what u committed, in a commit of its own. That the correction can't be recorded is for the log: what was
// committed first is on the safe side.
func (u *unit) amend(work func(*unit) error) {
	next := &unit{s: u.s, ctx: u.ctx, ring: u.ring, caller: u.caller, known: u.known}
	remembered := u.replayed
	if remembered != nil {
		remembered.item.Version = u.token
	}
	err := next.repeat(func(next *unit) error {
		next.replayed, next.needs = remembered, u.needs
		return work(next)
	})
	if err != nil {
		u.s.log().WarnContext(u.ctx, "what became of a code could not be recorded", "error", err)
	}
}

// notHanded is what a failed hand-over of the challenge's newest code changes.
func (ch *challenge) notHanded(r route, mark int64) func(*unit, bool) error {
	sent := *ch
	sequence := ch.Code.Sequence
	return func(u *unit, notTaken bool) error {
		var now *heldChallenge
		a := &account{route: r}
		if err := readAll(u.ctx, u.s.Store, readChallenge(sent.ID, &now), a.readGuard()); err != nil {
			return err
		}
		if !now.item.Absent() {
			if now.Code != nil && now.Code.Sequence == sequence {
				now.Code.Again = u.now
			}
			u.put(now.item, &now.challenge, now.Expires.Add(shownFor))
		}
		if notTaken && a.known() && a.guard.giveBack(mark) {
			u.put(a.item, a.guard, time.Time{})
		}
		u.event(sent.event(DeliveryFailure, map[string]any{"channel": "email", "sequence": letter(sequence)}))
		return nil
	}
}
