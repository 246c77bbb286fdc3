package walk

import (
	"context"
	"encoding/json"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

// opened is a challenge that waits for its answer.
type opened struct {
	user, id string
	known    bool // it was begun in a known browser
	learns   bool // the known token of its answer is checked at the end
	answered bool // it was answered already, so no code is right any more
	bearer   mfa.Call
	code     seal.Secret
	options  json.RawMessage // the options of its ceremony, if a key is asked for
	until    time.Time       // when its code or its ceremony ends
}

func addressOf(user string) string { return user + "@acme.example" }

// directory returns what the client says about a user.
func directory(user string) *mfa.Person {
	return &mfa.Person{ID: user, Email: mfa.Some(addressOf(user))}
}

func signingIn(user string) mfa.StartRequest {
	return mfa.StartRequest{Org: "acme", User: mfa.Person{ID: user, Email: mfa.Some(addressOf(user))}}
}

// knowing returns the same sign-in in a browser that holds a known token.
func knowing(token seal.Secret, q mfa.StartRequest) mfa.StartRequest {
	q.KnownToken = token
	return q
}

// trusting returns the same sign-in in a trusted browser.
func trusting(token seal.Secret, q mfa.StartRequest) mfa.StartRequest {
	q.TrustToken = token
	return q
}

// begin starts a challenge before the calls.
func (p *props) begin(user string) opened {
	p.Helper()
	return p.beginIn(user, seal.Secret{})
}

// beginIn is begin in a browser that holds a known token.
func (p *props) beginIn(user string, known seal.Secret) opened {
	p.Helper()
	answer, err := p.StartChallenge(context.Background(), p.Client, knowing(known, signingIn(user)))
	if err != nil {
		p.Fatal(err)
	}
	o := opened{
		known: !known.IsZero(), user: user, id: answer.Challenge.ID, bearer: mfa.Call{Bearer: answer.Challenge.Token.Reveal()},
		code: p.Outbox.Code(p, addressOf(user)), until: answer.Challenge.Sent.Expires,
	}
	if p.typed[o.code.Reveal()] {
		return p.beginIn(user, known) // each code must be right for one challenge only, but chance may make two equal
	}
	p.typed[o.code.Reveal()], p.typed[mfatest.Wrong(o.code).Reveal()] = true, true
	p.before[o.id] = true
	return o
}

// ask begins a challenge to an app before the calls.
func (p *props) ask(user, purpose string) opened {
	p.Helper()
	return p.askIn(user, purpose, seal.Secret{})
}

// askIn is ask in a browser that holds a known token.
func (p *props) askIn(user, purpose string, known seal.Secret) opened {
	p.Helper()
	q := knowing(known, signingIn(user))
	q.Purpose = purpose
	answer, err := p.StartChallenge(context.Background(), p.Client, q)
	if err != nil {
		p.Fatal(err)
	}
	ch := answer.Challenge
	p.before[ch.ID] = true
	return opened{known: !known.IsZero(), user: user, id: ch.ID, bearer: mfa.Call{Bearer: ch.Token.Reveal()}, until: ch.Expires}
}

// spend gives wrong codes to a challenge before the calls.
func (p *props) spend(o opened, times int) {
	p.Helper()
	for range times {
		_, err := p.Verify(context.Background(), p.Client, mfa.VerifyRequest{Challenge: o.id, Answer: mfa.Answer{Code: mfatest.Wrong(o.code)}})
		if mfa.AsError(err).Code != mfa.WrongCode {
			p.Fatal(err)
		}
		p.spent[o.id]++
		p.spent[o.user]++
	}
}

// spendElsewhere gives wrong codes to other challenges of the user before the calls.
func (p *props) spendElsewhere(user string, times int) {
	for ; times > 0; times -= challengeAttempts {
		p.spend(p.begin(user), min(times, challengeAttempts))
	}
}

// know signs a user in, and returns the known token of the browser.
func (p *props) know(user string) seal.Secret {
	p.Helper()
	o := p.begin(user)
	answer, err := p.Verify(context.Background(), p.Client, mfa.VerifyRequest{Challenge: o.id, Answer: mfa.Answer{Code: o.code}})
	if err != nil {
		p.Fatal(err)
	}
	p.spent[o.id]++
	p.spent[o.user]++
	return *answer.KnownToken
}

// trust signs a user in, trusts the browser, and returns the trust token.
func (p *props) trust(user string) seal.Secret {
	p.Helper()
	o := p.begin(user)
	answer, err := p.Verify(context.Background(), p.Client, mfa.VerifyRequest{
		Challenge: o.id, Answer: mfa.Answer{Code: o.code}, Trust: &mfa.TrustChoice{Name: "Firefox"},
	})
	if err != nil {
		p.Fatal(err)
	}
	p.spent[o.id]++
	p.spent[o.user]++
	return *answer.TrustToken
}

// use signs in with a trusted browser, and returns its next token.
func (p *props) use(user string, token seal.Secret) seal.Secret {
	p.Helper()
	answer, err := p.StartChallenge(context.Background(), p.Client, trusting(token, signingIn(user)))
	if err != nil {
		p.Fatal(err)
	}
	return *answer.TrustToken
}

// proof makes a user who must enrol, and to whom a code was sent that proves the known address.
func (p *props) proof(user string) (_ underWay, code seal.Secret) {
	p.Helper()
	started, err := p.StartChallenge(context.Background(), p.Client, signingIn(user))
	if err != nil {
		p.Fatal(err)
	}
	en := underWay{user: user, challenge: started.ID, until: started.Enrolment.Expires, by: mfa.Call{Bearer: started.Enrolment.Token.Reveal()}}
	if _, err := p.BeginEnrolment(context.Background(), en.by, mfa.EnrolRequest{Kind: mfa.TOTP}); err != nil {
		p.Fatal(err)
	}
	return en, p.Outbox.Code(p, addressOf(user))
}

// noCode is well formed, but no user has it as a recovery code.
var noCode = mfatest.NoRecoveryCode()

// mistakeRecovery gives wrong recovery codes to a challenge before the calls.
func (p *props) mistakeRecovery(o opened, times int) {
	p.Helper()
	for range times {
		_, err := p.Recover(context.Background(), p.Client, mfa.RecoverRequest{Challenge: o.id, Code: noCode})
		if mfa.AsError(err).Code != mfa.WrongCode {
			p.Fatal(err)
		}
	}
}
