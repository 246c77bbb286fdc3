package walk

import (
	"cmp"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store/storetest"
)

// TestNoScheduleBreaksAnInvariant goes through all states of small worlds, with the real calls: every order of what they
// ask of the store, every commit done, lost or landing late, every process dying there, every jump of the clock.
//
//	I1   one success for each challenge, step of an app, recovery code, enrolment and proof, with its right code only; the
//	     step that enrolled an app, and all before one that was accepted, are spent too
//	I2   what is looked at is counted, and never more than the caps of a challenge and of a user, for codes and for recovery
//	     codes apart; no change of the account forgets a count. An unlock forgets them all, if something is locked, and what
//	     began after it was answered is not locked
//	I3   no success that begins or is recorded after a lock, an end, a revocation, a reset, a removal, a new set of recovery
//	     codes or another enrolment was answered, of what that ended; no browser is trusted after it that was before
//	I10  a retry, in a call or by its caller, is told the truth, and is charged for once unless another answer to the
//	     same challenge was recorded in between; the recovery codes that it was shown are those that work
//
// Nothing is left of an erased user. What works in the end is asked of the service itself, on a copy of the store.
//
// What is decided in time may be answered after the end of a code or of trust. A sign-in by trusted browser writes no
// guard: one that began before a revocation was answered may succeed after it.
func TestNoScheduleBreaksAnInvariant(t *testing.T) {
	for _, g := range stages() {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := &walker{TB: t, stage: &g, props: g.props(t, mfatest.EveryRound()), losses: g.losses()}
				w.walk(t.Context())
				t.Logf("%d states and %d outcomes in %d walks, which stand for %.3g schedules with up to %d lost commits",
					len(w.seen), len(w.ends), w.walks, w.all, w.losses)
			})
		})
	}
}

// losses is how many commits may be lost in one schedule: fewer with the race detector, under which a walk takes eight
// times as long, and more with COUNTERSIGN_ROUNDS=full.
func (g *stage) losses() int {
	if mfatest.EveryRound() {
		return g.lost[2]
	}
	info, _ := debug.ReadBuildInfo()
	if info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		return g.lost[0]
	}
	return g.lost[1]
}

// TestTurningBackMissesNoOutcome compares the walk with one that leaves nothing out, where that can still be done.
func TestTurningBackMissesNoOutcome(t *testing.T) {
	losses := map[string]int{
		"two tabs of a trusted browser": 1, "two send a code again": 0, "the code ends": 0,
		"one code of an app at two sign-ins": 0, "a recovery resets": 0, "an enrolment is finished twice": 0, "one browser is revoked": 0,
	}
	if mfatest.EveryRound() {
		losses["the user moves"], losses["a code is sent again"] = 1, 0
		losses["two make new recovery codes"], losses["a factor is enrolled and another removed"] = 1, 1
	}
	for _, g := range stages() {
		n, ok := losses[g.name]
		if !ok {
			continue
		}
		delete(losses, g.name)
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := g.props(t, false)
				short, long := &walker{TB: t, stage: &g, props: p, losses: n}, &walker{TB: t, stage: &g, props: p, losses: n, naive: true}
				short.walk(t.Context())
				long.walk(t.Context())
				if !maps.Equal(short.ends, long.ends) {
					t.Errorf("got %d outcomes, want %d", len(short.ends), len(long.ends))
				}
				t.Logf("%d walks instead of %d", short.walks, long.walks)
			})
		})
	}
	for name := range losses {
		t.Errorf("there is no stage %q", name)
	}
}

// A stage is a small world: what there is before anybody calls, who calls at once, and what must hold at the end besides
// what must hold on every stage.
type stage struct {
	name    string
	lost    [3]int          // commits whose answer may be lost, or whose process may die, in one schedule: see losses
	jumps   []time.Duration // by one of which the clock may move, once, at any moment
	resend  bool            // challenges are written to, so the moment at which they are read counts
	profile string          // kls if empty
	torn    bool            // the guard may be read at another moment than the facts beside it, as it may in DynamoDB
	policy  func(*mfa.Policy)
	set     func(*props)
}

// Props are what a stage is set with.
type props struct {
	testing.TB
	*mfatest.World
	full    bool // with COUNTERSIGN_ROUNDS=full: more calls
	model   *storetest.Model
	scripts []func(*actor)
	check   func(*ending) error
	typed   map[string]bool // codes that somebody types
	before  map[string]bool // challenges begun before the calls
	spent   map[string]int  // answers before the calls, by challenge and by user
	words   map[string]bool // in the store before the calls
	stolen  seal.Secret     // a trust token whose use ends its line

	shown  []seal.Secret        // recovery codes before the calls
	apps   []*heldApp           // before the calls
	tokens []seal.Secret        // of browsers that were trusted before the calls
	began  map[string]guardSeen // guards before the calls, by user
	tried  map[string]bool      // what probes found, by what decides it
}

// props sets the stage.
func (g *stage) props(t testing.TB, full bool) *props {
	clock := storetest.NewClock(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	model := storetest.NewModel(clock.Now)
	p := &props{
		TB: t, full: full, World: mfatest.Over(t, model, model, clock), model: model, check: func(*ending) error { return nil },
		typed: map[string]bool{}, before: map[string]bool{}, spent: map[string]int{}, words: map[string]bool{},
		tried: map[string]bool{},
	}
	p.SetPolicy(t, "acme", cmp.Or(g.profile, "kls"), func(policy *mfa.Policy) {
		policy.Challenge.Attempts = wrongAnswers
		policy.Challenge.ResendAfterS = 10
		if g.policy != nil {
			g.policy(policy)
		}
	})
	g.set(p)
	var err error
	if p.began, _, err = guardsIn(model); err != nil {
		t.Fatal(err)
	}
	for _, item := range model.Items() {
		for word := range strings.FieldsFuncSeq(written(item), func(r rune) bool { return r > 255 || !inWord[r] }) {
			p.words[word] = true
		}
	}
	return p
}
