package walk

import (
	"context"
	"fmt"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

// textStages are about the budgets of text messages that the users of an org share.
func textStages() []stage {
	return []stage{
		{
			name: "two sign-ins by SMS, and one message is left of the day", lost: [3]int{0, 1, 2}, profile: "salto", policy: messagesADay(1), counts: countsOfDay,
			set: func(p *props) {
				p.phone("ana", anasNumber)
				p.phone("bob", "+33612340002")
				p.call(func(a *actor) { a.startBySMS("ana") })
				p.call(func(a *actor) { a.startBySMS("bob") })
				p.check = func(e *ending) error { return e.kept(1, 1) }
			},
		},
		{
			name: "a number without room beside the last message of the day", lost: [3]int{0, 1, 0}, profile: "salto", policy: messagesADay(6), counts: countsOfDay,
			set: func(p *props) {
				p.phone("ana", anasNumber)
				p.phone("bob", "+33612340002")
				for range 5 { // as many as a number gets in an hour
					p.startBySMS("bob")
				}
				p.call(func(a *actor) { a.startBySMS("bob") })
				p.call(func(a *actor) { a.startBySMS("ana") })
				if p.full {
					p.call(func(a *actor) { a.startBySMS("ana") })
				}
				p.check = func(e *ending) error { return e.kept(1, 0) }
			},
		},
		{
			name: "no message of the day is taken by the provider", lost: [3]int{0, 1, 2}, profile: "salto", policy: messagesADay(1), counts: countsOfDay, refused: true,
			set: func(p *props) {
				p.phone("ana", anasNumber)
				p.phone("bob", "+33612340002")
				p.call(func(a *actor) { a.startBySMS("ana") })
				p.call(func(a *actor) { a.startBySMS("bob") })
				p.check = func(e *ending) error {
					if left := e.countedOfDay(); left != 0 && e.lost() == 0 {
						return fmt.Errorf("I9: %d messages are counted that nobody was sent", left)
					}
					return e.kept(0, 0)
				}
			},
		},
	}
}

// countsOfDay is part of the key under which all messages of an org in a day are counted.
const countsOfDay = "#day#"

// messagesADay changes a policy so that it allows SMS to France, and n messages in a day.
func messagesADay(n int) func(*mfa.Policy) {
	return func(p *mfa.Policy) {
		p.SMS.Countries, p.SMS.DailyCap = []string{"FR"}, n
	}
}

// phone enrols a number before the calls, and moves the clock on by a day.
func (p *props) phone(user, number string) {
	p.Helper()
	p.EnrolSMS(p, p.Fresh(), "acme", mfa.Person{ID: user}, number)
	p.Clock.Advance(24 * time.Hour)
}

// startBySMS starts a sign-in before the calls, for a user who has enrolled a number.
func (p *props) startBySMS(user string) *mfa.ChallengeToAnswer {
	p.Helper()
	answer, err := p.StartChallenge(context.Background(), p.Client, bySMS(user))
	if err != nil {
		p.Fatal(err)
	}
	return answer.Challenge
}

func bySMS(user string) mfa.StartRequest {
	return mfa.StartRequest{Org: "acme", User: mfa.Person{ID: user}}
}

// beginBySMS starts a challenge by SMS before the calls.
func (p *props) beginBySMS(user, number string) opened {
	p.Helper()
	ch := p.startBySMS(user)
	o := opened{user: user, id: ch.ID, bearer: mfa.Call{Bearer: ch.Token.Reveal()}, code: p.Outbox.Code(p, number), until: ch.Sent.Expires}
	p.typed[o.code.Reveal()], p.typed[mfatest.Wrong(o.code).Reveal()] = true, true
	p.before[o.id] = true
	return o
}

// startBySMS starts a sign-in for a user who has enrolled a number.
func (a *actor) startBySMS(user string) *call {
	return a.do(a.named("start by SMS"), deed{kind: starts, user: user}, func(ctx context.Context, s *mfa.Service) (any, error) {
		return s.StartChallenge(ctx, a.props.Client, bySMS(user))
	})
}

// countedOfDay returns how many of today's messages are counted in the org's budget.
func (e *ending) countedOfDay() (n int64) {
	for key := range e.numbers {
		switch key.Sort {
		case "sent":
			n += e.number(key)
		case "returned":
			n -= e.number(key)
		}
	}
	return n
}

// kept checks that no more messages were sent than a budget had room for, and that each of them is counted. If no commit was
// lost, at least least messages must have been sent.
func (e *ending) kept(room, least int) error {
	before := int64(0)
	for key := range e.numbers {
		if key.Sort == "sent" {
			n, err := e.props.model.Count(context.Background(), key, 0, 0, e.clock.Now())
			if err != nil {
				return err
			}
			before += n
		}
	}
	sent := len(e.texts)
	switch {
	case sent > room:
		return fmt.Errorf("I9: %d messages were sent, and there was room for %d", sent, room)
	case e.countedOfDay()-before < int64(sent):
		return fmt.Errorf("I9: %d messages were sent and %d counted", sent, e.countedOfDay()-before)
	case sent < least && e.lost() == 0:
		return fmt.Errorf("got %d messages sent, want %d", sent, least)
	}
	for _, c := range e.calls {
		heard := !c.sent.IsZero()
		switch answer := c.answer.(type) {
		case mfa.StartAnswer:
			heard = answer.Challenge.Sent != nil
		case mfa.SendAnswer, mfa.EnrolAnswer:
			heard = c.err == nil
		}
		if !c.silent() && heard == c.sent.IsZero() {
			return fmt.Errorf("I10: %s hears %q", c.what, c.text)
		}
	}
	return nil
}
