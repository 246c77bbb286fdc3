package pages_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// appCode is what an authenticator app shows at a moment (RFC 6238, SHA-1, six digits, 30 seconds).
func appCode(t *testing.T, secret string, at time.Time) string {
	t.Helper()
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ReplaceAll(secret, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha1.New, key)
	binary.Write(mac, binary.BigEndian, uint64(at.Unix()/30))
	sum := mac.Sum(nil)
	from := sum[len(sum)-1] & 15
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[from:])&0x7fffffff%1_000_000)
}

// now is the server's time.
func (d *desk) now() time.Time {
	d.t.Helper()
	at, err := time.Parse(time.RFC3339, d.api("GET", "/local/clock", "", nil)["now"].(string))
	if err != nil {
		d.t.Fatal(err)
	}
	return at
}

var keyOf = regexp.MustCompile(`<code id="key">([A-Z2-7 ]+)</code>`)

const karbonRequired = `{"profile":"karbon","require":"everyone","acknowledge":true}`

// setUpApp goes from the link of an enrolment to the page with the QR code, and returns the key.
func (v *visitor) setUpApp(began map[string]any) (id, key string) {
	v.desk.t.Helper()
	id = v.arrive(began)
	v.says("First we send a code to a***@acme.example")
	v.submit("begin", "label", "My phone")
	v.says("First, your address")
	v.submit("prove", "code", v.desk.code("ana@acme.example"))
	found := keyOf.FindStringSubmatch(v.page)
	if found == nil {
		v.desk.t.Fatalf("the page has no key:\n%s", v.page)
	}
	return id, found[1]
}

func TestAUserSetsUpAnAppAtTheSignInAndKeepsTheRecoveryCodes(t *testing.T) {
	d := open(t, karbonRequired)
	v := d.visitor()
	id, key := v.setUpApp(d.start("ana", ""))
	v.says("data:image/svg+xml;base64,", "otpauth://totp/", "Scan this")
	v.submit("finish", "code", "000000")
	v.says("not right", key) // the same key as before
	v.submit("finish", "code", appCode(t, key, d.now()))
	v.says("Keep your recovery codes", "I have kept them")
	if n := strings.Count(v.page, "<li><code>"); n != 10 {
		t.Errorf("got %d recovery codes, want 10", n)
	}
	v.submit("kept", "kept", "yes")
	if want := d.base + "/app?challenge=" + id + "&from=sign-in"; v.left != want {
		t.Fatalf("the browser went to %q, want %q", v.left, want)
	}
	if got := d.outcome(id); got["state"] != "verified" {
		t.Errorf("got %v", got)
	}
}

func TestTheClockOfAPhoneIsToldAtTheSetUp(t *testing.T) {
	d := open(t, karbonRequired)
	for by, says := range map[time.Duration]string{-5 * time.Minute: "is slow by", 5 * time.Minute: "is fast by"} {
		v := d.visitor()
		_, key := v.setUpApp(d.start("ana", ""))
		v.submit("finish", "code", appCode(t, key, d.now().Add(by)))
		v.says(says)
		d.later(24 * time.Hour)
	}
}

func TestAUserWithAnAppSignsInAndIsToldTheTimeAfterTwoWrongCodes(t *testing.T) {
	d := open(t, karbonRequired)
	v := d.visitor()
	_, key := v.setUpApp(d.start("ana", ""))
	v.submit("finish", "code", appCode(t, key, d.now()))
	code := regexp.MustCompile(`<li><code>([^<]+)</code>`).FindStringSubmatch(v.page)[1]
	d.later(time.Minute)
	v.arrive(d.start("ana", ""))
	v.says("My phone", "Recovery code")
	for range 2 {
		v.submit("code", "code", wrong(appCode(t, key, d.now())))
	}
	v.says("Our clock says", "UTC")
	v.get(v.address[:strings.IndexByte(v.address+"?", '?')] + "?by=recovery")
	v.says("Each works once")
	v.submit("recover", "code", "AAAA")
	v.says("not a recovery code")
	v.submit("recover", "code", strings.ToLower(code))
	if v.left == "" || v.status != http.StatusSeeOther {
		t.Errorf("got %d and %q after a recovery code", v.status, v.left)
	}
}

func TestANumberIsProvenBeforeItCounts(t *testing.T) {
	d := open(t, `{"methods":{"sms":"allowed","email":"enrolled"},"sms":{"countries":["FR"]},"require":"everyone","enrolment_proof":"none","acknowledge":true}`)
	v := d.visitor()
	id := v.arrive(d.start("ana", ""))
	v.says("Choose how you want to answer it", "Text message")
	v.get(v.address + "?kind=sms")
	v.submit("begin", "phone", "12")
	v.says("Choose the country of your number")
	v.submit("begin", "phone", "12", "country", "FR")
	v.says("not a phone number")
	v.submit("begin", "phone", "00 33 6 12 34 56 78")
	v.says("code A")
	v.submit("finish", "code", d.code("+33612345678"))
	v.says("Keep your recovery codes")
	v.submit("kept")
	if got := d.outcome(id); got["state"] != "verified" {
		t.Errorf("got %v", got)
	}
}

func TestAPhoneNumberIsTypedAsItIsDialledInAChosenCountry(t *testing.T) {
	d := open(t, `{"methods":{"sms":"allowed","email":"forbidden","totp":"forbidden","webauthn":"forbidden"},"sms":{"countries":["FR","HR"]},"require":"everyone","enrolment_proof":"none","acknowledge":true}`)
	v := d.visitor()
	v.arrive(d.api("POST", "/v1/challenges", `{"org":"`+org+`","user":{"id":"ana","email":"ana@acme.example","locale":"fr"},"return_url":"`+d.base+`/app"}`, nil))
	v.says("Pays du numéro", "Choisissez un pays", "Croatie (+385)", "France (+33)")
	if strings.Index(v.page, "Croatie") > strings.Index(v.page, "France") {
		t.Error("the countries aren't in the order of their names")
	}
	v.submit("begin", "country", "HR", "phone", "12")
	v.says("n’est pas un numéro")
	if !strings.Contains(v.page, `<option value="HR" selected>`) || !strings.Contains(v.page, `value="12"`) {
		t.Errorf("what was typed is gone:\n%s", v.page)
	}
	v.submit("begin", "country", "DE", "phone", "01512 3456789")
	v.says("n’autorise pas les SMS vers ce pays")
	v.submit("begin", "country", "FR", "phone", "06 12 34 56 78")
	v.submit("finish", "code", d.code("+33612345678"))
	v.says("code")
	if got := d.factors(); len(got) != 1 || got[0] != "sms" {
		t.Errorf("got the factors %v", got)
	}
}

func TestH5AUserInGraceSeesByWhenTheSetUpIsNeeded(t *testing.T) {
	d := open(t, `{"profile":"helpdesk","acknowledge":true}`)
	until := d.now().Add(48 * time.Hour)
	grace := func(more string) {
		d.policy(`{"profile":"helpdesk","require":"everyone","grace_until":"` + until.Format(time.RFC3339) + `","acknowledge":true` + more + `}`)
	}
	by := until.Format("15:04") + " UTC"
	grace("")
	v := d.visitor()
	v.arrive(d.start("ana", ""))
	v.says("Not now", "Set it up at the latest by", by)
	if strings.Contains(v.page, "more sign-in") {
		t.Errorf("the page counts sign-ins that nobody counts:\n%s", v.page)
	}
	v.submit("skip")
	if !strings.HasPrefix(v.left, d.base+"/app?") {
		t.Errorf("the browser went to %q", v.left)
	}
	grace(`,"max_skips":2`)
	for _, says := range []string{"After this time you can put it off at 1 more sign-in.", "your next sign-in needs it"} {
		v = d.visitor()
		v.arrive(d.start("ana", ""))
		v.says("Not now", says)
	}
	d.later(48 * time.Hour)
	v = d.visitor()
	v.arrive(d.start("ana", ""))
	if strings.Contains(v.page, "Not now") || strings.Contains(v.page, "at the latest") {
		t.Errorf("the set-up can be put off after its time:\n%s", v.page)
	}
}

func TestAfterTheLastWrongFirstCodeTheSetUpBeginsAgain(t *testing.T) {
	d := open(t, karbonRequired)
	v := d.visitor()
	_, key := v.setUpApp(d.start("ana", ""))
	for range 5 {
		v.says(key)
		v.submit("finish", "code", wrong(appCode(t, key, d.now())))
	}
	v.says("not right", "no tries left", "Show the QR code")
	if strings.Contains(v.page, key) {
		t.Errorf("the page shows the key of an enrolment that is over:\n%s", v.page)
	}
	v.submit("begin")
	found := keyOf.FindStringSubmatch(v.page)
	if found == nil || found[1] == key {
		t.Fatalf("the page has no new key:\n%s", v.page)
	}
	v.submit("finish", "code", appCode(t, found[1], d.now()))
	v.says("Keep your recovery codes")
}

func TestAfterTheLastWrongCodeForTheAddressThePageSaysThatThereWereTooMany(t *testing.T) {
	d := open(t, karbonRequired)
	v := d.visitor()
	v.arrive(d.start("ana", ""))
	v.submit("begin")
	code := d.code("ana@acme.example")
	for range 5 {
		v.says("First, your address")
		v.submit("prove", "code", wrong(code))
	}
	v.says("Too many wrong answers", "Start again in your application")
}

func TestThePageOfANewAddressSaysWhichCodeWasSentLast(t *testing.T) {
	d := open(t, `{"methods":{"email":"enrolled"},"require":"everyone","enrolment_proof":"none","acknowledge":true}`)
	v := d.visitor()
	v.arrive(d.start("ana", ""))
	v.get(v.address + "?kind=email")
	v.submit("begin")
	v.says("We sent code A")
	d.later(time.Minute)
	v.submit("again")
	v.says("We sent code B")
	v.submit("finish", "code", wrong(d.code("ana@acme.example")))
	v.says("not right", "We sent code B")
	d.later(time.Minute)
	d.api("POST", "/local/faults", `{"target":"email","mode":"fail","count":1}`, nil)
	v.submit("again")
	v.says("could not be sent")
	for range 2 {
		if strings.Contains(v.page, "We sent code") {
			t.Fatalf("the page says that a code was sent, which the provider has refused:\n%s", v.page)
		}
		v.submit("finish", "code", "000000")
	}
	v.says("If no code arrives, send a new one")
	v.submit("again")
	v.says("We sent code D")
	v.submit("finish", "code", d.code("ana@acme.example"))
	v.says("Keep your recovery codes")
}
