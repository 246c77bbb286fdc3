package mfa

import (
	"cmp"
	"strconv"
	"time"

	"countersign/pkg/message"
	"countersign/pkg/seal"
)

// Codes of apps and codes that are sent are six ASCII digits.
const codeDigits = 6

// sixDigits is the form of the answers to a kind of factor whose codes are six digits.
type sixDigits struct{}

func (sixDigits) form(given Answer) error {
	if len(given.Credential) > 0 {
		return invalid("credential", "Factors of this kind are answered with a code.")
	}
	return checkCode(given.Code)
}

func checkCode(code seal.Secret) error {
	text := code.Reveal()
	if len(text) != codeDigits {
		return invalid("code", "The code must be exactly six digits.")
	}
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return invalid("code", "The code must be exactly six digits.")
		}
	}
	return nil
}

// A binding is what a code that is sent is bound to, besides its user, factor and address.
type binding struct {
	id      string    // of the challenge or enrolment that the code answers
	purpose string    // sign_in, step_up, enrol or prove
	expires time.Time // nothing answers it then
	last    *sentCode // nil: none was sent yet
}

// codeFields binds a code's digest to the one challenge or enrolment, factor, address and sending that it was made for.
func (e binding) codeFields(g *guard, f factor, sequence int, code seal.Secret) []string {
	return []string{g.Org, g.User, e.id, e.purpose, f.ID, string(f.Kind), f.Contact, strconv.Itoa(sequence), code.Reveal()}
}

// What a code is for that answers no challenge.
const (
	enrolling = "enrol"
	proving   = "prove" // that the user has the known address, before a factor is enrolled
)

// matches compares a code with the one that was sent last, if that is to f, at the address f has now, and in time.
// Everything else is no match, and counts as one tried.
func (e binding) matches(u *unit, g *guard, f factor, code seal.Secret) (bool, error) {
	if e.last == nil || e.last.Factor != f.ID || !u.now.Before(e.last.Expires) {
		return false, nil
	}
	return u.ring.Check(e.last.Digest, "code", e.codeFields(g, f, e.last.Sequence, code)...)
}

// letter is how a sequence number is written: A for the first code of a challenge, so that a user who got several
// messages knows which one counts.
func letter(sequence int) string { return string(rune('A' + (sequence-1)%26)) }

// Sent says that a code was handed over to the provider.
type Sent struct {
	Factor      string    `json:"factor"`
	Kind        Kind      `json:"kind"`
	Hint        string    `json:"hint"`
	Sequence    string    `json:"sequence"` // the letter that the message shows too
	Expires     time.Time `json:"expires"`
	ResendAfter time.Time `json:"resend_after"`
	SendsLeft   int       `json:"sends_left"`
}

func (c *sentCode) shown(f factor, p *orgPolicy) *Sent {
	return &Sent{
		Factor: f.ID, Kind: f.Kind, Hint: f.hint(), Sequence: letter(c.Sequence),
		Expires: c.Expires, ResendAfter: c.ResendAfter, SendsLeft: max(0, p.Challenge.Sends-c.Sequence),
	}
}

// newCode makes a code for f and plans all that goes with sending it: the digest, the count against the user's limit, and
// the message in u.out. Whoever asked puts the sequence into the guard's slot, which makes every earlier code of it
// dead, and says in u.out what a failed hand-over changes. It refuses where a limit is reached.
func (u *unit) newCode(a *account, e binding, f factor, p *orgPolicy) (*sentCode, error) {
	sequence := 1
	if e.last != nil {
		if wait := e.last.ResendAfter.Sub(u.now); wait > 0 {
			return nil, tooManySends(wait)
		}
		sequence = e.last.Sequence + 1
	}
	if sequence > p.Challenge.Sends {
		return nil, tooManySends(0)
	}
	if wait := a.guard.mayEmail(u.now); wait > 0 {
		return nil, tooManySends(wait)
	}
	code := seal.Code(codeDigits)
	expires := u.now.Add(time.Duration(p.Challenge.EmailCodeS) * time.Second)
	if e.expires.Before(expires) {
		expires = e.expires
	}
	sent := &sentCode{
		Factor: f.ID, Sequence: sequence, Sent: u.now, Expires: expires,
		ResendAfter: u.now.Add(time.Duration(p.Challenge.ResendAfterS) * time.Second),
		Digest:      u.ring.Digest("code", e.codeFields(a.guard, f, sequence, code)...),
	}
	u.out = &outgoing{mark: a.guard.countEmail(u.now), message: message.OfCode(
		message.Addressee{Sender: u.s.sender(u.client), Address: f.Contact, Name: a.guard.Profile.Name, Language: p.language(a.guard.Profile.Locale)},
		message.Code{Code: code, Sequence: letter(sequence), Minutes: int(expires.Sub(u.now) / time.Minute)},
	)}
	return sent, nil
}

func tooManySends(wait time.Duration) *Error {
	e := refuse(TooManySends, "No further code can be sent yet.")
	if wait <= 0 {
		e.Detail = "No further code can be sent here. Start again."
	}
	e.RetryAfter = wait
	return e
}

// sender is the name under which messages go out for a client that has that name of its own; empty: it has none.
func (s *Service) sender(client string) string { return cmp.Or(client, s.Sender, "Countersign") }

// sentCode is a code that went out: never the code, only a keyed digest of it bound to this challenge.
type sentCode struct {
	Factor      string    `json:"factor"`
	Sequence    int       `json:"sequence"` // 1 for the first of its challenge
	Digest      string    `json:"digest"`
	Sent        time.Time `json:"sent"`
	ResendAfter time.Time `json:"resend_after"` // when the next may be asked for
	Expires     time.Time `json:"expires"`
}
