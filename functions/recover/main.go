// Command recover is the function that checks recovery codes.
package main

import (
	"net/http"

	"countersign/pkg/api"
	"countersign/pkg/cloud"
)

func main() {
	cloud.Serve("recover", func(d *cloud.Deployment) http.Handler {
		return api.New(d.Door(), api.Recover(d.Service()))
	})
}
