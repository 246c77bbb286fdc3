package cloudwatch

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// A metric math expression is evaluated for one period at a time, because all metrics of an alarm have the same period.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
type expression struct {
	words []string
	at    int
	given map[string]point // the metrics in this period, by their ids
	fills func(id string) bool
}

var wordPattern = regexp.MustCompile(`\s*([A-Za-z_][A-Za-z0-9_]*|[0-9]+(?:\.[0-9]+)?|>=|<=|==|[-+*/(),<>])`)

// wordsOf splits an expression into its words.
func wordsOf(text string) (words []string, err error) {
	for rest := strings.TrimSpace(text); rest != ""; {
		m := wordPattern.FindStringSubmatch(rest)
		if m == nil || !strings.HasPrefix(rest, m[0]) {
			return nil, fmt.Errorf("%q: %q can't be read", text, rest)
		}
		words, rest = append(words, m[1]), strings.TrimSpace(rest[len(m[0]):])
	}
	return words, nil
}

// evaluate returns the value of an expression, which is given by its words. fills reports whether FILL puts values into the
// periods of a metric that have none.
func evaluate(words []string, given map[string]point, fills func(id string) bool) (_ point, err error) {
	e := &expression{words: words, given: given, fills: fills}
	defer func() {
		if r := recover(); r != nil {
			why, ok := r.(misread)
			if !ok {
				panic(r)
			}
			err = fmt.Errorf("%q: %s", words, string(why))
		}
	}()
	value := e.comparison()
	if e.next() != "" {
		return point{}, fmt.Errorf("%q: %q is left over", words, e.next())
	}
	return value, nil
}

// misread is the value of a panic about an expression that can't be read.
type misread string

func (e *expression) next() string {
	if e.at == len(e.words) {
		return ""
	}
	return e.words[e.at]
}

func (e *expression) take() string {
	word := e.next()
	e.at++
	return word
}

func (e *expression) want(word string) {
	if got := e.take(); got != word {
		panic(misread(fmt.Sprintf("got %q, want %q", got, word)))
	}
}

// both applies an operation to two values. The result is missing if one of the values is.
func both(a, b point, of func(a, b float64) float64) point {
	if !a.there || !b.there {
		return point{}
	}
	return point{of(a.value, b.value), true}
}

func truth(holds bool) float64 {
	if holds {
		return 1
	}
	return 0
}

func (e *expression) comparison() point {
	left := e.sum()
	switch e.next() {
	case ">=":
		e.take()
		return both(left, e.sum(), func(a, b float64) float64 { return truth(a >= b) })
	case "<":
		e.take()
		return both(left, e.sum(), func(a, b float64) float64 { return truth(a < b) })
	}
	return left
}

func (e *expression) sum() point {
	left := e.product()
	for {
		switch e.next() {
		case "+":
			e.take()
			left = both(left, e.product(), func(a, b float64) float64 { return a + b })
		case "-":
			e.take()
			left = both(left, e.product(), func(a, b float64) float64 { return a - b })
		default:
			return left
		}
	}
}

func (e *expression) product() point {
	left := e.factor()
	for {
		switch e.next() {
		case "*":
			e.take()
			left = both(left, e.factor(), func(a, b float64) float64 { return a * b })
		case "/":
			e.take()
			right := e.factor()
			if right.value == 0 { // CloudWatch gives no value for a division by zero
				right.there = false
			}
			left = both(left, right, func(a, b float64) float64 { return a / b })
		default:
			return left
		}
	}
}

func (e *expression) factor() point {
	word := e.take()
	if number, err := strconv.ParseFloat(word, 64); err == nil {
		return point{number, true}
	}
	switch word {
	case "(":
		value := e.comparison()
		e.want(")")
		return value
	case "FILL":
		e.want("(")
		id := e.next()
		value := e.factor()
		e.want(",")
		with := e.factor()
		e.want(")")
		if !value.there && e.fills(id) {
			return with
		}
		return value
	case "IF":
		e.want("(")
		condition := e.comparison()
		e.want(",")
		then := e.comparison()
		e.want(",")
		otherwise := e.comparison()
		e.want(")")
		switch {
		case !condition.there:
			return point{}
		case condition.value != 0:
			return then
		}
		return otherwise
	case "SUM":
		for _, w := range []string{"(", "METRICS", "(", ")", ")"} {
			e.want(w)
		}
		var sum point
		for _, v := range e.given {
			if v.there {
				sum = point{sum.value + v.value, true}
			}
		}
		return sum
	}
	value, ok := e.given[word]
	if !ok {
		panic(misread(fmt.Sprintf("%q is not known", word)))
	}
	return value
}
