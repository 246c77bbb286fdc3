package mfa

import (
	"encoding/base64"
	"strings"

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
