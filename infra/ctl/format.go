package main

import (
	"context"
	"fmt"
	"time"

	"countersign/pkg/cloud/keyring"
	"countersign/pkg/seal"
	"countersign/pkg/store/record"
)

type setFormat struct {
	Format int `arg:"" optional:"" help:"The format in which records are to be written from now on. Without it nothing is changed."`
}

// Run prints the format in which records are written, after it has set it.
func (c *setFormat) Run(ctx context.Context, p *program, where place) error {
	if c.Format != 0 && (c.Format < record.Format || c.Format > record.Latest) {
		return wrongCall(fmt.Sprintf("the format must be one that this version of the program has, from %d to %d", record.Format, record.Latest))
	}
	set := c.ofDeployment
	if where.Local != "" {
		set = c.ofFolder
	}
	now, err := set(ctx, p, where)
	if err != nil {
		return err
	}
	formats := writtenFormat{max(now, record.Format), record.Latest}
	return p.say(formats, "Records are written in format %d. This version of the program reads the formats up to %d.\n", formats.Format, formats.Latest)
}

// A writtenFormat says in JSON in which format records are written, and up to which one this version of the program reads.
type writtenFormat struct {
	Format int `json:"format"`
	Latest int `json:"latest"`
}

// ofDeployment sets the format in the key ring of a deployment if a number is given, and returns the format that it then has.
func (c *setFormat) ofDeployment(ctx context.Context, p *program, where place) (now int, err error) {
	err = where.use(p, func(s *site) error {
		if c.Format != 0 {
			if err := keyring.SetRecordFormat(ctx, s.store, c.Format); err != nil {
				return err
			}
		}
		status, err := keyring.StatusOf(ctx, s.store, p.now())
		now = status.RecordFormat
		return err
	})
	return now, err
}

// ofFolder is ofDeployment for the key file of a local server. The server may be running.
func (c *setFormat) ofFolder(ctx context.Context, p *program, where place) (int, error) {
	var change func(*seal.Ring, time.Time) (*seal.Ring, error)
	if c.Format != 0 {
		change = func(r *seal.Ring, _ time.Time) (*seal.Ring, error) { return r.WithRecordFormat(c.Format), nil }
	}
	ring, err := changeFolderRing(ctx, p, where, change)
	if err != nil {
		return 0, err
	}
	return ring.RecordFormat(), nil
}
