package mfa

import "countersign/pkg/text"

// checkID returns InvalidRequest for what is not an id.
func checkID(param, id string) error {
	if id == "" {
		return invalid(param, "This field is required.")
	}
	if problem := text.CheckID(id); problem != "" {
		return invalid(param, "%s", problem)
	}
	return nil
}

// checkText returns InvalidRequest for a text that is too long, or that doesn't fit on a line.
func checkText(param, s string, most int) error {
	if problem := text.Check(s, most); problem != "" {
		return invalid(param, "%s", problem)
	}
	return nil
}

func checkUser(org, user string) error {
	if err := checkID("org", org); err != nil {
		return err
	}
	return checkID("user", user)
}

// cut shortens text to at most n bytes, at a rune's start.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && text[n]&0xC0 == 0x80 {
		n--
	}
	return text[:n]
}
