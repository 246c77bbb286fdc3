package pages_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// rule shows one rule, as a step of a walk. The steps after a rule that doesn't hold are left out.
func (p *person) rule(name string, show func()) {
	outer := p.desk.t
	took := p.T
	held := outer.Run(name, func(t *testing.T) {
		p.desk.t, p.T = t, t
		show()
	})
	if p.desk.t, p.T = outer, took; !held {
		outer.FailNow()
	}
}

// password gives the application the user's password, in the user's language.
func (p *person) password(user, language string) { p.firstFactor(user, language, "password") }

func (p *person) firstFactor(user, language, how string) {
	p.T.Helper()
	p.passwordAt("/app/sign-in?locale="+language, user, how)
}

func (p *person) passwordAt(page, user, how string) {
	p.T.Helper()
	p.opens(p.desk.base+page, "Your password")
	p.clicks(how, "user", user, "password", "correct horse")
}

// mail returns the newest message to an address: its subject and its text.
func (d *desk) mail(to string) string {
	d.t.Helper()
	all := d.api("GET", "/local/outbox?to="+to, "", nil)["messages"].([]any)
	if len(all) == 0 {
		d.t.Fatalf("%s has got no message", to)
	}
	last := all[len(all)-1].(map[string]any)
	return fmt.Sprint(last["subject"], "\n", last["text"])
}

// mails returns how many messages have gone to an address.
func (d *desk) mails(to string) int {
	d.t.Helper()
	return len(d.api("GET", "/local/outbox?to="+to, "", nil)["messages"].([]any))
}

func TestK1ToK8ADeskMailsACodeAndTrustsABrowserFor30Days(t *testing.T) {
	const ana = "ana@acme.example"
	d := open(t, kls)
	p := d.person()
	asked := func(user string) {
		t.Helper()
		p.password(user, "en")
		p.reaches("Enter your code")
	}
	p.rule("K1 a code comes by itself after the password", func() {
		asked("ana")
		p.says("We sent code A to a***@acme.example")
		if code := d.code(ana); len(code) != 6 || d.mails(ana) != 1 {
			t.Errorf("got the code %q and %d messages, want six digits in one message", code, d.mails(ana))
		}
		if got := d.seen("ana")["factors"].([]any); len(got) != 0 {
			t.Errorf("got the factors %v, want none: nothing was enrolled", got)
		}
	})
	p.rule("K2 the sign-in has 15 minutes, new codes included", func() {
		d.later(14 * time.Minute)
		p.Open(p.Run("location.href"))
		p.clicks("send")
		p.reaches("Enter your code")
		p.says("A new code is on its way", "code B")
		d.later(time.Minute)
		p.clicks("code", "code", d.code(ana)) // the newest one
		p.reaches("This step is over")
		p.says("Start again in your application", "Back to your application")
		asked("ana")
		p.says("We sent code A")
		p.clicks("code", "code", d.code(ana))
		p.reaches("Signed in")
	})
	p.rule("K3 the user is asked again where nobody has trusted the browser", func() {
		asked("ana")
		p.says("this browser isn’t trusted yet")
	})
	p.rule("K4 trust is a choice on the code step", func() {
		p.says("Trust this browser for 30 days", "Tick this only on a device of your own")
		if p.Run(`document.querySelector("[name=trust]").checked`) != "false" {
			t.Error("the page has ticked it by itself")
		}
		p.clicks("code", "code", d.code(ana), "trust", "yes")
		p.reaches("Signed in")
		before := d.mails(ana)
		p.password("ana", "en")
		p.reaches("Signed in")
		p.says("trusted_browser")
		if after := d.mails(ana); after != before {
			t.Errorf("got %d messages more, want none in a trusted browser", after-before)
		}
	})
	p.rule("K5 trust ends 30 days after it was granted and using it moves nothing", func() {
		ends := d.trustEnds("ana")
		for d.now().Add(7 * 24 * time.Hour).Before(ends) {
			d.later(7 * 24 * time.Hour)
			p.password("ana", "en")
			p.reaches("Signed in")
			p.says("trusted_browser")
		}
		if got := d.trustEnds("ana"); !got.Equal(ends) {
			t.Errorf("the end has moved from %v to %v", ends, got)
		}
		d.later(ends.Sub(d.now()) + time.Second) // the clock moves by whole seconds
		asked("ana")
		p.says("trust in this browser has ended")
		if got, want := p.Run(`document.querySelector(".check time").dateTime`), d.now().Add(30*24*time.Hour).UTC().Format("2006-01-02"); !strings.HasPrefix(got, want) {
			t.Errorf("the page says that trust ends on %s, want %s", got, want)
		}
		p.clicks("code", "code", d.code(ana), "trust", "yes")
		p.reaches("Signed in")
	})
	p.rule("K6 trust is of one user in one browser", func() {
		asked("bob") // in the browser that ana trusts
		q := d.person()
		q.password("ana", "en") // in another browser
		q.reaches("Enter your code")
		q.says("this browser isn’t trusted yet")
		p.password("ana", "en")
		p.reaches("Signed in")
	})
	p.rule("K7 a sign-in through the company is not asked and the next one by password is", func() {
		p.firstFactor("bob", "en", "sso")
		p.reaches("Signed in")
		p.says("sso")
		asked("bob")
	})
	p.rule("K8 page and message say to look in spam and that nobody asks for the code", func() {
		p.says("look in your spam folder", "will ever ask you for this code")
		if text := strings.ToLower(d.mail("bob@acme.example")); !strings.Contains(text, "spam") || !strings.Contains(text, "nobody from ") || !strings.Contains(text, "ask") {
			t.Errorf("the message doesn't say both:\n%s", text)
		}
	})
}

// trustEnds is when the trust of the user's only browser ends.
func (d *desk) trustEnds(user string) time.Time {
	d.t.Helper()
	all := d.api("GET", "/v1/orgs/"+org+"/users/"+user+"/browsers", "", nil)["items"].([]any)
	if len(all) != 1 {
		d.t.Fatalf("got %d browsers, want one", len(all))
	}
	ends, err := time.Parse(time.RFC3339, all[0].(map[string]any)["expires"].(string))
	if err != nil {
		d.t.Fatal(err)
	}
	return ends
}
