package mfa

import (
	"fmt"
	"time"

	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// An expiryEntry says that something is due in some hour: trust in a browser ends, there is room to tell a user what waits, or
// a request for a reset becomes due. It names the user by the route only. So it leaves nothing of the user after an erasure,
// which can't find it.
type expiryEntry struct {
	record.Head
	Route     []byte    `json:"route" record:"1,word"`
	Browser   string    `json:"browser" record:"2,id=tb_"` // empty if Notices or Reset
	Epoch     string    `json:"epoch" record:"3,word"`     // the epoch that the browser carries; empty if Notices or Reset
	Due       time.Time `json:"due" record:"4"`
	Announced bool      `json:"announced" record:"5"` // the sweep has recorded that trust has ended
	Notices   bool      `json:"notices" record:"6"`   // the entry is about what waits to be told, and not about a browser
	Reset     bool      `json:"reset" record:"9"`     // the entry is about a request for a reset, and not about a browser
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
