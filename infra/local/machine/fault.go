package machine

import "time"

// What a fault can befall, and how.
const (
	TargetEmail  = "email"
	TargetSMS    = "sms"
	TargetStore  = "store"
	TargetKeys   = "keys"
	TargetEvents = "events"

	ModeFail      = "fail"       // not done, and of a message that is said
	ModeSlow      = "slow"       // done late
	ModeLostReply = "lost_reply" // done, and the answer lost
)

// SlowFor is how long a slow call takes.
const SlowFor = 2 * time.Second

// mostFaults is the most calls that one fault may befall.
const mostFaults = 1_000_000

// A Fault befalls the next Count calls of one target.
type Fault struct {
	Target string `json:"target"`
	Mode   string `json:"mode"`
	Count  int64  `json:"count"`
}
