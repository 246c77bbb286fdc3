package house

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var (
	fenced    = regexp.MustCompile("(?ms)^```.*?^```[ \t]*$")
	inCode    = regexp.MustCompile("``.+?``|`[^`\n]+`")
	linkSigns = regexp.MustCompile(`\]\(\s*<?([^)\s>]*)>?[^)]*\)|(?m:^\s*\[[^\]]+\]:\s*<?([^\s>]+)>?)|(?:src|href)="([^"]*)"|<([a-z]+:[^>\s]+)>`)
	heading   = regexp.MustCompile(`(?m)^#{1,6}[ \t]+(.+?)[ \t]*#*$`)
	spoken    = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// prose returns a Markdown text without its code.
func prose(text []byte) string {
	return inCode.ReplaceAllString(fenced.ReplaceAllString(string(text), ""), "``")
}

// anchors returns the names under which GitHub lets others link to the headings of a Markdown text.
func anchors(text []byte) map[string]bool {
	found, times := map[string]bool{}, map[string]int{}
	for _, h := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(string(text), ""), -1) {
		name := strings.Map(func(r rune) rune {
			switch {
			case unicode.IsLetter(r) || unicode.IsNumber(r) || r == '-' || r == '_':
				return unicode.ToLower(r)
			case r == ' ':
				return '-'
			}
			return -1
		}, spoken.ReplaceAllString(h[1], "$1"))
		if n := times[name]; n > 0 {
			found[fmt.Sprintf("%s-%d", name, n)] = true
		} else {
			found[name] = true
		}
		times[name]++
	}
	return found
}

// brokenLinks reports which links of a Markdown file are broken. tree has the contents of all files by their paths. Links to
// other sites are not followed.
func brokenLinks(file string, tree map[string][]byte) (found []string) {
	for _, groups := range linkSigns.FindAllStringSubmatch(prose(tree[file]), -1) {
		target := strings.Join(groups[1:], "")
		if why := broken(file, target, tree); why != "" {
			found = append(found, fmt.Sprintf("%s: the link %q %s", file, target, why))
		}
	}
	return found
}

// broken returns what is wrong with a link of a file. It is empty if nothing is.
func broken(file, target string, tree map[string][]byte) string {
	to, err := url.Parse(target)
	switch {
	case err != nil || target == "":
		return "is malformed"
	case to.IsAbs() || to.Host != "":
		return brokenOutside(to)
	case strings.HasPrefix(to.Path, "/"):
		return "begins with a slash: it must be relative"
	}
	led := file
	if to.Path != "" {
		led = path.Join(path.Dir(file), to.Path)
	}
	content, isFile := tree[led]
	switch {
	case led == ".." || strings.HasPrefix(led, "../"):
		return "leads out of the tree"
	case !isFile && !holdsFiles(led, tree):
		return "leads to no file"
	case to.Fragment != "" && !anchors(content)[to.Fragment]:
		return "leads to no heading"
	}
	return ""
}

func holdsFiles(folder string, tree map[string][]byte) bool {
	for name := range tree {
		if folder == "." || strings.HasPrefix(name, folder+"/") {
			return true
		}
	}
	return false
}

// brokenOutside returns what is wrong with a link to another site. A link to the reader's own machine needs no https.
func brokenOutside(to *url.URL) string {
	host := to.Hostname()
	switch {
	case to.Scheme == "http" && (host == "localhost" || host == "127.0.0.1"):
		return ""
	case to.Scheme != "https":
		return "is not https"
	case to.User != nil || !regexp.MustCompile(`^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$`).MatchString(host):
		return "names no host"
	}
	return ""
}

func TestEveryLinkOfTheDocumentsLeadsSomewhere(t *testing.T) {
	tree := map[string][]byte{}
	for _, name := range files(t) {
		tree[name] = nil
		if strings.HasSuffix(name, ".md") {
			tree[name] = read(t, name)
		}
	}
	links := 0
	for name, text := range tree {
		if !strings.HasSuffix(name, ".md") {
			continue
		}
		links += len(linkSigns.FindAllString(prose(text), -1))
		for _, f := range brokenLinks(name, tree) {
			t.Error(f)
		}
	}
	if links < 20 {
		t.Errorf("got %d links, want those of README and more", links)
	}
}

func TestALinkThatLeadsNowhereIsFound(t *testing.T) {
	const there = "# Two words, *one* `code`\n\n## Again\n\n## Again\n\n```sh\n# No heading\n```\n"
	for _, c := range []struct{ text, want string }{
		{"[a](docs/there.md)", ""},
		{"[a](docs)", ""},
		{"[a](docs/there.md#two-words-one-code)", ""},
		{"[a](docs/there.md#again-1)", ""},
		{"# Here\n\n[a](#here)", ""},
		{`<img src="docs/there.md" alt="a">`, ""},
		{"[a]: docs/there.md", ""},
		{"`[a](gone.md)`", ""},
		{"```\n[a](gone.md)\n```\n", ""},
		{"[a](https://docs.example.org/b?c=d#e)", ""},
		{"<http://localhost:8080/>", ""},
		{"[a](gone.md)", "leads to no file"},
		{"[a]: gone.md", "leads to no file"},
		{"[a](docs/gone.md \"title\")", "leads to no file"},
		{"[a](doc)", "leads to no file"},
		{`<img src="gone.svg">`, "leads to no file"},
		{`<a href="gone.md">`, "leads to no file"},
		{"[a](../README.md)", "leads out of the tree"},
		{"[a](/docs/there.md)", "begins with a slash"},
		{"[a](#gone)", "leads to no heading"},
		{"[a](docs/there.md#again-2)", "leads to no heading"},
		{"[a](docs/there.md#no-heading)", "leads to no heading"},
		{"[a]()", "is malformed"},
		{"[a](https://docs.example.org/%zz)", "is malformed"},
		{"[a](http://docs.example.org/)", "is not https"},
		{"<http://docs.example.org/>", "is not https"},
		{"[a](//docs.example.org/)", "is not https"},
		{"[a](https:///b)", "names no host"},
		{"[a](https://docs,example/b)", "names no host"},
		{"[a](https://me@docs.example.org/)", "names no host"},
	} {
		tree := map[string][]byte{"README.md": []byte(c.text), "docs/there.md": []byte(there)}
		expect(t, c.text, brokenLinks("README.md", tree), c.want)
	}
}
