package walk

import (
	"fmt"
	"strings"

	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

// replayStages are about calls with an Idempotency-Key.
func replayStages() []stage {
	// same checks that all callers who got an answer got the same one, and that the work was done at most once. An answer
	// says that a code was sent only if it was handed over. Until this is recorded, an answer says that it isn't known.
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
				ch.bearer = p.Client // a refusal is remembered for an API key, but not for the token of a challenge
				for range 2 {
					p.call(func(a *actor) {
						untilHeard(func() *call { return a.verify(ch, mfatest.Wrong(ch.code), false, "k") })
					})
				}
				p.check = same(func(e *ending) int { return len(e.guards["ana"].WrongCodes.At) })
			},
		},
		{
			name: "one sign-in is begun twice", lost: [3]int{1, 2, 3},
			set: func(p *props) {
				for range 2 {
					p.call(func(a *actor) { untilHeard(func() *call { return a.start(signingIn("bob"), "k") }) })
				}
				p.check = same(func(e *ending) int { return len(e.guards["bob"].EmailsSent) })
			},
		},
	}
}

// heardAlike checks that all callers who got an answer under one key got the same one, and that the recovery codes in it
// work.
func heardAlike(e *ending) error {
	var heard *call
	var shown []seal.Secret
	for _, c := range e.calls {
		switch {
		case c.silent():
		case heard == nil:
			heard = c
		case heard.text != c.text:
			return fmt.Errorf("I10: one call heard %q, and %s %q", heard.text, c.what, c.text)
		}
		if !c.silent() {
			shown = append(shown, c.shown()...)
		}
	}
	if heard == nil || heard.err != nil {
		return nil
	}
	for _, code := range shown {
		if good, err := e.recovered("ana", code); err != nil || !good {
			return fmt.Errorf("I10: a recovery code that was shown is good: %t, %w", good, err)
		}
	}
	return nil
}
