package machine

import "time"

// The targets and the modes of faults.
const (
	TargetEmail  = "email"
	TargetSMS    = "sms"
	TargetStore  = "store"
	TargetKeys   = "keys"
	TargetEvents = "events"

	ModeFail      = "fail"       // the call isn't done; for a message, the error says that the provider didn't take it
	ModeSlow      = "slow"       // the call takes longer
	ModeLostReply = "lost_reply" // the call is done, but fails
)

// SlowFor is how long a slow call takes.
const SlowFor = 2 * time.Second

// mostFaults is the greatest number of calls for one fault.
const mostFaults = 1_000_000

// A Fault makes the next Count calls of one target go wrong.
type Fault struct {
	Target string `json:"target"`
	Mode   string `json:"mode"`
	Count  int64  `json:"count"`
}
