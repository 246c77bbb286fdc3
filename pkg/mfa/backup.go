package mfa

import (
	"slices"
	"time"
)

// backupFor is how long after the end of a sign-in its enrolment token can enrol the offered backup. The client can fetch the outcome
// of the sign-in for ten minutes, so two are left to go back to the application.
const backupFor = shownFor - 2*time.Minute

// A Backup says what a user with one factor can enrol as a backup of it, for who loses that factor.
type Backup struct {
	Kinds   []Kind `json:"kinds"`   // the strongest first
	Address string `json:"address"` // a hint at the known address that codes would go to
	Pinned  bool   `json:"pinned"`  // the policy lets nobody remove it on its own afterwards
}

// backup returns what the user is offered as a backup of the only factor. It is nil if there is nothing to offer.
func (a *account) backup(p *orgPolicy) *Backup {
	usable := a.factors(&p.Policy)
	if len(usable) != 1 || a.guard.enrolled(usable[0].ID) == nil {
		return nil
	}
	offer := a.backupOffer(usable[0].Kind, p)
	if offer == nil {
		return nil
	}
	address := a.addressFactor()
	return &Backup{Kinds: offer.Kinds, Address: address.hint(), Pinned: slices.ContainsFunc(offer.Kinds, p.pinned)}
}

// backupOffer offers a user who has just enrolled a factor the other kinds that could back it up. It is nil if there are
// none.
func (a *account) backupOffer(enrolled Kind, p *orgPolicy) *EnrolmentOffer {
	kinds := slices.DeleteFunc(p.offered(), func(k Kind) bool { return k == enrolled || a.mayEnrol(k, &p.Policy) != nil })
	if len(kinds) == 0 {
		return nil
	}
	return &EnrolmentOffer{Kinds: kinds}
}

// backupEnds returns until when the enrolment token, whose own enrolment has ended its challenge, can enrol a backup of the factor that
// came of that. The holder of the token has just answered with this factor, so nothing more has to be proven. It returns false if the
// token is good for nothing any more. The slot may be nil.
func (v *enrolmentView) backupEnds(u *unit, s *slot) (time.Time, bool) {
	if s == nil || s.State != verified || !u.caller.holds(v.ch.Enrolment) {
		return time.Time{}, false
	}
	ends := s.EndedAt.Add(backupFor)
	if v.ch.Expires.Before(ends) {
		ends = v.ch.Expires
	}
	stands := v.ch.Epoch == v.a.guard.Epoch && !v.a.resetIsDue(v.p, u.now) && v.a.guard.enrolled(s.Factor) != nil && v.a.backup(v.p) != nil
	return ends, stands && u.now.Before(ends)
}
