package cloud

import (
	"fmt"
	"net/http"
	"strings"
)

// Hosted adds pages, at the paths with that prefix, to the API that a function serves. build makes their handler from the base URL of the
// deployment and a client by which they call the API at that URL. A call by URL passes the same limits, logs and alarms as those of any
// other client, and needs no permission to invoke another function. Like the API, the pages answer only what came through the edge, if
// the deployment has one.
func (d *Deployment) Hosted(api http.Handler, prefix string, build func(base string, client *http.Client) (http.Handler, error)) http.Handler {
	base, edge := d.Issuer(), d.edge()
	hosted, err := build(base, &http.Client{Transport: d.http.Transport, Timeout: callTime, CheckRedirect: stay})
	if err != nil {
		d.fault("COUNTERSIGN_ISSUER", fmt.Sprintf("makes no pages: %v", err))
		return api
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, prefix) {
			api.ServeHTTP(w, r)
			return
		}
		if edge != nil && edge(r) != nil {
			http.Error(w, "This deployment can be reached at its own domain only.", http.StatusForbidden)
			return
		}
		hosted.ServeHTTP(w, r)
	})
}
