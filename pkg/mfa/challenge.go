package mfa

import (
	"context"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/seal"
)

// A StartAnswer is a decision carried out. For allow it holds the token; for challenge, the challenge; for enrol, how to.
type StartAnswer struct {
	Decision
	ID         string             `json:"id,omitempty"` // of the challenge that the enrolment will answer
	IssuedAt   *time.Time         `json:"issued_at,omitempty"`
	Token      *seal.Secret       `json:"token,omitempty"`
	TrustToken *seal.Secret       `json:"trust_token,omitempty"` // the successor, when trust rotated
	Challenge  *ChallengeToAnswer `json:"challenge,omitempty"`
	Enrolment  *EnrolmentToDo     `json:"enrolment,omitempty"`
	Offer      *EnrolmentOffer    `json:"offer,omitempty"` // to a user who isn't asked and has no factor
}

// WithoutShownOnce is the answer as it is repeated once what is shown once may no longer be.
func (a StartAnswer) WithoutShownOnce() any {
	a.TrustToken = nil
	if a.Challenge != nil {
		c := *a.Challenge
		c.Token = nil
		a.Challenge = &c
	}
	a.Enrolment = a.Enrolment.withoutToken()
	return a
}

// An EnrolmentToDo lets the user enrol a factor, and nothing else.
type EnrolmentToDo struct {
	Token   *seal.Secret `json:"token,omitempty"` // bearer for the calls under /v1/enrolments
	URL     *string      `json:"url"`             // hosted page; null: this version has none
	Expires time.Time    `json:"expires"`
	Kinds   []Kind       `json:"kinds"` // to choose from, strongest first
}

func (e *EnrolmentToDo) withoutToken() *EnrolmentToDo {
	if e == nil {
		return nil
	}
	shown := *e
	shown.Token = nil
	return &shown
}

// An EnrolmentOffer is what a user could enrol, who needn't.
type EnrolmentOffer struct {
	Kinds []Kind `json:"kinds"`
}

// A ChallengeToAnswer is a challenge as the client and its pages get it.
type ChallengeToAnswer struct {
	ID          string       `json:"id"`
	Token       *seal.Secret `json:"token,omitempty"` // bearer for this challenge only
	URL         *string      `json:"url"`             // hosted page; null: this version has none
	Expires     time.Time    `json:"expires"`
	Methods     []Method     `json:"methods"` // strongest first
	Default     *string      `json:"default"` // a factor id; null: only a recovery code would be looked at
	Sent        *Sent        `json:"sent"`    // the default's code, if it went out
	SendError   Code         `json:"send_error,omitempty"`
	RetryAfterS int          `json:"retry_after_s,omitempty"`
	Recovery    bool         `json:"recovery"`
	Trust       *TrustOffer  `json:"trust"`
}

// A Method is a factor that the challenge can be answered with.
type Method struct {
	Factor string `json:"factor"`
	Kind   Kind   `json:"kind"`
	Label  string `json:"label"`
	Hint   string `json:"hint"`
}

// A TrustOffer says that the browser may be trusted, and for how long.
type TrustOffer struct {
	Days int `json:"days"`
}

// StartChallenge decides whether the user is asked, and if so begins a challenge and sends its code.
//
// It answers NothingToSend or MethodForbidden where the user must be asked and there is nothing to ask with, and Locked
// where nothing that the user could answer would be looked at. A code that couldn't be sent is no error: SendError tells.
func (s *Service) StartChallenge(ctx context.Context, call Call, q StartRequest) (StartAnswer, error) {
	if err := q.check(); err != nil {
		return StartAnswer{}, err
	}
	r := routeOf(q.Org, q.User.ID)
	var a *account
	var p *orgPolicy
	return run(ctx, s, call, step[StartAnswer]{
		scope: apikey.SignIn, org: q.Org, unsent: StartAnswer.unsent,
		reads:  []read{s.readAccount(r, &a), readPolicy(r, q.Org, &p)},
		admits: func(c *caller) error { return c.mayReturn(q.ReturnURL) },
		decide: func(u *unit) (StartAnswer, error) {
			told := u.follow(a, p, q.Org, q.User)
			v, err := u.decide(&q, a, p)
			if err == nil && v.Decision.Decision == Challenge {
				err = v.openTo(&q, a.guard, p, u.now)
			}
			if err != nil {
				told.undo(u, a)
			}
			if v.trust == trustStolen { // which is recorded even where the start is refused
				told.changed = true
				u.theft(a, v.browser, p)
			}
			answer := StartAnswer{Decision: v.Decision}
			switch {
			case err != nil:
			case v.Decision.Decision == Allow:
				err = u.allow(&answer, &q, a, p, &v)
			case v.Decision.Decision == Enrol:
				ch := u.newChallenge(&q, a, p, &v)
				answer.ID, answer.Enrolment = ch.ID, u.letEnrol(&ch.challenge, v.kinds)
				u.put(ch.item, &ch.challenge, ch.Expires.Add(shownFor))
			default:
				u.challenge(&answer, &q, a, p, &v)
				told.changed = told.changed || u.out != nil
			}
			if told.relist {
				u.list(a)
			}
			if told.changed {
				u.putGuard(a, p)
			}
			return answer, err
		},
	})
}

// unsent is the answer where it isn't said that the code was sent, for that reason.
func (a StartAnswer) unsent(why Code) StartAnswer {
	c := *a.Challenge
	c.Sent, c.SendError = nil, why
	a.Challenge = &c
	return a
}

// allow completes the answer to a user who isn't asked, and moves a trusted line on.
func (u *unit) allow(answer *StartAnswer, q *StartRequest, a *account, p *orgPolicy, v *verdict) error {
	c := claims{
		Audience: u.caller.key.Client, Org: q.Org, User: q.User.ID, ID: seal.ID("dc_", nil),
		Purpose: SignIn, Action: q.Action, Nonce: q.Nonce, Decision: Allow, Reason: v.Reason,
		FirstFactor: q.FirstFactor, AuthTime: u.now, MFATime: a.guard.MFATime, PolicyVersion: p.Version,
	}
	if v.browser != nil {
		c.MFATime = v.browser.Created
		if err := u.rotate(answer, a.guard, v, p); err != nil {
			return err
		}
	}
	token, err := u.sign(c)
	if err != nil {
		return err
	}
	now := u.now
	answer.Token, answer.IssuedAt = &token, &now
	if kinds := a.enrollable(&p.Policy); v.Reason == NotRequired && len(v.factors) == 0 && len(kinds) > 0 && len(a.guard.Factors) == 0 {
		answer.Offer = &EnrolmentOffer{Kinds: kinds}
	}
	return nil
}

// rotate gives the browser its next token, where the policy has tokens rotate.
func (u *unit) rotate(answer *StartAnswer, g *guard, v *verdict, p *orgPolicy) error {
	b := v.browser
	if v.trust == trustGood {
		if !p.Trust.Rotate {
			return nil
		}
		b.Generation++
		b.Key = u.ring.Newest()
		b.LastUsed = u.now
		u.put(b.item, &b.browser, b.Ends.Add(expiredFor))
	}
	token, err := b.token(u.ring, g)
	if err != nil {
		return err
	}
	answer.TrustToken = &token
	return nil
}

// theft kills a line whose old token came back after its successor was used, and tells the user. It changes the guard.
func (u *unit) theft(a *account, h *held, p *orgPolicy) {
	u.delete(h.item)
	a.guard.endKnown()
	u.event(a.event(BrowserTheft, p, map[string]any{"browser": h.ID}).by(serviceActor))
}

// newChallenge begins one, and tells of it.
func (u *unit) newChallenge(q *StartRequest, a *account, p *orgPolicy, v *verdict) *heldChallenge {
	ch := &heldChallenge{challenge: challenge{
		ID: seal.ID("ch_", []byte(a.route)), Epoch: a.guard.Epoch, Life: a.guard.life(), Org: q.Org, User: q.User.ID,
		Client: u.caller.key.Client, Sender: u.caller.key.Name, Purpose: q.Purpose, Action: q.Action, Nonce: q.Nonce, Reason: v.Reason, PolicyVersion: p.Version,
		Known: v.known, FirstFactor: q.FirstFactor, Begun: u.now, Expires: u.now.Add(time.Duration(p.Challenge.WindowS) * time.Second),
	}}
	ch.item.Key = challengeKey(ch.ID)
	if q.Purpose == StepUp && q.Method != nil {
		ch.Only = *q.Method
	}
	u.event(ch.event(ChallengeStarted, map[string]any{"reason": v.Reason, "ip": q.Context.IP, "user_agent": cut(q.Context.UserAgent, 256)}))
	return ch
}

// challenge begins one to be answered with a factor, and plans the sending of its code.
func (u *unit) challenge(answer *StartAnswer, q *StartRequest, a *account, p *orgPolicy, v *verdict) {
	ch := u.newChallenge(q, a, p, v)
	bearer := u.newToken(seal.ChallengeToken, ch.ID)
	ch.Bearer = seal.HashBearer(bearer.Reveal())
	shown := &ChallengeToAnswer{
		ID: ch.ID, Token: &bearer, Expires: ch.Expires, Methods: []Method{}, Recovery: ch.Only == "" && a.guard.recoverable(p, v.known, u.now),
	}
	for _, f := range v.factors {
		shown.Methods = append(shown.Methods, Method{Factor: f.ID, Kind: f.Kind, Label: f.Label, Hint: f.hint()})
	}
	if q.Purpose == SignIn && p.Trust.Days > 0 {
		shown.Trust = &TrustOffer{Days: p.Trust.Days}
	}
	answer.Challenge = shown
	if len(v.factors) > 0 {
		f := v.preferred(q)
		ch.Default, shown.Default = f.ID, &f.ID
		view := &sight{a: a, p: p, ch: ch}
		asked, err := f.Kind.row().ask(view.ask(u, f))
		switch {
		case err != nil:
			refused := AsError(err)
			shown.SendError, shown.RetryAfterS = refused.Code, seconds(refused.RetryAfter)
		case asked != nil:
			shown.Sent = asked.Sent
		}
	}
	u.put(ch.item, &ch.challenge, ch.Expires.Add(shownFor))
}

func (ch *challenge) event(kind string, data map[string]any) carried {
	data["challenge"] = ch.ID
	return carried{
		Event: activity.Event{Type: kind, Org: ch.Org, User: ch.User, Actor: userActor(ch.User), PolicyVersion: ch.PolicyVersion, Data: data},
		Life:  ch.Life,
	}
}

// seconds rounds a wait up to whole seconds.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// cut shortens text to at most n bytes, at a rune's start.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && text[n]&0xC0 == 0x80 {
		n--
	}
	return text[:n]
}
