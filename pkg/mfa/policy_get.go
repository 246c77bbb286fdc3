package mfa

import (
	"context"

	"countersign/pkg/apikey"
)

// GetPolicy returns the policy that is in force for an org.
func (s *Service) GetPolicy(ctx context.Context, call Call, org string) (OrgPolicy, error) {
	if err := checkID("org", org); err != nil {
		return OrgPolicy{}, err
	}
	var p *orgPolicy
	return run(ctx, s, call, step[OrgPolicy]{
		scope: apikey.Admin, portal: byAdministrator | reading, org: org,
		reads:  []read{readPolicy(routeOf(org, ""), org, &p)},
		decide: func(*unit) (OrgPolicy, error) { return p.shown(), nil },
	})
}
