package mfa

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// An Action is what a step-up confirms. In a request it can also be the name alone, as a text.
//
// The lines say what is confirmed, such as the amount of a payment and who gets it. They are shown where the user answers,
// and stand in the message that carries the code. The challenge can't get other lines later, its code is good for no other
// challenge, and the token repeats the lines. So what the user has seen is what the client can be sure of (dynamic linking,
// Commission Delegated Regulation (EU) 2018/389, article 5).
type Action struct {
	Name  string   `json:"name"`  // up to 256 bytes
	Lines []string `json:"lines"` // of a step-up only; up to 8 lines of 1 to 120 bytes
}

// How many lines an action can have, and how many bytes a line can have.
const (
	mostActionLines   = 8
	longestActionLine = 120
)

func (a *Action) check(purpose string) error {
	if a == nil {
		return nil
	}
	if err := checkText("action", a.Name, 256); err != nil {
		return err
	}
	switch {
	case len(a.Lines) == 0:
		return nil
	case a.Name == "":
		return invalid("action.name", "An action with lines must have a name.")
	case purpose != StepUp:
		return invalid("action.lines", "Only the action of a step-up can have lines.")
	case len(a.Lines) > mostActionLines:
		return invalid("action.lines", "There can be at most %d lines.", mostActionLines)
	}
	for _, line := range a.Lines {
		if err := checkText("action.lines", line, longestActionLine); err != nil || strings.TrimSpace(line) == "" {
			return invalid("action.lines", "Each line must have 1 to %d bytes of UTF-8 without control characters, and not only spaces.", longestActionLine)
		}
	}
	return nil
}

// named returns the name as records and tokens have it. It is nil if there is no action.
func (a *Action) named() *string {
	if a == nil {
		return nil
	}
	return &a.Name
}

// lines returns the lines. There are none if there is no action.
func (a *Action) lines() []string {
	if a == nil {
		return nil
	}
	return a.Lines
}

// digest is what the activity keeps of an action with lines: base64url of SHA-256 of the name and the lines, joined by line
// feeds. Neither of them can have a line feed in it. So whoever has the lines can show that they are those of the entry.
func (a *Action) digest() string {
	sum := sha256.Sum256([]byte(strings.Join(append([]string{a.Name}, a.Lines...), "\n")))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// orNone returns a list as JSON has it: an empty one instead of null.
func orNone(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
