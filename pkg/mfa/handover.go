package mfa

import (
	"countersign/pkg/message"
	"errors"
)

// An outgoing is a code that is handed over to the mail provider once it is committed.
type outgoing struct {
	message message.Message
	mark    int64 // that the guard counts it by

	// notHanded plans what is recorded of a hand-over that failed: that it did, that the next code needn't wait, and where
	// the provider surely didn't take the message, that it isn't counted.
	notHanded func(u *unit, notTaken bool) error
}

// handOver gives the code that u committed to the provider, and answers what came of it. What u committed as the answer to
// be repeated says that nothing is known of the hand-over: what is known now takes its place. Where the provider didn't
// take the code, or may not have, that is recorded too. All of it is done before anything is answered.
func handOver[T any](u *unit, st step[T], answer T) (T, error) {
	out := u.out
	err := u.s.Mail.SendMail(u.ctx, out.message)
	if err == nil {
		u.compensate(func(next *unit) error { return next.replayed.remember(next, answer, nil) })
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
	u.compensate(func(next *unit) error {
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

// compensate corrects what u committed, in a commit of its own. That the correction can't be recorded is for the log: what was
// committed first is on the safe side.
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
