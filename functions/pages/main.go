// Command pages is the function that serves what anybody may fetch: public keys, related origins, health, explanations of
// problems, and the hosted pages.
package main

import (
	"net/http"

	"countersign/pkg/api"
	"countersign/pkg/cloud"
	"countersign/pkg/pages"
)

func main() {
	cloud.Serve("pages", func(d *cloud.Deployment) http.Handler {
		door := api.New(d.Door(), api.Pages(d.PublishedKeys(), d.RelatedOrigins()...))
		return d.Hosted(door, pages.Prefix, func(base string, client *http.Client) (http.Handler, error) {
			return pages.Handler(pages.Config{Base: base, Client: client, Brand: pages.Brand{Name: d.SenderName()}, Now: d.Now, Log: d.Log()})
		})
	})
}
