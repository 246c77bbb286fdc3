package chromium

import (
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A Look checks states of pages as a person sees them.
type Look struct {
	axe   string // the script of axe-core; empty if it isn't there
	shots string // the folder that pictures go to; empty if nobody wants them
}

// NewLook reads COUNTERSIGN_AXE, which names the script of axe-core, and COUNTERSIGN_PICTURES, which names a folder for a picture of
// every state. Without axe-core the test fails with CI=true.
func NewLook(t testing.TB) *Look {
	t.Helper()
	l := &Look{shots: os.Getenv("COUNTERSIGN_PICTURES")}
	path := os.Getenv("COUNTERSIGN_AXE")
	switch {
	case path == "" && os.Getenv("CI") == "true":
		t.Fatal("COUNTERSIGN_AXE doesn't say where axe-core is")
	case path != "":
		script, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		l.axe = string(script)
	}
	return l
}

// HasAxe reports whether axe-core is there.
func (l *Look) HasAxe() bool { return l.axe != "" }

// At checks a state of a page, in light and dark, at 320, 768 and 1280 pixels: axe-core finds nothing, and nothing is wider than the page.
// It leaves a picture of each. Afterwards the page is 1280 pixels wide.
func (l *Look) At(c *Page, state string) {
	c.T.Helper()
	c.Wait()
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int{320, 768, 1280} {
			c.Resize(width, 900)
			c.Colours(scheme)
			at := fmt.Sprintf("%s, %s, %d", state, scheme, width)
			if wide := c.Run("document.documentElement.scrollWidth"); wide != fmt.Sprint(width) {
				c.T.Errorf("%s: the page is %s pixels wide", at, wide)
			}
			// Contrast depends on the scheme and layout on the width, so each of them is looked at once.
			if (scheme == "light") == (width == 320) && width != 768 {
				if found := l.Findings(c); found != "" {
					c.T.Errorf("%s: axe-core finds %s", at, found)
				}
			}
			l.Picture(c, fmt.Sprintf("%s-%s-%d.png", strings.ReplaceAll(state, " ", "-"), scheme, width))
		}
	}
	c.Resize(1280, 900)
}

// Findings returns what axe-core finds on a page; nothing if axe-core isn't there. The page's own policy lets no script in, so DevTools
// injects it.
func (l *Look) Findings(c *Page) string {
	c.T.Helper()
	if l.axe == "" {
		return ""
	}
	if c.Run("!window.axe") == "true" {
		c.Call("Runtime.evaluate", map[string]any{"expression": l.axe}, nil)
	}
	return c.Run(`axe.run({ resultTypes: ["violations"] }).then((all) => all.violations.map((v) => v.id + ": " + v.nodes.map((n) => n.target + " " + n.failureSummary).join("; ")).join("\n"))`)
}

// Picture leaves a picture of the whole page, if somebody wants pictures.
func (l *Look) Picture(c *Page, name string) {
	c.T.Helper()
	if l.shots == "" {
		return
	}
	if err := os.MkdirAll(l.shots, 0o755); err != nil {
		c.T.Fatal(err)
	}
	file, err := os.Create(filepath.Join(l.shots, name))
	if err != nil {
		c.T.Fatal(err)
	}
	defer file.Close()
	if err := png.Encode(file, c.Screenshot("html")); err != nil {
		c.T.Fatal(err)
	}
}
