package walk

import (
	"context"
	"fmt"
	"strings"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/seal"
)

// resetStages are about resets by administrators, requests for a reset that wait, and passes.
func resetStages() []stage {
	needsApproval := func(p *mfa.Policy) { p.Reset.SecondApprover = true }
	untilDue := 30 * time.Second
	return []stage{
		{
			name: "a user is reset beside a verify", torn: true, lost: [3]int{1, 1, 2}, profile: "default",
			set: func(p *props) {
				x := p.app("ana", p.Fresh())
				p.trustBy(x)
				one := p.ask("ana", mfa.SignIn)
				p.call(func(a *actor) { a.show(one, x, step(0), true) })
				p.call(func(a *actor) { a.reset("ana") })
				if p.full {
					p.call(func(a *actor) { a.show(one, x, nil, false) })
				}
				p.check = noSessionOutlivesAReset
			},
		},
		{
			name: "a request for a reset is approved beside a cancel", torn: true, lost: [3]int{1, 1, 2}, profile: "default", policy: needsApproval,
			set: func(p *props) {
				p.app("ana", p.Fresh())
				id, other := p.askForReset("ana"), p.NewClient(p, apikey.Grant{Client: "backoffice", Scopes: apikey.Scopes()})
				p.call(func(a *actor) { a.approve("ana", id, other) })
				p.call(func(a *actor) { a.cancel("ana", p.Client, id, "olga") })
				p.check = decidedOnce
			},
		},
		{
			name: "a request for a reset is approved twice, beside a sign-in", torn: true, lost: [3]int{0, 1, 1}, profile: "default", policy: needsApproval,
			set: func(p *props) {
				x := p.app("ana", p.Fresh())
				id, other := p.askForReset("ana"), p.NewClient(p, apikey.Grant{Client: "backoffice", Scopes: apikey.Scopes()})
				one := p.ask("ana", mfa.SignIn)
				p.call(func(a *actor) { a.approve("ana", id, other) })
				p.call(func(a *actor) { a.approve("ana", id, other) })
				p.call(func(a *actor) { a.show(one, x, step(0), false) })
				p.check = func(e *ending) error {
					if err := decidedOnce(e); err != nil {
						return err
					}
					return noSessionOutlivesAReset(e)
				}
			},
		},
		{
			name: "a link cancels a request for a reset twice", torn: true, lost: [3]int{0, 1, 1}, profile: "default", policy: heldFor(24 * time.Hour),
			set: func(p *props) {
				p.app("ana", p.Fresh())
				link := p.linkOf("ana", p.requestReset("ana"))
				p.call(func(a *actor) { a.cancelRedeemed(a.redeem("ana", link)) })
				p.call(func(a *actor) { a.cancelRedeemed(a.redeem("ana", link)) })
				if p.full {
					p.call(func(a *actor) { a.redeem("ana", link) })
				}
				p.check = decidedOnce
			},
		},
		{
			name: "a handle is redeemed twice", lost: [3]int{1, 1, 3}, profile: "default", policy: heldFor(24 * time.Hour),
			set: func(p *props) {
				p.app("ana", p.Fresh())
				link := p.linkOf("ana", p.requestReset("ana"))
				p.call(func(a *actor) { a.redeem("ana", link) })
				p.call(func(a *actor) { a.redeem("ana", link) })
				p.check = decidedOnce
			},
		},
		{
			name: "a reset that the user has asked for is due beside sign-ins", lost: [3]int{0, 1, 1}, profile: "default",
			jumps: []time.Duration{untilDue - time.Microsecond, untilDue},
			policy: func(p *mfa.Policy) {
				heldFor(24 * time.Hour)(p)
				p.Recovery.Count = 0
			},
			set: func(p *props) {
				x := p.app("ana", p.Fresh())
				p.requestReset("ana")
				p.Clock.Advance(24*time.Hour - untilDue)
				x.set = p.Clock.Now()
				one := p.ask("ana", mfa.SignIn)
				one.until = x.set.Add(untilDue)
				p.call(func(a *actor) { a.show(one, x, step(0), false) })
				p.call(func(a *actor) { a.start(signingIn("ana"), "") })
				p.check = func(e *ending) error {
					u, err := e.shown("ana")
					if due := !e.clock.Now().Before(one.until); err != nil || due != (len(u.Factors) == 0) {
						return fmt.Errorf("the reset is due: %t, and the user has %d factors, %w", due, len(u.Factors), err)
					}
					return noSessionOutlivesAReset(e)
				}
			},
		},
		{
			name: "a reset is due beside a cancel", lost: [3]int{1, 1, 2}, profile: "default",
			jumps:  []time.Duration{untilDue - time.Microsecond, untilDue},
			policy: func(p *mfa.Policy) { p.Reset.HoldS, p.Recovery.Count = 86400, 0 },
			set: func(p *props) {
				p.app("ana", p.Fresh())
				id := p.askForReset("ana")
				due := p.Clock.Now().Add(24 * time.Hour)
				p.Clock.Advance(24*time.Hour - untilDue)
				p.call(func(a *actor) { a.cancel("ana", p.Client, id, "olga") })
				p.call(func(a *actor) { a.start(signingIn("ana"), "") })
				p.check = resetUnlessCancelled(due)
			},
		},
		{
			name: "a pass at two sign-ins, beside its revocation", torn: true, lost: [3]int{0, 1, 1}, profile: "default",
			policy: func(p *mfa.Policy) { p.Pass.MaxS = 3600 },
			set: func(p *props) {
				p.app("ana", p.Fresh())
				issued, err := p.IssuePass(context.Background(), p.Client, "acme", "ana", mfa.PassRequest{Intervention: byOlga()})
				if err != nil {
					p.Fatal(err)
				}
				one, two := p.ask("ana", mfa.SignIn), p.ask("ana", mfa.SignIn)
				p.call(func(a *actor) { a.recover(one, *issued.Pass, "pass", nil, "") })
				p.call(func(a *actor) { a.recover(two, *issued.Pass, "pass", nil, "") })
				p.call(func(a *actor) { a.withdraw("ana") })
			},
		},
	}
}

func byOlga() mfa.Intervention { return mfa.Intervention{Actor: "olga", Reason: "She called."} }

// heldFor returns a change of a policy, after which users may ask for a reset, which waits for so long.
func heldFor(wait time.Duration) func(*mfa.Policy) {
	return func(p *mfa.Policy) {
		p.Reset.SelfService, p.Reset.HoldS = mfa.SelfServiceHold, int(wait/time.Second)
	}
}

// askForReset lets an administrator ask for a reset before the calls, and returns the id of the request.
func (p *props) askForReset(user string) string {
	p.Helper()
	answer, err := p.ResetUser(context.Background(), p.Client, "acme", user, byOlga())
	if err != nil || answer.Request == nil {
		p.Fatal(answer, err)
	}
	return answer.Request.ID
}

// requestReset lets a user ask for a reset at a challenge before the calls, hands over the notices of that, and returns the id of the
// request.
func (p *props) requestReset(user string) string {
	p.Helper()
	o := p.ask(user, mfa.SignIn)
	asked, err := p.RequestReset(context.Background(), o.bearer, mfa.ResetAsk{Challenge: o.id, Reason: "The phone is lost."})
	if err != nil {
		p.Fatal(err)
	}
	p.Drain(p)
	return asked.ID
}

// linkOf returns the handle of the link that cancels a user's request.
func (p *props) linkOf(user, id string) seal.Secret {
	p.Helper()
	for _, m := range p.Outbox.To(addressOf(user)) {
		if _, after, found := strings.Cut(m.Text, p.Issuer+"/pages/cancel/en/"); found {
			text, _, _ := strings.Cut(after, "\n")
			return seal.NewSecret(text)
		}
	}
	p.Fatalf("no notice has a link that cancels %s", id)
	return seal.Secret{}
}

// reset resets a user's 2FA.
func (a *actor) reset(user string) *call {
	return a.do(a.named("reset"), deed{kind: restarts, closes: true, user: user}, func(ctx context.Context, s *mfa.Service) (any, error) {
		_, err := s.ResetUser(ctx, a.props.Client, "acme", user, byOlga())
		return "reset", err
	})
}

// approve approves a request for a reset.
func (a *actor) approve(user, id string, by mfa.Call) *call {
	return a.do(a.named("approve"), deed{kind: approves, closes: true, user: user}, func(ctx context.Context, s *mfa.Service) (any, error) {
		r, err := s.ApproveReset(ctx, by, id, "paul")
		return "decided: " + r.State, err
	})
}

// cancel cancels a request for a reset. With the token of a link, there is no administrator.
func (a *actor) cancel(user string, by mfa.Call, id, administrator string) *call {
	return a.do(a.named("cancel"), deed{kind: cancels, user: user}, func(ctx context.Context, s *mfa.Service) (any, error) {
		r, err := s.CancelReset(ctx, by, id, administrator)
		return "decided: " + r.State, err
	})
}

// redeem gives the token for the handle of a link.
func (a *actor) redeem(user string, link seal.Secret) *call {
	return a.do(a.named("redeem"), deed{kind: redeems, user: user}, func(ctx context.Context, s *mfa.Service) (any, error) {
		r, err := s.RedeemHandle(ctx, mfa.Call{}, link)
		if err != nil {
			return nil, err
		}
		return []string{r.ID, r.Token.Reveal()}, nil
	})
}

// cancelRedeemed cancels a request for a reset with the token that c was given, if it was given one.
func (a *actor) cancelRedeemed(c *call) {
	if got, ok := c.answer.([]string); ok && !c.silent() {
		a.cancel(c.user, mfa.Call{Bearer: got[1]}, got[0], "")
	}
}

// withdraw takes a user's pass back.
func (a *actor) withdraw(user string) *call {
	return a.do(a.named("revoke the pass"), deed{kind: withdraws, closes: true, user: user}, func(ctx context.Context, s *mfa.Service) (any, error) {
		return "done", s.RevokePass(ctx, a.props.Client, "acme", user)
	})
}

// shown returns a user's account as it is at the end.
func (e *ending) shown(user string) (mfa.User, error) {
	s, _ := e.aside(0)
	return s.GetUser(context.Background(), e.props.Client, "acme", user)
}

// decidedOnce checks that at most one call has decided a request for a reset or redeemed a handle, that the account is as that call
// says, and that nobody is told otherwise.
func decidedOnce(e *ending) error {
	decided, redeemed, state := 0, 0, ""
	for _, c := range e.calls {
		switch c.kind {
		case approves, cancels:
			if c.landed > 1 {
				return fmt.Errorf("I1: %s was recorded %d times", c.what, c.landed)
			}
			decided += c.landed
			if c.landed > 0 {
				state = map[string]string{approves: "done", cancels: "cancelled"}[c.kind]
			}
		case redeems:
			redeemed += c.landed
		default:
			continue
		}
		switch code := c.refusal(); {
		case c.silent():
		case code == "" && c.landed == 0:
			return fmt.Errorf("law 2: %s succeeded and nothing was recorded", c.what)
		case code != "" && c.landed > 0:
			return fmt.Errorf("I10: %s was recorded and hears %s", c.what, code)
		case code != "" && code != mfa.NotFound:
			return fmt.Errorf("%s hears %s", c.what, code)
		}
	}
	if decided > 1 || redeemed > 1 {
		return fmt.Errorf("I1: %d calls have decided one request, and %d have redeemed one handle", decided, redeemed)
	}
	if got := e.guards["ana"].Reset.State; got != state {
		return fmt.Errorf("I1: the request is %q, want %q", got, state)
	}
	u, err := e.shown("ana")
	if err != nil || (len(u.Factors) == 0) != (state == "done") {
		return fmt.Errorf("I1: the request is %q, and the user has %d factors, %w", state, len(u.Factors), err)
	}
	return nil
}

// resetUnlessCancelled checks that a reset that was due at a moment has happened by then, unless the only request was cancelled before,
// and that who cancels it is told the truth.
func resetUnlessCancelled(due time.Time) func(*ending) error {
	return func(e *ending) error {
		cancelled := false
		for _, c := range e.calls {
			if c.kind != cancels {
				continue
			}
			did := c.landed > 0 && !c.carried // it carries the reset out itself if that is due
			cancelled = cancelled || did
			if !c.silent() && (c.refusal() == "") != did || c.refusal() == mfa.NotFound && e.clock.Now().Before(due) {
				return fmt.Errorf("I10: %s was recorded: %t, and hears %q", c.what, did, c.text)
			}
		}
		u, err := e.shown("ana")
		if want := !e.clock.Now().Before(due) && !cancelled; err != nil || want != (len(u.Factors) == 0) {
			return fmt.Errorf("I1: the user should be reset: %t, and has %d factors, %w", want, len(u.Factors), err)
		}
		return nil
	}
}

// noSessionOutlivesAReset checks that no session goes on that was begun with what a reset has ended.
func noSessionOutlivesAReset(e *ending) error {
	reset := false
	for _, c := range e.calls {
		reset = reset || c.restarted()
	}
	for _, c := range e.calls {
		answer, ok := c.answer.(mfa.VerifyAnswer)
		if !ok || c.dead || c.err != nil {
			continue
		}
		active, err := e.active(c.user, answer.IssuedAt)
		if err != nil || active == reset {
			return fmt.Errorf("I3: the session of %s goes on: %t, and the user was reset: %t, %w", c.what, active, reset, err)
		}
	}
	return nil
}

// active reports whether a session may go on at the end.
func (e *ending) active(user string, issued time.Time) (bool, error) {
	s, _ := e.aside(0)
	said, err := s.Introspect(context.Background(), e.props.Client, mfa.IntrospectRequest{Org: "acme", User: user, IssuedAt: issued})
	return said.Active, err
}
