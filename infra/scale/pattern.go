package main

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"time"
)

// A pattern is what sign-ins of one kind ask of the table and of other services, each as an average of one sign-in.
type pattern struct {
	kind
	steps   map[string]use // by class of items: the calls of the API
	marks   float64        // records of the stream that publish gets
	emails  float64
	texts   float64
	alone   map[string]use // what publish takes for a record that is alone in its batch
	crowded map[string]use // what publish takes for a record that is in a full batch of one org
}

const (
	sample    = 100 // how many sign-ins are recorded
	batchSize = 100 // how many records publish gets at most, as in template.yaml
)

// patterns records sign-ins of all kinds.
func patterns(ctx context.Context) (all []pattern, err error) {
	for _, k := range kinds() {
		p := pattern{kind: k}
		if err := p.record(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", k.name, err)
		}
		all = append(all, p)
	}
	return all, nil
}

// record records the second day of some users: their sign-ins, and what publish does about them, first one at a time and then
// in full batches.
func (p *pattern) record(ctx context.Context) error {
	w, err := open(ctx, p.profile)
	if err != nil {
		return err
	}
	deliver := func(limit int) error { return w.feed.Deliver(ctx, limit, w.Publish) }
	people := make([]*visitor, 2*sample)
	for i := range people {
		people[i] = w.visitor()
		if err := p.prepare(ctx, w, people[i]); err != nil {
			return err
		}
		w.clock.Advance(time.Second)
	}
	if err := deliver(batchSize); err != nil {
		return err
	}
	w.clock.Advance(25 * time.Hour)
	signIn := func(people []*visitor) error {
		for _, v := range people {
			if err := p.signIn(ctx, w, v); err != nil {
				return err
			}
			w.clock.Advance(time.Second)
		}
		return nil
	}
	if err := signIn(people[:sample]); err != nil {
		return err
	}
	w.items.take()
	if err := deliver(1); err != nil {
		return err
	}
	p.alone, _ = w.items.take()

	emails, texts := w.outbox.emails, w.outbox.texts
	if err := signIn(people[sample:]); err != nil {
		return err
	}
	var marks int
	p.steps, marks = w.items.take()
	if err := deliver(batchSize); err != nil {
		return err
	}
	p.crowded, _ = w.items.take()
	p.marks = float64(marks) / sample
	p.emails, p.texts = float64(w.outbox.emails-emails)/sample, float64(w.outbox.texts-texts)/sample
	share(p.steps, sample)
	share(p.alone, marks)
	share(p.crowded, marks)
	return nil
}

// share turns what was taken by n into what is taken by one.
func share(found map[string]use, n int) {
	for class, u := range found {
		found[class] = use{u.reads / float64(max(1, n)), u.writes / float64(max(1, n))}
	}
}

func keysOf(found map[string]use) iter.Seq[string] { return maps.Keys(found) }

// publish returns what publish takes for a record of one class if so many records of its org are on one page. What publish takes
// for a page grows with the number of its records, from the page that has one record to the page that has all of a batch.
func (p *pattern) publish(class string, onPage float64) use {
	lone, full := p.alone[class], p.crowded[class]
	part := (onPage - 1) / (batchSize - 1)
	between := func(lone, full float64) float64 { return (lone + (full*batchSize-lone)*part) / onPage }
	return use{between(lone.reads, full.reads), between(lone.writes, full.writes)}
}
