package walk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"countersign/pkg/mfa"
	"countersign/pkg/seal"
	"countersign/pkg/store"
)

// A walker goes through all schedules of a stage, depth first. It takes each from the start again: the calls are made
// anew up to where the schedules part. Where it comes to a state that it has been in, all that can follow has been seen
// and it turns back.
type walker struct {
	testing.TB
	stage  *stage
	props  *props
	losses int
	naive  bool // turn back nowhere, and leave out nothing that changes nothing

	path  []fork
	seen  map[state]float64 // states, and how many ways lead on from each
	ends  map[state]bool    // what it came to: the store at the end, and the answers
	all   float64           // schedules there are
	walks int               // schedules that were walked, to the end or to a state that had been seen
}

// A fork is a state on the path, and which of its options is being walked.
type fork struct {
	state
	options, taken int
	ways           float64
}

// walk goes through all schedules.
func (w *walker) walk(ctx context.Context) {
	w.seen, w.ends = map[state]float64{}, map[state]bool{}
	for more := true; more && !w.Failed(); more = w.back() {
		for !w.one(ctx) {
		}
		w.walks++
	}
}

// back moves on to the next option of the last fork that has one.
func (w *walker) back() bool {
	for len(w.path) > 0 {
		last := &w.path[len(w.path)-1]
		if last.taken++; last.taken < last.options {
			return true
		}
		ways := last.ways
		w.all = ways
		w.seen[last.state] = ways
		w.path = w.path[:len(w.path)-1]
		if len(w.path) > 0 {
			w.path[len(w.path)-1].ways += ways
		}
	}
	return false
}

// one walks the schedule of the path, and from there always takes the first option. It reports false if chance spoilt it.
func (w *walker) one(ctx context.Context) bool {
	s := w.props.open(ctx, w.stage, w.losses, w.naive)
	defer s.close()
	known, depth := len(w.path), 0
	var story []string
	for {
		options := s.options()
		if depth >= known {
			if !w.enter(s, options, story) {
				return true
			}
		} else if w.path[depth].options != len(options) {
			w.Errorf("%s: a schedule can't be repeated; got %d options, want %d:\n%s",
				w.stage.name, len(options), w.path[depth].options, strings.Join(story, "\n"))
			return true
		}
		o := options[w.path[depth].taken]
		story = append(story, o.String())
		s.take(o)
		if s.chance {
			w.undo(known)
			return false
		}
		depth++
	}
}

// undo forgets what was found since the path was known long.
func (w *walker) undo(known int) {
	for _, f := range w.path[known:] {
		delete(w.seen, f.state)
	}
	w.path = w.path[:known]
}

// enter adds a state to the path, or reports that there is nothing more to see.
func (w *walker) enter(s *schedule, options []option, story []string) bool {
	here := s.state()
	last := &fork{}
	if len(w.path) > 0 {
		last = &w.path[len(w.path)-1]
	}
	ways, seen := w.seen[here]
	if seen && !w.naive {
		if slices.ContainsFunc(w.path, func(f fork) bool { return f.state == here }) {
			w.Errorf("%s: the calls go round in circles:\n%s", w.stage.name, strings.Join(story, "\n"))
		}
		last.ways += ways
		return false
	}
	w.seen[here] = 0
	next := fork{state: here, options: len(options)}
	if len(s.waiting) == 0 {
		next.ways = 1
		w.ends[s.outcome()] = true
		if err := s.judge(); err != nil {
			w.Errorf("%s: %v, after\n%s", w.stage.name, err, strings.Join(story, "\n"))
			return false
		}
	}
	if len(options) == 0 {
		w.seen[here] = 1
		last.ways++
		return false
	}
	w.path = append(w.path, next)
	return true
}

// A state is all that can make a difference from here on, digested: the store, the clock, what is in the air, how far
// each call has come and what it knows, and what has been answered. What was made at random is called by the order in
// which it appears, so that two states which differ in nothing else are one.
type state [sha256.Size]byte

func (s *schedule) state() state {
	var b bytes.Buffer
	fmt.Fprintln(&b, s.clock.Now().UnixMicro(), s.losses, s.jumps, s.answered)
	s.write(&b)
	var air []string
	for _, f := range s.air {
		air = append(air, fmt.Sprint("air ", f.call.bit, f))
	}
	s.props.inOrder(&b, air)
	var mails []string
	for _, m := range s.mails {
		mails = append(mails, m.To+m.Subject)
	}
	s.props.inOrder(&b, mails)
	for _, m := range s.waiting {
		s.known(&b, m)
	}
	for _, a := range s.actors {
		for _, c := range a.calls {
			fmt.Fprintln(&b, "call", c.bit, c.what, c.moved, c.began, c.landed, c.landedAfter, c.decided.UnixMicro(),
				c.lost, c.overtaken, c.landedOver, c.guessed, c.looked, c.strayed, c.misrow, c.won, c.forgot, c.partly, c.lifted, c.now.UnixMicro(), c.dead, c.over, c.text)
			for _, set := range c.sets {
				if bytes.Contains(b.Bytes(), []byte(set)) {
					fmt.Fprintln(&b, set)
				}
			}
			for _, token := range c.tokens {
				if bytes.Contains(b.Bytes(), []byte(token)) { // one that is nowhere to be found makes no difference
					fmt.Fprintln(&b, token)
				}
			}
		}
	}
	return sha256.Sum256(s.props.renamed(b.Bytes()))
}

// outcome digests what a schedule came to.
func (s *schedule) outcome() state {
	var b bytes.Buffer
	s.write(&b)
	for _, a := range s.actors {
		for _, c := range a.calls {
			fmt.Fprintln(&b, "call", c.bit, c.dead, c.text)
		}
	}
	return sha256.Sum256(s.props.renamed(b.Bytes()))
}

// write writes what the store holds, but for what no call changes.
func (s *schedule) write(b *bytes.Buffer) {
	var items []string
	for _, item := range s.model.Items() {
		if !strings.HasPrefix(item.Key.Partition, "key#") && !strings.HasPrefix(item.Key.Partition, "org#") {
			items = append(items, written(item))
		}
	}
	s.props.inOrder(b, items)
}

// known writes what a call that waits will go by: what it has read and wants to commit, unless that is sure to be
// refused.
func (s *schedule) known(b *bytes.Buffer, m *move) {
	fmt.Fprintln(b, "waits", m.call.bit, m.name)
	if s.doomed(m.made) {
		return
	}
	var saw []string
	for _, item := range m.call.saw {
		saw = append(saw, written(item))
	}
	s.props.inOrder(b, saw)
	if m.made != nil {
		fmt.Fprintln(b, m.call.tries, m.made)
	}
}

func written(item store.Item) string {
	return fmt.Sprintf("%s %s %s %d %s", item.Key.Partition, item.Key.Sort, item.Version, item.Expires.Unix(), item.Body)
}

// String is all of a commit.
func (f *flight) String() string {
	text := string(f.token)
	for _, w := range f.writes {
		text += fmt.Sprintf("\n%t %s", w.Delete, written(store.Item{Key: w.Key, Version: w.Expect, Expires: w.Expires, Body: w.Body}))
	}
	return text
}

// inOrder writes lines in an order that doesn't hang on what is random in them.
func (p *props) inOrder(b *bytes.Buffer, lines []string) {
	if len(lines) > 1 {
		blank := make(map[string]string, len(lines))
		for _, line := range lines {
			blank[line] = string(p.renamed([]byte(line)))
		}
		slices.SortStableFunc(lines, func(x, y string) int { return strings.Compare(blank[x], blank[y]) })
	}
	for _, line := range lines {
		b.WriteString(line)
		b.WriteByte('\n')
	}
}

// longWord is the length from which a word is taken for random: shorter than any id, and longer than any that isn't.
const longWord = 20

// renamed puts a number in the place of each random word, the same for the same word. Those that were there before the
// calls are the same in every schedule and stay.
func (p *props) renamed(text []byte) []byte {
	out := make([]byte, 0, len(text))
	names := map[string]int{}
	for i := 0; i < len(text); {
		j, random := i, false
		for ; j < len(text) && inWord[text[j]]; j++ {
			random = random || text[j] >= '0' && text[j] <= '9' || text[j] >= 'A' && text[j] <= 'Z'
		}
		switch word := text[i:j]; {
		case j == i:
			out = append(out, text[i])
			j++
		case random && len(word) >= longWord && !p.words[string(word)]:
			name, ok := names[string(word)]
			if !ok {
				name = len(names)
				names[string(word)] = name
			}
			out = fmt.Appendf(out, "~%d", name)
		default:
			out = append(out, word...)
		}
		i = j
	}
	return out
}

// inWord says of each byte whether it can be part of a word.
var inWord = func() (in [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_+/=") {
		in[c] = true
	}
	return in
}()

// told is an answer, or a refusal, with its secrets.
func told(answer any, err *mfa.Error) string {
	if err != nil {
		left := -1
		if err.AttemptsLeft != nil {
			left = *err.AttemptsLeft
		}
		return fmt.Sprintf("%s %d %s", err.Code, left, err.RetryAfter)
	}
	reveal := func(s *seal.Secret) string {
		if s == nil {
			return ""
		}
		return s.Reveal()
	}
	revealAll := func(codes []seal.Secret) (text string) {
		for _, code := range codes {
			text += " " + code.Reveal()
		}
		return text
	}
	switch a := answer.(type) {
	case mfa.VerifyAnswer:
		return fmt.Sprint("verified ", a.IssuedAt, " ", a.Token.Reveal(), " ", reveal(a.TrustToken), " ", reveal(a.KnownToken), revealAll(a.RecoveryCodes))
	case mfa.StartAnswer:
		text := fmt.Sprint(a.Decision, " ", reveal(a.Token), " ", reveal(a.TrustToken))
		if c := a.Challenge; c != nil {
			text += fmt.Sprint(" ", c.ID, " ", reveal(c.Token), " ", c.Sent, " ", c.SendError)
		}
		return text
	case mfa.RecoverAnswer:
		text := fmt.Sprint("recovered ", a.Effect, " ", a.CodesLeft, " ", a.IssuedAt, " ", reveal(a.Token))
		if a.Enrolment != nil {
			text += " " + reveal(a.Enrolment.Token)
		}
		return text
	case mfa.EnrolAnswer:
		text := fmt.Sprint("begun ", a.ID, " ", a.Kind)
		if a.SendAnswer != nil {
			text += fmt.Sprint(" ", a.Sent)
		}
		if a.TOTP != nil {
			text += " " + a.TOTP.Secret.Reveal()
		}
		return text
	case mfa.FinishAnswer:
		return fmt.Sprint("enrolled ", a.Factor.ID, " ", a.IssuedAt, " ", reveal(a.Token), revealAll(a.RecoveryCodes))
	case mfa.ProveAnswer:
		return "proven"
	case mfa.RecoveryCodes:
		return fmt.Sprint("made", revealAll(a.RecoveryCodes))
	case mfa.User:
		return fmt.Sprint("user with ", len(a.Factors), " factors, locked until ", a.LockedUntil)
	case mfa.SendAnswer:
		return fmt.Sprint("sent ", a.Sent)
	}
	return fmt.Sprint(answer)
}
