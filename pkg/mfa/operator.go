package mfa

import (
	"context"
	"fmt"
)

// This file has what an operator does who has the table itself, and neither an API key nor the key ring. It decides as the
// calls of the API do. deployment is the deployment's epoch, which an operator reads from the ring's item.

// OperatorPolicy returns the policy that is in force for an org.
func (s *Service) OperatorPolicy(ctx context.Context, org string) (OrgPolicy, error) {
	if err := checkID("org", org); err != nil {
		return OrgPolicy{}, err
	}
	var p *orgPolicy
	if err := readAll(ctx, s.Store, readPolicy(routeOf(org, ""), org, &p)); err != nil {
		return OrgPolicy{}, fmt.Errorf("read the policy: %w", err)
	}
	return p.shown(), nil
}

// OperatorPutPolicy is PutPolicy for an operator. actor names who does it.
func (s *Service) OperatorPutPolicy(ctx context.Context, org string, change PolicyChange, actor string) (put OrgPolicy, err error) {
	if err := checkID("actor", actor); err != nil {
		return OrgPolicy{}, err
	}
	if err := change.check(org); err != nil {
		return OrgPolicy{}, err
	}
	by := Intervention{Actor: actor}
	r := routeOf(org, "")
	err = (&unit{s: s, ctx: ctx, cause: by.administrator()}).repeat(func(u *unit) (err error) {
		var p *orgPolicy
		var passing [fences]fence
		if err := readAll(ctx, s.Store, append(readFences(r, &passing), readPolicy(r, org, &p))...); err != nil {
			return err
		}
		put, err = s.putPolicy(u, r, org, p, &passing, &change)
		return err
	})
	return put, err
}

// OperatorUser is GetUser for an operator.
func (s *Service) OperatorUser(ctx context.Context, org, user string, deployment int64) (shown User, err error) {
	err = s.operate(ctx, org, user, deployment, func(u *unit, a *account, p *orgPolicy) { shown = a.shown(p, u.now) })
	return shown, err
}

// OperatorUnlock is Unlock for an operator.
func (s *Service) OperatorUnlock(ctx context.Context, org, user string, by Intervention, deployment int64) (shown User, err error) {
	if err := by.check("", &Call{}); err != nil {
		return User{}, err
	}
	err = s.operate(ctx, org, user, deployment, func(u *unit, a *account, p *orgPolicy) {
		u.unlock(a, p, by.Reason, by.administrator())
		shown = a.shown(p, u.now)
	})
	return shown, err
}

// operate reads the account of a user who exists, and commits what do plans.
func (s *Service) operate(ctx context.Context, org, user string, deployment int64, do func(*unit, *account, *orgPolicy)) error {
	if err := checkUser(org, user); err != nil {
		return err
	}
	r := routeOf(org, user)
	return s.alone(ctx, func(u *unit) error {
		var a *account
		var p *orgPolicy
		if err := readAll(ctx, s.Store, s.readAccount(r, &a), readPolicy(r, org, &p)); err != nil {
			return err
		}
		if !a.exists() {
			return refuse(NotFound, "There is no such user.")
		}
		if err := a.follow(deployment); err != nil {
			return err
		}
		do(u, a, p)
		return nil
	})
}
