package mfa

import (
	"context"
	"crypto/sha256"
	"slices"
	"time"

	"countersign/pkg/seal"
	"countersign/pkg/store"
)

// A Scope is what an API key may do. None of them includes another.
type Scope string

// The scopes.
const (
	ScopeSignIn Scope = "sign_in" // challenges and decisions
	ScopeManage Scope = "manage"  // a user's account
	ScopeAdmin  Scope = "admin"   // an org's policy and users
)

// Scopes is all of them.
func Scopes() []Scope { return []Scope{ScopeSignIn, ScopeManage, ScopeAdmin} }

// A NewKey is what an API key shall be for.
type NewKey struct {
	Client  string
	Scopes  []Scope
	Org     string   // empty: every org
	Origins []string // scheme, host and port that a return_url may have
}

const clientRouteLen = 16

func clientRoute(client string) []byte {
	sum := sha256.Sum256(seal.Join("client", client))
	return sum[:clientRouteLen]
}

// CreateKey makes an API key. Only its hash is kept: the key is in the answer and nowhere else. The same commit writes the
// line that the key is listed by.
func (s *Service) CreateKey(ctx context.Context, k NewKey) (seal.Secret, error) {
	if err := checkID("client", k.Client); err != nil {
		return seal.Secret{}, err
	}
	if len(k.Scopes) == 0 {
		return seal.Secret{}, invalid("scopes", "At least one of %v.", Scopes())
	}
	for _, scope := range k.Scopes {
		if !slices.Contains(Scopes(), scope) {
			return seal.Secret{}, invalid("scopes", "Any of %v.", Scopes())
		}
	}
	if k.Org != "" {
		if err := checkID("org", k.Org); err != nil {
			return seal.Secret{}, err
		}
	}
	for _, origin := range k.Origins {
		if err := checkOrigin(origin); err != nil {
			return seal.Secret{}, err
		}
	}
	bearer := seal.NewBearer(seal.APIKey, clientRoute(k.Client))
	hash := seal.HashBearer(bearer.Reveal())
	u := &unit{s: s}
	u.begin(nil)
	record := &apiKey{Client: k.Client, Scopes: k.Scopes, Org: k.Org, Origins: k.Origins, Created: u.now}
	u.put(store.Item{Key: apiKeyKey(hash)}, record, time.Time{})
	u.put(store.Item{Key: keyLineKey(hash)}, record, time.Time{})
	if err := u.commit(ctx); err != nil {
		return seal.Secret{}, AsError(err)
	}
	return bearer, nil
}

// A caller is who holds the bearer of a call.
type caller struct {
	key    *apiKey // nil: another bearer
	item   store.Item
	hash   string // of the bearer
	client []byte // the route of the client that an API key says it is of
}

// authenticate names the reads that will say who calls. It refuses at once what can't be a bearer.
func (s *Service) authenticate(call Call, scope Scope, token string) (*caller, []read, error) {
	who := &caller{hash: seal.HashBearer(call.Bearer)}
	if client, ok := seal.ParseBearer(seal.APIKey, call.Bearer, clientRouteLen); ok && scope != "" {
		who.client = client
		return who, []read{func(ctx context.Context) (err error) {
			who.item, err = s.Store.Get(ctx, apiKeyKey(who.hash))
			return err
		}}, nil
	}
	switch token {
	case seal.ChallengeToken:
		if _, ok := seal.ParseBearer(token, call.Bearer, 0); ok {
			return who, nil, nil
		}
	case seal.EnrolmentToken:
		if _, ok := seal.ParseBearer(token, call.Bearer, enrolmentRouteLen); ok {
			return who, nil, nil
		}
	}
	return nil, nil, unauthenticated()
}

func unauthenticated() *Error {
	return refuse(Unauthenticated, "The call needs a bearer token that is valid here.")
}

// check says whether the caller may make a call that needs scope, or the other one, for org, or for what the path names.
// Any other bearer is judged by the step.
func (c *caller) check(scope, or Scope, org string, n *named) error {
	if c.client == nil {
		return nil
	}
	if c.item.Absent() {
		return unauthenticated()
	}
	c.key = &apiKey{}
	if err := decode(c.item, c.key); err != nil {
		return AsError(err)
	}
	if string(clientRoute(c.key.Client)) != string(c.client) {
		return unauthenticated()
	}
	if !slices.Contains(c.key.Scopes, scope) && (or == "" || !slices.Contains(c.key.Scopes, or)) {
		return refuse(Forbidden, "This API key doesn't have the scope "+string(scope)+".")
	}
	if org != "" && !c.covers(org) {
		return refuse(Forbidden, "This API key is for another org.")
	}
	if n != nil && n.at != "" && c.key.Org != "" && !n.at.within(c.key.Org) {
		return n.missing()
	}
	return nil
}

// covers reports whether an API key is good for org.
func (c *caller) covers(org string) bool {
	return c.key != nil && (c.key.Org == "" || c.key.Org == org)
}

// mayAnswer reports whether the caller may act on ch: with a token of its own, or as the client that began it.
func (c *caller) mayAnswer(ch *challenge) bool {
	if c.key != nil {
		return c.key.Client == ch.Client && c.covers(ch.Org)
	}
	return c.holds(ch.Bearer) || c.holds(ch.Enrolment)
}

// holds reports whether the caller's bearer is the one of that hash.
func (c *caller) holds(hash string) bool {
	return hash != "" && seal.NewSecret(c.hash).Equal(seal.NewSecret(hash))
}

// has reports whether the caller is an API key with scope.
func (c *caller) has(scope Scope) bool { return c.key != nil && slices.Contains(c.key.Scopes, scope) }

// actor is who did what concerns user: the client, or with any other bearer the user.
func (c *caller) actor(user string) Actor {
	if c.key != nil {
		return Actor{Kind: "client", ID: c.key.Client}
	}
	return userActor(user)
}
