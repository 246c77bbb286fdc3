// Command policy is the function that shows, previews and replaces policies.
package main

import (
	"net/http"

	"countersign/pkg/api"
	"countersign/pkg/cloud"
)

func main() {
	cloud.Serve("policy", func(d *cloud.Deployment) http.Handler {
		return api.New(d.Door(), api.Policy(d.Service()))
	})
}
