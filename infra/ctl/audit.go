package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/mfa"
	"countersign/pkg/seal"
	"countersign/pkg/store/bolt"
)

type exportAudit struct {
	Org string `arg:"" help:"The id of the organisation."`
}

// longestAudit is how long an export of activity, or its verification, may take.
const longestAudit = time.Hour

// Run prints all activity of an org that is still kept, one JSON object to a line.
func (c *exportAudit) Run(ctx context.Context, p *program, where place) error {
	return where.use(p, func(s *site) error {
		out := bufio.NewWriterSize(p.out, 1<<20)
		if err := (&mfa.Service{Store: s.store, Now: s.keys.Now}).ExportActivity(ctx, out, c.Org); err != nil {
			return fmt.Errorf("export the activity of %s: %w", jsonText(c.Org), err)
		}
		return out.Flush()
	})
}

type verifyAudit struct {
	File   string    `arg:"" type:"existingfile" help:"A file that ctl audit export has written."`
	Keys   string    `type:"existingfile" placeholder:"FILE" help:"A file with what the deployment answers at /.well-known/jwks.json. Checkpoints must be signed with one of its checkpoint_keys. Without this flag the keys in the export are used, and you have to compare their ids."`
	Events []string  `sep:"none" type:"existingfile" placeholder:"FILE" help:"A file with events that were on the bus, as for ctl restored. The checkpoints in them must be in the export. This is the only way to notice that the end of the activity was removed together with its checkpoints."`
	At     time.Time `placeholder:"TIME" help:"The present time, for an export of a local server whose clock was moved. By default this machine's clock says it."`
}

// Run says whether the activity in an export is as it was filed. It needs nothing but its files.
func (c *verifyAudit) Run(ctx context.Context, p *program) error {
	file, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer file.Close()
	keys, err := c.keys()
	if err != nil {
		return err
	}
	seen, err := c.seen()
	if err != nil {
		return err
	}
	now := c.At
	if now.IsZero() {
		now = p.now()
	}
	var found mfa.VerifiedExport
	err = withScratch(now, func(scratch *bolt.DB) (err error) {
		found, err = mfa.VerifyActivity(ctx, file, scratch, now, keys, seen...)
		return err
	})
	if errors.Is(err, activity.ErrBroken) {
		return fmt.Errorf("%s does not prove the activity: %w", c.File, err)
	}
	if err != nil {
		return fmt.Errorf("verify %s: %w", c.File, err)
	}
	return c.tell(p, &found)
}

// withScratch calls do with an empty store on the disk, which is then removed.
func withScratch(now time.Time, do func(*bolt.DB) error) error {
	dir, err := os.MkdirTemp("", "countersign-audit-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	scratch, err := bolt.Open(filepath.Join(dir, "export"), bolt.Options{Now: func() time.Time { return now }})
	if err != nil {
		return err
	}
	return errors.Join(do(scratch), scratch.Close())
}

// keys returns the keys that are trusted, or nil if those in the export are.
func (c *verifyAudit) keys() (seal.CheckpointKeys, error) {
	if c.Keys == "" {
		return nil, nil
	}
	jwks, err := os.ReadFile(c.Keys)
	if err != nil {
		return nil, err
	}
	keys, err := seal.ReadCheckpointKeys(jwks)
	if err == nil && len(keys) == 0 {
		err = errors.New("it has no checkpoint_keys")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Keys, err)
	}
	return keys, nil
}

// seen returns the checkpoints that were on the bus.
func (c *verifyAudit) seen() (signed []string, err error) {
	for _, name := range c.Events {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		events, err := readEvents(file)
		file.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, e := range events {
			if text, ok := e.Data["checkpoint"].(string); ok && e.Type == mfa.ActivityChecked {
				signed = append(signed, text)
			}
		}
	}
	return signed, nil
}

// tell prints what was found, and what it doesn't prove.
func (c *verifyAudit) tell(p *program, found *mfa.VerifiedExport) error {
	if p.json {
		return c.tellAsJSON(p, found)
	}
	fmt.Fprintf(p.out, "The activity of %s is as it was filed, as far as it was kept on %s: %d pages of %d days, and %d checkpoints.\n",
		jsonText(found.Org), found.Exported.Format(time.RFC3339), found.Pages, found.Days, found.Checkpoints)
	if found.Serial > 0 {
		fmt.Fprintf(p.out, "The last checkpoint has the number %d and is of %s.\n", found.Serial, found.At.Format(time.RFC3339))
	}
	if found.Later > 0 || found.Bare > 0 {
		fmt.Fprintf(p.out, "Not covered by a checkpoint: %d pages that were filed after the last one of their day, and %d days that have none. If the last of these pages were removed, nothing would show it.\n", found.Later, found.Bare)
	}
	if c.Keys == "" {
		fmt.Fprintln(p.out, "The keys came with the export. Compare their ids with the checkpoint_keys at /.well-known/jwks.json, or give --keys:")
		for _, id := range found.Keys {
			fmt.Fprintf(p.out, "  %s\n", id)
		}
	}
	text := "No events of this organisation's checkpoints were given, so nothing shows whether later checkpoints were removed together with the activity that they tell of."
	if found.Seen > 0 {
		text = fmt.Sprintf("%d checkpoints that were on the bus are among them, or have expired.", found.Seen)
	}
	_, err := fmt.Fprintln(p.out, text)
	return err
}

// A verified is what audit verify has found, as JSON. What isn't proven stands in it too: see tell.
type verified struct {
	Org         string     `json:"org"`
	Exported    time.Time  `json:"exported"`
	Pages       int        `json:"pages"`
	Days        int        `json:"days"`
	Checkpoints int        `json:"checkpoints"`
	Serial      int        `json:"serial"`             // of the last checkpoint; 0 if there is none
	At          *time.Time `json:"at"`                 // when the last checkpoint was made
	Later       int        `json:"pages_not_covered"`  // pages that were filed after the last checkpoint of their day
	Bare        int        `json:"days_not_covered"`   // days without a checkpoint
	Keys        []string   `json:"keys"`               // the ids of the keys in the export
	Trusted     bool       `json:"keys_given"`         // the keys were given, and are not those of the export
	Seen        int        `json:"checkpoints_on_bus"` // checkpoints that were on the bus and are in the export, or have expired
}

func (c *verifyAudit) tellAsJSON(p *program, found *mfa.VerifiedExport) error {
	v := verified{
		Org: found.Org, Exported: found.Exported, Pages: found.Pages, Days: found.Days, Checkpoints: found.Checkpoints, Serial: int(found.Serial),
		Later: found.Later, Bare: found.Bare, Keys: append([]string{}, found.Keys...), Trusted: c.Keys != "", Seen: found.Seen,
	}
	if found.Serial > 0 {
		v.At = &found.At
	}
	return printJSON(p.out, v)
}
