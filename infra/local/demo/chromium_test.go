package demo_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"countersign/infra/chromium"
)

// A page is one in a real browser.
type page struct{ *chromium.Page }

func startChromium(t *testing.T, width, height int) *page {
	t.Helper()
	return &page{chromium.Start(t, width, height)}
}

// toSetUp signs ana in and goes on to the QR code.
func (c *page) toSetUp(base string) {
	c.T.Helper()
	c.Open(base + "/?way=own")
	c.Submit("/demo/sign-in")
	c.Submit("/demo/code", "code", c.Text(".mails .digits"))
	c.Submit(`/demo/change`)
	c.Submit("/demo/code", "code", c.Text(".mails .digits"))
}

func TestAPhonesCameraCanReadTheQRCodeOnTheScreen(t *testing.T) {
	b := open(t)
	c := startChromium(t, 1280, 900)
	c.toSetUp(b.base)
	for _, screen := range []struct {
		width  int
		scheme string
	}{{1280, "light"}, {1280, "dark"}, {360, "light"}, {360, "dark"}} {
		c.Resize(screen.width, 900)
		c.Colours(screen.scheme)
		bitmap, err := gozxing.NewBinaryBitmapFromImage(c.Screenshot(".qr"))
		if err != nil {
			t.Fatal(err)
		}
		read, err := qrcode.NewQRCodeReader().Decode(bitmap, nil)
		if err != nil {
			t.Errorf("%d px, %s: %v", screen.width, screen.scheme, err)
			continue
		}
		uri, err := url.Parse(read.GetText())
		if err != nil {
			t.Fatal(err)
		}
		wanted(t, "kind", uri.Scheme+"://"+uri.Host, "otpauth://totp")
		wanted(t, "label", uri.Path, "/Countersign:ana@demo.example")
		wanted(t, "issuer", uri.Query().Get("issuer"), "Countersign")
		wanted(t, "secret", uri.Query().Get("secret"), strings.ReplaceAll(c.Text(".key code"), " ", ""))
	}
}

func TestTheScriptKeepsThePhoneRunningAndThePagesFitASmallScreen(t *testing.T) {
	b := open(t)
	c := startChromium(t, 360, 740)
	fits := func(page string) {
		t.Helper()
		wanted(t, page+": title", c.Run("document.title"), page+" · Demo desk")
		wanted(t, page+": width", c.Run("document.documentElement.scrollWidth"), "360")
		wanted(t, page+": fields without a label, buttons without words", c.Run(`[...document.querySelectorAll("input:not([type=hidden]), button")]
			.filter((e) => !(e.labels?.length || e.textContent.trim())).length`), "0")
	}
	c.Open(b.base + "/?way=own")
	fits("Sign in")
	c.toSetUp(b.base)
	fits("Set up your app")
	c.Submit("/demo/scan")
	wanted(t, "the page after its code has changed by itself", c.Run(`new Promise((changed) => {
		const code = document.querySelector(".app-code"), was = code.textContent;
		const advance = () => fetch("/local/clock", {method: "POST", headers: {"Content-Type": "application/json"}, body: '{"advance_s":30}'});
		new MutationObserver(() => code.textContent === was ? null : changed("the same")).observe(code, {childList: true, characterData: true, subtree: true});
		advance();
	})`), "the same")
	c.Submit("/demo/finish", "code", c.Text(".app-code"))
	fits("Your recovery codes")
	c.Submit("/demo/kept")
	fits("Signed in")
	c.Submit("/demo/sign-out")
	c.Submit("/demo/sign-in")
	fits("Enter your code")
	if len(c.Problems) > 0 {
		t.Errorf("the browser complains: %q", c.Problems)
	}
}
