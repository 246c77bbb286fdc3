package pages_test

import (
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"strings"
)

// accessible has axe-core look at the page of a walk, on a light phone and on a dark desktop, and leaves a picture of both. It needs the
// same variables as the table of all states does.
func (p *person) accessible(state string) {
	p.T.Helper()
	path, shots := os.Getenv("COUNTERSIGN_AXE"), os.Getenv("COUNTERSIGN_PICTURES")
	if path == "" && os.Getenv("CI") == "true" {
		p.T.Fatal("COUNTERSIGN_AXE doesn't say where axe-core is")
	}
	script, err := os.ReadFile(path)
	if err != nil && path != "" {
		p.T.Fatal(err)
	}
	for scheme, width := range map[string]int{"light": 320, "dark": 1280} {
		p.Resize(width, 900)
		p.Colours(scheme)
		if path != "" {
			p.Call("Runtime.evaluate", map[string]any{"expression": string(script)}, nil) // the page's own policy lets no script in
			if found := p.Run(`axe.run().then((all) => all.violations.map((v) => v.id + ": " + v.nodes.map((n) => n.target).join("; ")).join("\n"))`); found != "" {
				p.T.Errorf("%s, %s, %d: axe-core finds %s", state, scheme, width, found)
			}
		}
		if shots == "" {
			continue
		}
		file, err := os.Create(filepath.Join(shots, fmt.Sprintf("walk-%s-%s-%d.png", strings.ReplaceAll(state, " ", "-"), scheme, width)))
		if err != nil {
			p.T.Fatal(err)
		}
		if err := png.Encode(file, p.Screenshot("html")); err != nil {
			p.T.Fatal(err)
		}
		if err := file.Close(); err != nil {
			p.T.Fatal(err)
		}
	}
	p.Resize(1280, 900)
	p.Colours("light")
}
