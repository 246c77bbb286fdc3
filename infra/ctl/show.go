package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"countersign/pkg/cloud/keyring"
	"countersign/pkg/mfa"
	"countersign/pkg/store"
)

type showItems struct {
	Partition string `arg:"" help:"The partition of the items, as the map of the table in the package comment of pkg/mfa has it."`
	Sort      string `arg:"" optional:"" help:"The sort key of one item. Without it all items of the partition are shown."`
}

// A shownItem is an item as show prints it, on one line.
type shownItem struct {
	Sort    string          `json:"sort"`
	Version string          `json:"version"`
	Expires *time.Time      `json:"expires,omitempty"`
	Item    json.RawMessage `json:"item"`

	// Events are what was committed with the item and has not been handed on yet. A deployment's table also has what was
	// handed on since the item was last put.
	Events []json.RawMessage `json:"events,omitempty"`
}

// Run prints the items, one JSON object to a line.
func (c *showItems) Run(ctx context.Context, p *program, where place) error {
	return where.use(p, func(s *site) error {
		if counts := mfa.CountsIn(c.Partition); counts != nil {
			return c.printCounts(ctx, p, s, counts)
		}
		found := 0
		q := store.Query{Partition: c.Partition}
		for more := true; more; {
			page, err := s.store.Query(ctx, q)
			if err != nil {
				return fmt.Errorf("read the partition: %w", err)
			}
			for _, item := range page.Items {
				if c.Sort != "" && item.Key.Sort != c.Sort {
					continue
				}
				found++
				if err := c.print(ctx, p, s, item); err != nil {
					return err
				}
			}
			q.After, more = page.Last, page.More
		}
		if found == 0 {
			return fmt.Errorf("there is no such item in the partition %s", c.Partition)
		}
		return nil
	})
}

// A shownCount is a count as show prints it, on one line.
type shownCount struct {
	Sort   string `json:"sort"`
	Number int64  `json:"number"`
}

// printCounts prints those counts of the partition that have begun and not expired.
func (c *showItems) printCounts(ctx context.Context, p *program, s *site, sorts []string) error {
	found := 0
	for _, sort := range sorts {
		if c.Sort != "" && sort != c.Sort {
			continue
		}
		// With nothing to add, Count only reads.
		number, err := s.store.Count(ctx, store.Key{Partition: c.Partition, Sort: sort}, 0, 0, p.now())
		if err != nil {
			return fmt.Errorf("read the count %s: %w", sort, err)
		}
		if number == 0 {
			continue
		}
		found++
		text, err := json.Marshal(shownCount{sort, number})
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(p.out, string(text)); err != nil {
			return err
		}
	}
	if found == 0 {
		return fmt.Errorf("there is no such count in the partition %s", c.Partition)
	}
	return nil
}

func (c *showItems) print(ctx context.Context, p *program, s *site, item store.Item) error {
	shown, err := keyring.ShowItem(item)
	if err != nil {
		return fmt.Errorf("show the item %s: %w", item.Key.Sort, err)
	}
	line := shownItem{Sort: item.Key.Sort, Version: string(item.Version), Item: shown}
	if !item.Expires.IsZero() {
		line.Expires = &item.Expires
	}
	held, err := s.store.Held(ctx, item.Key)
	if err != nil {
		return fmt.Errorf("read the events of the item %s: %w", item.Key.Sort, err)
	}
	for _, r := range held {
		events, err := mfa.ShowEvents(r)
		if err != nil {
			return fmt.Errorf("show the events of the item %s: %w", item.Key.Sort, err)
		}
		line.Events = append(line.Events, events)
	}
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.out, string(text))
	return err
}
