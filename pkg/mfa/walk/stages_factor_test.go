package walk

import (
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

// appStages are about the codes of an app.
func appStages() []stage {
	signIn := byDefault(mfa.EffectSignIn)
	return []stage{
		{
			name: "one code of an app at two sign-ins", lost: [3]int{1, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				x := p.app("ana", p.Fresh())
				one, two := p.ask("ana", mfa.SignIn), p.ask("ana", mfa.SignIn)
				p.call(func(a *actor) { a.show(one, x, step(0), false) })
				p.call(func(a *actor) { a.show(two, x, step(0), true) })
			},
		},
		{
			name: "codes of two steps, and the clock moves on", lost: [3]int{0, 1, 1}, profile: "default", policy: signIn,
			jumps: []time.Duration{mfatest.Step, 2 * mfatest.Step},
			set: func(p *props) {
				x := p.app("ana", p.Fresh())
				one, two := p.ask("ana", mfa.SignIn), p.ask("ana", mfa.SignIn)
				p.call(func(a *actor) { a.show(one, x, step(1), false) })
				p.call(func(a *actor) { a.show(two, x, step(0), false) })
			},
		},
		{
			name: "a code of an app beside the lock", lost: [3]int{0, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				x := p.app("ana", p.Fresh())
				p.mistake(x, userAttempts-1)
				one, two := p.ask("ana", mfa.SignIn), p.ask("ana", mfa.SignIn)
				p.call(func(a *actor) { a.show(one, x, nil, false) })
				p.call(func(a *actor) { a.show(two, x, nil, false) })
				p.call(func(a *actor) { a.show(one, x, step(0), false) })
			},
		},
		{
			name: "the last guesses of both budgets", lost: [3]int{0, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				x := p.app("ana", p.Fresh())
				token := *p.answer(p.ask("ana", mfa.SignIn), x, nil).KnownToken
				p.mistake(x, userAttempts-1)
				p.mistakeIn(x, token, userAttempts-1)
				stranger, owner := p.ask("ana", mfa.SignIn), p.askIn("ana", mfa.SignIn, token)
				p.call(func(a *actor) { a.show(stranger, x, nil, false) })
				p.call(func(a *actor) { a.show(owner, x, nil, false) })
				p.call(func(a *actor) { a.show(owner, x, step(0), false) })
			},
		},
		{
			name: "a challenge that was answered makes room for another", lost: [3]int{1, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				x := p.app("ana", p.Fresh())
				first := p.ask("ana", mfa.SignIn)
				first.answered = true
				p.answer(first, x, nil)
				y := p.app("ana", p.prove(x)) // the second app answers the second challenge of each pair
				x.set = p.Clock.Now()
				for range (slotsInGuard - 2) / 2 {
					one, two := p.ask("ana", mfa.SignIn), p.ask("ana", mfa.SignIn)
					p.answerNow(one, x, nil)
					p.answer(two, y, nil)
					x.set = p.Clock.Now()
				}
				last := p.ask("ana", mfa.SignIn)
				p.call(func(a *actor) { a.show(last, x, step(0), false) })
				p.call(func(a *actor) { a.show(first, y, step(0), false) })
				if p.full {
					p.call(func(a *actor) { a.show(first, y, step(0), false) })
				}
			},
		},
		{
			name: "the first codes of a user whom an administrator enrolled", lost: [3]int{1, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				x, en := p.appUnderWay("ana", p.Client, mfa.EnrolRequest{
					Org: "acme", User: directory("ana"), Kind: mfa.TOTP, OnBehalf: &mfa.Intervention{Actor: "eve", Reason: "new"},
				})
				p.enrolled(x, en)
				one, two := p.ask("ana", mfa.SignIn), p.ask("ana", mfa.SignIn)
				p.call(func(a *actor) { a.show(one, x, step(0), false) })
				p.call(func(a *actor) { a.show(two, x, step(1), false) })
			},
		},
	}
}

// recoveryStages are about recovery codes.
func recoveryStages() []stage {
	signIn := byDefault(mfa.EffectSignIn)
	return []stage{
		{
			name: "one recovery code at two sign-ins", lost: [3]int{1, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				p.app("ana", p.Fresh())
				one, two := p.ask("ana", mfa.SignIn), p.ask("ana", mfa.SignIn)
				p.call(func(a *actor) { a.recover(one, p.shown[0], mfa.EffectSignIn, nil, "") })
				p.call(func(a *actor) { a.recover(two, p.shown[0], mfa.EffectSignIn, nil, "") })
			},
		},
		{
			name: "two recovery codes at one sign-in", lost: [3]int{0, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				x := p.app("ana", p.Fresh())
				one := p.ask("ana", mfa.SignIn)
				p.call(func(a *actor) { a.recover(one, p.shown[0], mfa.EffectSignIn, nil, "") })
				p.call(func(a *actor) { a.recover(one, p.shown[1], mfa.EffectSignIn, nil, "") })
				p.call(func(a *actor) { a.show(one, x, nil, false) })
			},
		},
		{
			name: "a stranger's last recovery codes beside the owner's in a known browser", lost: [3]int{0, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				x := p.app("ana", p.Fresh())
				token := *p.answer(p.ask("ana", mfa.SignIn), x, nil).KnownToken
				stranger, owner := p.ask("ana", mfa.SignIn), p.askIn("ana", mfa.SignIn, token)
				p.mistakeRecovery(stranger, recoveryAttempts-1)
				p.call(func(a *actor) { a.recover(stranger, noCode, mfa.EffectSignIn, nil, "") })
				p.call(func(a *actor) { a.recover(owner, noCode, mfa.EffectSignIn, nil, "") })
				p.call(func(a *actor) { a.recover(owner, p.shown[0], mfa.EffectSignIn, nil, "") })
			},
		},
		{
			name: "the last recovery codes of both budgets", lost: [3]int{0, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				x := p.app("ana", p.Fresh())
				token := *p.answer(p.ask("ana", mfa.SignIn), x, nil).KnownToken
				stranger, owner := p.ask("ana", mfa.SignIn), p.askIn("ana", mfa.SignIn, token)
				p.mistakeRecovery(stranger, recoveryAttempts-1)
				p.mistakeRecovery(owner, recoveryAttempts-1)
				p.call(func(a *actor) { a.recover(stranger, noCode, mfa.EffectSignIn, nil, "") })
				p.call(func(a *actor) { a.recover(owner, noCode, mfa.EffectSignIn, nil, "") })
				p.call(func(a *actor) { a.recover(owner, p.shown[0], mfa.EffectSignIn, nil, "") })
			},
		},
		{
			name: "the last recovery codes before the lock", lost: [3]int{0, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				p.app("ana", p.Fresh())
				one, two := p.ask("ana", mfa.SignIn), p.ask("ana", mfa.SignIn)
				p.mistakeRecovery(one, recoveryAttempts-1)
				p.call(func(a *actor) { a.recover(one, noCode, mfa.EffectSignIn, nil, "") })
				p.call(func(a *actor) { a.recover(two, noCode, mfa.EffectSignIn, nil, "") })
				p.call(func(a *actor) { a.recover(two, p.shown[0], mfa.EffectSignIn, nil, "") })
			},
		},
		{
			name: "a recovery code opens no window of guesses", lost: [3]int{0, 1, 1}, profile: "default", policy: signIn,
			set: func(p *props) {
				x := p.app("ana", p.Fresh())
				p.mistake(x, userAttempts-1)
				one, two := p.ask("ana", mfa.SignIn), p.ask("ana", mfa.SignIn)
				p.call(func(a *actor) { a.show(one, x, nil, false) })
				p.call(func(a *actor) { a.recover(one, p.shown[0], mfa.EffectSignIn, nil, "") })
				p.call(func(a *actor) { a.show(two, x, step(0), false) })
			},
		},
		{
			name: "a recovery resets", lost: [3]int{0, 1, 2}, profile: "default", policy: byDefault(mfa.EffectReset),
			set: func(p *props) {
				x := p.app("ana", p.Fresh())
				token := p.trustBy(x)
				p.mistake(x, 1)
				one, two := p.ask("ana", mfa.SignIn), p.ask("ana", mfa.SignIn)
				p.mistakeRecovery(one, 1)
				p.call(func(a *actor) { a.recover(one, p.shown[0], mfa.EffectReset, nil, "") })
				p.call(func(a *actor) { a.show(two, x, step(0), true) })
				p.call(func(a *actor) { a.startWith("ana", token, nil) })
			},
		},
		{
			name: "a recovery enrols anew", torn: true, lost: [3]int{0, 1, 1}, profile: "default", policy: byDefault(mfa.EffectReenrol),
			set: func(p *props) {
				x := p.app("ana", p.Fresh())
				token := p.trustBy(x)
				one := p.ask("ana", mfa.SignIn)
				p.call(func(a *actor) {
					c := a.recover(one, p.shown[0], mfa.EffectReenrol, nil, "")
					answer, ok := c.answer.(mfa.RecoverAnswer)
					if c.dead || c.err != nil || !ok {
						return
					}
					by := mfa.Call{Bearer: answer.Enrolment.Token.Reveal()}
					a.finishMailed(a.begin("", by, mfa.Email), underWay{user: "ana", by: by, challenge: one.id, replaces: true})
				})
				p.call(func(a *actor) { a.show(one, x, step(0), false) })
				if p.full {
					p.call(func(a *actor) { a.startWith("ana", token, nil) })
				}
			},
		},
		{
			name: "new recovery codes beside an old one", lost: [3]int{1, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				by := p.prove(p.app("ana", p.Fresh()))
				one, two := p.ask("ana", mfa.SignIn), p.ask("ana", mfa.SignIn)
				p.call(func(a *actor) {
					c := a.regenerate("ana", by, "")
					a.recover(two, p.shown[1], mfa.EffectSignIn, nil, "")
					if shown := c.shown(); p.full && len(shown) > 0 {
						a.recover(two, shown[0], mfa.EffectSignIn, c, "")
					}
				})
				p.call(func(a *actor) { a.recover(one, p.shown[0], mfa.EffectSignIn, nil, "") })
			},
		},
		{
			name: "two make new recovery codes", lost: [3]int{1, 2, 3}, profile: "default", policy: signIn,
			set: func(p *props) {
				by := p.prove(p.app("ana", p.Fresh()))
				p.call(func(a *actor) { a.regenerate("ana", by, "") })
				p.call(func(a *actor) { a.regenerate("ana", by, "") })
			},
		},
		{
			name: "new recovery codes are asked for twice under one key", lost: [3]int{1, 1, 3}, profile: "default", policy: signIn,
			set: func(p *props) {
				by := p.prove(p.app("ana", p.Fresh()))
				for range 2 {
					p.call(func(a *actor) { untilHeard(func() *call { return a.regenerate("ana", by, "k") }) })
				}
				p.check = heardAlike
			},
		},
	}
}
