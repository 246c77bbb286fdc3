package walk

import (
	"context"
	"fmt"
	"slices"

	"countersign/pkg/mfa"
	"countersign/pkg/seal"
)

// lasting checks what is left at the end. No count of wrong answers may be forgotten, and exactly the right recovery codes,
// codes of apps and trusted browsers may still be accepted.
func (e *ending) lasting() error {
	for user, g := range e.guards {
		if e.happened(erases, &call{deed: deed{user: user}}) {
			continue
		}
		for _, known := range []bool{false, true} {
			if err := e.remembered(user, g, known); err != nil {
				return err
			}
		}
		if err := e.recoverable(user, g); err != nil {
			return err
		}
	}
	if err := e.apps(); err != nil {
		return err
	}
	if err := e.knownBrowsers(); err != nil {
		return err
	}
	return e.trusted()
}

// remembered checks that one of the user's two budgets holds exactly what was counted in it.
func (e *ending) remembered(user string, g guardView, known bool) error {
	began, wrongRecoveryCodes, wrongCodes, forgotten := e.props.began[user], 0, 0, e.forgotten(user)
	for _, c := range e.calls {
		if c.user == user && c.known == known {
			wrongRecoveryCodes += c.wrongRecoveryCodes
			wrongCodes += c.wrongCodes
		}
	}
	if got, want := len(g.WrongCodes.in(known).At), len(began.WrongCodes.in(known).At)+wrongCodes-forgotten.wrongCodes[known]; got != want {
		return fmt.Errorf("I2: %d wrong codes of %s are counted, want %d; in known browsers: %t", got, user, want, known)
	}
	if got, want := len(g.WrongRecoveryCodes.in(known).At), len(began.WrongRecoveryCodes.in(known).At)+wrongRecoveryCodes-forgotten.wrongRecoveryCodes[known]; got != want || got > recoveryAttempts {
		return fmt.Errorf("I2: %d wrong recovery codes of %s are counted, want %d, at most %d; in known browsers: %t", got, user, want, recoveryAttempts, known)
	}
	return nil
}

// knownBrowsers checks that a known token is still accepted unless something has ended it since it was given.
func (e *ending) knownBrowsers() error {
	for _, c := range e.calls {
		answer, ok := c.answer.(mfa.VerifyAnswer)
		if !ok || !c.learns || c.dead || c.err != nil {
			continue
		}
		ended := slices.ContainsFunc(e.calls, func(x *call) bool {
			return x.user == c.user && x.landed > 0 && c.landedOver&x.bit == 0 && (x.resets() || x.kind == revokesOne)
		})
		good := false
		if answer.KnownToken != nil {
			var err error
			if good, err = e.knows(c.user, *answer.KnownToken); err != nil {
				return err
			}
		}
		if good == ended {
			return fmt.Errorf("I3: %s gave a known token that is good: %t, and something has ended it since: %t", c.what, good, ended)
		}
	}
	return nil
}

// recoverable checks that the unused recovery codes of the newest set work, that all other codes that were ever shown don't,
// and that the newest set was shown to the caller who made it.
func (e *ending) recoverable(user string, g guardView) error {
	on := len(g.Factors) > 0 // a user without a factor gets no challenge
	check := func(shown []seal.Secret, newest bool, by string) error {
		for _, code := range shown {
			want := newest && on && !slices.ContainsFunc(e.calls, func(c *call) bool { return c.won > 0 && c.secret == code.Reveal() })
			got, err := e.recovered(user, code)
			if err != nil {
				return err
			}
			if got != want {
				return fmt.Errorf("I1: of the recovery codes that were shown %s one is good: %t, want %t", by, got, want)
			}
		}
		return nil
	}
	if len(e.props.shown) > 0 && e.props.began[user].Recovery.ID != "" {
		newest := e.props.began[user].Recovery.ID == g.Recovery.ID
		if !newest && !e.replaced(user, nil) {
			return fmt.Errorf("I1: the recovery codes of before the calls are gone, and nothing took them away")
		}
		if err := check(e.props.shown, newest, "before the calls"); err != nil {
			return err
		}
	}
	for _, c := range e.calls {
		if c.user != user || c.silent() || c.replay != "" {
			continue
		}
		shown := c.shown()
		newest := slices.Contains(c.sets, g.Recovery.ID)
		if newest && len(shown) == 0 {
			return fmt.Errorf("I10: %s made recovery codes that nobody was shown", c.what)
		}
		if !newest && len(shown) > 0 && !e.replaced(user, c) {
			return fmt.Errorf("I10: the recovery codes that %s was shown are gone, and nothing took them away", c.what)
		}
		if err := check(shown, newest, "by "+c.what); err != nil {
			return err
		}
	}
	return nil
}

// replaced reports whether a call other than c has taken recovery codes away.
func (e *ending) replaced(user string, c *call) bool {
	return slices.ContainsFunc(e.calls, func(x *call) bool {
		return x != c && x.user == user && x.landed > 0 &&
			(x.kind == regenerates || x.kind == removes || x.restarted() || x.closes && (x.kind == recovers || x.kind == finishes) && x.won > 0)
	})
}

// apps checks that no code of an app succeeds after this code or a later one has succeeded, and that no code of a removed app
// succeeds. The code that enrolled an app counts as a success.
func (e *ending) apps() error {
	for _, x := range e.props.apps {
		last, gone := int64(0), false
		for _, c := range e.calls {
			if c.factor == x.id && c.won > 0 {
				last = max(last, c.step)
			}
			gone = gone || c.user == x.user && (c.restarted() || c.kind == removes && c.factor == x.id && c.landed > 0 ||
				(c.kind == recovers || c.kind == finishes || c.kind == erases) && c.resets())
		}
		if last == 0 && !gone {
			continue
		}
		for n := -1; n <= 1; n++ {
			code := x.code(n)
			in, err := e.probe(x.user, 0, func(s *mfa.Service, o opened) (bool, error) {
				_, err := s.Verify(context.Background(), e.props.Client, mfa.VerifyRequest{Challenge: o.id, Factor: x.id, Answer: mfa.Answer{Code: code}})
				return err == nil, nil
			})
			if in && (gone || x.stepOf(n) <= last) {
				return fmt.Errorf("I1: the code of step %+d is good, and the last accepted was of step %+d; the app is gone: %t", n, last-x.stepOf(0), gone)
			}
			if err != nil && mfa.AsError(err).Code != mfa.Locked {
				return err
			}
		}
	}
	for _, c := range e.calls {
		answer, ok := c.answer.(mfa.FinishAnswer)
		if !ok || !c.success() || c.app == nil {
			continue
		}
		in, err := e.probe(c.user, 0, func(s *mfa.Service, o opened) (bool, error) {
			_, err := s.Verify(context.Background(), e.props.Client, mfa.VerifyRequest{Challenge: o.id, Factor: answer.Factor.ID, Answer: mfa.Answer{Code: seal.NewSecret(c.code)}})
			return err == nil, nil
		})
		if in {
			return fmt.Errorf("I1: the code that enrolled a factor is good at a sign-in")
		}
		if err != nil && mfa.AsError(err).Code != mfa.Locked {
			return err
		}
	}
	return nil
}

// trusted checks that each trusted browser is still trusted unless something has ended this since.
func (e *ending) trusted() error {
	for _, token := range e.props.tokens {
		if err := e.trusts("ana", token, nil); err != nil {
			return err
		}
	}
	for _, c := range e.calls {
		if answer, ok := c.answer.(mfa.VerifyAnswer); ok && c.trusts && !c.dead && c.err == nil && answer.TrustToken != nil {
			if err := e.trusts(c.user, *answer.TrustToken, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// trusts checks a browser that was trusted by the call from or, if from is nil, before the calls.
func (e *ending) trusts(user string, token seal.Secret, from *call) error {
	ended, off, used := "", false, false
	for _, c := range e.calls {
		late := from == nil || from.landedOver&c.bit == 0 // it took effect after the browser was trusted
		switch {
		case c.user != user || c.landed == 0:
		case c.kind == starts:
			used = true
		case late && (c.resets() || c.kind == removes || c.kind == disables || c.kind == revokesOne && from == nil):
			ended = c.what
		}
		off = off || c.kind == disables && c.landed > 0
	}
	s, _ := e.aside(0)
	d, err := s.Decide(context.Background(), e.props.Client, trusting(token, signingIn(user)))
	good := err == nil && d.Reason == mfa.BrowserTrust
	switch {
	case good && ended != "":
		return fmt.Errorf("I3: a browser is trusted that was trusted before %s", ended)
	case !good && ended == "" && !off && !used:
		return fmt.Errorf("I10: a browser is not trusted, and nothing ended that: %+v, %w", d, err)
	}
	return nil
}
