package cloud

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"

	"countersign/pkg/mfa"
)

// edgeHeader is the header in which the edge, which is a CloudFront distribution with a WAF in front of the API (infra/edge),
// sends its secret. CloudFront replaces such a header of a viewer.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/add-origin-custom-headers.html
const edgeHeader = "Countersign-Edge"

// mostEdges is the number of secrets of the edge that may be valid at the same time: the old one and the new one, while the
// secret is replaced.
const mostEdges = 2

// edge returns a function that refuses calls that didn't come through the edge. It is nil if the deployment has no edge. The
// API's own domain can't be closed to everybody but CloudFront, so the edge sends a secret with each call. The environment has
// only digests, from which nobody can find the secret.
func (d *Deployment) edge() func(*http.Request) *mfa.Error {
	list := d.Optional("COUNTERSIGN_EDGE_DIGESTS", "one or two SHA-256 digests of 64 hexadecimal digits in lower case, separated by a comma", edgeDigests)
	if list == "" || !edgeDigests(list) { // malformed digests are a wrong setting: every call is answered as unavailable then
		return nil
	}
	digests := strings.Split(list, ",")
	return func(r *http.Request) *mfa.Error {
		sum := sha256.Sum256([]byte(r.Header.Get(edgeHeader)))
		r.Header.Del(edgeHeader) // no later handler needs it
		shown, good := []byte(hex.EncodeToString(sum[:])), 0
		for _, digest := range digests {
			good |= subtle.ConstantTimeCompare(shown, []byte(digest))
		}
		if good == 0 {
			return &mfa.Error{Code: mfa.Forbidden, Detail: "This deployment can be called at its own domain only."}
		}
		return nil
	}
}

// edgeDigests reports whether v is a list of digests that edge accepts.
func edgeDigests(v string) bool {
	list := strings.Split(v, ",")
	for _, digest := range list {
		if len(digest) != hex.EncodedLen(sha256.Size) || strings.Trim(digest, "0123456789abcdef") != "" {
			return false
		}
	}
	return len(list) <= mostEdges
}
