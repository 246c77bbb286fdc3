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
	if !strings.HasPrefix(item.Key.Partition, "act#") {
		return nil, errors.New("no kind of item has this key")
	}
	shown, err := activity.Show(item)
	if err != nil {
		return nil, err
	}
	return json.Marshal(shown)
}
