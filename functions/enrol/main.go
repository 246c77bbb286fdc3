// Command enrol is the function that begins and finishes enrolments of factors, and sends their codes.
package main

import (
	"net/http"

	"countersign/pkg/api"
	"countersign/pkg/cloud"
	"countersign/pkg/passkey"
	"countersign/pkg/phone"
)

func main() {
	cloud.Serve("enrol", func(d *cloud.Deployment) http.Handler {
		s := d.Service()
		s.Mail, s.Numbers = d.Mail(), phone.Numbers{}
		s.Passkeys = d.Passkeys(passkey.New)
		return api.New(d.Door(), api.Enrol(s))
	})
}
