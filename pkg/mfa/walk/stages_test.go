package walk

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

func stages() []stage {
	return slices.Concat(answerStages(), endStages(), trustStages(), replayStages(),
		appStages(), recoveryStages(), enrolmentStages(), changeStages())
}

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
			name: "the last attempts at a challenge", lost: [3]int{1, 1, 2},
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
			name: "two challenges before the lock", lost: [3]int{1, 1, 2},
			set: func(p *props) {
				p.spendElsewhere("ana", wrongTries-2)
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
				p.spendElsewhere("ana", wrongTries-1)
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
				p.spendElsewhere("ana", wrongTries-1)
				one, two := p.begin("ana"), p.begin("ana")
				p.call(func(a *actor) { a.verify(one, mfatest.Wrong(one.code), false, "") })
				p.call(func(a *actor) { a.verify(two, mfatest.Wrong(two.code), false, "") })
				p.call(func(a *actor) { a.verify(one, one.code, false, "") })
			},
		},
		{
			name: "a code is sent again", lost: [3]int{1, 2, 2}, resend: true,
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
			name: "two send a code again", lost: [3]int{1, 1, 2}, resend: true,
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
					if n := len(e.guards["ana"].Guesses.At) + len(e.guards["bob"].Guesses.At); n > 2+e.lost() {
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
				p.spendElsewhere("ana", wrongTries-1)
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
			name: "the user moves", lost: [3]int{1, 1, 3},
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
					if again && e.happened(erases, &call{deed: deed{user: "ana"}}) && (len(g.Guesses.At) > 0 || e.browsers > 0) {
						return fmt.Errorf("I3: made again, the user has %d wrong codes and %d browsers", len(g.Guesses.At), e.browsers)
					}
					return nil
				}
			},
		},
	}
}

// trustStages are about the tokens of a trusted browser.
func trustStages() []stage {
	// honest checks that only a token which really was superseded ends a line.
	honest := func(e *ending) error {
		if e.browsers != 1 {
			return fmt.Errorf("I10: %d trusted browsers are left, want 1", e.browsers)
		}
		for _, c := range e.calls {
			if !c.silent() && !c.success() {
				return fmt.Errorf("I10: %s: an honest browser hears %q", c.what, c.text)
			}
		}
		return nil
	}
	return []stage{
		{
			name: "two tabs of a trusted browser", lost: [3]int{1, 2, 4},
			set: func(p *props) {
				token := p.use("ana", p.trust("ana"))
				for range 2 {
					p.call(func(a *actor) { untilHeard(func() *call { return a.start(trusting(token, signingIn("ana")), "") }) })
				}
				p.check = honest
			},
		},
		{
			name: "a browser whose answers are lost", lost: [3]int{2, 3, 5},
			set: func(p *props) {
				token := p.trust("ana")
				p.call(func(a *actor) {
					token := token
					for range 3 {
						c := untilHeard(func() *call { return a.start(trusting(token, signingIn("ana")), "") })
						if answer, ok := c.answer.(mfa.StartAnswer); ok && answer.TrustToken != nil {
							token = *answer.TrustToken
						}
					}
				})
				p.check = honest
			},
		},
		{
			name: "a superseded token beside the newest", lost: [3]int{1, 1, 3},
			set: func(p *props) {
				old := p.trust("ana")
				newest := p.use("ana", p.use("ana", old))
				p.stolen = old
				p.call(func(a *actor) { a.start(trusting(newest, signingIn("ana")), "") })
				p.call(func(a *actor) { a.start(trusting(newest, signingIn("ana")), "") })
				p.call(func(a *actor) { a.start(trusting(old, signingIn("ana")), "") })
				p.check = func(e *ending) error {
					thief := e.actors[2].calls[0]
					if thief.silent() {
						return nil
					}
					if thief.success() || e.browsers != 0 {
						return fmt.Errorf("I3: a superseded token hears %q, and %d lines are left", thief.text, e.browsers)
					}
					for _, c := range e.calls {
						if c.success() && c.began&thief.bit != 0 {
							return fmt.Errorf("I3: %s succeeded after the theft was answered", c.what)
						}
					}
					return nil
				}
			},
		},
	}
}

// replayStages are about calls with an Idempotency-Key.
func replayStages() []stage {
	// same checks that all who heard anything heard the same, and that the work was done at most once. That a code was sent
	// is heard only where it was handed over; until that is recorded, what is heard is that it isn't known.
	same := func(works func(*ending) int) func(*ending) error {
		return func(e *ending) error {
			heard := ""
			for _, c := range e.calls {
				text, sent, says := strings.Cut(strings.TrimSuffix(c.text, " <nil> delivery_unknown"), " &{fa_")
				switch {
				case c.silent():
					continue
				case heard == "":
					heard = text
				case heard != text:
					return fmt.Errorf("I10: one call heard %q, and %s %q", heard, c.what, c.text)
				}
				if says && len(e.mails) == 0 {
					return fmt.Errorf("I10: %s heard that %q was sent, and nothing was", c.what, sent)
				}
			}
			if n := works(e); n > 1 || n < 1 && heard != "" {
				return fmt.Errorf("I10: the work was done %d times", n)
			}
			return nil
		}
	}
	return []stage{
		{
			name: "one right answer is given twice", lost: [3]int{1, 2, 3},
			set: func(p *props) {
				ch := p.begin("ana")
				for range 2 {
					p.call(func(a *actor) { untilHeard(func() *call { return a.verify(ch, ch.code, true, "k") }) })
				}
				p.check = same(func(e *ending) int { return e.browsers })
			},
		},
		{
			name: "one wrong answer is given twice", lost: [3]int{1, 2, 3},
			set: func(p *props) {
				ch := p.begin("ana")
				ch.bearer = p.Client // nothing that a challenge token is refused is remembered
				for range 2 {
					p.call(func(a *actor) {
						untilHeard(func() *call { return a.verify(ch, mfatest.Wrong(ch.code), false, "k") })
					})
				}
				p.check = same(func(e *ending) int { return len(e.guards["ana"].Guesses.At) })
			},
		},
		{
			name: "one sign-in is begun twice", lost: [3]int{1, 2, 3},
			set: func(p *props) {
				for range 2 {
					p.call(func(a *actor) { untilHeard(func() *call { return a.start(signingIn("bob"), "k") }) })
				}
				p.check = same(func(e *ending) int { return len(e.guards["bob"].Sends) })
			},
		},
	}
}
