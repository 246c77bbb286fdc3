package pages_test

import (
	"fmt"
	"strings"

	"countersign/infra/chromium"
)

// accessible has axe-core look at the page of a walk, on a light phone and on a dark desktop, and leaves a picture of both. It needs the
// same variables as the table of all states does.
func (p *person) accessible(state string) {
	p.T.Helper()
	eye := chromium.NewLook(p.T)
	for scheme, width := range map[string]int{"light": 320, "dark": 1280} {
		p.Resize(width, 900)
		p.Colours(scheme)
		if found := eye.Findings(p.Page); found != "" {
			p.T.Errorf("%s, %s, %d: axe-core finds %s", state, scheme, width, found)
		}
		eye.Picture(p.Page, fmt.Sprintf("walk-%s-%s-%d.png", strings.ReplaceAll(state, " ", "-"), scheme, width))
	}
	p.Resize(1280, 900)
	p.Colours("light")
}
