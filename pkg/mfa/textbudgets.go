package mfa

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math"
	"strings"
	"sync"
	"time"

	"countersign/pkg/seal"
	"countersign/pkg/store"
)

// This file keeps the budgets of text messages that users of an org share, so that nobody can run up the org's bill. They are
// asked after the user's own budget, which is in the guard, was committed. So somebody who has one password can't use up an
// org's budget.
//
// Each budget is a number in the store, which store.Count raises by one before a message is handed over, and not beyond the
// budget. What was counted and then not sent can't be taken out of such a number again. It is counted in a second number,
// which is subtracted: the returned messages. That number is read before the first one is raised. So it has only messages
// that were counted earlier, and however many calls run at once, no more messages than the budget are handed over.
//
// Hours and days are those of UTC.

// How many codes one number gets from an org, whoever asks for them. No policy can raise these numbers.
const (
	numberInHour = 5
	numberInDay  = 10
)

// noticesToNumber is how many notices by SMS a number gets from an org in a day.
const noticesToNumber = 10

// prefixDigits is how many digits of a number, from the country calling code on, say to which prefix it belongs.
const prefixDigits = 7

// The budgets, by the names that events give them.
const (
	budgetOfNumber = "number"
	budgetOfPrefix = "prefix"
	budgetOfOrg    = "organisation"
)

// boundless is the size of a budget that is only counted.
const boundless = math.MaxInt32

// A sharedBudget is one budget, in one hour or day.
type sharedBudget struct {
	name      string
	partition string
	size      int64
	ends      time.Time

	// For a prefix: how many per cent of the codes have to be answered so that more than size are sent. 0 means that nothing
	// is asked, and more than 100 that size is never exceeded.
	conversion int64

	returned, answered int64 // as they were read
	counted            bool  // this message is in the budget
}

// sharedBudgets are those that one message is held to.
type sharedBudgets struct {
	store  store.Store
	of     []sharedBudget
	unread error // why look could not read what it had to
}

// never is a conversion that no prefix has.
const never = 101

// sharedBudgets returns the budgets of the message with a code for q. An enrolment gets half of each. A number that its user
// has proven isn't held to the budget of its prefix, because the user's own budget bounds it.
func (q *question) sharedBudgets() *sharedBudgets {
	p, r, now := q.v.p, q.v.a.route, q.u.now
	share := func(size int) int64 {
		if q.first {
			size = half(size)
		}
		return int64(size)
	}
	hour, day := now.Truncate(time.Hour), now.Truncate(24*time.Hour)
	number := numberWord(r, q.f.Contact)
	of := []sharedBudget{
		{name: budgetOfNumber, partition: countPartition(r, "hour-of-number#"+number, hour), size: share(numberInHour), ends: hour.Add(time.Hour), conversion: never},
		{name: budgetOfNumber, partition: countPartition(r, "day-of-number#"+number, day), size: share(numberInDay), ends: day.Add(24 * time.Hour), conversion: never},
		{name: budgetOfPrefix, partition: prefixPartition(r, q.f.Contact, now), size: share(p.SMS.HourlyPrefixCap), ends: hour.Add(time.Hour), conversion: int64(p.SMS.MinConversion)},
		{name: budgetOfOrg, partition: countPartition(r, "day", day), size: share(p.SMS.DailyCap), ends: day.Add(24 * time.Hour), conversion: never},
	}
	if q.enrolled != nil {
		of[2].size, of[2].conversion = boundless, never
	}
	return &sharedBudgets{store: q.u.s.Store, of: of}
}

// numberWord stands for a number in the keys of an org's counts.
func numberWord(r route, number string) string {
	sum := sha256.Sum256(seal.Join(string(r.org()), "number", number))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// The addresses that a policy names get so many messages in a day, all of them together, whatever happens to the org's users.
const (
	budgetOfWatchers  = "notify"
	noticesToWatchers = 100
)

// countNotice counts a notice by SMS, or one to an address of the policy, in budgets that notices have for themselves. It
// returns the name of one that is full, or an empty name. A notice that is not sent after all stays counted.
func (s *Service) countNotice(ctx context.Context, n *addressed) (full string, err error) {
	r, day := routeOf(n.about.Org, n.about.User), s.Now().UTC().Truncate(24*time.Hour)
	budgets := []sharedBudget{
		{name: budgetOfNumber, partition: countPartition(r, "notices-of-number#"+numberWord(r, n.Address), day), size: noticesToNumber},
		{name: budgetOfOrg, partition: countPartition(r, "notices", day), size: int64(n.Cap)},
	}
	if n.watcher {
		budgets = []sharedBudget{{name: budgetOfWatchers, partition: countPartition(r, "notices-to-watchers", day), size: noticesToWatchers}}
	}
	for _, of := range budgets {
		of.ends = day.Add(24 * time.Hour)
		switch _, err := s.Store.Count(ctx, store.Key{Partition: of.partition, Sort: sortSent}, 1, of.size, of.kept()); {
		case errors.Is(err, store.ErrFull):
			return of.name, nil
		case err != nil:
			return "", err
		}
	}
	return "", nil
}

// prefixPartition is where the messages to the prefix of a number are counted in the hour of sent.
func prefixPartition(r route, number string, sent time.Time) string {
	digits := strings.TrimPrefix(number, "+")
	return countPartition(r, "hour-of-prefix#"+digits[:min(prefixDigits, len(digits))], sent.Truncate(time.Hour))
}

// look reads what the budgets are judged by, before anything is counted.
func (b *sharedBudgets) look(ctx context.Context) {
	b.unread = b.each(func(of *sharedBudget) (err error) {
		of.returned, err = of.read(ctx, b.store, sortReturned)
		return err
	}, func(of *sharedBudget) (err error) {
		if of.conversion > 0 && of.conversion < never {
			of.answered, err = of.read(ctx, b.store, sortAnswered)
		}
		return err
	})
}

func (of *sharedBudget) read(ctx context.Context, from store.Store, sort string) (int64, error) {
	return from.Count(ctx, store.Key{Partition: of.partition, Sort: sort}, 0, 0, of.kept())
}

// room is how many messages can be in the budget, returned ones included.
func (of *sharedBudget) room() int64 {
	size := of.size
	switch {
	case of.conversion == 0:
		size = boundless
	case of.conversion < never:
		size = max(size, of.answered*100/of.conversion)
	}
	return size + of.returned
}

// spend counts a message in all budgets. If some have no room for it, spend returns the one that is the last to have room. It
// returns an error if a budget could not be asked. In both cases giveBack has to follow.
func (b *sharedBudgets) spend(ctx context.Context) (full *sharedBudget, err error) {
	if b.unread != nil {
		return nil, b.unread
	}
	var mu sync.Mutex
	err = b.each(func(of *sharedBudget) error {
		_, err := b.store.Count(ctx, store.Key{Partition: of.partition, Sort: sortSent}, 1, of.room(), of.kept())
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			of.counted = true
		case errors.Is(err, store.ErrFull):
			if err = nil; full == nil || of.ends.After(full.ends) {
				full = of
			}
		}
		return err
	})
	return full, err
}

// giveBack takes a message that was not sent out of the budgets that it is counted in.
func (b *sharedBudgets) giveBack(ctx context.Context) error {
	return b.each(func(of *sharedBudget) error {
		if !of.counted {
			return nil
		}
		of.counted = false
		_, err := b.store.Count(ctx, store.Key{Partition: of.partition, Sort: sortReturned}, 1, boundless, of.kept())
		return err
	})
}

// each does some work for each budget, all at the same time.
func (b *sharedBudgets) each(works ...func(*sharedBudget) error) error {
	errs := make([]error, len(b.of)*len(works))
	var all sync.WaitGroup
	for i := range b.of {
		for j, work := range works {
			all.Go(func() { errs[i*len(works)+j] = work(&b.of[i]) })
		}
	}
	all.Wait()
	return errors.Join(errs...)
}

// countMargin is how long a count is kept after the hour or day that it is of. Answers may come, and be counted, after the
// end of the hour in which their code was sent.
const countMargin = 2 * time.Hour

func (of *sharedBudget) kept() time.Time { return of.ends.Add(countMargin) }

// countAnswer counts a code that was answered. If that fails, or is handed on twice, a prefix is judged a little worse or
// better than it is.
func (s *Service) countAnswer(ctx context.Context, partition string) error {
	key := store.Key{Partition: partition, Sort: sortAnswered}
	_, err := s.Store.Count(ctx, key, 1, boundless, s.Now().UTC().Add(countMargin))
	return err
}
