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
		s.Keys, s.Mail, s.Text = keyring.Of(d), email.Of(d), textmessage.Of(d)
		s.Numbers, s.Passkeys = phone.Numbers{}, d.Passkeys(passkey.New)
		return api.New(d.Door(), api.Enrol(s))
	})
}
