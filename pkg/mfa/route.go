package mfa

import (
	"encoding/base64"
	"strings"

	"countersign/pkg/seal"
)

// A route says where a user's items are. It is the hash of the org, and then the hash of org and user together. Ids and
// bearers carry it in front of their random part, so that all reads of a step can start at once.
type route string

const routeLen = 2 * seal.RouteLen

func routeOf(org, user string) route { return route(seal.Route(org) + seal.Route(org, user)) }

// org is the org's half of a route.
func (r route) org() route { return r[:seal.RouteLen] }

// shortID returns the random part of an id, in base64url. That is enough to name the thing if its user is known. It is
// empty for a text that is not an id.
func shortID(id string) string {
	_, rest, _ := strings.Cut(id, "_")
	raw, err := base64.RawURLEncoding.DecodeString(rest)
	if err != nil || len(raw) < seal.IDRandom {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(raw[len(raw)-seal.IDRandom:])
}
