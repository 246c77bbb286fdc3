package pages_test

import (
	"regexp"
	"time"
)

var settingsStates = []string{
	"nothing set up", "add a way", "add a phone with a wrong number", "nothing more to add", "everything set up", "everything open", "activity", "no activity",
	"turned off", "removed", "password was checked long ago", "password first", "session is over", "all trust has ended", "offer of a backup",
	"confirm a change", "change that was cancelled", "confirm with the strongest way", "confirmation is over", "required and the last way", "required and in grace", "required and nothing set up",
	"by the address of the account", "locked", "only text messages and few codes", "no codes left", "new recovery codes",
}

func showSettings(w *witness) {
	d := w.opens(`{"methods":{"sms":"allowed"},"sms":{"countries":["FR"]},"email_backup":"pinned","trust":{"days":30},"enrolment_proof":"none"}`)
	user := func(locale string) { d.user("ana", `{"email":"ana@acme.example","locale":"`+locale+`"}`) }
	user(w.language)
	w.settings("ana")
	home := w.here()
	w.look("nothing set up")
	w.Open(home + "/activity")
	w.look("no activity")
	w.Open(home + "/add")
	w.look("add a way")
	w.Open(home + "/add?kind=sms")
	w.press("begin", "phone", "12")
	w.look("add a phone with a wrong number")

	user("en") // whom the texts are for that the setup looks for
	key := d.settings("ana").threeWays()
	for _, name := range []string{"Firefox, Linux", "Safari, iPhone"} {
		d.later(time.Minute)
		began := d.start("ana", "")["challenge"].(map[string]any)["id"].(string)
		d.api("POST", "/v1/challenges/"+began+"/verify", `{"code":"`+appCode(d.t, key, d.now())+`","trust":{"name":"`+name+`"}}`, nil)
	}
	user(w.language)
	w.settings("ana")
	home = w.here()
	w.look("everything set up")
	w.Run(`document.querySelectorAll("details").forEach((d) => d.open = true)`)
	w.look("everything open")
	d.api("GET", "/local/events", "", nil) // what was committed is filed now
	w.Open(home + "/activity")
	w.look("activity")
	d.later(time.Minute)
	w.Open(home)
	w.press("codes")
	w.look("confirm a change")
	w.Loading(func() { w.Run(`document.querySelector("[name=stay]").click()`) })
	w.look("change that was cancelled")
	w.press("codes")
	w.confirms(func() { w.press("code", "code", appCode(d.t, key, d.now())) })
	w.look("new recovery codes")
	w.press("kept", "kept", "yes")
	w.press("revoke_all")
	w.look("all trust has ended")
	d.later(time.Minute)
	w.settings("ana")
	home = w.here()
	w.press("off")
	w.confirms(func() { w.press("code", "code", appCode(d.t, key, d.now())) })
	w.look("turned off")
	w.press("on")
	w.press("remove")
	w.look("removed")
	d.later(11 * time.Minute)
	w.Open(home)
	w.look("password was checked long ago")
	w.press("off")
	w.look("password first")
	d.later(time.Hour)
	w.Open(home)
	w.look("session is over")
	showSettingsOfOthers(w)
}

// showSettingsOfOthers shows the settings under other policies.
func showSettingsOfOthers(w *witness) {
	d := w.opens(`{"profile":"salto","acknowledge":true}`)
	d.user("bob", `{"email":"bob@acme.example","locale":"`+w.language+`"}`)
	d.withApp("bob")
	w.settings("bob")
	w.Open(w.here() + "/backup")
	w.look("offer of a backup")
	d.later(11 * time.Minute)
	w.settings("bob")
	w.press("off")
	d.later(16 * time.Minute)
	w.press("code", "code", "123456")
	w.look("confirmation is over")

	d.user("carl", `{"email":"carl@acme.example","locale":"`+w.language+`"}`)
	carl := d.withApp("carl")
	for range 2 {
		v := d.visitor()
		v.arrive(d.start("carl", ""))
		for range 5 {
			v.submit("code", "code", wrong(appCode(d.t, carl, d.now())))
		}
	}
	w.settings("carl")
	w.look("locked")

	d = w.opens(karbonRequired)
	d.user("dan", `{"email":"dan@acme.example","locale":"`+w.language+`"}`)
	w.settings("dan")
	w.look("required and nothing set up")
	d.api("PATCH", "/v1/orgs/"+org+"/users/dan", `{"grace_until":"`+d.now().Add(48*time.Hour).UTC().Format(time.RFC3339)+`"}`, nil)
	w.settings("dan")
	w.look("required and in grace")
	d.withApp("dan")
	w.settings("dan")
	w.look("required and the last way")
	w.Open(w.here() + "/add")
	w.look("nothing more to add")

	d = w.opens(kls)
	d.user("eve", `{"email":"eve@acme.example","locale":"`+w.language+`"}`)
	w.settings("eve")
	w.look("by the address of the account")

	d = w.opens(`{"methods":{"sms":"allowed","totp":"forbidden","email":"forbidden"},"sms":{"countries":["FR"]},"recovery":{"count":1},"enrolment_proof":"none"}`)
	d.user("fay", `{"email":"fay@acme.example","locale":"`+w.language+`"}`)
	w.settings("fay")
	home := w.here()
	w.Open(home + "/add?kind=sms")
	w.press("begin", "phone", "+33612345678")
	w.press("finish", "code", d.code("+33612345678"))
	recovery := regexp.MustCompile(`[0-9A-Z-]{20,}`).FindString(w.Text(".recovery-codes code"))
	w.press("kept", "kept", "yes")
	w.Open(home)
	w.look("only text messages and few codes")
	began := d.start("fay", "")["challenge"].(map[string]any)["id"].(string)
	d.api("POST", "/v1/challenges/"+began+"/recover", `{"code":"`+recovery+`"}`, nil)
	w.Open(home)
	w.look("no codes left")

	d = w.opens(salto)
	d.user("ana", `{"email":"ana@acme.example"}`)
	d.settings("ana").threeWays()
	d.user("ana", `{"email":"ana@acme.example","locale":"`+w.language+`"}`)
	d.later(15 * time.Minute)
	w.settings("ana")
	w.press("off")
	w.Loading(func() {
		w.Run(`[...document.querySelectorAll("[name=kind]")].find((e) => e.value === "email").form.querySelector("button").click()`)
	})
	w.confirms(func() { w.press("code", "code", d.code("ana@acme.example")) })
	w.look("confirm with the strongest way")
}
