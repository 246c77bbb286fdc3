package mfa

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"time"

	"countersign/pkg/message"
	"countersign/pkg/seal"
)

// A provider that has taken a message may say later that it came back: the mail server of the recipient refused it for good, or
// the recipient complained about it. One that sends text messages refuses those to a number that has opted out. Then nothing is
// sent to that address by itself for 24 hours, unless the address changes, or a code that was sent there comes back as an
// answer. A start asks for another factor first. If there is no other, its answer says that nothing was delivered. A user who
// asks for a code there is sent one all the same, once in these 24 hours, because a mailbox may have been repaired, and a
// complaint may have been a slip of the hand.
//
// What is known of an address is in the guard, under a hash of the address. So a start needs no other read, and an address
// that replaces another one begins without a mark.

// returnedFor is how long it counts that messages to an address came back.
const returnedFor = 24 * time.Hour

// mostReturned is how many addresses of a user the guard keeps this of.
const mostReturned = 4

// feedbackMargin is how much the clock of a provider may be ahead.
const feedbackMargin = 10 * time.Minute

// causeOptOut is the cause in the event that a number has opted out. Its owner has done that, and isn't told of it.
const causeOptOut = "opt_out"

// noticeReference stands for the factor in the reference of a message that has no code.
const noticeReference = "notice"

// A Feedback is what a provider says of a message that it has taken.
type Feedback struct {
	Reference message.Reference // of the message
	Sent      time.Time         // when the provider took the message
	Complaint bool              // the recipient has complained about the message; otherwise it was refused for good
	optedOut  bool              // it was refused because the owner of the number has opted out
}

// TakeFeedback notes that a message came back, and tells the user by other channels. It does nothing if that is known
// already, or if it doesn't matter any more: the user was erased, the address is none of the user's any more, the user has
// answered since with a code that was sent there, or the message was sent more than a day ago. So it may be called with the
// same feedback any number of times, in any order.
func (s *Service) TakeFeedback(ctx context.Context, f Feedback) error {
	raw, err := base64.RawURLEncoding.DecodeString(f.Reference.User)
	address, bad := base64.RawURLEncoding.DecodeString(f.Reference.Address)
	if err != nil || bad != nil || len(raw) != routeLen || len(address) != addressLen {
		return nil // it is about no message of this deployment
	}
	r := route(raw)
	return s.alone(ctx, func(u *unit) error {
		var a *account
		var p *orgPolicy
		if err := readAll(ctx, s.Store, s.readAccount(r, &a), readPolicy(r, "", &p)); err != nil || !a.exists() {
			return err
		}
		about, found := a.factorAt(address, f.Reference.Factor)
		if !found || !f.Complaint && a.answeredSince(about, f.Sent) {
			return nil
		}
		switch a.guard.takeReturned(address, f.Sent, u.now) {
		case returnedKnown:
			return nil
		case returnedAnew:
			cause := "bounce"
			switch {
			case f.Complaint:
				cause = "complaint"
			case f.optedOut:
				cause = causeOptOut
			}
			u.event(a.event(FactorReturned, p, map[string]any{"factor": about.ID, "kind": about.Kind, "cause": cause}).by(serviceActor))
			u.tell(a, p)
		}
		u.put(a.item, a.guard, time.Time{})
		return nil
	})
}

// factorAt returns the factor of the user whose address has that hash. If there are several, it is the one with that id, if
// it is among them. The account's own address is one of them, even if it is no factor under the policy.
func (a *account) factorAt(address []byte, id string) (at factor, found bool) {
	consider := func(f factor) {
		if f.Contact != "" && bytes.Equal(addressHash(a.guard.life(), f.Contact), address) && (!found || f.ID == id) {
			at, found = f, true
		}
	}
	for _, f := range a.factorRecords {
		if a.guard.enrolled(f.ID) != nil {
			consider(factor{factorRecord: f})
		}
	}
	consider(a.addressFactor())
	return at, found
}

// answeredSince reports whether the user has answered with a factor after a moment. It finds that of a factor that isn't
// enrolled as long as the guard has the challenge.
func (a *account) answeredSince(f factor, at time.Time) bool {
	if enrolled := a.guard.enrolled(f.ID); enrolled != nil {
		return enrolled.Used.After(at)
	}
	return slices.ContainsFunc(a.guard.Slots, func(s slot) bool {
		return s.State == verified && s.Kind == f.Kind && s.EndedAt.After(at)
	})
}

// reference is what a provider is given with a message to a user.
func reference(r route, factor, life, address string) message.Reference {
	return message.Reference{
		User: base64.RawURLEncoding.EncodeToString([]byte(r)), Factor: factor,
		Address: base64.RawURLEncoding.EncodeToString(addressHash(life, address)),
	}
}

// addressLen is the length of the hash of an address, in bytes.
const addressLen = 16

// addressHash is a hash of an address that nobody can check without the life of the user, which an erasure removes.
func addressHash(life, address string) []byte {
	sum := sha256.Sum256(seal.Join("address that a message goes to", life, address))
	return sum[:addressLen]
}

// A returned is what is known of an address from which a message came back.
type returned struct {
	Address []byte        `json:"address" record:"1,word"` // the hash of it
	At      time.Time     `json:"at" record:"2"`           // when that was noted or, if a later message has arrived, when that was
	State   returnedState `json:"state" record:"3"`        // empty if nothing was sent there since
}

type returnedState string

// The states of an address besides the first, in which nothing is sent there by itself and the user can ask for one code.
const (
	sentAgain returnedState = "sent_again" // the user has asked for one
	arrival   returnedState = "arrived"    // a code that was sent there came back as an answer
)

// returnedOf returns what is known of an address. It is nil if nothing is, or if that is too long ago.
func (g *guard) returnedOf(address []byte, now time.Time) *returned {
	i := slices.IndexFunc(g.Returned, func(r returned) bool { return bytes.Equal(r.Address, address) })
	if i < 0 || !now.Before(g.Returned[i].At.Add(returnedFor)) {
		return nil
	}
	return &g.Returned[i]
}

// comesBack reports whether messages to an address come back, as far as it is known.
func (g *guard) comesBack(contact string, now time.Time) bool {
	if contact == "" || len(g.Returned) == 0 {
		return false
	}
	r := g.returnedOf(addressHash(g.life(), contact), now)
	return r != nil && r.State != arrival
}

// maySendTo returns DeliveryFailed if no code is sent to an address because messages to it come back. A user who asks for a
// code is sent one all the same.
func (g *guard) maySendTo(contact string, asked bool, now time.Time) *Error {
	if !g.comesBack(contact, now) {
		return nil
	}
	r := g.returnedOf(addressHash(g.life(), contact), now)
	switch {
	case r.State == sentAgain:
		return refuse(DeliveryFailed, "Messages to this address come back. Another code can be sent there a day after the last one came back.")
	case !asked:
		return refuse(DeliveryFailed, "Messages to this address come back. No code was sent there by itself.")
	}
	return nil
}

// sendAgain notes that the user is sent a code at an address that messages come back from. It returns the hash of the
// address. If messages don't come back from it, it does nothing and returns nil.
func (g *guard) sendAgain(contact string, now time.Time) []byte {
	if !g.comesBack(contact, now) {
		return nil
	}
	r := g.returnedOf(addressHash(g.life(), contact), now)
	r.State = sentAgain
	return r.Address
}

// notSentAgain takes sendAgain back, because the provider surely didn't take the message.
func (g *guard) notSentAgain(address []byte) {
	for i := range g.Returned {
		if r := &g.Returned[i]; bytes.Equal(r.Address, address) && r.State == sentAgain {
			r.State = ""
		}
	}
}

// arrived notes that a message to an address has arrived. What comes back of messages that were sent before doesn't matter
// any more.
func (g *guard) arrived(contact string, now time.Time) {
	if g.comesBack(contact, now) {
		r := g.returnedOf(addressHash(g.life(), contact), now)
		r.At, r.State = now, arrival
	}
}

// forgetReturned forgets what is known of an address.
func (g *guard) forgetReturned(contact string) {
	address := addressHash(g.life(), contact)
	g.Returned = slices.DeleteFunc(slices.Clone(g.Returned), func(r returned) bool { return bytes.Equal(r.Address, address) })
}

// What takeReturned has found.
const (
	returnedKnown = iota // that is known already, or doesn't matter any more; the guard is as it was
	returnedMore         // that was known, and one more message came back
	returnedAnew
)

// takeReturned notes that a message to an address came back which was sent at a moment.
func (g *guard) takeReturned(address []byte, sent, now time.Time) (found int) {
	if !now.Before(sent.Add(returnedFor)) || sent.After(now.Add(feedbackMargin)) {
		return returnedKnown
	}
	r := g.returnedOf(address, now)
	switch {
	case r != nil && !sent.After(r.At):
		return returnedKnown
	case r != nil && r.State != arrival:
		r.At = now
		return returnedMore
	}
	g.Returned = slices.DeleteFunc(g.Returned, func(r returned) bool {
		return bytes.Equal(r.Address, address) || !now.Before(r.At.Add(returnedFor))
	})
	g.Returned = append(g.Returned, returned{Address: address, At: now})
	g.Returned = g.Returned[max(0, len(g.Returned)-mostReturned):]
	return returnedAnew
}
