package walk

import (
	"maps"
	"runtime/debug"
	"slices"
	"testing"
	"testing/synctest"

	"countersign/pkg/mfa/mfatest"
)

// TestNoScheduleBreaksAnInvariant walks every stage: see the package comment.
func TestNoScheduleBreaksAnInvariant(t *testing.T) {
	met := newCoverage()
	t.Cleanup(func() { met.complete(t) })
	for _, g := range stages() {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			var now progress
			defer now.log(t)()
			synctest.Test(t, func(t *testing.T) {
				w := &walker{TB: t, stage: &g, props: g.props(t, mfatest.EveryRound(), met), losses: g.losses(), progress: &now}
				w.walk(t.Context())
				met.stage()
				t.Logf("%d states and %d outcomes in %d walks, which stand for %.3g schedules with up to %d lost commits",
					len(w.seen), len(w.ends), w.walks, w.all, w.losses)
			})
		})
	}
}

// losses returns how many commits may be lost in one schedule. There are fewer with the race detector, with which a walk
// takes eight times as long, and more with COUNTERSIGN_ROUNDS=full.
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

// TestTurningBackMissesNoOutcome compares the walk with one that never turns back and doesn't foresee which commits will be
// refused, on stages that are small enough for this.
func TestTurningBackMissesNoOutcome(t *testing.T) {
	losses := map[string]int{
		"two tabs of a trusted browser": 1, "two send a code again": 0, "the code ends": 0,
		"one code of an app at two sign-ins": 0, "a recovery resets": 0, "an enrolment is finished twice": 0, "one browser is revoked": 0,
		"one response of a key is given twice": 0, "a passkey without a counter at two sign-ins": 0, "two users take over a credential id that nobody has any more": 0,
	}
	if mfatest.EveryRound() {
		losses["another ceremony begins"], losses["a key is removed beside an answer with it"] = 0, 0
		losses["the user moves"], losses["a code is sent again"] = 1, 0
		losses["two make new recovery codes"], losses["a factor is enrolled and another removed"] = 1, 1
	}
	compare(t, losses, shortcuts{naive: true})
}

// TestReadingTogetherMissesNoOutcome compares the walk with one that carries out every read by itself, in all orders.
func TestReadingTogetherMissesNoOutcome(t *testing.T) {
	losses := map[string]int{
		"two tabs of a trusted browser": 0, "two send a code again": 0, "the code ends": 0, "one browser is revoked": 0,
		"one code of an app at two sign-ins": 0, "one response of a key is given twice": 0, "a proof beside a revocation": 0,
		"a trusted browser beside a revocation": 0,
	}
	if mfatest.EveryRound() {
		losses["one code of an app at two sign-ins"], losses["a recovery resets"], losses["the user moves"] = 1, 0, 0
		losses["a request for a reset is approved beside a cancel"], losses["a policy signs out beside an enrolment"] = 0, 0
		losses["an enrolment is finished twice"], losses["two users take over a credential id that nobody has any more"] = 0, 0
		losses["a user who was signed out enrols"], losses["a code is sent again"], losses["another enrolment is begun"] = 0, 0, 0
	}
	compare(t, losses, shortcuts{apart: true})
}

// compare compares the walks of stages with longer ones, which lack some shortcuts. losses says how many commits may be lost in them.
func compare(t *testing.T, losses map[string]int, lack shortcuts) {
	for _, g := range stages() {
		n, ok := losses[g.name]
		if !ok {
			continue
		}
		delete(losses, g.name)
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := g.props(t, false, newCoverage())
				walked := func(lack shortcuts) *walker {
					w := &walker{TB: t, stage: &g, props: p, losses: n, shortcuts: lack, progress: &progress{}}
					w.walk(t.Context())
					return w
				}
				short, long := walked(shortcuts{}), walked(lack)
				if maps.Equal(short.ends, long.ends) {
					t.Logf("%d walks instead of %d", short.walks, long.walks)
					return
				}
				t.Errorf("got %d outcomes, want %d", len(short.ends), len(long.ends))
			})
		})
	}
	for name := range losses {
		t.Errorf("there is no stage %q", name)
	}
}
