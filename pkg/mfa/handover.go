package mfa

import (
	"errors"
	"sync"

	"countersign/pkg/message"
)

// An outgoing is a code that is handed over to a provider once it is committed.
type outgoing struct {
	channel string
	give    func() error      // hands the message over, as a Mailer or a Texter does
	mark    int64             // the guard counts the code by it
	budgets *sharedBudgets    // that the message is held to; nil if there are none
	about   message.Reference // of the message, which says where it goes
	again   []byte            // the hash of an address that messages come back from, if the user has asked for this one all the same

	// notHanded plans what it brings that the code was not handed over: an event, no wait for the next code and, if the
	// provider surely didn't take the message, that the code isn't counted.
	notHanded func(*unit, undelivered) error
}

// An undelivered says why a code was not handed over.
type undelivered struct {
	event    string         // the type of the event about it
	data     map[string]any // of the event
	notTaken bool           // the provider surely didn't take the message
	optedOut bool           // the owner of the number has opted out of text messages
	refused  *Error         // what the caller is told
}

// handOver gives the code that u committed to the provider, and returns what the caller is told. The answer that u committed
// for repeated calls says that nothing is known of the hand-over, so handOver puts what is known now in its place. It also
// records a code that the provider didn't take, or may not have taken. All of that is done before the caller is answered.
func handOver[T any](u *unit, st step[T], answer T) (T, error) {
	out := u.out
	lost := out.deliver(u)
	if lost == nil {
		u.compensate(func(next *unit) error { return next.replayed.remember(next, answer, nil) })
		return answer, nil
	}
	answer = st.unsent(answer, lost.refused)
	var refused *Error
	if st.strict {
		var none T
		answer, refused = none, lost.refused
	}
	var returned sync.WaitGroup
	if lost.notTaken && out.budgets != nil {
		returned.Go(func() { out.giveBack(u) })
	}
	u.compensate(func(next *unit) error {
		if err := out.notHanded(next, *lost); err != nil {
			return err
		}
		return next.replayed.remember(next, answer, refused)
	})
	returned.Wait()
	if lost.optedOut {
		if err := u.s.TakeFeedback(u.ctx, Feedback{Reference: out.about, Sent: u.now, optedOut: true}); err != nil {
			u.s.log().WarnContext(u.ctx, "it could not be noted that a number has opted out", "error", err)
		}
	}
	if refused != nil {
		return answer, refused
	}
	return answer, nil
}

// deliver hands the message over, if the budgets that users share have room for it. It returns nil if the provider has taken
// the message.
func (out *outgoing) deliver(u *unit) *undelivered {
	lost := &undelivered{
		event: DeliveryFailure, data: map[string]any{"channel": out.channel}, notTaken: true,
		refused: refuse(DeliveryFailed, "The message could not be handed over to the provider. Try again."),
	}
	if out.budgets != nil {
		full, err := out.budgets.spend(u.ctx)
		if err != nil {
			u.s.log().WarnContext(u.ctx, "a code could not be counted", "channel", out.channel, "error", err)
		}
		if full != nil {
			lost.event, lost.data["budget"] = DeliveryBlocked, full.name
			lost.refused = tooManySends(full.ends.Sub(u.now))
		}
		if full != nil || err != nil {
			return lost
		}
	}
	err := out.give()
	if err == nil {
		return nil
	}
	u.s.log().WarnContext(u.ctx, "a code was not handed over", "channel", out.channel, "error", err)
	lost.notTaken = errors.Is(err, ErrNotTaken)
	if lost.optedOut = errors.Is(err, ErrOptedOut); lost.optedOut {
		lost.refused = refuse(DeliveryFailed, "The owner of this number has opted out of text messages. They can opt in again with the sender, or use another factor.")
	}
	return lost
}

func (out *outgoing) giveBack(u *unit) {
	if err := out.budgets.giveBack(u.ctx); err != nil {
		u.s.log().WarnContext(u.ctx, "a code that was not handed over is counted all the same", "channel", out.channel, "error", err)
	}
}

// compensate corrects what u committed, in a commit of its own. If that fails, it is only logged, because what was committed
// first is on the safe side.
func (u *unit) compensate(work func(*unit) error) {
	next := &unit{s: u.s, ctx: u.ctx, ring: u.ring, caller: u.caller, admitted: u.admitted}
	remembered := u.replayed
	if remembered != nil {
		remembered.item.Version = u.version
	}
	err := next.repeat(func(next *unit) error {
		next.replayed, next.needs = remembered, u.needs
		return work(next)
	})
	if err != nil {
		u.s.log().WarnContext(u.ctx, "what became of a code could not be recorded", "error", err)
	}
}
