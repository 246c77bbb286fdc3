package mfa

import (
	"cmp"
	"strconv"
	"time"

	"countersign/pkg/message"
	"countersign/pkg/seal"
)

// codeDigits is the length of the codes that apps show and of the codes that are sent. They consist of ASCII digits.
const codeDigits = 6

// sixDigits checks the form of answers for the kinds whose codes are six digits.
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
	expires time.Time // when the challenge or enrolment ends
	last    *sentCode // the code that was sent last; nil if none was sent yet

	confirms []string // the lines of what the code confirms, which its message shows; there may be none
}

// codeFields returns what a code's digest is computed from. It binds the digest to one challenge or enrolment, one factor,
// one address and one sending.
func (b binding) codeFields(g *guard, f factor, sequence int, code seal.Secret) []string {
	return []string{g.Org, g.User, b.id, b.purpose, f.ID, string(f.Kind), f.Contact, strconv.Itoa(sequence), code.Reveal()}
}

// The purposes of codes that answer no challenge.
const (
	enrolling = "enrol"
	proving   = "prove" // to show that the user has the known address, before a factor is enrolled
)

// matches compares a code with the one that was sent last. It can match only if that one was sent for f, to the address that
// f has now, and has not expired. Any other code does not match, and counts as a wrong answer.
func (b binding) matches(u *unit, g *guard, f factor, code seal.Secret) (bool, error) {
	if b.last == nil || b.last.Factor != f.ID || !u.now.Before(b.last.Expires) {
		return false, nil
	}
	return u.ring.Check(b.last.Digest, "code", b.codeFields(g, f, b.last.Sequence, code)...)
}

// letter writes a sequence number as a letter, A for the first code of a challenge. The message shows it too, so that a user
// who got several messages knows which code counts.
func letter(sequence int) string { return string(rune('A' + (sequence-1)%26)) }

// A Sent describes a code that was handed over to the provider.
type Sent struct {
	Factor      string    `json:"factor"`
	Kind        Kind      `json:"kind"`
	Hint        string    `json:"hint"`
	Sequence    string    `json:"sequence"` // the letter that the message also shows
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

// A carrier is what is particular to one channel by which codes are sent. The authenticators of such kinds are carriers.
type carrier interface {
	life(p *Policy) int             // how long a code is valid, in seconds
	limits(q *question) []sendLimit // how many codes this user can be sent by the channel
	outgoing(q *question, to message.Addressee, c message.Code) *outgoing
}

// send plans to send a new code for the factor that is asked for.
func (q *question) send(by carrier) (*SendAnswer, error) {
	if err := q.v.checkLock(q.u.now); err != nil {
		return nil, err
	}
	g := q.v.a.guard
	if err := g.maySendTo(q.f.Contact, !q.unasked, q.u.now); err != nil {
		return nil, err
	}
	code, err := q.newCode(by)
	if err != nil {
		return nil, err
	}
	q.u.out.about = reference(q.v.a.route, q.f.ID, g.life(), q.f.Contact)
	q.u.out.again = g.sendAgain(q.f.Contact, q.u.now)
	q.in.sent(q.u, q.f, code)
	return &SendAnswer{Sent: code.shown(q.f, q.v.p)}, nil
}

// wasSent reports whether an answer is the code that was sent last. It notes nothing of the code, because a code is dead once
// the challenge or enrolment that it is bound to has been answered. It notes that the message has arrived.
func (q *question) wasSent(given Answer) (bool, error) {
	right, err := q.in.binding().matches(q.u, q.v.a.guard, q.f, given.Code)
	if right {
		q.v.a.guard.arrived(q.f.Contact, q.u.now)
	}
	return right, err
}

// newCode makes a code and plans all that goes with sending it: the digest, the count against the user's limit, and the
// message in u.out. Its caller puts the sequence number into the guard's slot, which makes every earlier code of the slot
// dead, and sets in u.out what a failed hand-over changes. newCode returns TooManySends if a limit is reached.
func (q *question) newCode(by carrier) (*sentCode, error) {
	u, b, f, p, g := q.u, q.in.binding(), q.f, q.v.p, q.v.a.guard
	sequence := 1
	if b.last != nil {
		if wait := b.last.ResendAfter.Sub(u.now); wait > 0 {
			return nil, tooManySends(wait)
		}
		sequence = b.last.Sequence + 1
	}
	if sequence > p.Challenge.Sends {
		return nil, tooManySends(0)
	}
	channel := f.Kind.row().channel
	if wait := g.maySend(channel, by.limits(q), u.now); wait > 0 {
		return nil, tooManySends(wait)
	}
	code := seal.Code(codeDigits)
	expires := u.now.Add(time.Duration(by.life(&p.Policy)) * time.Second)
	if b.expires.Before(expires) {
		expires = b.expires
	}
	sent := &sentCode{
		Factor: f.ID, Sequence: sequence, Sent: u.now, Expires: expires,
		ResendAfter: u.now.Add(time.Duration(p.Challenge.ResendAfterS) * time.Second),
		Digest:      u.ring.Digest("code", b.codeFields(g, f, sequence, code)...),
	}
	u.out = by.outgoing(q,
		message.Addressee{Sender: u.s.sender(p.known(u.client)), Address: f.Contact, Name: g.Profile.Name, Language: p.language(g.Profile.Locale)},
		message.Code{Code: code, Sequence: letter(sequence), ValidFor: expires.Sub(u.now), Confirms: b.confirms},
	)
	u.out.mark = g.countSend(channel, u.now)
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

// sender returns the name under which messages are sent for a client. client is the name that the client has for that
// purpose; empty if it has none.
func (s *Service) sender(client string) string { return cmp.Or(client, s.Sender, "Countersign") }

// A sentCode is a code that was sent. The code itself is not kept, only a keyed digest that is bound to one challenge or
// enrolment.
type sentCode struct {
	Factor      string    `json:"factor" record:"1,id=fa_"`
	Sequence    int       `json:"sequence" record:"2"` // 1 for the first code of its challenge or enrolment
	Digest      string    `json:"digest" record:"3,secret"`
	Sent        time.Time `json:"sent" record:"4"`
	ResendAfter time.Time `json:"resend_after" record:"5"` // when the next code can be asked for
	Expires     time.Time `json:"expires" record:"6"`
	NotTaken    bool      `json:"not_taken" record:"7"` // the provider surely didn't take it, so nobody is told that it was sent
}
