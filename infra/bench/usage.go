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

// table adds a request to DynamoDB: a read, of an item or a part of a partition, is one unit at least, which DynamoDB
// Local doesn't charge for a part that is empty.
func (u *usage) table(operation string, request []byte, status int, answer []byte) {
	u.activity += activityIn(request)
	type consumed struct{ CapacityUnits float64 }
	var one struct{ ConsumedCapacity consumed }
	var several struct{ ConsumedCapacity []consumed }
	switch {
	case status != 200 || json.Unmarshal(answer, &one) != nil && json.Unmarshal(answer, &several) != nil:
		u.refused++
	case operation == "GetItem" || operation == "Query":
		u.reads += max(1, one.ConsumedCapacity.CapacityUnits)
	default:
		u.writes += one.ConsumedCapacity.CapacityUnits
		for _, c := range several.ConsumedCapacity {
			u.writes += c.CapacityUnits
		}
	}
}

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

// size is how many bytes an item has, but for a number's, which has fewer than its digits.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
func (i image) size() (n int) {
	for name, value := range i {
		n += len(name) + len(value.S) + len(value.N) + len(value.B)
	}
	return n
}

// activityIn is how many bytes of activity a request puts.
func activityIn(request []byte) (n int) {
	var q struct {
		Item          image
		TransactItems []struct{ Put struct{ Item image } }
	}
	if json.Unmarshal(request, &q) != nil {
		return 0
	}
	items := []image{q.Item}
	for _, t := range q.TransactItems {
		items = append(items, t.Put.Item)
	}
	for _, i := range items {
		if strings.HasPrefix(i["pk"].S, "act#") {
			n += i.size()
		}
	}
	return n
}
