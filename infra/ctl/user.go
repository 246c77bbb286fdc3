package main

import (
	"context"
	"errors"

	"countersign/pkg/cloud/keyring"
	"countersign/pkg/mfa"
)

type showUser struct {
	Org  string `arg:"" help:"The id of the organisation."`
	User string `arg:"" help:"The id of the user."`
}

// Run prints the account of a user as JSON.
func (c *showUser) Run(ctx context.Context, p *program, where place) error {
	return withEpoch(ctx, p, where, func(s *site, epoch int64) error {
		user, err := operatorOf(s).OperatorUser(ctx, c.Org, c.User, epoch)
		if err != nil {
			return err
		}
		return printJSON(p.out, user)
	})
}

type unlockUser struct {
	Org    string `arg:"" help:"The id of the organisation."`
	User   string `arg:"" help:"The id of the user."`
	Actor  string `required:"" placeholder:"ID" help:"Who does this. The activity says it."`
	Reason string `required:"" placeholder:"TEXT" help:"Why, in up to 500 bytes. The activity says it."`
}

// Run ends every lock of a user, and prints the account as JSON. The user is told, as by the API.
func (c *unlockUser) Run(ctx context.Context, p *program, where place) error {
	return withEpoch(ctx, p, where, func(s *site, epoch int64) error {
		user, err := operatorOf(s).OperatorUnlock(ctx, c.Org, c.User, mfa.Intervention{Actor: c.Actor, Reason: c.Reason}, epoch)
		if err != nil {
			return err
		}
		return printJSON(p.out, user)
	})
}

// withEpoch opens a place, and calls do with the epoch that the key ring says.
func withEpoch(ctx context.Context, p *program, where place, do func(*site, int64) error) error {
	return stopFirst(where.use(p, func(s *site) error {
		epoch, err := epochOf(ctx, p, where, s)
		if err != nil && !errors.Is(err, keyring.ErrNoRing) {
			return err
		}
		return do(s, epoch)
	}))
}
