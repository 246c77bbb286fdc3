package mfa

import (
	"strconv"
	"time"

	"countersign/pkg/seal"
)

// A code is six ASCII digits. Anything else is no guess: it is refused before it is compared, and not counted.
const codeDigits = 6

func checkCode(code seal.Secret) error {
	text := code.Reveal()
	if len(text) != codeDigits {
		return invalid("code", "A code is exactly six digits.")
	}
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return invalid("code", "A code is exactly six digits.")
		}
	}
	return nil
}

// codeFields binds a code's digest to the one challenge, factor, address and sending it was made for.
func codeFields(ch *challenge, f factor, sequence int, code seal.Secret) []string {
	return []string{ch.Org, ch.User, ch.ID, ch.Purpose, f.ID, string(f.Kind), f.Contact, strconv.Itoa(sequence), code.Reveal()}
}

// letter is how a sequence number is written: A for the first code of a challenge, so that a user who got several
// messages knows which one counts.
func letter(sequence int) string { return string(rune('A' + (sequence-1)%26)) }

// An outgoing is a code that has been committed and now has to be handed to the mail provider.
type outgoing struct {
	message Message
	factor  factor
}

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

func (ch *challenge) sent(f factor, p *orgPolicy) *Sent {
	return &Sent{
		Factor: f.ID, Kind: f.Kind, Hint: f.hint(), Sequence: letter(ch.Code.Sequence),
		Expires: ch.Code.Expires, ResendAfter: ch.Code.Again, SendsLeft: max(0, p.Challenge.Sends-ch.Code.Sequence),
	}
}

// newCode makes a code for f and plans all that goes with sending it: the digest in the challenge, the sequence that
// makes every earlier code of it dead, the count against the user's limit. It refuses where a limit is reached.
func (u *unit) newCode(a *account, ch *challenge, f factor, p *orgPolicy) (*outgoing, error) {
	sequence := 1
	if ch.Code != nil {
		if wait := ch.Code.Again.Sub(u.now); wait > 0 {
			return nil, tooManySends(wait)
		}
		sequence = ch.Code.Sequence + 1
	}
	if sequence > p.Challenge.Sends {
		return nil, tooManySends(0)
	}
	if wait := a.guard.mayEmail(u.now); wait > 0 {
		return nil, tooManySends(wait)
	}
	a.guard.countEmail(u.now)
	code := seal.Code(codeDigits)
	expires := u.now.Add(time.Duration(p.Challenge.EmailCodeS) * time.Second)
	if ch.Expires.Before(expires) {
		expires = ch.Expires
	}
	ch.Code = &sentCode{
		Factor: f.ID, Sequence: sequence, Sent: u.now, Expires: expires,
		Again:  u.now.Add(time.Duration(p.Challenge.ResendAfterS) * time.Second),
		Digest: u.ring.Digest("code", codeFields(ch, f, sequence, code)...),
	}
	a.guard.open(ch, u.now).Sequence = sequence
	u.event(ch.event(ChallengeSent, map[string]any{"kind": f.Kind, "factor": f.ID, "sequence": letter(sequence)}))
	return &outgoing{factor: f, message: codeMessage(u.s.sender(), p.language(a.guard.Profile.Locale), notice{
		to: f.Contact, name: a.guard.Profile.Name, code: code, sequence: letter(sequence), minutes: int(expires.Sub(u.now) / time.Minute),
	})}, nil
}

func tooManySends(wait time.Duration) *Error {
	e := refuse(TooManySends, "No further code can be sent yet.")
	if wait <= 0 {
		e.Detail = "No further code can be sent for this challenge; start again."
	}
	e.RetryAfter = wait
	return e
}

func (s *Service) sender() string {
	if s.Sender == "" {
		return "Countersign"
	}
	return s.Sender
}
