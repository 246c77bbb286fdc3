package mfa

import (
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// A portal session lets the pages of one person act for that person: a user who looks after their own account, or an administrator
// who looks after an org. A client begins it with an API key, once it has signed the person in.
//
// Its bearer is the portal token. The token carries the person's route and, for an administrator, the route of the org. So a token
// that doesn't fit a call reads nothing. The session's record is found by the hash of the token. Every call reads it beside the
// person's guard and the policy of the person's org, in the one request that a call makes for single items, so it takes no round trip
// more. The session is dead once the guard has another epoch: after a reset, a revocation, a sign-out or a deprovisioning of the
// person. What a browser says about freshness counts for nothing. The session knows when the client last checked the password.
//
// An administrator is a user, so a stolen token of an administrator is not enough to change anything: every call that writes needs the
// proof of a step-up that this administrator has answered with a factor of their own, even where an API key would need none.
const portalFor = time.Hour

// A portalUse says which portal sessions may make a call.
type portalUse int

const noPortal portalUse = 0

const (
	byUser          portalUse = 1 << iota // the session of the user whom the call is about
	byAdministrator                       // the session of an administrator of the org that the call is about
	byPerson                              // any session of the person whom the call is about
	reading                               // the call changes nothing, so an administrator needs no proof for it
)

// A portalCarried is what a portal token carries: the route of the person and, for an administrator, of the org that the session is
// about. For a user that part is zero.
type portalCarried [portalCarriedLen]byte

const portalCarriedLen = routeLen + seal.RouteLen

func carriedByPortal(person route, administers string) (c portalCarried) {
	copy(c[:], person)
	if administers != "" {
		copy(c[routeLen:], seal.Route(administers))
	}
	return c
}

func (c portalCarried) person() route { return route(c[:routeLen]) }

// administers returns the route of the org that an administrator's session is about. It is empty for a user's session.
func (c portalCarried) administers() route {
	org := route(c[routeLen:])
	if org == route(make([]byte, seal.RouteLen)) {
		return ""
	}
	return org
}

// fits checks that a portal token may make a call, before anything is read. org and about are what the call is about, or n is. In an
// org that the session is not about, the token hears what a made-up one does.
func (c portalCarried) fits(use portalUse, org string, about route, n *named) error {
	administers := c.administers()
	in := c.person().org()
	if administers != "" && use&byPerson == 0 {
		in = administers
	}
	other := refuse(Forbidden, "This portal session is for another user.")
	switch {
	case n != nil:
		about, other = n.at, n.missing()
	case org != "" && route(seal.Route(org)) != in:
		return unauthenticated()
	}
	switch {
	case use&byPerson != 0 && about == c.person():
		return nil
	case use&byPerson != 0:
		return other
	case administers == "" && use&byUser == 0:
		return refuse(Forbidden, "This call needs a portal session of an administrator.")
	case administers == "" && (about != "" || n != nil) && about != c.person():
		return other
	case administers != "" && use&byAdministrator == 0:
		return refuse(Forbidden, "This call needs a portal session of the user.")
	case administers != "" && n != nil && (n.at == "" || n.at.org() != administers):
		return other
	}
	return nil
}

// A portalReads is what a call reads about its portal token.
type portalReads struct {
	carried portalCarried
	session portalSession
	person  *account // with the guard only
	policy  *orgPolicy
}

// readSession returns the reads about the caller's portal token. There are none for any other bearer.
func (s *Service) readSession(c *caller) []read {
	p := c.portal
	if p == nil {
		return nil
	}
	r := p.carried.person()
	policy := readPolicy(r, "", &p.policy)
	policy.policy = nil // it need not be the policy of the account that the step is about
	return []read{
		{key: portalKey(c.hash), take: func(item store.Item) error {
			p.session = portalSession{}
			if item.Absent() {
				return nil
			}
			return record.Decode(item, &p.session)
		}},
		{
			key: guardKey(r),
			take: func(item store.Item) error {
				p.person = &account{route: r, item: item, relyingParty: s.RelyingParty.ID}
				if item.Absent() {
					return nil
				}
				err := p.person.take(item)
				if err == nil {
					p.person.factorRecords = p.person.guard.accountAt(r).factorRecords
				}
				return err
			},
			follow: func(deployment int64) error { return p.person.follow(deployment) },
		},
		policy,
	}
}

// checkSession refuses a portal token whose session is missing, has ended or is dead. reads are those of the step. If they have the
// account of the session's own person, it is asked too, because it may have been read later than the guard.
func (c *caller) checkSession(u *unit, reads []read) error {
	c.session = nil
	p := c.portal
	if p == nil {
		return nil
	}
	s, r := &p.session, p.carried.person()
	people := []*account{p.person}
	for _, each := range reads {
		if each.account != nil && (*each.account).route == r {
			people = append(people, *each.account)
		}
	}
	for _, a := range people {
		if s.Item.Absent() || !a.exists() || s.Epoch != a.guard.Epoch || a.resetIsDue(p.policy, u.now) {
			return unauthenticated()
		}
	}
	if !u.now.Before(s.Ends) || carriedByPortal(routeOf(s.Org, s.User), s.Administers) != p.carried {
		return unauthenticated()
	}
	c.session = s
	return nil
}

// administratorSteppedUp refuses a call that writes, of an administrator in the portal who hasn't answered a step-up in the last 10
// minutes. What counts is the administrator's own factor, whatever the call is about.
func (u *unit) administratorSteppedUp(call Call, use portalUse) error {
	s := u.caller.session
	if s == nil || s.Administers == "" || use&byAdministrator == 0 || use&reading != 0 {
		return nil
	}
	p := u.caller.portal
	strongest, guarded := p.person.strongest(&p.policy.Policy)
	proof, err := u.proof(call.Proof, p.person.guard)
	switch {
	case err != nil:
		return err
	case guarded && proof != nil && !proof.Recovered && proof.Kind.proves(strongest):
		return nil
	}
	return refuse(StepUpNeeded, "An administrator steps up first. Let the administrator answer a step-up with a factor of their own, the strongest they have, and give the token of that answer in the header Countersign-Proof within 10 minutes.")
}

// strongest returns the kind of the strongest factor of an administrator that the policy allows, whether their 2FA is on or not. It
// returns false for one who has none.
func (a *account) strongest(p *Policy) (Kind, bool) {
	if factors := a.factors(p); len(factors) > 0 {
		return factors[0].Kind, true
	}
	return "", false
}

// A portalSession is the record of a portal session.
type portalSession struct {
	record.Head
	Org             string       `json:"org" record:"1"` // of the person
	User            string       `json:"user" record:"2"`
	Administers     string       `json:"administers" record:"3"` // the org that an administrator's session is about; empty for a user's own
	Epoch           string       `json:"epoch" record:"4,word"`  // of the person's guard
	Grant           apikey.Grant `json:"grant" record:"5"`       // of the client that has begun it: its id, name and origins
	Reauthenticated *time.Time   `json:"reauthenticated_at" record:"6"`
	ReturnURL       *string      `json:"return_url" record:"7"`
	Locale          *string      `json:"locale" record:"8"`
	Ends            time.Time    `json:"ends" record:"9"`
	StepUps         int          `json:"step_ups" record:"10"` // how many were begun with it
}

// about is the org that the session is about.
func (s *portalSession) about() string {
	if s.Administers != "" {
		return s.Administers
	}
	return s.Org
}

func (s *portalSession) actor() activity.Actor {
	if s.Administers != "" {
		return activity.Actor{Kind: "administrator", ID: s.User}
	}
	return userActor(s.User)
}

// visits reports whether actor is the session's administrator and a user of another org than the one that the session is about.
func (s *portalSession) visits(actor activity.Actor) bool {
	return s != nil && s.Administers != "" && s.Administers != s.Org && actor == s.actor()
}

func portalKey(hash string) store.Key {
	return store.Key{Partition: "portal#" + hash, Sort: "session"}
}

// byPortal returns what the bearer of a call carries, if it has the form of a portal token. It doesn't find out who made it.
func (call *Call) byPortal() (carried portalCarried, ok bool) {
	raw, ok := seal.ParseBearer(seal.PortalToken, call.Bearer, portalCarriedLen)
	if !ok {
		return portalCarried{}, false
	}
	return portalCarried(raw), true
}
