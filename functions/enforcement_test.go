package functions

import "net/http"

// enforcement has a policy sign a user out, and the sweep tell of it. Where skips are counted, a preview looks at the guards.
func (d *deployment) enforcement() {
	d.t.Helper()
	eve := "/v1/orgs/initrode/users/eve"
	d.call("PUT", eve, object{}).want(d.t, http.StatusOK)
	d.account.beforeNextWrite("account", func() { d.call("PUT", eve, object{"name": "Eve"}).want(d.t, http.StatusOK) })
	d.call("PATCH", eve, object{"enforced": true}).want(d.t, http.StatusOK)
	policy := "/v1/orgs/initrode/policy"
	grace := object{"profile": "talkdesk", "require": "everyone", "grace_until": "2100-01-01T00:00:00Z", "max_skips": 3, "acknowledge": true}
	d.call("POST", policy+"/preview", grace).want(d.t, http.StatusOK)
	d.account.beforeNextWrite("policy", func() { d.call("PATCH", eve, object{"enforced": false}).want(d.t, http.StatusOK) })
	d.call("PUT", policy, object{"profile": "talkdesk", "require": "everyone", "acknowledge": true}, "if-match", `"0"`).want(d.t, http.StatusOK)
	d.call("POST", "/v1/introspect", object{"org": "initrode", "user": "eve", "issued_at": "2026-01-01T00:00:00Z"}).want(d.t, http.StatusOK)
	d.sweep()
}
