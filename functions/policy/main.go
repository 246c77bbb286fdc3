// Command policy is the function that shows, previews and replaces policies.
package main

import (
	"net/http"

	"countersign/pkg/api"
	"countersign/pkg/cloud"
	"countersign/pkg/cloud/keyring"
)

func main() {
	cloud.Serve("policy", func(d *cloud.Deployment) http.Handler {
		s := d.Service()
		s.Keys = keyring.Of(d)
		s.Uses = d.Uses()
		return api.New(d.Door(), api.Policy(s))
	})
}
