package mfa

import (
	"net/url"
	"strings"

	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/seal"
	"countersign/pkg/store"
)

// A caller is the holder of a call's bearer.
type caller struct {
	key     *apikey.Key    // nil if the bearer is not an API key, or has not been read yet
	session *portalSession // nil if the bearer is not a portal token, or has not been read yet
	item    store.Item
	hash    string          // of the bearer
	carried *apikey.Carried // what an API key carries; nil for any other bearer
	portal  *portalReads    // what is read about a portal token; nil for any other bearer
}

// authenticate checks that a bearer was made here and fits the call, before anything is read. A challenge or enrolment token
// for something else than the path names gets the answer that everybody gets for what doesn't exist.
func authenticate[T any](f *seal.Filter, call Call, st *step[T]) (*caller, error) {
	who := &caller{hash: seal.HashBearer(call.Bearer)}
	if st.scope != "" {
		if carried, ok := apikey.Recognise(f, call.Bearer); ok {
			who.carried = &carried
			return who, who.fits(st.scope, st.orScope, st.org, st.named)
		}
	}
	if st.portal != 0 {
		if carried, ok := f.Recognise(seal.PortalToken, call.Bearer, portalCarriedLen); ok {
			who.portal = &portalReads{carried: portalCarried(carried)}
			return who, who.portal.carried.fits(st.portal, st.org, st.about, st.named)
		}
	}
	if st.bearer != "" {
		for _, length := range carriedBy(st.bearer) {
			if carried, ok := f.Recognise(st.bearer, call.Bearer, length); ok {
				return who, st.named.takes(carried)
			}
		}
	}
	return nil, unauthenticated()
}

func unauthenticated() *Error {
	return refuse(Unauthenticated, "The call needs a bearer token that is valid here.")
}

// fits checks that an API key may make a call that needs one of two scopes, for org, or for what the path names.
func (c *caller) fits(scope, or apikey.Scope, org string, n *named) error {
	if !c.carried.Has(scope) && !c.carried.Has(or) {
		return refuse(Forbidden, "This call needs an API key with the scope "+string(scope)+".")
	}
	if err := limited(*c.carried, org); err != nil {
		return err
	}
	if limit, limited := c.carried.Limit(); limited && n != nil && n.at != "" && limit != string(n.at.org()) {
		return n.missing()
	}
	return nil
}

// carriedBy returns how many bytes a bearer with that prefix can carry: the id of a challenge or of a request for a reset, which are
// of one length. A handle carries one only if the challenge's own item has what the handle stands for.
func carriedBy(prefix string) []int {
	if prefix == seal.Handle {
		return []int{0, challengeIDLen}
	}
	return []int{challengeIDLen}
}

// takes checks that a token of that challenge may be for what the path names: for the challenge itself, or for an enrolment
// of its user. A token of a request for a reset is for that request only.
func (n *named) takes(challenge []byte) error {
	switch {
	case n == nil:
		return nil
	case n.challenge != "" && n.challenge == challengeID(challenge):
		return nil
	case n.reset != "" && n.reset == resetID(challenge):
		return nil
	case n.challenge == "" && n.reset == "" && n.at == route(challenge[:routeLen]):
		return nil
	}
	return n.missing()
}

// readKey reads what the store has of an API key.
func (c *caller) readKey() read {
	if c.carried == nil {
		return read{}
	}
	return readItem(apikey.AnyCopy(c.hash), &c.item)
}

// check refuses an API key that is not good in this epoch of the deployment, once it was read. The step judges any other
// bearer.
func (c *caller) check(deployment int64) error {
	if c.carried == nil {
		return nil
	}
	if c.item.Absent() {
		return unauthenticated()
	}
	key, err := apikey.Read(c.item)
	if err != nil {
		return AsError(err)
	}
	if key.Carries() != *c.carried || !key.Confirmed(deployment) {
		return unauthenticated()
	}
	c.key = &key
	return nil
}

// client is the route of the client that an API key belongs to; nil for any other bearer.
func (c *caller) client() []byte {
	if c.carried == nil {
		return nil
	}
	return c.carried.Client()
}

// covers reports whether an API key is good for org, or a portal session is about it.
func (c *caller) covers(org string) bool {
	if c.session != nil {
		return c.session.about() == org
	}
	return c.key != nil && c.key.Covers(org)
}

// grant says for which client the call is made: the one of the API key, or the one that has begun the portal session.
func (c *caller) grant() *apikey.Grant {
	switch {
	case c.key != nil:
		return &c.key.Grant
	case c.session != nil:
		return &c.session.Grant
	}
	return &apikey.Grant{}
}

// mayAnswer reports whether the caller may act on ch: with the token of ch, or as the client that began it.
func (c *caller) mayAnswer(ch *challenge) bool {
	if c.key != nil {
		return c.key.Client == ch.Client && c.covers(ch.Org)
	}
	return c.holds(ch.Bearer) || c.holds(ch.Enrolment)
}

// holds reports whether hash is that of the caller's bearer.
func (c *caller) holds(hash string) bool {
	return hash != "" && seal.NewSecret(c.hash).Equal(seal.NewSecret(hash))
}

// has reports whether the caller is an API key with scope.
func (c *caller) has(scope apikey.Scope) bool { return c.key != nil && c.key.Has(scope) }

// actor returns who has done something that concerns user: the client with an API key, the person of a portal session, and the
// user with any other bearer.
func (c *caller) actor(user string) activity.Actor {
	switch {
	case c.key != nil:
		return activity.Actor{Kind: "client", ID: c.key.Client}
	case c.session != nil:
		return c.session.actor()
	}
	return userActor(user)
}

// mayReturn refuses a return_url that isn't under one of the client's origins.
func (c *caller) mayReturn(url *string) error {
	if url == nil || c.key != nil && len(*url) <= 2048 && underOrigin(*url, c.key.Origins) {
		return nil
	}
	return invalid("return_url", "The return_url must be an absolute URL under one of the client's registered origins.")
}

// underOrigin reports whether raw is an absolute URL under one of origins (scheme, host and port equal, no user info).
func underOrigin(raw string, origins []string) bool {
	u, err := url.Parse(raw)
	if err != nil || u.User != nil || u.Opaque != "" || strings.ContainsAny(raw, "\\\t\r\n ") {
		return false
	}
	for _, origin := range origins {
		if u.Scheme+"://"+u.Host == origin {
			return true
		}
	}
	return false
}
