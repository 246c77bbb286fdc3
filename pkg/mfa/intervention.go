package mfa

import "countersign/pkg/activity"

// mostReason is how long an administrator's reason may be, in bytes.
const mostReason = 500

// An Intervention names the administrator who acts on a user's account, and says why.
type Intervention struct {
	Actor  string `json:"actor"`  // the administrator's id, on the client's word; with a portal token, empty or the id of its person
	Reason string `json:"reason"` // 1 to 500 bytes
}

// check returns InvalidRequest for an intervention of a call that doesn't say who acts or why. prefix is where it stands in the
// request.
func (i *Intervention) check(prefix string, call *Call) error {
	if err := checkActor(prefix+"actor", i.Actor, call); err != nil {
		return err
	}
	if err := checkText("", i.Reason, mostReason); err != nil || i.Reason == "" {
		return invalid(prefix+"reason", "A reason is required, of 1 to %d bytes.", mostReason)
	}
	return nil
}

func (i *Intervention) administrator() activity.Actor {
	return activity.Actor{Kind: "administrator", ID: i.Actor}
}

// checkActor returns InvalidRequest for a call that doesn't say which administrator acts. A portal token says it by itself.
func checkActor(param, actor string, call *Call) error {
	if _, portal := call.byPortal(); portal && actor == "" {
		return nil
	}
	return checkID(param, actor)
}

// administrator returns who acts on an account of org: the person of the portal session or, with an API key, the one whom the client
// names. It is InvalidRequest if a portal token comes with the name of somebody else.
func (u *unit) administrator(org, param, named string) (person, activity.Actor, error) {
	s := u.caller.session
	switch {
	case s == nil:
		return person{org, named}, activity.Actor{Kind: "administrator", ID: named}, nil
	case named != "" && named != s.User:
		return person{}, activity.Actor{}, invalid(param, "The portal token says who acts. Leave this field out.")
	}
	return person{s.Org, s.User}, s.actor(), nil
}
