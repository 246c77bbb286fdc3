package mfa

import (
	"context"
	"slices"

	"countersign/pkg/apikey"
)

// What a client can report about a user.
const (
	PasswordChanged = "password_changed"
	EmailChanged    = "email_changed"
	PhoneChanged    = "phone_changed"
	SignedOut       = "signed_out" // everywhere, not only from one session
	Deprovisioned   = "deprovisioned"
)

// A Reported says what a report has ended.
type Reported struct {
	Kind            string `json:"kind"`
	TrustedBrowsers int    `json:"trusted_browsers"` // how many browsers are not trusted any more
	Challenges      bool   `json:"challenges"`       // always true: what was open can't be answered any more
}

// Report takes a client's word that something happened to a user, such as a new password. Whatever it is, it ends all trust,
// and every open challenge, enrolment and proof. After Deprovisioned every start is Forbidden until the client puts the user
// again.
func (s *Service) Report(ctx context.Context, call Call, org, user, kind string) (Reported, error) {
	if !slices.Contains([]string{PasswordChanged, EmailChanged, PhoneChanged, SignedOut, Deprovisioned}, kind) {
		return Reported{}, invalid("kind", "The kind must be one of password_changed, email_changed, phone_changed, signed_out and deprovisioned.")
	}
	return changeBy(ctx, s, call, apikey.Manage, noPortal, org, user, func(u *unit, a *account, p *orgPolicy) (Reported, error) {
		u.event(a.event(UserReported, p, map[string]any{"kind": kind}))
		ended := u.endAll(a, p, kind)
		a.guard.Deprovisioned = a.guard.Deprovisioned || kind == Deprovisioned
		u.putGuard(a, p)
		return Reported{Kind: kind, TrustedBrowsers: ended, Challenges: true}, nil
	})
}
