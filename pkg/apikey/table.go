package apikey

import (
	"strings"

	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

const keyPartition = "key#" // and the hash of the key's text

// RecordAt gives an empty record of the kind that this package keeps at key; nil: it keeps nothing there.
func RecordAt(key store.Key) record.Record {
	hash, ofKey := strings.CutPrefix(key.Partition, keyPartition)
	switch {
	case key == filterKey:
		return &filterRecord{}
	case ofKey && key == revokedAt(hash):
		return &revoked{}
	case ofKey && key == At(hash), key.Partition == keysPartition:
		return &keyRecord{}
	}
	return nil
}
