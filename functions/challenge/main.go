// Command challenge is the function that decides whether a user is asked, starts challenges, and sends their codes.
package main

import (
	"net/http"

	"countersign/pkg/api"
	"countersign/pkg/cloud"
	"countersign/pkg/cloud/email"
	"countersign/pkg/cloud/keyring"
	"countersign/pkg/cloud/textmessage"
	"countersign/pkg/passkey"
)

func main() {
	cloud.Serve("challenge", func(d *cloud.Deployment) http.Handler {
		s := d.Service()
		s.Keys, s.Mail = keyring.Of(d), email.Of(d)
		s.Text, s.CodeDomain = textmessage.Of(d), textmessage.CodeDomain(d)
		s.Passkeys = d.Passkeys(passkey.New)
		s.Uses = d.Uses()
		return api.New(d.Door(), api.Challenge(s))
	})
}
