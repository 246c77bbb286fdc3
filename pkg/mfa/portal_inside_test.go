package mfa

import (
	"testing"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/store"
)

// TestAPortalSessionIsJudgedByAllThatWasReadOfIt changes one thing at a time of what a call has read about a good portal token.
func TestAPortalSessionIsJudgedByAllThatWasReadOfIt(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	r := routeOf("acme", "u-17")
	for what, change := range map[string]func(p *portalReads, later *account){
		"nothing":                       func(*portalReads, *account) {},
		"no record":                     func(p *portalReads, _ *account) { p.session.Item = store.Item{} },
		"no user":                       func(p *portalReads, _ *account) { p.person.guard = nil },
		"another epoch":                 func(p *portalReads, _ *account) { p.person.guard.Epoch = "two" },
		"another epoch when read later": func(_ *portalReads, later *account) { later.guard.Epoch = "two" },
		"no user when read later":       func(_ *portalReads, later *account) { later.guard = nil },
		"its end":                       func(p *portalReads, _ *account) { p.session.Ends = now },
		"a record of another user":      func(p *portalReads, _ *account) { p.session.User = "u-18" },
		"a record of another org":       func(p *portalReads, _ *account) { p.session.Org = "globex" },
		"a record of an administrator":  func(p *portalReads, _ *account) { p.session.Administers = "acme" },
		"a token of an administrator":   func(p *portalReads, _ *account) { p.carried = carriedByPortal(r, "acme") },
		"a reset of the user that is due": func(p *portalReads, _ *account) {
			p.person.guard.Reset = &resetRequest{Asked: now.Add(-time.Hour), Approved: true}
		},
	} {
		policy := &orgPolicy{Org: "acme", Policy: DefaultPolicy()}
		p := &portalReads{
			carried: carriedByPortal(r, ""), policy: policy,
			person:  &account{route: r, guard: &guard{Org: "acme", User: "u-17", Epoch: "one"}},
			session: portalSession{Org: "acme", User: "u-17", Epoch: "one", Ends: now.Add(time.Second), Grant: apikey.Grant{Client: "app"}},
		}
		p.session.Item = store.Item{Key: portalKey("hash"), Version: store.NewVersion()}
		later := &account{route: r, guard: &guard{Org: "acme", User: "u-17", Epoch: "one"}}
		change(p, later)
		c := &caller{portal: p}
		err := c.checkSession(&unit{now: now}, []read{{account: &later}})
		if good := what == "nothing"; (err == nil) != good || (c.session != nil) != good {
			t.Errorf("%s: got %v and the session %v, want it to be good: %v", what, err, c.session != nil, good)
		}
		if err != nil && AsError(err).Code != Unauthenticated {
			t.Errorf("%s: got %s, want %s", what, AsError(err).Code, Unauthenticated)
		}
	}
}
