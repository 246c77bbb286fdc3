// Package eventbus puts a deployment's events on an Amazon EventBridge bus, through the SDK's client. The source is countersign,
// the detail-type is the type of the event, and the detail is the event.
//
// The package puts an event again until the bus has taken it. So an event may be on the bus twice, but it is never dropped
// without an error. The package doesn't shorten an event that is too large for the bus.
package eventbus

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"countersign/pkg/activity"
	"countersign/pkg/cloud"
	"countersign/pkg/mfa"
)

// These are the limits of one request to EventBridge.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html
const (
	mostEntries = 10
	mostBytes   = 256 << 10 // of all entries together, as size counts them
)

// source is the source of all events on the bus.
const source = "countersign"

// A Publisher puts events on a bus. It is an mfa.Bus.
type Publisher struct {
	client  *eventbridge.Client
	bus     string
	routine bool
}

var _ mfa.Bus = (*Publisher)(nil)

// Of returns the Publisher of a deployment. It reads the settings COUNTERSIGN_BUS and COUNTERSIGN_ROUTINE_EVENTS. The events of
// everyday sign-ins (challenge.started, sent and verified) are put on the bus only if the latter is true.
func Of(d *cloud.Deployment) *Publisher {
	return &Publisher{
		client:  eventbridge.NewFromConfig(d.Amazon("COUNTERSIGN_EVENTBRIDGE_ENDPOINT")),
		bus:     d.Setting("COUNTERSIGN_BUS", "the name or ARN of an event bus", cloud.Word(":/._-")),
		routine: d.Optional("COUNTERSIGN_ROUTINE_EVENTS", "true or false", cloud.Truth) == "true",
	}
}

// PutEvents puts on the bus those of the events that belong there. It repeats a few times what the bus doesn't take. If it
// returns nil, the bus has taken all of them.
func (p *Publisher) PutEvents(ctx context.Context, events []activity.Event) error {
	var entries []types.PutEventsRequestEntry
	for _, e := range events {
		if !p.routine && isRoutine(e.Type) {
			continue
		}
		detail, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("eventbridge: event %s: %w", e.ID, err)
		}
		entry := types.PutEventsRequestEntry{
			Source: aws.String(source), DetailType: &e.Type, Detail: aws.String(string(detail)), EventBusName: &p.bus, Time: &e.Time,
		}
		if size(entry) > mostBytes {
			return fmt.Errorf("eventbridge: event %s is larger than the bus takes", e.ID)
		}
		entries = append(entries, entry)
	}
	for len(entries) > 0 {
		n := fitting(entries)
		if err := p.put(ctx, entries[:n]); err != nil {
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

// fitting returns how many of the entries, from the first one on, fit into one request.
func fitting(entries []types.PutEventsRequestEntry) (n int) {
	all := 0
	for n < len(entries) && n < mostEntries {
		if all += size(entries[n]); all > mostBytes {
			break
		}
		n++
	}
	return n
}

// size returns the number of bytes that EventBridge counts for an entry.
func size(e types.PutEventsRequestEntry) int {
	const timeSize = 14
	return timeSize + len(*e.Source) + len(*e.DetailType) + len(*e.Detail)
}

// put puts entries that fit into one request, and puts those again that weren't taken.
func (p *Publisher) put(ctx context.Context, entries []types.PutEventsRequestEntry) error {
	for attempt := 1; ; attempt++ {
		answer, err := p.client.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: entries})
		if err != nil {
			return fmt.Errorf("PutEvents: %w", cloud.Failure(err))
		}
		if len(answer.Entries) != len(entries) {
			return fmt.Errorf("PutEvents: %d results for %d events", len(answer.Entries), len(entries))
		}
		var left []types.PutEventsRequestEntry
		code := ""
		for i, result := range answer.Entries {
			if result.ErrorCode != nil {
				left, code = append(left, entries[i]), *result.ErrorCode
			}
		}
		if len(left) == 0 {
			return nil
		}
		if attempt == cloud.Attempts {
			return fmt.Errorf("PutEvents: %d events were not taken: %w", len(left), cloud.Refused(code))
		}
		if err := cloud.Wait(ctx, attempt); err != nil {
			return fmt.Errorf("PutEvents: %d events were not taken: %w", len(left), err)
		}
		entries = left
	}
}
