package mfa

import (
	"time"

	"countersign/pkg/seal"
)

// tokenLife is how long a result token is valid. That is short, because the client checks it at once.
const tokenLife = 120 * time.Second

// claims are what a result token says, before they are put into the terms of JWT.
type claims struct {
	Audience, Org, User, ID   string
	Purpose, Decision, Reason string
	Action, Nonce             *string
	ActionLines               []string
	Verified                  bool     // the user has answered a challenge
	Kind                      Kind     // of the factor that was given, if Verified; empty for a recovery code
	AMR                       []string // what the answer adds to the amr
	Recovered                 bool     // the answer was a recovery code, an enrolment that it led to, or a pass
	ByPass                    bool     // the answer was a pass
	Answered                  time.Time
	Epoch                     string
	FirstFactor               FirstFactor
	AuthTime, MFATime         time.Time // of the first factor, if the client didn't say it; of the last second factor
	PolicyVersion             int
}

// tokenClaims is the payload of the JWT (RFC 7519; amr as in RFC 8176).
type tokenClaims struct {
	Issuer        string   `json:"iss"`
	Audience      string   `json:"aud"`
	Subject       string   `json:"sub"`
	Org           string   `json:"org"`
	Verified      bool     `json:"verified"`
	IssuedAt      int64    `json:"iat"`
	Expires       int64    `json:"exp"`
	ID            string   `json:"jti"`
	Nonce         *string  `json:"nonce"`
	Purpose       string   `json:"purpose"`
	Action        *string  `json:"action"`
	ActionLines   []string `json:"action_lines"` // never nil
	Decision      string   `json:"decision"`
	Reason        string   `json:"reason"`
	AMR           []string `json:"amr"`
	ACR           string   `json:"acr"`
	AuthTime      int64    `json:"auth_time"`
	MFATime       *int64   `json:"mfa_time"`
	PolicyVersion int      `json:"policy_version"`

	// Claims of Countersign's own, which are read when the token comes back as a proof: see unit.proof.
	Kind        Kind   `json:"kind,omitempty"` // of the factor that was given; absent if none was, or a recovery code was
	Recovered   bool   `json:"recovered,omitempty"`
	RecoveredAt *int64 `json:"recovered_at,omitempty"` // when the recovery code was given, if that was the answer
	ByPass      bool   `json:"by_pass,omitempty"`      // the answer was a pass, so this is never a proof
	Epoch       string `json:"epoch,omitempty"`
}

// sign makes the token. A recovery code or a pass earns aal1, and so does a factor that was enrolled with the help of one, whatever
// its kind.
func (u *unit) sign(c claims) (seal.Secret, error) {
	t := tokenClaims{
		Issuer: u.s.Issuer, Audience: c.Audience, Subject: c.User, Org: c.Org, Verified: c.Verified,
		IssuedAt: u.now.Unix(), Expires: u.now.Add(tokenLife).Unix(), ID: c.ID, Nonce: c.Nonce, Purpose: c.Purpose,
		Action: c.Action, ActionLines: orNone(c.ActionLines), Decision: c.Decision, Reason: c.Reason, AMR: c.amr(), ACR: "aal1",
		AuthTime: c.AuthTime.Unix(), PolicyVersion: c.PolicyVersion,
		Kind: c.Kind, Recovered: c.Recovered && !c.ByPass, ByPass: c.ByPass, Epoch: epochClaim(c.Epoch),
	}
	if c.FirstFactor.At != nil {
		t.AuthTime = c.FirstFactor.At.Unix()
	}
	if !c.MFATime.IsZero() {
		at := c.MFATime.Unix()
		t.MFATime = &at
	}
	if c.Recovered && !c.ByPass && c.Kind == "" {
		at := c.Answered.Unix()
		t.RecoveredAt = &at
	}
	if c.Verified && !c.Recovered {
		t.ACR = c.Kind.row().acr
	}
	text, err := u.ring.Sign(u.now, t)
	return seal.NewSecret(text), err
}

// amr lists how the user signed in: what the client said of the first factor, and what was given here.
func (c *claims) amr() []string {
	amr := []string{}
	switch c.FirstFactor.Kind {
	case "password":
		amr = append(amr, "pwd")
	case "sso":
		amr = append(amr, c.FirstFactor.AMR...)
	}
	if !c.Verified {
		return amr
	}
	if c.Recovered {
		return append(amr, "otp")
	}
	return append(append(amr, c.AMR...), c.Kind.row().amr...)
}
