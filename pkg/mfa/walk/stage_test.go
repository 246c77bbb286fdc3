package walk

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store/storetest"
)

// A stage is a small world: what there is before anybody calls, who calls at once, and what must hold at the end besides
// what must hold on every stage.
type stage struct {
	name    string
	lost    [3]int          // commits whose answer may be lost, or whose process may die, in one schedule: see losses
	jumps   []time.Duration // by one of which the clock may move, once, at any moment
	resend  bool            // challenges are written to, so the moment at which they are read counts
	profile string          // kls if empty
	torn    bool            // the guard may be read at another moment than the facts beside it, as it may in DynamoDB
	refused bool            // the provider of mail and of text messages takes no message
	counts  string          // part of the key of what the calls count together; empty: nothing
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
	taken   map[string]bool // credential ids that somebody has enrolled before the calls
	stolen  seal.Secret     // a trust token whose use ends its line

	shown  []seal.Secret        // recovery codes before the calls
	apps   []*userApp           // before the calls
	tokens []seal.Secret        // of browsers that were trusted before the calls
	began  map[string]guardView // guards before the calls, by user
	tried  map[string]bool      // what probes found, by what decides it

	records  map[string]*shownRecord // before the calls, by what items hold
	coverage *coverage
}

// props sets the stage.
func (g *stage) props(t testing.TB, full bool, c *coverage) *props {
	clock := storetest.NewClock(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	model := storetest.NewModel(clock.Now)
	p := &props{
		TB: t, full: full, World: mfatest.Over(t, model, model, clock), model: model, check: func(*ending) error { return nil },
		typed: map[string]bool{}, before: map[string]bool{}, spent: map[string]int{}, words: map[string]bool{}, taken: map[string]bool{},
		tried: map[string]bool{}, records: map[string]*shownRecord{}, coverage: c,
	}
	p.SetPolicy(t, "acme", cmp.Or(g.profile, "kls"), func(policy *mfa.Policy) {
		policy.Challenge.Attempts = challengeAttempts
		policy.Challenge.ResendAfterS = 10
		if g.policy != nil {
			g.policy(policy)
		}
	})
	g.set(p)
	s := &schedule{props: p, model: model, records: p.records}
	var texts []string
	for _, item := range model.Items() {
		texts = append(texts, s.itemText(item))
	}
	for _, text := range texts {
		for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return r > 255 || !inWord[r] }) {
			p.words[word] = true
		}
	}
	p.began, _ = s.guards()
	if len(s.faults) > 0 {
		t.Fatal(s.faults[0])
	}
	return p
}

func (p *props) call(script func(*actor)) { p.scripts = append(p.scripts, script) }

func stages() []stage {
	return slices.Concat(answerStages(), endStages(), trustStages(), replayStages(),
		appStages(), smsStages(), textStages(), keyStages(), keyChangeStages(), recoveryStages(), enrolmentStages(), changeStages())
}

// byDefault is the default policy with few recovery codes, of that effect.
func byDefault(effect string) func(*mfa.Policy) {
	return func(p *mfa.Policy) { p.Recovery.Count, p.Recovery.Effect = 2, effect }
}
