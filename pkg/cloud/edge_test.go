package cloud_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"countersign/pkg/api"
	"countersign/pkg/cloud"
)

func TestACallThatWentAroundTheEdgeIsRefused(t *testing.T) {
	digest := func(secret string) string {
		sum := sha256.Sum256([]byte(secret))
		return hex.EncodeToString(sum[:])
	}
	const older, newer = "the older secret of the edge, 40 letters", "the newer secret of the edge, 40 letters"
	for _, c := range []struct {
		name, digests, shown string
		in                   bool
	}{
		{"no edge", "", "", true},
		{"no edge, and a header", "", older, true},
		{"through the edge", digest(older), older, true},
		{"around it", digest(older), "", false},
		{"with another secret", digest(older), newer, false},
		{"with the digest itself", digest(older), digest(older), false},
		{"with the secret and more", digest(older), older + " ", false},
		{"with two headers, which API Gateway joins", digest(older), older + "," + older, false},
		{"the older of two", digest(older) + "," + digest(newer), older, true},
		{"the newer of two", digest(older) + "," + digest(newer), newer, true},
		{"neither of two", digest(older) + "," + digest(newer), "", false},
	} {
		w := newWorld(t)
		w.Env["COUNTERSIGN_EDGE_DIGESTS"] = c.digests
		pages := w.open().Serving(func(d *cloud.Deployment) http.Handler {
			return api.New(d.Door(), api.Pages(d.PublishedKeys()))
		})
		for _, path := range []string{"/problems/locked", "/health", "/there/is/no/such/path"} {
			headers := map[string]string{}
			if c.shown != "" {
				headers["countersign-edge"] = c.shown
			}
			out, err := pages.Invoke(t.Context(), cloud.Payload(t, "GET", path, headers, ""))
			if err != nil {
				t.Fatal(err)
			}
			var res cloud.ProxyResponse
			decodeJSON(t, out, &res)
			refused := res.StatusCode == http.StatusForbidden && strings.Contains(res.Body, `"code":"forbidden"`)
			if refused == c.in {
				t.Errorf("%s: %s: got %d %s, want let in %v", c.name, path, res.StatusCode, res.Body, c.in)
			}
		}
		if log := w.Log.String(); strings.Contains(log, older) || strings.Contains(log, newer) {
			t.Errorf("%s: the log has a secret of the edge", c.name)
		}
	}
}

func TestADeploymentWhoseEdgeIsMisconfiguredLetsNobodyIn(t *testing.T) {
	w := newWorld(t)
	w.Env["COUNTERSIGN_EDGE_DIGESTS"] = "not a digest"
	verify := w.open().Serving(verify)
	if res := invoke(t, verify, "POST", "/v1/challenges/ch_x/verify", "cst_x", `{"code":"123456"}`); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("got %d %s, want 503", res.StatusCode, res.Body)
	}
}
