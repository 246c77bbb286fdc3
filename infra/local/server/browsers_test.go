package server

import "testing"

// Which origins are taken, and what a page learns, is tested in package machine.
func TestThePagesOfAnAllowedOriginCallTheAPIAndNothingElse(t *testing.T) {
	const app = "https://app.example"
	r := serveFor(t, t.TempDir(), app)
	begun := r.challenge("ana")
	verify := "/v1/challenges/" + begun.Challenge.ID + "/verify"
	preflight := r.call("OPTIONS", verify, "", "Origin", app, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type")
	if h := preflight.header; preflight.status != 204 || h.Get("Access-Control-Allow-Origin") != app || h.Get("Access-Control-Allow-Headers") == "" {
		t.Errorf("the preflight: got %d %v", preflight.status, h)
	}
	body := `{"code":"` + r.code("ana") + `"}`
	verified := r.call("POST", verify, body, "Origin", app, "Authorization", "Bearer "+begun.Challenge.Token)
	if h := verified.header; verified.status != 200 || h.Get("Access-Control-Allow-Origin") != app || h.Get("Access-Control-Expose-Headers") == "" || h.Get("X-Request-Id") == "" {
		t.Errorf("the answer: got %d %v %s", verified.status, h, verified.body)
	}
	if h := r.call("GET", "/.well-known/jwks.json", "", "Origin", app).header; h.Get("Access-Control-Allow-Origin") != app || h.Get("Vary") != "Origin" {
		t.Errorf("the keys, which may be kept: got %v", h)
	}
	for _, path := range []string{"/local/outbox", "/local/clock", "/", "/demo/mailbox"} {
		got := r.call("GET", path, "", "Origin", app, "Sec-Fetch-Site", "cross-site")
		asked := r.call("OPTIONS", path, "", "Origin", app, "Access-Control-Request-Method", "GET")
		if got.header.Get("Access-Control-Allow-Origin") != "" || asked.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: a page of another origin may read it", path)
		}
	}
	if h := serve(t, t.TempDir()).call("POST", "/v1/decisions", "{}", "Origin", app).header; h.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("where no origin was allowed: got %v", h)
	}
}
