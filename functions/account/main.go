// Command account is the function that shows, makes, changes and erases users, and shows the activity.
package main

import (
	"net/http"

	"countersign/pkg/api"
	"countersign/pkg/cloud"
	"countersign/pkg/cloud/keyring"
)

func main() {
	cloud.Serve("account", func(d *cloud.Deployment) http.Handler {
		s := d.Service()
		s.Keys = keyring.Of(d)
		s.Uses = d.Uses()
		return api.New(d.Door(), api.Account(s))
	})
}
