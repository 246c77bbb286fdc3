package mfa_test

import (
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

// With sso: proven, the identity provider's evidence replaces the second factor only if it is strong enough and recent.
func TestSSOSparesTheQuestionIfItIsProven(t *testing.T) {
	now := func(age time.Duration) func(time.Time) *time.Time {
		return func(now time.Time) *time.Time { at := now.Add(-age); return &at }
	}
	acr := func(text string) *string { return &text }
	for name, c := range map[string]struct {
		first mfa.FirstFactor
		at    func(time.Time) *time.Time
		want  bool
	}{
		"an amr of the policy":                    {mfa.FirstFactor{AMR: []string{"pwd", "mfa"}}, now(time.Minute), true},
		"an amr that the policy doesn't name":     {mfa.FirstFactor{AMR: []string{"pwd", "MFA", "mfa "}}, now(time.Minute), false},
		"no amr":                                  {mfa.FirstFactor{}, now(time.Minute), false},
		"an acr of the policy":                    {mfa.FirstFactor{ACR: acr("urn:acme:strong")}, now(time.Minute), true},
		"an acr that the policy doesn't name":     {mfa.FirstFactor{ACR: acr("urn:acme:weak")}, now(time.Minute), false},
		"a word of the amr as the acr":            {mfa.FirstFactor{ACR: acr("mfa")}, now(time.Minute), false},
		"a word of the acr as the amr":            {mfa.FirstFactor{AMR: []string{"urn:acme:strong"}}, now(time.Minute), false},
		"just young enough":                       {mfa.FirstFactor{AMR: []string{"mfa"}}, now(time.Hour), true},
		"a second too old":                        {mfa.FirstFactor{AMR: []string{"mfa"}}, now(time.Hour + time.Second), false},
		"in the future, as far as clocks differ":  {mfa.FirstFactor{AMR: []string{"mfa"}}, now(-time.Minute), true},
		"further in the future":                   {mfa.FirstFactor{AMR: []string{"mfa"}}, now(-time.Minute - time.Second), false},
		"at a time that nobody says":              {mfa.FirstFactor{AMR: []string{"mfa"}}, func(time.Time) *time.Time { return nil }, false},
		"another kind of first factor":            {mfa.FirstFactor{Kind: "other", AMR: []string{"mfa"}}, now(time.Minute), false},
		"a password, with words of a provider":    {mfa.FirstFactor{Kind: "password", AMR: []string{"mfa"}, ACR: acr("urn:acme:strong")}, now(time.Minute), false},
		"a kind that wasn't given, so a password": {mfa.FirstFactor{Kind: "", AMR: []string{"mfa"}}, now(time.Minute), false},
	} {
		t.Run(name, func(t *testing.T) {
			w := mfatest.New(t)
			enrolApp(t, w, w.Fresh())
			w.SetPolicy(t, org, "default", func(p *mfa.Policy) {
				p.SSO, p.SSOACR, p.SSOMaxAgeS = mfa.Proven, []string{"urn:acme:strong"}, 3600
			})
			q := ana()
			q.FirstFactor = c.first
			if q.FirstFactor.Kind == "" && name != "a kind that wasn't given, so a password" {
				q.FirstFactor.Kind = "sso"
			}
			q.FirstFactor.At = c.at(w.Clock.Now())
			want := mfa.Challenge
			if c.want {
				want = mfa.Allow
			}
			if got, err := w.Decide(t.Context(), w.Client, q); err != nil || got.Decision != want {
				t.Errorf("a decision: got %+v, %v, want %s", got, err, want)
			}
			if got, err := w.StartChallenge(t.Context(), w.Client, q); err != nil || got.Decision.Decision != want {
				t.Errorf("a start: got %+v, %v, want %s", got.Decision, err, want)
			}
			q.Purpose = mfa.StepUp
			if got, err := w.StartChallenge(t.Context(), w.Client, q); err != nil || got.Decision.Decision != mfa.Challenge {
				t.Errorf("a step-up: got %+v, %v, want %s", got.Decision, err, mfa.Challenge)
			}
		})
	}
}
