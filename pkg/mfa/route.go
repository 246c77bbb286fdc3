package mfa

import (
	"countersign/pkg/seal"
	"strings"
)

// A route is where a user's items are: the hash of the org, then that of org and user together. Ids and bearers carry
// it in front of their random part, so that all reads of a step can start at once.
type route string

const routeLen = 2 * seal.RouteLen

func routeOf(org, user string) route { return route(seal.Route(org) + seal.Route(org, user)) }

// org is the org's half of a route.
func (r route) org() route { return r[:seal.RouteLen] }

// shortID is an id without its prefix and route: enough to name it beside its user.
func shortID(id string) string {
	_, rest, _ := strings.Cut(id, "_")
	return rest[max(0, len(rest)-22):]
}
