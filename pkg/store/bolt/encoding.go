package bolt

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"countersign/pkg/store"
)

var errDamaged = errors.New("bolt: a value in the file is damaged")

// The kinds of what can expire.
const (
	kindItem  = 'i'
	kindCount = 'c'
)

// encodePartition begins every key of a partition. Its length comes first, so that no partition's keys begin with
// another's.
func encodePartition(partition string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(partition))), partition...)
}

// encodeKey is the key under which an item or count is kept: the partition, then the sort as it is, so that the order of
// sorts is the order of keys.
func encodeKey(key store.Key) []byte {
	return append(encodePartition(key.Partition), key.Sort...)
}

// successor is the first key after all those that begin with prefix. The length in front of every key keeps its first
// byte from being 0xff, so there always is one.
func successor(prefix []byte) []byte {
	next := append([]byte(nil), prefix...)
	for i := len(next) - 1; ; i-- {
		if next[i] != 0xff {
			next[i]++
			return next[:i+1]
		}
	}
}

// encodeItem is an item's value: the second of its expiry, its version with the length in front, its body.
func encodeItem(expiry int64, version store.Version, body []byte) []byte {
	value := make([]byte, 0, 8+binary.MaxVarintLen64+len(version)+len(body))
	value = binary.BigEndian.AppendUint64(value, uint64(expiry))
	value = binary.AppendUvarint(value, uint64(len(version)))
	value = append(value, version...)
	return append(value, body...)
}

// decodeItem is the reverse of encodeItem. version and body are parts of value, not copies.
func decodeItem(value []byte) (expiry int64, version, body []byte, err error) {
	if len(value) < 8 {
		return 0, nil, nil, errDamaged
	}
	expiry, value = int64(binary.BigEndian.Uint64(value)), value[8:]
	version, body, err = cut(value)
	if err != nil || len(version) == 0 {
		return 0, nil, nil, errDamaged
	}
	return expiry, version, body, nil
}

// cut takes what has its length in front off the beginning of value.
func cut(value []byte) (first, rest []byte, err error) {
	n, size := binary.Uvarint(value)
	if size <= 0 || n > uint64(len(value)-size) {
		return nil, nil, errDamaged
	}
	return value[size : size+int(n)], value[size+int(n):], nil
}

// readItem is the item that key and its value are, or an absent one if there is no value or it has expired at now.
// It shares no memory with value.
func readItem(key store.Key, value []byte, now time.Time) (store.Item, error) {
	if value == nil {
		return store.Item{Key: key}, nil
	}
	expiry, version, body, err := decodeItem(value)
	if err != nil {
		return store.Item{}, err
	}
	if store.Expired(expiry, now) {
		return store.Item{Key: key}, nil
	}
	item := store.Item{Key: key, Version: store.Version(version), Body: append([]byte(nil), body...)}
	if expiry != 0 {
		item.Expires = time.Unix(expiry, 0).UTC()
	}
	return item, nil
}

// encodeCount is a count's value.
func encodeCount(expiry, number int64) []byte {
	value := binary.BigEndian.AppendUint64(nil, uint64(expiry))
	return binary.BigEndian.AppendUint64(value, uint64(number))
}

// readCount is what a count's value says: zeros if there is none or it has expired at now. held is the expiry of the
// value that is there, whatever the time; 0: there is none.
func readCount(value []byte, now time.Time) (expiry, number, held int64, err error) {
	if value == nil {
		return 0, 0, 0, nil
	}
	if len(value) != 16 {
		return 0, 0, 0, errDamaged
	}
	expiry, number = int64(binary.BigEndian.Uint64(value)), int64(binary.BigEndian.Uint64(value[8:]))
	if store.Expired(expiry, now) {
		return 0, 0, expiry, nil
	}
	return expiry, number, expiry, nil
}

// encodeExpiry is the entry of the expiry index for what is kept under key. Entries are in order of time: flipping the
// sign puts seconds before 1970 first.
func encodeExpiry(expiry int64, kind byte, key []byte) []byte {
	entry := make([]byte, 0, 9+len(key))
	entry = binary.BigEndian.AppendUint64(entry, uint64(expiry)^1<<63)
	return append(append(entry, kind), key...)
}

// decodeExpiry is the reverse of encodeExpiry. key is a part of entry.
func decodeExpiry(entry []byte) (expiry int64, kind byte, key []byte, err error) {
	if len(entry) < 10 {
		return 0, 0, nil, errDamaged
	}
	return int64(binary.BigEndian.Uint64(entry) ^ 1<<63), entry[8], entry[9:], nil
}

// encodeRecord is the value of a record in the outbox.
func encodeRecord(key []byte, version store.Version, events []byte) []byte {
	value := make([]byte, 0, 2*binary.MaxVarintLen64+len(key)+len(version)+len(events))
	value = append(binary.AppendUvarint(value, uint64(len(key))), key...)
	value = append(binary.AppendUvarint(value, uint64(len(version))), version...)
	return append(value, events...)
}

// decodeRecord is the reverse of encodeRecord, in memory of its own.
func decodeRecord(value []byte) (store.Record, error) {
	key, rest, err := cut(value)
	if err != nil || len(key) < 2 {
		return store.Record{}, errDamaged
	}
	partition := int(binary.BigEndian.Uint16(key))
	if partition > len(key)-2 {
		return store.Record{}, errDamaged
	}
	version, events, err := cut(rest)
	if err != nil {
		return store.Record{}, err
	}
	return store.Record{
		Key:     store.Key{Partition: string(key[2 : 2+partition]), Sort: string(key[2+partition:])},
		Version: store.Version(version),
		Events:  slices.Clone(events),
	}, nil
}
