package mfa

import "context"

// SendEnrolment sends a new code of an enrolment. Every earlier code of it is dead. For a security key or a passkey it begins a
// new ceremony in place of the earlier one, and sends nothing. It returns EnrolmentInvalid, NothingToSend for a
// kind that has no codes to send, CountryForbidden, TooManySends, Locked, and DeliveryFailed.
func (s *Service) SendEnrolment(ctx context.Context, call Call, id string) (SendAnswer, error) {
	var v enrolmentView
	st := enrolmentStep[SendAnswer](s, call, id, &v)
	st.unsent, st.strict = SendAnswer.unsent, true
	st.decide = func(u *unit) (SendAnswer, error) {
		slot, err := v.underWay(u, id)
		if err != nil {
			return SendAnswer{}, err
		}
		en := &v.a.enrolment
		switch {
		case !settledEnrolment(en, slot):
			return SendAnswer{}, errUnsettled
		case en.Proven:
			return SendAnswer{}, nothingToSend()
		}
		answer, err := en.Factor.Kind.row().ask(v.question(u, nil))
		switch {
		case err != nil:
			return SendAnswer{}, err
		case answer == nil:
			return SendAnswer{}, nothingToSend()
		}
		if u.out != nil { // the guard counts what is sent, and only that
			u.putGuard(v.a, v.p)
		}
		u.putEnrolment(en)
		return *answer, nil
	}
	return run(ctx, s, call, st)
}

func nothingToSend() *Error { return refuse(NothingToSend, "This enrolment has no code to send.") }
