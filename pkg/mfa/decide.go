package mfa

import (
	"context"
	"slices"
	"time"

	"countersign/pkg/apikey"
)

// The decisions: the user is let in, has to answer a challenge, or has to enrol a factor.
const (
	Allow     = "allow"
	Challenge = "challenge"
	Enrol     = "enrol"
)

// The reasons for a decision.
const (
	NotRequired    = "not_required"    // no policy, administrator or user asks for a second factor
	BrowserTrust   = "trusted_browser" // the browser is trusted
	SSO            = "sso"             // the user came by SSO, and the policy lets such users in
	Grace          = "grace"           // the user has to set a factor up, and may still skip that
	EnabledByUser  = "enabled"         // the user has turned 2FA on
	Required       = "required"        // the policy or an administrator requires it
	NewBrowser     = "new_browser"     // the browser is not trusted
	TrustExpired   = "trust_expired"   // the time of trust in the browser is over
	StepUpDemanded = "step_up"         // the client asks for a step-up
	Risky          = "risk"            // the browser is trusted, and the client says that the risk is high
	AfterReset     = "reset"           // the user has asked for a reset, which was carried out
)

// A Decision says whether the user is asked for a second factor, and why.
type Decision struct {
	Decision      string `json:"decision"`
	Reason        string `json:"reason"`
	PolicyVersion int    `json:"policy_version"`
}

// A verdict is a decision with what it is based on.
type verdict struct {
	Decision
	trust        trustVerdict
	browser      *browser
	knownBrowser bool     // the user has answered rightly in this browser before
	factors      []factor // the factors that the user can be asked for
	kinds        []Kind   // the kinds that the user can enrol; set if the decision is Enrol, or the reason is Grace
}

// decide is the heart of a sign-in. It looks at what the store holds and what the client says, and changes nothing.
func (u *unit) decide(q *StartRequest, a *account, p *orgPolicy) (verdict, error) {
	v := verdict{Decision: Decision{Decision: Challenge, PolicyVersion: p.Version}}
	if a.guard.Deprovisioned {
		return v, refuse(Forbidden, "This user was deprovisioned. PUT the user again first.")
	}
	v.factors = a.factors(&p.Policy)
	var err error
	if v.knownBrowser, err = u.knowsBrowser(a.guard, q.KnownToken); err != nil {
		return v, err
	}
	if q.Purpose == StepUp {
		v.Reason = StepUpDemanded
		return v, v.askable(q, a, p)
	}
	required := a.guard.required(&p.Policy)
	enabled := a.guard.Enabled && len(v.factors) > 0
	proves := a.guard.ProveAddress != "" // whatever the policy requires
	if !required && !enabled && !proves {
		v.Decision.Decision, v.Reason = Allow, NotRequired
		return v, nil
	}
	if q.FirstFactor.sparedBy(&p.Policy, u.now) {
		v.Decision.Decision, v.Reason = Allow, SSO
		return v, nil
	}
	if len(v.factors) == 0 && proves {
		v.Reason = AfterReset
		return v, v.askable(q, a, p)
	}
	if len(v.factors) == 0 {
		if f := a.guard.facts(); p.demand().mayStillSkip(&f, u.now) {
			v.Decision.Decision, v.Reason, v.kinds = Allow, Grace, a.enrollable(&p.Policy)
			return v, nil
		}
		v.Reason = Required
		return v, v.askable(q, a, p)
	}
	if p.Trust.Days > 0 {
		if v.trust, v.browser, err = u.checkTrust(a, q.TrustToken, p); err != nil {
			return v, err
		}
		v.knownBrowser = v.knownBrowser && v.trust != trustStolen // a thief of the one token may have the other one too
	}
	trusted := v.trust == trustGood || v.trust == trustEarlier
	switch {
	case trusted && q.Context.Risk == highRisk && p.Risk.High == "ask":
		v.Reason = Risky
	case trusted:
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

// askable checks that a user who has to be asked has something to answer with. If not, it makes the decision Enrol, or
// refuses if the user can enrol nothing. A user who has a factor never passes a step-up by enrolling another one.
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

// preferred returns the factor to ask for first. It is none to which messages come back, unless they do to all of them.
func (v *verdict) preferred(q *StartRequest, g *guard, now time.Time) factor {
	factors := slices.DeleteFunc(slices.Clone(v.factors), func(f factor) bool { return g.comesBack(f.Contact, now) })
	if len(factors) == 0 {
		factors = v.factors
	}
	if q.Method != nil {
		for _, f := range factors {
			if f.Kind == *q.Method {
				return f
			}
		}
	}
	return factors[0]
}

// Decide returns the decision that StartChallenge would make on the same request. It changes nothing.
func (s *Service) Decide(ctx context.Context, call Call, q StartRequest) (Decision, error) {
	if err := q.check(); err != nil {
		return Decision{}, err
	}
	call.Replay = nil // a call that changes nothing can be repeated
	r := routeOf(q.Org, q.User.ID)
	var a *account
	var p *orgPolicy
	return run(ctx, s, call, step[Decision]{
		scope: apikey.SignIn, org: q.Org, looks: true,
		reads:  []read{s.readAccount(r, &a), readPolicy(r, q.Org, &p)},
		admits: func(c *caller) error { return c.mayReturn(q.ReturnURL) },
		decide: func(u *unit) (Decision, error) {
			u.applyProfile(a, p, q.Org, q.User)
			v, err := u.decide(&q, a, p)
			if err == nil && v.Decision.Decision == Challenge {
				err = v.leaveUnlocked(&q, a.guard, p, u.now)
			}
			return v.Decision, err
		},
	})
}

// leaveUnlocked leaves only the factors whose answers would be checked now. It returns Locked if none is left and a recovery
// code would not be checked either.
func (v *verdict) leaveUnlocked(q *StartRequest, g *guard, p *orgPolicy, now time.Time) error {
	until, locked := g.WrongCodes.locked(v.knownBrowser, now)
	if !locked {
		return nil
	}
	v.dropGuessable()
	if len(v.factors) > 0 || g.recoverable(p, v.knownBrowser, now) && (q.Purpose == SignIn || q.Method == nil) {
		return nil
	}
	return lockedUntil(until, now)
}

// dropGuessable leaves only the factors that can be asked for during a lock of codes.
func (v *verdict) dropGuessable() {
	v.factors = slices.DeleteFunc(v.factors, func(f factor) bool { return f.Kind.row().guessable })
}
