package store

import (
	"math/rand/v2"
	"strconv"
)

// Copies is how many copies there are of an item of which very many calls need the same one. A partition of DynamoDB gives
// 3,000 strongly consistent reads of up to 4 KB in a second, so eight copies in partitions of their own give 24,000. An HTTP API
// takes 10,000 calls a second unless Amazon raises that, so there is room for copies that have to share a partition. One Commit
// can write all eight of them with 17 other items.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/warm-throughput-scenarios.html
//
// The number can't change in a deployment that has such items: those that exist would have fewer or more copies.
const Copies = 8

// CopyKeys returns where the copies of an item are. The first is the key of the item itself. The others have a number after
// their partition, which no other partition may end in.
//
// What keeps copies equal is that they are only ever written by CopyWrites, all in one Commit. So they have the same version
// too, and a reader needs one of them. While a Commit is under way, one reader may see what it writes and another may not, as
// with any two reads of one item. Once it has returned, all copies are as it wrote them.
func CopyKeys(key Key) []Key {
	keys := make([]Key, Copies)
	for i := range keys {
		keys[i] = copyKey(key, i)
	}
	return keys
}

// AnyCopy returns where one of the copies of an item is, and each time another one, at random. The choice is no secret.
func AnyCopy(key Key) Key { return copyKey(key, rand.IntN(Copies)) }

// CopyWrites returns the writes that do to every copy of an item what w does to one. The events of w go with the first copy, so
// that the Feed hands them on once, and in order.
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
