package apikey

import (
	"strings"

	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

const keyPartition = "key#" // the hash of the key follows, and then the number of the copy

// RecordAt returns an empty record of the kind that this package keeps at a key. It is nil if the package keeps nothing there.
func RecordAt(key store.Key) record.Record {
	hash, ofKey := strings.CutPrefix(key.Partition, keyPartition)
	switch {
	case key == filterKey:
		return &filterRecord{}
	case strings.HasPrefix(key.Partition, usedPartition):
		return &used{}
	case ofKey && key == revokedAt(hash):
		return &revoked{}
	case ofKey && key == at(hash), key.Partition == keysPartition:
		return &keyRecord{}
	}
	return nil
}
