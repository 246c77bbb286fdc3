// Command recover is the function that checks recovery codes.
package main

import (
	"net/http"

	"countersign/pkg/api"
	"countersign/pkg/cloud"
	"countersign/pkg/cloud/keyring"
)

func main() {
	cloud.Serve("recover", func(d *cloud.Deployment) http.Handler {
		s := d.Service()
		s.Keys = keyring.Of(d)
		return api.New(d.Door(), api.Recover(s))
	})
}
