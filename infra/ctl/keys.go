package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"countersign/infra/local/shell"
	"countersign/pkg/apikey"
)

type createKey struct {
	Client string         `required:"" placeholder:"NAME" help:"The application for which the key is. An application can have several keys. What was begun with one of them can be finished with another."`
	Name   string         `placeholder:"TEXT" help:"The name by which users know the application, of up to 64 bytes. Messages and authenticator apps show it. Without it they show the name of the deployment, which is the parameter SenderName of its stack."`
	Scope  []apikey.Scope `required:"" enum:"${scopes}" placeholder:"SCOPE" help:"What the key may do: ${enum}. Give the flag once for each scope. No scope includes another."`
	Org    string         `placeholder:"ORG" help:"The only org for which the key is valid. Without it the key is valid for every org."`
	Origin []string       `sep:"none" placeholder:"URL" help:"An origin that a return_url can have, such as https://app.example.com. Give the flag once for each origin."`
}

// Run makes the key.
func (c *createKey) Run(ctx context.Context, p *program, where place) error {
	err := where.use(p, func(s *site) error {
		slices.Sort(c.Scope)
		key, err := s.keys.Create(ctx, apikey.Grant{
			Client: c.Client, Name: c.Name, Scopes: slices.Compact(c.Scope), Org: c.Org, Origins: c.Origin,
		})
		if err != nil {
			return err
		}
		id := apikey.ID(key)
		if _, err := fmt.Fprintln(p.out, key.Reveal()); err != nil {
			// Nobody has seen the whole key, so it must not stay valid.
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

type listKeys struct{}

// Run lists the keys, the oldest first.
func (listKeys) Run(ctx context.Context, p *program, where place) error {
	return stopFirst(where.use(p, func(s *site) error {
		lines, err := s.keys.List(ctx)
		if err != nil {
			return err
		}
		if len(lines) == 0 {
			fmt.Fprintln(p.errs, "There is no API key. To make one: keys create")
			return nil
		}
		slices.SortFunc(lines, func(a, b apikey.Key) int {
			return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
		})
		table := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "ID\tCLIENT\tSCOPES\tORG\tCREATED\tORIGINS\tNAME")
		for _, l := range lines {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.ID, l.Client, scopeNames(l.Scopes, ","), cmp.Or(l.Org, "every"),
				l.Created.UTC().Format(time.RFC3339), cmp.Or(strings.Join(l.Origins, ","), "none"), cmp.Or(l.Name, "none"))
		}
		return table.Flush()
	}))
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
		_, err = fmt.Fprintf(p.out, "The key %s of %s, which was made at %s, is revoked.\n", line.ID, line.Client, line.Created.UTC().Format(time.RFC3339))
		return err
	}))
}

// stopFirst adds to the error about a folder in use what to do.
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
