package api_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"countersign/pkg/api"
	"countersign/pkg/seal"
)

func TestThePublicKeysMayBeKeptAndNothingElse(t *testing.T) {
	w := newWorld(t)
	w.asks()
	w.wants("a user", w.do("PUT", anasPath, `{}`), 200)
	const keys = "/.well-known/jwks.json"
	kept := fmt.Sprintf("public, max-age=%d", int(seal.JWKSAge/time.Second))
	for _, method := range []string{"GET", "HEAD"} {
		got := w.wants(method, w.do(method, keys, "", without("Authorization")), 200)
		if got.header.Get("Cache-Control") != kept || got.header.Get("Vary") != "Origin" {
			t.Errorf("%s: got %v, want %s, for each origin apart", method, got.header, kept)
		}
	}
	others := []reply{w.do("GET", keys+"?x=1", ""), w.do("POST", keys, `{}`), w.do("GET", keys+"/", ""), w.start()}
	w.door = api.New(api.Options{}, api.Pages(func(context.Context) ([]byte, error) { return nil, errors.New("no keys") }))
	others = append(others, w.do("GET", keys, ""))
	w = newWorld(t)
	for _, step := range api.Steps {
		for _, route := range step.Routes {
			if route.Operation != "getKeys" {
				others = append(others, w.do(route.Method, places.Replace(route.Pattern), ""))
			}
		}
	}
	for _, got := range others {
		if got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("got %v of %d %s, want no-store", got.header, got.status, got.text)
		}
	}
}
