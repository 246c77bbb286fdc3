package mfa

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/message"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// A Service answers the calls of this package. Its fields are set before the first call and not changed after it.
type Service struct {
	Store  store.Store
	Keys   seal.Keeper
	Filter *apikey.FilterKeeper // nil: every call reads the filter key of its bearer from Store
	Mail   Mailer
	Bus    Bus
	Now    func() time.Time

	Issuer string // the deployment's base URL: the tokens' iss, and what messages link to
	Sender string // the name under which messages go out for clients without one of their own; empty: Countersign

	Log *slog.Logger // nil: nothing is logged

	// Pause is how long to wait before a call that lost a race decides again, the first time with try 1.
	// Nil: store.Backoff.
	Pause func(try int) time.Duration
}

// A Mailer hands email over to a provider. It answers when the provider has taken the message, or with an error that
// says nothing of what the message said. The error wraps ErrNotTaken where the provider surely didn't take the message.
type Mailer interface {
	SendMail(ctx context.Context, m message.Message) error
}

// ErrNotTaken is wrapped by the error of a Mailer whose provider surely didn't take the message: no connection came about,
// or the provider refused it. A message whose answer was lost, or whose provider failed with it, may have been taken.
var ErrNotTaken = errors.New("mfa: the message was surely not taken")

// A Bus takes events for programs, at least once each.
type Bus interface {
	PutEvents(ctx context.Context, events []activity.Event) error
}

// A Call is how a request came in, as the door saw it.
type Call struct {
	Bearer string  // from the Authorization header; empty: none
	Replay *Replay // from the Idempotency-Key header; nil: none

	// How fresh the person is, for calls that change somebody's account.
	Reauthenticated string      // from Countersign-Reauthenticated-At: when the password was last checked, RFC 3339
	Proof           seal.Secret // from Countersign-Proof: the token of a step-up
}

// A Replay asks that a call with the same Idempotency-Key does its work once.
type Replay struct {
	Method, Path string
	Key          string
	Body         []byte

	// Encode turns the outcome into the bytes that will be given out again: full for as long as what is shown once may
	// be repeated, later without it.
	Encode func(answer any, err *Error) (full, later []byte, encodeErr error)
}

// A Remembered is the outcome of an earlier call with the same Idempotency-Key. It comes as an error, since it takes
// the place of the answer: the door writes Answer out as it is.
type Remembered struct{ Answer []byte }

// Error says that the answer is an earlier one.
func (*Remembered) Error() string { return "the answer is a remembered one" }

const (
	mostTries    = 12 // decisions on one call before it is busy
	shownFor     = 10 * time.Minute
	rememberFor  = 24 * time.Hour
	replayedSize = 1 << 10 // longest Idempotency-Key, bytes
)

// A step is one call: what it reads, and how it decides. decide runs again, on fresh reads, when its commit lost a race.
// It only looks and plans: whatever it wants written it gives to the unit, and nothing of its answer leaves before that
// is committed (law 2).
type step[T any] struct {
	scope  apikey.Scope // what an API key needs; empty: API keys can't do this
	or     apikey.Scope // or this one; empty: no other
	org    string       // that an API key limited to one org must be for; empty: the id in the path says
	token  string       // the prefix of the bearers that may do it too, decide checks which; empty: none
	named  *named       // the challenge or enrolment that the path names; nil: it names none
	reads  []read
	admits func(*caller) error // what else it asks of a caller, remembered answer or not; nil: nothing
	decide func(*unit) (T, error)

	// Of a step that may have a code sent, which decide leaves in the unit:
	unsent func(T, Code) T // the answer where it isn't said that the code was sent, for that reason
	strict bool            // a hand-over that failed is the failure of the step
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

// A unit is one try at one call: the moment it is decided at, and what it wants committed.
type unit struct {
	s        *Service
	ctx      context.Context
	filter   *seal.Filter
	ring     *seal.Ring
	reloaded bool
	now      time.Time // in UTC, whole microseconds
	caller   *caller
	client   string       // the name of the client whose call this is, or whose challenge it is about; empty: the client has none
	known    bool         // decide has seen that the bearer, which is no API key, belongs to what it is for
	needs    apikey.Scope // the only scope with which an API key may make this call; empty: any that the step takes

	codes []seal.Secret // recovery codes made for this call, by whichever try came to it first
	out   *outgoing     // the code that is to be handed over once this is committed; nil: none

	replayed *replay // of the call's Idempotency-Key; nil: it has none

	token  store.Version
	tokens []store.Version // of all tries of this call, this one's included
	writes []store.Write
	events []carried
	sums   []sum
	waits  time.Time // when there will be room for what waits to be told; zero: nothing new waits
	told   *guard    // of the user whom sums and waits are about
	err    error
}

func (u *unit) begin(ring *seal.Ring) {
	u.ring = ring
	u.now = u.s.Now().UTC().Truncate(time.Microsecond)
	u.token = store.NewVersion()
	u.tokens = append(u.tokens, u.token)
	u.writes, u.events, u.err, u.needs = nil, nil, nil, ""
	u.sums, u.waits, u.told = nil, time.Time{}, nil
	u.out, u.replayed, u.client = nil, nil, ""
}

// put writes r over item. expires zero: never.
func (u *unit) put(item store.Item, r record.Record, expires time.Time) {
	body, err := record.Encode(r)
	if err != nil {
		u.err = errors.Join(u.err, err)
	}
	u.writes = append(u.writes, store.Write{Key: item.Key, Expect: item.Version, Body: body, Expires: expires})
}

func (u *unit) delete(item store.Item) {
	u.writes = append(u.writes, store.Write{Key: item.Key, Expect: item.Version, Delete: true})
}

// event records what this commit makes true. It rides on one of the commit's puts.
func (u *unit) event(e carried) *carried {
	e.ID = newEventID()
	e.Time = u.now
	if e.Actor == (activity.Actor{}) && u.caller != nil {
		e.Actor = u.caller.actor(e.User)
	}
	if e.Data == nil {
		e.Data = map[string]any{}
	}
	if e.User != "" && e.Life == "" {
		u.err = errors.Join(u.err, errors.New("an event about a user that names no life: "+e.Type))
	}
	u.events = append(u.events, e)
	return &u.events[len(u.events)-1]
}

func (u *unit) commit(ctx context.Context) error {
	if u.err != nil {
		return u.err
	}
	if len(u.writes) == 0 {
		return nil
	}
	events, err := u.manifest()
	if err != nil {
		return err
	}
	for i := range u.writes {
		if !u.writes[i].Delete {
			u.writes[i].Events = events
			break
		}
	}
	return store.Settle(ctx, u.s.Store, u.s.Pause, u.token, u.writes...)
}

func (s *Service) log() *slog.Logger {
	if s.Log != nil {
		return s.Log
	}
	return slog.New(slog.DiscardHandler)
}
