package api

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"net/http"
	"strconv"
	"strings"

	"countersign/pkg/mfa"
)

// The page that explains a problem. It loads nothing from other addresses, and its Content-Security-Policy forbids that.
//
// It isn't made with html/template, because that package calls methods by name. A linker then has to keep every exported
// method in the binary.
const (
	explainStyle = `:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--paper:#fff;--line:#d8dee4;--mark:#0b57d0}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9aa4af;--paper:#0f1419;--line:#30363d;--mark:#8ab4f8}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:1.0625rem/1.6 system-ui,sans-serif}
main{max-width:40rem;margin:0 auto;padding:4rem 1.5rem}
p.code{margin:0;color:var(--soft);font-size:.9375rem}
code{font-family:ui-monospace,monospace;color:var(--mark)}
h1{margin:.25rem 0 2rem;padding-bottom:1.5rem;border-bottom:1px solid var(--line);font-size:1.75rem;line-height:1.25}
h2{margin:2rem 0 .25rem;font-size:1rem}
h2+p{margin:0}`

	explainPage = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · Countersign</title>
<style>{style}</style>
</head>
<body>
<main>
<p class="code">{status} <code>{code}</code></p>
<h1>{title}</h1>
<h2>What happened</h2>
<p>{explanation}</p>
<h2>What to do</h2>
<p>{advice}</p>
</main>
</body>
</html>
`
)

// explain answers with a page that says what a code means.
func explain(_ *exchange, values map[string]string) (answer, error) {
	about := problemOf(mfa.ErrorCode(values["code"]))
	if about == nil {
		return answer{}, &mfa.Error{Code: mfa.NotFound, Detail: "There is no such code."}
	}
	page := strings.NewReplacer(
		"{style}", explainStyle,
		"{status}", strconv.Itoa(about.Status),
		"{code}", html.EscapeString(string(about.Code)),
		"{title}", html.EscapeString(about.Title),
		"{explanation}", html.EscapeString(about.Explanation),
		"{advice}", html.EscapeString(about.Advice),
	).Replace(explainPage)
	style := sha256.Sum256([]byte(explainStyle))
	return answer{
		status: http.StatusOK, contentType: "text/html; charset=utf-8", body: []byte(page),
		contentPolicy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(style[:]) +
			"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	}, nil
}
