package mfa

import (
	"net/netip"
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

// A Context says where the user is signing in from, on the client's word. The activity keeps it, and it decides nothing.
type Context struct {
	IP        string `json:"ip"`
	UserAgent string `json:"user_agent"`
}

func (c *Context) check() error {
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
