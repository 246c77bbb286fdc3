package main

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
)

// rates are the numbers of sign-ins in a second for which the tables are made.
var rates = []float64{10, 1000, 10_000, 100_000}

// spreads are the orgs and API keys over which sign-ins are spread.
var spreads = []scene{{orgs: 1, keys: 1}, {orgs: 10, keys: 1}, {orgs: 1000, keys: 10}, {orgs: 10_000, keys: 10}}

// write writes all tables.
func write(out io.Writer, all []pattern) {
	head := func(first string) {
		fmt.Fprintf(out, "\n| %s |", first)
		for i := range all {
			fmt.Fprintf(out, " %s |", all[i].name)
		}
		fmt.Fprintf(out, "\n|---|%s\n", strings.Repeat("---|", len(all)))
	}
	fmt.Fprintln(out, "What one sign-in reads and writes, in request units, with what publish does about it in full batches:")
	head("reads / writes of")
	for _, class := range classes() {
		row(out, class, all, func(p *pattern) string { return shown(p.steps[class].plus(times(p.crowded[class], p.marks))) })
	}
	row(out, "**the whole table**", all, func(p *pattern) string { return shown(sum(p.steps).plus(times(sum(p.crowded), p.marks))) })
	row(out, "records for publish", all, func(p *pattern) string { return fmt.Sprintf("%.2g", p.marks) })

	fmt.Fprintf(out, "\nFrom how many sign-ins a second on a limit is reached that Amazon or you can raise, %s:\n", spreads[2])
	head("limit")
	for _, l := range quotas() {
		row(out, linked(l), all, func(p *pattern) string { return number(l.reached(p, spreads[2])) })
	}
	for _, s := range spreads[:3] {
		fmt.Fprintf(out, "\nFrom how many sign-ins a second on a limit is reached that Amazon doesn't raise, %s:\n", s)
		head("limit")
		for _, l := range bounds() {
			row(out, l.name, all, func(p *pattern) string { return number(l.reached(p, s)) })
		}
	}

	fmt.Fprintln(out, "\nWhich limit is reached first, and how much of it the sign-ins take:")
	fmt.Fprint(out, "\n| sign-ins a second | of the limits that can be raised |")
	for _, s := range spreads {
		fmt.Fprintf(out, " of the others, %s |", s)
	}
	fmt.Fprintf(out, "\n|---|---|%s\n", strings.Repeat("---|", len(spreads)))
	for _, group := range alike(all) {
		for _, rate := range rates {
			fmt.Fprintf(out, "| %s, %s | %s |", number(rate), group.name, first(quotas(), group.pattern, scene{rate, 1, 1}))
			for _, s := range spreads {
				fmt.Fprintf(out, " %s |", first(bounds(), group.pattern, scene{rate, s.orgs, s.keys}))
			}
			fmt.Fprintln(out)
		}
	}
}

// A group is kinds of sign-in that ask for the same, with the pattern of one of them.
type group struct {
	name string
	*pattern
}

func alike(all []pattern) (groups []group) {
	for i := range all {
		p := &all[i]
		at := slices.IndexFunc(groups, func(g group) bool {
			return maps.Equal(g.steps, p.steps) && maps.Equal(g.crowded, p.crowded) && g.calls == p.calls && g.emails == p.emails && g.texts == p.texts
		})
		if at < 0 {
			groups = append(groups, group{p.name, p})
		} else {
			groups[at].name += ", or " + p.name
		}
	}
	return groups
}

func row(out io.Writer, name string, all []pattern, cell func(*pattern) string) {
	var cells []string
	for i := range all {
		cells = append(cells, cell(&all[i]))
	}
	if !slices.ContainsFunc(cells, func(c string) bool { return c != "" && c != "–" }) {
		return
	}
	fmt.Fprintf(out, "| %s | %s |\n", name, strings.Join(cells, " | "))
}

// first returns the limit of which most is taken, and how much that is.
func first(limits []limit, p *pattern, s scene) string {
	busiest, most := "", 0.0
	for _, l := range limits {
		if load := l.load(p, s); load > most && !l.sandbox {
			busiest, most = l.name, load
		}
	}
	if most > 1 {
		return fmt.Sprintf("**%s: %s times**", busiest, significant(most))
	}
	return fmt.Sprintf("%s: %s %%", busiest, significant(most*100))
}

// String says over what the sign-ins are spread.
func (s scene) String() string {
	count := func(n int, what string) string {
		if n == 1 {
			return "one " + what
		}
		return number(float64(n)) + " " + what + "s"
	}
	return count(s.orgs, "org") + " and " + count(s.keys, "API key")
}

func times(u use, n float64) use { return use{u.reads * n, u.writes * n} }

func shown(u use) string {
	if u == (use{}) {
		return ""
	}
	return fmt.Sprintf("%s / %s", small(u.reads), small(u.writes))
}

// small returns a number of at most two decimals, without zeros at the end.
func small(n float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", n), "0"), ".")
}

// number returns a whole number of two significant digits, with commas.
func number(n float64) string {
	if math.IsInf(n, 1) {
		return "–"
	}
	if n < 10 {
		return small(math.Round(n*10) / 10)
	}
	step := math.Pow(10, math.Floor(math.Log10(n))-1)
	digits := fmt.Sprintf("%.0f", math.Round(n/step)*step)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// significant returns a number of two significant digits.
func significant(n float64) string {
	if n >= 10 {
		return number(n)
	}
	return fmt.Sprintf("%.2g", n)
}

func linked(l limit) string {
	if l.page == "" {
		return l.name
	}
	return "[" + l.name + "](" + l.page + ")"
}
