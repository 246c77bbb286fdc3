// Command verify is the function that checks answers to challenges.
package main

import (
	"net/http"

	"countersign/pkg/api"
	"countersign/pkg/cloud"
	"countersign/pkg/cloud/keyring"
	"countersign/pkg/passkey"
)

func main() {
	cloud.Serve("verify", func(d *cloud.Deployment) http.Handler {
		s := d.Service()
		s.Keys, s.Passkeys = keyring.Of(d), d.Passkeys(passkey.New)
		return api.New(d.Door(), api.Verify(s))
	})
}
