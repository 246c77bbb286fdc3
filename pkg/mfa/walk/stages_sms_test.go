package walk

import (
	"context"
	"fmt"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

// smsStages are about codes by SMS, both those that answer challenges and those that enrol numbers.
func smsStages() []stage {
	return []stage{
		{
			name: "three answers to a code by SMS", lost: [3]int{1, 1, 3}, profile: "salto", policy: messagesADay(6),
			set: func(p *props) {
				p.phone("ana", anasNumber)
				ch := p.beginBySMS("ana", anasNumber)
				p.call(func(a *actor) { a.verify(ch, ch.code, false, "") })
				p.call(func(a *actor) { a.verify(ch, ch.code, false, "") })
				p.call(func(a *actor) { a.verify(ch, mfatest.Wrong(ch.code), false, "") })
			},
		},
		{
			name: "one code by SMS is given twice under one key", lost: [3]int{1, 1, 3}, profile: "salto", policy: messagesADay(6),
			set: func(p *props) {
				p.phone("ana", anasNumber)
				ch := p.beginBySMS("ana", anasNumber)
				for range 2 {
					p.call(func(a *actor) { untilHeard(func() *call { return a.verify(ch, ch.code, true, "k") }) })
				}
				p.check = heardAlike
			},
		},
		{
			name: "a code by SMS is sent again", lost: [3]int{1, 1, 2}, profile: "salto", policy: messagesADay(6),
			set: func(p *props) {
				p.phone("ana", anasNumber)
				ch := p.beginBySMS("ana", anasNumber)
				p.Clock.Advance(10 * time.Second)
				p.call(func(a *actor) { a.verify(ch, ch.code, false, "") })
				p.call(func(a *actor) { a.verifyFresh(ch, a.send(ch)) })
				if p.full {
					p.call(func(a *actor) { a.verify(ch, mfatest.Wrong(ch.code), false, "") })
				}
				p.check = textsCounted("ana", 1)
			},
		},
		{
			name: "two send a code by SMS again", lost: [3]int{1, 1, 2}, profile: "salto", policy: messagesADay(6),
			set: func(p *props) {
				p.phone("ana", anasNumber)
				ch := p.beginBySMS("ana", anasNumber)
				p.Clock.Advance(10 * time.Second)
				p.call(func(a *actor) { a.send(ch) })
				p.call(func(a *actor) { a.verifyFresh(ch, a.send(ch)) })
				p.check = textsCounted("ana", 1)
			},
		},
		{
			name: "two users send a code by SMS again, and one message is left of the day", lost: [3]int{0, 0, 2}, profile: "salto",
			policy: messagesADay(3), counts: countsOfDay,
			set: func(p *props) {
				p.phone("ana", anasNumber)
				p.phone("bob", "+33612340002")
				ana, bob := p.beginBySMS("ana", anasNumber), p.beginBySMS("bob", "+33612340002")
				p.Clock.Advance(10 * time.Second)
				p.call(func(a *actor) { a.verifyFresh(ana, a.send(ana)) })
				p.call(func(a *actor) { a.send(bob) })
				p.check = func(e *ending) error { return e.kept(1, 1) }
			},
		},
		{
			name: "a code by SMS ends", lost: [3]int{1, 1, 2}, profile: "salto", jumps: []time.Duration{time.Minute - time.Microsecond, time.Minute},
			policy: func(p *mfa.Policy) {
				messagesADay(6)(p)
				p.Challenge.SMSCodeS, p.Challenge.WindowS = 60, 300
			},
			set: func(p *props) {
				p.phone("ana", anasNumber)
				ch := p.beginBySMS("ana", anasNumber)
				p.call(func(a *actor) { a.verify(ch, ch.code, false, "") })
				p.call(func(a *actor) { a.verify(ch, mfatest.Wrong(ch.code), false, "") })
			},
		},
		{
			name: "a number is enrolled twice with one code", torn: true, lost: [3]int{1, 1, 2}, profile: "salto", policy: messagesADay(6),
			set: func(p *props) {
				en, code := p.numberUnderWay("ana", anasNumber)
				p.call(func(a *actor) { a.finish(en, code, true, "") })
				p.call(func(a *actor) { a.finish(en, code, true, "") })
				if p.full {
					p.call(func(a *actor) { a.finish(en, mfatest.Wrong(code), false, "") })
				}
				p.check = atMost(1, "ana")
			},
		},
		{
			name: "a number is enrolled twice under one key", lost: [3]int{1, 1, 3}, profile: "salto", policy: messagesADay(6),
			set: func(p *props) {
				en, code := p.numberUnderWay("ana", anasNumber)
				for range 2 {
					p.call(func(a *actor) { untilHeard(func() *call { return a.finish(en, code, true, "k") }) })
				}
				p.check = heardAlike
			},
		},
		{
			name: "the code that enrols a number is sent again", torn: true, lost: [3]int{0, 1, 2}, profile: "salto", policy: messagesADay(6),
			set: func(p *props) {
				en, code := p.numberUnderWay("ana", anasNumber)
				p.Clock.Advance(10 * time.Second)
				p.call(func(a *actor) { a.finish(en, code, true, "") })
				p.call(func(a *actor) { a.finishFresh(en, a.sendEnrolment(en, code)) })
				p.check = func(e *ending) error {
					if err := atMost(1, "ana")(e); err != nil {
						return err
					}
					return textsCounted("ana", 1)(e)
				}
			},
		},
		{
			name: "another enrolment of a number is begun", lost: [3]int{0, 1, 2}, profile: "salto", policy: messagesADay(6),
			set: func(p *props) {
				en, code := p.numberUnderWay("ana", anasNumber)
				by := p.Fresh()
				p.call(func(a *actor) { a.finish(en, code, true, "") })
				p.call(func(a *actor) {
					a.finishMailed(a.beginNumber("ana", by, "+33612340002"), underWay{user: "ana", by: p.Client})
				})
				p.check = textsCounted("ana", 1)
			},
		},
		{
			name: "two begin to enrol numbers, and one message is left of the day", lost: [3]int{0, 1, 2}, profile: "salto", policy: messagesADay(2), counts: countsOfDay,
			set: func(p *props) {
				by := p.Fresh()
				p.call(func(a *actor) { a.beginNumber("ana", by, anasNumber) })
				p.call(func(a *actor) { a.beginNumber("bob", by, "+33612340002") })
				p.check = func(e *ending) error { return e.kept(1, 1) } // enrolments get half of the day's budget
			},
		},
	}
}

const anasNumber = "+33612340001"

// numberUnderWay begins the enrolment of a number before the calls, and returns the code that finishes it.
func (p *props) numberUnderWay(user, number string) (underWay, seal.Secret) {
	p.Helper()
	begun, err := p.BeginEnrolment(context.Background(), p.Fresh(), mfa.EnrolRequest{Org: "acme", User: directory(user), Kind: mfa.SMS, Phone: &number})
	if err != nil {
		p.Fatal(err)
	}
	code := p.Outbox.Code(p, number)
	p.typed[code.Reveal()], p.typed[mfatest.Wrong(code).Reveal()] = true, true
	return underWay{user: user, id: begun.ID, until: begun.Sent.Expires, by: p.Client, before: true}, code
}

// beginNumber begins the enrolment of a number.
func (a *actor) beginNumber(user string, by mfa.Call, number string) *call {
	q := mfa.EnrolRequest{Org: "acme", User: directory(user), Kind: mfa.SMS, Phone: &number}
	return a.do(a.named("begin to enrol a number"), deed{kind: begins, closes: true, user: user}, func(ctx context.Context, s *mfa.Service) (any, error) {
		return s.BeginEnrolment(ctx, by, q)
	})
}

// sendEnrolment sends another code for an enrolment, which replaces the one before.
func (a *actor) sendEnrolment(en underWay, code seal.Secret) *call {
	d := deed{kind: sends, closes: true, user: en.user, challenge: en.id, code: code.Reveal()}
	return a.do(a.named("send"), d, func(ctx context.Context, s *mfa.Service) (any, error) {
		return s.SendEnrolment(ctx, en.by, en.id)
	})
}

// finishFresh finishes an enrolment with the code that c sent, if it sent one. This code must be right.
func (a *actor) finishFresh(en underWay, c *call) {
	answer, ok := c.answer.(mfa.SendAnswer)
	if c.sent.IsZero() || !ok {
		return
	}
	en.until = answer.Sent.Expires
	a.finish(en, c.sent, true, "")
}

// textsCounted checks that the calls sent a user at most this many text messages, and that the guard counts each of them. It
// may count one more message for each commit that was lost.
func textsCounted(user string, most int) func(*ending) error {
	return func(e *ending) error {
		sent, counted := len(e.texts), len(e.guards[user].TextsSent)-len(e.props.began[user].TextsSent)
		if sent > most || counted < sent || counted > sent+e.lost() {
			return fmt.Errorf("I9: %d messages were sent and %d counted, want %d at most; %d commits were lost", sent, counted, most, e.lost())
		}
		return nil
	}
}
