package walk

import (
	"encoding/json"
	"fmt"
	"strings"

	"countersign/pkg/mfa"
	"countersign/pkg/seal"
)

// told returns an answer or a refusal as text, with its secrets.
func told(answer any, err *mfa.Error) string {
	if err != nil {
		left := -1
		if err.AttemptsLeft != nil {
			left = *err.AttemptsLeft
		}
		return fmt.Sprintf("%s %d %s", err.Code, left, err.RetryAfter)
	}
	reveal := func(s *seal.Secret) string {
		if s == nil {
			return ""
		}
		return s.Reveal()
	}
	revealAll := func(codes []seal.Secret) (text string) {
		for _, code := range codes {
			text += " " + code.Reveal()
		}
		return text
	}
	switch a := answer.(type) {
	case mfa.VerifyAnswer:
		return fmt.Sprint("verified ", a.IssuedAt, " ", a.Token.Reveal(), " ", reveal(a.TrustToken), " ", reveal(a.KnownToken), revealAll(a.RecoveryCodes))
	case mfa.StartAnswer:
		text := fmt.Sprint(a.Decision, " ", reveal(a.Token), " ", reveal(a.TrustToken))
		if c := a.Challenge; c != nil {
			text += fmt.Sprint(" ", c.ID, " ", reveal(c.Token), " ", c.Sent, " ", c.SendError, options(c.WebAuthn))
		}
		return text
	case mfa.RecoverAnswer:
		text := fmt.Sprint("recovered ", a.Effect, " ", a.CodesLeft, " ", a.IssuedAt, " ", reveal(a.Token))
		if a.Enrolment != nil {
			text += " " + reveal(a.Enrolment.Token)
		}
		return text
	case mfa.EnrolAnswer:
		text := fmt.Sprint("begun ", a.ID, " ", a.Kind)
		if a.SendAnswer != nil {
			text += fmt.Sprint(" ", a.Sent, options(a.WebAuthn))
		}
		if a.TOTP != nil {
			text += " " + a.TOTP.Secret.Reveal()
		}
		return text
	case mfa.FinishAnswer:
		return fmt.Sprint("enrolled ", a.Factor.ID, " ", a.IssuedAt, " ", reveal(a.Token), revealAll(a.RecoveryCodes))
	case mfa.ProveAnswer:
		return "proven"
	case mfa.RecoveryCodes:
		return fmt.Sprint("made", revealAll(a.RecoveryCodes))
	case mfa.User:
		return fmt.Sprint("user with ", len(a.Factors), " factors, locked until ", a.LockedUntil)
	case mfa.SendAnswer:
		return fmt.Sprint("sent ", a.Sent, options(a.WebAuthn))
	}
	return fmt.Sprint(answer)
}

// options returns the options of a ceremony as text, and an empty text if there are none.
func options(o json.RawMessage) string {
	if o == nil {
		return ""
	}
	return " " + string(o)
}

// silent reports whether the caller has learnt nothing, because there was no answer or the service was unavailable.
func (c *call) silent() bool { return c.dead || c.err != nil && c.err.Code == mfa.Unavailable }

func (c *call) refusal() mfa.ErrorCode {
	if c.err == nil {
		return ""
	}
	return c.err.Code
}

// success reports whether the service accepted a secret: a code, a trust token, or the proof that a change needs.
func (c *call) success() bool {
	if c.dead || c.err != nil {
		return false
	}
	for _, said := range []string{"verified", "recovered", "enrolled", "proven", "made", "removed", "turned off", "{allow " + mfa.BrowserTrust} {
		if strings.HasPrefix(c.text, said) {
			return true
		}
	}
	return false
}

// closing reports whether the answer said that something is closed.
func (c *call) closing() bool {
	switch c.refusal() {
	case "":
		return c.closes || c.carried
	case mfa.Locked, mfa.ChallengeInvalid, mfa.EnrolmentInvalid:
		return true
	case mfa.WrongCode, mfa.WrongCredential:
		return *c.err.AttemptsLeft == 0
	}
	return false
}

// wrong reports whether the answer said that the code or the credential is wrong.
func (c *call) wrong() bool {
	return c.refusal() == mfa.WrongCode || c.refusal() == mfa.WrongCredential
}

// opened returns the challenge in the answer of a start.
func (c *call) opened() opened {
	ch := c.answer.(mfa.StartAnswer).Challenge
	return opened{user: c.user, id: ch.ID, bearer: mfa.Call{Bearer: ch.Token.Reveal()}, code: c.sent, until: ch.Sent.Expires}
}

// shown returns the recovery codes in an answer.
func (c *call) shown() []seal.Secret {
	if c.err != nil {
		return nil
	}
	switch a := c.answer.(type) {
	case mfa.VerifyAnswer:
		return a.RecoveryCodes
	case mfa.FinishAnswer:
		return a.RecoveryCodes
	case mfa.RecoveryCodes:
		return a.RecoveryCodes
	}
	return nil
}

// tokensAnswered returns the trust token and the known token of an answer, each of which is nil if there is none.
func (c *call) tokensAnswered() (trust, known *seal.Secret) {
	switch a := c.answer.(type) {
	case mfa.VerifyAnswer:
		return a.TrustToken, a.KnownToken
	case mfa.StartAnswer:
		return a.TrustToken, nil
	}
	return nil, nil
}
