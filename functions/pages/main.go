// Command pages is the function that serves what anybody may fetch: public keys, related origins, health, and explanations of
// problems.
package main

import (
	"net/http"

	"countersign/pkg/api"
	"countersign/pkg/cloud"
)

func main() {
	cloud.Serve("pages", func(d *cloud.Deployment) http.Handler {
		return api.New(d.Door(), api.Pages(d.PublishedKeys(), d.RelatedOrigins()...))
	})
}
