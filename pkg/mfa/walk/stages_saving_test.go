package walk

import (
	"context"
	"fmt"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/seal"
)

// savingStages are about policies that are saved beside calls of users, and sign them out at once.
func savingStages() []stage {
	everyone := func(p *mfa.Policy) { p.Require = mfa.Everyone }
	return []stage{
		{
			name: "a policy signs out beside an enrolment", torn: true, lost: [3]int{0, 1, 1}, profile: "talkdesk",
			set: func(p *props) {
				issued := p.letIn("ana")
				x, en := p.appUnderWay("ana", p.Fresh(), mfa.EnrolRequest{Org: "acme", User: directory("ana"), Kind: mfa.TOTP})
				p.call(func(a *actor) {
					a.save(everyone)
					a.introspect("ana", issued)
				})
				p.call(func(a *actor) { a.finishBeside(en, x.code(0)) })
				p.check = signedOutUnlessEnrolled(issued)
			},
		},
		{
			name: "a policy that forbids the user's factor signs out beside a verify", torn: true, lost: [3]int{0, 1, 1}, profile: "talkdesk",
			policy: func(p *mfa.Policy) { p.Recovery.Count = 0 },
			set: func(p *props) {
				x := p.app("ana", p.Fresh())
				one := p.ask("ana", mfa.SignIn)
				p.call(func(a *actor) {
					a.save(func(p *mfa.Policy) { p.Require, p.Methods.TOTP = mfa.Everyone, mfa.NotAllowed })
				})
				p.call(func(a *actor) { a.show(one, x, step(0), false) })
				p.check = func(e *ending) error {
					saved := e.happened(saves, &call{})
					for _, c := range e.calls {
						answer, ok := c.answer.(mfa.VerifyAnswer)
						if !ok || c.dead || c.err != nil {
							continue
						}
						active, err := e.active("ana", answer.IssuedAt)
						if err != nil || active == saved {
							return fmt.Errorf("I3: the session goes on: %t, and a policy has signed the user out: %t, %w", active, saved, err)
						}
					}
					return nil
				}
			},
		},
	}
}

// save saves another policy over the one from before the calls.
func (a *actor) save(change func(*mfa.Policy)) *call {
	return a.do(a.named("save the policy"), deed{kind: saves, closes: true}, func(ctx context.Context, s *mfa.Service) (any, error) {
		policy := a.props.policy.Policy
		change(&policy)
		saved, err := s.PutPolicy(ctx, a.props.Client, "acme", mfa.PolicyChange{Policy: policy, Version: &a.props.policy.Version, Acknowledge: true})
		return fmt.Sprint("saved version ", saved.Version), err
	})
}

// finishBeside finishes an enrolment, and notes what was closed before.
func (a *actor) finishBeside(en underWay, code seal.Secret) *call {
	d := deed{
		kind: finishes, user: en.user, challenge: en.id, code: code.Reveal(), right: true, until: en.until, before: true, app: en.app,
		secret: en.id, learns: true,
	}
	return a.do(a.named("finish"), d, func(ctx context.Context, s *mfa.Service) (any, error) {
		return s.FinishEnrolment(ctx, en.by, mfa.FinishRequest{Enrolment: en.id, Answer: mfa.Answer{Code: code}})
	})
}

// signedOutUnlessEnrolled checks that a session from before the calls has ended if a policy was saved before the user had a factor,
// and goes on otherwise.
func signedOutUnlessEnrolled(issued time.Time) func(*ending) error {
	return func(e *ending) error {
		saved, heard, enrolledFirst := false, false, false
		var by uint64
		for _, c := range e.calls {
			if c.kind == saves && c.landed > 0 {
				saved, heard, by = true, !c.silent(), c.bit
			}
		}
		for _, c := range e.calls {
			enrolledFirst = enrolledFirst || c.kind == finishes && c.landed > 0 && c.landedOver&by == 0
		}
		want := !saved || enrolledFirst
		for _, c := range e.calls {
			if said, ok := c.answer.(mfa.Introspection); ok && !c.silent() && said.Active && heard && !want {
				return fmt.Errorf("I3: %s began after the policy was saved, and hears that the session may go on", c.what)
			}
		}
		active, err := e.active("ana", issued)
		if err != nil || active != want {
			return fmt.Errorf("I3: the session goes on: %t, want %t; saved: %t, enrolled before that: %t, %w", active, want, saved, enrolledFirst, err)
		}
		return nil
	}
}
