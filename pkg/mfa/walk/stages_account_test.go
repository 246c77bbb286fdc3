package walk

import (
	"context"
	"fmt"
	"strings"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

// enrolmentStages are about the finish of an enrolment.
func enrolmentStages() []stage {
	signIn := byDefault(mfa.EffectSignIn)
	return []stage{
		{
			name: "an enrolment is finished twice", torn: true, lost: [3]int{1, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				x, en := p.appUnderWay("ana", p.Fresh(), mfa.EnrolRequest{Org: "acme", User: directory("ana"), Kind: mfa.TOTP})
				p.call(func(a *actor) { a.finish(en, x.code(0), true, "") })
				p.call(func(a *actor) { a.finish(en, x.code(0), true, "") })
				if p.full {
					p.call(func(a *actor) { a.finish(en, x.wrong(), false, "") })
				}
			},
		},
		{
			name: "an enrolment is finished twice under one key", lost: [3]int{1, 1, 3}, profile: "default", policy: signIn,
			set: func(p *props) {
				x, en := p.appUnderWay("ana", p.Fresh(), mfa.EnrolRequest{Org: "acme", User: directory("ana"), Kind: mfa.TOTP})
				for range 2 {
					p.call(func(a *actor) { untilHeard(func() *call { return a.finish(en, x.code(0), true, "k") }) })
				}
				p.check = heardAlike
			},
		},
		{
			name: "the last attempts at an enrolment", lost: [3]int{0, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				x, en := p.appUnderWay("ana", p.Fresh(), mfa.EnrolRequest{Org: "acme", User: directory("ana"), Kind: mfa.TOTP})
				for range challengeAttempts - 1 {
					_, err := p.FinishEnrolment(context.Background(), p.Client, mfa.FinishRequest{Enrolment: en.id, Answer: mfa.Answer{Code: x.wrong()}})
					if mfa.AsError(err).Code != mfa.WrongCode {
						p.Fatal(err)
					}
				}
				p.call(func(a *actor) { a.finish(en, x.wrong(), false, "") })
				p.call(func(a *actor) { a.finish(en, x.wrong(), false, "") })
				p.call(func(a *actor) { a.finish(en, x.code(0), true, "") })
			},
		},
		{
			name: "an enrolment beside the lock", torn: true, lost: [3]int{1, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				x := p.app("ana", p.Fresh())
				y, en := p.appUnderWay("ana", p.prove(x), mfa.EnrolRequest{Org: "acme", User: directory("ana"), Kind: mfa.TOTP})
				p.mistake(x, userAttempts-1)
				p.call(func(a *actor) { a.finish(en, y.wrong(), false, "") })
				p.call(func(a *actor) { a.finish(en, y.code(0), true, "") })
			},
		},
		{
			name: "the known address is proven", lost: [3]int{1, 1, 2}, profile: "default",
			policy: func(p *mfa.Policy) { p.Require = mfa.Everyone },
			set: func(p *props) {
				en, code := p.proof("ana")
				p.call(func(a *actor) { a.prove(en, code, true) })
				p.call(func(a *actor) { a.prove(en, mfatest.Wrong(code), false) })
				if p.full {
					p.call(func(a *actor) { a.revokeAll("ana") })
				}
			},
		},
		{
			name: "an address that is proven is enrolled twice", torn: true, lost: [3]int{1, 1, 2}, profile: "default",
			policy: func(p *mfa.Policy) { p.Require = mfa.Everyone },
			set: func(p *props) {
				en, code := p.proof("ana")
				if _, err := p.ProveAddress(context.Background(), en.by, mfa.ProveRequest{Code: code}); err != nil {
					p.Fatal(err)
				}
				begun, err := p.BeginEnrolment(context.Background(), en.by, mfa.EnrolRequest{Kind: mfa.Email})
				if err != nil {
					p.Fatal(err)
				}
				en.id, en.until, en.before = begun.ID, *begun.Expires, true
				p.call(func(a *actor) { a.finish(en, seal.Secret{}, true, "") })
				p.call(func(a *actor) { a.finish(en, seal.Secret{}, true, "") })
				if p.full {
					p.call(func(a *actor) { a.revokeAll("ana") })
				}
			},
		},
		{
			name: "another enrolment is begun", torn: true, lost: [3]int{1, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				x, en := p.appUnderWay("ana", p.Fresh(), mfa.EnrolRequest{Org: "acme", User: directory("ana"), Kind: mfa.TOTP})
				by := p.Fresh()
				p.call(func(a *actor) { a.finish(en, x.code(0), true, "") })
				p.call(func(a *actor) {
					a.finishMailed(a.begin("ana", by, mfa.Email), underWay{user: "ana", by: p.Client})
				})
			},
		},
		{
			name: "all is revoked while a factor is enrolled", lost: [3]int{0, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				x := p.app("ana", p.Fresh())
				by := p.prove(x)
				y, en := p.appUnderWay("ana", by, mfa.EnrolRequest{Org: "acme", User: directory("ana"), Kind: mfa.TOTP})
				one := p.ask("ana", mfa.SignIn)
				p.call(func(a *actor) { a.finish(en, y.code(0), true, "") })
				p.call(func(a *actor) { a.revokeAll("ana") })
				p.call(func(a *actor) { a.show(one, x, step(0), false) })
			},
		},
		{
			name: "a recovery resets while a factor is enrolled", torn: true, lost: [3]int{1, 1, 2}, profile: "default", policy: byDefault(mfa.EffectReset),
			set: func(p *props) {
				x := p.app("ana", p.Fresh())
				y, en := p.appUnderWay("ana", p.prove(x), mfa.EnrolRequest{Org: "acme", User: directory("ana"), Kind: mfa.TOTP})
				one := p.ask("ana", mfa.SignIn)
				p.call(func(a *actor) { a.finish(en, y.code(0), true, "") })
				p.call(func(a *actor) { a.recover(one, p.shown[0], mfa.EffectReset, nil, "") })
			},
		},
		{
			name: "a factor is enrolled and another removed", torn: true, lost: [3]int{1, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				x := p.app("ana", p.Fresh())
				by := p.prove(x)
				y, en := p.appUnderWay("ana", by, mfa.EnrolRequest{Org: "acme", User: directory("ana"), Kind: mfa.TOTP})
				p.call(func(a *actor) { a.finish(en, y.code(0), true, "") })
				p.call(func(a *actor) { a.remove(x, by) })
			},
		},
		{
			name: "a factor is enrolled and removed", torn: true, lost: [3]int{1, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				by := p.prove(p.app("ana", p.Fresh()))
				y, en := p.appUnderWay("ana", by, mfa.EnrolRequest{Org: "acme", User: directory("ana"), Kind: mfa.TOTP})
				p.call(func(a *actor) { a.finish(en, y.code(0), true, "") })
				p.call(func(a *actor) { a.removeNewest("ana", by) })
			},
		},
	}
}

// changeStages are about changes to an account beside its sign-ins.
func changeStages() []stage {
	signIn := byDefault(mfa.EffectSignIn)
	return []stage{
		{
			name: "all browsers are revoked", torn: true, lost: [3]int{0, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				x := p.app("ana", p.Fresh())
				token := p.trustBy(x)
				one := p.ask("ana", mfa.SignIn)
				p.call(func(a *actor) { a.useTrust(a.show(one, x, step(0), true)) })
				p.call(func(a *actor) { a.revokeAll("ana") })
				if p.full {
					p.call(func(a *actor) { a.startWith("ana", token, nil) })
				}
			},
		},
		{
			name: "a trusted browser beside a revocation", torn: true, lost: [3]int{1, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				token := p.trustBy(p.app("ana", p.Fresh()))
				p.call(func(a *actor) { a.startWith("ana", token, nil); a.startWith("ana", token, nil) })
				p.call(func(a *actor) { a.revokeAll("ana") })
			},
		},
		{
			name: "a known browser beside revocations", torn: true, lost: [3]int{1, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				x := p.app("ana", p.Fresh())
				p.trustBy(x)
				listed, err := p.ListBrowsers(context.Background(), p.Client, "acme", "ana", mfa.ListQuery{})
				if err != nil {
					p.Fatal(err)
				}
				one := p.ask("ana", mfa.SignIn)
				one.learns = true
				p.call(func(a *actor) { a.show(one, x, step(0), false) })
				p.call(func(a *actor) { a.revokeOne("ana", listed.Items[0].ID) })
				if p.full {
					p.call(func(a *actor) { a.revokeAll("ana") })
				}
			},
		},
		{
			name: "a proof beside a revocation", lost: [3]int{1, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				by := p.prove(p.app("ana", p.Fresh()))
				p.call(func(a *actor) { a.regenerate("ana", by, "") })
				p.call(func(a *actor) { a.revokeAll("ana") })
			},
		},
		{
			name: "one browser is revoked", torn: true, lost: [3]int{1, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				x := p.app("ana", p.Fresh())
				token := p.trustBy(x)
				listed, err := p.ListBrowsers(context.Background(), p.Client, "acme", "ana", mfa.ListQuery{})
				if err != nil {
					p.Fatal(err)
				}
				one := p.ask("ana", mfa.SignIn)
				p.call(func(a *actor) { a.revokeOne("ana", listed.Items[0].ID) })
				p.call(func(a *actor) { a.show(one, x, nil, false) })
				if p.full {
					p.call(func(a *actor) { a.startWith("ana", token, nil) })
				}
			},
		},
		{
			name: "a factor is removed", torn: true, lost: [3]int{0, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				x := p.app("ana", p.Fresh())
				y := p.app("ana", p.prove(x))
				by := p.prove(x)
				y.set = p.Clock.Now()
				token := p.trustBy(x)
				y.set = p.Clock.Now()
				one := p.ask("ana", mfa.SignIn)
				p.call(func(a *actor) { a.useTrust(a.show(one, y, step(0), true)) })
				p.call(func(a *actor) { a.remove(y, by) })
				if p.full {
					p.call(func(a *actor) { a.startWith("ana", token, nil) })
				}
			},
		},
		{
			name: "the user is erased while a browser is trusted", torn: true, lost: [3]int{0, 1, 1},
			profile: "default", policy: signIn,
			set: func(p *props) {
				x := p.app("ana", p.Fresh())
				y, en := p.appUnderWay("ana", p.prove(x), mfa.EnrolRequest{Org: "acme", User: directory("ana"), Kind: mfa.TOTP})
				one := p.ask("ana", mfa.SignIn)
				p.call(func(a *actor) { a.erase("ana") })
				p.call(func(a *actor) { a.show(one, x, step(0), true) })
				if p.full {
					p.call(func(a *actor) { a.finish(en, y.code(0), true, "") })
				}
				p.check = nothingLeft
			},
		},
		{
			name: "a lock is lifted beside answers", lost: [3]int{1, 1, 2},
			set: func(p *props) {
				one := p.begin("ana")
				p.spendElsewhere("ana", userAttempts)
				p.call(func(a *actor) { a.unlock("ana") })
				p.call(func(a *actor) { a.verify(one, one.code, false, ""); a.verify(one, one.code, false, "") })
				p.call(func(a *actor) { a.verify(one, mfatest.Wrong(one.code), false, "") })
				if p.full {
					p.call(func(a *actor) { a.unlock("ana") })
				}
			},
		},
		{
			name: "the last guess before the lock is made beside an unlock", lost: [3]int{1, 1, 2},
			set: func(p *props) {
				p.spendElsewhere("ana", userAttempts-1)
				one, two := p.begin("ana"), p.begin("ana")
				p.call(func(a *actor) { a.unlock("ana") })
				p.call(func(a *actor) { a.verify(one, mfatest.Wrong(one.code), false, "") })
				p.call(func(a *actor) { a.verify(two, two.code, false, "") })
			},
		},
		{
			name: "a lock of recovery codes is lifted", lost: [3]int{0, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				x := p.app("ana", p.Fresh())
				one := p.ask("ana", mfa.SignIn)
				p.mistakeRecovery(one, recoveryAttempts)
				p.call(func(a *actor) { a.unlock("ana") })
				p.call(func(a *actor) { a.recover(one, p.shown[0], mfa.EffectSignIn, nil, "") })
				p.call(func(a *actor) { a.recover(one, noCode, mfa.EffectSignIn, nil, "") })
				if p.full {
					p.call(func(a *actor) { a.show(one, x, nil, false) })
				}
			},
		},
		{
			name: "2FA is turned off and on", lost: [3]int{0, 1, 1}, profile: "default", policy: signIn,
			set: func(p *props) {
				x := p.app("ana", p.Fresh())
				by := p.prove(x)
				token := p.trustBy(x)
				one := p.ask("ana", mfa.SignIn)
				p.call(func(a *actor) { a.show(one, x, step(0), true) })
				p.call(func(a *actor) {
					if c := a.turn(false, "ana", by); !c.silent() && a.turn(true, "ana", by).err == nil {
						a.startWith("ana", token, nil)
					}
				})
			},
		},
	}
}

// nothingLeft checks that nothing is left of the user whom the first call erases.
func nothingLeft(e *ending) error {
	erase := e.actors[0].calls[0]
	for _, item := range e.model.Items() {
		left, _, _ := strings.Cut(item.Key.Sort, "#")
		if !erase.silent() && strings.HasPrefix(item.Key.Partition, "u#") && left != "erased" {
			return fmt.Errorf("a %s of an erased user is left", left)
		}
	}
	return nil
}
