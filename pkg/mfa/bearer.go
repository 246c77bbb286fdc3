package mfa

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"

	"countersign/pkg/apikey"
	"countersign/pkg/seal"
)

// Challenge and enrolment tokens carry the whole id of the challenge that they are for. So all reads start at once, and a
// token of another challenge reads nothing.
const challengeIDLen = routeLen + seal.IDRandom

// newToken makes a bearer for the challenge with that id.
func (u *unit) newToken(prefix, id string) seal.Secret {
	raw, _ := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(id, "ch_")) // a challenge that doesn't exist gets no token
	return u.filter.NewBearer(prefix, raw)
}

// resetID returns the id of the request for a reset that a token carries.
func resetID(carried []byte) string { return "rs_" + base64.RawURLEncoding.EncodeToString(carried) }

// challengeID returns the id of the challenge that a token carries.
func challengeID(carried []byte) string { return "ch_" + base64.RawURLEncoding.EncodeToString(carried) }

// Knows returns nil if a bearer token was made here and is of a kind that a call takes. If not, it returns an Error with the code
// Unauthenticated or Forbidden. It fails if the filter can't be read. callers are the scopes of API keys, of which one is enough,
// and the prefixes of other tokens. org is the one that the path names, if it names one. Whoever serves calls asks Knows before
// anything else about a request is judged. It reads nothing about the token, so a token that is known needn't be valid: each
// call finds that out.
func (s *Service) Knows(ctx context.Context, bearer, org string, callers []string) error {
	filter, err := s.filter(ctx)
	if err != nil {
		return AsError(err)
	}
	carried, isKey := apikey.Recognise(filter, bearer)
	var needed []string
	for _, caller := range callers {
		switch scope := apikey.Scope(caller); {
		case slices.Contains(apikey.Scopes(), scope):
			needed = append(needed, caller)
			if isKey && carried.Has(scope) {
				return limited(carried, org)
			}
		case madeHere(filter, caller, bearer):
			return nil
		}
	}
	switch {
	case isKey && len(needed) == 0:
		return nil // the call itself refuses every API key; until then its client hears what else is wrong
	case isKey:
		return refuse(Forbidden, "This call needs an API key with the scope "+strings.Join(needed, " or ")+".")
	}
	return unauthenticated()
}

// limited refuses an API key that is limited to another org. org may be empty.
func limited(carried apikey.Carried, org string) error {
	if limit, limited := carried.Limit(); limited && org != "" && limit != seal.Route(org) {
		return refuse(Forbidden, "This API key is limited to another organisation.")
	}
	return nil
}

// madeHere reports whether a bearer that isn't an API key was made here, with that prefix.
func madeHere(filter *seal.Filter, prefix, bearer string) bool {
	length := challengeIDLen
	if prefix == seal.PortalToken {
		length = portalCarriedLen
	}
	_, ok := filter.Recognise(prefix, bearer, length)
	return ok
}
