package pages

import "time"

// A backup is what the API offers a user as a backup of the first factor.
type backup struct {
	Kinds   []string `json:"kinds"`
	Address string   `json:"address"` // a hint at where codes would go
	Pinned  bool     `json:"pinned"`  // it can't be removed on its own afterwards
}

// backupView is what the template gets where a backup is offered in the settings.
type backupView struct {
	Backup *backup
	Until  *moment // nil, because nothing waits for it there
}

func showBackup(v *visit) (any, error) {
	session, err := v.ownAccount()
	if err != nil {
		return nil, err
	}
	if session.Account.Backup == nil {
		v.goTo(userHome + v.id)
		return nil, nil
	}
	return &backupView{Backup: session.Account.Backup}, nil
}

// skipBackup goes to the settings, which still have a link to the offer.
func skipBackup(v *visit) error {
	v.goTo(userHome + v.id)
	return nil
}

// keptFirstCodes goes on, once the user says that the recovery codes are kept which came with a factor.
func keptFirstCodes(v *visit) error {
	v.enrolled(v.field("offers") != "")
	return nil
}

// enrolled goes on after a factor was set up: to the offer of a backup, if there may be one, and else back. A sign-in never waits for the
// offer, because the application can ask for its outcome meanwhile.
func (v *visit) enrolled(mayOffer bool) {
	if !mayOffer || v.offered() == nil {
		v.ended(nil)
		return
	}
	if v.page.session == portalSession {
		v.goTo(userHome + v.id + "/backup?done=added")
		return
	}
	v.goTo("set-up/" + v.id + "?done=added")
}

// offered asks the API what is offered as a backup. It is nil if nothing is, and also if the API doesn't say: a backup can be added later.
func (v *visit) offered() *backup {
	if v.page.session == portalSession {
		v.portal = nil // what it has was asked for before the factor was there
		if session, err := v.ownAccount(); err == nil {
			return session.Account.Backup
		}
		return nil
	}
	if id, _ := v.stepsUpFor(); id != "" {
		return nil // a form of the settings waits, and the settings offer it themselves
	}
	var got begunEnrolment
	if err := v.get("/v1/enrolments", &got); err != nil {
		return nil
	}
	return got.Backup
}

// Left returns how many seconds are left until a moment. A browser with scripts leaves the offer by itself then, because the
// application can ask for the outcome of the sign-in only a little longer.
func (v *visit) Left(until *moment) int {
	at, err := time.Parse(time.RFC3339, until.UTC)
	if err != nil {
		return 0
	}
	return max(0, int(at.Sub(v.now)/time.Second))
}

// backupIsOver goes back if the API doesn't offer the backup of a sign-in any more. The sign-in itself was answered already.
func (v *visit) backupIsOver(err error) bool {
	if codeOf(err) != "enrolment_invalid" || v.field("backup") == "" || v.page.session == portalSession {
		return false
	}
	v.ended(nil)
	return true
}
