package mfa

import (
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

// notify sends a notice unless it was sent already. If the provider surely didn't take it, or if it was tried twice, it is
// recorded as delivery.failed and not tried again. So one bad address doesn't hold up what comes after it.
func (s *Service) notify(ctx context.Context, n *addressed) error {
	m, err := s.notice(n)
	if err != nil {
		return err
	}
	for {
		c, err := s.claim(ctx, n.claimKey())
		if err != nil || c == nil {
			return err
		}
		err = s.Mail.SendMail(ctx, m)
		if err != nil {
			s.log().WarnContext(ctx, "a notice was not handed over", "event", n.about.ID, "error", err)
			if !errors.Is(err, ErrNotTaken) && c.Tries < noticeTries {
				continue
			}
			return s.recordUndelivered(ctx, n, c)
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

// claim takes the next try at sending a notice. It returns nil if none is left, or another process has it.
func (s *Service) claim(ctx context.Context, key store.Key) (*claim, error) {
	item, err := store.GetOne(ctx, s.Store, key)
	if err != nil {
		return nil, err
	}
	c := &claim{Head: record.Head{Item: item}}
	if !item.Absent() {
		if err := record.Decode(item, c); err != nil {
			return nil, err
		}
	}
	if c.Done || c.Tries >= noticeTries {
		return nil, nil
	}
	c.Tries++
	u := &unit{s: s, ctx: ctx}
	u.begin(nil)
	u.put(c.Item, c, u.now.Add(claimedFor))
	switch err := u.commit(ctx); {
	case isConflict(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	c.Item.Version = u.version
	return c, nil
}

// recordUndelivered records on the user's guard that a notice was not delivered. If the user was erased meanwhile, there is
// no event.
func (s *Service) recordUndelivered(ctx context.Context, n *addressed, c *claim) error {
	c.Done = true
	return s.alone(ctx, func(u *unit) error {
		a := &account{route: routeOf(n.about.Org, n.about.User)}
		if err := readAll(ctx, s.Store, a.readGuard()); err != nil {
			return err
		}
		if a.exists() && a.guard.life() == n.life {
			u.put(a.item, a.guard, time.Time{})
			u.event(a.guard.event(DeliveryFailure, n.about.PolicyVersion, map[string]any{"channel": channelEmail, "about": n.about.ID}).by(serviceActor))
		}
		u.put(c.Item, c, u.now.Add(claimedFor))
		return nil
	})
}

// notice makes the message of a notice.
func (s *Service) notice(a *addressed) (message.Message, error) {
	to := message.Addressee{Sender: s.sender(a.Client), Address: a.Address, Name: a.Name, Language: a.Language}
	if len(a.sum) > 0 {
		var items []message.Item
		for _, w := range a.sum {
			items = append(items, message.Item{Topic: w.Topic, Kind: string(w.Kind), Times: w.Times, Last: w.Last})
		}
		return message.Sum(to, items), nil
	}
	var f message.Facts
	f.Kind, _ = a.about.Data["kind"].(string)
	left, _ := a.about.Data["codes_left"].(int64)
	f.Left = int(left)
	until, _ := a.about.Data["until"].(string)
	if at, err := time.Parse(time.RFC3339, until); err == nil && s.Now().Before(at) {
		f.Until, f.ForGood = at, !at.Before(forever)
		f.Browsers, _ = a.about.Data["browsers"].(string)
	}
	m, ok := message.About(a.topic, to, f)
	if !ok {
		return m, fmt.Errorf("no message about %q", a.topic)
	}
	return m, nil
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
