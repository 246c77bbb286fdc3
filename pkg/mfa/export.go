package mfa

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"countersign/pkg/activity"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// The lines of an export of what is known of users. Each is a JSON object, and its first field says of which of these kinds it is. They
// have no secrets: no secret of a factor, no code, no digest and no key.
type (
	exportedPolicy struct {
		Kind   string    `json:"kind"` // policy
		Policy OrgPolicy `json:"policy"`
	}
	exportedUser struct {
		Kind     string            `json:"kind"` // user
		User     User              `json:"user"`
		Contacts map[string]string `json:"contacts"` // the whole address or number of each factor that codes are sent to, by the factor's id
	}
	exportedEvent struct {
		Kind  string         `json:"kind"` // event
		Event activity.Event `json:"event"`
	}
	exportedEnd struct {
		Kind   string `json:"kind"` // end: a reader to whom this line is missing has not got all
		Users  int    `json:"users"`
		Events int    `json:"events"`
	}
)

// ExportUser writes all that is kept of a user to to, as JSON lines: the account with its factors and trusted browsers, with whole
// contacts, and the activity that is about the user, the newest event first. It has no secrets. This is what a request for access to
// personal data asks for (Regulation (EU) 2016/679, Article 15). epoch is that of the deployment: see seal.Ring.Epoch. It needs only
// a store that it can read. It returns NotFound for a user who doesn't exist.
func (s *Service) ExportUser(ctx context.Context, to io.Writer, org, user string, epoch int64) error {
	if err := checkUser(org, user); err != nil {
		return err
	}
	e, err := s.exporting(ctx, to, org, epoch)
	if err != nil {
		return err
	}
	there, err := e.user(ctx, routeOf(org, user))
	if err == nil && !there {
		err = refuse(NotFound, "There is no such user.")
	}
	if err != nil {
		return err
	}
	return e.finish(ctx, activity.Route(routeOf(org, user)))
}

// ExportOrg writes all that is kept of an org to to, as JSON lines: the policy, each user as ExportUser does, and the activity. What
// changes meanwhile may be in it or not. See ExportUser.
func (s *Service) ExportOrg(ctx context.Context, to io.Writer, org string, epoch int64) error {
	if err := checkID("org", org); err != nil {
		return err
	}
	e, err := s.exporting(ctx, to, org, epoch)
	if err != nil {
		return err
	}
	if err := e.write(exportedPolicy{"policy", e.p.shown()}); err != nil {
		return err
	}
	r := routeOf(org, "")
	for shard := range rosterShards {
		q := store.Query{Partition: rosterPartition(r, shard)}
		for more := true; more; {
			page, err := s.Store.Query(ctx, q)
			if err != nil {
				return err
			}
			for _, item := range page.Items {
				var entry rosterEntry
				if err := record.Decode(item, &entry); err != nil {
					return err
				}
				if _, err := e.user(ctx, routeOf(org, entry.User)); err != nil {
					return err
				}
			}
			q.After, more = page.Last, page.More
		}
	}
	return e.finish(ctx, activity.Route(r.org()))
}

// exporting is one export of what is known of users.
type exporting struct {
	s     *Service
	to    io.Writer
	org   string
	epoch int64
	p     *orgPolicy
	done  exportedEnd
}

func (s *Service) exporting(ctx context.Context, to io.Writer, org string, epoch int64) (*exporting, error) {
	e := &exporting{s: s, to: to, org: org, epoch: epoch, done: exportedEnd{Kind: "end"}}
	return e, readAll(ctx, s.Store, readPolicy(routeOf(org, ""), org, &e.p))
}

func (e *exporting) write(line any) error {
	text, err := json.Marshal(line)
	if err == nil {
		_, err = e.to.Write(append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write the export: %w", err)
	}
	return nil
}

// user writes a user, and reports whether there is one.
func (e *exporting) user(ctx context.Context, r route) (there bool, err error) {
	var a *account
	read := e.s.readAccount(r, &a)
	if err := readAll(ctx, e.s.Store, read); err != nil {
		return false, err
	}
	if !a.exists() {
		return false, nil
	}
	if err := read.follow(e.epoch); err != nil {
		return false, err
	}
	line := exportedUser{"user", a.shown(e.p, e.s.Now().UTC()), map[string]string{}}
	for _, f := range a.factorRecords {
		if f.Contact != "" && a.guard.enrolled(f.ID) != nil {
			line.Contacts[f.ID] = f.Contact
		}
	}
	e.done.Users++
	return true, e.write(line)
}

// finish writes the activity of a user or an org, and the end.
func (e *exporting) finish(ctx context.Context, of activity.Route) error {
	q := activity.Query{Org: e.org, Route: of, Limit: MaxListLimit}
	for {
		events, next, err := e.s.activity().List(ctx, q)
		if err != nil {
			return err
		}
		for _, event := range events {
			if err := e.write(exportedEvent{"event", event}); err != nil {
				return err
			}
		}
		if e.done.Events += len(events); next == nil {
			return e.write(e.done)
		}
		q.After = *next
	}
}
