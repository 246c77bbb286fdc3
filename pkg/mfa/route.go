package mfa

import (
	"encoding/base64"
	"strings"

	"countersign/pkg/seal"
)

// A route is where a user's items are: the hash of the org, then that of org and user together. Ids and bearers carry
// it in front of their random part, so that all reads of a step can start at once.
type route string

const routeLen = 2 * seal.RouteLen

func routeOf(org, user string) route { return route(seal.Route(org) + seal.Route(org, user)) }

// org is the org's half of a route.
func (r route) org() route { return r[:seal.RouteLen] }

// shortID is the random part of an id, base64url: enough to name it beside its user. What is no id has none.
func shortID(id string) string {
	_, rest, _ := strings.Cut(id, "_")
	raw, err := base64.RawURLEncoding.DecodeString(rest)
	if err != nil || len(raw) < seal.IDRandom {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(raw[len(raw)-seal.IDRandom:])
}
