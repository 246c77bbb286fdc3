package mfa

import (
	"countersign/pkg/seal"
	"encoding/base64"
	"strings"
)

// Challenge and enrolment tokens carry the whole id of the challenge that they are for, so that all reads start at once,
// and a token of another challenge reads nothing.
const challengeIDLen = routeLen + seal.IDRandom

// newToken makes a bearer for the challenge of that id.
func (u *unit) newToken(prefix, id string) seal.Secret {
	raw, _ := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(id, "ch_")) // nothing is ever begun for what is no id
	return u.filter.NewBearer(prefix, raw)
}

// challengeID is the id of the challenge that a token carries.
func challengeID(carried []byte) string { return "ch_" + base64.RawURLEncoding.EncodeToString(carried) }
