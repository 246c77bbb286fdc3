package mfa

import (
	"context"
	"encoding/json"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/seal"
)

// A StartRequest is what a client says when its user has given the first factor. Only Org and User.ID are required.
type StartRequest struct {
	Org         string      `json:"org"`
	User        Person      `json:"user"`
	FirstFactor FirstFactor `json:"first_factor"`
	Purpose     string      `json:"purpose"` // sign_in or step_up; empty means sign_in
	Action      *Action     `json:"action"`  // what a step-up confirms
	Nonce       *string     `json:"nonce"`   // the token says it again
	Method      *Kind       `json:"method"`  // the kind to ask for first at a sign-in, and the only kind at a step-up
	TrustToken  seal.Secret `json:"trust_token"`
	KnownToken  seal.Secret `json:"known_token"` // from the last verify in the same browser
	Context     Context     `json:"context"`
	ReturnURL   *string     `json:"return_url"`
}

func (q *StartRequest) check() error {
	if err := checkID("org", q.Org); err != nil {
		return err
	}
	if err := checkID("user.id", q.User.ID); err != nil {
		return err
	}
	q.User = q.User.withoutNulls()
	switch q.Purpose {
	case "":
		q.Purpose = SignIn
	case SignIn, StepUp:
	default:
		return invalid("purpose", "The purpose must be sign_in or step_up.")
	}
	if q.Method != nil && !q.Method.exists() {
		return invalid("method", "The method must be %s.", namesOfKinds())
	}
	if err := q.Action.check(q.Purpose); err != nil {
		return err
	}
	if q.Nonce != nil {
		if err := checkText("nonce", *q.Nonce, 256); err != nil {
			return err
		}
	}
	if err := q.FirstFactor.check(); err != nil {
		return err
	}
	return q.Context.check()
}

// The purposes of a challenge.
const (
	SignIn = "sign_in"
	StepUp = "step_up"
)

// A StartAnswer is a decision that was carried out. It has the token if the decision is allow, the challenge if it is
// challenge, and what enrolling needs if it is enrol.
type StartAnswer struct {
	Decision
	ID         string             `json:"id,omitempty"` // of the challenge that the enrolment will answer
	IssuedAt   *time.Time         `json:"issued_at,omitempty"`
	Token      *seal.Secret       `json:"token,omitempty"`
	TrustToken *seal.Secret       `json:"trust_token,omitempty"` // the browser's next token, if tokens rotate
	Challenge  *ChallengeToAnswer `json:"challenge,omitempty"`
	Enrolment  *EnrolmentToDo     `json:"enrolment,omitempty"`
	Offer      *EnrolmentOffer    `json:"offer,omitempty"` // for a user who isn't asked and has no factor
}

// WithoutShownOnce returns the answer as it is repeated once what is shown only once may not be repeated any more.
func (a StartAnswer) WithoutShownOnce() any {
	a.TrustToken = nil
	if a.Challenge != nil {
		c := *a.Challenge
		c.Token, c.URL = nil, nil
		a.Challenge = &c
	}
	a.Enrolment = a.Enrolment.withoutToken()
	return a
}

// A ChallengeToAnswer is a challenge as the client and its pages get it.
type ChallengeToAnswer struct {
	ID          string          `json:"id"`
	Token       *seal.Secret    `json:"token,omitempty"` // a bearer that is good for this challenge only
	URL         *seal.Secret    `json:"url"`             // of the hosted page, with a one-time handle; null to the holder of the token
	Expires     time.Time       `json:"expires"`
	Methods     []Method        `json:"methods"`            // the strongest first
	Default     *string         `json:"default"`            // the id of a factor; null if only a recovery code would be checked
	Sent        *Sent           `json:"sent"`               // the code for the default, if one was sent
	WebAuthn    json.RawMessage `json:"webauthn,omitempty"` // the request options for the default, if it is a security key or a passkey
	SendError   ErrorCode       `json:"send_error,omitempty"`
	RetryAfterS int             `json:"retry_after_s,omitempty"`
	Recovery    bool            `json:"recovery"`
	Trust       *TrustOffer     `json:"trust"`
	Action      *string         `json:"action"`       // the name of what a step-up confirms
	ActionLines []string        `json:"action_lines"` // what the user confirms, to be shown where the user answers; never nil
}

// A Method is a factor that the challenge can be answered with.
type Method struct {
	Factor string `json:"factor"`
	Kind   Kind   `json:"kind"`
	Label  string `json:"label"`
	Hint   string `json:"hint"`

	Restricted bool `json:"restricted"` // factors of this kind are restricted (NIST SP 800-63B-4 section 3.2.9)
}

// A TrustOffer says that the browser may be trusted, and for how long.
type TrustOffer struct {
	Days int `json:"days"`
}

// StartChallenge decides whether the user is asked for a second factor. If so, it begins a challenge and sends its code.
//
// It returns NothingToSend or MethodForbidden if the user must be asked and there is nothing to ask for, Locked if nothing
// that the user could answer would be checked, and Forbidden for a user who was deprovisioned. A code that can't be sent is
// not an error: SendError in the answer says why.
func (s *Service) StartChallenge(ctx context.Context, call Call, q StartRequest) (StartAnswer, error) {
	if err := q.check(); err != nil {
		return StartAnswer{}, err
	}
	if _, portal := call.byPortal(); portal {
		if err := q.checkInPortal(); err != nil {
			return StartAnswer{}, err
		}
	}
	r := routeOf(q.Org, q.User.ID)
	var a *account
	var p *orgPolicy
	return run(ctx, s, call, step[StartAnswer]{
		scope: apikey.SignIn, portal: byPerson, org: q.Org, about: r, unsent: StartAnswer.unsent,
		reads:  []read{s.readAccount(r, &a), readPolicy(r, q.Org, &p)},
		admits: func(c *caller) error { return c.mayReturn(q.ReturnURL) },
		decide: func(u *unit) (StartAnswer, error) {
			session := u.caller.session
			if session != nil {
				q.FirstFactor.At = session.Reauthenticated
			}
			applied := u.applyProfile(a, p, q.Org, q.User)
			v, err := u.decide(&q, a, p)
			if err == nil && session != nil {
				err = u.stepUpInPortal(call, &v)
			}
			if err == nil && v.Decision.Decision == Challenge {
				err = v.leaveUnlocked(&q, a.guard, p, u.now)
			}
			if err != nil {
				applied.undo(u, a)
			}
			if v.trust == trustStolen { // the theft is recorded even if the start is refused
				applied.changed = true
				u.theft(a, v.browser, p)
			}
			answer := StartAnswer{Decision: v.Decision}
			switch {
			case err != nil:
			case v.Decision.Decision == Allow:
				if err = u.allow(&answer, &q, a, p, &v); v.Reason == Grace && err == nil {
					answer.Enrolment = u.skip(&q, a, p, &v)
					applied.changed = applied.changed || p.MaxSkips != nil
				}
			case v.Decision.Decision == Enrol:
				ch := u.newChallenge(&q, a, p, &v)
				answer.ID, answer.Enrolment = ch.ID, u.letEnrol(ch, v.kinds)
				u.put(ch.Item, ch, ch.Expires.Add(shownFor))
			default:
				u.challenge(&answer, &q, a, p, &v)
				applied.changed = applied.changed || u.out != nil
			}
			if applied.relist {
				u.putRosterEntry(a)
			}
			if applied.changed {
				u.putGuard(a, p)
			}
			if session != nil && err == nil {
				session.StepUps++
				u.put(session.Item, session, session.Ends)
			}
			return answer, err
		},
	})
}

// skip lets a user in who may still skip setting a factor up, and spends a skip if the policy counts them. It returns what the
// user needs to set one up all the same; nil if there is nothing that the user could enrol. It may change the guard.
func (u *unit) skip(q *StartRequest, a *account, p *orgPolicy, v *verdict) *EnrolmentToDo {
	d := p.demand()
	if d.MaxSkips != nil {
		a.guard.Skips++
	}
	if len(v.kinds) == 0 {
		return nil
	}
	ch := u.newChallenge(q, a, p, v)
	toDo := u.letEnrol(ch, v.kinds)
	toDo.Skippable = a.skippable(d)
	u.put(ch.Item, ch, ch.Expires.Add(shownFor))
	return toDo
}

// unsent returns the answer that doesn't say that the code was sent, but gives the reason.
func (a StartAnswer) unsent(why *Error) StartAnswer {
	c := *a.Challenge
	c.Sent, c.SendError, c.RetryAfterS = nil, why.Code, seconds(why.RetryAfter)
	a.Challenge = &c
	return a
}

// allow completes the answer to a user who isn't asked, and rotates the token of a trusted browser.
func (u *unit) allow(answer *StartAnswer, q *StartRequest, a *account, p *orgPolicy, v *verdict) error {
	c := claims{
		Audience: u.caller.key.Client, Org: q.Org, User: q.User.ID, ID: seal.ID("dc_", nil),
		Purpose: SignIn, Action: q.Action.named(), Nonce: q.Nonce, Decision: Allow, Reason: v.Reason,
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
	at := u.issuedAt(a, p)
	answer.Token, answer.IssuedAt = &token, &at
	if kinds := a.enrollable(&p.Policy); v.Reason == NotRequired && len(v.factors) == 0 && len(kinds) > 0 && len(a.guard.Factors) == 0 {
		answer.Offer = &EnrolmentOffer{Kinds: kinds}
	}
	return nil
}

// challenge begins a challenge that is answered with a factor, and plans to send its code.
func (u *unit) challenge(answer *StartAnswer, q *StartRequest, a *account, p *orgPolicy, v *verdict) {
	ch := u.newChallenge(q, a, p, v)
	bearer := u.newToken(seal.ChallengeToken, ch.ID)
	ch.Bearer = seal.HashBearer(bearer.Reveal())
	view := &challengeView{a: a, p: p, ch: ch}
	shown := view.shown(u, v.factors)
	shown.Token, shown.URL = &bearer, u.linkTo(ch, u.newHandle(ch.ID), bearer)
	answer.Challenge = shown
	if len(v.factors) > 0 {
		f := v.preferred(q, a.guard, u.now)
		ch.Default, shown.Default = f.ID, &f.ID
		question := view.question(u, f)
		question.unasked = true
		asked, err := f.Kind.row().ask(question)
		switch {
		case err != nil:
			refused := AsError(err)
			shown.SendError, shown.RetryAfterS = refused.Code, seconds(refused.RetryAfter)
		case asked != nil:
			shown.Sent, shown.WebAuthn = asked.Sent, asked.WebAuthn
		}
	}
	u.put(ch.Item, ch, ch.Expires.Add(shownFor))
}

// shown returns the challenge as the client and its pages get it, with those factors to choose from.
func (v *challengeView) shown(u *unit, factors []factor) *ChallengeToAnswer {
	ch := v.ch
	shown := &ChallengeToAnswer{
		ID: ch.ID, Expires: ch.Expires, Methods: []Method{}, Action: ch.Action, ActionLines: orNone(ch.ActionLines),
		Recovery: ch.OnlyKind == "" && v.a.guard.recoverable(v.p, ch.KnownBrowser, u.now),
	}
	for _, f := range factors {
		shown.Methods = append(shown.Methods, Method{Factor: f.ID, Kind: f.Kind, Label: f.Label, Hint: f.hint(), Restricted: f.Kind.row().restricted})
	}
	if ch.Purpose == SignIn && v.p.Trust.Days > 0 {
		shown.Trust = &TrustOffer{Days: v.p.Trust.Days}
	}
	return shown
}

// seconds rounds a wait up to whole seconds.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
