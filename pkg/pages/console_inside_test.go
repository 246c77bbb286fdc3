package pages

import (
	"strings"
	"testing"
)

func TestAPictureHasAtMostAMonthOfDaysAndTheLastOne(t *testing.T) {
	for _, n := range []int{0, 1, 2, 30, 31, 32, 90, 365, 400} {
		days := make([]adoptionCount, n)
		for i := range days {
			days[i].Users = i + 1
		}
		kept := thinned(days)
		if len(kept) > mostDays || n > 0 && kept[len(kept)-1].Users != n || n <= mostDays && len(kept) != n {
			t.Errorf("of %d days: got %d", n, len(kept))
		}
	}
}

func TestThePictureStacksTheUsersOfEachStatus(t *testing.T) {
	day := func(protected, unprotected int) adoptionRow {
		return adoptionRow{adoptionCount: adoptionCount{Users: protected + unprotected, Status: map[string]int{"protected": protected, "unprotected": unprotected}}}
	}
	p := drawn([]adoptionRow{day(0, 2), day(2, 2)})
	for i, want := range []string{"M0 200L640 100L640 200L0 200Z", "M0 100L640 0L640 100L0 200Z"} {
		if p.Areas[i].Path != want {
			t.Errorf("%s: got %s, want %s", p.Areas[i].Status, p.Areas[i].Path, want)
		}
	}
	if p.Most != 4 || strings.Contains(p.Areas[3].Path, "-") {
		t.Errorf("got %+v", p)
	}
	drawn([]adoptionRow{day(0, 0), day(0, 0)}) // an organisation without users has a picture too
}

func TestAnIdInAPathIsReadAsItWasWritten(t *testing.T) {
	for _, id := range []string{"bob", "a@b.example", ".", "..", "a/b", "a b", "~x", "ü", "a+b", "a|b", "%2e"} {
		written := idInPath(id)
		if got := idFromPath(written); got != id || strings.ContainsAny(written, "/ %+|") {
			t.Errorf("%q: got %q by %q", id, got, written)
		}
	}
	if got := idFromPath("~!"); got != "" {
		t.Errorf("got %q for what nobody has written", got)
	}
}
