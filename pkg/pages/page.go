package pages

import (
	"embed"
	"html/template"
)

// A page is one row of the table of pages.
type page struct {
	// path is what follows /pages/. A part in braces stands for any one part of a path; {id} is what the bearer is for.
	path string
	// session is the kind of bearer that the page needs, which names its cookie. It is empty for the page of a link.
	session string
	// sheet is the name of the page's template.
	sheet string
	// show asks the API for what the page shows. It returns what the template gets as .Page.
	show func(*visit) (any, error)
	// acts has the handlers of the page's forms, by what their field "do" says.
	acts map[string]act
}

// An act handles a form. It calls v.goTo, v.draw or v.remark to say what comes next: without any of them, the browser goes to
// the page again, so that loading it anew sends nothing twice. An error is a problem of the API, which the page tells.
type act func(*visit) error

// rows returns all pages.
func rows() []page {
	var all []page
	for _, some := range [][]page{
		linkPages,
		challengePages,
		enrolPages,
		cancelPages,
		portalPages,
		settingsPages,
		consolePages,
	} {
		all = append(all, some...)
	}
	return all
}

// values returns the parts of a path by the names that the pattern gives them, and whether the path fits the pattern.
func values(pattern, parts []string) (map[string]string, bool) {
	if len(pattern) != len(parts) {
		return nil, false
	}
	found := map[string]string{}
	for i, want := range pattern {
		switch {
		case want[0] == '{' && parts[i] != "":
			found[want[1:len(want)-1]] = parts[i]
		case want != parts[i]:
			return nil, false
		}
	}
	return found, true
}

//go:embed html/*.html
var sheetFiles embed.FS

func readSheets() (*template.Template, error) {
	return template.New("").ParseFS(sheetFiles, "html/*.html")
}
