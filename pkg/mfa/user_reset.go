package mfa

import (
	"context"
	"encoding/json"
	"slices"
	"time"
)

// A ResetAnswer has the account of a user whose 2FA was reset, or the request, if the reset has to wait.
type ResetAnswer struct {
	User    *User
	Request *ResetRequest
}

// MarshalJSON writes the one of the two that there is.
func (a ResetAnswer) MarshalJSON() ([]byte, error) {
	if a.Request != nil {
		return json.Marshal(a.Request)
	}
	return json.Marshal(a.User)
}

// ResetUser removes a user's 2FA on the word of an administrator: all factors, trusted browsers and recovery codes. Challenges,
// enrolments and proofs are dead when it returns, and 2FA is off. Where 2FA is required, the next sign-in leads to an enrolment.
// The user is told by every channel that they had. Locks stay: see Unlock.
//
// If the policy wants a second approver or a waiting time, nothing of that happens yet. Then the answer has a request that waits
// (see ApproveReset and CancelReset), and the user is told about it. A user has one such request at a time, so it is AlreadyExists
// while another one waits. It needs the scope admin. An administrator can't reset their own account, which is Forbidden.
func (s *Service) ResetUser(ctx context.Context, call Call, org, user string, by Intervention) (ResetAnswer, error) {
	if err := by.check("", &call); err != nil {
		return ResetAnswer{}, err
	}
	return intervene(ctx, s, call, org, user, func(u *unit, a *account, p *orgPolicy) (ResetAnswer, error) {
		who, actor, err := u.administrator(org, "actor", by.Actor)
		if err != nil {
			return ResetAnswer{}, err
		}
		if (who == person{org, user}) {
			return ResetAnswer{}, refuse(Forbidden, "An administrator can't reset their own account. Another administrator can.")
		}
		if !p.Reset.SecondApprover && p.Reset.HoldS == 0 {
			a.guard.ProveAddress = ""
			u.reset(a, p, a.event(UserReset, p, map[string]any{"reason": by.Reason}).by(actor))
			shown := a.shown(p, u.now)
			return ResetAnswer{User: &shown}, nil
		}
		noted := resetRecord{User: user, By: who, Client: u.caller.grant().Client, Reason: by.Reason}
		if waits := a.guard.resetInForce(u.now); waits != nil {
			if slices.Contains(u.versions, waits.DecidedBy) {
				noted.Request = *waits
				return ResetAnswer{Request: noted.shown(a.guard, p, u.now)}, nil // an earlier try of this call has made it
			}
			return ResetAnswer{}, refuse(AlreadyExists, "A request for a reset of this user waits already.")
		}
		r := resetRequest{NeedsApproval: p.Reset.SecondApprover, HoldS: p.Reset.HoldS, InPortal: u.caller.session != nil}
		if r.HoldS > 0 {
			r.Due = u.now.Add(time.Duration(r.HoldS) * time.Second)
		}
		if err := u.askForReset(a, p, r, noted, actor); err != nil {
			return ResetAnswer{}, err
		}
		noted.Request = *a.guard.Reset
		return ResetAnswer{Request: noted.shown(a.guard, p, u.now)}, nil
	})
}

// causeReset is the cause of what a reset ends. The user is told about the reset, and not about each of these.
const causeReset = "reset"

// reset plans that the user has no 2FA any more, and puts the guard. The event says who has done that.
func (u *unit) reset(a *account, p *orgPolicy, e pendingEvent) {
	before := len(u.events)
	u.event(e)
	if a.guard.Enabled {
		u.event(a.event(UserDisabled, p, map[string]any{"cause": causeReset}))
	}
	u.removeAll(a, p, causeReset)
	for i := range u.events[before:] {
		u.events[before+i].Actor = e.Actor
	}
	u.putRosterEntry(a)
	u.putGuard(a, p)
}
