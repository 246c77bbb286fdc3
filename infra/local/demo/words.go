package demo

import (
	"errors"
	"fmt"
	"time"
)

func wrong(format string, a ...any) remark { return remark{Text: fmt.Sprintf(format, a...), Bad: true} }

func waitToSend(seconds int) string {
	if seconds == 0 {
		return "No further code can be sent for this. Start again."
	}
	return "A new code can be sent in " + span(seconds) + ". Codes already sent go on working."
}

func lockedFor(what string, seconds int) string {
	if seconds == 0 {
		return what + " An administrator has to help."
	}
	return what + " Wait " + span(seconds) + ", then try again."
}

// failed says in words for people what went wrong with a call.
func failed(err error) remark {
	var p *problem
	if !errors.As(err, &p) {
		return wrong("Countersign could not be asked, so nobody gets in. Try again.")
	}
	switch p.Code {
	case "locked":
		return wrong("%s", lockedFor("Too many wrong codes.", p.RetryAfterS))
	case "delivery_failed":
		return wrong("The message with your code could not be sent. Ask for it again.")
	case "unavailable":
		return wrong("Countersign can’t answer right now, so nobody gets in. Try again.")
	}
	return wrong("Countersign refused: %s", p.Detail)
}

func counted(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}

// span says a wait in the unit that suits it, rounded up.
func span(seconds int) string {
	switch {
	case seconds < 120:
		return counted(seconds, "second")
	case seconds < 2*60*60:
		return counted((seconds+59)/60, "minute")
	}
	return counted((seconds+3599)/3600, "hour")
}

// A moment is told in UTC, and by the page's script in the reader's own time zone.
type moment struct {
	UTC  string // for the script (RFC 3339)
	Text string
	Day  bool // the day is told even if it is today
}

// clockTime is a moment as the pages show it: the time alone if it is today, else with the day.
func clockTime(at, now time.Time) *moment {
	at = at.UTC()
	layout := "2 Jan 2006, 15:04 UTC"
	if at.Format(time.DateOnly) == now.UTC().Format(time.DateOnly) {
		layout = "15:04 UTC"
	}
	return &moment{UTC: at.Format(time.RFC3339), Text: at.Format(layout)}
}
