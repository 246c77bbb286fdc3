// Command verify is the function that checks answers to challenges.
package main

import (
	"net/http"

	"countersign/pkg/api"
	"countersign/pkg/cloud"
)

func main() {
	cloud.Serve("verify", func(d *cloud.Deployment) http.Handler {
		return api.New(d.Door(), api.Verify(d.Service()))
	})
}
