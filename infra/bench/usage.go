package main

import (
	"bytes"
	"encoding/json"
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
}

// metering asks DynamoDB to tell what a request consumes.
func metering(request []byte) []byte {
	return append([]byte(`{"ReturnConsumedCapacity":"TOTAL",`), bytes.TrimPrefix(request, []byte("{"))...)
}

// table adds a request to DynamoDB: a read, of an item or a part of a partition, is one unit at least, which DynamoDB
// Local doesn't charge for a part that is empty.
func (u *usage) table(operation string, status int, answer []byte) {
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
	u.logged, u.answered = u.logged+v.logged, u.answered+v.answered
}
