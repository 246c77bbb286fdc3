package functions

import (
	"net/http"
	"strings"
	"time"
)

// inPortal begins a portal session, redeems its link, and returns the headers of calls in it.
func (d *deployment) inPortal(session object) []string {
	d.t.Helper()
	session["reauthenticated_at"] = time.Now().Add(d.offset).UTC().Format(time.RFC3339)
	link := d.call("POST", "/v1/portal-sessions", session, "idempotency-key", time.Now().String()).want(d.t, http.StatusCreated).text("url")
	return []string{"authorization", "Bearer " + d.redeem(link)}
}

// redeem returns the bearer that the link to a page stands for.
func (d *deployment) redeem(link string) string {
	d.t.Helper()
	return d.call("POST", "/v1/handles", object{"handle": link[strings.LastIndexByte(link, '/')+1:]}).want(d.t, http.StatusOK).text("token")
}

// portal is the part of the story in which a user and an administrator of umbrella act in the portal, in each function that takes their
// tokens.
func (d *deployment) portal() {
	t := d.t
	const users = "/v1/orgs/umbrella/users/"
	d.call("PUT", users+"bill", object{"email": "bill@umbrella.example"}).want(t, http.StatusOK)
	bill := d.inPortal(object{"org": "umbrella", "user": "bill"})
	d.call("GET", "/v1/portal-sessions", nil, bill...).want(t, http.StatusOK)
	begun := d.call("POST", "/v1/enrolments", object{"kind": "totp"}, bill...).want(t, http.StatusCreated)
	secret := begun.text("totp", "secret")
	d.finish(begun.text("id"), d.shown(secret, 0), bill...).want(t, http.StatusCreated)
	d.call("GET", users+"bill", nil, bill...).want(t, http.StatusOK)

	console := d.inPortal(object{"org": "umbrella", "administrator": object{"org": "umbrella", "user": "bill"}})
	up := d.begin(object{"id": "bill"}, object{"org": "umbrella", "purpose": "step_up"}, console...).want(t, http.StatusCreated)
	page := []string{"authorization", "Bearer " + d.redeem(up.text("challenge", "url"))}
	proof := d.verify(up.text("challenge", "id"), d.shown(secret, 1), nil, page...).want(t, http.StatusOK).text("token")
	d.call("GET", "/v1/orgs/umbrella/users", nil, console...).want(t, http.StatusOK)
	d.call("PUT", "/v1/orgs/umbrella/policy", object{}, append(console, "if-match", `"0"`)...).want(t, http.StatusForbidden)
	console = append(console, "countersign-proof", proof)
	d.call("PUT", "/v1/orgs/umbrella/policy", object{}, append(console, "if-match", `"0"`)...).want(t, http.StatusOK)
	d.call("PUT", users+"milton", object{}).want(t, http.StatusOK)
	d.call("POST", users+"milton/reset", object{"reason": "moved to the basement"}, console...).want(t, http.StatusOK)
}
