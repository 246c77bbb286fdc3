package mfa_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"countersign/infra/dynamolocal/dynamolocaltest"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store/dynamo"
)

// onBothStores runs a race once over bolt. With COUNTERSIGN_ROUNDS=full it runs the race 200 times over bolt and 50 times
// over DynamoDB Local. Each round has a world of its own.
func onBothStores(t *testing.T, race func(t *testing.T, w *mfatest.World)) {
	t.Helper()
	onBothStoresWith(t, race, func(table) {})
}

// onBothStoresWithoutFeed is onBothStores for a race that looks at no events. Its tables have no stream, because DynamoDB Local goes
// through what is in a stream with every request, which takes longer and longer.
func onBothStoresWithoutFeed(t *testing.T, race func(t *testing.T, w *mfatest.World)) {
	t.Helper()
	onBothStoresWith(t, race, func(at table) {
		if err := dynamo.EndStream(t.Context(), dynamo.LocalClient(at.Endpoint), at.Name); err != nil {
			t.Fatal(err)
		}
	})
}

func onBothStoresWith(t *testing.T, race func(t *testing.T, w *mfatest.World), prepare func(table)) {
	t.Helper()
	if !mfatest.EveryRound() {
		race(t, mfatest.New(t))
		return
	}
	t.Run("bolt", func(t *testing.T) {
		for range 200 {
			race(t, mfatest.New(t))
		}
	})
	for part := range 5 { // each on a server of its own, because reads of streams take longer the more there is on a server
		t.Run(fmt.Sprintf("DynamoDB, part %d", part+1), func(t *testing.T) {
			endpoint := dynamolocaltest.Start(t).Endpoint
			for range 10 {
				at := newTable(t, endpoint)
				prepare(at)
				race(t, at.world(t))
			}
		})
	}
}

func TestR4AndI1OneAppCodeAtManySignInsAtOnceIsOneSuccess(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *mfatest.World) {
		w.SetPolicy(t, org, "default", nil)
		a, _ := w.EnrolTOTP(t, w.Fresh(), org, ana().User)
		w.Clock.Advance(mfatest.Step)
		services := twice(w)
		var ids []string
		for range 4 {
			ids = append(ids, started(t, w, ana()).ID)
		}
		var c tally
		atOnce(64, func(i int) {
			_, err := services[i%2].Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ids[i%4], Factor: a.Factor, Answer: mfa.Answer{Code: w.Code(a)}})
			c.add(err)
		})
		c.wantOnly(t, "", mfa.WrongCode, mfa.ChallengeInvalid, mfa.Locked, mfa.Busy)
		looked := len(events(t, w, mfa.ChallengeFailed))
		if c.heard[""] != 1 || looked > 10 || looked != c.heard[mfa.WrongCode] || len(events(t, w, mfa.ChallengeVerified)) != 1 {
			t.Errorf("got %v heard and %d wrong answers looked at, want 1 success and at most 10", c.heard, looked)
		}
		w.Clock.Advance(time.Hour)
		if _, err := signIn(t, w, w.Code(a)); err != nil {
			t.Errorf("a later code: %v", err)
		}
	})
}

func TestR10AnAppsCodeAmongManyWrongOnesKeepsToTheCap(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *mfatest.World) {
		w.SetPolicy(t, org, "default", nil)
		a, _ := w.EnrolTOTP(t, w.Fresh(), org, ana().User)
		w.Clock.Advance(mfatest.Step)
		services := twice(w)
		ch := started(t, w, ana())
		code := w.Code(a)
		var c tally
		atOnce(64, func(i int) {
			guess := mfatest.Wrong(code)
			if i == 30 {
				guess = code
			}
			_, err := services[i%2].Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Answer: mfa.Answer{Code: guess}})
			c.add(err)
		})
		c.wantOnly(t, "", mfa.WrongCode, mfa.ChallengeInvalid, mfa.Busy)
		if looked := len(events(t, w, mfa.ChallengeFailed)); c.heard[""] > 1 || looked > 5 || c.heard[mfa.WrongCode] != looked {
			t.Errorf("got %v heard and %d wrong answers looked at, want at most 1 success and 5", c.heard, looked)
		}
		for range 5 { // calls that were answered with busy may be made again
			if _, err := verify(t, w, ch.ID, mfatest.Wrong(code), false); err == nil {
				t.Error("a wrong code was taken")
			}
		}
		_, err := verify(t, w, ch.ID, code, false)
		wantCode(t, err, mfa.ChallengeInvalid)
	})
}

func TestR8ManyFinishesAtOnceAreOneFactor(t *testing.T) {
	for name, forced := range map[string]bool{"by the client": false, "to sign in": true} {
		t.Run(name, func(t *testing.T) {
			onBothStores(t, func(t *testing.T, w *mfatest.World) {
				w.SetPolicy(t, org, "default", func(p *mfa.Policy) {
					if p.EnrolmentProof = "none"; forced {
						p.Require = mfa.Everyone
					}
				})
				call, q := w.Fresh(), mfa.EnrolRequest{Org: org, User: &mfa.Person{ID: user}, Kind: mfa.TOTP}
				if forced {
					_, call = mustEnrol(t, w, ana())
					q = mfa.EnrolRequest{Kind: mfa.TOTP}
				}
				begun, err := w.BeginEnrolment(t.Context(), call, q)
				if err != nil {
					t.Fatal(err)
				}
				code := w.Code(appOf(t, begun))
				services := twice(w)
				var c tally
				var one sync.Mutex
				var codes []seal.Secret
				atOnce(64, func(i int) {
					done, err := services[i%2].FinishEnrolment(t.Context(), call, mfa.FinishRequest{Enrolment: begun.ID, Answer: mfa.Answer{Code: code}})
					if c.add(err); err == nil {
						one.Lock()
						defer one.Unlock()
						codes = append(codes, done.RecoveryCodes...)
						if (done.Token != nil) != forced {
							t.Errorf("got the token %v", done.Token)
						}
					}
				})
				c.wantOnly(t, "", mfa.EnrolmentInvalid, mfa.Busy)
				if u := shown(t, w); c.heard[""] != 1 || len(u.Factors) != 1 || len(codes) != 10 || u.Recovery.CodesLeft != 10 {
					t.Fatalf("got %v heard, %d codes, %+v, want one factor", c.heard, len(codes), u)
				}
				if got := len(events(t, w, mfa.FactorEnrolled)); got != 1 {
					t.Errorf("got %d factor.enrolled, want 1", got)
				}
				_, err = signIn(t, w, code)
				wantCode(t, err, mfa.WrongCode) // R7: the code that enrolled the factor isn't accepted at a sign-in
				if _, err := recovering(t, w, codes[0]); err != nil {
					t.Errorf("a recovery code: %v", err)
				}
			})
		})
	}
}

func TestOfManyBegunAtOnceOneEnrolmentIsFinished(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *mfatest.World) {
		w.SetPolicy(t, org, "default", nil)
		services := twice(w)
		call, said := w.Fresh(), ana().User
		begun := make(chan mfa.EnrolAnswer, 4)
		var c, finished tally
		atOnce(cap(begun), func(i int) {
			answer, err := services[i%2].BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.TOTP})
			if c.add(err); err == nil {
				begun <- answer
			}
		})
		close(begun)
		c.wantOnly(t, "", mfa.Busy)
		for answer := range begun {
			_, err := finish(t, w, w.Client, answer.ID, w.Code(appOf(t, answer)))
			finished.add(err)
		}
		finished.wantOnly(t, "", mfa.EnrolmentInvalid)
		if finished.heard[""] != 1 || len(shown(t, w).Factors) != 1 {
			t.Errorf("got %v heard, want 1 finished", finished.heard)
		}
	})
}

func TestG5GuessesOfEverySortAtOnceShareOneBudget(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *mfatest.World) {
		w.SetPolicy(t, org, "default", manyAttempts)
		a, _ := w.EnrolTOTP(t, w.Fresh(), org, ana().User)
		call := w.StepUp(t, org, user, a)
		begun := begin(t, w, call, mfa.Email)
		w.Clock.Advance(mfatest.Step)
		ch := started(t, w, ana())
		services := twice(w)
		byApp, byMail := w.Code(a), w.Outbox.Code(t, mail)
		var c tally
		atOnce(64, func(i int) {
			if i%2 == 0 {
				_, err := services[i/2%2].Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Answer: mfa.Answer{Code: mfatest.Wrong(byApp)}})
				c.add(err)
				return
			}
			_, err := services[i/2%2].FinishEnrolment(t.Context(), w.Client, mfa.FinishRequest{Enrolment: begun.ID, Answer: mfa.Answer{Code: mfatest.Wrong(byMail)}})
			c.add(err)
		})
		c.wantOnly(t, mfa.WrongCode, mfa.ChallengeInvalid, mfa.EnrolmentInvalid, mfa.Locked, mfa.Busy)
		for range 20 { // calls that were answered with busy may be made again
			verify(t, w, ch.ID, mfatest.Wrong(byApp), false)
			finish(t, w, w.Client, begun.ID, mfatest.Wrong(byMail))
		}
		if got := len(events(t, w, mfa.ChallengeFailed)); got != 10 {
			t.Errorf("got %d guesses looked at, want 10", got)
		}
		_, err := finish(t, w, w.Client, begun.ID, byMail)
		wantCode(t, err, mfa.Locked)
		if got := len(events(t, w, mfa.ChallengeLocked)); got != 1 {
			t.Errorf("got %d locks recorded, want 1", got)
		}
	})
}
