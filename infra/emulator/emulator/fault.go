package emulator

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"countersign/infra/amazon"
	"countersign/infra/local/machine"
)

// sameCall is how long attempts with the same content count as attempts at one call.
const sameCall = 5 * time.Second

// faults has at most one fault for each target. A fault that a call meets is the same for all attempts at this call. Otherwise
// the retries of a function would undo it.
type faults struct {
	mu       sync.Mutex
	waiting  map[string]machine.Fault
	befallen map[string]befallen // the faults that calls have met, by call
}

type befallen struct {
	mode string
	at   time.Time
}

func (f *faults) set(told machine.Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting[told.Target] = told
	clear(f.befallen)
}

// take returns the fault that an attempt meets, and whether an earlier attempt at the same call has met it already.
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
	case c.target == machine.TargetStore && (starting || own || waits.Mode == machine.ModeLostReply && !c.commits()):
		return "", false
	case c.target == machine.TargetKeys && own:
		return "", false
	case c.target == machine.TargetKeys && starting:
		return machine.ModeFail, false // the start fails, and the fault waits for the first call
	}
	waits.Count--
	f.waiting[c.target] = waits
	f.befallen[c.id] = befallen{waits.Mode, now}
	return waits.Mode, false
}

// befall answers an attempt, unless it meets a fault.
func (a *account) befall(w http.ResponseWriter, c awsCall, answer http.HandlerFunc) {
	c.place.mu.Lock()
	starting := c.place.starting
	c.place.mu.Unlock()
	mode, again := a.e.faults.take(c, starting)
	switch {
	case mode == machine.ModeFail && c.target == machine.TargetEmail:
		amazon.Refuse(w, c.Request, http.StatusBadRequest, "MessageRejected", "This call meets a fault.") // a status of 500 would say that SES may have taken the message
		return
	case mode == machine.ModeFail && c.target == machine.TargetSMS:
		amazon.Refuse(w, c.Request, http.StatusBadRequest, "InvalidParameter", "This call meets a fault.") // the same holds for SNS
		return
	case mode == machine.ModeFail:
		amazon.Refuse(w, c.Request, http.StatusInternalServerError, "InternalServerError", "This call meets a fault.")
		return
	case mode == machine.ModeSlow && !again:
		timer := time.NewTimer(machine.SlowFor)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.Request.Context().Done():
			return
		}
	case mode == machine.ModeLostReply:
		if !again {
			answer(httptest.NewRecorder(), c.Request)
		}
		panic(http.ErrAbortHandler) // this closes the connection
	}
	answer(w, c.Request)
}
