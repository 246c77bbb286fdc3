package mfa_test

import (
	"strings"
	"testing"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

// When several reasons apply to a sign-in, a decision and a start both give the first one in the order of the API contract.
func TestOfSeveralReasonsTheFirstIsSaid(t *testing.T) {
	password, sso := mfa.FirstFactor{Kind: "password"}, mfa.FirstFactor{Kind: "sso"}
	type setting = func(*mfa.Policy)
	required := func(p *mfa.Policy) { p.Require = mfa.Everyone }
	ssoAsked := func(p *mfa.Policy) { p.SSO = "ask" }
	ssoProven := func(p *mfa.Policy) { p.SSO = mfa.Proven }
	riskIgnored := func(p *mfa.Policy) { p.Risk.High = "ignore" }
	noTrust := func(p *mfa.Policy) { p.Trust.Days = 0 }
	noApps := func(p *mfa.Policy) { p.Methods.TOTP = mfa.NotAllowed }
	for name, c := range map[string]struct {
		app, off, trusted bool // the user has an app; has turned 2FA off; comes with a valid trust token
		policy            []setting
		first             mfa.FirstFactor
		purpose, risk     string
		decision, reason  string
		offer             bool
	}{
		"nobody is asked":                                 {first: password, decision: mfa.Allow, reason: mfa.NotRequired, offer: true},
		"nobody is asked, and it is SSO":                  {first: sso, decision: mfa.Allow, reason: mfa.NotRequired, offer: true},
		"2FA is on, and it is SSO":                        {app: true, first: sso, decision: mfa.Allow, reason: mfa.SSO},
		"2FA is on, SSO in a trusted browser":             {app: true, trusted: true, first: sso, decision: mfa.Allow, reason: mfa.SSO},
		"2FA is on, SSO that is asked, a trusted browser": {app: true, trusted: true, policy: []setting{ssoAsked}, first: sso, decision: mfa.Allow, reason: mfa.BrowserTrust},
		"2FA is on, SSO that has to be proven":            {app: true, trusted: true, policy: []setting{ssoProven, noTrust}, first: sso, decision: mfa.Challenge, reason: mfa.EnabledByUser},
		"a trusted browser, high risk":                    {app: true, trusted: true, first: password, risk: "high", decision: mfa.Challenge, reason: mfa.Risky},
		"a trusted browser, low risk":                     {app: true, trusted: true, first: password, risk: "low", decision: mfa.Allow, reason: mfa.BrowserTrust},
		"a trusted browser, high risk that is ignored":    {app: true, trusted: true, policy: []setting{riskIgnored}, first: password, risk: "high", decision: mfa.Allow, reason: mfa.BrowserTrust},
		"a new browser, high risk":                        {app: true, first: password, risk: "high", decision: mfa.Challenge, reason: mfa.NewBrowser},
		"SSO in a trusted browser, high risk":             {app: true, trusted: true, first: sso, risk: "high", decision: mfa.Allow, reason: mfa.SSO},
		"nobody is asked, high risk":                      {first: password, risk: "high", decision: mfa.Allow, reason: mfa.NotRequired, offer: true},
		"a step-up in a trusted browser, high risk":       {app: true, trusted: true, first: password, risk: "high", purpose: mfa.StepUp, decision: mfa.Challenge, reason: mfa.StepUpDemanded},
		"2FA was turned off":                              {app: true, off: true, first: password, decision: mfa.Allow, reason: mfa.NotRequired},
		"2FA was turned off, and it is SSO":               {app: true, off: true, first: sso, decision: mfa.Allow, reason: mfa.NotRequired},
		"2FA is on, the only factor forbidden":            {app: true, policy: []setting{noApps}, first: password, decision: mfa.Allow, reason: mfa.NotRequired},
		"2FA is on, the only factor forbidden, SSO":       {app: true, policy: []setting{noApps}, first: sso, decision: mfa.Allow, reason: mfa.NotRequired},
		"everyone must, no factor":                        {policy: []setting{required}, first: password, decision: mfa.Enrol, reason: mfa.Required},
		"everyone must, no factor, SSO":                   {policy: []setting{required}, first: sso, decision: mfa.Allow, reason: mfa.SSO},
		"everyone must, no factor, SSO that is asked":     {policy: []setting{required, ssoAsked}, first: sso, decision: mfa.Enrol, reason: mfa.Required},
		"everyone must, the only factor forbidden":        {app: true, policy: []setting{required, noApps}, first: password, decision: mfa.Enrol, reason: mfa.Required},
		"everyone must, 2FA was turned off before":        {app: true, off: true, policy: []setting{required}, first: password, decision: mfa.Challenge, reason: mfa.NewBrowser},
		"everyone must, a new browser":                    {app: true, policy: []setting{required}, first: password, decision: mfa.Challenge, reason: mfa.NewBrowser},
		"everyone must, no browser is ever trusted":       {app: true, policy: []setting{required, noTrust}, first: password, decision: mfa.Challenge, reason: mfa.Required},
		"2FA is on, a new browser":                        {app: true, first: password, decision: mfa.Challenge, reason: mfa.NewBrowser},
		"2FA is on, no browser is ever trusted":           {app: true, policy: []setting{noTrust}, first: password, decision: mfa.Challenge, reason: mfa.EnabledByUser},
		"a step-up by SSO in a trusted browser":           {app: true, trusted: true, first: sso, purpose: mfa.StepUp, decision: mfa.Challenge, reason: mfa.StepUpDemanded},
		"a step-up where 2FA was turned off":              {app: true, off: true, first: password, purpose: mfa.StepUp, decision: mfa.Challenge, reason: mfa.StepUpDemanded},
		"a step-up by SSO without a factor":               {first: sso, purpose: mfa.StepUp, decision: mfa.Enrol, reason: mfa.StepUpDemanded},
	} {
		t.Run(name, func(t *testing.T) {
			w := mfatest.New(t)
			w.SetPolicy(t, org, "default", nil)
			q := ana()
			if c.app {
				a, _ := enrolApp(t, w, w.Fresh())
				if c.trusted {
					q.TrustToken = trustedByApp(t, w, a)
				}
				if c.off {
					if _, err := w.SetEnabled(t.Context(), stepUp(t, w, a), org, user, false); err != nil {
						t.Fatal(err)
					}
				}
			}
			w.SetPolicy(t, org, "default", func(p *mfa.Policy) {
				for _, set := range c.policy {
					set(p)
				}
			})
			q.FirstFactor, q.Purpose, q.Context.Risk = c.first, c.purpose, c.risk
			decided, err := w.Decide(t.Context(), w.Client, q)
			if err != nil || decided.Decision != c.decision || decided.Reason != c.reason {
				t.Errorf("a decision: got %+v, %v, want %s, %s", decided, err, c.decision, c.reason)
			}
			answer, err := w.StartChallenge(t.Context(), w.Client, q)
			if err != nil || answer.Decision.Decision != c.decision || answer.Reason != c.reason {
				t.Errorf("a start: got %+v, %v, want %s, %s", answer.Decision, err, c.decision, c.reason)
			}
			if got := answer.Offer != nil; got != c.offer {
				t.Errorf("got the offer %+v, want one: %v", answer.Offer, c.offer)
			}
		})
	}
}

// For every challenge, the activity says from which address and browser it was begun, whatever answers it.
func TestAStartTellsWhereTheUserCameFrom(t *testing.T) {
	for name, c := range map[string]struct {
		policy  func(*mfa.Policy)
		purpose string
		reason  string
	}{
		"a sign-in":                       {func(p *mfa.Policy) { p.Methods.Email, p.Require = mfa.Implicit, mfa.Everyone }, mfa.SignIn, mfa.NewBrowser},
		"a step-up":                       {func(p *mfa.Policy) { p.Methods.Email = mfa.Implicit }, mfa.StepUp, mfa.StepUpDemanded},
		"a sign-in that has to be set up": {func(p *mfa.Policy) { p.Require = mfa.Everyone }, mfa.SignIn, mfa.Required},
		"a step-up that has to be set up": {nil, mfa.StepUp, mfa.StepUpDemanded},
	} {
		w := mfatest.New(t)
		w.SetPolicy(t, org, "default", c.policy)
		q := ana()
		q.Purpose, q.Context = c.purpose, mfa.Context{IP: "203.0.113.9", UserAgent: strings.Repeat("é", 200)}
		if _, err := w.StartChallenge(t.Context(), w.Client, q); err != nil {
			t.Fatal(err)
		}
		got := events(t, w, mfa.ChallengeStarted)
		if len(got) != 1 || got[0].Data["ip"] != q.Context.IP || got[0].Data["user_agent"] != strings.Repeat("é", 128) || got[0].Data["reason"] != c.reason {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}
