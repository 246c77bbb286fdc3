package mfa

import (
	"context"
	"slices"
	"time"

	"countersign/pkg/seal"
)

// A ProveRequest has the code that was sent to the known address.
type ProveRequest struct {
	Code seal.Secret `json:"code"`
}

// A ProveAnswer says that the user has proven the known address and may begin to enrol.
type ProveAnswer struct {
	Proven  bool      `json:"proven"`
	Expires time.Time `json:"expires"` // of the enrolment token
	Kinds   []Kind    `json:"kinds"`
}

// ProveAddress checks the code that was sent to the known address of a user who must enrol. Wrong codes count as at Verify.
func (s *Service) ProveAddress(ctx context.Context, call Call, q ProveRequest) (ProveAnswer, error) {
	if err := checkCode(q.Code); err != nil {
		return ProveAnswer{}, err
	}
	var v enrolmentView
	return run(ctx, s, call, step[ProveAnswer]{
		bearer: seal.EnrolmentToken, reads: s.viewEnrolment(call.Bearer, "", &v),
		decide: func(u *unit) (ProveAnswer, error) { return v.prove(u, q.Code) },
	})
}

func (v *enrolmentView) prove(u *unit, code seal.Secret) (ProveAnswer, error) {
	slot, err := v.checkOpen(u)
	ours := slot != nil && slices.Contains(u.versions, slot.WrittenBy)
	answer := func() ProveAnswer {
		kinds := slices.DeleteFunc(v.a.enrollable(&v.p.Policy), func(k Kind) bool { return v.mayEnrol(k) != nil })
		return ProveAnswer{Proven: true, Expires: v.ch.Expires, Kinds: kinds}
	}
	switch {
	case ours && slot.Proven:
		return answer(), nil
	case ours:
		return ProveAnswer{}, wrongCode(v.left(slot, true, u.now))
	case err != nil:
		return ProveAnswer{}, err
	case v.backsUp() || !v.mustProve(slot):
		return ProveAnswer{}, enrolmentInvalid()
	}
	g := v.a.guard
	if err := v.checkLock(u.now); err != nil {
		return ProveAnswer{}, err
	}
	address := v.a.addressFactor()
	kind := address.Kind.row()
	right, err := kind.check(v.challengeView.question(u, address), Answer{Code: code})
	if err != nil {
		return ProveAnswer{}, err
	}
	slot = g.openSlot(v.ch, u.now)
	if !right {
		return ProveAnswer{}, wrongCode(v.wrong(u, slot, kind))
	}
	slot.Proven, slot.WrittenBy = true, u.version
	u.event(v.ch.event(AddressProven, map[string]any{"kind": address.Kind, "factor": address.ID}))
	u.putGuard(v.a, v.p)
	return answer(), nil
}
