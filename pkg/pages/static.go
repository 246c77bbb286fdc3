package pages

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"mime"
	"net/http"
	"path"
	"strings"
)

//go:embed static
var assetFiles embed.FS

//go:embed static/style.css
var style []byte

// Style returns the style sheet that all pages have: their colours, type, fields and buttons. An application can build on it, so that
// its own pages look as the hosted ones do. The caller must not change it.
func Style() []byte { return style }

// assets has the styles and scripts. The address of each has a hash of all of them, because scripts import each other: so a browser may
// keep them for ever.
type assets struct {
	hash  string
	files map[string][]byte
}

func readAssets() (assets, error) {
	entries, err := assetFiles.ReadDir("static")
	if err != nil {
		return assets{}, err
	}
	a, sum := assets{files: map[string][]byte{}}, sha256.New()
	for _, e := range entries {
		content, err := assetFiles.ReadFile("static/" + e.Name())
		if err != nil {
			return assets{}, err
		}
		a.files[e.Name()] = content
		fmt.Fprintf(sum, "%s %d\n%s", e.Name(), len(content), content)
	}
	a.hash = hex.EncodeToString(sum.Sum(nil)[:8])
	return a, nil
}

// address returns the address of a file.
func (a *assets) address(name string) (string, error) {
	if a.files[name] == nil {
		return "", fmt.Errorf("there is no file %s", name)
	}
	return Prefix + "static/" + a.hash + "/" + name, nil
}

// serve answers with a file, by what follows static/ in its address.
func (a *assets) serve(w http.ResponseWriter, r *http.Request, name string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	if serveTheme(w, name) {
		return
	}
	hash, file, _ := strings.Cut(name, "/")
	content := a.files[file]
	if hash != a.hash || content == nil {
		http.Error(w, "There is no such file.", http.StatusNotFound)
		return
	}
	h := w.Header()
	h.Set("Content-Type", mime.TypeByExtension(path.Ext(file)))
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodHead {
		w.Write(content)
	}
}
