package main

import (
	"bufio"
	"context"
	"io"

	"countersign/pkg/mfa"
)

type exportOrg struct {
	Org string `arg:"" help:"The id of the organisation."`
}

type exportUser struct {
	Org  string `arg:"" help:"The id of the organisation."`
	User string `arg:"" help:"The id of the user."`
}

// Run prints all that is kept of an org, one JSON object to a line.
func (c *exportOrg) Run(ctx context.Context, p *program, where place) error {
	return exported(ctx, p, where, func(s *mfa.Service, to io.Writer, epoch int64) error { return s.ExportOrg(ctx, to, c.Org, epoch) })
}

// Run prints all that is kept of a user, one JSON object to a line.
func (c *exportUser) Run(ctx context.Context, p *program, where place) error {
	return exported(ctx, p, where, func(s *mfa.Service, to io.Writer, epoch int64) error {
		return s.ExportUser(ctx, to, c.Org, c.User, epoch)
	})
}

func exported(ctx context.Context, p *program, where place, export func(*mfa.Service, io.Writer, int64) error) error {
	return where.use(p, func(s *site) error {
		epoch, err := epochOf(ctx, p, where, s)
		if err != nil {
			return err
		}
		out := bufio.NewWriterSize(p.out, 1<<20)
		if err := export(&mfa.Service{Store: s.store, Now: s.keys.Now}, out, epoch); err != nil {
			return err
		}
		return out.Flush()
	})
}
