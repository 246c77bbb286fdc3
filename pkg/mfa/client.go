package mfa

import (
	"bytes"
	"context"
	"crypto/sha256"
	"slices"
	"time"

	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
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
	Name    string // that users know the client by, up to 64 bytes; empty: they know it by Service.Sender
	Scopes  []Scope
	Org     string   // empty: every org
	Origins []string // scheme, host and port that a return_url may have
}

const mostClientName = 64 // bytes

// checkClientName refuses a name that users would not see as it was typed: it stands in messages, in the header of a mail
// and in the list of an authenticator app, where what can't be seen is left out.
func checkClientName(name string) error {
	if err := checkText("name", name, mostClientName); err != nil {
		return err
	}
	if inert(name) != name {
		return invalid("name", "A name is one line of visible characters, with single spaces between words.")
	}
	return nil
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
	if err := checkClientName(k.Name); err != nil {
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
		if err := CheckOrigin(origin); err != nil {
			return seal.Secret{}, err
		}
	}
	filter, err := s.filter(ctx)
	if err != nil {
		return seal.Secret{}, AsError(err)
	}
	u := &unit{s: s}
	u.begin(nil)
	made := &apiKey{Client: k.Client, Name: k.Name, Scopes: k.Scopes, Org: k.Org, Origins: k.Origins, Created: u.now}
	bearer := filter.NewBearer(seal.APIKey, made.carries())
	hash := seal.HashBearer(bearer.Reveal())
	u.put(store.Item{Key: apiKeyKey(hash)}, made, time.Time{})
	u.put(store.Item{Key: keyLineKey(hash)}, made, time.Time{})
	if err := u.commit(ctx); err != nil {
		return seal.Secret{}, AsError(err)
	}
	return bearer, nil
}

// A caller is who holds the bearer of a call.
type caller struct {
	key     *apiKey // nil: another bearer, or it hasn't been read yet
	item    store.Item
	hash    string // of the bearer
	carried []byte // what an API key carries; nil: another bearer
}

// What an API key carries under the filter key: the route of its client, the org's half of the route of those it is
// limited to (zeros: of every org), and its scopes, a bit each.
const (
	keyOrg    = clientRouteLen
	keyScopes = keyOrg + orgRouteLen
	keyLen    = keyScopes + 1
)

func (k *apiKey) carries() []byte {
	carried := make([]byte, keyLen)
	copy(carried, clientRoute(k.Client))
	if k.Org != "" {
		copy(carried[keyOrg:], routeOf(k.Org, "").org())
	}
	for _, scope := range k.Scopes {
		carried[keyScopes] |= scope.bit()
	}
	return carried
}

// bit is the scope's place in what an API key carries, or 0 for one that this build doesn't know. Keys that were made keep
// theirs, so a new scope comes last in Scopes.
func (s Scope) bit() byte {
	if at := slices.Index(Scopes(), s); at >= 0 {
		return 1 << at
	}
	return 0
}

// authenticate says whether a bearer was made here and fits the call, before anything is read. A challenge or enrolment
// token of something else than the path names hears what everybody hears of what isn't there.
func authenticate[T any](f *seal.Filter, call Call, st *step[T]) (*caller, error) {
	who := &caller{hash: seal.HashBearer(call.Bearer)}
	if st.scope != "" {
		if carried, ok := f.Recognise(seal.APIKey, call.Bearer, keyLen); ok {
			who.carried = carried
			return who, who.fits(st.scope, st.or, st.org, st.named)
		}
	}
	if st.token != "" {
		if challenge, ok := f.Recognise(st.token, call.Bearer, challengeIDLen); ok {
			return who, st.named.takes(challenge)
		}
	}
	return nil, unauthenticated()
}

func unauthenticated() *Error {
	return refuse(Unauthenticated, "The call needs a bearer token that is valid here.")
}

// fits says whether an API key that carries this may make a call that needs scope, or the other one, for org, or for what
// the path names.
func (c *caller) fits(scope, or Scope, org string, n *named) error {
	bits := scope.bit()
	if or != "" {
		bits |= or.bit()
	}
	limit := route(c.carried[keyOrg:keyScopes])
	switch {
	case c.carried[keyScopes]&bits == 0:
		return refuse(Forbidden, "This API key doesn't have the scope "+string(scope)+".")
	case limit == route(make([]byte, orgRouteLen)):
		return nil
	case org != "" && limit != routeOf(org, "").org():
		return refuse(Forbidden, "This API key is for another org.")
	case n != nil && n.at != "" && limit != n.at.org():
		return n.missing()
	}
	return nil
}

// takes says whether a token of that challenge may be for what the path names: for the challenge itself, or for an
// enrolment of its user.
func (n *named) takes(challenge []byte) error {
	switch {
	case n == nil:
		return nil
	case n.challenge != "" && n.challenge == challengeID(challenge):
		return nil
	case n.challenge == "" && n.at == route(challenge[:routeLen]):
		return nil
	}
	return n.missing()
}

// readKey reads what the store has of an API key.
func (u *unit) readKey() read {
	c := u.caller
	if c.carried == nil {
		return nil
	}
	return func(ctx context.Context) (err error) {
		c.item, err = u.s.Store.Get(ctx, apiKeyKey(c.hash))
		return err
	}
}

// check says whether an API key is good, once it was read. Any other bearer is judged by the step.
func (c *caller) check() error {
	if c.carried == nil {
		return nil
	}
	if c.item.Absent() {
		return unauthenticated()
	}
	c.key = &apiKey{}
	if err := record.Decode(c.item, c.key); err != nil {
		return AsError(err)
	}
	if !bytes.Equal(c.key.carries(), c.carried) {
		return unauthenticated()
	}
	return nil
}

// client is the route of the client that an API key is of; nil: another bearer.
func (c *caller) client() []byte {
	if c.carried == nil {
		return nil
	}
	return c.carried[:clientRouteLen]
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
