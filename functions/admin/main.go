// Command admin is the function that changes accounts of users for administrators, and imports users.
package main

import (
	"net/http"

	"countersign/pkg/api"
	"countersign/pkg/cloud"
	"countersign/pkg/cloud/keyring"
	"countersign/pkg/passkey"
)

func main() {
	cloud.Serve("admin", func(d *cloud.Deployment) http.Handler {
		s := d.Service()
		s.Keys, s.Passkeys = keyring.Of(d), d.Passkeys(passkey.New)
		s.Uses = d.Uses()
		return api.New(d.Door(), api.Admin(s))
	})
}
