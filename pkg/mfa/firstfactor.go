package mfa

import (
	"net/netip"
	"slices"
	"time"
	"unicode/utf8"
)

// A FirstFactor is how the user signed in before Countersign was asked, on the client's word.
type FirstFactor struct {
	Kind string     `json:"kind" record:"1"`          // password, sso or other; empty means password
	At   *time.Time `json:"at,omitempty" record:"2"`  // when the user did that; nil if it is not known
	IdP  *string    `json:"idp,omitempty" record:"3"` // the identity provider, as the client names it
	AMR  []string   `json:"amr,omitempty" record:"4"` // how the identity provider checked the user (RFC 8176)
	ACR  *string    `json:"acr,omitempty" record:"5"` // the acr that the identity provider has given (OpenID Connect Core 1.0, section 2)
}

// said reports whether the client has said anything but that there was a password.
func (f *FirstFactor) said() bool {
	return f.Kind != "" && f.Kind != "password" || f.At != nil || f.IdP != nil || f.AMR != nil || f.ACR != nil
}

func (f *FirstFactor) check() error {
	switch f.Kind {
	case "":
		f.Kind = "password"
	case "password", "sso", "other":
	default:
		return invalid("first_factor.kind", "The kind must be one of password, sso and other.")
	}
	if len(f.AMR) > 16 {
		return invalid("first_factor.amr", "The list can have at most 16 values.")
	}
	for _, v := range f.AMR {
		if err := checkText("first_factor.amr", v, 64); err != nil {
			return err
		}
	}
	for param, v := range map[string]*string{"first_factor.idp": f.IdP, "first_factor.acr": f.ACR} {
		if v == nil {
			continue
		}
		if err := checkText(param, *v, 256); err != nil {
			return err
		}
	}
	return nil
}

// sparedBy reports whether the policy lets in a user who has signed in like this without asking for a second factor. With
// proven, the identity provider must have said that it asked for one itself, by a value of amr or acr that the policy names,
// and not longer ago than the policy allows.
func (f *FirstFactor) sparedBy(p *Policy, now time.Time) bool {
	switch {
	case f.Kind != "sso":
		return false
	case p.SSO == Bypass:
		return true
	case p.SSO != Proven || f.At == nil:
		return false
	}
	if age := now.Sub(*f.At); age > time.Duration(p.SSOMaxAgeS)*time.Second || age < -clockSkew {
		return false
	}
	return f.ACR != nil && slices.Contains(p.SSOACR, *f.ACR) ||
		slices.ContainsFunc(f.AMR, func(method string) bool { return slices.Contains(p.SSOAMR, method) })
}

// highRisk is what the client says of a sign-in that looks as if it might not be the user's. Under a policy whose risk.high is
// ask, the user is asked although the browser is trusted.
const highRisk = "high"

// A Context says where the user is signing in from, on the client's word. The activity keeps it. Only Risk decides anything.
type Context struct {
	IP        string `json:"ip"`
	UserAgent string `json:"user_agent"`
	Risk      string `json:"risk"` // low or high; empty if the client doesn't judge it
}

func (c *Context) check() error {
	if c.Risk != "" && c.Risk != "low" && c.Risk != highRisk {
		return invalid("context.risk", "The risk must be low or high.")
	}
	if c.IP != "" {
		if addr, err := netip.ParseAddr(c.IP); err != nil || addr.Zone() != "" {
			return invalid("context.ip", "The value must be an IPv4 or IPv6 address without a zone.")
		}
	}
	if !utf8.ValidString(c.UserAgent) || len(c.UserAgent) > 2048 {
		return invalid("context.user_agent", "The value can have at most 2048 bytes of UTF-8.")
	}
	return nil
}
