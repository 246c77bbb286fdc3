package mfa

import (
	"encoding/json"
	"errors"
	"strings"

	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// ShowItem gives what an item of the table holds as a JSON object with the names of its fields. Of what is secret, and of
// digests and hashes of it, it says only how many bytes there are; fields with their zero value are left out. It is for
// operators, and for tests. It fails for a key under which the table has nothing that this package or one
// beneath it keeps, and with record.ErrUnreadable for an item that is absent or damaged.
func ShowItem(item store.Item) ([]byte, error) {
	for _, recordAt := range []func(store.Key) record.Record{recordAt, apikey.RecordAt} {
		if r := recordAt(item.Key); r != nil {
			return record.Show(item, r)
		}
	}
	if !strings.HasPrefix(item.Key.Partition, "act#") {
		return nil, errors.New("no kind of item has this key")
	}
	shown, err := activity.Show(item)
	if err != nil {
		return nil, err
	}
	return json.Marshal(shown)
}
