package mfa

import (
	"context"
	"errors"

	"countersign/pkg/apikey"
	"countersign/pkg/seal"
	"countersign/pkg/store"
)

// mostTries is how often a call is decided before its answer is Busy.
const mostTries = 12

// A step is one call of the API: what it reads, and how it decides. decide only reads and plans. It gives the unit what it
// wants written, and nothing of its answer leaves before that is committed (law 2). If the commit loses a race, decide runs
// again, on fresh reads.
type step[T any] struct {
	scope   apikey.Scope // the scope that an API key needs; empty if API keys can't make this call
	orScope apikey.Scope // another scope that is enough; empty if there is none
	org     string       // an API key that is limited to an org must be limited to this one; empty if the id in the path says which
	bearer  string       // the prefix of other bearers that may make this call, of which decide checks which one may; empty if none may
	portal  portalUse    // which portal sessions may make this call; zero if none may
	about   route        // the user whose own portal session may make this call; empty if the id in the path says which, or the session
	named   *named       // the challenge or enrolment that the path names; nil if it names none
	reads   []read
	looks   bool                // the step says what another step would do, and commits nothing
	admits  func(*caller) error // refuses a caller, even if an answer is remembered; nil if nothing more is asked of callers
	decide  func(*unit) (T, error)

	// For a step that may send a code, which decide leaves in the unit:
	unsent func(T, *Error) T // turns the answer into one which doesn't say that the code was sent, but gives the reason
	strict bool              // the step fails if the hand-over of the code fails
}

// A named is the challenge, the enrolment or the request for a reset that a path names.
type named struct {
	at        route         // the route that its id carries; empty if the id was not made here
	challenge string        // its id, if it is a challenge
	reset     string        // its id, if it is a request for a reset
	missing   func() *Error // makes the answer to a caller for whom there is no such challenge or enrolment
}

// run carries out a step. It judges the bearer before it reads anything about a user or an org. So what a stranger gets as
// an answer, and after what time, depends on no user.
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
	defer s.noteUse(ctx, who)
	u := &unit{s: s, ctx: ctx, filter: filter, caller: who}
	if who.carried == nil {
		u.origin = call.Origin
	}
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

// once reads, decides and commits, one time. When it returns an answer, that answer has been committed.
func once[T any](ctx context.Context, u *unit, call Call, st step[T]) (T, error) {
	var none T
	who := u.caller
	replay, err := u.replay(call, who)
	if err != nil {
		return none, err
	}
	reads := append([]read{who.readKey(), replay.read()}, st.reads...)
	reads = append(reads, u.s.readSession(who)...)
	if err := readAll(ctx, u.s.Store, reads...); err != nil {
		return none, AsError(err)
	}
	if err := who.check(u.ring.Epoch()); err != nil {
		return none, err
	}
	for _, r := range reads {
		if r.follow == nil {
			continue
		}
		if err := r.follow(u.ring.Epoch()); errors.Is(err, seal.ErrUnknownKey) {
			return none, err
		} else if err != nil {
			return none, AsError(err)
		}
	}
	if err := who.checkSession(u, reads); err != nil {
		return none, err
	}
	if settles(u, reads, st.named, st.looks) {
		if err := u.commit(ctx); err != nil && !isConflict(err) {
			return none, AsError(err)
		}
		u.versions = u.versions[:len(u.versions)-1] // a reset that was due is not what the caller asks for
		return none, errSettled
	}
	u.client = who.grant().Name
	if err := u.administratorSteppedUp(call, st.portal); err != nil {
		return none, err
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
		return none, AsError(decided) // decide has failed, so nothing that it planned is written
	}
	known := answer
	if refused == nil && u.out != nil {
		known = st.unsent(answer, &Error{Code: DeliveryUnknown})
	}
	if err := replay.remember(u, known, refused); err != nil {
		if isConflict(err) {
			return none, err
		}
		return none, AsError(err)
	}
	u.replayed = replay
	if err := u.commitCode(ctx); err != nil {
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

// noteUse notes that a good API key was used today. It comes after the commit and changes no answer, not even if it fails.
func (s *Service) noteUse(ctx context.Context, who *caller) {
	if s.Uses == nil || who.key == nil {
		return
	}
	if err := s.Uses.Note(ctx, who.hash); err != nil {
		s.log().WarnContext(ctx, "the day of a use of an API key could not be noted", "error", err)
	}
}

func (s *Service) pause(ctx context.Context, try int) error {
	if s.Pause == nil {
		return store.Wait(ctx, store.Backoff(try))
	}
	return store.Wait(ctx, s.Pause(try))
}
