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
		f := a.factor(id)
		if f == nil {
			return Factor{}, refuse(NotFound, "The user has no such factor.")
		}
		if f.Label != label {
			f.Label = label
			u.put(f.Item, f, time.Time{})
			u.event(a.event(FactorRenamed, p, map[string]any{"factor": id, "kind": f.Kind}))
		}
		return f.shown(a.guard.enrolled(id)), nil
	})
}
