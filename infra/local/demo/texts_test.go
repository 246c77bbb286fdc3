package demo_test

import (
	"regexp"
	"strings"
	"testing"
)

var textCode = regexp.MustCompile(`class="text-code">(\d{6})<`)

// textCode is the code of the newest text message on the phone.
func (b *browser) textCode() string {
	b.t.Helper()
	return b.shown("text message with a code", textCode)
}

const number = "+49 152 28817386"

// setUpNumber sets up the number that the page suggests.
func (b *browser) setUpNumber() {
	b.t.Helper()
	b.submit("/demo/change", "what", "phone", "phone", number)
	b.submit("/demo/code", "code", b.code())
	b.submit("/demo/finish", "code", b.textCode())
	b.recoveryCodes()
	b.submit("/demo/kept")
}

func TestANumberIsSetUpWithTheTextMessageOnThePhone(t *testing.T) {
	b := in(t)
	if !strings.Contains(b.page, `value="`+number+`"`) || !strings.Contains(b.said(), "allows numbers of these countries: BE, CH, DE") {
		t.Error("the page suggests no number, or doesn't say of which countries it can be")
	}
	b.submit("/demo/change", "what", "phone", "phone", number)
	b.want("Before you set up a phone number")
	b.submit("/demo/code", "code", b.code())
	b.want("Set up your phone number", "We sent code A to •••• 86", "the message is on this page")
	first := b.textCode()
	if !strings.Contains(b.page, "@localhost #"+first) {
		t.Error("the text message isn't shown whole")
	}
	b.submit("/demo/finish", "code", wrong(first))
	b.want("That code is not right. You have 4 attempts left.")
	b.submit("/demo/send")
	b.want("A new code can be sent in")
	b.later("seconds")
	b.submit("/demo/send")
	b.want("A new code is on its way. The earlier one no longer works.", "We sent code B")
	form, second := b.form("/demo/finish", "code", b.textCode()), b.textCode()
	b.part("/demo/texts")
	wanted(t, "code after a refresh", b.textCode(), second)
	b.send(form)
	b.want("“Phone number” is set up. From now on a sign-in asks for a code that is sent to it.")
	b.recoveryCodes()
	b.submit("/demo/kept")
	b.want("Phone number Text message · •••• 86 · last used")
}

func TestASignInAsksForTheCodeOfATextMessage(t *testing.T) {
	b := in(t)
	b.setUpNumber()
	b.again()
	b.want("We sent code A to •••• 86 . This letter is in the text message.", "Use an emailed code instead", "Use a recovery code")
	b.way("Use an emailed code instead")
	b.want("A new code can be sent in 30 seconds.", "No code has been sent to a***@demo.example yet", "possible in 30 s")
	b.later("seconds")
	b.submit("/demo/send")
	b.want("We sent code B to a***@demo.example")
	b.later("seconds")
	b.way("Use a code by text message to •••• 86 instead")
	b.want("We sent code C to •••• 86")
	b.submit("/demo/code", "code", b.textCode())
	b.want("Hello, ana", "Answered with text message", `"acr": "aal2"`)

	b.later("minutes")
	b.submit("/demo/change", "what", "remove")
	b.submit("/demo/password", "password", "x")
	b.want("Before “Phone number” is removed")
	b.submit("/demo/code", "code", b.textCode())
	b.want("“Phone number” was removed, and no browser is trusted any more.", "You have no recovery codes yet")
}

func TestANumberThatCantGetTextMessagesIsRefused(t *testing.T) {
	b := in(t)
	b.submit("/demo/change", "what", "phone", "phone", "0152 28817386")
	b.submit("/demo/code", "code", b.code())
	b.want("The number must be the whole number of a mobile phone, with a plus sign")
	for typed, said := range map[string]string{
		"+380 50 123 4567": "Your organisation does not allow text messages to this country.",
		"":                 "The phone number is required.",
		"+49 30 901820":    "The number must be the whole number of a mobile phone",
	} {
		b.submit("/demo/change", "what", "phone", "phone", typed)
		b.want(said, "Hello, ana")
	}
	if strings.Contains(b.page, "text-code") {
		t.Error("a text message was sent")
	}
}

func TestATextMessageThatCouldNotBeSentIsAskedForAgain(t *testing.T) {
	b := in(t)
	b.setUpNumber()
	b.submit("/demo/sign-out")
	b.local("POST", "/local/faults", `{"target":"sms","mode":"fail","count":1}`)
	b.signIn("ana")
	b.want("The message with your code could not be sent. Ask for it again.", "No code has been sent to •••• 86 yet")
	b.submit("/demo/send")
	b.want("We sent code B to •••• 86")
	b.submit("/demo/code", "code", b.textCode())
	b.want("Hello, ana")
}
