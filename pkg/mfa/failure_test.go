package mfa_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store/fault"
)

// failLater lets the first calls of a method pass, as many as pass says, and makes all later ones fail.
func failLater(w *mfatest.World, method fault.Method, pass int) {
	w.Faults.Inject(method, pass, fault.Fault{})
	w.Faults.Inject(method, -1, fault.Fail(nil))
}

// steps are the calls of the service. Each prepares a world for its call, and returns the call, which says whether the user
// was let in.
func steps() map[string]func(t *testing.T, w *mfatest.World) func() (in bool, err error) {
	return map[string]func(t *testing.T, w *mfatest.World) func() (bool, error){
		"start": func(t *testing.T, w *mfatest.World) func() (bool, error) {
			return func() (bool, error) {
				answer, err := w.StartChallenge(t.Context(), w.Client, ana())
				return answer.Token != nil || answer.TrustToken != nil, err
			}
		},
		"start, trusted": func(t *testing.T, w *mfatest.World) func() (bool, error) {
			token := trusted(t, w)
			return func() (bool, error) {
				answer, err := w.StartChallenge(t.Context(), w.Client, with(token))
				if err == nil && answer.Reason != mfa.BrowserTrust {
					return false, fmt.Errorf("got %s, want trusted_browser", answer.Reason)
				}
				return answer.Token != nil, err
			}
		},
		"verify": func(t *testing.T, w *mfatest.World) func() (bool, error) {
			ch := started(t, w, ana())
			return func() (bool, error) {
				answer, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), true)
				return answer.Verified || !answer.Token.IsZero() || answer.TrustToken != nil, err
			}
		},
		"send": func(t *testing.T, w *mfatest.World) func() (bool, error) {
			ch := started(t, w, ana())
			w.Clock.Advance(30 * time.Second)
			return func() (bool, error) {
				_, err := send(t, w, ch.ID)
				return false, err
			}
		},
		"look": func(t *testing.T, w *mfatest.World) func() (bool, error) {
			ch := started(t, w, ana())
			if _, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), true); err != nil {
				t.Fatal(err)
			}
			return func() (bool, error) {
				state, err := w.LookAtChallenge(t.Context(), w.Client, ch.ID)
				return state.Outcome != nil, err
			}
		},
		"decide": func(t *testing.T, w *mfatest.World) func() (bool, error) {
			return func() (bool, error) {
				d, err := w.Decide(t.Context(), w.Client, ana())
				return d.Decision == mfa.Allow, err
			}
		},
		"put a user": func(t *testing.T, w *mfatest.World) func() (bool, error) {
			return func() (bool, error) {
				_, err := w.PutUser(t.Context(), w.Client, org, ana().User)
				return false, err
			}
		},
		"erase a user": func(t *testing.T, w *mfatest.World) func() (bool, error) {
			trusted(t, w)
			return func() (bool, error) { return false, w.EraseUser(t.Context(), w.Client, org, user) }
		},
		"get a policy": func(t *testing.T, w *mfatest.World) func() (bool, error) {
			return func() (bool, error) {
				_, err := w.GetPolicy(t.Context(), w.Client, org)
				return false, err
			}
		},
		"put a policy": func(t *testing.T, w *mfatest.World) func() (bool, error) {
			version := 1
			return func() (bool, error) {
				_, err := w.PutPolicy(t.Context(), w.Client, org, mfa.PolicyChange{Policy: mfa.DefaultPolicy(), Version: &version})
				return false, err
			}
		},
	}
}

func TestI7WhereTheStoreFailsNobodyGetsInAndTheNextTryWorks(t *testing.T) {
	for name, prepare := range steps() {
		t.Run(name, func(t *testing.T) {
			failed := 0
			for _, method := range []fault.Method{fault.Get, fault.Query, fault.Commit} {
				for pass := 0; ; pass++ {
					w := kls(t, nil)
					step := prepare(t, w)
					failLater(w, method, pass)
					in, err := step()
					w.Faults.Clear()
					if err == nil {
						break // the step makes no further calls of this method
					}
					failed++
					e := wantCode(t, err, mfa.Unavailable)
					if in || e.RetryAfter != 0 || e.Preview != nil || !errors.Is(err, fault.Err) || strings.Contains(e.Detail, fault.Err.Error()) {
						t.Errorf("%s %d fails: got in %v, %v", method, pass, in, err)
					}
					if _, err := step(); err != nil {
						t.Errorf("after %s %d failed: %v", method, pass, err)
					}
				}
			}
			if failed == 0 {
				t.Error("no call failed: the test is about nothing")
			}
		})
	}
}

func TestI10AnAnswerOfTheStoreThatWasLostIsFoundAgain(t *testing.T) {
	for name, prepare := range steps() {
		for lost := 1; lost <= 2; lost++ {
			w := kls(t, nil)
			step := prepare(t, w)
			w.Faults.Inject(fault.Commit, lost, fault.Lose(nil))
			if _, err := step(); err != nil {
				t.Errorf("%s, %d answers to its commit lost: %v", name, lost, err)
			}
			w.Faults.Clear()
		}
	}
}

func TestI10AVerifyWhoseLostCommitWasWrittenOverIsFoundAgain(t *testing.T) {
	for name, meanwhile := range map[string]mfa.Person{
		"a name":   {ID: user, Name: mfa.Some("Anna")},
		"a locale": {ID: user, Locale: mfa.Some("fr")},
	} {
		w := kls(t, nil)
		ch := started(t, w, ana())
		code := w.Outbox.Code(t, mail)
		w.Faults.Inject(fault.Commit, 1, fault.Fault{After: func(context.Context) error {
			put(t, w, meanwhile)
			return fault.Err
		}})
		answer, err := verify(t, w, ch.ID, code, true)
		if err != nil || !answer.Verified || answer.TrustToken == nil {
			t.Errorf("%s was put meanwhile: got %+v, %v, want verified", name, answer, err)
			continue
		}
		used(t, w, *answer.TrustToken)
		if got := len(events(t, w, mfa.ChallengeVerified)); got != 1 {
			t.Errorf("got %d challenge.verified, want 1", got)
		}
		_, err = verify(t, w, ch.ID, code, false)
		wantCode(t, err, mfa.ChallengeInvalid)
	}
}

func TestTheLastWrongAnswerWhoseLostCommitWasWrittenOverIsStillWrong(t *testing.T) {
	w := kls(t, nil)
	ch := started(t, w, ana())
	wrongs(t, w, ch.ID, 4)
	w.Faults.Inject(fault.Commit, 1, fault.Fault{After: func(context.Context) error {
		put(t, w, mfa.Person{ID: user, Name: mfa.Some("Anna")})
		return fault.Err
	}})
	_, err := verify(t, w, ch.ID, mfatest.Wrong(w.Outbox.Code(t, mail)), false)
	if left := *wantCode(t, err, mfa.WrongCode).AttemptsLeft; left != 0 {
		t.Errorf("got %d attempts left, want 0", left)
	}
	if got := len(events(t, w, mfa.ChallengeFailed)); got != 5 {
		t.Errorf("got %d counted, want 5", got)
	}
}

func TestAVerifyWhoseAnswersWereAllLostIsRepeatedUnderItsKey(t *testing.T) {
	w := kls(t, nil)
	ch := started(t, w, ana())
	code := w.Outbox.Code(t, mail)
	call := keyed(w.Client, "/v", "k", "{}")
	w.Faults.Inject(fault.Commit, -1, fault.Lose(nil))
	if got := verifyKeyed(t, w, call, ch.ID, code); got.Code != mfa.Unavailable {
		t.Fatalf("got %+v, want unavailable", got)
	}
	w.Faults.Clear()
	if got := verifyKeyed(t, w, call, ch.ID, code); got.Said["verified"] != "true" || got.Said["trust_token"] == "" {
		t.Errorf("got %+v, want the answer that was lost", got)
	}
	_, err := verify(t, w, ch.ID, code, false)
	wantCode(t, err, mfa.ChallengeInvalid)
}

func TestG13AWrongAnswerThatCannotBeCountedIsNotJudged(t *testing.T) {
	w := kls(t, nil)
	ch := started(t, w, ana())
	code := w.Outbox.Code(t, mail)
	w.Faults.Inject(fault.Commit, -1, fault.Fail(nil))
	for range 20 {
		for _, guess := range []seal.Secret{code, mfatest.Wrong(code)} {
			_, err := verify(t, w, ch.ID, guess, false)
			wantCode(t, err, mfa.Unavailable) // the right and the wrong code get the same answer, so it reveals nothing
		}
	}
	w.Faults.Clear()
	wantUnspent(t, w, ch.ID, code)
}

func TestACallThatLosesEveryRaceIsBusyAndMayComeBack(t *testing.T) {
	for name, prepare := range steps() {
		w := kls(t, nil)
		w.Pause = func(int) time.Duration { return 0 }
		step := prepare(t, w)
		w.Faults.Inject(fault.Commit, -1, fault.Conflict())
		w.Faults.Reset()
		in, err := step()
		w.Faults.Clear()
		if w.Faults.Counts().Commit == 0 {
			continue // the call only reads
		}
		if in || mfa.AsError(err).Code != mfa.Busy || w.Faults.Counts().Commit > 20 {
			t.Errorf("%s: got in %v, %v after %d tries, want busy", name, in, err, w.Faults.Counts().Commit)
		}
		if _, err := step(); err != nil {
			t.Errorf("%s, again: %v", name, err)
		}
	}
	w := kls(t, nil)
	w.Pause = func(int) time.Duration { return 0 }
	call := keyed(w.Client, "/a", "k", "{}")
	w.Faults.Inject(fault.Commit, -1, fault.Conflict())
	if got := startKeyed(t, w, call, ana()); got.Code != mfa.Busy {
		t.Errorf("got %+v, want busy", got)
	}
	w.Faults.Clear()
	if got := startKeyed(t, w, call, ana()); got.Said["id"] == "" {
		t.Errorf("got %+v: busy was remembered", got)
	}
}

func TestI7WhereTheKeysFailNobodyGetsIn(t *testing.T) {
	for name, prepare := range steps() {
		w := kls(t, nil)
		step := prepare(t, w)
		emails := len(w.Outbox.To(mail))
		w.Keys.Fail(errors.New("the keys are away"))
		in, err := step()
		if in || mfa.AsError(err).Code != mfa.Unavailable || len(w.Outbox.To(mail)) != emails {
			t.Errorf("%s: got in %v, %v, want unavailable", name, in, err)
		}
		w.Keys.Fail(nil)
		if _, err := step(); err != nil {
			t.Errorf("%s, again: %v", name, err)
		}
	}
}

// staleKeys keeps an old ring until it is asked to reload.
type staleKeys struct {
	mu      sync.Mutex
	ring    *seal.Ring
	source  *seal.Ring
	failure error // the error of a reload
	reloads int
}

func (k *staleKeys) Ring(context.Context) (*seal.Ring, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ring, nil
}

func (k *staleKeys) Reload(context.Context) (*seal.Ring, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reloads++
	if k.failure != nil {
		return nil, k.failure
	}
	k.ring = k.source
	return k.ring, nil
}

func TestAProcessWithAnOlderRingReloadsItOnce(t *testing.T) {
	w := kls(t, nil)
	old, err := w.Keys.Ring(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(time.Hour)
	rotated, err := old.Rotate(w.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	w.Service.Keys = &staleKeys{ring: rotated, source: rotated} // this process knows the new key
	token := trusted(t, w)
	ch := started(t, w, ana())
	call := keyed(w.Client, "/a", "k", "{}")
	first := startKeyed(t, w, call, ana())
	code := w.Outbox.To(mail)[1].Code
	w.Drain(t)
	listing := mfa.ActivityQuery{Org: org, ListQuery: mfa.ListQuery{Limit: 1}}
	page, err := w.OrgActivity(t.Context(), w.Client, listing)
	if err != nil || page.Cursor == nil {
		t.Fatalf("got %+v, %v, want a page with a cursor", page, err)
	}
	listing.Cursor = *page.Cursor
	for name, step := range map[string]func() error{
		"a code":        func() error { _, err := verify(t, w, ch.ID, code, false); return err },
		"a trust token": func() error { used(t, w, token); return nil },
		"a cursor":      func() error { _, err := w.OrgActivity(t.Context(), w.Client, listing); return err },
		"a remembered start": func() error {
			if got := startKeyed(t, w, call, ana()); !same(got, first) {
				return fmt.Errorf("got %+v, want %+v", got, first)
			}
			return nil
		},
	} {
		keys := &staleKeys{ring: old, source: rotated}
		w.Service.Keys = keys
		if err := step(); err != nil || keys.reloads != 1 {
			t.Errorf("%s: got %v after %d reloads, want 1", name, err, keys.reloads)
		}
	}
}

func TestATokenThatRotatesMovesOnToTheNewestKey(t *testing.T) {
	w := kls(t, nil)
	token := trusted(t, w)
	old, err := w.Keys.Ring(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := old.Rotate(w.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	w.Service.Keys = &staleKeys{ring: rotated, source: rotated}
	successor := used(t, w, token)
	w.Clock.Advance(seal.SecretKept)
	forgotten, err := rotated.Forget(old.Newest(), w.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	w.Service.Keys = &staleKeys{ring: forgotten, source: forgotten}
	wantReason(t, w, token, mfa.NewBrowser)
	used(t, w, successor)
}

func TestATrustTokenOfAKeyThatIsGoneIsAskedNotUnavailable(t *testing.T) {
	w := kls(t, nil)
	token := trusted(t, w)
	ch := started(t, w, ana())
	code := w.Outbox.Code(t, mail)
	other := seal.NewRing(w.Clock.Now())
	keys := &staleKeys{ring: other, source: other}
	w.Service.Keys = keys
	if reason, _ := start(t, w, token); reason != mfa.NewBrowser || keys.reloads != 1 {
		t.Errorf("got %s after %d reloads, want new_browser after 1", reason, keys.reloads)
	}
	wantReason(t, w, token, mfa.NewBrowser)
	if _, err := verify(t, w, ch.ID, code, false); mfa.AsError(err).Code != mfa.Unavailable {
		t.Errorf("a code of a key that is gone: got %v, want unavailable", err)
	}
}

func TestARingThatCantBeReloadedLetsNobodyIn(t *testing.T) {
	w := kls(t, nil)
	ch := started(t, w, ana())
	code := w.Outbox.Code(t, mail)
	known, err := w.Keys.Ring(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keys := &staleKeys{ring: seal.NewRing(w.Clock.Now()), source: known, failure: errors.New("the keys are away")}
	w.Service.Keys = keys
	if _, err := verify(t, w, ch.ID, code, false); mfa.AsError(err).Code != mfa.Unavailable || keys.reloads != 1 {
		t.Errorf("got %v after %d reloads, want unavailable after 1", err, keys.reloads)
	}
	keys.failure = nil
	if answer, err := verify(t, w, ch.ID, code, false); err != nil || !answer.Verified {
		t.Errorf("the keys are back: got %+v, %v", answer, err)
	}
}

func TestACallThatWasGivenUpIsNotAnswered(t *testing.T) {
	w := kls(t, nil)
	ch := started(t, w, ana())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	answer, err := w.Verify(ctx, w.Client, mfa.VerifyRequest{Challenge: ch.ID, Answer: mfa.Answer{Code: w.Outbox.Code(t, mail)}})
	if answer.Verified || mfa.AsError(err).Code != mfa.Unavailable {
		t.Errorf("got %+v, %v, want unavailable", answer, err)
	}
	if _, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), false); err != nil {
		t.Errorf("again: %v", err)
	}
}
