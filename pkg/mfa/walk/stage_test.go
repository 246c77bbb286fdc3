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

// A stage is a small world: what there is before the calls, which calls are made at the same time, and what must hold at the
// end in addition to what must hold on every stage.
type stage struct {
	name    string
	lost    [3]int          // how many commits may lose their answer or their process in one schedule: see losses
	jumps   []time.Duration // the clock may move by one of these, once and at any moment
	profile string          // kls if empty
	torn    bool            // the guard may be read at another moment than the facts beside it, as DynamoDB allows
	refused bool            // the provider refuses all emails and text messages
	counts  string          // part of the key under which the calls count together; empty if they count nothing
	policy  func(*mfa.Policy)
	set     func(*props)
}

// Props are what a stage consists of before the calls.
type props struct {
	testing.TB
	*mfatest.World
	full    bool // with COUNTERSIGN_ROUNDS=full there are more calls
	model   *storetest.Model
	policy  mfa.OrgPolicy // the policy in force before the calls, unless a stage saves another
	scripts []func(*actor)
	check   func(*ending) error
	typed   map[string]bool // codes that somebody gives
	before  map[string]bool // challenges that were begun before the calls
	spent   map[string]int  // answers before the calls, by challenge and by user
	words   map[string]bool // words that the store holds before the calls
	taken   map[string]bool // credential ids that were enrolled before the calls
	stolen  seal.Secret     // a superseded trust token, whose use ends all tokens of its browser

	shown  []seal.Secret        // recovery codes from before the calls
	apps   []*userApp           // apps from before the calls
	tokens []seal.Secret        // tokens of browsers that were trusted before the calls
	began  map[string]guardView // guards before the calls, by user
	tried  map[string]bool      // what probes found, by the facts that decide it

	records  map[string]*shownRecord // the records before the calls, by the bodies of their items
	coverage *coverage
}

// props makes what there is before the calls.
func (g *stage) props(t testing.TB, full bool, c *coverage) *props {
	clock := storetest.NewClock(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	model := storetest.NewModel(clock.Now)
	p := &props{
		TB: t, full: full, World: mfatest.Over(t, model, model, clock), model: model, check: func(*ending) error { return nil },
		typed: map[string]bool{}, before: map[string]bool{}, spent: map[string]int{}, words: map[string]bool{}, taken: map[string]bool{},
		tried: map[string]bool{}, records: map[string]*shownRecord{}, coverage: c,
	}
	p.policy = p.SetPolicy(t, "acme", cmp.Or(g.profile, "kls"), func(policy *mfa.Policy) {
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
		appStages(), smsStages(), textStages(), keyStages(), keyChangeStages(), recoveryStages(), enrolmentStages(), changeStages(), enforcementStages(), resetStages(), savingStages())
}

// byDefault returns a change of a policy, after which it has only two recovery codes, with this effect.
func byDefault(effect string) func(*mfa.Policy) {
	return func(p *mfa.Policy) { p.Recovery.Count, p.Recovery.Effect = 2, effect }
}
