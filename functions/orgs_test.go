package functions

import (
	"net/http"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/passkey/passkeytest"
)

// orgs is the part of the story in which orgs are seen for the first time, listed and erased.
func (d *deployment) orgs() {
	t := d.t
	d.call("PUT", "/v1/orgs/vandelay/users/lee", object{}).want(t, http.StatusOK)
	d.begin(person("lee", "lee@soylent.example"), object{"org": "soylent"}).want(t, http.StatusOK)
	d.call("POST", "/v1/enrolments", object{"org": "tyrell", "user": person("lee", "lee@tyrell.example"), "kind": "totp"}, d.fresh()...).want(t, http.StatusCreated)
	d.call("GET", "/v1/orgs", nil).want(t, http.StatusOK)

	// The sweep carries on one erasure, and calls carry on the other. A user and the policy change just then.
	for org, function := range map[string]string{"wayne": "sweep", "cyberdyne": "admin"} {
		policy := "/v1/orgs/" + org + "/policy"
		strict := object{"require": "everyone", "effect": "sign_out_now", "acknowledge": true}
		d.call("PUT", policy, strict, "if-match", `"0"`).want(t, http.StatusOK)
		d.enrolKeyIn(org, person("lee", "lee@"+org+".example"), &passkeytest.Authenticator{})
		d.call("PUT", policy, object{"reset": object{"second_approver": true}}, "if-match", `"1"`).want(t, http.StatusOK)
		d.call("POST", "/v1/orgs/"+org+"/users/lee/reset", object{"actor": "olga", "reason": "lost the key"}).want(t, http.StatusAccepted)
		d.publish()
		d.advance(25 * time.Hour) // so that the sweep makes a checkpoint, and counts the users of the day
		d.sweep()
		d.call("GET", "/v1/orgs/"+org+"/adoption", nil).want(t, http.StatusOK)
		keys := &apikey.Registry{Store: d.store(), Now: time.Now}
		if _, err := keys.Create(t.Context(), apikey.Grant{Client: "my-app", Scopes: apikey.Scopes(), Org: org}); err != nil {
			t.Fatal(err)
		}
		d.call("DELETE", "/v1/orgs/"+org, nil).want(t, http.StatusAccepted)
		changes := func() {
			d.account.beforeNextWriteTo(function, "reset#", func([]string) {
				d.call("PUT", "/v1/orgs/"+org+"/users/lee", object{"locale": "en-GB"}).want(t, http.StatusOK)
				d.account.beforeNextWriteTo(function, "org#", func([]string) {
					d.call("PUT", policy, object{}, "if-match", `"2"`).want(t, http.StatusOK)
				})
			})
		}
		changes()
		if function == "sweep" {
			d.sweep()
			continue
		}
		for n := 0; d.call("DELETE", "/v1/orgs/"+org, nil).status == http.StatusAccepted; n++ {
			if n == 10 {
				t.Fatal("the erasure doesn't end")
			}
		}
	}
	d.sweep()
	d.call("DELETE", "/v1/orgs/wayne", nil).want(t, http.StatusNoContent)
	d.publish()
}
