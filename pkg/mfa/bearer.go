package mfa

import (
	"context"
	"encoding/base64"
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

// Knows returns nil if a bearer token was made here and wasn't altered, and an Error with the code Unauthenticated if not. It
// fails if the filter can't be read. Whoever serves calls asks it before anything else about a request is judged. A token that
// is known needn't be valid: each call finds that out.
func (s *Service) Knows(ctx context.Context, bearer string) error {
	filter, err := s.filter(ctx)
	if err != nil {
		return AsError(err)
	}
	if _, ok := apikey.Recognise(filter, bearer); ok {
		return nil
	}
	if _, ok := filter.Recognise(seal.PortalToken, bearer, portalCarriedLen); ok {
		return nil
	}
	for _, prefix := range []string{seal.ChallengeToken, seal.EnrolmentToken, seal.CancelToken} {
		if _, ok := filter.Recognise(prefix, bearer, challengeIDLen); ok {
			return nil
		}
	}
	return unauthenticated()
}
