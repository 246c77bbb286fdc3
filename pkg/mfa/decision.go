package mfa

import (
	"context"
	"slices"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/seal"
	"countersign/pkg/store"
)

// A StartRequest is what a client says when its user has given the first factor. Only Org and User.ID are required.
type StartRequest struct {
	Org         string      `json:"org"`
	User        Person      `json:"user"`
	FirstFactor FirstFactor `json:"first_factor"`
	Purpose     string      `json:"purpose"` // sign_in (when empty) or step_up
	Action      *string     `json:"action"`  // what a step-up confirms
	Nonce       *string     `json:"nonce"`   // comes back in the token
	Method      *Kind       `json:"method"`  // a preference at sign-in, binding at step-up
	TrustToken  seal.Secret `json:"trust_token"`
	KnownToken  seal.Secret `json:"known_token"` // from an earlier verify in the same browser
	Context     Context     `json:"context"`
	ReturnURL   *string     `json:"return_url"`
}

// The purposes of a challenge.
const (
	SignIn = "sign_in"
	StepUp = "step_up"
)

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
	if q.Method != nil && !q.Method.known() {
		return invalid("method", "The method must be %s.", namesOfKinds())
	}
	for param, text := range map[string]*string{"action": q.Action, "nonce": q.Nonce} {
		if text == nil {
			continue
		}
		if err := checkText(param, *text, 256); err != nil {
			return err
		}
	}
	if err := q.FirstFactor.check(); err != nil {
		return err
	}
	return q.Context.check()
}

// What a decision comes to.
const (
	Allow     = "allow"
	Challenge = "challenge"
	Enrol     = "enrol"
)

// The reasons of a decision.
const (
	NotRequired    = "not_required"
	BrowserTrust   = "trusted_browser"
	SSO            = "sso"
	EnabledByUser  = "enabled"
	Required       = "required"
	NewBrowser     = "new_browser"
	TrustExpired   = "trust_expired"
	StepUpDemanded = "step_up"
)

// A Decision says whether the user is asked, and why.
type Decision struct {
	Decision      string `json:"decision"`
	Reason        string `json:"reason"`
	PolicyVersion int    `json:"policy_version"`
}

// verdict is a decision with what it rests on.
type verdict struct {
	Decision
	trust   trustVerdict
	browser *held
	known   bool     // the user has answered rightly in this browser before
	factors []factor // what the user can be asked for; set when asked
	kinds   []Kind   // what the user could enrol; set when that is the decision
}

// decide is the heart of a sign-in. It looks at what the store holds and what the client said, and changes nothing.
func (u *unit) decide(q *StartRequest, a *account, p *orgPolicy) (verdict, error) {
	v := verdict{Decision: Decision{Decision: Challenge, PolicyVersion: p.Version}}
	if a.guard.Deprovisioned {
		return v, refuse(Forbidden, "This user was deprovisioned. PUT the user again first.")
	}
	v.factors = a.factors(&p.Policy)
	var err error
	if v.known, err = u.knows(a.guard, q.KnownToken); err != nil {
		return v, err
	}
	if q.Purpose == StepUp {
		v.Reason = StepUpDemanded
		return v, v.askable(q, a, p)
	}
	required := a.guard.required(&p.Policy)
	enabled := a.guard.Enabled && len(v.factors) > 0
	if !required && !enabled {
		v.Decision.Decision, v.Reason = Allow, NotRequired
		return v, nil
	}
	if q.FirstFactor.Kind == "sso" && p.SSO == Bypass {
		v.Decision.Decision, v.Reason = Allow, SSO
		return v, nil
	}
	if len(v.factors) == 0 {
		v.Reason = Required
		return v, v.askable(q, a, p)
	}
	if p.Trust.Days > 0 {
		if v.trust, v.browser, err = u.judge(a, q.TrustToken, p); err != nil {
			return v, err
		}
		v.known = v.known && v.trust != trustStolen // whoever has a copy of the one may have a copy of the other
	}
	switch {
	case v.trust == trustGood || v.trust == trustEarlier:
		v.Decision.Decision, v.Reason = Allow, BrowserTrust
		return v, nil
	case v.trust == trustExpired:
		v.Reason = TrustExpired
	case p.Trust.Days > 0:
		v.Reason = NewBrowser
	case required:
		v.Reason = Required
	default:
		v.Reason = EnabledByUser
	}
	return v, v.askable(q, a, p)
}

// askable makes the decision enrol where the user would have to be asked and has nothing to answer with, and refuses
// where nothing can be enrolled. A user who has some factor never gets past a step-up by enrolling another.
func (v *verdict) askable(q *StartRequest, a *account, p *orgPolicy) error {
	if q.Purpose == StepUp && q.Method != nil && len(v.factors) > 0 {
		v.factors = slices.DeleteFunc(v.factors, func(f factor) bool { return f.Kind != *q.Method })
		if len(v.factors) == 0 {
			return refuse(MethodForbidden, "The user has no factor of the kind that this step-up needs.")
		}
	}
	if len(v.factors) > 0 {
		return nil
	}
	v.kinds = a.enrollable(&p.Policy)
	if q.Purpose == StepUp && q.Method != nil {
		v.kinds = slices.DeleteFunc(v.kinds, func(k Kind) bool { return k != *q.Method })
	}
	switch {
	case len(v.kinds) > 0:
		v.Decision.Decision = Enrol
		return nil
	case a.guard.Profile.Email == "" && p.Methods.Email != NotAllowed:
		return refuse(NothingToSend, "The user has no email address to send a code to.")
	}
	return refuse(MethodForbidden, "The user has no factor, and the policy allows none that the user could enrol.")
}

// preferred is the factor to ask for first.
func (v *verdict) preferred(q *StartRequest) factor {
	if q.Method != nil {
		for _, f := range v.factors {
			if f.Kind == *q.Method {
				return f
			}
		}
	}
	return v.factors[0]
}

// Decide says what StartChallenge would say to the same request, and has no effect at all.
func (s *Service) Decide(ctx context.Context, call Call, q StartRequest) (Decision, error) {
	if err := q.check(); err != nil {
		return Decision{}, err
	}
	call.Replay = nil // there is no work to do twice
	r := routeOf(q.Org, q.User.ID)
	var a *account
	var p *orgPolicy
	return run(ctx, s, call, step[Decision]{
		scope: apikey.SignIn, org: q.Org,
		reads:  []read{s.readAccount(r, &a), readPolicy(r, q.Org, &p)},
		admits: func(c *caller) error { return c.mayReturn(q.ReturnURL) },
		decide: func(u *unit) (Decision, error) {
			u.follow(a, p, q.Org, q.User)
			v, err := u.decide(&q, a, p)
			if err == nil && v.Decision.Decision == Challenge {
				err = v.openTo(&q, a.guard, p, u.now)
			}
			return v.Decision, err
		},
	})
}

// A following is what it takes to bring an account up to what a client says of the user.
type following struct {
	met     bool // the user is seen for the first time
	changed bool // the guard has to be put
	relist  bool // and the user's line in the roster
	before  guard
	events  int // of the commit, before those that this brings
}

// follow brings the account up to what the client says of the user, and makes it at the first sight of the user.
func (u *unit) follow(a *account, p *orgPolicy, org string, said Person) following {
	f := following{met: !a.known(), events: len(u.events)}
	if f.met {
		a.meet(org, said.ID)
		u.event(a.event(UserCreated, p, nil))
	}
	f.before = *a.guard
	bad := a.guard.Profile.follow(said)
	if cause := a.guard.Profile.moved(f.before.Profile); cause != "" {
		u.endAll(a, p, cause)
	}
	changed := a.guard.Profile.differs(f.before.Profile)
	if !f.met && len(changed) > 0 {
		e := u.event(a.event(UserUpdated, p, map[string]any{"changed": changed}))
		if a.guard.Profile.Email != f.before.Profile.Email {
			e.former = f.before.Profile
		}
	}
	for _, field := range bad {
		u.event(a.event(UserUpdated, p, map[string]any{"dropped": field}))
	}
	f.relist = f.met || (f.before.Profile.Email == "") != (a.guard.Profile.Email == "")
	f.changed = f.met || len(bad) > 0 || len(changed) > 0
	return f
}

// undo leaves the account as it was, because the call that said all this is refused: whoever may not change anything else
// changes no address either. A user who is seen for the first time stays, with what was said, so that an administrator
// finds whom to help. Between follow and undo nothing else may be planned.
func (f *following) undo(u *unit, a *account) {
	if f.met {
		return
	}
	*a.guard = f.before
	u.events = u.events[:f.events]
	f.changed, f.relist = false, false
}

// mayReturn refuses a return_url that isn't under one of the client's origins.
func (c *caller) mayReturn(url *string) error {
	if url == nil || c.key != nil && len(*url) <= 2048 && underOrigin(*url, c.key.Origins) {
		return nil
	}
	return invalid("return_url", "The return_url must be an absolute URL under one of the client's registered origins.")
}

// openTo leaves only the factors that would be looked at now. It answers Locked when there are none, and no recovery
// code would be looked at either.
func (v *verdict) openTo(q *StartRequest, g *guard, p *orgPolicy, now time.Time) error {
	until, locked := g.Guesses.locked(v.known, now)
	if !locked {
		return nil
	}
	v.factors = slices.DeleteFunc(v.factors, func(f factor) bool { return f.Kind.row().guessable })
	if len(v.factors) > 0 || g.recoverable(p, v.known, now) && (q.Purpose == SignIn || q.Method == nil) {
		return nil
	}
	return lockedUntil(until, now)
}

func lockedUntil(until, now time.Time) *Error {
	e := refuse(Locked, "There were too many wrong codes. No code is checked until the wait is over.")
	if until.Before(forever) {
		e.RetryAfter = until.Sub(now)
	}
	return e
}

// An orgPolicy is a policy as the store holds it, with what it and its forerunners did to trust.
type orgPolicy struct {
	item store.Item
	policyRecord
}
