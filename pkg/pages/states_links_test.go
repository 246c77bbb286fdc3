package pages_test

import (
	"regexp"
	"time"
)

var linkStates = []string{
	"link", "link that was used", "link that has expired", "link that nobody made", "not for this browser", "no such page", "form of another page", "out of order",
	"go on with what waited", "cancel", "cancelled", "cancelled too late", "cancel out of order",
}

func showLinks(w *witness) {
	d := w.opens(`{"profile":"salto","reset":{"self_service":"hold","hold_s":86400},"acknowledge":true}`)
	// The forms of links stay until they are looked at.
	var script struct{ Identifier string }
	w.Call("Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": "HTMLFormElement.prototype.requestSubmit = () => {};"}, &script)
	defer w.Call("Page.removeScriptToEvaluateOnNewDocument", map[string]any{"identifier": script.Identifier}, nil)
	d.user("ana", `{"email":"ana@acme.example","locale":"`+w.language+`"}`)
	secret := d.withApp("ana")
	link, _ := d.link(w.begins("ana", ""))
	w.Open(d.base + link)
	w.look("link")
	w.press("open")
	w.Open(d.base + link)
	w.press("open")
	w.look("link that was used")
	expired, _ := d.link(w.begins("ana", ""))
	d.later(11 * time.Minute)
	w.Open(d.base + expired)
	w.press("open")
	w.look("link that has expired")
	w.Open(d.base + "/pages/challenge/csh_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	w.press("open")
	w.look("link that nobody made")
	w.Open(d.base + "/pages/sign-in/ch_another")
	w.look("not for this browser")
	w.Open(d.base + "/pages/nothing")
	w.look("no such page")

	link, _ = d.link(w.begins("ana", ""))
	w.Open(d.base + link)
	w.press("open")
	w.Run(`document.querySelector("[name=token]").value = ""`)
	w.press("code", "code", "123456")
	w.look("form of another page")
	w.Open(d.base + link)
	d.fails("store", 1000)
	w.press("open")
	w.look("out of order")
	d.fails("store", 0)

	d.later(time.Minute)
	w.Open(d.base + d.portal("ana"))
	w.press("open")
	w.press("off")
	w.press("code", "code", appCode(d.t, secret, d.now()))
	w.look("go on with what waited")

	link, _ = d.link(w.begins("ana", ""))
	w.Open(d.base + link)
	w.press("open")
	w.Open(w.here() + "?by=reset")
	w.press("reset", "reason", "lost")
	cancel := d.base + regexp.MustCompile(`/pages/cancel/`+w.language+`/csh_[\w-]+`).FindString(d.mail("ana@acme.example"))
	w.Open(cancel)
	w.look("cancel")
	d.fails("store", 1000)
	w.press("cancel")
	w.look("cancel out of order")
	d.fails("store", 0)
	w.press("cancel")
	w.look("cancelled")
	w.Open(cancel)
	w.press("cancel")
	w.look("cancelled too late")
}

// speaks makes the browser ask for pages in the language of the state. Only pages that don't know their user listen to it.
func (w *witness) speaks() {
	w.T.Helper()
	w.Call("Emulation.setUserAgentOverride", map[string]any{"userAgent": w.Run("navigator.userAgent"), "acceptLanguage": w.language}, nil)
}
