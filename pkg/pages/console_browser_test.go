package pages_test

import (
	"strings"
	"time"
)

// opens goes to a page, whose heading is title.
func (p *person) opens(address, title string) {
	p.T.Helper()
	p.Open(address)
	p.reaches(title)
}

// reaches waits until the page with that heading is there. The pages between are sent on by their scripts.
func (p *person) reaches(title string) {
	p.T.Helper()
	p.Wait()
	shown := ""
	for range 600 {
		var got struct{ Result struct{ Value any } }
		refused := p.Try("Runtime.evaluate", map[string]any{
			"expression": `new Promise((then) => setTimeout(then, 50)).then(() => document.readyState === "complete" && !window.left && document.querySelector("h1")?.textContent)`, "awaitPromise": true, "returnByValue": true,
		}, &got)
		if shown, _ = got.Result.Value.(string); refused == "" && shown == title { // a page that is left refuses the question
			return
		}
	}
	p.T.Fatalf("the page at %s is %q, want %q:\n%s", p.Run("location.pathname"), shown, title, p.Run("document.body.innerText"))
}

// clicks presses a button of the page, after filling its form in. fields are names and values.
func (p *person) clicks(do string, fields ...string) {
	p.T.Helper()
	p.Run(`(() => {
		const button = document.querySelector('button[name=do][value="` + do + `"]'), fields = ` + quoted(fields) + `;
		for (let i = 0; i < fields.length; i += 2) {
			const field = button.form.elements[fields[i]];
			if (field.type === "checkbox") field.checked = true; else field.value = fields[i + 1];
		}
		if (!button.form.reportValidity()) throw new Error("the browser refuses the form");
		window.left = true;
		setTimeout(() => button.click());
	})()`)
}

// stepsUp answers a step-up with an app.
func (p *person) stepsUp(secret string) {
	p.T.Helper()
	p.stepsUpAt("Confirm that it’s you", secret)
}

func (p *person) stepsUpAt(title, secret string) {
	p.T.Helper()
	p.reaches(title)
	p.desk.later(30 * time.Second)
	p.clicks("code", "code", appCode(p.desk.t, secret, p.desk.now()))
}

// console goes from the link of a portal session to the console, and returns its address.
func (p *person) console(link, title string) string {
	p.T.Helper()
	p.Call("Page.navigate", map[string]any{"url": p.desk.base + link}, nil)
	p.reaches(title)
	return strings.Split(p.Run("location.href"), "?")[0]
}
