package walk

import (
	"context"
	"fmt"
	"time"

	"github.com/pquerna/otp/totp"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

// heldApp is a user's authenticator app.
type heldApp struct {
	user, id, secret string
	set              time.Time // when the walk's clock stands at its step 0
}

const appStep = 30 * time.Second

// code is what the app shows n steps after set.
func (x *heldApp) code(n int) seal.Secret {
	code, err := totp.GenerateCode(x.secret, x.set.Add(time.Duration(n)*appStep))
	if err != nil {
		panic(err) // the secret came from the service
	}
	return seal.NewSecret(code)
}

// stepOf is the number of a step (RFC 6238).
func (x *heldApp) stepOf(n int) int64 {
	return x.set.Add(time.Duration(n)*appStep).Unix() / int64(appStep/time.Second)
}

// wrong is a code that the app doesn't show within some steps of set.
func (x *heldApp) wrong() seal.Secret {
	code := mfatest.Wrong(x.code(0))
	for n := -3; n <= 3; n++ {
		if code.Equal(x.code(n)) {
			code, n = mfatest.Wrong(mfatest.Wrong(code)), -4
		}
	}
	return code
}

// clear reports whether the app's codes can be told apart, which chance may prevent.
func (x *heldApp) clear() bool {
	shown := map[string]bool{}
	for n := -3; n <= 3; n++ {
		shown[x.code(n).Reveal()] = true
	}
	return len(shown) == 7
}

// directory is what the client says of a user.
func directory(user string) *mfa.Person {
	return &mfa.Person{ID: user, Email: mfa.Some(addressOf(user))}
}

// fresh is the client's call for a user whose password was just checked.
func (p *props) fresh() mfa.Call {
	call := p.Client
	call.Reauthenticated = p.Clock.Now().Format(time.RFC3339)
	return call
}

// app enrols an authenticator app before the calls, and moves the clock on to its next step.
func (p *props) app(user string, call mfa.Call) *heldApp {
	p.Helper()
	x, en := p.appUnderWay(user, call, mfa.EnrolRequest{Org: "acme", User: directory(user), Kind: mfa.TOTP})
	p.enrolled(x, en)
	return x
}

// appUnderWay begins the enrolment of an app, before the calls.
func (p *props) appUnderWay(user string, call mfa.Call, q mfa.EnrolRequest) (*heldApp, underWay) {
	p.Helper()
	begun, err := p.BeginEnrolment(context.Background(), call, q)
	if err != nil {
		p.Fatal(err)
	}
	x := &heldApp{user: user, secret: begun.TOTP.Secret.Reveal(), set: p.Clock.Now()}
	if !x.clear() {
		return p.appUnderWay(user, call, q)
	}
	return x, underWay{user: user, id: begun.ID, until: *begun.Expires, by: p.Client, before: true, app: x}
}

// underWay is an enrolment that waits for its first code.
type underWay struct {
	user, id  string
	until     time.Time
	by        mfa.Call
	challenge string // that its finish answers
	before    bool   // begun before the calls
	app       *heldApp
	replaces  bool // its finish takes the place of all that the user had
}

// ask begins a challenge to an app, before the calls.
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

// prove has the user step up with the app, and gives the call that proves it. It moves the clock on to the app's next step.
func (p *props) prove(x *heldApp) mfa.Call {
	p.Helper()
	answer := p.answer(p.ask(x.user, mfa.StepUp), x, nil)
	call := p.fresh()
	call.Proof = answer.Token
	return call
}

// trustBy lets a user in with the app, and gives the token of the browser that is trusted from then on.
func (p *props) trustBy(x *heldApp) seal.Secret {
	p.Helper()
	token := *p.answer(p.ask(x.user, mfa.SignIn), x, &mfa.TrustChoice{Name: "Firefox"}).TrustToken
	p.tokens = append(p.tokens, token)
	return token
}

func (p *props) answer(o opened, x *heldApp, trust *mfa.TrustChoice) mfa.VerifyAnswer {
	p.Helper()
	answer, err := p.Verify(context.Background(), p.Client, mfa.VerifyRequest{Challenge: o.id, Factor: x.id, Answer: mfa.Answer{Code: x.code(0)}, Trust: trust})
	if err != nil {
		p.Fatal(err)
	}
	p.spent[o.id]++
	p.spent[o.user]++
	p.Clock.Advance(appStep)
	x.set = p.Clock.Now()
	return answer
}

// mistake answers wrongly to challenges of their own, before the calls.
func (p *props) mistake(x *heldApp, times int) {
	p.Helper()
	p.mistakeIn(x, seal.Secret{}, times)
}

// mistakeIn is mistake in a browser that holds a known token.
func (p *props) mistakeIn(x *heldApp, known seal.Secret, times int) {
	p.Helper()
	for range times {
		o := p.askIn(x.user, mfa.SignIn, known)
		_, err := p.Verify(context.Background(), p.Client, mfa.VerifyRequest{Challenge: o.id, Answer: mfa.Answer{Code: x.wrong()}})
		if mfa.AsError(err).Code != mfa.WrongCode {
			p.Fatal(err)
		}
		p.spent[o.id]++
		p.spent[o.user]++
	}
}

// noCode has the form of a recovery code and is none.
var noCode = mfatest.NoRecoveryCode()

// mistakeRecovery answers with wrong recovery codes, before the calls.
func (p *props) mistakeRecovery(o opened, times int) {
	p.Helper()
	for range times {
		_, err := p.Recover(context.Background(), p.Client, mfa.RecoverRequest{Challenge: o.id, Code: noCode})
		if mfa.AsError(err).Code != mfa.WrongCode {
			p.Fatal(err)
		}
	}
}

// withKey is a call with an Idempotency-Key, if that isn't empty.
func withKey(by mfa.Call, key, path string) mfa.Call {
	if key != "" {
		by.Replay = replayed(key, path)
	}
	return by
}

// show answers a challenge with what the app shows at a step; a wrong code where there is no such step.
func (a *actor) show(o opened, x *heldApp, step *int, trust bool) *call {
	q := mfa.VerifyRequest{Challenge: o.id, Factor: x.id, Answer: mfa.Answer{Code: x.wrong()}}
	d := deed{kind: verifies, user: o.user, challenge: o.id, factor: x.id, until: o.until, before: a.props.before[o.id], trusts: trust, known: o.known, learns: o.learns}
	what := "wrong code of the app"
	if step != nil {
		q.Code = x.code(*step)
		d.right, d.step = true, x.stepOf(*step)
		d.secret = fmt.Sprint(x.id, " ", d.step)
		what = fmt.Sprintf("code of step %+d", *step)
	}
	if trust {
		q.Trust = &mfa.TrustChoice{Name: "Chrome"}
	}
	d.code = q.Code.Reveal()
	return a.do(a.named(what), d, func(ctx context.Context, s *mfa.Service) (any, error) { return s.Verify(ctx, o.bearer, q) })
}

func step(n int) *int { return &n }

// recover answers a challenge with a recovery code, which shown says is one; from is the call that showed it, nil if it
// was shown before the calls.
func (a *actor) recover(o opened, code seal.Secret, effect string, from *call, key string) *call {
	d := deed{
		kind: recovers, user: o.user, challenge: o.id, code: code.Reveal(), right: !code.Equal(noCode), until: o.until,
		replay: key, before: a.props.before[o.id], from: from, closes: effect == mfa.EffectReset, effect: effect, known: o.known,
	}
	what := "wrong recovery code"
	if d.right {
		what, d.secret = "recovery code", code.Reveal()
	}
	by := withKey(o.bearer, key, "recover")
	return a.do(a.named(what), d, func(ctx context.Context, s *mfa.Service) (any, error) {
		return s.Recover(ctx, by, mfa.RecoverRequest{Challenge: o.id, Code: code})
	})
}

// begin begins an enrolment. What else the user had under way is dead then.
func (a *actor) begin(user string, by mfa.Call, kind mfa.Kind) *call {
	q := mfa.EnrolRequest{Org: "acme", User: directory(user), Kind: kind}
	if user == "" {
		q.Org, q.User = "", nil
	}
	return a.do(a.named("begin to enrol"), deed{kind: begins, closes: true, user: user}, func(ctx context.Context, s *mfa.Service) (any, error) {
		return s.BeginEnrolment(ctx, by, q)
	})
}

// finish answers an enrolment.
func (a *actor) finish(en underWay, code seal.Secret, right bool, key string) *call {
	d := deed{
		kind: finishes, user: en.user, challenge: en.id, lets: en.challenge, code: code.Reveal(), right: right, until: en.until,
		replay: key, before: en.before, closes: en.replaces, app: en.app,
	}
	what := "finish with a wrong code"
	if right {
		what, d.secret = "finish", en.id
	}
	by := withKey(en.by, key, "finish")
	return a.do(a.named(what), d, func(ctx context.Context, s *mfa.Service) (any, error) {
		return s.FinishEnrolment(ctx, by, mfa.FinishRequest{Enrolment: en.id, Answer: mfa.Answer{Code: code}})
	})
}

// finishMailed finishes what c began, with the code that c had mailed, if it did.
func (a *actor) finishMailed(c *call, en underWay) *call {
	answer, ok := c.answer.(mfa.EnrolAnswer)
	if c.dead || c.err != nil || !ok {
		return nil
	}
	en.id, en.until = answer.ID, answer.Sent.Expires
	return a.finish(en, c.sent, true, "")
}

// prove answers an enrolment's challenge with the code that went to the known address.
func (a *actor) prove(en underWay, code seal.Secret, right bool) *call {
	d := deed{kind: proves, user: en.user, challenge: en.challenge, code: code.Reveal(), right: right, until: en.until, before: true}
	what := "prove with a wrong code"
	if right {
		what, d.secret = "prove", "proof of "+en.challenge
	}
	return a.do(a.named(what), d, func(ctx context.Context, s *mfa.Service) (any, error) {
		return s.ProveAddress(ctx, en.by, mfa.ProveRequest{Code: code})
	})
}

func (a *actor) revokeAll(user string) *call {
	return a.do(a.named("revoke all"), deed{kind: revokes, closes: true, user: user}, func(ctx context.Context, s *mfa.Service) (any, error) {
		return "done", s.RevokeBrowsers(ctx, a.props.Client, "acme", user)
	})
}

func (a *actor) revokeOne(user, browser string) *call {
	return a.do(a.named("revoke one"), deed{kind: revokesOne, closes: true, user: user}, func(ctx context.Context, s *mfa.Service) (any, error) {
		return "done", s.RevokeBrowser(ctx, a.props.Client, "acme", user, browser)
	})
}

func (a *actor) regenerate(user string, by mfa.Call, key string) *call {
	by = withKey(by, key, "regenerate")
	return a.do(a.named("new recovery codes"), deed{kind: regenerates, closes: true, user: user, replay: key, before: true}, func(ctx context.Context, s *mfa.Service) (any, error) {
		return s.NewRecoveryCodes(ctx, by, "acme", user)
	})
}

func (a *actor) remove(x *heldApp, by mfa.Call) *call {
	return a.do(a.named("remove the factor"), deed{kind: removes, closes: true, user: x.user, factor: x.id, before: true}, func(ctx context.Context, s *mfa.Service) (any, error) {
		return "removed", s.RemoveFactor(ctx, by, "acme", x.user, x.id)
	})
}

// removeNewest removes the factor that the user enrolled last, if there is more than one.
func (a *actor) removeNewest(user string, by mfa.Call) {
	c := a.do(a.named("look"), deed{kind: looks, user: user}, func(ctx context.Context, s *mfa.Service) (any, error) {
		return s.GetUser(ctx, a.props.Client, "acme", user)
	})
	if u, ok := c.answer.(mfa.User); ok && !c.silent() && len(u.Factors) > 1 {
		a.remove(&heldApp{user: user, id: u.Factors[len(u.Factors)-1].ID}, by)
	}
}

// turn turns a user's 2FA on or off.
func (a *actor) turn(on bool, user string, by mfa.Call) *call {
	d, what, done := deed{kind: disables, closes: true, user: user, before: true}, "turn off", "turned off"
	if on {
		d, what, done = deed{kind: enables, user: user}, "turn on", "turned on"
	}
	return a.do(a.named(what), d, func(ctx context.Context, s *mfa.Service) (any, error) {
		_, err := s.SetEnabled(ctx, by, "acme", user, on)
		return done, err
	})
}

// unlock ends all locks of a user.
func (a *actor) unlock(user string) *call {
	return a.do(a.named("unlock"), deed{kind: unlocks, closes: true, user: user}, func(ctx context.Context, s *mfa.Service) (any, error) {
		return s.Unlock(ctx, a.props.Client, "acme", user, mfa.Intervention{Actor: "eve", Reason: "She called."})
	})
}

// useTrust signs in with the token that c was given, if it was.
func (a *actor) useTrust(c *call) {
	if answer, ok := c.answer.(mfa.VerifyAnswer); ok && !c.dead && c.err == nil && answer.TrustToken != nil {
		a.startWith(c.user, *answer.TrustToken, c)
	}
}

// startWith signs in with a trusted browser that from was given, or that was trusted before the calls.
func (a *actor) startWith(user string, token seal.Secret, from *call) *call {
	d := deed{kind: starts, user: user, before: from == nil, from: from}
	q := trusting(token, signingIn(user))
	return a.do(a.named("start in a trusted browser"), d, func(ctx context.Context, s *mfa.Service) (any, error) {
		return s.StartChallenge(ctx, a.props.Client, q)
	})
}
