package cloud

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"countersign/pkg/activity"
	"countersign/pkg/mfa"
)

// What EventBridge takes in one request.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html
const (
	mostEntries = 10
	mostBytes   = 256 << 10 // of all entries, as entrySize counts them
)

// source is that of all events on the bus.
const source = "countersign"

// A Bus puts events on an EventBridge bus: source countersign, detail-type the event's type, detail the event. It is an
// mfa.Bus.
type Bus struct {
	events  service
	name    string
	routine bool
}

var _ mfa.Bus = (*Bus)(nil)

// Bus is the deployment's event bus. What users do day by day (challenge.started, sent, verified and failed) is put on it
// only if COUNTERSIGN_ROUTINE_EVENTS is true.
func (d *Deployment) Bus() *Bus {
	return &Bus{
		events:  d.service("events", "COUNTERSIGN_EVENTBRIDGE_ENDPOINT"),
		name:    d.setting("COUNTERSIGN_BUS", "the name or ARN of an event bus", word(":/._-")),
		routine: d.optional("COUNTERSIGN_ROUTINE_EVENTS", "true or false", truth) == "true",
	}
}

// https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
type entry struct {
	Source     string
	DetailType string
	Detail     string
	Bus        string  `json:"EventBusName"`
	Time       float64 // Unix seconds
}

type putEvents struct{ Entries []entry }

type putEventsAnswer struct {
	Entries []struct{ ErrorCode string }
}

// PutEvents puts events on the bus, those that the bus wants. What the bus doesn't take is put again, a few times; when
// this answers nil all were taken.
func (b *Bus) PutEvents(ctx context.Context, events []activity.Event) error {
	var entries []entry
	for _, e := range events {
		if !b.routine && isRoutine(e.Type) {
			continue
		}
		detail, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("eventbridge: event %s: %w", e.ID, err)
		}
		put := entry{source, e.Type, string(detail), b.name, float64(e.Time.UnixMilli()) / 1000}
		if put.size() > mostBytes {
			return fmt.Errorf("eventbridge: event %s is larger than the bus takes", e.ID)
		}
		entries = append(entries, put)
	}
	for len(entries) > 0 {
		n := fitting(entries)
		if err := b.put(ctx, entries[:n]); err != nil {
			return fmt.Errorf("eventbridge: %w", err)
		}
		entries = entries[n:]
	}
	return nil
}

// isRoutine reports whether a type of event is part of a sign-in that goes well.
func isRoutine(kind string) bool {
	return strings.HasPrefix(kind, "challenge.") && kind != mfa.ChallengeFailed && kind != mfa.ChallengeLocked
}

// fitting is how many of the entries fit one request.
func fitting(entries []entry) (n int) {
	size := 0
	for n < len(entries) && n < mostEntries {
		if size += entries[n].size(); size > mostBytes {
			break
		}
		n++
	}
	return n
}

// size is what an entry counts for.
func (e *entry) size() int {
	const timeSize = 14
	return timeSize + len(e.Source) + len(e.DetailType) + len(e.Detail)
}

// put puts entries that fit one request, and again those that weren't taken.
func (b *Bus) put(ctx context.Context, entries []entry) error {
	for attempt := 1; ; attempt++ {
		var answer putEventsAnswer
		err := b.events.call(ctx, request{
			operation: "PutEvents", target: "AWSEvents.PutEvents", in: putEvents{entries}, out: &answer,
		})
		if err != nil {
			return err
		}
		if len(answer.Entries) != len(entries) {
			return fmt.Errorf("PutEvents: %d results for %d events", len(answer.Entries), len(entries))
		}
		var left []entry
		code := ""
		for i, result := range answer.Entries {
			if result.ErrorCode != "" {
				left, code = append(left, entries[i]), result.ErrorCode
			}
		}
		if len(left) == 0 {
			return nil
		}
		if attempt == attempts {
			return fmt.Errorf("PutEvents: %d events were not taken: %w", len(left), &refusal{status: 200, code: named(code)})
		}
		if err := wait(ctx, attempt); err != nil {
			return fmt.Errorf("PutEvents: %d events were not taken: %w", len(left), err)
		}
		entries = left
	}
}
