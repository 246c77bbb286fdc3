package apikey

import (
	"bytes"
	"slices"

	"countersign/pkg/seal"
)

// Carried is what the text of an API key says about the key, protected by the MAC of a seal.Filter: the route of the client, the
// route of the org to which the key is limited (all zeros if it is valid for every org), and one bit for each scope.
type Carried [carriedLen]byte

const (
	orgAt      = seal.RouteLen
	scopesAt   = orgAt + seal.RouteLen
	carriedLen = scopesAt + 1
)

// Recognise returns what an API key carries, if the token was made under the key of f. That doesn't mean that the API key is
// valid: for this, its item must be in the store.
func Recognise(f *seal.Filter, bearer string) (Carried, bool) {
	carried, ok := f.Recognise(seal.APIKey, bearer, carriedLen)
	if !ok {
		return Carried{}, false
	}
	return Carried(carried), true
}

// Resembles reports whether the token has the form of an API key. It doesn't find out who made it.
func Resembles(bearer string) bool {
	_, ok := seal.ParseBearer(seal.APIKey, bearer, carriedLen)
	return ok
}

// Carries returns what the text of a key with this grant carries.
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

// Client returns the route of the client to which the key belongs. It has seal.RouteLen bytes.
func (c Carried) Client() []byte { return bytes.Clone(c[:orgAt]) }

// Limit returns the route of the only org for which the key is valid. It reports false for a key that is valid for every org.
func (c Carried) Limit() (org string, limited bool) {
	org = string(c[orgAt:scopesAt])
	return org, org != string(make([]byte, seal.RouteLen))
}

// Has reports whether the key has the scope.
func (c Carried) Has(scope Scope) bool { return c[scopesAt]&scope.bit() != 0 }

// bit returns the bit of the scope in what a key carries. It is 0 for an unknown scope.
func (s Scope) bit() byte {
	if at := slices.Index(Scopes(), s); at >= 0 {
		return 1 << at
	}
	return 0
}
