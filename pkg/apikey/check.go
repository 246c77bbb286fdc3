package apikey

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"countersign/pkg/text"
)

const mostName = 64 // bytes

func invalid(param, detail string) *InvalidError { return &InvalidError{Param: param, Detail: detail} }

// check returns an InvalidError if no API key can have this grant.
func (g *Grant) check() error {
	if problem := text.CheckID(g.Client); problem != "" {
		return invalid("client", problem)
	}
	if err := checkName(g.Name); err != nil {
		return err
	}
	if problem := text.Check(g.Label, mostName); problem != "" {
		return invalid("label", problem)
	}
	if len(g.Scopes) == 0 || slices.ContainsFunc(g.Scopes, func(s Scope) bool { return !slices.Contains(Scopes(), s) }) {
		return invalid("scopes", "At least one scope is required, and each must be one of "+scopeNames()+".")
	}
	if g.Org != "" {
		if problem := text.CheckID(g.Org); problem != "" {
			return invalid("org", problem)
		}
	}
	for _, origin := range g.Origins {
		if err := CheckOrigin(origin); err != nil {
			return err
		}
	}
	return nil
}

// checkName refuses a name that would not be shown as it was typed. Users see the name in messages, as the sender of a mail and
// in the list of an authenticator app, and characters that can't be seen are left out there.
func checkName(name string) error {
	if problem := text.Check(name, mostName); problem != "" {
		return invalid("name", problem)
	}
	if text.Line(name) != name {
		return invalid("name", "A name must be one line of visible characters, with single spaces between words.")
	}
	return nil
}

func scopeNames() string {
	var names []string
	for _, scope := range Scopes() {
		names = append(names, string(scope))
	}
	return strings.Join(names, ", ")
}

// CheckOrigin returns an InvalidError for a text that isn't an origin as browsers write it (RFC 6454 section 6.2). It also
// refuses an origin with plain http, because anyone on the network could pretend to be that server. Plain http is allowed only
// for this machine.
func CheckOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Hostname() == "" || origin != u.Scheme+"://"+strings.ToLower(u.Host) ||
		u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())) {
		return invalid("origins", "An origin must be https://, a host in lower case and optionally a port, and have nothing after that. "+
			"Only for this machine it can be http://.")
	}
	return nil
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}
