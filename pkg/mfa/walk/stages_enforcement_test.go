package walk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"countersign/pkg/mfa"
)

// enforcementStages are about users who must enrol a factor: those whom a policy has signed out, and those in grace.
func enforcementStages() []stage {
	return []stage{
		{
			name: "a user who was signed out enrols", torn: true, lost: [3]int{1, 1, 2}, profile: "talkdesk",
			set: func(p *props) {
				issued := p.letIn("ana")
				p.signOut()
				started, err := p.StartChallenge(context.Background(), p.Client, signingIn("ana"))
				if err != nil {
					p.Fatal(err)
				}
				by := mfa.Call{Bearer: started.Enrolment.Token.Reveal()}
				x, en := p.appUnderWay("ana", by, mfa.EnrolRequest{Kind: mfa.TOTP})
				en.by, en.challenge = by, started.ID
				p.call(func(a *actor) { a.finish(en, x.code(0), true, "") })
				p.call(func(a *actor) {
					a.introspect("ana", issued)
					a.introspect("ana", issued)
				})
				p.call(func(a *actor) { a.revokeAll("ana") })
				p.check = neverRevived(issued)
			},
		},
		{
			name: "a backup is enrolled beside a revocation", torn: true, lost: [3]int{0, 1, 1}, profile: "default", policy: mustEnrolAnApp,
			set: func(p *props) {
				by := p.enrolledAtSignIn("ana")
				p.call(func(a *actor) { a.finishMailed(a.backUp("ana", by), underWay{user: "ana", by: by}) })
				p.call(func(a *actor) { a.revokeAll("ana") })
			},
		},
		{
			name: "two pages begin the backup at once", torn: true, lost: [3]int{0, 1, 2}, profile: "default", policy: mustEnrolAnApp,
			set: func(p *props) {
				by := p.enrolledAtSignIn("ana")
				for range 2 {
					p.call(func(a *actor) { a.finishMailed(a.backUp("ana", by), underWay{user: "ana", by: by}) })
				}
				p.check = atMost(2, "ana")
			},
		},
		{
			name: "the last skip is used twice", torn: true, lost: [3]int{1, 1, 2}, profile: "helpdesk",
			policy: func(p *mfa.Policy) {
				until, once := time.Date(2026, 11, 22, 11, 0, 0, 0, time.UTC), 1
				p.Require, p.GraceUntil, p.MaxSkips = mfa.Everyone, &until, &once
			},
			set: func(p *props) {
				if _, err := p.PutUser(context.Background(), p.Client, "acme", *directory("ana")); err != nil {
					p.Fatal(err)
				}
				p.call(func(a *actor) { a.start(signingIn("ana"), "") })
				p.call(func(a *actor) { a.start(signingIn("ana"), "") })
				if p.full {
					p.call(func(a *actor) { a.start(signingIn("ana"), "") })
				}
				p.check = oneSkip
			},
		},
	}
}

// mustEnrolAnApp is a policy under which everyone has to enrol, and is offered email as a backup.
func mustEnrolAnApp(p *mfa.Policy) {
	p.Require, p.EnrolmentProof, p.EmailBackup = mfa.Everyone, "none", mfa.Pinned
}

// enrolledAtSignIn lets a user enrol an app at a sign-in before the calls, and returns the call with the enrolment token.
func (p *props) enrolledAtSignIn(user string) mfa.Call {
	p.Helper()
	started, err := p.StartChallenge(context.Background(), p.Client, signingIn(user))
	if err != nil {
		p.Fatal(err)
	}
	by := mfa.Call{Bearer: started.Enrolment.Token.Reveal()}
	x, en := p.appUnderWay(user, by, mfa.EnrolRequest{Kind: mfa.TOTP})
	en.by = by
	p.enrolled(x, en)
	return by
}

// backUp begins to enrol the user's address as a backup, with the enrolment token that has brought the first factor.
func (a *actor) backUp(user string, by mfa.Call) *call {
	return a.do(a.named("begin the backup"), deed{kind: begins, closes: true, once: true, user: user}, func(ctx context.Context, s *mfa.Service) (any, error) {
		return s.BeginEnrolment(ctx, by, mfa.EnrolRequest{Kind: mfa.Email})
	})
}

// letIn signs a user in who isn't asked, before the calls, and returns when the session began.
func (p *props) letIn(user string) time.Time {
	p.Helper()
	answer, err := p.StartChallenge(context.Background(), p.Client, signingIn(user))
	if err != nil {
		p.Fatal(err)
	}
	return *answer.IssuedAt
}

// signOut saves a policy that signs out everybody who has no factor.
func (p *props) signOut() {
	p.Helper()
	p.SetPolicy(p, "acme", "talkdesk", func(policy *mfa.Policy) {
		policy.Challenge.Attempts, policy.Challenge.ResendAfterS, policy.Require = challengeAttempts, 10, mfa.Everyone
	})
}

// introspect asks whether a session may go on that began before the calls.
func (a *actor) introspect(user string, issued time.Time) *call {
	return a.do(a.named("introspect"), deed{kind: looks, user: user}, func(ctx context.Context, s *mfa.Service) (any, error) {
		return s.Introspect(ctx, a.props.Client, mfa.IntrospectRequest{Org: "acme", User: user, IssuedAt: issued})
	})
}

// neverRevived checks that no call, and nobody afterwards, is told that a session may go on which had ended before the calls, and
// that a session that an enrolment has begun may go on unless another call ended it.
func neverRevived(issued time.Time) func(*ending) error {
	return func(e *ending) error {
		revoked := false
		for _, c := range e.calls {
			if said, ok := c.answer.(mfa.Introspection); ok && !c.dead && c.err == nil && said.Active {
				return errors.New("I3: a session was revived")
			}
			revoked = revoked || c.kind == revokes && c.landed > 0
		}
		for _, c := range e.calls {
			done, ok := c.answer.(mfa.FinishAnswer)
			if !ok || c.dead || c.err != nil || done.IssuedAt == nil {
				continue
			}
			s, _ := e.aside(0)
			old, err := s.Introspect(context.Background(), e.props.Client, mfa.IntrospectRequest{Org: "acme", User: "ana", IssuedAt: issued})
			if err != nil || old.Active {
				return fmt.Errorf("I3: after all a session was revived: %+v, %w", old, err)
			}
			begun, err := s.Introspect(context.Background(), e.props.Client, mfa.IntrospectRequest{Org: "acme", User: "ana", IssuedAt: *done.IssuedAt})
			if err != nil || !begun.Active && !revoked {
				return fmt.Errorf("the session that the enrolment has begun has ended: %+v, %w", begun, err)
			}
		}
		return nil
	}
}

// oneSkip checks that at most one sign-in was let in by grace.
func oneSkip(e *ending) error {
	in := 0
	for _, c := range e.calls {
		if answer, ok := c.answer.(mfa.StartAnswer); ok && !c.dead && c.err == nil && answer.Reason == mfa.Grace {
			in++
		}
	}
	if in > 1 {
		return fmt.Errorf("I1: one skip has let %d sign-ins in", in)
	}
	return nil
}
