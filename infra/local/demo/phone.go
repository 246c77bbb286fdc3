package demo

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"countersign/pkg/seal"
)

// The phone is for a newcomer who has no authenticator app at hand. It also gets the text messages to all numbers. All users
// share it, as they share the mailbox. It uses Countersign's clock.

// An app is an entry in the phone's authenticator app.
type app struct {
	id              string
	issuer, account string
	secret          seal.Secret
	added           time.Time
}

const (
	mostApps = 6
	appStep  = 30 // for how many seconds a code is shown (RFC 6238)
)

// scan adds what the QR code on the page says to the phone.
func (d *Demo) scan(_ http.ResponseWriter, _ *http.Request, s session) session {
	if s.setup == nil || s.setup.kind != "totp" {
		return s
	}
	key, err := otp.NewKeyFromURL(s.setup.uri.Reveal())
	if err != nil {
		s.said = wrong("The phone can’t read this QR code.") // the error isn't shown, because it has the secret
		return s
	}
	d.add(app{issuer: key.Issuer(), account: key.AccountName(), secret: seal.NewSecret(key.Secret())})
	s.said = remark{Text: "The phone has scanned the code. Type the six digits that it shows."}
	return s
}

// typeKey adds a key to the phone that the user has read from a page.
func (d *Demo) typeKey(_ http.ResponseWriter, r *http.Request, s session) session {
	key := strings.ToUpper(typed(r.PostFormValue("key")))
	if _, err := totp.GenerateCode(key, d.o.Now()); err != nil || len(key) < leastKey {
		s.said = wrong("That is not the key of an authenticator app. It has 32 letters and digits.")
		return s
	}
	d.add(app{issuer: "Typed key", account: key[:4] + "…", secret: seal.NewSecret(key)})
	s.said = remark{Text: "The phone has the key. Type the six digits that it shows."}
	return s
}

// leastKey is how many characters a key of 128 bits has, the least that RFC 4226 allows (section 4).
const leastKey = 26

// add adds an entry to the phone, unless the phone has it.
func (d *Demo) add(a app) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if slices.ContainsFunc(d.phone, func(b app) bool { return b.secret.Equal(a.secret) }) {
		return
	}
	a.id, a.added = rand.Text(), d.o.Now()
	d.phone = append(d.phone, a)
	d.phone = d.phone[max(0, len(d.phone)-mostApps):]
}

// scanned reports whether the phone has the secret of a setup. The caller must hold d.mu.
func (d *Demo) scanned(s *setup) bool {
	return slices.ContainsFunc(d.phone, func(a app) bool { return a.secret.Equal(s.secret) })
}

// forget deletes an entry from the phone.
func (d *Demo) forget(_ http.ResponseWriter, r *http.Request, s session) session {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.phone = slices.DeleteFunc(slices.Clone(d.phone), func(a app) bool { return a.id == r.PostFormValue("app") })
	s.said = remark{Text: "The entry was deleted from the phone. Countersign does not know that."}
	return s
}

type phoneView struct {
	Apps  []appView // the newest first
	Step  string    // the step of the page whose QR code can be scanned; empty if there is none, or if it was scanned
	First bool      // whether the phone stands before the mailbox, because the page asks for a code that is on it
	Texts []textView
	Page  string // where its forms lead back to; empty if to the first page
}

type appView struct {
	ID, Issuer, Account, Code string
	Added                     *moment
	LeftS                     int
}

// readPhone returns the entries of the phone with their current codes.
func (d *Demo) readPhone(s session, now time.Time) phoneView {
	d.mu.Lock()
	defer d.mu.Unlock()
	var v phoneView
	if s.setup != nil && s.setup.kind == "totp" && s.step() == s.setup.id && !d.scanned(s.setup) {
		v.Step = s.setup.id
	}
	v.First = s.setup != nil && s.setup.onPhone() || s.waiting != nil && (s.waiting.method().Kind == "totp" || s.waiting.method().Kind == "sms")
	for _, a := range slices.Backward(d.phone) {
		code, err := totp.GenerateCode(a.secret.Reveal(), now)
		if err != nil {
			continue // the secret isn't one of Countersign
		}
		v.Apps = append(v.Apps, appView{
			ID: a.id, Issuer: a.issuer, Account: a.account, Code: code, Added: clockTime(a.added, now),
			LeftS: appStep - int(now.Unix()%appStep),
		})
	}
	return v
}

func (d *Demo) phoneCodes(w http.ResponseWriter, _ *http.Request) {
	d.render(w, "phone", d.readPhone(session{}, d.o.Now()))
}
