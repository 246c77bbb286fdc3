package main

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"countersign/pkg/passkey/passkeytest"
)

// manyKinds has what ana has: an app, an address, a number and, in some stories, a key.
type manyKinds struct {
	key     *passkeytest.Authenticator
	app     app
	factors map[string]string // the id of each factor, by its kind
	codes   []any             // recovery codes
}

const anasNumber = "+33612345678"

// contacts has where codes of each kind are sent to ana.
var contacts = map[string]string{"sms": anasNumber, "email": ana.email}

// codeKinds returns the kinds that are answered with six digits, the strongest first.
func codeKinds() []string { return []string{"totp", "sms", "email"} }

// beginNumber begins to enrol a number with the API key.
func (w *world) beginNumber(t *testing.T, p person, number, proof string) answer {
	t.Helper()
	asks := doc{"kind": "sms", "phone": number}
	body := p.bare(asks)
	if p.email != "" {
		body = p.signIn(asks)
	}
	return w.do(t, call{method: "POST", path: "/v1/enrolments", body: body, header: w.fresh(t, proof)})
}

// enrolNumber enrols a number with the API key.
func (w *world) enrolNumber(t *testing.T, p person, number, proof string) answer {
	t.Helper()
	begun := w.beginNumber(t, p, number, proof).want(t, 201, "")
	return w.finish(t, "", begun.text("id"), w.code(t, number)).want(t, 201, "")
}

// beginCode begins to enrol a factor of a kind for ana, and returns its code: the one that the app shows, or the one that was
// sent.
func (w *world) beginCode(t *testing.T, kind, proof string) (id, code string) {
	t.Helper()
	if kind == "sms" {
		begun := w.beginNumber(t, ana, anasNumber, proof).want(t, 201, "")
		return begun.text("id"), w.code(t, anasNumber)
	}
	begun := w.begin(t, ana, kind, proof).want(t, 201, "")
	if kind == "totp" {
		return begun.text("id"), app{secret: begun.text("totp", "secret")}.code(t, w)
	}
	return begun.text("id"), w.code(t, ana.email)
}

// enrolThreeKinds enrols an app, an address and a number for ana. The proof that it returns stays valid for some minutes.
func (w *world) enrolThreeKinds(t *testing.T) (p manyKinds, proof string) {
	t.Helper()
	a, done := w.enrolApp(t, ana, "")
	p = manyKinds{app: a, factors: map[string]string{"totp": a.factor}, codes: done.list("recovery_codes")}
	proof = w.stepUp(t, ana, a, nil)
	p.factors["email"] = w.enrolMail(t, ana, proof).text("factor", "id")
	p.factors["sms"] = w.enrolNumber(t, ana, anasNumber, proof).text("factor", "id")
	return p, proof
}

// codeFor returns a code that answers a challenge with ana's factor of a kind. If none was sent, it asks for one.
func (w *world) codeFor(t *testing.T, p manyKinds, kind string, asked answer) string {
	t.Helper()
	if kind == "totp" {
		return p.app.next(t, w)
	}
	switch asked.text("challenge", "sent", "kind") {
	case kind:
	default:
		w.advance(t, 30*time.Second) // a code of another kind was sent, so the next one has to wait
		fallthrough
	case "":
		w.send(t, "challenges", asked.text("challenge", "id"), p.factors[kind]).want(t, 200, "")
	}
	return w.code(t, contacts[kind])
}

// answerBy answers a challenge with ana's factor of a kind.
func (w *world) answerBy(t *testing.T, p manyKinds, kind string, asked answer) answer {
	t.Helper()
	code := w.codeFor(t, p, kind, asked)
	return w.verify(t, asked.text("challenge", "id"), doc{"factor": p.factors[kind], "code": code}).want(t, 200, "")
}

// send asks for a new code in a place, which is "challenges" or "enrolments". An enrolment has no factor yet.
func (w *world) send(t *testing.T, place, id, factor string) answer {
	t.Helper()
	body := doc{}
	if factor != "" {
		body["factor"] = factor
	}
	return w.do(t, call{method: "POST", path: "/v1/" + place + "/" + id + "/send", body: body})
}

// codes returns the codes that were sent to an address or a number, the oldest first.
func (w *world) codes(t *testing.T, to string) (codes []string) {
	t.Helper()
	for _, m := range w.messages(t, to) {
		if code := m.text("code"); code != "" {
			codes = append(codes, code)
		}
	}
	return codes
}

// textsSent counts the codes that were sent by SMS, to any number.
func (w *world) textsSent(t *testing.T) (n int) {
	t.Helper()
	for _, m := range w.messages(t, "") {
		if m.text("channel") == "sms" && m.text("code") != "" {
			n++
		}
	}
	return n
}

// turn turns ana's 2FA on or off.
func (w *world) turn(t *testing.T, on bool, header map[string]string) answer {
	t.Helper()
	return w.do(t, call{method: "PATCH", path: ana.path(""), body: doc{"enabled": on}, header: header})
}

// remove removes a factor of ana's.
func (w *world) remove(t *testing.T, factor, proof string) answer {
	t.Helper()
	return w.do(t, call{method: "DELETE", path: ana.path("/factors/" + factor), header: w.fresh(t, proof)})
}

// wantKinds fails the test unless ana has one factor of each of these kinds, and no other.
func (w *world) wantKinds(t *testing.T, want ...string) answer {
	t.Helper()
	account := w.account(t, ana)
	var kinds []string
	for _, f := range account.list("factors") {
		kinds = append(kinds, doc(f.(map[string]any)).text("kind"))
	}
	slices.Sort(kinds)
	slices.Sort(want)
	if !slices.Equal(kinds, want) {
		t.Fatalf("got the kinds %v, want %v", kinds, want)
	}
	return account
}

// with returns a document with the fields of more added.
func (d doc) with(more doc) doc {
	all := maps.Clone(d)
	maps.Copy(all, more)
	return all
}

var bar = regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-\d+z`)

// scanned reads the QR code in a picture (SVG) as a phone does.
func scanned(t *testing.T, svg string) string {
	t.Helper()
	const scale = 4
	var size, x, y, long int
	if _, err := fmt.Sscanf(svg[max(0, strings.Index(svg, "viewBox")):], `viewBox="0 0 %d`, &size); err != nil {
		t.Fatal(err)
	}
	picture := image.NewGray(image.Rect(0, 0, size*scale, size*scale))
	draw.Draw(picture, picture.Rect, image.White, image.Point{}, draw.Src)
	for _, b := range bar.FindAllString(svg, -1) {
		if _, err := fmt.Sscanf(b, "M%d %dh%d", &x, &y, &long); err != nil {
			t.Fatal(err)
		}
		draw.Draw(picture, image.Rect(x*scale, y*scale, (x+long)*scale, (y+1)*scale), image.NewUniform(color.Black), image.Point{}, draw.Src)
	}
	bitmap, err := gozxing.NewBinaryBitmapFromImage(picture)
	if err != nil {
		t.Fatal(err)
	}
	exact := map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_PURE_BARCODE: true} // the picture is not a photograph
	read, err := qrcode.NewQRCodeReader().Decode(bitmap, exact)
	if err != nil {
		t.Fatal(err)
	}
	return read.GetText()
}
