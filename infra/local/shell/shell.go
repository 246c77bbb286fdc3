// Package shell writes the commands that a user is shown to paste: for a POSIX shell such as bash, zsh or dash, and for
// PowerShell on Windows.
//
// It keeps that a path or a text stays what it is, whatever characters it has. It refuses to run anything.
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
	// PowerShell is that of Windows, and the newer one that is installed beside it.
	PowerShell Shell = "PowerShell"
)

// Of is the shell that users of an operating system have, which is named as GOOS names it.
func Of(goos string) Shell {
	if goos == "windows" {
		return PowerShell
	}
	return POSIX
}

// Quoted is a text as one word of the shell.
func (s Shell) Quoted(text string) string {
	if s == PowerShell {
		// PowerShell takes four more characters for a quotation mark, which its manual tells in about_Quoting_Rules.
		for _, mark := range []string{"'", "‘", "’", "‚", "‛"} {
			text = strings.ReplaceAll(text, mark, mark+mark)
		}
		return "'" + text + "'"
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// SetKey is the command after which KEY has the API key that is in a file.
func (s Shell) SetKey(file string) string {
	if s == PowerShell {
		return "$KEY = Get-Content -LiteralPath " + s.Quoted(file)
	}
	return "KEY=$(cat " + s.Quoted(file) + ")"
}

// A Call is a call of the API that a user can make.
type Call struct {
	Method  string // empty: GET, or POST if there is a body
	URL     string
	Bearer  string // $KEY, or letters that the user replaces; empty: none
	IfMatch string // the version that a change replaces, without quotation marks; empty: none
	Body    string // JSON; empty: none
}

// Call is the command that makes a call and shows the whole answer. Where it has several lines, those after the first are
// indented by two.
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

// powerShell is the call by PowerShell's own command: its older versions hand JSON over to curl without the quotation marks,
// and newer ones with them.
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
