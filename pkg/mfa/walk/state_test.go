package walk

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"countersign/pkg/seal"
	"countersign/pkg/store"
)

// A state is a digest of everything that can still make a difference: the store, the clock, the commits under way, how far
// each call has come and what it knows, and what has been answered. Each random value is named by the order in which it
// appears, so that two states that differ only in random values are the same.
type state [sha256.Size]byte

func (s *schedule) state() state {
	b := &canvas{props: s.props}
	fmt.Fprintln(b, s.clock.Now().UnixMicro(), s.losses, s.jumps, s.answered)
	s.write(b)
	for _, f := range s.air {
		b.add("air", fmt.Sprintf("%d %s", f.call.bit, s.commitText(f)))
	}
	for _, m := range s.mails {
		b.add("mail", m.To+m.Subject)
	}
	for _, m := range s.texts {
		b.add("mail", m.To)
	}
	for _, m := range s.waiting {
		s.known(b, m)
	}
	for _, a := range s.actors {
		for _, c := range a.calls {
			fmt.Fprintln(b, "call", c.bit, c.what, c.moved, c.began, c.landed, c.landedAfter, c.decided.UnixMicro(),
				c.lost, c.overtaken, c.landedOver, c.wrongCodes, c.wrongRecoveryCodes, c.wrongCredentials, c.inOtherBudget, c.rowIsOff, c.won, c.forgot, c.partly, c.lifted, c.carried, c.now.UnixMicro(), c.dead, c.over, c.text)
			writeFound(b, c.sets)
			writeFound(b, c.bound)
			writeFound(b, c.tokens)
		}
	}
	return b.state()
}

// outcome returns a digest of the result of a schedule.
func (s *schedule) outcome() state {
	b := &canvas{props: s.props}
	s.write(b)
	for _, a := range s.actors {
		for _, c := range a.calls {
			fmt.Fprintln(b, "call", c.bit, c.dead, c.text)
			writeFound(b, c.bound)
		}
	}
	return b.state()
}

// writeFound writes the words that b already holds. A word that stands nowhere else makes no difference.
func writeFound[T ~string](b *canvas, words []T) {
	for _, word := range words {
		if word != "" && b.holds(string(word)) {
			fmt.Fprintln(b, word)
		}
	}
}

// boundTo returns what the trust token and the known token of an answer are bound to, as far as it can change: words of the
// guard, and the browser and its generation. The tokens themselves don't show this. Without it, a state in which a call
// holds a valid token would be the same as one in which the token is no longer valid.
func (s *schedule) boundTo(c *call) (words []string) {
	trust, known := c.tokensAnswered()
	if trust == nil && known == nil {
		return nil
	}
	for _, item := range c.saw {
		if item.Key.Sort == "guard" {
			g := s.show(item).guard
			words = append(words, g.Epoch, g.TrustEpoch, g.KnownWord)
		}
	}
	if trust != nil {
		t, ok := seal.TrustToken.Parse(*trust)
		if !ok || len(t.Carried) < 4 {
			s.blame(errors.New("an answer has a trust token that can't be read"))
			return nil
		}
		browser, generation := t.Carried[:len(t.Carried)-4], t.Carried[len(t.Carried)-4:]
		words = append(words, "tb_"+base64.RawURLEncoding.EncodeToString(browser), fmt.Sprintf("%d", binary.BigEndian.Uint32(generation)))
	}
	return words
}

// write writes what the store holds, except for what no call changes.
func (s *schedule) write(b *canvas) {
	for _, item := range s.model.Items() {
		if s.looksAt(item.Key) {
			b.add("item", s.itemText(item))
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(s.numbers), func(x, y store.Key) int {
		return cmp.Or(cmp.Compare(x.Partition, y.Partition), cmp.Compare(x.Sort, y.Sort))
	}) {
		fmt.Fprintln(b, key.Sort, s.number(key))
	}
}

// number returns what is counted under a key.
func (s *schedule) number(key store.Key) int64 {
	n, err := s.model.Count(context.Background(), key, 0, 0, s.clock.Now())
	s.blame(err)
	return n
}

// known writes what determines how a waiting call goes on: what it has read and wants to commit, unless the commit is sure
// to be refused.
func (s *schedule) known(b *canvas, m *move) {
	doomed := s.doomed(m.made)
	fmt.Fprintln(b, "waits", m.call.bit, m.name, m.call.numbers, doomed)
	if doomed {
		return
	}
	for _, item := range m.call.saw {
		b.add(fmt.Sprint("seen by ", m.call.bit), s.itemText(item))
	}
	if m.made != nil {
		fmt.Fprintln(b, m.call.tries, s.commitText(m.made))
	}
}

// itemText returns everything about an item that makes a difference.
func (s *schedule) itemText(item store.Item) string {
	return fmt.Sprintf("%s %s %s %d %s", item.Key.Partition, item.Key.Sort, item.Version, item.Expires.Unix(), s.show(item).text)
}

// commitText returns everything about a commit that makes a difference.
func (s *schedule) commitText(f *flight) string {
	if f.text == "" {
		f.text = string(f.token)
		for _, w := range f.writes {
			f.text += fmt.Sprintf("\n%t %s", w.Delete, s.itemText(store.Item{Key: w.Key, Version: w.Expect, Expires: w.Expires, Body: w.Body}))
		}
	}
	return f.text
}

// longWord is the length from which a word is taken for random. Every id is longer, and every other word is shorter.
const longWord = 20

// renamed replaces each random word with a number, which is the same wherever the word stands. Words from before the calls
// stay, because they are the same in every schedule.
func (p *props) renamed(text []byte) []byte { return p.rename(nil, text, nil, names{}) }

// names has the numbers of random words.
type names map[string]int

// rename adds text to out, with each random word replaced by its number. A word that has none in known or in further gets the next one
// in further.
func (p *props) rename(out, text []byte, known, further names) []byte {
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
			name, ok := known[string(word)]
			if !ok {
				name, ok = further[string(word)]
			}
			if !ok {
				name = len(known) + len(further)
				further[string(word)] = name
			}
			out = fmt.Appendf(out, "~%d", name)
		default:
			out = append(out, word...)
		}
		i = j
	}
	return out
}

// inWord says for each byte whether it can be part of a word.
var inWord = func() (in [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_+/=") {
		in[c] = true
	}
	return in
}()

func TestCallsWithAnswersThatLookAlikeDifferByWhatTheirTokensAreBoundTo(t *testing.T) {
	g := stage{set: func(p *props) { p.trust("ana") }}
	p := g.props(t, false, newCoverage())
	stateOf := func(bound ...string) state {
		s := &schedule{props: p, model: p.model, clock: p.Clock, records: p.records}
		s.actors = []*actor{{schedule: s, calls: []*call{{bit: 1, bound: bound}}}}
		return s.state()
	}
	good, old, older := stateOf(p.began["ana"].Epoch), stateOf("0123456789abcdefghijkl"), stateOf("abcdefghijkl0123456789")
	if good == old {
		t.Error("a token that is bound to the guard of now looks like one that is bound to what is gone")
	}
	if old != older {
		t.Error("two tokens look different that are bound to what is gone")
	}
}
