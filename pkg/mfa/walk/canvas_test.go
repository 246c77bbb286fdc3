package walk

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"slices"
	"testing"
)

// A canvas is what a state is a digest of: a text whose order is given, and lines in any order. Both have random words.
type canvas struct {
	props *props
	text  bytes.Buffer
	lines [][]byte
}

// Write adds to the text.
func (b *canvas) Write(text []byte) (int, error) { return b.text.Write(text) }

// add adds a line. Lines of different sorts are never taken for each other.
func (b *canvas) add(sort, line string) { b.lines = append(b.lines, []byte(sort+" "+line+"\n")) }

// holds reports whether a word stands in the text or in a line.
func (b *canvas) holds(word string) bool {
	return bytes.Contains(b.text.Bytes(), []byte(word)) || slices.ContainsFunc(b.lines, func(line []byte) bool { return bytes.Contains(line, []byte(word)) })
}

// state returns the digest. It doesn't depend on the random words, and so not on the order in which the lines came either: the store
// keeps its items in the order of their keys, which have such words.
//
// The words of the text get their numbers first. Then a line gets its turn as soon as it is like no other one that is left, when the
// words without a number are left out of account. So two lines that differ by random words alone are told apart by what else says
// something of these words. If only such lines are left that nothing tells apart, any of them may be the next.
func (b *canvas) state() state {
	known := names{}
	out := b.props.rename(nil, b.text.Bytes(), nil, known)
	for left := b.lines; len(left) > 0; {
		blank := make([]blanked, len(left))
		further := names{}
		for i, line := range left {
			clear(further)
			blank[i] = blanked{b.props.rename(nil, line, known, further), line}
		}
		slices.SortFunc(blank, func(x, y blanked) int { return cmp.Or(bytes.Compare(x.blank, y.blank), bytes.Compare(x.line, y.line)) })
		left = nil
		var next []blanked
		for i, line := range blank {
			alike := func(j int) bool {
				return j >= 0 && j < len(blank) && bytes.Equal(blank[j].blank, line.blank) && !bytes.Equal(blank[j].line, line.line)
			}
			if alike(i-1) || alike(i+1) {
				left = append(left, line.line)
			} else {
				next = append(next, line)
			}
		}
		if len(next) == 0 {
			next, left = blank[:1], left[1:]
		}
		for _, line := range next {
			out = b.props.rename(out, line.line, nil, known)
		}
	}
	return sha256.Sum256(out)
}

// A blanked is a line, and what it looks like if the words without a number are left out of account.
type blanked struct{ blank, line []byte }

func TestAStateDoesNotDependOnTheOrderOfRandomWords(t *testing.T) {
	a, b, c, d := "a0000000000000000000A", "b0000000000000000000B", "c0000000000000000000C", "d0000000000000000000D"
	of := func(text string, lines ...string) state {
		canvas := &canvas{props: &props{}}
		canvas.text.WriteString(text)
		for _, line := range lines {
			canvas.add("item", line)
		}
		return canvas.state()
	}
	for name, same := range map[string][2]state{
		"a line that names both":        {of("", "ch "+a, "ch "+b, "guard "+a+" "+b), of("", "ch "+a, "ch "+b, "guard "+b+" "+a)},
		"a text that names both":        {of("1 "+a+" 2 "+b, "ch "+a, "ch "+b), of("1 "+b+" 2 "+a, "ch "+b, "ch "+a)},
		"a text that names one of them": {of("1 "+a, "ch "+a, "ch "+b), of("1 "+b, "ch "+a, "ch "+b)},
		"lines that lead to each other": {of("", "ch "+a, "ch "+b, "of "+a+" one", "of "+b+" two"), of("", "ch "+a, "ch "+b, "of "+a+" two", "of "+b+" one")},
		"two pairs":                     {of("", "ch "+a, "ch "+b, "tb "+a+" "+c, "tb "+b+" "+d), of("", "ch "+a, "ch "+b, "tb "+a+" "+d, "tb "+b+" "+c)},
		"a line that is there twice":    {of("", "ch "+a, "ch "+a, "ch "+b), of("", "ch "+b, "ch "+b, "ch "+a)},
	} {
		if same[0] != same[1] {
			t.Errorf("%s: two states that differ by random words alone are different", name)
		}
	}
	for name, different := range map[string][2]state{
		"another line":                    {of("", "ch "+a), of("", "tb "+a)},
		"one word instead of two":         {of("", "ch "+a, "tb "+a), of("", "ch "+a, "tb "+b)},
		"the other of two":                {of("1 "+a, "ch "+a+" x", "ch "+b+" y"), of("1 "+b, "ch "+a+" x", "ch "+b+" y")},
		"a line that is there once":       {of("", "ch "+a, "ch "+a), of("", "ch "+a)},
		"a pair that crosses another one": {of("", "ch "+a+" "+b, "ch "+b+" "+a), of("", "ch "+a+" "+b, "ch "+c+" "+d)},
	} {
		if different[0] == different[1] {
			t.Errorf("%s: two states that differ are the same", name)
		}
	}
}
