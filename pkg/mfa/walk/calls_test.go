package walk

import (
	"context"
	"fmt"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/seal"
)

// A deed is what a call does, and what is known about it in advance.
type deed struct {
	kind      string // one of the kinds below
	user      string
	challenge string
	code      string    // the code that it gives
	right     bool      // the code or the response is right, unless another call changes that
	until     time.Time // when the code ends, and with it the right to a success
	replay    string    // the Idempotency-Key
	before    bool      // what it needs for a success existed before the calls
	closes    bool      // an answer that isn't a refusal closes something
	once      bool      // the token with which it begins an enrolment is good for one that is finished

	secret string   // what only one success may use, apart from the challenge; may be empty
	factor string   // the factor of the code, or the factor that is removed
	step   int64    // the step of the code
	effect string   // the effect of a recovery code
	lets   string   // the challenge that the finish of an enrolment answers
	trusts bool     // a success trusts the browser
	known  bool     // it answers a challenge that was begun in a known browser
	learns bool     // the known token of a success is checked at the end
	app    *userApp // the app that is being enrolled

	signs      bool   // it is about a key: code is the WebAuthn challenge that the response signs, or that a send replaces
	count      uint32 // the signature counter of the response; 0 if the key has none
	credential string // the id of the credential that is being enrolled
	from       *call  // the call whose answer it uses; if nil, before says whether it can succeed
}

// These are the kinds of deed.
const (
	verifies = "verifies"
	sends    = "sends" // replaces the code
	starts   = "starts"
	erases   = "erases"
	moves    = "moves" // to another address
	looks    = "looks"

	recovers    = "recovers"
	begins      = "begins" // an enrolment
	finishes    = "finishes"
	proves      = "proves"  // the known address
	revokes     = "revokes" // all browsers
	revokesOne  = "revokesOne"
	regenerates = "regenerates"
	removes     = "removes" // a factor
	disables    = "disables"
	enables     = "enables"
	unlocks     = "unlocks"

	restarts  = "restarts"  // an administrator resets the user's 2FA
	approves  = "approves"  // a request for a reset
	cancels   = "cancels"   // a request for a reset
	withdraws = "withdraws" // a pass
	redeems   = "redeems"   // the handle of a link
	saves     = "saves"     // a policy
)

// deeds are all kinds of deed.
var deeds = []string{
	verifies, sends, starts, erases, moves, looks, recovers, begins, finishes, proves, revokes, revokesOne, regenerates, removes,
	disables, enables, unlocks, restarts, approves, cancels, withdraws, redeems, saves,
}

func (a *actor) named(what string) string {
	return fmt.Sprintf("%d%c %s", a.index+1, 'a'+len(a.calls), what)
}

// untilHeard repeats a call up to three times, for as long as the caller has learnt nothing.
func untilHeard(make func() *call) *call {
	for range 3 {
		if c := make(); !c.silent() {
			return c
		}
	}
	return make()
}

// withKey adds an Idempotency-Key to a call, unless the key is empty.
func withKey(by mfa.Call, key, path string) mfa.Call {
	if key != "" {
		by.Replay = replayed(key, path)
	}
	return by
}

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
	if key != "" { // the client makes the call, because a refusal is not remembered for the token of a challenge
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

// verifyFresh answers with the code that c sent, if it sent one. This code must be right.
func (a *actor) verifyFresh(o opened, c *call) {
	if c.sent.IsZero() {
		return
	}
	o.code, o.until = c.sent, c.answer.(mfa.SendAnswer).Sent.Expires
	a.verify(o, o.code, false, "")
}

// show answers a challenge with the app's code of a step, or with a wrong code if step is nil.
func (a *actor) show(o opened, x *userApp, step *int, trust bool) *call {
	q := mfa.VerifyRequest{Challenge: o.id, Factor: x.id, Answer: mfa.Answer{Code: x.wrong()}}
	d := deed{kind: verifies, user: o.user, challenge: o.id, factor: x.id, until: o.until, before: a.props.before[o.id], trusts: trust, known: o.known, learns: o.learns}
	what := "wrong code of the app"
	if step != nil {
		q.Code = x.code(*step)
		d.right, d.step = !o.answered, x.stepOf(*step)
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

// send sends another code for a challenge.
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

// startWith signs in with a trust token, which the call from was given or, if from is nil, was given before the calls.
func (a *actor) startWith(user string, token seal.Secret, from *call) *call {
	d := deed{kind: starts, user: user, before: from == nil, from: from}
	q := trusting(token, signingIn(user))
	return a.do(a.named("start in a trusted browser"), d, func(ctx context.Context, s *mfa.Service) (any, error) {
		return s.StartChallenge(ctx, a.props.Client, q)
	})
}

// useTrust signs in with the trust token that c was given, if it was given one.
func (a *actor) useTrust(c *call) {
	if answer, ok := c.answer.(mfa.VerifyAnswer); ok && !c.dead && c.err == nil && answer.TrustToken != nil {
		a.startWith(c.user, *answer.TrustToken, c)
	}
}

// recover answers a challenge with a recovery code, which is wrong only if it is noCode. from is the call that was shown the
// code, or nil if it was shown before the calls.
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

// begin begins an enrolment, which ends any other enrolment of the user that isn't finished.
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

// finishMailed finishes the enrolment that c began, if it did, with the code that c sent.
func (a *actor) finishMailed(c *call, en underWay) *call {
	answer, ok := c.answer.(mfa.EnrolAnswer)
	if c.dead || c.err != nil || !ok {
		return nil
	}
	en.id, en.until = answer.ID, answer.Sent.Expires
	return a.finish(en, c.sent, true, "")
}

// prove answers an enrolment's challenge with the code that was sent to the known address.
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

// regenerateAfter makes new recovery codes with a proof that the call from was given.
func (a *actor) regenerateAfter(from *call, user string, by mfa.Call) *call {
	return a.do(a.named("new recovery codes"), deed{kind: regenerates, closes: true, user: user, from: from}, func(ctx context.Context, s *mfa.Service) (any, error) {
		return s.NewRecoveryCodes(ctx, by, "acme", user)
	})
}

func (a *actor) remove(x *userApp, by mfa.Call) *call {
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
		a.remove(&userApp{user: user, id: u.Factors[len(u.Factors)-1].ID}, by)
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
