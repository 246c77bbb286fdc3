package pages

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// A Brand is how an application looks to its users. The zero value is the pages' own look.
type Brand struct {
	Name   string `json:"name"`   // of the application
	Colour string `json:"colour"` // of buttons and links, as #rrggbb
	Logo   string `json:"logo"`   // the https URL of an image
}

var hexColour = regexp.MustCompile(`^#[0-9A-Fa-f]{6}$`)

// The backgrounds of the pages, and the least contrast of a button or a link to them (WCAG 2.2, success criterion 1.4.3).
const (
	paperLight    = "#fffefb"
	paperDark     = "#1a2120"
	leastContrast = 4.5
)

// check refuses a colour that isn't one.
func (b Brand) check() error {
	if b.Colour != "" && !hexColour.MatchString(b.Colour) {
		return fmt.Errorf("the colour of the brand must be # and six hexadecimal digits")
	}
	return nil
}

// or returns the brand with what it lacks taken from another one.
func (b Brand) or(other Brand) Brand {
	return Brand{Name: cmp.Or(b.Name, other.Name), Colour: cmp.Or(b.Colour, other.Colour), Logo: cmp.Or(b.Logo, other.Logo)}
}

// Brand returns how the page looks.
func (v *visit) Brand() Brand { return v.brand.or(v.site.Config.Brand) }

// Known returns the name of the application. It is the product's own if there is no other.
func (v *visit) Known() string { return cmp.Or(v.Brand().Name, "Countersign") }

// Theme returns the address of the style with the brand's colour; empty if the page has its own colours.
func (v *visit) Theme() string {
	colour := strings.ToLower(strings.TrimPrefix(v.Brand().Colour, "#"))
	if colour == "" || !hexColour.MatchString("#"+colour) {
		return ""
	}
	return Prefix + "static/colour-" + colour + ".css"
}

// themeName is the name of the style with a colour.
var themeName = regexp.MustCompile(`^colour-([0-9a-f]{6})\.css$`)

// serveTheme answers with the style that has a colour. It is a file because the pages allow no style inside them. The colour is moved
// towards black or white until it can be read on the page, so that no brand makes a page that some people can't read.
func serveTheme(w http.ResponseWriter, name string) bool {
	found := themeName.FindStringSubmatch(name)
	if found == nil {
		return false
	}
	light, dark := readable("#"+found[1], paperLight), readable("#"+found[1], paperDark)
	h := w.Header()
	h.Set("Content-Type", "text/css; charset=utf-8")
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("X-Content-Type-Options", "nosniff")
	fmt.Fprintf(w, ":root{--accent:%s;--accent-deep:%s;--on-accent:%s}\n@media (prefers-color-scheme:dark){:root{--accent:%s;--accent-deep:%s;--on-accent:%s}}\n",
		light, mix(light, 0, 0.2), inkOn(light), dark, mix(dark, 255, 0.2), inkOn(dark))
	return true
}

// readable moves a colour towards black or white until it has enough contrast to the background.
func readable(colour, background string) string {
	towards := 0.0
	if luminance(background) < 0.5 {
		towards = 255
	}
	for part := 0.0; part < 1; part += 0.05 {
		if moved := mix(colour, towards, part); contrast(moved, background) >= leastContrast {
			return moved
		}
	}
	return mix(colour, towards, 1)
}

// inkOn returns black or white, whichever can be read better on the colour.
func inkOn(colour string) string {
	if contrast("#ffffff", colour) >= contrast("#000000", colour) {
		return "#ffffff"
	}
	return "#000000"
}

// parts returns red, green and blue from 0 to 255.
func parts(colour string) (rgb [3]float64) {
	for i := range rgb {
		n, _ := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
		rgb[i] = float64(n)
	}
	return rgb
}

// mix moves each part of a colour towards a value, by a share from 0 to 1.
func mix(colour string, towards, share float64) string {
	var out strings.Builder
	out.WriteByte('#')
	for _, p := range parts(colour) {
		fmt.Fprintf(&out, "%02x", int(math.Round(p+(towards-p)*share)))
	}
	return out.String()
}

// luminance is the relative luminance of a colour, from 0 to 1 (WCAG 2.2).
func luminance(colour string) float64 {
	weights, sum := [3]float64{0.2126, 0.7152, 0.0722}, 0.0
	for i, p := range parts(colour) {
		c := p / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weights[i] * c
	}
	return sum
}

// contrast is the contrast ratio of two colours, from 1 to 21 (WCAG 2.2).
func contrast(a, b string) float64 {
	la, lb := luminance(a), luminance(b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}
