package apikey

import (
	"bytes"
	"slices"

	"countersign/pkg/seal"
)

// Carried is what the bearer of an API key carries under the filter key: the route of its client, the route of the org
// that it is limited to (zeros: every org), and its scopes, a bit for each.
type Carried [carriedLen]byte

const (
	orgAt      = seal.RouteLen
	scopesAt   = orgAt + seal.RouteLen
	carriedLen = scopesAt + 1
)

// Recognise gives what an API key carries, if bearer is one that was made under the key of f. That lets nobody in: the
// item of the key decides.
func Recognise(f *seal.Filter, bearer string) (Carried, bool) {
	carried, ok := f.Recognise(seal.APIKey, bearer, carriedLen)
	if !ok {
		return Carried{}, false
	}
	return Carried(carried), true
}

// Resembles reports whether bearer has the form of an API key, wherever it was made.
func Resembles(bearer string) bool {
	_, ok := seal.ParseBearer(seal.APIKey, bearer, carriedLen)
	return ok
}

// Carries is what the bearer of such a key carries.
func (g *Grant) Carries() (c Carried) {
	copy(c[:], seal.Route("client", g.Client))
	if g.Org != "" {
		copy(c[orgAt:], seal.Route(g.Org))
	}
	for _, scope := range g.Scopes {
		c[scopesAt] |= scope.bit()
	}
	return c
}

// Client is the route of the client whose key it is: seal.RouteLen bytes.
func (c Carried) Client() []byte { return bytes.Clone(c[:orgAt]) }

// Limit is the route of the only org that the key is good for. It reports false for a key that is good for every org.
func (c Carried) Limit() (org string, limited bool) {
	org = string(c[orgAt:scopesAt])
	return org, org != string(make([]byte, seal.RouteLen))
}

// Has reports whether the key has a scope.
func (c Carried) Has(scope Scope) bool { return c[scopesAt]&scope.bit() != 0 }

// bit is the scope's place in what a key carries, or 0 for a scope that this build doesn't know.
func (s Scope) bit() byte {
	if at := slices.Index(Scopes(), s); at >= 0 {
		return 1 << at
	}
	return 0
}
