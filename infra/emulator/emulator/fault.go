package emulator

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"time"
)

// What a fault can befall, and how: as in the local server.
const (
	targetEmail  = "email"
	targetSMS    = "sms"
	targetStore  = "store"
	targetKeys   = "keys" // KMS, and the ring's item in the table
	targetEvents = "events"

	modeFail      = "fail"
	modeSlow      = "slow"
	modeLostReply = "lost_reply"
)

const (
	slowFor    = 2 * time.Second
	mostFaults = 1_000_000
	// sameCall is for how long attempts that say the same are those of one call.
	sameCall = 5 * time.Second
)

type fault struct {
	Target string `json:"target"`
	Mode   string `json:"mode"`
	Count  int64  `json:"count"`
}

// faults holds at most one fault for each target. What befalls a call befalls all of its attempts, so that a function's
// own retries don't undo it.
type faults struct {
	mu       sync.Mutex
	waiting  map[string]fault
	befallen map[string]befallen // by call
}

type befallen struct {
	mode string
	at   time.Time
}

func (f *faults) set(told fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting[told.Target] = told
	clear(f.befallen)
}

// take gives what befalls an attempt, and whether it is a later one of a call.
func (f *faults) take(c awsCall, starting bool) (mode string, again bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if b, ok := f.befallen[c.id]; ok && now.Sub(b.at) < sameCall {
		return b.mode, true
	}
	waits := f.waiting[c.target]
	own := c.step == "publish" || c.step == "sweep"
	switch {
	case waits.Count == 0:
		return "", false
	case c.target == targetStore && (starting || own || waits.Mode == modeLostReply && !c.commits()):
		return "", false
	case c.target == targetKeys && own:
		return "", false
	case c.target == targetKeys && starting:
		return modeFail, false // so that the fault waits for the first call
	}
	waits.Count--
	f.waiting[c.target] = waits
	f.befallen[c.id] = befallen{waits.Mode, now}
	return waits.Mode, false
}

// befall answers one attempt, with what befalls it.
func (a *amazon) befall(w http.ResponseWriter, r *http.Request, c awsCall, answer func(http.ResponseWriter)) {
	c.place.mu.Lock()
	starting := c.place.starting
	c.place.mu.Unlock()
	mode, again := a.e.faults.take(c, starting)
	switch {
	case mode == modeFail:
		refuse(w, http.StatusInternalServerError, "InternalServerError")
		return
	case mode == modeSlow && !again:
		timer := time.NewTimer(slowFor)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	case mode == modeLostReply:
		if !again {
			answer(httptest.NewRecorder())
		}
		panic(http.ErrAbortHandler) // which closes the connection
	}
	answer(w)
}
