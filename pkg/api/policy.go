package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"countersign/pkg/mfa"
)

// A policyRequest is a whole policy. A setting that is absent has the default value, or the value of the profile.
type policyRequest struct {
	mfa.Policy
	Profile     *string `json:"profile"`
	Acknowledge bool    `json:"acknowledge"`

	// A GET returns these, and a PUT ignores them.
	Org     jsontext.Value `json:"org"`
	Version jsontext.Value `json:"version"`
	Updated jsontext.Value `json:"updated"`

	version *int // from the header If-Match
}

// Policy binds the routes of the step "policy" to s.
func Policy(s *mfa.Service) Handlers {
	return Handlers{step: "policy", knows: s.Knows, bound: map[string]handler{
		"getPolicy": serve(operation[struct{}, mfa.OrgPolicy]{
			bodiless: true,
			do: func(ctx context.Context, call mfa.Call, at target, _ struct{}) (mfa.OrgPolicy, error) {
				return s.GetPolicy(ctx, call, at.org)
			},
			present: tagged,
		}),
		"putPolicy": serve(operation[policyRequest, mfa.OrgPolicy]{
			read:    readPolicy,
			headers: ifMatch,
			do: func(ctx context.Context, call mfa.Call, at target, q policyRequest) (mfa.OrgPolicy, error) {
				return s.PutPolicy(ctx, call, at.org, mfa.PolicyChange{
					Policy: q.Policy, Version: q.version, Acknowledge: q.Acknowledge,
				})
			},
			present: tagged,
		}),
		"getBrand": serve(operation[struct{}, mfa.Brand]{
			bodiless: true,
			do: func(ctx context.Context, call mfa.Call, at target, _ struct{}) (mfa.Brand, error) {
				return s.GetBrand(ctx, call, at.org)
			},
			present: taggedBrand,
		}),
		"putBrand": serve(operation[brandRequest, mfa.Brand]{
			nullable: []string{"name", "colour", "logo"},
			headers:  func(h http.Header, q *brandRequest) (err error) { q.version, err = matched(h); return err },
			do: func(ctx context.Context, call mfa.Call, at target, q brandRequest) (mfa.Brand, error) {
				return s.PutBrand(ctx, call, at.org, mfa.BrandChange{Brand: q.Brand, Version: q.version})
			},
			present: taggedBrand,
		}),
		"previewPolicy": serve(operation[policyRequest, mfa.Preview]{
			read:    readPolicy,
			repeats: true,
			do: func(ctx context.Context, call mfa.Call, at target, q policyRequest) (mfa.Preview, error) {
				return s.PreviewPolicy(ctx, call, at.org, q.Policy)
			},
		}),
	}}
}

// A brandRequest is a whole brand. A part that is absent is null.
type brandRequest struct {
	mfa.Brand
	version *int // from the header If-Match
}

// taggedBrand sets the ETag of the answer to the brand's version.
func taggedBrand(b mfa.Brand, a *answer) { a.etag = `"` + strconv.Itoa(b.Version) + `"` }

// readPolicy reads a policy into the settings of its profile. It reads the body twice, because the first time it finds out
// which profile that is.
func readPolicy(body []byte, into *policyRequest) error {
	nullable := []string{"grace_until", "max_skips", "org", "version", "updated"}
	var said policyRequest
	if err := decode(body, &said, nullable, nil); err != nil {
		return err
	}
	into.Policy = mfa.DefaultPolicy()
	if said.Profile != nil {
		var err error
		if into.Policy, err = mfa.ProfilePolicy(*said.Profile); err != nil {
			return err
		}
	}
	return decode(body, into, nullable, nil)
}

// ReadPolicy reads a policy as a PUT takes it. Its errors are those of package mfa.
func ReadPolicy(body []byte) (mfa.Policy, error) {
	var q policyRequest
	err := readPolicy(body, &q)
	return q.Policy, err
}

// tagged sets the ETag of the answer to the policy's version.
func tagged(p mfa.OrgPolicy, a *answer) { a.etag = `"` + strconv.Itoa(p.Version) + `"` }

// ifMatch reads the version of the policy that is to be replaced.
func ifMatch(h http.Header, q *policyRequest) (err error) {
	q.version, err = matched(h)
	return err
}

// matched reads the version of what is to be replaced. It is one strong entity tag, as a GET returned it. If the header is
// missing, package mfa refuses the call.
func matched(h http.Header) (*int, error) {
	sent := h.Values("If-Match")
	if len(sent) == 0 {
		return nil, nil
	}
	digits := strings.TrimSuffix(strings.TrimPrefix(sent[0], `"`), `"`)
	version, err := strconv.Atoi(digits)
	if err != nil || len(sent) > 1 || sent[0] != `"`+strconv.Itoa(version)+`"` || version < 0 {
		return nil, invalid("If-Match", "The header If-Match must be one entity tag, as the ETag of a GET gave it, such as \"3\".")
	}
	return &version, nil
}
