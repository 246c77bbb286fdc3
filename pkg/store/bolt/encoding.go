package bolt

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"countersign/pkg/store"
)

var errDamaged = errors.New("bolt: a value in the file is damaged")

// These are the kinds of things that can expire.
const (
	kindItem  = 'i'
	kindCount = 'c'
)

// encodePartition returns what every key of a partition begins with. The length of the partition comes first, so that the keys of
// one partition don't begin as those of another.
func encodePartition(partition string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(partition))), partition...)
}

// encodeKey returns the key under which an item or a count is kept. The sort is in it as it is, so the keys of a partition are in
// the order of their sorts.
func encodeKey(key store.Key) []byte {
	return append(encodePartition(key.Partition), key.Sort...)
}

// successor returns the first key after all keys that begin with prefix. There always is one, because the length in front of a
// key never begins with the byte 0xff.
func successor(prefix []byte) []byte {
	next := append([]byte(nil), prefix...)
	for i := len(next) - 1; ; i-- {
		if next[i] != 0xff {
			next[i]++
			return next[:i+1]
		}
	}
}

// encodeItem returns the value of an item: the second of its expiry, its version with the length in front, and its body.
func encodeItem(expiry int64, version store.Version, body []byte) []byte {
	value := make([]byte, 0, 8+binary.MaxVarintLen64+len(version)+len(body))
	value = binary.BigEndian.AppendUint64(value, uint64(expiry))
	value = binary.AppendUvarint(value, uint64(len(version)))
	value = append(value, version...)
	return append(value, body...)
}

// decodeItem returns what encodeItem was given. The version and the body are parts of value, and no copies.
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

// cut separates value into its first part, which has its length in front, and the rest.
func cut(value []byte) (first, rest []byte, err error) {
	n, size := binary.Uvarint(value)
	if size <= 0 || n > uint64(len(value)-size) {
		return nil, nil, errDamaged
	}
	return value[size : size+int(n)], value[size+int(n):], nil
}

// readItem returns the item that has the key and the value. It returns an absent item if there is no value, or if it has expired at
// now. The item shares no memory with value.
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

// encodeCount returns the value of a count.
func encodeCount(expiry, number int64) []byte {
	value := binary.BigEndian.AppendUint64(nil, uint64(expiry))
	return binary.BigEndian.AppendUint64(value, uint64(number))
}

// readCount returns what the value of a count says. It returns zeros if there is no value, or if it has expired at now. held is the
// expiry of the value, whether it has expired or not; it is 0 if there is no value.
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

// encodeExpiry returns the entry of the expiry index for what is kept under key. The entries are in the order of time: with the sign
// flipped, seconds before 1970 come first.
func encodeExpiry(expiry int64, kind byte, key []byte) []byte {
	entry := make([]byte, 0, 9+len(key))
	entry = binary.BigEndian.AppendUint64(entry, uint64(expiry)^1<<63)
	return append(append(entry, kind), key...)
}

// decodeExpiry returns what encodeExpiry was given. The key is a part of entry, and no copy.
func decodeExpiry(entry []byte) (expiry int64, kind byte, key []byte, err error) {
	if len(entry) < 10 {
		return 0, 0, nil, errDamaged
	}
	return int64(binary.BigEndian.Uint64(entry) ^ 1<<63), entry[8], entry[9:], nil
}

// encodeRecord returns the value of a record in the outbox.
func encodeRecord(key []byte, version store.Version, events []byte) []byte {
	value := make([]byte, 0, 2*binary.MaxVarintLen64+len(key)+len(version)+len(events))
	value = append(binary.AppendUvarint(value, uint64(len(key))), key...)
	value = append(binary.AppendUvarint(value, uint64(len(version))), version...)
	return append(value, events...)
}

// decodeRecord returns what encodeRecord was given. The record shares no memory with value.
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
