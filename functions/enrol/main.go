// Command enrol is the function that begins and finishes enrolments of factors, and sends their codes.
package main

import (
	"net/http"

	"countersign/pkg/api"
	"countersign/pkg/cloud"
)

func main() {
	cloud.Serve("enrol", func(d *cloud.Deployment) http.Handler {
		s := d.Service()
		s.Mail = d.Mail()
		return api.New(d.Door(), api.Enrol(s))
	})
}
