package pages

import (
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Prefix is the beginning of the paths of all hosted pages.
const Prefix = "/pages/"

// Routes are the routes that an HTTP API needs for the pages: the method, and the path with the name of all that follows the prefix.
var Routes = []string{"GET " + Prefix + "{page+}", "HEAD " + Prefix + "{page+}", "POST " + Prefix + "{page+}"}

// A Config says how pages reach the API, and how they look. API or Client is required, and so are Base and Now.
type Config struct {
	// Base is the deployment's base URL, without a slash at its end. Pages are reached under it, whatever the header Host says.
	Base string
	// API answers calls in this process. If it is nil, calls are made at Base by Client: a function has no other function's handler,
	// and a call by URL passes the same limits, logs and alarms as those of any other client.
	API    http.Handler
	Client *http.Client
	// Brand is how pages look where an organisation has no brand of its own.
	Brand Brand
	// Now returns the deployment's time.
	Now func() time.Time
	// Log gets the causes of failures. If it is nil, nothing is logged. No line has an address, a bearer or an id of a person.
	Log *slog.Logger
}

// A site is the handler of all pages.
type site struct {
	Config
	origin string // of Base, as a browser writes it
	texts  catalogues
	sheets *template.Template
	assets assets
}

// Handler returns the handler for the paths that begin with [Prefix]. It fails if the Config is not whole, or if a colour can't be read
// well on the pages.
func Handler(c Config) (http.Handler, error) {
	base, err := url.Parse(c.Base)
	if err != nil || base.Host == "" || strings.HasSuffix(c.Base, "/") {
		return nil, fmt.Errorf("pages: the base URL must have a host and no slash at its end")
	}
	if c.Now == nil || c.API == nil && c.Client == nil {
		return nil, fmt.Errorf("pages: a clock is required, and a way to the API")
	}
	if err := c.Brand.check(); err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &site{Config: c, origin: base.Scheme + "://" + base.Host}
	if s.texts, err = readCatalogues(); err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	if s.assets, err = readAssets(); err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	if s.sheets, err = readSheets(); err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	return s, nil
}

// ServeHTTP implements http.Handler.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, ours := strings.CutPrefix(r.URL.Path, Prefix)
	if name, is := strings.CutPrefix(path, "static/"); ours && is {
		s.assets.serve(w, r, name)
		return
	}
	v := &visit{site: s, w: w, r: r, now: s.Now(), language: s.texts.accepted(r.Header)}
	v.headers("")
	if !ours {
		v.say(http.StatusNotFound, "gone")
		return
	}
	v.serve(strings.Split(path, "/"))
}
