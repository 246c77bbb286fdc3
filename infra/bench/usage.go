package main

import (
	"bytes"
	"encoding/json"
	"strings"
)

// A usage is what was asked of Amazon, in what it charges for.
type usage struct {
	reads, writes float64 // DynamoDB's request units
	refused       int     // requests that DynamoDB refused: it doesn't tell what they consumed
	kms           int     // requests
	emails        int
	busEvents     int // of up to 64 KB
	calls         int // of the HTTP API
	invocations   int // of functions
	milliseconds  int // of functions, each invocation rounded up
	logged        int // bytes
	answered      int // bytes
	activity      int // bytes of items of it that were put
}

// metering asks DynamoDB to tell what a request consumes.
func metering(request []byte) []byte {
	return append([]byte(`{"ReturnConsumedCapacity":"TOTAL",`), bytes.TrimPrefix(request, []byte("{"))...)
}

// A ledger has the sizes of a table's items, in bytes, by partition and sort key, as far as they were put through it.
type ledger map[[2]string]int

// table adds a request to DynamoDB, which tells what it consumed, with two exceptions. A read, of an item or of a part of a
// partition, is one unit at least; DynamoDB Local says none for a part that is empty. And of a transaction's items DynamoDB
// Local counts those that consume the same once, so these are counted here: by the larger of what an item was and is.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
func (u *usage) table(operation string, request []byte, status int, answer []byte, sizes ledger) {
	var asked struct {
		Item          image
		TransactItems []struct {
			Put    struct{ Item image }
			Delete struct{ Key image }
		}
		RequestItems map[string]struct{ Keys []image }
	}
	var told struct{ ConsumedCapacity json.RawMessage }
	var consumed struct{ CapacityUnits float64 }
	if status != 200 || json.Unmarshal(request, &asked) != nil || json.Unmarshal(answer, &told) != nil {
		u.refused++
		return
	}
	json.Unmarshal(told.ConsumedCapacity, &consumed) // a transaction's and a batch's is a list, and isn't used here
	switch operation {
	case "GetItem", "Query":
		u.reads += max(1, consumed.CapacityUnits)
	case "BatchGetItem":
		u.reads += batchUnits(asked.RequestItems, answer)
	case "PutItem":
		u.writes += consumed.CapacityUnits
		u.put(asked.Item, sizes)
	case "TransactWriteItems":
		for _, t := range asked.TransactItems {
			if t.Delete.Key != nil {
				u.writes += 2 * units(sizes[t.Delete.Key.key()])
				delete(sizes, t.Delete.Key.key())
				continue
			}
			u.writes += 2 * u.put(t.Put.Item, sizes)
		}
	default:
		u.writes += consumed.CapacityUnits
	}
}

// batchUnits are those of a strongly consistent read of several items: one for each 4 KB that is begun, and one for an item
// that isn't there. What was left out of the answer will be asked for again.
func batchUnits(asked map[string]struct{ Keys []image }, answer []byte) (sum float64) {
	var told struct {
		Responses       map[string][]image
		UnprocessedKeys map[string]struct{ Keys []image }
	}
	json.Unmarshal(answer, &told)
	for table, of := range asked {
		sum += float64(len(of.Keys) - len(told.UnprocessedKeys[table].Keys))
		for _, item := range told.Responses[table] {
			sum += float64(max(1, (item.size()+4095)/4096) - 1)
		}
	}
	return sum
}

// put notes an item and gives the units that a plain write of it consumes.
func (u *usage) put(i image, sizes ledger) float64 {
	was, is := sizes[i.key()], i.size()
	sizes[i.key()] = is
	if strings.HasPrefix(i["pk"].S, "act#") {
		u.activity += is
	}
	return units(max(was, is))
}

// units are those of a write of so many bytes, one for each KB that is begun.
func units(bytes int) float64 { return float64(max(1, (bytes+1023)/1024)) }

func (u *usage) add(v usage) {
	u.reads, u.writes, u.refused = u.reads+v.reads, u.writes+v.writes, u.refused+v.refused
	u.kms, u.emails, u.busEvents = u.kms+v.kms, u.emails+v.emails, u.busEvents+v.busEvents
	u.calls, u.invocations, u.milliseconds = u.calls+v.calls, u.invocations+v.invocations, u.milliseconds+v.milliseconds
	u.logged, u.answered, u.activity = u.logged+v.logged, u.answered+v.answered, u.activity+v.activity
}

// An image is an item as DynamoDB's protocol has it.
type image map[string]struct {
	S, N string
	B    []byte
}

func (i image) key() [2]string { return [2]string{i["pk"].S, i["sk"].S} }

// size is how many bytes an item has. A number takes one for two digits, and one more.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
func (i image) size() (n int) {
	for name, value := range i {
		n += len(name) + len(value.S) + len(value.B)
		if value.N != "" {
			n += (len(value.N)+1)/2 + 1
		}
	}
	return n
}
