package demo

import (
	"errors"
	"fmt"
	"time"
)

func wrong(format string, a ...any) remark { return remark{Text: fmt.Sprintf(format, a...), Bad: true} }

// notSent says why a code was not sent, and when it may be, by the code of the API for that.
func notSent(code string, seconds int) remark {
	switch {
	case code == "too_many_sends" && seconds == 0:
		return wrong("No further code can be sent here. Start again.")
	case code == "too_many_sends":
		return wrong("A new code can be sent in %s.", span(seconds))
	case code == "country_forbidden":
		return wrong("Your organisation does not allow text messages to this country. Choose another way.")
	}
	return wrong("The message with your code could not be sent. Ask for it again.")
}

func lockedFor(what string, seconds int) string {
	if seconds == 0 {
		return what + " An administrator has to help."
	}
	return what + " Wait " + span(seconds) + ", then try again."
}

// failed says what went wrong with a call, in words for the user.
func failed(err error) remark {
	var p *problem
	if !errors.As(err, &p) {
		return wrong("Demo desk could not reach Countersign, so nobody can sign in. Try again.")
	}
	switch p.Code {
	case "locked":
		return wrong("%s", lockedFor("There were too many wrong codes.", p.RetryAfterS))
	case "delivery_failed", "country_forbidden", "too_many_sends":
		return notSent(p.Code, p.RetryAfterS)
	case "unavailable":
		return wrong("Countersign can’t answer right now, so nobody can sign in. Try again.")
	}
	return wrong("Countersign refused this: %s", p.Detail)
}

func attemptsLeft(n int) string {
	if n == 1 {
		return "You have 1 attempt left."
	}
	return fmt.Sprintf("You have %d attempts left.", n)
}

func counted(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}

// span writes a wait in seconds, minutes or hours. It rounds up.
func span(seconds int) string {
	switch {
	case seconds < 120:
		return counted(seconds, "second")
	case seconds < 2*60*60:
		return counted((seconds+59)/60, "minute")
	}
	return counted((seconds+3599)/3600, "hour")
}

// A moment is a time on the page. The page has it in UTC, and its script changes it to the reader's time zone.
type moment struct {
	UTC  string // the time for the script (RFC 3339)
	Text string
	Day  bool // whether the day is shown even if it is today
}

// clockTime returns a moment as the pages show it: only the time if it is today, and otherwise with the day.
func clockTime(at, now time.Time) *moment {
	at = at.UTC()
	layout := "2 Jan 2006, 15:04 UTC"
	if at.Format(time.DateOnly) == now.UTC().Format(time.DateOnly) {
		layout = "15:04 UTC"
	}
	return &moment{UTC: at.Format(time.RFC3339), Text: at.Format(layout)}
}
