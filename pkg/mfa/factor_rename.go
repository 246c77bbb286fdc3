package mfa

import (
	"context"
	"time"
)

// RenameFactor gives a factor another label, of at most 100 bytes.
func (s *Service) RenameFactor(ctx context.Context, call Call, org, user, id, label string) (Factor, error) {
	if err := checkText("label", label, mostLabel); err != nil {
		return Factor{}, err
	}
	return change(ctx, s, call, org, user, func(u *unit, a *account, p *orgPolicy) (Factor, error) {
		h := a.factor(id)
		if h == nil {
			return Factor{}, refuse(NotFound, "The user has no such factor.")
		}
		if h.Label != label {
			h.Label = label
			u.put(h.Item, h, time.Time{})
			u.event(a.event(FactorRenamed, p, map[string]any{"factor": id, "kind": h.Kind}))
		}
		return h.shown(a.guard.enrolled(id)), nil
	})
}
