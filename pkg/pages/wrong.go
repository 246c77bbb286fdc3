package pages

import "errors"

// wrong says in words for the user what went wrong with a form. It returns nil for what the page itself shows as over.
func (v *visit) wrong(err error) *remark {
	p := &problem{Code: unavailable, Status: 503}
	errors.As(err, &p)
	said := &remark{Bad: true, Status: p.Status}
	v.failed = p.AttemptsLeft != nil && *p.AttemptsLeft <= 0
	switch p.Code {
	case "wrong_code":
		said.Text = v.T("wrong.code")
		if v.failed {
			said.Text += " " + v.T("wrong.none_left")
		} else if p.AttemptsLeft != nil {
			said.Text += " " + v.T("wrong.left", "n", *p.AttemptsLeft)
		}
		if p.ClockOffS != 0 {
			key := "wrong.clock_fast"
			if p.ClockOffS < 0 {
				key = "wrong.clock_slow"
			}
			said.Text += " " + v.T(key, "span", v.language.span(max(p.ClockOffS, -p.ClockOffS)))
		}
	case "wrong_credential":
		said.Text = v.T("wrong.credential")
	case "locked":
		said.Text = v.T("wrong.locked")
		if p.RetryAfterS > 0 {
			said.Text += " " + v.T("wrong.wait", "span", v.language.span(p.RetryAfterS))
		}
	case "too_many_sends", "too_many_requests":
		said.Text = v.T("wrong.sends")
		if p.RetryAfterS > 0 {
			said.Text = v.T("wrong.send_later", "span", v.language.span(p.RetryAfterS))
		}
	case "invalid_request":
		said.Text = v.T("wrong.form")
	case "delivery_failed", "delivery_unknown", "country_forbidden", "method_forbidden", "already_exists", "nothing_to_send", "busy", "reauthentication_required",
		"email_pinned", "last_factor", "required_by_policy":
		said.Text = v.T("wrong." + p.Code)
	case "challenge_invalid", "enrolment_invalid", "not_found", "unauthenticated":
		return nil
	default:
		said.Text = v.T("wrong.unavailable")
	}
	return said
}
