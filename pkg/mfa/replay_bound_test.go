package mfa_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/bolt"
	"countersign/pkg/store/storetest"
)

// remembering is a store that records which items with remembered answers were written to it.
type remembering struct {
	store.Store
	mu    sync.Mutex
	items map[store.Key]bool
}

func (r *remembering) Commit(ctx context.Context, token store.Version, writes ...store.Write) error {
	err := r.Store.Commit(ctx, token, writes...)
	for _, w := range writes {
		if err == nil && !w.Delete && strings.HasPrefix(w.Key.Partition, "idem#") {
			r.mu.Lock()
			r.items[w.Key] = true
			r.mu.Unlock()
		}
	}
	return err
}

// bounded makes a world with a policy of this profile, whose store counts the remembered answers.
func bounded(t *testing.T, profile string, change func(*mfa.Policy)) (*mfatest.World, *remembering) {
	t.Helper()
	clock := storetest.NewClock(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	db, err := bolt.Open(filepath.Join(t.TempDir(), "countersign.db"), bolt.Options{Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	counted := &remembering{Store: db, items: map[store.Key]bool{}}
	w := mfatest.Over(t, counted, db, clock)
	w.SetPolicy(t, org, profile, change)
	return w, counted
}

// flood makes the calls again and again for as long as a challenge can last, each time with another Idempotency-Key. It
// returns how many answers were remembered.
func flood(w *mfatest.World, answers *remembering, calls ...func(with func(mfa.Call) mfa.Call)) int {
	before, n := len(answers.items), 0
	for range 300 {
		for _, call := range calls {
			n++
			call(func(c mfa.Call) mfa.Call { return keyed(c, "/", fmt.Sprint(n), "{}") })
		}
		w.Clock.Advance(3 * time.Second)
	}
	return len(answers.items) - before
}

func TestWhatOneChallengesTokenCanHaveRememberedIsBounded(t *testing.T) {
	w, answers := bounded(t, "kls", nil)
	ch := started(t, w, ana())
	own := mfa.Call{Bearer: ch.Token.Reveal()}
	code := mfatest.Wrong(w.Outbox.Code(t, mail))
	send := func(factor string) func(func(mfa.Call) mfa.Call) {
		return func(with func(mfa.Call) mfa.Call) {
			w.SendCode(t.Context(), with(own), mfa.SendRequest{Challenge: ch.ID, Factor: factor})
		}
	}
	got := flood(w, answers, send("fa_nobodys"), send(""),
		func(with func(mfa.Call) mfa.Call) {
			w.Verify(t.Context(), with(own), mfa.VerifyRequest{Challenge: ch.ID, Factor: "fa_nobodys", Answer: mfa.Answer{Code: code}})
		},
		func(with func(mfa.Call) mfa.Call) {
			w.Recover(t.Context(), with(own), mfa.RecoverRequest{Challenge: ch.ID, Code: seal.NewSecret(strings.Repeat("A", 24))})
		},
	)
	again := profile(t, "kls").Challenge.Sends - 1 // the client's own call sent the first code
	if got != again {
		t.Errorf("got %d remembered answers, want the %d sends", got, again)
	}
	if got := len(events(t, w, mfa.ChallengeFailed)); got != 0 {
		t.Errorf("%d answers were compared, want none", got)
	}
}

func TestWhatAnEnrolmentTokenCanHaveRememberedIsBounded(t *testing.T) {
	w, answers := bounded(t, "default", func(p *mfa.Policy) {
		everyone(p)
		p.EnrolmentProof, p.Challenge.WindowS = "none", 900
	})
	_, first := mustEnrol(t, w, ana())
	_, second := mustEnrol(t, w, ana()) // belongs to another sign-in, so that the enrolments that it begins replace those of the first one
	begins := map[mfa.ErrorCode]int{}
	var id string
	begin := func(call mfa.Call, kind mfa.Kind) func(func(mfa.Call) mfa.Call) {
		return func(with func(mfa.Call) mfa.Call) {
			answer, err := w.BeginEnrolment(t.Context(), with(call), mfa.EnrolRequest{Kind: kind})
			if err == nil {
				id = answer.ID
				begins[""]++
			} else {
				begins[mfa.AsError(err).Code]++
			}
		}
	}
	got := flood(w, answers,
		begin(first, mfa.TOTP), begin(second, mfa.TOTP), begin(first, mfa.Email), begin(first, mfa.SMS),
		func(with func(mfa.Call) mfa.Call) { w.SendEnrolment(t.Context(), with(first), id) },
		func(with func(mfa.Call) mfa.Call) {
			w.FinishEnrolment(t.Context(), with(first), mfa.FinishRequest{Enrolment: id, Answer: mfa.Answer{Code: seal.NewSecret("000000")}})
		},
		func(with func(mfa.Call) mfa.Call) {
			w.ProveAddress(t.Context(), with(first), mfa.ProveRequest{Code: seal.NewSecret("000000")})
		},
	)
	// The limits are 20 beginnings, and 10 emails an hour.
	if begins[""] != 20 || begins[mfa.TooManyRequests] == 0 || got < 20 || got > 30 {
		t.Errorf("got %d remembered answers of begins %v, want 20 begins and at most 30 answers", got, begins)
	}
}

func TestBeginningTooOftenEndsWithTheTokensThatDid(t *testing.T) {
	w, _ := bounded(t, "default", func(p *mfa.Policy) {
		everyone(p)
		p.EnrolmentProof, p.Challenge.WindowS = "none", 900
	})
	_, call := mustEnrol(t, w, ana())
	q := mfa.EnrolRequest{Kind: mfa.TOTP}
	w.Clock.Advance(time.Minute)
	for range 20 {
		if _, err := w.BeginEnrolment(t.Context(), call, q); err != nil {
			t.Fatal(err)
		}
	}
	_, err := w.BeginEnrolment(t.Context(), call, q)
	wantCode(t, err, mfa.TooManyRequests)
	if got := mfa.AsError(err).RetryAfter; got != 14*time.Minute {
		t.Errorf("got a wait of %s, want until the token ends, in 14m", got)
	}
	w.Clock.Advance(13 * time.Minute) // the enrolment is over, but not its token
	_, err = w.BeginEnrolment(t.Context(), call, q)
	wantCode(t, err, mfa.TooManyRequests)
	if _, err := w.BeginEnrolment(t.Context(), w.Fresh(), mfa.EnrolRequest{Org: org, User: &mfa.Person{ID: user}, Kind: mfa.TOTP}); err != nil {
		t.Errorf("with an API key: got %v, want it begun", err)
	}
	_, err = w.BeginEnrolment(t.Context(), call, q)
	wantCode(t, err, mfa.TooManyRequests)
	w.Clock.Advance(time.Minute + 10*time.Minute) // the last enrolment is over too
	_, again := mustEnrol(t, w, ana())
	if _, err := w.BeginEnrolment(t.Context(), again, q); err != nil {
		t.Errorf("in a later sign-in: got %v, want it begun", err)
	}
}
