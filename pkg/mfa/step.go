package mfa

import (
	"context"
	"countersign/pkg/apikey"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"errors"
)

// mostTries is how often one call is decided before it is busy.
const mostTries = 12

// A step is one call: what it reads, and how it decides. decide runs again, on fresh reads, when its commit lost a race.
// It only looks and plans: whatever it wants written it gives to the unit, and nothing of its answer leaves before that
// is committed (law 2).
type step[T any] struct {
	scope   apikey.Scope // what an API key needs; empty: API keys can't do this
	orScope apikey.Scope // or this one; empty: no other
	org     string       // that an API key limited to one org must be for; empty: the id in the path says
	bearer  string       // the prefix of the bearers that may do it too, decide checks which; empty: none
	named   *named       // the challenge or enrolment that the path names; nil: it names none
	reads   []read
	admits  func(*caller) error // what else it asks of a caller, remembered answer or not; nil: nothing
	decide  func(*unit) (T, error)

	// Of a step that may have a code sent, which decide leaves in the unit:
	unsent func(T, ErrorCode) T // the answer where it isn't said that the code was sent, for that reason
	strict bool                 // a hand-over that failed is the failure of the step
}

// named is a challenge or an enrolment that a path names.
type named struct {
	at        route         // that its id carries; empty: it is no id of ours
	challenge string        // its id, where it is a challenge
	missing   func() *Error // the answer to a caller who has no such thing
}

// run judges the bearer before anything is read: what a stranger hears, and after what time, depends on no user.
func run[T any](ctx context.Context, s *Service, call Call, st step[T]) (T, error) {
	var none T
	keeper := s.Filter
	if keeper == nil {
		keeper = &apikey.FilterKeeper{Store: s.Store}
	}
	filter, err := keeper.Filter(ctx)
	if err != nil {
		return none, AsError(err)
	}
	who, err := authenticate(filter, call, &st)
	if err != nil {
		return none, err
	}
	ring, err := s.Keys.Ring(ctx)
	if err != nil {
		return none, AsError(err)
	}
	u := &unit{s: s, ctx: ctx, filter: filter, caller: who}
	for try := 1; try <= mostTries; try++ {
		if try > 1 {
			if err := s.pause(ctx, try-1); err != nil {
				return none, AsError(err)
			}
		}
		u.begin(ring)
		answer, err := once(ctx, u, call, st)
		switch {
		case isConflict(err):
			continue
		case errors.Is(err, seal.ErrUnknownKey) && !u.reloaded:
			u.reloaded = true
			if ring, err = s.Keys.Reload(ctx); err != nil {
				return none, AsError(err)
			}
			continue
		case errors.Is(err, seal.ErrUnknownKey):
			return none, AsError(err)
		case err == nil && u.out != nil:
			return handOver(u, st, answer)
		}
		return answer, err
	}
	return none, refuse(Busy, "There are too many calls at once for this user. Try again.")
}

// once reads, decides and commits, one time. What it answers has been committed.
func once[T any](ctx context.Context, u *unit, call Call, st step[T]) (T, error) {
	var none T
	who := u.caller
	replay, err := u.replay(call, who)
	if err != nil {
		return none, err
	}
	reads := append([]read{who.readKey(), replay.read()}, st.reads...)
	if err := readAll(ctx, u.s.Store, reads...); err != nil {
		return none, AsError(err)
	}
	if err := who.check(); err != nil {
		return none, err
	}
	if who.key != nil {
		u.client = who.key.Name
	}
	if st.admits != nil {
		if err := st.admits(who); err != nil {
			return none, err
		}
	}
	if err := replay.earlier(u, st.named); err != nil {
		return none, err
	}
	answer, decided := st.decide(u)
	var refused *Error
	if decided != nil && !errors.As(decided, &refused) {
		if errors.Is(decided, seal.ErrUnknownKey) || isConflict(decided) {
			return none, decided
		}
		return none, AsError(decided) // it broke; whatever it had planned is not to be written
	}
	known := answer
	if refused == nil && u.out != nil {
		known = st.unsent(answer, DeliveryUnknown)
	}
	if err := replay.remember(u, known, refused); err != nil {
		if isConflict(err) {
			return none, err
		}
		return none, AsError(err)
	}
	u.replayed = replay
	if err := u.commit(ctx); err != nil {
		if isConflict(err) {
			return none, err
		}
		return none, AsError(err)
	}
	if refused != nil {
		return answer, refused
	}
	return answer, nil
}

func (s *Service) pause(ctx context.Context, try int) error {
	if s.Pause == nil {
		return store.Wait(ctx, store.Backoff(try))
	}
	return store.Wait(ctx, s.Pause(try))
}
