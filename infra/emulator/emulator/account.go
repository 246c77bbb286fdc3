package emulator

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"

	"countersign/infra/amazon"
	"countersign/infra/local/machine"
)

// An account stands in for Amazon's services. Faults can be injected into the calls of the functions. Each process calls it
// under a path of its own, /STEP-NUMBER/, which says which process calls.
type account struct {
	*amazon.Account
	e *Emulator
}

// newAccount makes an account with the DynamoDB Local at a URL.
func (e *Emulator) newAccount(endpoint string) *account {
	a := &account{&amazon.Account{Table: endpoint, Now: e.now}, e}
	a.Around, a.Returned, a.Put = a.around, e.handOver, e.wake
	a.Refused = func(_ *http.Request, why error) {
		e.log.Warn("a function has made a call that the stand-ins of Amazon refuse", "error", why)
	}
	return a
}

// targets are the names of the services as targets of faults.
var targets = map[string]string{
	amazon.DynamoDB: machine.TargetStore, amazon.KMS: machine.TargetKeys, amazon.SES: machine.TargetEmail, amazon.SNS: machine.TargetSMS,
	amazon.EndUserMessaging: machine.TargetSMS, amazon.EventBridge: machine.TargetEvents,
}

func (a *account) around(w http.ResponseWriter, asked *amazon.Call, answer http.HandlerFunc) {
	p, at := a.e.placeOf(asked.Prefix)
	if at == nil {
		amazon.Refuse(w, asked.Request, http.StatusBadRequest, "ValidationException", "The path names no process of a function.")
		return
	}
	if a.e.counts.refuse(w, asked) {
		return
	}
	c := awsCall{Call: asked, step: p.f.step, place: at, target: targets[asked.Service]}
	at.mu.Lock()
	during := at.events
	at.mu.Unlock()
	sum := sha256.Sum256(append(fmt.Appendf(nil, "%s\n%d\n%s\n%s\n", c.Prefix, during, c.Request.Header.Get("Amz-Sdk-Invocation-Id"), c.Operation), c.Body...))
	c.id = hex.EncodeToString(sum[:])
	if c.Service == amazon.DynamoDB {
		if bytes.Contains(c.Body, []byte(`{"S":"ring"}`)) {
			c.target = machine.TargetKeys
		}
		passOn := answer
		answer = func(w http.ResponseWriter, r *http.Request) { a.table(w, r, c, passOn) }
	}
	if c.Service == amazon.SNS || c.Service == amazon.EndUserMessaging {
		passOn := answer
		answer = func(w http.ResponseWriter, r *http.Request) {
			passOn(w, r)
			a.e.counts.texted(c.Service)
		}
	}
	a.befall(w, c, answer)
}

// An awsCall is a call of a function to Amazon.
type awsCall struct {
	*amazon.Call
	step   string
	place  *place
	target string // the target of faults that this call belongs to
	id     string // the same for all attempts at the call
}

func (c awsCall) commits() bool {
	if c.Service != amazon.DynamoDB {
		return false
	}
	switch c.Operation {
	case "PutItem", "DeleteItem", "TransactWriteItems":
		return true
	}
	return false
}

// table passes a call on to DynamoDB Local. If a test wants the process killed before or after that, table kills it.
func (a *account) table(w http.ResponseWriter, r *http.Request, c awsCall, passOn http.HandlerFunc) {
	mortal := c.commits() && c.target == machine.TargetStore
	if mortal && a.e.deaths.take(c.step, BeforeCommit) {
		die(c)
	}
	if c.commits() {
		a.e.counts.committed(c.Body)
		defer func() {
			select {
			case a.e.trigger.wake <- struct{}{}:
			default: // it has already been woken
			}
		}()
	}
	if !mortal {
		passOn(w, r)
		return
	}
	said := httptest.NewRecorder()
	passOn(said, r)
	if a.e.deaths.take(c.step, AfterCommit) {
		die(c)
	}
	for name, values := range said.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(said.Code)
	w.Write(said.Body.Bytes())
}

// die kills the process that made a call. The call gets no answer.
func die(c awsCall) {
	c.place.mu.Lock()
	running := c.place.process
	c.place.mu.Unlock()
	if running != nil {
		running.Kill()
	}
	panic(http.ErrAbortHandler)
}
