package pages_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestC1ToC6AClientPortalInFrenchAsksAndItsStaffHelp(t *testing.T) {
	const clair = "clair@acme.example"
	d := open(t, `{"profile":"karbon"}`)
	secret := d.withApp("olga") // of the staff
	p := d.person()
	var codes []string
	key := ""
	next := func() string { // what the client's app shows once its last code is used
		d.later(30 * time.Second)
		return appCode(t, key, d.now())
	}
	p.rule("C1 the organisation decides whether its portal asks", func() {
		p.password("clair", "fr")
		p.reaches("Signed in")
		p.says("not_required")
		home := p.console(d.portalLink("olga", `,"locale":"fr"`), "Utilisateurs")
		p.opens(home+"/policy?group=demand", "Qui doit l’utiliser")
		p.clicks("preview", "require", "everyone")
		p.reaches("Ce que cela change")
		p.clicks("save", "acknowledge", "yes")
		p.stepsUpAt("Confirmez que c’est bien vous", secret)
		p.reaches("Règles")
		p.says("Les règles sont enregistrées")
		p.passwordAt("/app/sign-in?org=globex&locale=fr", "clair", "password") // the portal of another organisation
		p.reaches("Signed in")
		p.says("not_required")
	})
	p.rule("C2 the enrolment is a part of the first sign-in and its QR code suits every app", func() {
		p.password("clair", "fr")
		p.reaches("Application d’authentification")
		p.says("Nous envoyons d’abord un code à c***@acme.example")
		p.clicks("begin", "label", "Mon téléphone")
		p.reaches("D’abord, votre adresse")
		p.clicks("prove", "code", d.code(clair))
		p.reaches("Application d’authentification")
		p.says("Scannez")
		if p.Run(`document.querySelector(".qr img").naturalWidth > 0`) != "true" {
			t.Error("the browser can't draw the QR code")
		}
		link, err := url.Parse(p.Run(`document.querySelector("a[href^='otpauth:']").href`))
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{"algorithm": "SHA1", "digits": "6", "period": "30"} {
			if got := link.Query().Get(name); got != want && got != "" { // what isn't said is so (Key URI Format of Google Authenticator)
				t.Errorf("the QR code has %s=%s, want %s", name, got, want)
			}
		}
		if key = link.Query().Get("secret"); key == "" {
			t.Fatalf("the QR code has no key: %s", link)
		}
	})
	p.rule("C3 the first code must be right and the recovery codes are shown once", func() {
		p.clicks("finish", "code", wrong(appCode(t, key, d.now())))
		p.reaches("Application d’authentification")
		p.says("Ce code est incorrect")
		if got := d.seen("clair")["factors"].([]any); len(got) != 0 {
			t.Errorf("got the factors %v before a right code", got)
		}
		p.clicks("finish", "code", appCode(t, key, d.now()))
		p.reaches("Conservez vos codes de secours")
		codes = regexp.MustCompile(`[0-9A-Z-]{20,}`).FindAllString(p.Run(`document.querySelector(".recovery-codes").innerText`), -1)
		if len(codes) != 10 {
			t.Fatalf("got %d recovery codes, want 10", len(codes))
		}
		shown := p.Run("location.href")
		p.clicks("kept", "kept", "yes")
		p.reaches("Signed in")
		p.Open(shown)
		if text := p.Run("document.body.innerText"); strings.Contains(text, codes[0]) {
			t.Error("the recovery codes are shown a second time")
		}
	})
	p.rule("C4 a recovery code signs in once and resets nothing", func() {
		recovers := func() {
			t.Helper()
			p.password("clair", "fr")
			p.reaches("Saisissez votre code")
			p.opens(p.here()+"?by=recovery", "Utilisez un code de secours")
			p.clicks("recover", "code", strings.ToLower(codes[0]))
		}
		recovers()
		p.reaches("Signed in")
		if got := d.seen("clair")["factors"].([]any); len(got) != 1 {
			t.Errorf("got the factors %v, want the app as before", got)
		}
		recovers()
		p.reaches("Utilisez un code de secours")
		p.says("Ce code de secours est incorrect")
		p.password("clair", "fr")
		p.reaches("Saisissez votre code")
		p.clicks("code", "code", next())
		p.reaches("Signed in")
	})
	p.rule("C5 the staff reset a client of their own organisation for a new device", func() {
		home := p.console(d.portalLink("olga", `,"locale":"fr"`), "Utilisateurs")
		d.api("PUT", "/v1/orgs/globex/users/gina", `{}`, nil)
		p.opens(home+"/users/gina", "Cet utilisateur n’existe pas")
		p.opens(home+"/users/clair", clair)
		p.clicks("reset", "reason", "Nouveau téléphone")
		p.stepsUpAt("Confirmez que c’est bien vous", secret)
		p.reaches(clair)
		p.says("La connexion en deux étapes est retirée")
		p.password("clair", "fr")
		p.reaches("Application d’authentification")
		p.clicks("begin")
		p.reaches("D’abord, votre adresse")
	})
	p.rule("C6 pages and messages are in the user's language", func() {
		if got := p.Run("document.documentElement.lang"); got != "fr" {
			t.Errorf("the page is in %q, want fr", got)
		}
		if text := d.mail(clair); !strings.Contains(text, "Personne") {
			t.Errorf("the message is not in French:\n%s", text)
		}
		p.password("carol", "en")
		p.reaches("Authenticator app")
		p.clicks("begin")
		p.reaches("First, your address")
		if text := d.mail("carol@acme.example"); !strings.Contains(text, "Nobody") {
			t.Errorf("the message is not in English:\n%s", text)
		}
	})
}
