package walk

import (
	"fmt"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/passkey/passkeytest"
)

// synced is a passkey that is synced to other devices and has no signature counter.
func synced() *passkeytest.Authenticator {
	return &passkeytest.Authenticator{Resident: true, Platform: true, Eligible: true, Synced: true, NoCounter: true}
}

// keyStages are about the responses of keys at sign-ins and step-ups.
func keyStages() []stage {
	signIn := byDefault(mfa.EffectSignIn)
	return []stage{
		{
			name: "one response of a key is given twice", lost: [3]int{1, 2, 3}, profile: "default", policy: signIn,
			set: func(p *props) {
				k := p.key("ana", p.Fresh(), &passkeytest.Authenticator{})
				one := p.askKey("ana", signingIn("ana"))
				r := p.touch(one, k, 2)
				p.call(func(a *actor) { a.answerByKey(one, k, r, true) })
				p.call(func(a *actor) { a.answerByKey(one, k, r, true) })
				if p.full {
					p.call(func(a *actor) { a.answerByKey(one, k, p.forge(one, k), false) })
				}
			},
		},
		{
			name: "two responses of a key to one challenge", lost: [3]int{1, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				k := p.key("ana", p.Fresh(), &passkeytest.Authenticator{})
				one := p.askKey("ana", signingIn("ana"))
				second, third := p.touch(one, k, 2), p.touch(one, k, 3)
				p.call(func(a *actor) { a.answerByKey(one, k, second, true) })
				p.call(func(a *actor) { a.answerByKey(one, k, third, true) })
			},
		},
		{
			name: "the last wrong credentials beside a right one, while codes are locked", lost: [3]int{0, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				x := p.app("ana", p.Fresh())
				k := p.key("ana", p.prove(x), &passkeytest.Authenticator{})
				p.mistakeByApp(x, userAttempts)
				one := p.askKey("ana", signingIn("ana"))
				p.spendForged(one, k, challengeAttempts-2)
				right, forged, other := p.touch(one, k, 2), p.forge(one, k), p.forge(one, k)
				p.call(func(a *actor) { a.answerByKey(one, k, forged, false) })
				p.call(func(a *actor) { a.answerByKey(one, k, right, true) })
				p.call(func(a *actor) { a.answerByKey(one, k, other, false) })
			},
		},
		{
			name: "wrong credentials leave codes their attempts", lost: [3]int{0, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				x := p.app("ana", p.Fresh())
				k := p.key("ana", p.prove(x), &passkeytest.Authenticator{})
				p.mistakeByApp(x, userAttempts-1)
				one, two := p.askKey("ana", signingIn("ana")), p.askKey("ana", signingIn("ana"))
				forged := p.forge(one, k)
				p.call(func(a *actor) { a.answerByKey(one, k, forged, false) })
				p.call(func(a *actor) { a.show(two, x, step(0), false) })
				p.call(func(a *actor) { a.show(one, x, nil, false) })
			},
		},
		{
			name: "a counter goes up at two sign-ins", lost: [3]int{1, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				k := p.key("ana", p.Fresh(), &passkeytest.Authenticator{})
				one, two := p.askKey("ana", signingIn("ana")), p.askKey("ana", signingIn("ana"))
				second, third := p.touch(one, k, 2), p.touch(two, k, 3)
				p.call(func(a *actor) { a.answerByKey(one, k, second, true) })
				p.call(func(a *actor) { a.answerByKey(two, k, third, true) })
				if p.full {
					p.call(func(a *actor) { a.answerByKey(two, k, p.forge(two, k), false) })
				}
			},
		},
		{
			name: "a key and its copy at two sign-ins", lost: [3]int{1, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				k := p.key("ana", p.Fresh(), &passkeytest.Authenticator{})
				one, two, old := p.askKey("ana", signingIn("ana")), p.askKey("ana", signingIn("ana")), p.askKey("ana", signingIn("ana"))
				second, copied, back := p.touch(one, k, 2), p.touch(two, k, 2), p.touch(old, k, 0)
				p.call(func(a *actor) { a.answerByKey(one, k, second, true) })
				p.call(func(a *actor) { a.answerByKey(two, k, copied, true) })
				p.call(func(a *actor) { a.answerByKey(old, k, back, false) })
			},
		},
		{
			name: "a passkey without a counter at two sign-ins", lost: [3]int{1, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				k := p.key("ana", p.Fresh(), synced())
				one, two := p.askKey("ana", signingIn("ana")), p.askKey("ana", signingIn("ana"))
				first, second := p.touch(one, k, 0), p.touch(two, k, 0)
				p.call(func(a *actor) { a.answerByKey(one, k, first, true) })
				p.call(func(a *actor) { a.answerByKey(two, k, second, true) })
			},
		},
		{
			name: "another ceremony begins", lost: [3]int{1, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				k := p.key("ana", p.Fresh(), &passkeytest.Authenticator{})
				one := p.askKey("ana", signingIn("ana"))
				r := p.touch(one, k, 2)
				p.call(func(a *actor) { a.answerByKey(one, k, r, true) })
				p.call(func(a *actor) { a.answerSent(one, k, a.sendKey(one), 3) })
				if p.full {
					p.call(func(a *actor) { a.sendKey(one) })
				}
			},
		},
		{
			name: "what an earlier ceremony asked is answered after a later one began", lost: [3]int{1, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				k := p.key("ana", p.Fresh(), &passkeytest.Authenticator{})
				one := p.askKey("ana", signingIn("ana"))
				r, forged := p.touch(one, k, 2), p.forge(one, k)
				p.call(func(a *actor) { a.sendKey(one); a.answerByKey(one, k, r, true) })
				p.call(func(a *actor) { a.answerByKey(one, k, forged, false) })
			},
		},
		{
			name: "the ceremony ends", lost: [3]int{1, 1, 2}, profile: "default", policy: signIn,
			jumps: []time.Duration{ceremonyLife - time.Microsecond, ceremonyLife},
			set: func(p *props) {
				k := p.key("ana", p.Fresh(), &passkeytest.Authenticator{})
				one := p.askKey("ana", signingIn("ana"))
				r := p.touch(one, k, 2)
				p.call(func(a *actor) { a.answerByKey(one, k, r, true) })
				p.call(func(a *actor) { a.answerByKey(one, k, r, true) })
			},
		},
		{
			name: "a step-up that takes a key only beside a revocation", lost: [3]int{1, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				x := p.app("ana", p.Fresh())
				k := p.key("ana", p.prove(x), &passkeytest.Authenticator{})
				kind := mfa.WebAuthn
				q := signingIn("ana")
				q.Purpose, q.Method = mfa.StepUp, &kind
				one := p.askKey("ana", q)
				r, by := p.touch(one, k, 2), p.Fresh()
				p.call(func(a *actor) {
					c := a.answerByKey(one, k, r, true)
					if answer, ok := c.answer.(mfa.VerifyAnswer); ok && c.success() {
						by.Proof = answer.Token
						a.regenerateAfter(c, "ana", by)
					}
				})
				p.call(func(a *actor) { a.revokeAll("ana") })
			},
		},
	}
}

// keyChangeStages are about keys that are enrolled and removed.
func keyChangeStages() []stage {
	signIn := byDefault(mfa.EffectSignIn)
	return []stage{
		{
			name: "a key is enrolled twice with one response", torn: true, lost: [3]int{1, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				en, given := p.keyUnderWay("ana", p.Fresh(), &passkeytest.Authenticator{})
				p.call(func(a *actor) { a.finishByKey(en, given, true) })
				p.call(func(a *actor) { a.finishByKey(en, given, true) })
				p.check = atMost(1, "ana")
			},
		},
		{
			name: "a key is enrolled beside the last wrong responses", lost: [3]int{1, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				device := &passkeytest.Authenticator{Misbehaviour: passkeytest.Misbehaviour{RPID: "elsewhere.example"}}
				begun := p.Fresh()
				_, forged := p.keyUnderWay("ana", begun, device)
				device.Misbehaviour = passkeytest.Misbehaviour{}
				en, given := p.keyUnderWay("ana", begun, device)
				for range challengeAttempts - 1 {
					p.finishForged(en, forged)
				}
				p.call(func(a *actor) { a.finishByKey(en, forged, false) })
				p.call(func(a *actor) { a.finishByKey(en, given, true) })
			},
		},
		{
			name: "another enrolment of a key is begun", torn: true, lost: [3]int{0, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				en, given := p.keyUnderWay("ana", p.Fresh(), &passkeytest.Authenticator{})
				by := p.Fresh()
				p.call(func(a *actor) { a.finishByKey(en, given, true) })
				p.call(func(a *actor) {
					a.finishBegun(a.begin("ana", by, mfa.WebAuthn), underWay{user: "ana", by: p.Client}, nil)
				})
			},
		},
		{
			name: "two users enrol one credential id", torn: true, lost: [3]int{1, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				one, given := p.keyUnderWay("ana", p.Fresh(), &passkeytest.Authenticator{})
				two, copied := p.keyUnderWay("bob", p.Fresh(), copying(&userKey{credential: credentialIn(given)}))
				p.call(func(a *actor) { a.finishByKey(one, given, true) })
				p.call(func(a *actor) { a.finishByKey(two, copied, true) })
			},
		},
		{
			name: "two users take over a credential id that nobody has any more", lost: [3]int{1, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				k := p.abandoned("ana")
				one, given := p.keyUnderWay("bob", p.Fresh(), copying(k))
				two, copied := p.keyUnderWay("cleo", p.Fresh(), copying(k))
				p.call(func(a *actor) { a.finishByKey(one, given, true) })
				p.call(func(a *actor) { a.finishByKey(two, copied, true) })
			},
		},
		{
			name: "a key is removed beside an answer with it", torn: true, lost: [3]int{1, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				x := p.app("ana", p.Fresh())
				k := p.key("ana", p.prove(x), &passkeytest.Authenticator{})
				by := p.prove(x)
				one := p.askKey("ana", signingIn("ana"))
				r := p.touch(one, k, 2)
				p.call(func(a *actor) { a.answerByKey(one, k, r, true) })
				p.call(func(a *actor) { a.removeKey(k, by) })
				if p.full {
					p.call(func(a *actor) { a.show(one, x, step(0), false) })
				}
			},
		},
		{
			name: "a key is removed while another user enrols its credential id", torn: true, lost: [3]int{0, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				x := p.app("ana", p.Fresh())
				k := p.key("ana", p.prove(x), &passkeytest.Authenticator{})
				p.taken[k.credential] = true
				by := p.prove(x)
				two, copied := p.keyUnderWay("bob", p.Fresh(), copying(k))
				p.call(func(a *actor) { a.removeKey(k, by) })
				p.call(func(a *actor) { a.finishByKey(two, copied, true) })
			},
		},
		{
			name: "the user is erased while a key is enrolled", torn: true, lost: [3]int{0, 1, 2}, profile: "default", policy: signIn,
			set: func(p *props) {
				x := p.app("ana", p.Fresh())
				one, given := p.keyUnderWay("ana", p.prove(x), &passkeytest.Authenticator{})
				p.call(func(a *actor) { a.erase("ana") })
				p.call(func(a *actor) { a.finishByKey(one, given, true) })
				p.check = nothingLeft
			},
		},
		{
			name: "a recovery resets beside an answer with a key", lost: [3]int{0, 1, 2}, profile: "default", policy: byDefault(mfa.EffectReset),
			set: func(p *props) {
				k := p.key("ana", p.Fresh(), &passkeytest.Authenticator{})
				one, two := p.askKey("ana", signingIn("ana")), p.askKey("ana", signingIn("ana"))
				r := p.touch(two, k, 2)
				p.call(func(a *actor) { a.recover(one, p.shown[0], mfa.EffectReset, nil, "") })
				p.call(func(a *actor) { a.answerByKey(two, k, r, true) })
			},
		},
		{
			name: "a recovery enrols the same key anew", lost: [3]int{0, 0, 1}, profile: "default", policy: byDefault(mfa.EffectReenrol),
			set: func(p *props) {
				k := p.key("ana", p.Fresh(), &passkeytest.Authenticator{})
				one, two := p.askKey("ana", signingIn("ana")), p.askKey("ana", signingIn("ana"))
				r := p.touch(two, k, 2)
				p.call(func(a *actor) {
					c := a.recover(one, p.shown[0], mfa.EffectReenrol, nil, "")
					answer, ok := c.answer.(mfa.RecoverAnswer)
					if c.dead || c.err != nil || !ok {
						return
					}
					by := mfa.Call{Bearer: answer.Enrolment.Token.Reveal(), Origin: mfatest.Origin}
					a.finishBegun(a.begin("", by, mfa.WebAuthn), underWay{user: "ana", by: by, challenge: one.id, replaces: true}, copying(k).NextID)
				})
				p.call(func(a *actor) { a.answerByKey(two, k, r, true) })
			},
		},
	}
}

// atMost checks that a user has at most so many factors.
func atMost(most int, user string) func(*ending) error {
	return func(e *ending) error {
		if n := len(e.guards[user].Factors); n > most {
			return fmt.Errorf("I1: %d factors were enrolled, with what is good for %d", n, most)
		}
		return nil
	}
}
