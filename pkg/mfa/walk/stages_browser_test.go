package walk

import (
	"fmt"

	"countersign/pkg/mfa"
)

// trustStages are about the tokens of a trusted browser.
func trustStages() []stage {
	// honest checks that only a token that was superseded can end the trust in its browser.
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
