package mfa

import (
	"countersign/pkg/store"
	"countersign/pkg/store/record"
	"fmt"
	"time"
)

// expiryEntry is a trusted browser whose end falls in an hour, or a user whom something waits to be told to. It names its user by the route only, so that an erasure, which
// can't find it, leaves nothing of the user in it.
type expiryEntry struct {
	record.Head
	Route     []byte    `json:"route" record:"1,word"`
	Browser   string    `json:"browser" record:"2,id=tb_"`
	Epoch     string    `json:"epoch" record:"3,word"`
	Due       time.Time `json:"due" record:"4"`
	Announced bool      `json:"announced" record:"5"`
	Notices   bool      `json:"notices" record:"6"` // instead of a browser: something waits to be told, and there is room at Ends
}

const expiryShards = 4

func expiryPartition(hour time.Time, shard int) string {
	return fmt.Sprintf("due#%s#%d", hour.UTC().Format("2006-01-02T15"), shard)
}

func expiryEntryKey(r route, b *browser) store.Key {
	return store.Key{Partition: expiryPartition(b.Ends, int(r[16])%expiryShards), Sort: b64(string(r)) + "#" + b.ID}
}

func noticesEntryKey(r route, at time.Time) store.Key {
	return store.Key{Partition: expiryPartition(at, int(r[16])%expiryShards), Sort: b64(string(r)) + "#notices"}
}
