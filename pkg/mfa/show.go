package mfa

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// ShowItem returns what an item of the table holds, as a JSON object with the names of its fields. It says only how many
// bytes there are of a secret, and of a digest or hash of one. Fields with their zero value are left out. It is for
// operators and for tests. It fails with record.ErrUnreadable if the item is absent or damaged, and with another error if
// neither this package nor one that it imports keeps anything under the item's key.
func ShowItem(item store.Item) ([]byte, error) {
	for _, recordAt := range []func(store.Key) record.Record{recordAt, apikey.RecordAt} {
		if r := recordAt(item.Key); r != nil {
			return record.Show(item, r)
		}
	}
	if !activity.Kept(item.Key.Partition) {
		return nil, errors.New("no kind of item has this key")
	}
	shown, err := activity.Show(item)
	if err != nil {
		return nil, err
	}
	return json.Marshal(shown)
}

// CountsIn returns the sort keys of the counts that this package keeps in a partition. It returns none if the partition has items.
// A count is a number, which the method Count of a store reads.
func CountsIn(partition string) []string {
	if !strings.HasPrefix(partition, countPrefix) {
		return nil
	}
	return []string{sortSent, sortReturned, sortAnswered}
}

// A shownBatch shows the events of one commit to people.
type shownBatch struct {
	Events []shownEvent `json:"events"`
	Sums   []sum        `json:"sums,omitempty"` // the notices that sum up what waited
	Waits  time.Time    `json:"waits,omitzero"` // when there will be room for what waits to be told

	Answered string `json:"answered,omitempty"` // where it is counted that a code by SMS was answered
}

type shownEvent struct {
	plainEvent
	Route []byte      `json:"route,omitempty"` // the route of the user, if the event doesn't name the user
	Topic string      `json:"topic,omitempty"` // the topic of the notice
	To    []recipient `json:"to,omitempty"`    // who gets the notice
}

// A plainEvent is an event without the method that writes an event alone.
type plainEvent activity.Event

// ShowEvents returns the events that a commit has stored with one of its items, as a JSON object, with the notices that they
// bring. It is for operators and for tests. It fails with an error if they are damaged.
func ShowEvents(r store.Record) ([]byte, error) {
	b, err := decodeEventBatch(r)
	if err != nil {
		return nil, err
	}
	shown := shownBatch{Events: []shownEvent{}, Sums: b.Sums, Waits: b.Waits, Answered: b.Answered}
	for _, e := range b.pendingEvents() {
		shown.Events = append(shown.Events, shownEvent{plainEvent(e.Event), e.Of, e.Topic, e.To})
	}
	return json.Marshal(&shown)
}
