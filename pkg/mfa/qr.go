package mfa

import (
	"bytes"
	"fmt"
	"html"
	"strconv"

	"github.com/boombuler/barcode/qr"

	"countersign/pkg/message"
)

// quietZone is how many modules must stay free around a QR code (ISO/IEC 18004).
const quietZone = 4

// qrSVG draws text as a QR code. It is dark on light whatever colours the page has, because many readers need that. It has a
// name in the language, which screen readers say.
func qrSVG(text, language string) (string, error) {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return "", fmt.Errorf("draw a QR code: %w", err)
	}
	size := code.Bounds().Dx()
	var path bytes.Buffer
	for y := range size {
		for x := 0; x < size; x++ {
			from := x
			for x < size && dark(code.At(x, y).RGBA()) {
				x++
			}
			if x > from {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", from+quietZone, y+quietZone, x-from, x-from)
			}
		}
	}
	whole := strconv.Itoa(size + 2*quietZone)
	return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ` + whole + ` ` + whole + `" shape-rendering="crispEdges" role="img" lang="` + language + `" aria-label="` + html.EscapeString(message.QRName(language)) + `">` +
		`<rect width="` + whole + `" height="` + whole + `" fill="#fff"/><path fill="#000" d="` + path.String() + `"/></svg>`, nil
}

func dark(r, _, _, _ uint32) bool { return r < 0x8000 }
