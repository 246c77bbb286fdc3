package main

import (
	"bytes"
	"encoding/json"
	"strings"
)

// A usage says how much was used of everything that Amazon charges for.
type usage struct {
	reads, writes float64 // request units of DynamoDB
	refused       int     // requests that DynamoDB has refused, for which it doesn't say what they consumed
	kms           int     // requests to KMS
	emails        int
	busEvents     int // events on the bus, where each begun 64 KB counts as one
	calls         int // calls of the HTTP API
	invocations   int // invocations of functions
	milliseconds  int // time of functions, where each invocation is rounded up
	logged        int // bytes in logs
	answered      int // bytes of answers to callers
	activity      int // bytes of the items of activity that were put
}

// metering returns the request with the wish that DynamoDB reports what it consumes.
func metering(request []byte) []byte {
	return append([]byte(`{"ReturnConsumedCapacity":"TOTAL",`), bytes.TrimPrefix(request, []byte("{"))...)
}

// A ledger has the sizes in bytes of the items that were put, by partition and sort key.
type ledger map[[2]string]int

// table adds a request to DynamoDB. What it consumes is what DynamoDB Local reports, with two exceptions. A read consumes at
// least one unit, but DynamoDB Local reports none for a query that finds nothing. And DynamoDB Local counts items of a
// transaction only once if they consume the same. So these are counted here, by the larger of the sizes before and after.
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
	json.Unmarshal(told.ConsumedCapacity, &consumed) // for a transaction and a batch this is a list, which is not used here
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

// batchUnits returns the units of a strongly consistent read of several items. That is one for each begun 4 KB, and one for an
// item that doesn't exist. Keys that were not processed don't count, because they will be asked for again.
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

// put notes the size of an item, and returns the units that a plain write of it consumes.
func (u *usage) put(i image, sizes ledger) float64 {
	was, is := sizes[i.key()], i.size()
	sizes[i.key()] = is
	if strings.HasPrefix(i["pk"].S, "act#") {
		u.activity += is
	}
	return units(max(was, is))
}

// units returns the units of a plain write, one for each begun KB.
func units(bytes int) float64 { return float64(max(1, (bytes+1023)/1024)) }

func (u *usage) add(v usage) {
	u.reads, u.writes, u.refused = u.reads+v.reads, u.writes+v.writes, u.refused+v.refused
	u.kms, u.emails, u.busEvents = u.kms+v.kms, u.emails+v.emails, u.busEvents+v.busEvents
	u.calls, u.invocations, u.milliseconds = u.calls+v.calls, u.invocations+v.invocations, u.milliseconds+v.milliseconds
	u.logged, u.answered, u.activity = u.logged+v.logged, u.answered+v.answered, u.activity+v.activity
}

// An image is an item in the protocol of DynamoDB.
type image map[string]struct {
	S, N string
	B    []byte
}

func (i image) key() [2]string { return [2]string{i["pk"].S, i["sk"].S} }

// size returns the size of an item in bytes. A number takes one byte for each two digits, and one more.
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
