package demo

import (
	"context"
	"encoding/json"
	"fmt"
)

// newPolicy is the policy of the demo's org: everyone is asked for a code by email or, after setting it up, for the code of an
// app; and browsers can be trusted.
const newPolicy = `{
	"profile": "kls", "methods": {"totp": "allowed", "webauthn": "forbidden", "sms": "forbidden", "email": "implicit"},
	"email_backup": "allowed", "recovery": {"count": 10, "effect": "sign_in"}, "acknowledge": true
}`

// firstPolicy is the policy that earlier versions of the demo gave to the org, before there were authenticator apps.
const firstPolicy = `{
	"methods": {"totp": "forbidden", "webauthn": "forbidden", "sms": "forbidden", "email": "implicit"},
	"email_backup": "forbidden", "require": "everyone", "effect": "next_sign_in", "grace_until": null, "max_skips": null,
	"challenge": {"window_s": 900, "email_code_s": 900, "sms_code_s": 600, "attempts": 5, "sends": 5, "resend_after_s": 30},
	"trust": {"days": 30, "cap": 10, "rotate": true}, "recovery": {"count": 0, "effect": "sign_in"},
	"sso": "bypass", "sso_amr": ["mfa"], "sso_acr": [], "sso_max_age_s": 43200, "enrolment_proof": "none",
	"webauthn": {"user_verification": "preferred"}, "totp": {"skew": 1},
	"sms": {"countries": [], "daily_cap": 500, "user_daily_cap": 10, "hourly_prefix_cap": 20, "min_conversion": 20},
	"reset": {"reason": "required", "second_approver": false, "hold_s": 0}, "locale": "en"
}`

// setPolicy gives newPolicy to the demo's org, unless somebody has given it another policy.
func (d *Demo) setPolicy(ctx context.Context) error {
	path := "/v1/orgs/" + Org + "/policy"
	var found, first map[string]any
	if err := d.call(ctx, request{method: "GET", path: path, bearer: d.o.Key.Reveal()}, &found); err != nil {
		return fmt.Errorf("look up the demo's policy: %w", err)
	}
	if err := json.Unmarshal([]byte(firstPolicy), &first); err != nil {
		return err
	}
	version, _ := found["version"].(float64)
	if version > 0 && !holds(found, first) {
		return nil
	}
	err := d.call(ctx, request{
		method: "PUT", path: path, bearer: d.o.Key.Reveal(), ifMatch: fmt.Sprintf(`"%.0f"`, version), body: json.RawMessage(newPolicy),
	}, nil)
	if err != nil {
		return fmt.Errorf("set the demo's policy: %w", err)
	}
	return nil
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
