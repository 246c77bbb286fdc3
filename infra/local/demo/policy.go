package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// countries are those to whose numbers text messages can be sent, where a policy of the demo has them.
const countries = `["BE", "CH", "DE", "ES", "FR", "GB", "IE", "NL", "PT", "US"]`

// newPolicy is the policy of the demo's org: everyone is asked for a code by email or, after setting one up, for another factor;
// and browsers can be trusted.
const newPolicy = `{
	"profile": "kls", "methods": {"totp": "allowed", "webauthn": "allowed", "sms": "allowed", "email": "implicit"},
	"sms": {"countries": ` + countries + `}, "email_backup": "allowed", "recovery": {"count": 10, "effect": "sign_in"}, "acknowledge": true
}`

// olderPolicies has what the policies say that earlier versions of the demo gave to the org: the first before there were
// authenticator apps, and the second before there were security keys and text messages. Both have olderSettings, too.
var olderPolicies = []string{
	`{"methods": {"totp": "forbidden"}, "email_backup": "forbidden", "recovery": {"count": 0}}`,
	`{"methods": {"totp": "allowed"}, "email_backup": "allowed", "recovery": {"count": 10}}`,
}

// olderSettings leaves out the settings of kinds that the policies forbid.
const olderSettings = `{
	"methods": {"webauthn": "forbidden", "sms": "forbidden", "email": "implicit"},
	"require": "everyone", "effect": "next_sign_in", "grace_until": null, "max_skips": null,
	"challenge": {"window_s": 900, "email_code_s": 900, "sms_code_s": 600, "attempts": 5, "sends": 5, "resend_after_s": 30},
	"trust": {"days": 30, "cap": 10, "rotate": true}, "recovery": {"effect": "sign_in"},
	"sso": "bypass", "sso_amr": ["mfa"], "sso_acr": [], "sso_max_age_s": 43200, "enrolment_proof": "none", "totp": {"skew": 1},
	"reset": {"reason": "required", "second_approver": false, "hold_s": 0}, "locale": "en"
}`

// prepare gives an organisation of the demo its policy, unless somebody has given it another one. All but the demo's own get their
// name, too, which hosted pages and messages then show.
func (d *Demo) prepare(ctx context.Context, org string) error {
	d.mu.Lock()
	done := d.prepared[org]
	d.mu.Unlock()
	if done {
		return nil
	}
	ctx = unnoted(ctx)
	path := "/v1/orgs/" + org + "/policy"
	var found map[string]any
	if err := d.call(ctx, request{method: "GET", path: path, bearer: d.o.AdminKey.Reveal()}, &found); err != nil {
		return fmt.Errorf("look up the policy of %s: %w", org, err)
	}
	older := false
	if org == Org {
		var err error
		if older, err = isOlder(found); err != nil {
			return err
		}
	}
	if version, _ := found["version"].(float64); version == 0 || older {
		if err := d.name(ctx, org); err != nil { // first, since only an org without a policy is prepared
			return fmt.Errorf("set the name of %s: %w", org, err)
		}
		err := d.call(ctx, request{
			method: "PUT", path: path, bearer: d.o.AdminKey.Reveal(), ifMatch: fmt.Sprintf(`"%.0f"`, version), body: json.RawMessage(organisationOf(org).policy),
		}, nil)
		if err != nil {
			return fmt.Errorf("set the policy of %s: %w", org, err)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.prepared[org] = true
	return nil
}

// name gives an organisation its name, unless it has a brand. The demo's own keeps the deployment's.
func (d *Demo) name(ctx context.Context, org string) error {
	if org == Org {
		return nil
	}
	err := d.call(ctx, request{
		method: "PUT", path: "/v1/orgs/" + org + "/brand", bearer: d.o.AdminKey.Reveal(), ifMatch: `"0"`,
		body: map[string]any{"name": organisationOf(org).Name},
	}, nil)
	var p *problem
	if errors.As(err, &p) && p.Code == "version_mismatch" {
		return nil
	}
	return err
}

// isOlder reports whether an earlier version of the demo gave this policy to the org.
func isOlder(policy map[string]any) (bool, error) {
	says := func(text string) (bool, error) {
		var want map[string]any
		err := json.Unmarshal([]byte(text), &want)
		return holds(policy, want), err
	}
	if settings, err := says(olderSettings); !settings || err != nil {
		return false, err
	}
	for _, policy := range olderPolicies {
		if older, err := says(policy); older || err != nil {
			return older, err
		}
	}
	return false, nil
}

// holds reports whether a JSON value equals want. Objects in it may have more members.
func holds(value, want any) bool {
	members, ok := want.(map[string]any)
	if !ok {
		return fmt.Sprint(value) == fmt.Sprint(want)
	}
	all, ok := value.(map[string]any)
	if !ok {
		return false
	}
	for name, member := range members {
		if found, there := all[name]; !there || !holds(found, member) {
			return false
		}
	}
	return true
}
