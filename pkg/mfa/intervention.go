package mfa

import "countersign/pkg/activity"

// mostReason is how long an administrator's reason may be, in bytes.
const mostReason = 500

// An Intervention names the administrator who acts on a user's account, and says why.
type Intervention struct {
	Actor  string `json:"actor"`  // the administrator's id, on the client's word
	Reason string `json:"reason"` // 1 to 500 bytes
}

// check returns InvalidRequest for an intervention that doesn't say who acts or why. prefix is where it stands in the
// request.
func (i *Intervention) check(prefix string) error {
	if err := checkID(prefix+"actor", i.Actor); err != nil {
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
