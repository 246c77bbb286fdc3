package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"countersign/pkg/api"
	"countersign/pkg/mfa"
)

type getPolicy struct {
	Org string `arg:"" help:"The id of the organisation."`
}

// Run prints the policy that is in force for an org, as JSON.
func (c *getPolicy) Run(ctx context.Context, p *program, where place) error {
	return where.use(p, func(s *site) error {
		policy, err := operatorOf(s).OperatorPolicy(ctx, c.Org)
		if err != nil {
			return err
		}
		return printJSON(p.out, policy)
	})
}

type diffPolicy struct {
	Org  string `arg:"" help:"The id of the organisation."`
	File string `arg:"" type:"existingfile" help:"A file with a policy as JSON, as a PUT of the API takes it."`
}

// Run prints each setting in which the policy in the file differs from the one that is in force.
func (c *diffPolicy) Run(ctx context.Context, p *program, where place) error {
	to, err := readPolicyFile(c.File)
	if err != nil {
		return err
	}
	return where.use(p, func(s *site) error {
		from, err := operatorOf(s).OperatorPolicy(ctx, c.Org)
		if err != nil {
			return err
		}
		before, after := map[string]string{}, map[string]string{}
		if err := errors.Join(flatten(before, from.Policy), flatten(after, to)); err != nil {
			return err
		}
		names := slices.Collect(maps.Keys(before))
		for name := range after {
			if _, both := before[name]; !both {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		differences := []difference{}
		for _, name := range names {
			if before[name] == after[name] {
				continue
			}
			differences = append(differences, difference{name, rawOrNull(before[name]), rawOrNull(after[name])})
			if !p.json {
				fmt.Fprintf(p.out, "%s: %s -> %s\n", name, cmp.Or(before[name], "none"), cmp.Or(after[name], "none"))
			}
		}
		if p.json {
			return printJSON(p.out, differences)
		}
		return nil
	})
}

// A difference is a setting that has another value in a file, in the JSON that policy diff prints. A setting that isn't there is null.
type difference struct {
	Setting string          `json:"setting"`
	From    json.RawMessage `json:"from"`
	To      json.RawMessage `json:"to"`
}

func rawOrNull(text string) json.RawMessage { return json.RawMessage(cmp.Or(text, "null")) }

type applyPolicy struct {
	Org         string `arg:"" help:"The id of the organisation."`
	File        string `arg:"" type:"existingfile" help:"A file with a policy as JSON, as a PUT of the API takes it."`
	Version     *int   `placeholder:"NUMBER" help:"The version that the policy must have now. Without it the version that is in force is replaced, whatever it is."`
	Actor       string `required:"" placeholder:"ID" help:"Who does this. The activity says it."`
	Acknowledge bool   `help:"Save the policy although it asks users who were not asked before, or signs users out."`
}

// Run replaces the policy of an org, and prints the new one as JSON.
func (c *applyPolicy) Run(ctx context.Context, p *program, where place) error {
	to, err := readPolicyFile(c.File)
	if err != nil {
		return err
	}
	return stopFirst(where.use(p, func(s *site) error {
		operator, version := operatorOf(s), c.Version
		if version == nil {
			now, err := operator.OperatorPolicy(ctx, c.Org)
			if err != nil {
				return err
			}
			version = &now.Version
		}
		put, err := operator.OperatorPutPolicy(ctx, c.Org, mfa.PolicyChange{Policy: to, Version: version, Acknowledge: c.Acknowledge}, c.Actor)
		var refused *mfa.Error
		if errors.As(err, &refused) && refused.Code == mfa.AcknowledgementRequired {
			if err := printJSON(p.errs, refused.Preview); err != nil {
				return err
			}
			return errors.New("this change asks users who were not asked before, or signs users out, as the preview says. To save it, give --acknowledge")
		}
		if err != nil {
			return err
		}
		return printJSON(p.out, put)
	}))
}

// readPolicyFile reads a policy as the API reads it.
func readPolicyFile(name string) (mfa.Policy, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return mfa.Policy{}, err
	}
	policy, err := api.ReadPolicy(text)
	if err != nil {
		return mfa.Policy{}, fmt.Errorf("%s: %w", name, err)
	}
	return policy, nil
}

// flatten adds the settings of a policy to a table, each as JSON under its name with dots.
func flatten(into map[string]string, policy mfa.Policy) error {
	text, err := json.Marshal(policy)
	if err != nil {
		return err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	for name, value := range all {
		var group map[string]json.RawMessage
		if bytes.HasPrefix(value, []byte("{")) && json.Unmarshal(value, &group) == nil {
			for inner, v := range group {
				into[name+"."+inner] = string(v)
			}
			continue
		}
		into[name] = string(value)
	}
	return nil
}

// operatorOf returns what an operator does with a site without its key ring.
func operatorOf(s *site) *mfa.Service { return &mfa.Service{Store: s.store, Now: s.keys.Now} }

// say prints an answer: the text, or with --json the value on a line of its own.
func (p *program) say(value any, format string, args ...any) error {
	if p.json {
		return json.NewEncoder(p.out).Encode(value)
	}
	_, err := fmt.Fprintf(p.out, format, args...)
	return err
}

// printJSON prints a value as JSON for people and for programs.
func printJSON(to io.Writer, value any) error {
	e := json.NewEncoder(to)
	e.SetIndent("", "  ")
	return e.Encode(value)
}
