// Command admin is the function that changes accounts of users for administrators.
package main

import (
	"net/http"

	"countersign/pkg/api"
	"countersign/pkg/cloud"
)

func main() {
	cloud.Serve("admin", func(d *cloud.Deployment) http.Handler {
		return api.New(d.Door(), api.Admin(d.Service()))
	})
}
