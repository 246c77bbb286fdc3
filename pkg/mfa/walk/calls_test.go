package walk

import (
	"context"
	"fmt"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

// opened is a challenge that waits for its answer.
type opened struct {
	user, id string
	known    bool // begun in a known browser
	learns   bool // the known token that its answer gives is looked at
	bearer   mfa.Call
	code     seal.Secret
	until    time.Time
}

func addressOf(user string) string { return user + "@acme.example" }

func signingIn(user string) mfa.StartRequest {
	return mfa.StartRequest{Org: "acme", User: mfa.Person{ID: user, Email: mfa.Some(addressOf(user))}}
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
		return p.beginIn(user, known) // by chance; each code is to be right for one challenge only
	}
	p.typed[o.code.Reveal()], p.typed[mfatest.Wrong(o.code).Reveal()] = true, true
	p.before[o.id] = true
	return o
}

// spend answers wrongly, before the calls.
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

// spendElsewhere answers wrongly to other challenges of the user.
func (p *props) spendElsewhere(user string, times int) {
	for ; times > 0; times -= wrongAnswers {
		p.spend(p.begin(user), min(times, wrongAnswers))
	}
}

// knowing is the same sign-in in a browser that holds a known token.
func knowing(token seal.Secret, q mfa.StartRequest) mfa.StartRequest {
	q.KnownToken = token
	return q
}

// know lets a user in and gives the known token of the browser.
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

// trust lets a user in and gives the token of the browser that is trusted from then on.
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

// trusting is the same sign-in with a trusted browser.
func trusting(token seal.Secret, q mfa.StartRequest) mfa.StartRequest {
	q.TrustToken = token
	return q
}

// use signs in with a trusted browser and gives its next token.
func (p *props) use(user string, token seal.Secret) seal.Secret {
	p.Helper()
	answer, err := p.StartChallenge(context.Background(), p.Client, trusting(token, signingIn(user)))
	if err != nil {
		p.Fatal(err)
	}
	return *answer.TrustToken
}

func (p *props) call(script func(*actor)) { p.scripts = append(p.scripts, script) }

func replayed(key, path string) *mfa.Replay {
	return &mfa.Replay{Method: "POST", Path: path, Key: key, Encode: func(answer any, err *mfa.Error) (full, later []byte, _ error) {
		text := []byte(told(answer, err))
		return text, text, nil
	}}
}

// verify answers a challenge. A non-empty key is an Idempotency-Key.
func (a *actor) verify(o opened, code seal.Secret, trust bool, key string) *call {
	q := mfa.VerifyRequest{Challenge: o.id, Answer: mfa.Answer{Code: code}}
	if trust {
		q.Trust = &mfa.TrustChoice{Name: "Firefox"}
	}
	by := o.bearer
	if key != "" { // by the client: what a token of a browser's is refused is not remembered
		by = a.props.Client
		by.Replay = replayed(key, "verify")
	}
	d := deed{kind: verifies, user: o.user, challenge: o.id, code: code.Reveal(), right: code.Equal(o.code), until: o.until, replay: key, before: a.props.before[o.id], trusts: trust, known: o.known}
	what := "wrong code"
	if d.right {
		what = "right code"
	}
	return a.do(a.named(what), d, func(ctx context.Context, s *mfa.Service) (any, error) { return s.Verify(ctx, by, q) })
}

func (a *actor) named(what string) string {
	return fmt.Sprintf("%d%c %s", a.index+1, 'a'+len(a.calls), what)
}

// send sends the code of a challenge again.
func (a *actor) send(o opened) *call {
	d := deed{kind: sends, closes: true, user: o.user, challenge: o.id, code: o.code.Reveal()}
	return a.do(a.named("send"), d, func(ctx context.Context, s *mfa.Service) (any, error) {
		return s.SendCode(ctx, o.bearer, mfa.SendRequest{Challenge: o.id})
	})
}

// start begins a sign-in.
func (a *actor) start(q mfa.StartRequest, key string) *call {
	user, token, by := q.User.ID, q.TrustToken, a.props.Client
	if key != "" {
		by.Replay = replayed(key, "start")
	}
	d := deed{kind: starts, user: user, replay: key, before: !token.IsZero(), closes: !token.IsZero() && token.Equal(a.props.stolen)}
	return a.do(a.named("start"), d, func(ctx context.Context, s *mfa.Service) (any, error) {
		return s.StartChallenge(ctx, by, q)
	})
}

func (a *actor) erase(user string) *call {
	return a.do(a.named("erase"), deed{kind: erases, closes: true, user: user}, func(ctx context.Context, s *mfa.Service) (any, error) {
		return "done", s.EraseUser(ctx, a.props.Client, "acme", user)
	})
}

func (a *actor) moveTo(user, email string) *call {
	return a.do(a.named("move"), deed{kind: moves, closes: true, user: user}, func(ctx context.Context, s *mfa.Service) (any, error) {
		_, err := s.PutUser(ctx, a.props.Client, "acme", mfa.Person{ID: user, Email: mfa.Some(email)})
		return "done", err
	})
}

// untilHeard makes a call again, a few times, for as long as the caller learns nothing.
func untilHeard(make func() *call) *call {
	for range 3 {
		if c := make(); !c.silent() {
			return c
		}
	}
	return make()
}

// verifyFresh answers with the code that c sent, if it did: it must be right.
func (a *actor) verifyFresh(o opened, c *call) {
	if c.sent.IsZero() {
		return
	}
	o.code, o.until = c.sent, c.answer.(mfa.SendAnswer).Sent.Expires
	a.verify(o, o.code, false, "")
}

// opened is the challenge that a start answered with.
func (c *call) opened() opened {
	ch := c.answer.(mfa.StartAnswer).Challenge
	return opened{user: c.user, id: ch.ID, bearer: mfa.Call{Bearer: ch.Token.Reveal()}, code: c.sent, until: ch.Sent.Expires}
}
