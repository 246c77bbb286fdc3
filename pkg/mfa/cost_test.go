package mfa_test

import (
	"context"
	"maps"
	"sync"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store/fault"
)

// costed prepares a world for a step, and returns the step.
type costed func(t *testing.T, w *mfatest.World) func() error

func TestAStepCostsWhatTheTableSays(t *testing.T) {
	byEmail, byFactor, bySMS := costedSteps(), costedFactorSteps(), costedTextSteps()
	maps.Copy(byFactor, costedKeySteps())
	for _, row := range mfatest.Costs() {
		t.Run(row.Step, func(t *testing.T) {
			switch prepare, other, text := byEmail[row.Step], byFactor[row.Step], bySMS[row.Step]; {
			case text != nil:
				wantCost(t, row, func() *mfatest.World { return texting(t, nil) }, text)
			case prepare != nil:
				wantCost(t, row, func() *mfatest.World { return kls(t, nil) }, prepare)
			case other != nil:
				wantCost(t, row, func() *mfatest.World {
					w := mfatest.New(t)
					w.SetPolicy(t, org, "default", nil)
					put(t, w, ana().User)
					return w
				}, other)
			default:
				t.Error("nothing counts this step")
			}
		})
	}
	if got, want := len(byEmail)+len(byFactor)+len(bySMS), len(mfatest.Costs()); got != want {
		t.Errorf("%d steps are counted, and the table has %d", got, want)
	}
}

// costedSteps are the steps under the policy of kls.
func costedSteps() map[string]costed {
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
	return map[string]costed{
		"start, not asked": func(t *testing.T, w *mfatest.World) func() error {
			w.SetPolicy(t, org, "default", nil)
			started := starting(t, w, ana())
			if err := started(); err != nil {
				t.Fatal(err)
			}
			return started
		},
		"start, not asked, a user's first sight": func(t *testing.T, w *mfatest.World) func() error {
			w.SetPolicy(t, org, "default", nil)
			return starting(t, w, ana())
		},
		"start, through SSO": func(t *testing.T, w *mfatest.World) func() error {
			put(t, w, ana().User)
			q := ana()
			q.FirstFactor.Kind = "sso"
			return starting(t, w, q)
		},
		"start, trusted without rotation": func(t *testing.T, w *mfatest.World) func() error {
			w.SetPolicy(t, org, "kls", func(p *mfa.Policy) { p.Trust.Rotate = false })
			return starting(t, w, with(trusted(t, w)))
		},
		"start, trusted and rotated": func(t *testing.T, w *mfatest.World) func() error {
			return starting(t, w, with(trusted(t, w)))
		},
		"start, trusted, after an answer that was lost": func(t *testing.T, w *mfatest.World) func() error {
			token := trusted(t, w)
			used(t, w, token)
			return starting(t, w, with(token))
		},
		"start, by email": func(t *testing.T, w *mfatest.World) func() error {
			put(t, w, ana().User)
			return starting(t, w, ana())
		},
		"start, by email, a user's first sight": func(t *testing.T, w *mfatest.World) func() error {
			return starting(t, w, ana())
		},
		"start, by email, over the limit": func(t *testing.T, w *mfatest.World) func() error {
			for range 10 {
				started(t, w, ana())
			}
			return starting(t, w, ana())
		},
		"start, locked": func(t *testing.T, w *mfatest.World) func() error {
			lock(t, w)
			return func() error {
				if _, err := w.StartChallenge(t.Context(), w.Client, ana()); mfa.AsError(err).Code != mfa.Locked {
					return err
				}
				return nil
			}
		},
		"decide": func(t *testing.T, w *mfatest.World) func() error {
			return func() error {
				_, err := w.Decide(t.Context(), w.Client, ana())
				return err
			}
		},
		"send again, by email": func(t *testing.T, w *mfatest.World) func() error {
			ch := started(t, w, ana())
			w.Clock.Advance(30 * time.Second)
			return func() error {
				_, err := send(t, w, ch.ID)
				return err
			}
		},
		"verify, right": func(t *testing.T, w *mfatest.World) func() error {
			return answering(t, w, right, false, "")
		},
		"verify, wrong": func(t *testing.T, w *mfatest.World) func() error {
			return answering(t, w, mfatest.Wrong, false, mfa.WrongCode)
		},
		"verify, the wrong one that locks": func(t *testing.T, w *mfatest.World) func() error {
			wrongs(t, w, started(t, w, ana()).ID, 5)
			wrongs(t, w, started(t, w, ana()).ID, 4)
			return answering(t, w, mfatest.Wrong, false, mfa.WrongCode)
		},
		"verify with trust": func(t *testing.T, w *mfatest.World) func() error {
			return answering(t, w, right, true, "")
		},
		"verify, locked": func(t *testing.T, w *mfatest.World) func() error {
			step := answering(t, w, right, false, mfa.Locked)
			lock(t, w)
			return step
		},
		"look at a challenge": func(t *testing.T, w *mfatest.World) func() error {
			ch := started(t, w, ana())
			return func() error {
				_, err := w.LookAtChallenge(t.Context(), w.Client, ch.ID)
				return err
			}
		},
		"put a user, unchanged": func(t *testing.T, w *mfatest.World) func() error {
			put(t, w, ana().User)
			return func() error {
				_, err := w.PutUser(t.Context(), w.Client, org, ana().User)
				return err
			}
		},
		"put a user, another email": func(t *testing.T, w *mfatest.World) func() error {
			put(t, w, ana().User)
			return func() error {
				_, err := w.PutUser(t.Context(), w.Client, org, mfa.Person{ID: user, Email: mfa.Some("ana@other.example")})
				return err
			}
		},
		"put a policy": func(t *testing.T, w *mfatest.World) func() error {
			version := 1
			p := profile(t, "kls")
			p.Trust.Days = 7
			return func() error {
				_, err := w.PutPolicy(t.Context(), w.Client, org, mfa.PolicyChange{Policy: p, Version: &version})
				return err
			}
		},
		"send again, by email, with an Idempotency-Key": func(t *testing.T, w *mfatest.World) func() error {
			ch := started(t, w, ana())
			w.Clock.Advance(30 * time.Second)
			return func() error {
				_, err := w.SendCode(t.Context(), keyed(w.Client, "/s", "k", "{}"), mfa.SendRequest{Challenge: ch.ID})
				return err
			}
		},
		"start, by email, with an Idempotency-Key": func(t *testing.T, w *mfatest.World) func() error {
			put(t, w, ana().User)
			return func() error {
				_, err := w.StartChallenge(t.Context(), keyed(w.Client, "/a", "k", "{}"), ana())
				return err
			}
		},
		"start, not asked, with an Idempotency-Key": func(t *testing.T, w *mfatest.World) func() error {
			w.SetPolicy(t, org, "default", nil)
			put(t, w, ana().User)
			return func() error {
				_, err := w.StartChallenge(t.Context(), keyed(w.Client, "/a", "k", "{}"), ana())
				return err
			}
		},
		"verify with trust and an Idempotency-Key": func(t *testing.T, w *mfatest.World) func() error {
			ch := started(t, w, ana())
			code := w.Outbox.Code(t, mail)
			return func() error {
				_, err := w.Verify(t.Context(), keyed(w.Client, "/v", "k", "{}"), mfa.VerifyRequest{Challenge: ch.ID, Answer: mfa.Answer{Code: code}, Trust: &mfa.TrustChoice{}})
				return err
			}
		},
	}
}

func wantCost(t *testing.T, want mfatest.Cost, world func() *mfatest.World, prepare costed) {
	t.Helper()
	w := world()
	step := prepare(t, w)
	w.Faults.Reset()
	if err := step(); err != nil {
		t.Fatal(err)
	}
	asked := w.Faults.Counts()
	reads := want.Rounds - asked.Commit // rounds of reads
	if want.Counts > 0 {
		reads-- // all budgets are counted in one round
	}
	if asked.Get > reads || asked.Query > 1 {
		t.Errorf("got %d requests for single items and %d for partitions, want %d and 1 at most", asked.Get, asked.Query, reads)
	}

	// The step is made again, and each read of the first round is held until all of them have begun. If one read waited for
	// another, this would never end.
	w = world()
	step = prepare(t, w)
	gets := asked.Get - max(0, reads-1)
	meet(w, gets, asked.Query)
	if want.Counts > 0 { // the budgets are read at the same time as the commit, and then counted together
		together(w, map[fault.Method]int{fault.Commit: asked.Commit, fault.Count: asked.Count - budgets})
		together(w, map[fault.Method]int{fault.Count: budgets})
	}
	w.Faults.Reset()
	if err := step(); err != nil {
		t.Fatalf("with %d reads side by side: %v", gets+asked.Query, err)
	}
	counts := w.Faults.Counts()
	if counts.Rounds != want.Rounds || counts.Items != want.Items || counts.Count != want.Counts {
		t.Errorf("got %d round trips in sequence, %d items written and %d calls of Count, want %d, %d and %d",
			counts.Rounds, counts.Items, counts.Count, want.Rounds, want.Items, want.Counts)
	}
	if commits := want.Rounds - 1; counts.Commit > commits {
		t.Errorf("got %+v, want %d commits at most", counts, commits)
	}
}

// budgets is the number of shared budgets that count a code by SMS.
const budgets = 4

// meet holds each of the next reads until all of them have begun. gets counts requests for single items, and queries counts
// requests for partitions.
func meet(w *mfatest.World, gets, queries int) {
	together(w, map[fault.Method]int{fault.Get: gets, fault.Query: queries})
}

// together holds each of the next calls of those methods until all of them have begun. It fails them after ten seconds,
// because then they aren't made at the same time.
func together(w *mfatest.World, calls map[fault.Method]int) {
	var all sync.WaitGroup
	for _, n := range calls {
		all.Add(n)
	}
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
	for method, n := range calls {
		w.Faults.Inject(method, n, hold)
	}
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

// The single items that a step reads beside the account are its API key, the policy, the challenge and the remembered
// answer.
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
