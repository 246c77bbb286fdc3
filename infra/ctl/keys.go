package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"countersign/infra/local/shell"
	"countersign/pkg/apikey"
	"countersign/pkg/cloud/keyring"
	"countersign/pkg/seal"
)

type createKey struct {
	Client string         `required:"" placeholder:"NAME" help:"The application for which the key is. An application can have several keys. What was begun with one of them can be finished with another."`
	Name   string         `placeholder:"TEXT" help:"The name by which users know the application, of up to 64 bytes. Messages and authenticator apps show it. Without it they show the name of the deployment, which is the parameter SenderName of its stack."`
	Label  string         `placeholder:"TEXT" help:"What operators know the key by, such as where it is used, of up to 64 bytes. Users never see it."`
	Scope  []apikey.Scope `required:"" enum:"${scopes}" placeholder:"SCOPE" help:"What the key may do: ${enum}. Give the flag once for each scope. No scope includes another."`
	Org    string         `placeholder:"ORG" help:"The only org for which the key is valid. Without it the key is valid for every org."`
	Origin []string       `sep:"none" placeholder:"URL" help:"An origin that a return_url can have, such as https://app.example.com. Give the flag once for each origin."`
}

// Run makes the key.
func (c *createKey) Run(ctx context.Context, p *program, where place) error {
	err := where.use(p, func(s *site) error {
		slices.Sort(c.Scope)
		key, err := s.keys.Create(ctx, apikey.Grant{
			Client: c.Client, Name: c.Name, Scopes: slices.Compact(c.Scope), Org: c.Org, Origins: c.Origin, Label: c.Label,
		})
		if err != nil {
			return err
		}
		id := apikey.ID(key)
		if err := p.say(madeKey{id, key.Reveal()}, "%s\n", key.Reveal()); err != nil {
			// Nobody has seen the whole key, so the key must be revoked.
			if _, undo := s.keys.Revoke(context.WithoutCancel(ctx), id); undo != nil {
				return fmt.Errorf("the key could not be printed (%w), and could not be revoked (%[3]s): revoke the key %[2]s yourself", err, id, explain(undo))
			}
			return fmt.Errorf("the key could not be printed, and was revoked: %w", err)
		}
		fmt.Fprintf(p.errs, "This key is not shown again. Its id is %s. To revoke it: keys revoke %[1]s\n", id)
		return nil
	})
	if inUse(err) {
		return fmt.Errorf("%w. Stop the server first, or ask it for the key at its address:\n%s", err, c.overHTTP())
	}
	return err
}

// overHTTP returns the command with which a running local server makes a key like this one.
func (c *createKey) overHTTP() string {
	org := "null"
	if c.Org != "" {
		org = jsonText(c.Org)
	}
	scopes := make([]string, len(c.Scope))
	for i, scope := range c.Scope {
		scopes[i] = jsonText(string(scope))
	}
	name := ""
	if c.Name != "" {
		name = `,"name":` + jsonText(c.Name)
	}
	body := fmt.Sprintf(`{"client":%s,"scopes":[%s],"org":%s%s}`, jsonText(c.Client), strings.Join(scopes, ","), org, name)
	call := shell.Of(runtime.GOOS).Call(shell.Call{URL: "http://localhost:8080/local/keys", Body: body})
	return "  " + strings.ReplaceAll(call, "\n", "\n  ")
}

// A madeKey is a new API key in the JSON that keys create prints.
type madeKey struct {
	ID  string `json:"id"`
	Key string `json:"key"`
}

type listKeys struct{}

// Run lists the keys, the oldest first.
func (listKeys) Run(ctx context.Context, p *program, where place) error {
	return stopFirst(where.use(p, func(s *site) error {
		lines, err := s.keys.List(ctx)
		if err != nil {
			return err
		}
		if len(lines) == 0 && !p.json {
			fmt.Fprintln(p.errs, "There is no API key. To make one: keys create")
			return nil
		}
		slices.SortFunc(lines, byCreation)
		epoch, err := epochOf(ctx, p, where, s)
		if err != nil && !errors.Is(err, keyring.ErrNoRing) {
			return err
		}
		if p.json {
			listed := []listedKey{}
			for _, k := range lines {
				one, err := listedOf(ctx, s, k, epoch)
				if err != nil {
					return err
				}
				listed = append(listed, one)
			}
			return printJSON(p.out, listed)
		}
		return printKeys(ctx, p, s, lines, epoch)
	}))
}

func byCreation(a, b apikey.Key) int {
	return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
}

// printKeys prints a table of API keys. It says which of them have to be confirmed in this epoch of the deployment.
func printKeys(ctx context.Context, p *program, s *site, keys []apikey.Key, epoch int64) error {
	table := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tCLIENT\tSCOPES\tORG\tCREATED\tLAST USED\tLABEL\tORIGINS\tNAME")
	for _, k := range keys {
		day, err := s.keys.LastUsed(ctx, k.ID)
		if err != nil {
			return err
		}
		name := cmp.Or(k.Name, "none")
		if !k.Confirmed(epoch) {
			name += "\t(not confirmed since the restore: see keys confirm)"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Client, scopeNames(k.Scopes, ","), cmp.Or(k.Org, "every"),
			k.Created.UTC().Format(time.RFC3339), cmp.Or(day, "unknown"), cmp.Or(k.Label, "none"), cmp.Or(strings.Join(k.Origins, ","), "none"), name)
	}
	return table.Flush()
}

// A listedKey is an API key as JSON.
type listedKey struct {
	ID string `json:"id"`
	apikey.Grant
	Created   time.Time `json:"created"`
	LastUsed  *string   `json:"last_used"` // the last day on which it was used; null if that isn't known
	Confirmed bool      `json:"confirmed"` // false if the key is good for nothing until it is confirmed after a restore
}

func listedOf(ctx context.Context, s *site, k apikey.Key, epoch int64) (listedKey, error) {
	day, err := s.keys.LastUsed(ctx, k.ID)
	listed := listedKey{ID: k.ID, Grant: k.Grant, Created: k.Created.UTC(), Confirmed: k.Confirmed(epoch)}
	if day != "" {
		listed.LastUsed = &day
	}
	return listed, err
}

type confirmKeys struct {
	IDs []string `arg:"" name:"id" placeholder:"ID" help:"The ids of the keys, as the command keys list shows them: ak_…"`
}

// Run confirms the keys.
func (c *confirmKeys) Run(ctx context.Context, p *program, where place) error {
	return stopFirst(where.use(p, func(s *site) error {
		epoch, err := epochOf(ctx, p, where, s)
		if err != nil {
			return err
		}
		for _, id := range c.IDs {
			key, err := s.keys.Confirm(ctx, id, epoch)
			if err != nil {
				return fmt.Errorf("%s: %w", id, err)
			}
			confirmed := changedKey{ID: key.ID, Client: key.Client, Created: key.Created.UTC(), Confirmed: true}
			if err := p.say(confirmed, "The key %s of %s is confirmed.\n", key.ID, key.Client); err != nil {
				return err
			}
		}
		return nil
	}))
}

type rotateKeys struct{}

// Run lets the key ring be rotated. In a deployment the sweep does that, because an operator may not use the KMS key.
func (rotateKeys) Run(ctx context.Context, p *program, where place) error {
	if where.Local != "" {
		if _, err := changeFolderRing(ctx, p, where, func(r *seal.Ring, now time.Time) (*seal.Ring, error) { return r.Rotate(now) }); err != nil {
			return err
		}
		return p.say(keyRotation{Rotated: true}, "The key ring has new keys.\n")
	}
	return where.use(p, func(s *site) error {
		if err := keyring.WantKeys(ctx, s.store); err != nil {
			return err
		}
		return p.say(keyRotation{Wanted: true}, "The next run of the sweep makes new keys. It runs every 15 minutes.\n")
	})
}

// A keyRotation says in JSON what keys rotate has done.
type keyRotation struct {
	Rotated bool `json:"rotated"` // the ring has new keys
	Wanted  bool `json:"wanted"`  // the next run of the sweep makes them
}

type revokeKey struct {
	ID string `arg:"" placeholder:"ID" help:"The id of the key, as the command keys list shows it: ak_…"`
}

// Run revokes the key.
func (c *revokeKey) Run(ctx context.Context, p *program, where place) error {
	return stopFirst(where.use(p, func(s *site) error {
		line, err := s.keys.Revoke(ctx, c.ID)
		if err != nil {
			return err
		}
		revoked := changedKey{ID: line.ID, Client: line.Client, Created: line.Created.UTC(), Revoked: true}
		return p.say(revoked, "The key %s of %s, which was made at %s, is revoked.\n", line.ID, line.Client, line.Created.UTC().Format(time.RFC3339))
	}))
}

// A changedKey is an API key that was confirmed or revoked, as JSON.
type changedKey struct {
	ID        string    `json:"id"`
	Client    string    `json:"client"`
	Created   time.Time `json:"created"`
	Confirmed bool      `json:"confirmed,omitempty"`
	Revoked   bool      `json:"revoked,omitempty"`
}

// stopFirst adds to the error that a folder is in use what to do about it.
func stopFirst(err error) error {
	if inUse(err) {
		return fmt.Errorf("%w. Stop the server first", err)
	}
	return err
}

func scopeNames(scopes []apikey.Scope, between string) string {
	names := make([]string, len(scopes))
	for i, s := range scopes {
		names[i] = string(s)
	}
	return strings.Join(names, between)
}

func jsonText(text string) string {
	b, _ := json.Marshal(text) // a string can always be encoded
	return string(b)
}
