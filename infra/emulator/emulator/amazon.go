package emulator

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"

	"countersign/infra/local/machine"
)

// amazon is what the functions find of Amazon: DynamoDB Local and the stand-ins, behind a door where faults can befall them.
// Each process has a path of its own to it, so that it is known who asks: /STEP-NUMBER/.
type amazon struct {
	e      *Emulator
	dynamo string // URL of DynamoDB Local
	*standIns
}

// ServeHTTP implements http.Handler.
func (a *amazon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	p, at := a.e.placeOf(name)
	body, err := io.ReadAll(r.Body)
	if err != nil || at == nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	service, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	c := awsCall{step: p.f.step, place: at, operation: operation, body: body}
	at.mu.Lock()
	during := at.events
	at.mu.Unlock()
	sum := sha256.Sum256(append(fmt.Appendf(nil, "%s\n%d\n%s\n%s\n", name, during, r.Header.Get("Amz-Sdk-Invocation-Id"), operation), body...))
	c.id = hex.EncodeToString(sum[:])
	var answer func(http.ResponseWriter)
	if service == dynamoDB {
		c.target = machine.TargetStore
		if bytes.Contains(body, []byte(`{"S":"ring"}`)) {
			c.target = machine.TargetKeys
		}
		answer = func(w http.ResponseWriter) { a.table(w, r, p, c) }
	} else {
		c.target, answer = a.find(r, rest, body)
	}
	a.befall(w, r, c, answer)
}

// An awsCall is one request of a function's to Amazon.
type awsCall struct {
	step      string
	place     *place
	target    string // of faults
	operation string
	id        string // the same for each attempt
	body      []byte
}

func (c awsCall) commits() bool {
	switch c.operation {
	case "PutItem", "DeleteItem", "TransactWriteItems":
		return true
	}
	return false
}

// table passes a request on to DynamoDB Local, unless a death is due.
func (a *amazon) table(w http.ResponseWriter, r *http.Request, p *pool, c awsCall) {
	if c.commits() && c.target == machine.TargetStore && a.e.deaths.take(c.step, BeforeCommit) {
		a.die(c)
	}
	on, err := http.NewRequestWithContext(r.Context(), r.Method, a.dynamo, bytes.NewReader(c.body))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	on.Header = r.Header.Clone()
	on.Header.Del("Accept-Encoding")
	answer, err := a.e.client.Do(on)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if c.commits() {
		select {
		case a.e.trigger.wake <- struct{}{}:
		default: // it is awake
		}
	}
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if c.commits() && c.target == machine.TargetStore && a.e.deaths.take(c.step, AfterCommit) {
		a.die(c)
	}
	maps.Copy(w.Header(), answer.Header)
	w.WriteHeader(answer.StatusCode)
	w.Write(said)
}

// die kills the process that asks, which gets no answer.
func (a *amazon) die(c awsCall) {
	c.place.mu.Lock()
	running := c.place.process
	c.place.mu.Unlock()
	if running != nil {
		running.kill()
	}
	panic(http.ErrAbortHandler)
}
