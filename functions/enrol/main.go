// Command enrol is the function that begins and finishes enrolments of factors, and sends their codes.
package main

import (
	"net/http"

	"countersign/pkg/api"
	"countersign/pkg/cloud"
	"countersign/pkg/cloud/email"
	"countersign/pkg/cloud/keyring"
	"countersign/pkg/cloud/textmessage"
	"countersign/pkg/passkey"
	"countersign/pkg/phone"
)

func main() {
	cloud.Serve("enrol", func(d *cloud.Deployment) http.Handler {
		s := d.Service()
		s.Keys, s.Mail = keyring.Of(d), email.Of(d)
		s.Text, s.CodeDomain = textmessage.Of(d), textmessage.CodeDomain(d)
		s.Numbers, s.Passkeys = phone.Numbers{}, d.Passkeys(passkey.New)
		s.Uses = d.Uses()
		return api.New(d.Door(), api.Enrol(s))
	})
}
