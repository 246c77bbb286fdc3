package mfa

import "errors"

// An outgoing is a code that is handed over to a provider once it is committed.
type outgoing struct {
	channel string
	give    func() error // hands the message over, as a Mailer or a Texter does
	mark    int64        // the guard counts the code by it

	// notHanded plans what a failed hand-over brings: an event, no wait for the next code and, if the provider surely didn't
	// take the message, that the code isn't counted.
	notHanded func(u *unit, notTaken bool) error
}

// handOver gives the code that u committed to the provider, and returns what the caller is told. The answer that u committed
// for repeated calls says that nothing is known of the hand-over, so handOver puts what is known now in its place. It also
// records a code that the provider didn't take, or may not have taken. All of that is done before the caller is answered.
func handOver[T any](u *unit, st step[T], answer T) (T, error) {
	out := u.out
	err := out.give()
	if err == nil {
		u.compensate(func(next *unit) error { return next.replayed.remember(next, answer, nil) })
		return answer, nil
	}
	u.s.log().WarnContext(u.ctx, "a code was not handed over", "channel", out.channel, "error", err)
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
