package mfa_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store/fault"
)

// rounds returns how often a race is run: twice, or 200 times with COUNTERSIGN_ROUNDS=full.
func rounds() int {
	if mfatest.EveryRound() {
		return 200
	}
	return 2
}

// A tally counts the answers of calls by their error code. The empty code stands for success.
type tally struct {
	mu    sync.Mutex
	heard map[mfa.ErrorCode]int
}

func (c *tally) add(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.heard == nil {
		c.heard = map[mfa.ErrorCode]int{}
	}
	code := mfa.ErrorCode("")
	if err != nil {
		code = mfa.AsError(err).Code
	}
	c.heard[code]++
}

// wantOnly fails the test if a call had another answer than these codes.
func (c *tally) wantOnly(t *testing.T, codes ...mfa.ErrorCode) {
	t.Helper()
	others := maps.Clone(c.heard)
	for _, code := range codes {
		delete(others, code)
	}
	if len(others) > 0 {
		t.Errorf("got %v, want nothing but %q", c.heard, codes)
	}
}

// twice returns the service as it runs in two processes, which share nothing but the store and the keys. Both try again
// sooner than usual after a lost race, so that there are more races.
func twice(w *mfatest.World) [2]*mfa.Service {
	w.Pause = func(try int) time.Duration { return rand.N(time.Duration(try) * time.Millisecond) }
	other := *w.Service
	other.Filter = &apikey.FilterKeeper{Store: w.Store}
	return [2]*mfa.Service{w.Service, &other}
}

func TestR6AndI1OneRightCodeManyTimesAtOnceIsOneSuccess(t *testing.T) {
	w := kls(t, nil)
	services := twice(w)
	for range rounds() {
		ch := started(t, w, ana())
		code := w.Outbox.Code(t, mail)
		var c tally
		atOnce(64, func(i int) {
			q := mfa.VerifyRequest{Challenge: ch.ID, Answer: mfa.Answer{Code: code}}
			if i%4 == 0 {
				q.Trust = &mfa.TrustChoice{Name: "Firefox"}
			}
			call := []mfa.Call{w.Client, {Bearer: ch.Token.Reveal()}}[i/2%2]
			_, err := services[i%2].Verify(t.Context(), call, q)
			c.add(err)
		})
		if c.heard[""] != 1 {
			t.Errorf("got %d successes, want 1", c.heard[""])
		}
		c.wantOnly(t, "", mfa.ChallengeInvalid, mfa.Busy, mfa.Locked)
		_, err := verify(t, w, ch.ID, code, false)
		wantCode(t, err, mfa.ChallengeInvalid)
		w.Clock.Advance(time.Hour)
	}
	if got := len(events(t, w, mfa.ChallengeVerified)); got != rounds() {
		t.Errorf("got %d challenge.verified, want %d", got, rounds())
	}
	if got := len(events(t, w, mfa.BrowserTrusted)); got > rounds() {
		t.Errorf("got %d browser.trusted, want at most %d", got, rounds())
	}
}

func TestG2AndR10ManyWrongCodesAndARightOneAtOnceKeepToTheCap(t *testing.T) {
	for range rounds() {
		for _, attempts := range []int{5, 10} {
			w := kls(t, func(p *mfa.Policy) { p.Challenge.Attempts = attempts })
			services := twice(w)
			ch := started(t, w, ana())
			code := w.Outbox.Code(t, mail)
			var c tally
			atOnce(200, func(i int) {
				guess := mfatest.Wrong(code)
				if i == 100 {
					guess = code
				}
				_, err := services[i%2].Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Answer: mfa.Answer{Code: guess}})
				c.add(err)
			})
			c.wantOnly(t, "", mfa.WrongCode, mfa.ChallengeInvalid, mfa.Locked, mfa.Busy)
			looked := len(events(t, w, mfa.ChallengeFailed))
			if c.heard[""] > 1 || looked > attempts || c.heard[mfa.WrongCode] != looked {
				t.Errorf("got %d successes, %d wrong answers looked at, %v heard; want at most 1 and %d", c.heard[""], looked, c.heard, attempts)
			}
			// A call that was answered with busy may be made again. Its answer is checked like any other, and counts towards
			// the cap.
			for range attempts {
				if _, err := verify(t, w, ch.ID, mfatest.Wrong(code), false); err == nil {
					t.Error("a wrong code was taken")
				}
			}
			if _, err := verify(t, w, ch.ID, code, false); err == nil {
				t.Errorf("after %v: the right code is taken, want it spent or locked", c.heard)
			}
			if got := len(events(t, w, mfa.ChallengeFailed)); got > attempts {
				t.Errorf("got %d wrong answers looked at, want at most %d", got, attempts)
			}
		}
	}
}

func TestAResendAndItsOldCodeAtOnceNeverBothWin(t *testing.T) {
	for range rounds() {
		w := kls(t, nil)
		services := twice(w)
		ch := started(t, w, ana())
		old := w.Outbox.Code(t, mail)
		w.Clock.Advance(30 * time.Second)
		var verified, sent tally
		var resent, late atomic.Int32 // late counts the old codes that were accepted although the verify began after a resend had returned
		atOnce(32, func(i int) {
			if i%4 == 0 {
				_, err := services[i%2].SendCode(t.Context(), w.Client, mfa.SendRequest{Challenge: ch.ID})
				if err == nil {
					resent.Add(1)
				}
				sent.add(err)
				return
			}
			after := resent.Load() > 0
			_, err := services[i%2].Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Answer: mfa.Answer{Code: old}})
			if err == nil && after {
				late.Add(1)
			}
			verified.add(err)
		})
		verified.wantOnly(t, "", mfa.WrongCode, mfa.ChallengeInvalid, mfa.Busy)
		sent.wantOnly(t, "", mfa.TooManySends, mfa.ChallengeInvalid, mfa.Busy)
		if verified.heard[""] > 1 || sent.heard[""] > 1 || late.Load() > 0 {
			t.Errorf("verify heard %v, %d of them late; send heard %v; want one success each at most", verified.heard, late.Load(), sent.heard)
		}
		if verified.heard[""] == 0 && sent.heard[""] == 1 && verified.heard[mfa.WrongCode] < 5 {
			if _, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), false); err != nil && !w.Outbox.Code(t, mail).Equal(old) {
				t.Errorf("the new code: %v", err)
			}
		}
	}
}

func TestManyStartsOfANewUserAtOnceMakeOneUser(t *testing.T) {
	for round := range rounds() {
		w := kls(t, nil)
		services := twice(w)
		q := ana()
		q.User.ID = fmt.Sprint("new-", round)
		var c tally
		var epochs sync.Map
		atOnce(64, func(i int) {
			answer, err := services[i%2].StartChallenge(t.Context(), w.Client, q)
			if err == nil {
				epochs.Store(answer.Challenge.ID, answer.Challenge.Sent != nil)
			}
			c.add(err)
		})
		c.wantOnly(t, "", mfa.Busy)
		if got := len(w.Outbox.To(mail)); got > 10 || got == 0 {
			t.Errorf("M2: got %d emails, want 1 to 10", got)
		}
		open := 0
		epochs.Range(func(id, sent any) bool {
			state, err := w.LookAtChallenge(t.Context(), w.Client, id.(string))
			if err != nil || state.State != "pending" {
				t.Errorf("a challenge that was begun: got %+v, %v, want pending", state, err)
			}
			open++
			return true
		})
		if open != c.heard[""] {
			t.Errorf("got %d challenges, want %d", open, c.heard[""])
		}
	}
}

func TestM2ManySendsAtOnceKeepToTheLimits(t *testing.T) {
	for range rounds() {
		w := kls(t, func(p *mfa.Policy) { p.Challenge.ResendAfterS = 10 })
		services := twice(w)
		ids := []string{}
		for range 4 {
			ids = append(ids, started(t, w, ana()).ID)
		}
		for range 6 {
			w.Clock.Advance(10 * time.Second)
			before := len(w.Outbox.To(mail))
			var c tally
			atOnce(32, func(i int) {
				_, err := services[i%2].SendCode(t.Context(), w.Client, mfa.SendRequest{Challenge: ids[i%4]})
				c.add(err)
			})
			c.wantOnly(t, "", mfa.TooManySends, mfa.Busy)
			if got := len(w.Outbox.To(mail)) - before; got > 4 || got != c.heard[""] {
				t.Errorf("got %d emails and %v heard, want one for each challenge at most", got, c.heard)
			}
		}
		if got := len(w.Outbox.To(mail)); got > 10 {
			t.Errorf("got %d emails, want at most 10", got)
		}
	}
}

func TestTB4NoTrustIsGoodOnceItsRevocationWasAnswered(t *testing.T) {
	for name, revoke := range map[string]func(*mfa.Service, mfa.Call) error{
		"another email": func(s *mfa.Service, call mfa.Call) error {
			_, err := s.PutUser(t.Context(), call, org, mfa.Person{ID: user, Email: mfa.Some("ana@other.example")})
			return err
		},
		"erased": func(s *mfa.Service, call mfa.Call) error { return s.EraseUser(t.Context(), call, org, user) },
		"zero days": func(s *mfa.Service, call mfa.Call) error {
			p, version := mfa.DefaultPolicy(), 1
			p.Require, p.Methods.Email, p.Trust.Days = mfa.Everyone, mfa.Implicit, 0
			_, err := s.PutPolicy(t.Context(), call, org, mfa.PolicyChange{Policy: p, Version: &version})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range rounds() {
				w := kls(t, nil)
				services := twice(w)
				var tokens []seal.Secret
				for range 4 {
					tokens = append(tokens, trusted(t, w))
				}
				put(t, w, mfa.Person{ID: user, Email: mfa.Some(mail)})
				var revoked atomic.Bool
				var before, after atomic.Int32
				atOnce(32, func(i int) {
					if i == 20 {
						err := revoke(services[0], w.Client)
						for mfa.AsError(err).Code == mfa.Busy {
							err = revoke(services[0], w.Client)
						}
						if err != nil {
							t.Error(err)
						}
						revoked.Store(true)
						return
					}
					q := mfa.StartRequest{Org: org, User: mfa.Person{ID: user}, TrustToken: tokens[i%4]}
					for {
						late := revoked.Load()
						answer, err := services[i%2].StartChallenge(t.Context(), w.Client, q)
						if err == nil && answer.Reason == mfa.BrowserTrust {
							if answer.TrustToken != nil {
								q.TrustToken = *answer.TrustToken
							}
							if late {
								after.Add(1)
							} else {
								before.Add(1)
							}
						}
						if late {
							return
						}
					}
				})
				if after.Load() > 0 {
					t.Errorf("got %d trusted starts that began after the revocation was answered, want none", after.Load())
				}
				if before.Load() == 0 {
					t.Log("no start came before the revocation")
				}
			}
		})
	}
}

func TestI3NoCodeIsGoodOnceItsRevocationWasAnswered(t *testing.T) {
	for range rounds() {
		w := kls(t, nil)
		services := twice(w)
		challenges, codes := []*mfa.ChallengeToAnswer{}, []seal.Secret{}
		for range 8 {
			challenges = append(challenges, started(t, w, ana()))
			codes = append(codes, w.Outbox.Code(t, mail))
		}
		var revoked atomic.Bool
		var late atomic.Int32
		atOnce(17, func(i int) {
			if i == 16 {
				err := error(nil)
				for done := false; !done; done = err == nil {
					_, err = services[0].PutUser(t.Context(), w.Client, org, mfa.Person{ID: user, Email: mfa.Some("ana@other.example")})
				}
				revoked.Store(true)
				return
			}
			after := revoked.Load()
			_, err := services[i%2].Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: challenges[i/2].ID, Answer: mfa.Answer{Code: codes[i/2]}})
			if err == nil && after {
				late.Add(1)
			}
		})
		for i, ch := range challenges {
			if _, err := verify(t, w, ch.ID, codes[i], false); err == nil {
				late.Add(1)
			}
		}
		if late.Load() > 0 {
			t.Errorf("got %d codes taken after the revocation was answered, want none", late.Load())
		}
	}
}

func TestOneUserUnderAttackLeavesOthersAlone(t *testing.T) {
	w := kls(t, nil)
	ch := started(t, w, ana())
	wrong := mfatest.Wrong(w.Outbox.Code(t, mail))
	q := ana()
	q.User = mfa.Person{ID: "u-18", Email: mfa.Some("bob@acme.example")}
	atOnce(65, func(i int) {
		if i < 64 {
			verify(t, w, ch.ID, wrong, false)
			return
		}
		answer, err := w.StartChallenge(t.Context(), w.Client, q)
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := verify(t, w, answer.Challenge.ID, w.Outbox.Code(t, "bob@acme.example"), true); err != nil {
			t.Error(err)
		}
	})
}

// A verify reads the challenge, then a resend is answered, then the verify reads the guard. So the old code must be refused.
func TestR12ACodeReadBeforeAResendIsNotTakenAfterIt(t *testing.T) {
	w := kls(t, nil)
	ch := started(t, w, ana())
	old := w.Outbox.Code(t, mail)
	w.Clock.Advance(30 * time.Second)
	read := make(chan struct{}) // closed once the key, the policy and the challenge were read
	w.Faults.Inject(fault.Get, 1, fault.Fault{After: func(context.Context) error {
		close(read)
		return nil
	}})
	w.Faults.Inject(fault.Query, 1, fault.Fault{Before: func(context.Context) error {
		<-read
		if _, err := send(t, w, ch.ID); err != nil {
			t.Error(err)
		}
		return nil
	}})
	if _, err := verify(t, w, ch.ID, old, false); !w.Outbox.Code(t, mail).Equal(old) {
		wantCode(t, err, mfa.WrongCode)
	}
	if _, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), false); err != nil {
		t.Errorf("the new code: %v", err)
	}
}
