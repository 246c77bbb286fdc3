package mfa_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store/fault"
)

// A cost is what a step asks of the store: round trips in sequence, where reads side by side are one, and items written.
type cost struct{ rounds, items int }

// The table "One step, counted" of the project's measures. It fails when a step grows, and when it shrinks: then the
// table is to be brought up to date.
func TestAStepCostsWhatTheTableSays(t *testing.T) {
	starting := func(t *testing.T, w *mfatest.World, q mfa.StartRequest) func() error {
		return func() error {
			_, err := w.StartChallenge(t.Context(), w.Client, q)
			return err
		}
	}
	answering := func(t *testing.T, w *mfatest.World, change func(seal.Secret) seal.Secret, trust bool, want mfa.ErrorCode) func() error {
		ch := started(t, w, ana())
		code := change(w.Outbox.Code(t, mail))
		return func() error {
			_, err := verify(t, w, ch.ID, code, trust)
			if want != "" && mfa.AsError(err).Code == want {
				return nil
			}
			return err
		}
	}
	right := func(code seal.Secret) seal.Secret { return code }
	wantCosts(t, func(t *testing.T) *mfatest.World { return kls(t, nil) }, map[string]costed{
		"start, not asked": {cost{1, 0}, func(t *testing.T, w *mfatest.World) func() error {
			w.SetPolicy(t, org, "default", nil)
			started := starting(t, w, ana())
			if err := started(); err != nil {
				t.Fatal(err)
			}
			return started
		}},
		"start, not asked, at first sight": {cost{2, 2}, func(t *testing.T, w *mfatest.World) func() error {
			w.SetPolicy(t, org, "default", nil)
			return starting(t, w, ana())
		}},
		"start, through SSO": {cost{1, 0}, func(t *testing.T, w *mfatest.World) func() error {
			put(t, w, ana().User)
			q := ana()
			q.FirstFactor.Kind = "sso"
			return starting(t, w, q)
		}},
		"start, trusted without rotation": {cost{1, 0}, func(t *testing.T, w *mfatest.World) func() error {
			w.SetPolicy(t, org, "kls", func(p *mfa.Policy) { p.Trust.Rotate = false })
			return starting(t, w, with(trusted(t, w)))
		}},
		"start, trusted and rotated": {cost{2, 1}, func(t *testing.T, w *mfatest.World) func() error {
			return starting(t, w, with(trusted(t, w)))
		}},
		"start, trusted, the answer before was lost": {cost{1, 0}, func(t *testing.T, w *mfatest.World) func() error {
			token := trusted(t, w)
			used(t, w, token)
			return starting(t, w, with(token))
		}},
		"start, by email": {cost{2, 2}, func(t *testing.T, w *mfatest.World) func() error {
			put(t, w, ana().User)
			return starting(t, w, ana())
		}},
		"start, by email, at first sight": {cost{2, 3}, func(t *testing.T, w *mfatest.World) func() error {
			return starting(t, w, ana())
		}},
		"start, by email, over the limit": {cost{2, 1}, func(t *testing.T, w *mfatest.World) func() error {
			for range 10 {
				started(t, w, ana())
			}
			return starting(t, w, ana())
		}},
		"start, locked": {cost{1, 0}, func(t *testing.T, w *mfatest.World) func() error {
			lock(t, w)
			return func() error {
				if _, err := w.StartChallenge(t.Context(), w.Client, ana()); mfa.AsError(err).Code != mfa.Locked {
					return err
				}
				return nil
			}
		}},
		"decide": {cost{1, 0}, func(t *testing.T, w *mfatest.World) func() error {
			return func() error {
				_, err := w.Decide(t.Context(), w.Client, ana())
				return err
			}
		}},
		"send again, by email": {cost{2, 2}, func(t *testing.T, w *mfatest.World) func() error {
			ch := started(t, w, ana())
			w.Clock.Advance(30 * time.Second)
			return func() error {
				_, err := send(t, w, ch.ID)
				return err
			}
		}},
		"verify, right": {cost{2, 1}, func(t *testing.T, w *mfatest.World) func() error {
			return answering(t, w, right, false, "")
		}},
		"verify, wrong": {cost{2, 1}, func(t *testing.T, w *mfatest.World) func() error {
			return answering(t, w, mfatest.Wrong, false, mfa.WrongCode)
		}},
		"verify, the wrong one that locks": {cost{2, 1}, func(t *testing.T, w *mfatest.World) func() error {
			wrongs(t, w, started(t, w, ana()).ID, 5)
			wrongs(t, w, started(t, w, ana()).ID, 4)
			return answering(t, w, mfatest.Wrong, false, mfa.WrongCode)
		}},
		"verify with trust": {cost{2, 3}, func(t *testing.T, w *mfatest.World) func() error {
			return answering(t, w, right, true, "")
		}},
		"verify, locked": {cost{1, 0}, func(t *testing.T, w *mfatest.World) func() error {
			step := answering(t, w, right, false, mfa.Locked)
			lock(t, w)
			return step
		}},
		"look": {cost{1, 0}, func(t *testing.T, w *mfatest.World) func() error {
			ch := started(t, w, ana())
			return func() error {
				_, err := w.LookAtChallenge(t.Context(), w.Client, ch.ID)
				return err
			}
		}},
		"put a user, unchanged": {cost{1, 0}, func(t *testing.T, w *mfatest.World) func() error {
			put(t, w, ana().User)
			return func() error {
				_, err := w.PutUser(t.Context(), w.Client, org, ana().User)
				return err
			}
		}},
		"put a user, another email": {cost{2, 1}, func(t *testing.T, w *mfatest.World) func() error {
			put(t, w, ana().User)
			return func() error {
				_, err := w.PutUser(t.Context(), w.Client, org, mfa.Person{ID: user, Email: mfa.Some("ana@other.example")})
				return err
			}
		}},
		"put a policy": {cost{2, 2}, func(t *testing.T, w *mfatest.World) func() error {
			version := 1
			p := profile(t, "kls")
			p.Trust.Days = 7
			return func() error {
				_, err := w.PutPolicy(t.Context(), w.Client, org, mfa.PolicyChange{Policy: p, Version: &version})
				return err
			}
		}},
		"send again, by email, with an Idempotency-Key": {cost{3, 4}, func(t *testing.T, w *mfatest.World) func() error {
			ch := started(t, w, ana())
			w.Clock.Advance(30 * time.Second)
			return func() error {
				_, err := w.SendCode(t.Context(), keyed(w.Client, "/s", "k", "{}"), mfa.SendRequest{Challenge: ch.ID})
				return err
			}
		}},
		"start, by email, with an Idempotency-Key": {cost{3, 4}, func(t *testing.T, w *mfatest.World) func() error {
			put(t, w, ana().User)
			return func() error {
				_, err := w.StartChallenge(t.Context(), keyed(w.Client, "/a", "k", "{}"), ana())
				return err
			}
		}},
		"start, not asked, with an Idempotency-Key": {cost{2, 1}, func(t *testing.T, w *mfatest.World) func() error {
			w.SetPolicy(t, org, "default", nil)
			put(t, w, ana().User)
			return func() error {
				_, err := w.StartChallenge(t.Context(), keyed(w.Client, "/a", "k", "{}"), ana())
				return err
			}
		}},
		"verify with trust, with an Idempotency-Key": {cost{2, 4}, func(t *testing.T, w *mfatest.World) func() error {
			ch := started(t, w, ana())
			code := w.Outbox.Code(t, mail)
			return func() error {
				_, err := w.Verify(t.Context(), keyed(w.Client, "/v", "k", "{}"), mfa.VerifyRequest{Challenge: ch.ID, Answer: mfa.Answer{Code: code}, Trust: &mfa.TrustChoice{}})
				return err
			}
		}},
	})
}

// A costed step has its cost, and prepare that brings a world to where the step is next.
type costed struct {
	want    cost
	prepare func(t *testing.T, w *mfatest.World) func() error
}

func wantCosts(t *testing.T, world func(*testing.T) *mfatest.World, steps map[string]costed) {
	t.Helper()
	for name, c := range steps {
		t.Run(name, func(t *testing.T) {
			w := world(t)
			step := c.prepare(t, w)
			w.Faults.Reset()
			if err := step(); err != nil {
				t.Fatal(err)
			}
			asked := w.Faults.Counts()
			if asked.Get > 1 || asked.Query > 1 {
				t.Errorf("got %d requests for single items and %d for partitions, want 1 of each at most", asked.Get, asked.Query)
			}

			// Again, with every read held until all of them have begun: reads that wait for each other never end.
			w = world(t)
			step = c.prepare(t, w)
			meet(w, asked.Get+asked.Query)
			w.Faults.Reset()
			if err := step(); err != nil {
				t.Fatalf("with %d reads side by side: %v", asked.Get+asked.Query, err)
			}
			counts := w.Faults.Counts()
			if got := (cost{counts.Rounds, counts.Items}); got != c.want {
				t.Errorf("got %d round trips in sequence and %d items written, want %d and %d", got.rounds, got.items, c.want.rounds, c.want.items)
			}
			if commits := c.want.rounds - 1; counts.Commit > commits || counts.Count > 0 {
				t.Errorf("got %+v, want %d commits at most", counts, commits)
			}
		})
	}
}

// meet holds each of the next n reads until all n have begun, or for so long that they can't be side by side.
func meet(w *mfatest.World, n int) {
	var all sync.WaitGroup
	all.Add(n)
	begun := make(chan struct{})
	go func() {
		all.Wait()
		close(begun)
	}()
	hold := fault.Fault{Before: func(ctx context.Context) error {
		all.Done()
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		select {
		case <-begun:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}}
	w.Faults.Inject(fault.Get, n, hold)
	w.Faults.Inject(fault.Query, n, hold)
}

func TestALargeAccountIsReadInOneRoundTrip(t *testing.T) {
	w := kls(t, func(p *mfa.Policy) { p.Trust.Cap = 50 })
	var token seal.Secret
	for range 50 {
		token = trusted(t, w)
		w.Clock.Advance(time.Hour)
	}
	w.Faults.Reset()
	used(t, w, token)
	if got := w.Faults.Counts(); got.Query != 1 || got.Get != 1 || got.Commit != 1 {
		t.Errorf("got %+v, want 1 query, 1 get, 1 commit", got)
	}
}

// The single items that a step reads beside the account: its API key, the policy, the challenge, the remembered answer.
func TestTheSingleItemsOfAStepAreOneRequest(t *testing.T) {
	w := kls(t, nil)
	wants := func(what string, keys int, step func() error) {
		t.Helper()
		w.Faults.Reset()
		if err := step(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if got := w.Faults.Counts(); got.Get != 1 || got.Keys != keys || got.Query != 1 {
			t.Errorf("%s: got %+v, want 1 get of %d keys beside 1 query", what, got, keys)
		}
	}
	var ch *mfa.ChallengeToAnswer
	wants("start: API key, policy", 2, func() error {
		answer, err := w.StartChallenge(t.Context(), w.Client, ana())
		ch = answer.Challenge
		return err
	})
	wants("look: API key, policy, challenge", 3, func() error {
		_, err := w.LookAtChallenge(t.Context(), w.Client, ch.ID)
		return err
	})
	wants("send again, with the challenge's own token: policy, challenge", 2, func() error {
		w.Clock.Advance(time.Minute)
		_, err := w.SendCode(t.Context(), mfa.Call{Bearer: ch.Token.Reveal()}, mfa.SendRequest{Challenge: ch.ID})
		return err
	})
	wants("verify with an Idempotency-Key: API key, answer, policy, challenge", 4, func() error {
		_, err := w.Verify(t.Context(), keyed(w.Client, "/v", "k", "{}"), mfa.VerifyRequest{Challenge: ch.ID, Answer: mfa.Answer{Code: w.Outbox.Code(t, mail)}})
		return err
	})
}
