package walk

import (
	"fmt"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

// answerStages are about answers to challenges.
func answerStages() []stage {
	return []stage{
		{
			name: "three answers to one challenge", lost: [3]int{1, 2, 4},
			set: func(p *props) {
				ch := p.begin("ana")
				p.call(func(a *actor) { a.verify(ch, ch.code, true, "") })
				p.call(func(a *actor) { a.verify(ch, ch.code, false, "") })
				p.call(func(a *actor) { a.verify(ch, mfatest.Wrong(ch.code), false, "") })
			},
		},
		{
			name: "two answers, and hardly a commit is heard of", lost: [3]int{3, 3, 6},
			set: func(p *props) {
				ch := p.begin("ana")
				p.call(func(a *actor) { a.verify(ch, ch.code, true, "") })
				p.call(func(a *actor) { a.verify(ch, mfatest.Wrong(ch.code), false, "") })
			},
		},
		{
			name: "the last attempts at a challenge", lost: [3]int{0, 1, 2},
			set: func(p *props) {
				ch := p.begin("ana")
				p.spend(ch, 1)
				p.call(func(a *actor) { a.verify(ch, mfatest.Wrong(ch.code), false, "") })
				p.call(func(a *actor) { a.verify(ch, mfatest.Wrong(ch.code), false, "") })
				p.call(func(a *actor) { a.verify(ch, mfatest.Wrong(ch.code), false, "") })
				p.call(func(a *actor) { a.verify(ch, ch.code, false, "") })
			},
		},
		{
			name: "two challenges before the lock", lost: [3]int{0, 1, 2},
			set: func(p *props) {
				p.spendElsewhere("ana", userAttempts-2)
				one, two := p.begin("ana"), p.begin("ana")
				p.call(func(a *actor) { a.verify(one, mfatest.Wrong(one.code), false, "") })
				p.call(func(a *actor) { a.verify(two, mfatest.Wrong(two.code), false, "") })
				p.call(func(a *actor) { a.verify(one, one.code, false, "") })
				p.call(func(a *actor) { a.verify(two, two.code, false, "") })
			},
		},
		{
			name: "a stranger's last guesses beside the owner's in a known browser", lost: [3]int{1, 1, 2},
			set: func(p *props) {
				token := p.know("ana")
				p.spendElsewhere("ana", userAttempts-1)
				stranger, owner := p.begin("ana"), p.beginIn("ana", token)
				p.call(func(a *actor) { a.verify(stranger, mfatest.Wrong(stranger.code), false, "") })
				p.call(func(a *actor) { a.verify(owner, mfatest.Wrong(owner.code), false, "") })
				p.call(func(a *actor) { a.verify(owner, owner.code, false, "") })
				if p.full {
					p.call(func(a *actor) { a.verify(stranger, stranger.code, false, "") })
				}
			},
		},
		{
			name: "a right code beside the lock", lost: [3]int{1, 2, 4},
			set: func(p *props) {
				p.spendElsewhere("ana", userAttempts-1)
				one, two := p.begin("ana"), p.begin("ana")
				p.call(func(a *actor) { a.verify(one, mfatest.Wrong(one.code), false, "") })
				p.call(func(a *actor) { a.verify(two, mfatest.Wrong(two.code), false, "") })
				p.call(func(a *actor) { a.verify(one, one.code, false, "") })
			},
		},
		{
			name: "a code is sent again", lost: [3]int{1, 2, 2},
			set: func(p *props) {
				ch := p.begin("ana")
				p.Clock.Advance(10 * time.Second)
				p.call(func(a *actor) { a.verify(ch, ch.code, false, "") })
				p.call(func(a *actor) { a.verifyFresh(ch, a.send(ch)) })
				if p.full {
					p.call(func(a *actor) { a.verify(ch, mfatest.Wrong(ch.code), false, "") })
				}
			},
		},
		{
			name: "two send a code again", lost: [3]int{1, 1, 2},
			set: func(p *props) {
				ch := p.begin("ana")
				p.Clock.Advance(10 * time.Second)
				p.call(func(a *actor) { a.send(ch) })
				p.call(func(a *actor) { a.verifyFresh(ch, a.send(ch)) })
				if p.full {
					p.call(func(a *actor) { a.verify(ch, ch.code, false, "") })
				}
				p.check = func(e *ending) error {
					sent := 0
					for _, c := range e.calls {
						if c.kind == sends && c.landed > 0 {
							sent++
						}
					}
					if sent > 1 {
						return fmt.Errorf("%d codes were sent within the wait for one", sent)
					}
					return nil
				}
			},
		},
		{
			name: "no code is taken by the provider", lost: [3]int{1, 1, 2}, refused: true,
			set: func(p *props) {
				ch := p.begin("ana")
				p.Clock.Advance(10 * time.Second)
				p.call(func(a *actor) { a.send(ch) })
				p.call(func(a *actor) { a.verify(ch, ch.code, false, "") })
				if p.full {
					p.call(func(a *actor) { a.send(ch) })
				}
				p.check = func(e *ending) error {
					counted := len(e.guards["ana"].EmailsSent) - len(e.props.began["ana"].EmailsSent)
					if counted < 0 || counted > e.lost() {
						return fmt.Errorf("%d codes were counted that nobody was sent, and %d commits were lost", counted, e.lost())
					}
					return nil
				}
			},
		},
		{
			name: "codes of two users are swapped", lost: [3]int{1, 1, 3},
			set: func(p *props) {
				ana, bob := p.begin("ana"), p.begin("bob")
				p.call(func(a *actor) { a.verify(ana, bob.code, false, "") })
				p.call(func(a *actor) { a.verify(bob, ana.code, false, "") })
				p.call(func(a *actor) { a.verify(ana, ana.code, false, "") })
				p.call(func(a *actor) {
					other := bob
					other.bearer, other.code = ana.bearer, seal.Secret{}
					a.verify(other, bob.code, false, "")
				})
				p.check = func(e *ending) error {
					for _, c := range e.calls {
						if c.actor() == 3 && !c.silent() && c.refusal() != mfa.ChallengeInvalid {
							return fmt.Errorf("I4: %s with another challenge's token: %q", c.what, c.text)
						}
					}
					if n := len(e.guards["ana"].WrongCodes.At) + len(e.guards["bob"].WrongCodes.At); n > 2+e.lost() {
						return fmt.Errorf("I4: %d wrong answers were counted", n)
					}
					return nil
				}
			},
		},
	}
}

// endStages are about what ends challenges from outside: time, and changes to the user.
func endStages() []stage {
	short := func(p *mfa.Policy) { p.Challenge.EmailCodeS, p.Challenge.WindowS = 60, 300 }
	return []stage{
		{
			name: "the code ends", lost: [3]int{1, 1, 2}, policy: short, jumps: []time.Duration{time.Minute - time.Microsecond, time.Minute},
			set: func(p *props) {
				ch := p.begin("ana")
				p.call(func(a *actor) { a.verify(ch, ch.code, true, "") })
				p.call(func(a *actor) { a.verify(ch, mfatest.Wrong(ch.code), false, "") })
				if p.full {
					p.call(func(a *actor) { a.verify(ch, ch.code, false, "") })
				}
			},
		},
		{
			name: "the challenge ends", lost: [3]int{1, 1, 2}, jumps: []time.Duration{15*time.Minute - time.Microsecond, 15 * time.Minute},
			set: func(p *props) {
				ch := p.begin("ana")
				p.call(func(a *actor) { a.verify(ch, ch.code, false, "") })
				p.call(func(a *actor) { a.start(signingIn("ana"), "") })
				if p.full {
					p.call(func(a *actor) { a.verify(ch, ch.code, false, "") })
				}
			},
		},
		{
			name: "the lock ends", lost: [3]int{1, 1, 2}, jumps: []time.Duration{15*time.Minute - time.Microsecond, 15 * time.Minute},
			set: func(p *props) {
				p.spendElsewhere("ana", userAttempts-1)
				ch := p.begin("ana")
				p.call(func(a *actor) { a.verify(ch, mfatest.Wrong(ch.code), false, "") })
				p.call(func(a *actor) {
					if c := a.start(signingIn("ana"), ""); !c.sent.IsZero() {
						a.verify(c.opened(), c.sent, false, "")
					}
				})
			},
		},
		{
			name: "the user moves", torn: true, lost: [3]int{1, 1, 3},
			set: func(p *props) {
				token := p.trust("ana")
				ch := p.begin("ana")
				p.call(func(a *actor) { a.verify(ch, ch.code, true, "") })
				p.call(func(a *actor) { a.moveTo("ana", "ana@elsewhere.example") })
				p.call(func(a *actor) {
					a.start(trusting(token, mfa.StartRequest{Org: "acme", User: mfa.Person{ID: "ana"}}), "")
				})
			},
		},
		{
			name: "the user is erased and made again", lost: [3]int{1, 1, 2},
			set: func(p *props) {
				token := p.trust("ana")
				ch := p.begin("ana")
				p.call(func(a *actor) { a.verify(ch, ch.code, true, "") })
				p.call(func(a *actor) {
					untilHeard(func() *call { return a.erase("ana") })
					a.start(trusting(token, signingIn("ana")), "")
				})
				p.call(func(a *actor) { a.verify(ch, mfatest.Wrong(ch.code), false, "") })
				p.check = func(e *ending) error {
					g, again := e.guards["ana"]
					if again && e.happened(erases, &call{deed: deed{user: "ana"}}) && (len(g.WrongCodes.At) > 0 || e.browsers > 0) {
						return fmt.Errorf("I3: made again, the user has %d wrong codes and %d browsers", len(g.WrongCodes.At), e.browsers)
					}
					return nil
				}
			},
		},
	}
}
