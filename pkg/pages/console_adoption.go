package pages

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// An adoptionCount is how many users there were of each status and with each kind, at some moment.
type adoptionCount struct {
	Day    string         `json:"day"`
	At     time.Time      `json:"at"`
	Users  int            `json:"users"`
	Status map[string]int `json:"status"`
	Kinds  map[string]int `json:"kinds"`
}

// Share returns how many of a hundred users are protected.
func (a adoptionCount) Share() int {
	if a.Users == 0 {
		return 0
	}
	return a.Status["protected"] * 100 / a.Users
}

// An adoptionRow is one day of the table.
type adoptionRow struct {
	adoptionCount
	When *moment
}

// adoptionView is what the template of the adoption gets.
type adoptionView struct {
	console
	Now      adoptionCount
	Statuses []string
	Kinds    []string
	Spans    []int // over how many days one can look
	Span     int
	Rows     []adoptionRow
	Picture  *picture
}

// A picture is a chart of areas on top of each other, one for each status.
type picture struct {
	Width, Height int
	Areas         []area
	Most          int // users at the top
	First, Last   *moment
}

// An area is the part of a picture that stands for a status.
type area struct{ Status, Path string }

var (
	adoptionSpans = []int{30, 90, 365}
	factorKinds   = []string{"webauthn", "totp", "sms", "email"}
)

// mostDays is how many days the picture and the table show. Of a longer time they show days at equal distances.
const mostDays = 31

func showAdoption(v *visit) (any, error) {
	c, err := v.console("adoption")
	if err != nil {
		return nil, err
	}
	view := &adoptionView{console: c, Statuses: userStatuses, Kinds: factorKinds, Spans: adoptionSpans, Span: adoptionSpans[0]}
	for _, span := range adoptionSpans {
		if v.r.URL.Query().Get("days") == fmt.Sprint(span) {
			view.Span = span
		}
	}
	from := v.now.Add(-time.Duration(view.Span) * 24 * time.Hour)
	var got struct {
		Now  adoptionCount   `json:"now"`
		Days []adoptionCount `json:"days"`
	}
	if err := v.get(c.orgPath("/adoption?"+url.Values{"from": {from.UTC().Format(time.RFC3339)}}.Encode()), &got); err != nil {
		return nil, err
	}
	view.Now = got.Now
	for _, d := range thinned(got.Days) {
		row := adoptionRow{adoptionCount: d}
		if at, err := time.Parse(time.DateOnly, d.Day); err == nil {
			row.When = v.Day(at)
		}
		view.Rows = append(view.Rows, row)
	}
	if len(view.Rows) > 1 {
		view.Picture = drawn(view.Rows)
	}
	return view, nil
}

// thinned returns at most mostDays of the days, at equal distances, with the last among them.
func thinned(days []adoptionCount) (kept []adoptionCount) {
	step := (len(days) + mostDays - 1) / mostDays
	for i, d := range days {
		if (len(days)-1-i)%max(step, 1) == 0 {
			kept = append(kept, d)
		}
	}
	return kept
}

// drawn returns the picture of some days, the first at the left.
func drawn(rows []adoptionRow) *picture {
	p := &picture{Width: 640, Height: 200, First: rows[0].When, Last: rows[len(rows)-1].When}
	for _, r := range rows {
		p.Most = max(p.Most, r.Users)
	}
	below := make([]int, len(rows))
	x := func(i int) int { return i * p.Width / (len(rows) - 1) }
	y := func(n int) int { return p.Height - n*p.Height/max(p.Most, 1) }
	for _, status := range userStatuses {
		var upper, lower strings.Builder
		for i, r := range rows {
			back := len(rows) - 1 - i
			fmt.Fprintf(&lower, "L%d %d", x(back), y(below[back]))
			fmt.Fprintf(&upper, "%c%d %d", "ML"[min(i, 1)], x(i), y(below[i]+r.Status[status]))
		}
		for i, r := range rows {
			below[i] += r.Status[status]
		}
		p.Areas = append(p.Areas, area{status, upper.String() + lower.String() + "Z"})
	}
	return p
}
