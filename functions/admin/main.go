// Command admin is the function that changes accounts of users for administrators.
package main

import (
	"net/http"

	"countersign/pkg/api"
	"countersign/pkg/cloud"
	"countersign/pkg/cloud/keyring"
)

func main() {
	cloud.Serve("admin", func(d *cloud.Deployment) http.Handler {
		s := d.Service()
		s.Keys = keyring.Of(d)
		return api.New(d.Door(), api.Admin(s))
	})
}
