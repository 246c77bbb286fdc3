package store

import (
	"math/rand/v2"
	"strconv"
)

// Copies is the number of copies of an item that very many calls need. A partition of DynamoDB gives 3,000 strongly consistent
// reads of up to 4 KB in a second, so eight copies in partitions of their own give 24,000. An HTTP API takes 10,000 calls a
// second unless Amazon raises that, so it does no harm if some copies share a partition. One Commit can write all eight of them
// with 17 other items.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/warm-throughput-scenarios.html
//
// The number can't be changed while a deployment has such items, because they would have fewer or more copies.
const Copies = 8

// CopyKeys returns the keys of all copies of an item. The first is the key of the item itself. The others have a number after
// their partition. No other partition may end in this way.
//
// The copies stay equal because only CopyWrites writes them, all in one Commit. So they also have the same version, and a reader
// needs only one of them. While a Commit is under way, one reader may see what it writes and another may not, as with any two
// reads of one item. Once it has returned, all copies are as it wrote them.
func CopyKeys(key Key) []Key {
	keys := make([]Key, Copies)
	for i := range keys {
		keys[i] = copyKey(key, i)
	}
	return keys
}

// AnyCopy returns the key of one of the copies of an item, which is chosen at random each time. The choice need not be secret.
func AnyCopy(key Key) Key { return copyKey(key, rand.IntN(Copies)) }

// CopyWrites returns the writes that do to each copy of an item what w does to the item. Only the first copy has the events of w,
// so that the Feed hands them on once, and in order.
func CopyWrites(w Write) []Write {
	writes := make([]Write, Copies)
	for i, key := range CopyKeys(w.Key) {
		writes[i] = w
		writes[i].Key = key
		w.Events = nil
	}
	return writes
}

func copyKey(key Key, i int) Key {
	if i > 0 {
		key.Partition += "#" + strconv.Itoa(i)
	}
	return key
}
