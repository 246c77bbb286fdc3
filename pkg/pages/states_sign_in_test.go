package pages_test

import (
	"fmt"
	"regexp"
	"time"
)

var signInStates = []string{
	"code by email", "not six digits", "wrong code", "not arrived", "sent too early", "sent again", "could not be sent", "not checked for a failure", "time is over",
	"first code could not be sent", "no more can be sent", "too many wrong answers", "locked with nothing left", "done without a way back",
	"confirm lines with a key", "key", "key was not found", "app", "app after two wrong codes", "locked", "recovery code", "not a recovery code", "wrong recovery code",
	"ask for a reset", "asked for a reset", "a reset waits already", "code by text message", "text message not arrived", "recovery code that resets", "asked for a reset that is decided",
}

func showSignIn(w *witness) {
	d := w.opens(kls)
	w.arrive(w.begins("ana", ""))
	w.look("code by email")
	w.press("code", "code", "12345")
	w.look("not six digits")
	w.press("code", "code", wrong(d.code("ana@acme.example")))
	w.look("wrong code")
	w.Run(`document.querySelector("details").open = true`)
	w.look("not arrived")
	w.Run(`document.querySelector("[data-wait]").disabled = false`) // as without scripts
	w.press("send")
	w.look("sent too early")
	d.later(time.Minute)
	w.Open(w.here())
	w.press("send")
	w.look("sent again")
	d.later(time.Minute)
	w.Open(w.here())
	d.fails("email", 1)
	w.press("send")
	w.look("could not be sent")
	d.fails("email", 0)
	w.press("send")
	d.fails("store", 1000)
	w.press("code", "code", "123456")
	w.look("not checked for a failure")
	d.fails("store", 0)
	w.Open(w.here())
	d.later(15 * time.Minute)
	w.press("code", "code", "123456")
	w.look("time is over")

	d.fails("email", 1)
	w.arrive(w.begins("bob", ""))
	w.look("first code could not be sent")
	d.fails("email", 0)
	w.arrive(w.begins("carl", ""))
	for range 4 {
		d.later(time.Minute)
		w.Open(w.here())
		w.press("send")
	}
	w.Run(`document.querySelector("details").open = true`)
	w.look("no more can be sent")
	w.arrive(w.begins("dan", ""))
	waits := w.here()
	for range 2 {
		w.arrive(w.begins("dan", ""))
		for range 5 {
			w.press("code", "code", wrong(d.code("dan@acme.example")))
		}
	}
	w.look("too many wrong answers")
	w.Open(waits)
	w.look("locked with nothing left")
	w.arrive(d.api("POST", "/v1/challenges", `{"org":"`+org+`","user":{"id":"eve","email":"eve@acme.example","locale":"`+w.language+`"}}`, nil))
	w.press("code", "code", d.code("eve@acme.example"))
	w.look("done without a way back")
	showWaysToAnswer(w)
}

// showWaysToAnswer shows the sign-in of users who have factors of every kind.
func showWaysToAnswer(w *witness) {
	d := w.opens(everyKind)
	w.Call("WebAuthn.enable", map[string]any{"enableUI": false}, nil)
	w.plug()
	w.arrive(d.started(w.language, ""))
	w.Open(w.here() + "?kind=webauthn")
	w.press("begin", "label", "Blue key")
	w.press("prove", "code", d.code("ana@acme.example"))
	w.answersWithKey()
	recovery := regexp.MustCompile(`[0-9A-Z-]{20,}`).FindString(w.Text(".recovery-codes code"))
	w.press("kept", "kept", "yes")
	d.enrolled(d.stepUp(w.person, w.language), `"kind":"totp","label":"Ana’s phone"`)
	w.arrive(d.started(w.language, `,"purpose":"step_up","action":{"name":"pay","lines":["Pay 1,200.00 EUR to Kovač d.o.o.","IBAN HR12 1001 0051 8630 0016 0"]}`))
	w.look("confirm lines with a key")
	w.answersWithKey()
	w.arrive(d.started(w.language, ""))
	w.look("key")
	w.unplug()
	w.plug() // another one, which has no key for ana
	w.answersWithKey()
	w.look("key was not found")
	w.pressLink()
	w.look("app")
	for range 2 {
		w.press("code", "code", "000000")
	}
	w.look("app after two wrong codes")
	for range 8 {
		w.press("code", "code", "000000")
	}
	w.look("locked")
	w.arrive(d.started(w.language, ""))
	w.Open(w.here() + "?by=recovery")
	w.look("recovery code")
	w.press("recover", "code", "AAAA-AAAA")
	w.look("not a recovery code")
	w.press("recover", "code", wrongRecovery(recovery))
	w.look("wrong recovery code")
	w.Open(w.here() + "?by=reset")
	w.look("ask for a reset")
	w.press("reset", "reason", "I lost my phone")
	w.look("asked for a reset")
	w.arrive(d.started(w.language, ""))
	w.Open(w.here() + "?by=reset")
	w.press("reset", "reason", "I lost my phone")
	w.look("a reset waits already")
	w.unplug()

	d = w.opens(`{"methods":{"sms":"allowed","email":"enrolled"},"sms":{"countries":["FR"]},"enrolment_proof":"none","recovery":{"effect":"reset"},"reset":{"self_service":"approve"}}`)
	d.withPhone("bob", "+33612345678")
	w.arrive(w.begins("bob", ""))
	w.look("code by text message")
	w.Run(`document.querySelector("details").open = true`)
	w.look("text message not arrived")
	w.Open(w.here() + "?by=recovery")
	w.look("recovery code that resets")
	w.Open(w.here() + "?by=reset")
	w.press("reset", "reason", "I lost my phone")
	w.look("asked for a reset that is decided")
}

// withPhone gives a user a phone number to which codes go.
func (d *desk) withPhone(user, number string) {
	d.t.Helper()
	fresh := map[string][]string{"Countersign-Reauthenticated-At": {d.now().UTC().Format(time.RFC3339)}}
	begun := d.api("POST", "/v1/enrolments", fmt.Sprintf(`{"org":%q,"user":{"id":%q,"email":"%s@acme.example"},"kind":"sms","phone":%q}`, org, user, user, number), fresh)
	d.api("POST", "/v1/enrolments/"+begun["id"].(string)+"/finish", `{"code":"`+d.code(number)+`"}`, fresh)
}

// wrongRecovery has the form of a recovery code, and isn't one.
func wrongRecovery(code string) string {
	other := "A"
	if code[:1] == other {
		other = "B"
	}
	return other + code[1:]
}
