package demo

import (
	"crypto/rand"
	"net/http"
	"slices"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"countersign/pkg/seal"
)

// The phone stands in for a newcomer's own: it is everybody's, as the mailbox is, and goes by Countersign's clock.

// An app is an entry in the phone's authenticator app.
type app struct {
	id              string
	issuer, account string
	secret          seal.Secret
	added           time.Time
}

const (
	mostApps = 6
	appStep  = 30 // seconds that a code is shown for (RFC 6238)
)

// scan has the phone take what the QR code on the page says.
func (d *Demo) scan(_ http.ResponseWriter, _ *http.Request, s session) session {
	if s.setup == nil {
		return s
	}
	key, err := otp.NewKeyFromURL(s.setup.uri.Reveal())
	if err != nil {
		s.said = wrong("The phone can't read this QR code.") // the error would tell the secret
		return s
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.scanned(s.setup) {
		d.phone = append(d.phone, app{
			id: rand.Text(), issuer: key.Issuer(), account: key.AccountName(), secret: seal.NewSecret(key.Secret()), added: d.o.Now(),
		})
		d.phone = d.phone[max(0, len(d.phone)-mostApps):]
	}
	s.said = remark{Text: "The phone has scanned it. Type the six digits that it shows."}
	return s
}

// scanned reports whether the phone has the secret of a setup. The caller holds mu.
func (d *Demo) scanned(s *setup) bool {
	return slices.ContainsFunc(d.phone, func(a app) bool { return a.secret.Equal(s.secret) })
}

// forget deletes an entry from the phone.
func (d *Demo) forget(_ http.ResponseWriter, r *http.Request, s session) session {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.phone = slices.DeleteFunc(slices.Clone(d.phone), func(a app) bool { return a.id == r.PostFormValue("app") })
	s.said = remark{Text: "Deleted from the phone. Countersign knows nothing of that."}
	return s
}

type phoneView struct {
	Apps  []appView // newest first
	Step  string    // of the page whose QR code can be scanned; empty: there is none, or it has been
	First bool      // the page is about it
}

type appView struct {
	ID, Issuer, Account, Code string
	Added                     *moment
	LeftS                     int
}

// readPhone shows the codes of now.
func (d *Demo) readPhone(s session, now time.Time) phoneView {
	d.mu.Lock()
	defer d.mu.Unlock()
	var v phoneView
	if s.setup != nil && s.step() == s.setup.id && !d.scanned(s.setup) {
		v.Step = s.setup.id
	}
	v.First = s.setup != nil || s.waiting != nil && s.waiting.method().Kind == "totp"
	for _, a := range slices.Backward(d.phone) {
		code, err := totp.GenerateCode(a.secret.Reveal(), now)
		if err != nil {
			continue // no secret of Countersign's
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
