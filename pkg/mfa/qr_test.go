package mfa

import (
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"countersign/pkg/message"
)

// A drawing is the content of one of our SVG documents.
type drawing struct {
	XMLName xml.Name `xml:"http://www.w3.org/2000/svg svg"`
	ViewBox string   `xml:"viewBox,attr"`
	Role    string   `xml:"role,attr"`
	Lang    string   `xml:"lang,attr"`
	Label   string   `xml:"aria-label,attr"`
	Rect    struct {
		Width  int    `xml:"width,attr"`
		Height int    `xml:"height,attr"`
		Fill   string `xml:"fill,attr"`
	} `xml:"rect"`
	Path struct {
		Fill string `xml:"fill,attr"`
		D    string `xml:"d,attr"`
	} `xml:"path"`
}

func parsed(t *testing.T, svg string) drawing {
	t.Helper()
	var d drawing
	if err := xml.Unmarshal([]byte(svg), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

var bar = regexp.MustCompile(`^M(\d+) (\d+)h(\d+)v1h-(\d+)z`)

// painted draws the picture as a browser shows it. scale is the number of pixels for each module.
func painted(t *testing.T, d drawing, scale int) *image.Gray {
	t.Helper()
	size := d.Rect.Width
	if want := fmt.Sprintf("0 0 %d %d", size, size); d.ViewBox != want || d.Rect.Height != size {
		t.Fatalf("got the view %q and a height of %d, want %q", d.ViewBox, d.Rect.Height, want)
	}
	shade := map[string]color.Gray{"#fff": {Y: 255}, "#000": {}}
	light, ok := shade[d.Rect.Fill]
	ink, drawn := shade[d.Path.Fill]
	if !ok || !drawn {
		t.Fatalf("got %q on %q", d.Path.Fill, d.Rect.Fill)
	}
	picture := image.NewGray(image.Rect(0, 0, size*scale, size*scale))
	draw.Draw(picture, picture.Rect, image.NewUniform(light), image.Point{}, draw.Src)
	for rest := d.Path.D; rest != ""; {
		found := bar.FindStringSubmatch(rest)
		if found == nil || found[3] != found[4] {
			t.Fatalf("got %.40q, want a bar", rest)
		}
		rest = rest[len(found[0]):]
		x, y, long := number(t, found[1]), number(t, found[2]), number(t, found[3])
		at := image.Rect(x*scale, y*scale, (x+long)*scale, (y+1)*scale)
		if !at.In(picture.Rect) {
			t.Fatalf("got a bar at %v of %v", at, picture.Rect)
		}
		draw.Draw(picture, at, image.NewUniform(ink), image.Point{}, draw.Src)
	}
	return picture
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// scanned reads a picture as a phone does.
func scanned(picture image.Image) (string, error) {
	bitmap, err := gozxing.NewBinaryBitmapFromImage(picture)
	if err != nil {
		return "", err
	}
	result, err := qrcode.NewQRCodeReader().Decode(bitmap, nil)
	if err != nil {
		return "", err
	}
	return result.GetText(), nil
}

func TestC2APhoneReadsTheURIInThePicture(t *testing.T) {
	longest := strings.Repeat("é", 64)
	for name, uri := range map[string]string{
		"shortest": otpauth("A", "u", "A"),
		"usual":    otpauth("Countersign", "ana@acme.example", unpadded.EncodeToString(rfcSecret)),
		"longest":  otpauth(longest, longest, unpadded.EncodeToString(rfcSecret)),
	} {
		svg, err := qrSVG(uri, "en")
		if err != nil {
			t.Errorf("%s, %d characters: %v", name, len(uri), err)
			continue
		}
		const scale = 3
		picture := painted(t, parsed(t, svg), scale)
		if got, err := scanned(picture); err != nil || got != uri {
			t.Errorf("%s, %d characters: got %q, %v", name, len(uri), got, err)
		}
		// The dark modules reach exactly to the quiet zone on all four sides.
		margin := picture.Rect.Inset(scale * 4) // modules, as ISO/IEC 18004 requires
		var border image.Rectangle
		for i, shade := range picture.Pix {
			if shade == 0 {
				x, y := i%picture.Stride, i/picture.Stride
				border = border.Union(image.Rect(x, y, x+1, y+1))
			}
		}
		if border != margin {
			t.Errorf("%s: got something dark in %v, want it in %v", name, border, margin)
		}
		if modules := margin.Dx() / scale; (modules-17)%4 != 0 || modules < 21 || modules > 177 {
			t.Errorf("%s: got %d modules on a side", name, modules)
		}
	}
}

func TestAPictureIsPlainSVGThatLoadsAndRunsNothing(t *testing.T) {
	svg, err := qrSVG(otpauth(`"><script>alert(1)</script>`, `]]>&<!--`, "AAAA"), "en")
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string][]string{
		"svg": {"xmlns", "viewBox", "shape-rendering", "role", "lang", "aria-label"}, "rect": {"width", "height", "fill"}, "path": {"fill", "d"},
	}
	d := xml.NewDecoder(strings.NewReader(svg))
	elements := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			elements++
			for _, a := range token.Attr {
				if !slices.Contains(allowed[token.Name.Local], a.Name.Local) {
					t.Errorf("got the attribute %s of %s", a.Name.Local, token.Name.Local)
				}
				if a.Name.Local != "xmlns" && strings.ContainsAny(a.Value, ":/(&<") {
					t.Errorf("%s: got %.40q", a.Name.Local, a.Value)
				}
			}
			if allowed[token.Name.Local] == nil || token.Name.Space != "http://www.w3.org/2000/svg" {
				t.Errorf("got the element %v", token.Name)
			}
		case xml.EndElement:
		default:
			t.Errorf("got %T besides elements", token)
		}
	}
	if elements != 3 {
		t.Errorf("got %d elements, want 3", elements)
	}
	if strings.Contains(svg, "script") {
		t.Error("got a script")
	}
}

func TestATextThatNoPictureHoldsIsAnError(t *testing.T) {
	if _, err := qrSVG(strings.Repeat("é", 3000), "en"); err == nil {
		t.Error("got a picture of 6000 bytes")
	}
}

func TestAQRCodeHasANameInEveryLanguage(t *testing.T) {
	for _, language := range message.Languages() {
		svg, err := qrSVG("otpauth://totp/A:b?secret=AAAA", language)
		if err != nil {
			t.Fatal(err)
		}
		if d := parsed(t, svg); d.Role != "img" || d.Lang != language || d.Label != message.QRName(language) || d.Label == "" {
			t.Errorf("%s: got role %q, lang %q, name %q, want %q", language, d.Role, d.Lang, d.Label, message.QRName(language))
		}
	}
}
