// Package shell writes commands that a user can paste into a POSIX shell (such as bash, zsh or dash) or into PowerShell on
// Windows. It quotes paths and texts, so that they can have any characters. It runs no commands.
package shell

import (
	"fmt"
	"strings"
)

// A Shell is a kind of command line.
type Shell string

const (
	// POSIX is sh, and every shell that understands its commands.
	POSIX Shell = "a POSIX shell"
	// PowerShell is the PowerShell of Windows, and also the newer one that can be installed beside it.
	PowerShell Shell = "PowerShell"
)

// Of returns the shell that users of an operating system have. The operating system is named as in GOOS.
func Of(goos string) Shell {
	if goos == "windows" {
		return PowerShell
	}
	return POSIX
}

// Quoted returns the text as one quoted word of the shell.
func (s Shell) Quoted(text string) string {
	if s == PowerShell {
		// PowerShell reads four more characters as quotation marks (see about_Quoting_Rules in its manual).
		for _, mark := range []string{"'", "‘", "’", "‚", "‛"} {
			text = strings.ReplaceAll(text, mark, mark+mark)
		}
		return "'" + text + "'"
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// SetKey returns the command that sets KEY to the API key in a file.
func (s Shell) SetKey(file string) string {
	if s == PowerShell {
		return "$KEY = Get-Content -LiteralPath " + s.Quoted(file)
	}
	return "KEY=$(cat " + s.Quoted(file) + ")"
}

// A Call is a call of the API that a user can make.
type Call struct {
	Method  string // if it is empty, the method is GET, or POST if there is a body
	URL     string
	Bearer  string // $KEY, or a word that the user replaces by a token; empty if the call needs no bearer token
	IfMatch string // the version that a change replaces, without quotation marks; empty if the call needs none
	Body    string // JSON; empty if there is no body
}

// Call returns the command that makes a call and shows the whole answer. If it has several lines, all but the first are indented
// by two spaces.
func (s Shell) Call(c Call) string {
	if s == PowerShell {
		return c.powerShell()
	}
	command := "curl "
	if c.Method != "" {
		command += "-X " + c.Method + " "
	}
	command += POSIX.Quoted(c.URL)
	var headers []string
	if c.Bearer != "" {
		headers = append(headers, fmt.Sprintf(`-H "Authorization: Bearer %s"`, c.Bearer))
	}
	if c.Body != "" {
		headers = append(headers, "-H 'Content-Type: application/json'")
	}
	if c.IfMatch != "" {
		headers = append(headers, fmt.Sprintf(`-H 'If-Match: "%s"'`, c.IfMatch))
	}
	if len(headers) > 0 {
		command += " \\\n  " + strings.Join(headers, " ")
	}
	if c.Body != "" {
		command += " \\\n  -d " + POSIX.Quoted(c.Body)
	}
	return command
}

// powerShell makes the call with PowerShell's own command. It doesn't use curl, because older versions of PowerShell remove the
// quotation marks from JSON that they pass to curl, and newer ones don't.
func (c Call) powerShell() string {
	command := "Invoke-RestMethod "
	switch {
	case c.Method != "":
		command += "-Method " + c.Method + " "
	case c.Body != "":
		command += "-Method POST "
	}
	command += PowerShell.Quoted(c.URL)
	var headers []string
	if c.Bearer != "" {
		headers = append(headers, fmt.Sprintf(`Authorization = "Bearer %s"`, c.Bearer))
	}
	if c.IfMatch != "" {
		headers = append(headers, fmt.Sprintf(`'If-Match' = '"%s"'`, c.IfMatch))
	}
	if len(headers) > 0 {
		command += " `\n  -Headers @{ " + strings.Join(headers, "; ") + " }"
	}
	if c.Body != "" {
		command += " `\n  -ContentType 'application/json' -Body " + PowerShell.Quoted(c.Body)
	}
	return command + " | ConvertTo-Json -Depth 9"
}
