package mfa

import (
	"context"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/store"
)

// A User is a user's account as the client sees it.
type User struct {
	ID              string           `json:"id"`
	Email           *string          `json:"email"`
	Phone           *string          `json:"phone"`
	Name            *string          `json:"name"`
	Locale          *string          `json:"locale"`
	Enabled         bool             `json:"enabled"`
	Enforced        bool             `json:"enforced"`
	Required        bool             `json:"required"`
	Status          string           `json:"status"` // protected, unprotected, grace or locked
	Factors         []Factor         `json:"factors"`
	Recovery        RecoveryState    `json:"recovery"`
	TrustedBrowsers []TrustedBrowser `json:"trusted_browsers"`
	GraceUntil      *time.Time       `json:"grace_until"`
	LockedUntil     *time.Time       `json:"locked_until"`
}

// A RecoveryState says how many recovery codes are left, and when their set was made.
type RecoveryState struct {
	CodesLeft int        `json:"codes_left"`
	Created   *time.Time `json:"created"`
	FewLeft   bool       `json:"few_left"` // time for a new set
}

func (g *guard) recoveryState(p *orgPolicy) RecoveryState {
	set := g.recoverySet(p)
	if set == nil {
		return RecoveryState{}
	}
	made := set.Made
	left := len(set.Codes)
	return RecoveryState{CodesLeft: left, Created: &made, FewLeft: left <= fewLeft && left < p.Recovery.Count}
}

// The statuses of a user.
const (
	Protected    = "protected"
	Unprotected  = "unprotected"
	StatusLocked = "locked"
)

// GetUser shows a user's account; NotFound for one never seen, or erased.
func (s *Service) GetUser(ctx context.Context, call Call, org, user string) (User, error) {
	if err := checkUser(org, user); err != nil {
		return User{}, err
	}
	var a *account
	var p *orgPolicy
	r := routeOf(org, user)
	return run(ctx, s, call, step[User]{
		scope: apikey.Manage, org: org,
		reads: []read{s.readAccount(r, &a), readPolicy(r, org, &p)},
		decide: func(u *unit) (User, error) {
			if !a.known() {
				return User{}, refuse(NotFound, "There is no such user.")
			}
			return a.shown(p, u.now), nil
		},
	})
}

func checkUser(org, user string) error {
	if err := checkID("org", org); err != nil {
		return err
	}
	return checkID("user", user)
}

func (a *account) shown(p *orgPolicy, now time.Time) User {
	g := a.guard
	u := User{
		ID: g.User, Email: known(g.Profile.Email), Phone: known(g.Profile.Phone), Name: known(g.Profile.Name),
		Locale: known(g.Profile.Locale), Enabled: g.Enabled, Enforced: g.Enforced, Required: g.required(&p.Policy),
		Status: Unprotected, Factors: a.shownFactors(), TrustedBrowsers: []TrustedBrowser{}, Recovery: g.recoveryState(p),
	}
	if usable := a.factors(&p.Policy); a.on(&p.Policy) || len(usable) > 0 && usable[len(usable)-1].ID == a.addressID() {
		u.Status = Protected
	}
	if until, locked := g.Guesses.locked(false, now); locked { // as a browser that nobody knows finds it
		u.Status, u.LockedUntil = StatusLocked, &until
	}
	if p.Trust.Days > 0 {
		for i := range a.browsers {
			if b := &a.browsers[i].browser; b.live(g.trustEpoch(), p, now) {
				u.TrustedBrowsers = append(u.TrustedBrowsers, *b.shown(p))
			}
		}
	}
	return u
}

func known(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// PutUser makes a user, or brings an existing one up to the client's directory: a field that is absent stays, null
// clears it. A changed email or phone ends trust and open challenges. A bad value is InvalidRequest.
func (s *Service) PutUser(ctx context.Context, call Call, org string, said Person) (User, error) {
	if err := checkUser(org, said.ID); err != nil {
		return User{}, err
	}
	if bad := new(Profile).follow(said); len(bad) > 0 {
		return User{}, invalid(bad[0], "This is not a valid %s.", bad[0])
	}
	var a *account
	var p *orgPolicy
	r := routeOf(org, said.ID)
	return run(ctx, s, call, step[User]{
		scope: apikey.Manage, org: org,
		reads: []read{s.readAccount(r, &a), readPolicy(r, org, &p)},
		decide: func(u *unit) (User, error) {
			told := u.follow(a, p, org, said)
			if a.guard.Deprovisioned {
				a.guard.Deprovisioned, told.changed = false, true
			}
			if told.relist {
				u.list(a)
			}
			if told.changed {
				u.putGuard(a, p)
			}
			return a.shown(p, u.now), nil
		},
	})
}

// erasedFor is how long the item stays that the event of an erasure rides on: less than a challenge does.
const erasedFor = 10 * time.Minute

// EraseUser removes everything about a user: challenges and trust are dead and the activity says nothing of them with the
// first commit, and what is left of facts is removed by the ones after it. What expires by itself is left to: challenges
// and the event of the erasure name the user until then. A user made again under the same id inherits nothing. Erasing
// nobody is done.
func (s *Service) EraseUser(ctx context.Context, call Call, org, user string) error {
	if err := checkUser(org, user); err != nil {
		return err
	}
	var a *account
	var p *orgPolicy
	r := routeOf(org, user)
	for more, gone := true, false; more; {
		last := false
		_, err := run(ctx, s, call, step[struct{}]{
			scope: apikey.Manage, org: org,
			reads: []read{s.readAccount(r, &a), readPolicy(r, org, &p)},
			decide: func(u *unit) (struct{}, error) {
				more, last = false, false
				if !a.known() || !gone { // or made again since
					more, last = u.erase(a, p.Version)
				}
				return struct{}{}, nil
			},
		})
		if err != nil {
			return err
		}
		gone = gone || last
	}
	return nil
}

// erase plans one commit's worth of an erasure, and reports whether to look for more, and whether it is the guard's last.
// The guard goes after the facts that were read beside it, so that an erasure that was cut short is taken up by the next;
// facts that were written between the two reads are found once it is gone, for nothing is added then.
func (u *unit) erase(a *account, policyVersion int) (more, last bool) {
	const batch = store.MaxWrites - 4
	var rest []store.Item
	for i := range a.browsers {
		rest = append(rest, a.browsers[i].item)
	}
	for i := range a.enrolled {
		rest = append(rest, a.enrolled[i].item)
	}
	if !a.pending.item.Absent() {
		rest = append(rest, a.pending.item)
	}
	for _, item := range rest[:min(len(rest), batch)] {
		u.delete(item)
	}
	switch {
	case !a.known() && len(rest) == 0:
		return false, false
	case a.known() && len(rest) > batch:
		a.guard.renew()
		a.guard.Activity, a.guard.Waiting = activity.NewKey(), nil
		u.put(a.item, a.guard, time.Time{})
		return true, false
	case a.known():
		last = true
		u.delete(a.item)
		if a.guard.Listed != "" {
			u.delete(store.Item{Key: rosterKey(a.route), Version: a.guard.Listed})
		}
		u.event(a.guard.event(UserErased, policyVersion, nil))
	}
	u.put(store.Item{Key: store.Key{Partition: userPartition(a.route), Sort: "erased#" + string(u.token)}}, &erased{At: u.now}, u.now.Add(erasedFor))
	return true, last
}
