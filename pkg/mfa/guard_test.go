package mfa

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"countersign/pkg/seal"
)

var morning = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// In whatever order guesses and right answers reach the two budgets, no window of a budget ever holds more guesses than it
// allows, and no row of guesses in both budgets together is longer than it may be.
func TestNoWindowEverHoldsMoreGuessesThanItAllows(t *testing.T) {
	for seed := range uint64(200) {
		chance := rand.New(rand.NewPCG(seed, 0))
		var tried wrongAnswers
		at := map[bool][]time.Time{}
		row, now := 0, morning
		for range 400 {
			now = now.Add(time.Duration(chance.ExpFloat64() * float64([]time.Duration{time.Second, time.Minute, 20 * time.Minute, 3 * time.Hour}[chance.IntN(4)])))
			known := chance.IntN(2) == 0
			if seed%2 == 1 && chance.IntN(12) == 0 {
				tried.right(codeBudget(), known, now) // if there is a lock, by something that it doesn't block
				row = 0
				continue
			}
			until, locked := tried.locked(known, now)
			if locked {
				if chance.IntN(3) > 0 && until.Before(forever) {
					now = until // answers at the first moment at which the lock allows it
				} else {
					continue
				}
			}
			lockedNow := tried.wrong(codeBudget(), known, now)
			at[known], row = append(at[known], now), row+1
			if _, locked := tried.locked(known, now); locked != lockedNow || locked != (tried.left(codeBudget(), known, now) == 0) {
				t.Fatalf("seed %d: got locked %v, told %v, %d left", seed, locked, lockedNow, tried.left(codeBudget(), known, now))
			}
			for _, limit := range []struct {
				n int
				d time.Duration
			}{{codeBudget().inWindow, wrongWindow}, {codeBudget().inDay, wrongDay}} {
				// The guard keeps times to the millisecond.
				if n := len(at[known]); n > limit.n && now.Sub(at[known][n-1-limit.n]) < limit.d-time.Millisecond {
					t.Fatalf("seed %d: %d guesses in %v", seed, limit.n+1, now.Sub(at[known][n-1-limit.n]))
				}
			}
			if row > wrongInARow || tried.InARow != row {
				t.Fatalf("seed %d: %d guesses in a row, counted as %d", seed, row, tried.InARow)
			}
		}
	}
}

func TestNoWindowEverHoldsMoreEmailsThanItAllows(t *testing.T) {
	for seed := range uint64(100) {
		chance := rand.New(rand.NewPCG(seed, 1))
		var g guard
		var at []time.Time
		now := morning
		for range 300 {
			now = now.Add(time.Duration(chance.ExpFloat64() * float64([]time.Duration{time.Second, time.Minute, time.Hour}[chance.IntN(3)])))
			if wait := g.maySend(channelEmail, mailbox{}.limits(nil), now); wait > 0 {
				if g.maySend(channelEmail, mailbox{}.limits(nil), now.Add(wait-time.Millisecond)) <= 0 {
					t.Fatalf("seed %d: a wait of %v is longer than it need be", seed, wait)
				}
				now = now.Add(wait)
			}
			if wait := g.maySend(channelEmail, mailbox{}.limits(nil), now); wait > 0 {
				t.Fatalf("seed %d: after the wait, another of %v", seed, wait)
			}
			g.countSend(channelEmail, now)
			at = append(at, now)
			for _, limit := range []struct {
				n int
				d time.Duration
			}{{10, time.Hour}, {30, 24 * time.Hour}} {
				if n := len(at); n > limit.n && now.Sub(at[n-1-limit.n]) < limit.d-time.Millisecond {
					t.Fatalf("seed %d: %d emails in %v", seed, limit.n+1, now.Sub(at[n-1-limit.n]))
				}
			}
		}
	}
}

func testedChallenge(i int) *challenge {
	begun := morning.Add(time.Duration(i) * time.Second)
	return &challenge{ID: seal.ID("ch_", make([]byte, routeLen)), Begun: begun, Expires: begun.Add(15 * time.Minute)}
}

// viewOf is what a step sees of a challenge, for a caller with the challenge's own token.
func viewOf(g *guard, ch *challenge, now time.Time) (*challengeView, *unit) {
	key := "hash of the token"
	ch.Bearer, ch.Epoch = key, g.Epoch
	read := *ch
	read.Item.Version = "there"
	return &challengeView{a: &account{guard: g}, p: &orgPolicy{Policy: DefaultPolicy()}, ch: &read}, &unit{now: now, caller: &caller{hash: key}}
}

func TestTheOldestChallengeOfTooManyIsDead(t *testing.T) {
	g := &guard{Epoch: "e"}
	var all []*challenge
	now := morning.Add(time.Minute)
	for i := range mostSlots + 3 {
		all = append(all, testedChallenge(i))
		g.openSlot(all[i], now)
		if len(g.Slots) > mostSlots {
			t.Fatalf("got %d slots, want %d at most", len(g.Slots), mostSlots)
		}
	}
	for i, ch := range all {
		v, u := viewOf(g, ch, now)
		if _, err := v.checkOpen(u); (err == nil) != (i >= 3) {
			t.Errorf("challenge %d: got %v", i, err)
		}
	}
	early, late := testedChallenge(2), testedChallenge(3)
	late.Begun = late.Begun.Add(time.Second)
	for _, ch := range []*challenge{early, late} { // neither of them has a slot
		v, u := viewOf(g, ch, now)
		if _, err := v.checkOpen(u); (err == nil) != (ch == late) {
			t.Errorf("without a slot, begun at %v: got %v", ch.Begun, err)
		}
	}
}

func TestAChallengeThatEndedStaysEndedWhenItsSlotIsEvicted(t *testing.T) {
	g := &guard{Epoch: "e"}
	spent := testedChallenge(0)
	g.openSlot(spent, morning).State = verified
	for i := range mostSlots {
		g.openSlot(testedChallenge(i+1), morning)
	}
	if g.slot(spent.ID) != nil {
		t.Fatal("its slot is still there")
	}
	v, u := viewOf(g, spent, morning.Add(time.Minute))
	if _, err := v.checkOpen(u); err == nil {
		t.Error("a spent challenge can be answered again")
	}
}

func TestASlotIsForgottenWhenItsTimeIsOver(t *testing.T) {
	g := &guard{Epoch: "e"}
	for i := range mostSlots {
		g.openSlot(testedChallenge(i), morning)
	}
	last := testedChallenge(mostSlots)
	now := g.Slots[9].Until
	g.openSlot(last, now)
	if got := len(g.Slots); got != mostSlots-10+1 || !g.EvictedUntil.IsZero() {
		t.Errorf("got %d slots and floor %v, want those whose time is over gone, and no other", got, g.EvictedUntil)
	}
	if first := g.openSlot(last, now); first.ID != shortID(last.ID) || len(g.Slots) != mostSlots-10+1 {
		t.Error("opening again made another slot")
	}
}

func TestIdsOfOneUserAreToldApartInTheGuard(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		short := shortID(seal.ID("ch_", []byte(routeOf("acme", "u-17"))))
		if len(short) != 22 || seen[short] {
			t.Fatalf("got %q", short)
		}
		seen[short] = true
	}
}

func TestTextIsCutAtARune(t *testing.T) {
	for _, c := range []struct {
		text string
		n    int
		want string
	}{{"abc", 3, "abc"}, {"abcd", 3, "abc"}, {"aé", 2, "a"}, {"aéb", 3, "aé"}, {"日本", 4, "日"}, {"日本", 2, ""}, {"", 0, ""}} {
		if got := cut(c.text, c.n); got != c.want {
			t.Errorf("cut(%q, %d): got %q, want %q", c.text, c.n, got, c.want)
		}
	}
}

func TestAPolicysTighteningsStayFew(t *testing.T) {
	p := orgPolicy{Version: 1, Policy: DefaultPolicy()}
	for i := range 2000 {
		from := p.Policy
		p.Version++
		p.Trust.Days = []int{90, 30, 60, 1, 90, 7}[i%6]
		p.Methods.Email = []string{Implicit, NotAllowed, Enrolled}[i%3]
		p.tighten(&from)
		if len(p.Tightenings) > 100 {
			t.Fatal(fmt.Sprint("got ", len(p.Tightenings), " notes"))
		}
	}
}
