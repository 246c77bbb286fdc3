package mfa

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/message"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// An addressed is a notice to one recipient.
type addressed struct {
	recipient
	about activity.Event // if the notice sums up, only the id, the user and the policy are set
	life  string         // of the user
	topic string
	sum   []waited // what the notice sums up; empty if it is about one topic

	watcher bool // it goes to an address of the policy, and not to the user
}

// A claim is put before a notice is sent, so that a record which is handed on twice sends it once. The claim is open until
// it is known what became of the notice. If a process finds an open claim, then the process that put it has died, or the
// provider's answer was lost. The notice is then sent a second time, which is the last.
type claim struct {
	record.Head
	Tries int  `json:"tries" record:"1"` // how often the notice was tried, this time included
	Done  bool `json:"done" record:"2"`  // the notice was sent, or is not tried again
}

const (
	noticeTries = 2
	claimedFor  = 31 * 24 * time.Hour // a record of the store's stream can't be handed on again so late, not even by hand
)

// claimKey names the recipient by a hash, which tells nothing without the user's life. An erasure removes that.
func (n *addressed) claimKey() store.Key {
	sum := sha256.Sum256(seal.Join("recipient of a notice", n.life, n.about.ID, n.Address))
	return store.Key{Partition: "notice#" + n.about.ID + "#" + base64.RawURLEncoding.EncodeToString(sum[:16]), Sort: "claim"}
}

// notify sends a notice unless it was sent already. If the provider surely didn't take it, or if it was tried as often as it
// may be, it is recorded as delivery.failed and not tried again. So one bad address doesn't hold up what comes after it.
func (s *Service) notify(ctx context.Context, n *addressed) error {
	give, err := s.notice(n)
	if err != nil {
		return err
	}
	for {
		c, err := s.openClaim(ctx, n)
		if err != nil || c == nil {
			return err
		}
		if n.Channel == channelSMS || n.watcher {
			full, err := s.countNotice(ctx, n)
			if err != nil {
				return err
			}
			if full != "" {
				return s.recordUndelivered(ctx, n, c, DeliveryBlocked, map[string]any{"budget": full})
			}
		}
		ours, err := s.claim(ctx, c)
		if err != nil || !ours {
			return err
		}
		if n.topic == message.ResetAsked {
			if give, err = s.noticeOfReset(ctx, n); err != nil {
				return err
			}
		}
		err = give(ctx)
		if err != nil {
			s.log().WarnContext(ctx, "a notice was not handed over", "event", n.about.ID, "error", err)
			if !errors.Is(err, ErrNotTaken) && c.Tries < n.tries() {
				continue
			}
			return s.recordUndelivered(ctx, n, c, DeliveryFailure, map[string]any{})
		}
		if n.topic == message.ResetAsked {
			if err := s.beginHold(ctx, n); err != nil {
				return err
			}
		}
		c.Done = true
		u := &unit{s: s, ctx: ctx}
		u.begin(nil)
		u.put(c.Item, c, u.now.Add(claimedFor))
		if err := u.commit(ctx); err != nil {
			// The notice was sent, and would be sent again if this failed.
			s.log().WarnContext(ctx, "that a notice was sent could not be recorded", "event", n.about.ID, "error", err)
		}
		return nil
	}
}

// tries returns how often a notice may be handed over. A text message costs money, so one that may have been taken is not
// handed over a second time.
func (n *addressed) tries() int {
	if n.Channel == channelSMS {
		return 1
	}
	return noticeTries
}

// openClaim reads the claim of a notice. It returns nil if no try at sending the notice is left.
func (s *Service) openClaim(ctx context.Context, n *addressed) (*claim, error) {
	item, err := store.GetOne(ctx, s.Store, n.claimKey())
	if err != nil {
		return nil, err
	}
	c := &claim{Head: record.Head{Item: item}}
	if !item.Absent() {
		if err := record.Decode(item, c); err != nil {
			return nil, err
		}
	}
	if c.Done || c.Tries >= n.tries() {
		return nil, nil
	}
	return c, nil
}

// claim takes the next try at sending a notice. It reports false if another process has it.
func (s *Service) claim(ctx context.Context, c *claim) (ours bool, err error) {
	c.Tries++
	u := &unit{s: s, ctx: ctx}
	u.begin(nil)
	u.put(c.Item, c, u.now.Add(claimedFor))
	switch err := u.commit(ctx); {
	case isConflict(err):
		return false, nil
	case err != nil:
		return false, err
	}
	c.Item.Version = u.version
	return true, nil
}

// recordUndelivered records on the user's guard that a notice was not delivered, by an event with that data. If the user was
// erased meanwhile, there is no event.
func (s *Service) recordUndelivered(ctx context.Context, n *addressed, c *claim, event string, data map[string]any) error {
	c.Done = true
	data["channel"], data["about"] = cmp.Or(n.Channel, channelEmail), n.about.ID
	return s.alone(ctx, func(u *unit) error {
		a := &account{route: routeOf(n.about.Org, n.about.User)}
		if err := readAll(ctx, s.Store, a.readGuard()); err != nil {
			return err
		}
		if a.exists() && a.guard.life() == n.life {
			u.put(a.item, a.guard, time.Time{})
			u.event(a.guard.event(event, n.about.PolicyVersion, data).by(serviceActor))
		}
		u.put(c.Item, c, u.now.Add(claimedFor))
		return nil
	})
}

// noticeOfReset makes the message of a notice of a request for a reset, with a link of its own, and returns what hands it over.
func (s *Service) noticeOfReset(ctx context.Context, n *addressed) (give func(context.Context) error, err error) {
	link, err := s.cancelLink(ctx, n)
	if err != nil {
		return nil, err
	}
	return s.noticeWith(n, link)
}

// notice makes the message of a notice, and returns what hands it over.
func (s *Service) notice(a *addressed) (give func(context.Context) error, err error) {
	return s.noticeWith(a, "")
}

// noticeWith makes the message of a notice with a link, which may be empty.
func (s *Service) noticeWith(a *addressed, link string) (give func(context.Context) error, err error) {
	to := message.Addressee{Sender: s.sender(a.Client), Address: a.Address, Name: a.Name, Language: a.Language}
	if len(a.sum) > 0 {
		var items []message.Item
		for _, w := range a.sum {
			items = append(items, message.Item{Topic: w.Topic, Kind: string(w.Kind), Times: w.Times, Last: w.Last})
		}
		return s.giving(a, message.Sum(to, items), message.SumText(to)), nil
	}
	f := message.Facts{Link: link, User: a.about.User}
	f.Kind, _ = a.about.Data["kind"].(string)
	left, _ := a.about.Data["codes_left"].(int64)
	f.Left = int(left)
	until, _ := a.about.Data["until"].(string)
	if at, err := time.Parse(time.RFC3339, until); err == nil && s.Now().Before(at) {
		f.Until, f.ForGood = at, !at.Before(forever)
		f.Browsers, _ = a.about.Data["browsers"].(string)
	}
	due, _ := a.about.Data["due"].(string)
	if at, err := time.Parse(time.RFC3339, due); err == nil {
		f.Until = at
	}
	m, ok := message.About(a.topic, to, f)
	if !ok {
		return nil, fmt.Errorf("no message about %q", a.topic)
	}
	return s.giving(a, m, message.AboutText(a.topic, to, link)), nil
}

// giving returns what hands over a notice by the channel that it goes by.
func (s *Service) giving(a *addressed, mail message.Message, text message.Text) func(context.Context) error {
	if a.Channel == channelSMS {
		return func(ctx context.Context) error { return s.sendText(ctx, text) }
	}
	if a.watcher {
		return func(ctx context.Context) error { return s.Mail.SendMail(ctx, mail) } // what comes back says nothing of the user
	}
	mail.Reference = reference(routeOf(a.about.Org, a.about.User), noticeReference, a.life, a.Address)
	return func(ctx context.Context) error { return s.Mail.SendMail(ctx, mail) }
}

// noticeMargin is how much the clocks of two functions may differ. Nothing is put into an hour that a sweep with a clock so
// far ahead may be done with.
const noticeMargin = 10 * time.Minute

// remind makes the sweep look at what waits to be told to a user, once there is room.
func (s *Service) remind(ctx context.Context, r route, at time.Time) error {
	u := &unit{s: s, ctx: ctx}
	u.begin(nil)
	if soonest := u.now.Add(noticeMargin); at.Before(soonest) {
		at = soonest
	}
	u.put(store.Item{Key: noticesEntryKey(r, at)}, &expiryEntry{Route: []byte(r), Notices: true, Due: at}, at.Add(expiredFor))
	if err := u.commit(ctx); !isConflict(err) {
		return err
	}
	return nil // that hour has the entry already
}

// sumUpDue tells a user what waits, as far as there is room. The sweep looks again later for the rest.
func (s *Service) sumUpDue(ctx context.Context, r route) error {
	return s.alone(ctx, func(u *unit) error {
		a := &account{route: r}
		if err := readAll(ctx, s.Store, a.readGuard()); err != nil || !a.exists() || len(a.guard.NoticesWaiting) == 0 {
			return err
		}
		u.sumUp(a.guard)
		if len(a.guard.NoticesWaiting) > 0 {
			u.waits, u.told = a.guard.mayTell(u.now), a.guard
		}
		u.put(a.item, a.guard, time.Time{})
		return nil
	})
}
