package mfa

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"

	"countersign/pkg/message"
	"countersign/pkg/seal"
)

// mailbox is the authenticator of the kind email. A code is sent to the account's address, and the user types it in.
type mailbox struct{ sixDigits }

func (mailbox) room(a *account, p *Policy) error {
	address := a.guard.Profile.Email
	switch {
	case p.Methods.Email == Implicit:
		return refuse(MethodForbidden, "The account's email address is already a factor, without an enrolment.")
	case address == "":
		return refuse(NothingToSend, "The user has no email address to send a code to.")
	}
	for _, f := range a.factorRecords {
		if f.Kind == Email && f.Contact == address && a.guard.enrolled(f.ID) != nil {
			return refuse(AlreadyExists, "This address is already enrolled.")
		}
	}
	return nil
}

func (m mailbox) begin(q *question, answer *EnrolAnswer) (err error) {
	if q.f.Contact = q.v.a.guard.Profile.Email; answer.Proven {
		return nil
	}
	answer.SendAnswer, err = m.ask(q)
	return err
}

func (m mailbox) ask(q *question) (*SendAnswer, error) { return q.send(m) }

func (mailbox) check(q *question, given Answer) (bool, error) { return q.wasSent(given) }

// life implements carrier.
func (mailbox) life(p *Policy) int { return p.Challenge.EmailCodeS }

// limits implements carrier.
func (mailbox) limits(*question) []sendLimit {
	return []sendLimit{{sendsInHour, time.Hour}, {sendsInDay, 24 * time.Hour}}
}

// outgoing implements carrier.
func (mailbox) outgoing(q *question, to message.Addressee, c message.Code) *outgoing {
	u, m := q.u, message.OfCode(to, c)
	m.Reference = reference(q.v.a.route, q.f.ID, q.v.a.guard.life(), to.Address)
	return &outgoing{channel: channelEmail, give: func() error { return u.s.Mail.SendMail(u.ctx, m) }}
}

// hint shows the first letter and the domain, which is enough for users to recognise their own address.
func (mailbox) hint(address string) string {
	local, domain, ok := strings.Cut(address, "@")
	if !ok || local == "" {
		return ""
	}
	return local[:1] + "***@" + domain
}

// addressFactor is the account's address as a factor that isn't enrolled. It is used where the policy makes email implicit,
// and where the user has to prove the address before enrolling a factor. After a reset that the user has asked for it is the address
// that was known then.
func (a *account) addressFactor() factor {
	return factor{factorRecord: &factorRecord{ID: a.addressID(), Kind: Email, Contact: cmp.Or(a.guard.ProveAddress, a.guard.Profile.Email)}}
}

// provesOwnAddress reports whether the account's address is the one that the user may have to prove after a reset.
func (g *guard) provesOwnAddress() bool {
	return g.ProveAddress == "" || g.ProveAddress == g.Profile.Email
}

// addressID is the id of the account's address as a factor. It depends only on the org and the id of the user.
func (a *account) addressID() string {
	sum := sha256.Sum256(seal.Join(string(a.route), "implicit email"))
	return "fa_" + base64.RawURLEncoding.EncodeToString(sum[:16])
}
