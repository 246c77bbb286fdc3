package mfa

import (
	"bytes"
	"context"
	"slices"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// A ResetRequest is a request for a reset as administrators see it.
type ResetRequest struct {
	ID            string     `json:"id"`
	User          string     `json:"user"`
	State         string     `json:"state"`        // pending, done, cancelled or expired
	RequestedBy   string     `json:"requested_by"` // the id of an administrator, or of the user
	ApprovedBy    *string    `json:"approved_by"`  // the id of an administrator; null if nobody has approved it
	NeedsApproval bool       `json:"needs_approval"`
	Reason        string     `json:"reason"`
	Due           *time.Time `json:"due"` // until when it waits at least; null if it waits for an approver only
	Created       time.Time  `json:"created"`
	Expires       time.Time  `json:"expires"` // when it expires if nothing becomes of it
}

// shown returns the request of a record, in the state that the guard says. If the guard doesn't know that the request waits, it is
// dead: the user was erased or the data restored since, or it has expired.
func (n *resetRecord) shown(g *guard, p *orgPolicy, now time.Time) *ResetRequest {
	r := n.Request
	switch {
	case g != nil && g.Reset != nil && g.Reset.ID == r.ID:
		r = *g.Reset
	case r.state(now) == pending:
		r.State = cancelled
	}
	shown := &ResetRequest{
		ID: r.ID, User: n.User, State: r.state(now), RequestedBy: n.By.User, NeedsApproval: r.needsApproval(&p.Policy), Reason: n.Reason,
		Created: r.Asked, Expires: r.ends(),
	}
	if n.ApprovedBy != nil {
		shown.ApprovedBy = &n.ApprovedBy.User
	}
	if due := r.due(); !due.IsZero() {
		shown.Due = &due
	}
	if r.ready(&p.Policy, now) {
		shown.State = done // the next step on the account carries it out
	}
	return shown
}

// A resetView is a request for a reset with all that decides about it.
type resetView struct {
	a     *account
	p     *orgPolicy
	noted resetRecord
}

// resetStep is what calls about one request have in common.
func resetStep(s *Service, id string, v *resetView) step[ResetRequest] {
	raw, ok := seal.ParseID("rs_", id, routeLen)
	r := route(raw)
	st := step[ResetRequest]{scope: apikey.Admin, portal: byAdministrator, named: &named{at: r, reset: id, missing: noReset}}
	if !ok {
		v.a, v.p = &account{}, &orgPolicy{}
		return st
	}
	st.reads = []read{s.readAccount(r, &v.a), readPolicy(r, "", &v.p), {key: resetKey(id), take: func(item store.Item) error {
		v.noted = resetRecord{}
		if item.Absent() {
			return nil
		}
		return record.Decode(item, &v.noted)
	}}}
	return st
}

// noReset is the answer for a request that is missing, that has ended, or that the caller has no say in.
func noReset() *Error {
	return refuse(NotFound, "There is no such request for a reset, or it doesn't wait any more.")
}

// waits returns the request if it is the one that waits. It returns NotFound otherwise. If an earlier try of this call has decided
// it, it returns neither.
func (v *resetView) waits(u *unit, id string) (*resetRequest, error) {
	if !v.a.exists() || v.a.guard.Reset == nil || v.a.guard.Reset.ID != id || !u.caller.mayAdminister(v.a.guard.Org) {
		return nil, noReset()
	}
	r := v.a.guard.Reset
	switch {
	case slices.Contains(u.versions, r.DecidedBy):
		return nil, nil
	case r.state(u.now) != pending:
		return nil, noReset()
	}
	return r, nil
}

// mayAdminister reports whether an API key or a portal session is good for an org. The token of a link names its request.
func (c *caller) mayAdminister(org string) bool {
	return c.key == nil && c.session == nil || c.covers(org)
}

// GetReset returns a request for a reset. It needs the scope admin.
func (s *Service) GetReset(ctx context.Context, call Call, id string) (ResetRequest, error) {
	var v resetView
	st := resetStep(s, id, &v)
	st.portal |= reading
	st.decide = func(u *unit) (ResetRequest, error) {
		if v.noted.Item.Absent() || v.a.exists() && !u.caller.covers(v.a.guard.Org) {
			return ResetRequest{}, noReset()
		}
		return *v.noted.shown(v.a.guard, v.p, u.now), nil
	}
	return run(ctx, s, call, st)
}

// ApproveReset approves a request for a reset. If it doesn't wait for its time too, the user's 2FA is reset when this returns.
// Who has asked, who approves, and the user are three people. The API keys by which they act belong to two clients, so that one
// stolen key is not two people, or both act in the portal: otherwise it is Forbidden. A request that the user has made may be
// approved with a key of any client, unless the policy wants a second approver. It is NotFound for a request that doesn't wait.
// It needs the scope admin.
func (s *Service) ApproveReset(ctx context.Context, call Call, id, by string) (ResetRequest, error) {
	if err := checkActor("actor", by, &call); err != nil {
		return ResetRequest{}, err
	}
	var v resetView
	st := resetStep(s, id, &v)
	st.decide = func(u *unit) (ResetRequest, error) {
		r, err := v.waits(u, id)
		if err != nil {
			return ResetRequest{}, err
		}
		if r != nil {
			approver, actor, err := u.administrator(v.a.guard.Org, "actor", by)
			if err != nil {
				return ResetRequest{}, err
			}
			if err := r.mayApprove(&approver, u.caller, v.a.guard, &v.p.Policy); err != nil {
				return ResetRequest{}, err
			}
			v.approve(u, &approver, actor)
		}
		return *v.noted.shown(v.a.guard, v.p, u.now), nil
	}
	return run(ctx, s, call, st)
}

// mayApprove refuses somebody who has no say in the request.
func (r *resetRequest) mayApprove(approver *person, by *caller, g *guard, p *Policy) error {
	sameClient := bytes.Equal(hashOfClient(by.grant().Client), r.Client)
	twoPeople := r.InPortal && by.session != nil // each of them has stepped up with a factor of their own
	switch {
	case !r.needsApproval(p):
		return refuse(Forbidden, "This request needs no approver.")
	case bytes.Equal(approver.hash(), r.By):
		return refuse(Forbidden, "Who has asked for a reset can't approve it.")
	case *approver == person{g.Org, g.User}:
		return refuse(Forbidden, "A user can't approve a reset of their own account.")
	case sameClient && !twoPeople && (!r.SelfService || p.Reset.SecondApprover):
		return refuse(Forbidden, "The request was made through this client. Another client has to approve it, or two administrators, one after the other, in the portal.")
	case r.Approved:
		return refuse(Forbidden, "This request is approved already.")
	}
	return nil
}

func (v *resetView) approve(u *unit, approver *person, actor activity.Actor) {
	r := v.a.guard.changeReset()
	r.Approved, r.DecidedBy = true, u.version
	u.event(v.a.event(UserResetApproved, v.p, map[string]any{"request": r.ID}).by(actor))
	if r.ready(&v.p.Policy, u.now) {
		u.carryOut(v.a, v.p, actor)
	} else {
		u.putGuard(v.a, v.p)
	}
	v.noted.ApprovedBy, v.noted.Request = approver, *v.a.guard.Reset
	u.put(v.noted.Item, &v.noted, v.noted.Item.Expires)
}

// CancelReset ends a request for a reset that waits, and tells the user. It is NotFound for one that doesn't wait. It needs the scope
// admin, and by is the administrator; or it needs the bearer of a link that cancels the request, and by is empty.
func (s *Service) CancelReset(ctx context.Context, call Call, id, by string) (ResetRequest, error) {
	if _, link := seal.ParseBearer(seal.CancelToken, call.Bearer, challengeIDLen); !link {
		if err := checkActor("actor", by, &call); err != nil {
			return ResetRequest{}, err
		}
	} else if by != "" {
		return ResetRequest{}, invalid("actor", "The token says who cancels the request. Leave this field out.")
	}
	var v resetView
	var link cancelToken
	st := resetStep(s, id, &v)
	st.bearer = seal.CancelToken
	st.reads = append(st.reads, read{key: cancelTokenKey(call.Bearer), take: func(item store.Item) error {
		link = cancelToken{}
		if item.Absent() {
			return nil
		}
		return record.Decode(item, &link)
	}})
	st.decide = func(u *unit) (ResetRequest, error) {
		if u.caller.key == nil && u.caller.session == nil && link.Of != id {
			return ResetRequest{}, noReset()
		}
		r, err := v.waits(u, id)
		if err != nil {
			return ResetRequest{}, err
		}
		if r != nil {
			u.decideReset(v.a.guard, cancelled)
			actor := userActor(v.a.guard.User)
			if by != "" || u.caller.session != nil {
				if _, actor, err = u.administrator(v.a.guard.Org, "actor", by); err != nil {
					return ResetRequest{}, err
				}
			}
			u.event(v.a.event(UserResetCancelled, v.p, map[string]any{"request": r.ID}).by(actor))
			u.putGuard(v.a, v.p)
		}
		return *v.noted.shown(v.a.guard, v.p, u.now), nil
	}
	return run(ctx, s, call, st)
}
