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

// check gives an InvalidError for what no API key can be for.
func (g *Grant) check() error {
	if problem := text.CheckID(g.Client); problem != "" {
		return invalid("client", problem)
	}
	if err := checkName(g.Name); err != nil {
		return err
	}
	if len(g.Scopes) == 0 || slices.ContainsFunc(g.Scopes, func(s Scope) bool { return !slices.Contains(Scopes(), s) }) {
		return invalid("scopes", "At least one scope is required, and each is one of "+scopeNames()+".")
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

// checkName refuses a name that users would not see as it was typed: it stands in messages, in the header of a mail and
// in the list of an authenticator app, where what can't be seen is left out.
func checkName(name string) error {
	if problem := text.Check(name, mostName); problem != "" {
		return invalid("name", problem)
	}
	if text.Line(name) != name {
		return invalid("name", "A name is one line of visible characters, with single spaces between words.")
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

// CheckOrigin gives an InvalidError for what browsers don't call an origin (RFC 6454 section 6.2), and for an origin that
// anybody on the network could pretend to be: plain http, except on this machine.
func CheckOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Hostname() == "" || origin != u.Scheme+"://"+strings.ToLower(u.Host) ||
		u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())) {
		return invalid("origins", "An origin is https://, a host in lower case and perhaps a port, and nothing after them; "+
			"http:// is for this machine only.")
	}
	return nil
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}
