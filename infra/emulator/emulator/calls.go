package emulator

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"countersign/infra/amazon"
	"countersign/infra/emulator/template"
	"countersign/infra/local/machine"
)

// ServeHTTP implements http.Handler.
func (e *Emulator) ServeHTTP(w http.ResponseWriter, r *http.Request) { e.calls.ServeHTTP(w, r) }

// newCalls returns a handler of the calls under /local/. It passes all other calls on to api.
func (e *Emulator) newCalls(api http.Handler) *machine.Calls {
	sent := outbox{e.account.Account}
	return &machine.Calls{
		API: api, Drain: e.drain, Outbox: sent.messages, ClearOutbox: sent.clear, Events: sent.events,
		Now: e.now, Advance: e.advance, Sweep: e.sweep, SetFault: e.setFault, Keys: e.apiKeys, Origins: e.origins, Log: e.log,
	}
}

// handOver hands an event of SES over to the function feedback, as EventBridge and Lambda do.
func (e *Emulator) handOver(event []byte) {
	e.returned.Go(func() {
		err := e.repeated(e.ctx, "feedback", func() error {
			_, err := e.pools["feedback"].invoke(e.ctx, event)
			return err
		})
		if err != nil && e.ctx.Err() == nil {
			e.log.Warn("an event of SES could not be handed over", "error", err)
		}
	})
}

// wake runs the sweep for an event of the bus that fits a rule of the sweep in the template, as EventBridge and Lambda do.
func (e *Emulator) wake(put amazon.Event) {
	var detail any
	if err := json.Unmarshal(put.Detail, &detail); err != nil {
		return // the bus has accepted objects only
	}
	event := object{"source": put.Source, "detail-type": put.DetailType, "detail": detail}
	rules, _ := e.functions["sweep"].events.(object)
	for _, rule := range rules {
		if template.Of(rule, "Type") != "EventBridgeRule" || !Fits(template.Of(rule, "Properties", "Pattern"), event) {
			continue
		}
		e.woken.Go(func() {
			if err := e.RunSweep(e.ctx); err != nil && e.ctx.Err() == nil {
				e.log.Warn("the sweep failed that an event has woken", "error", err)
			}
		})
		e.wakings.Add(1)
	}
}

// drain waits until everything that was committed before the call has been handed on, and until the sweep has done what that has
// woken it for.
func (e *Emulator) drain(ctx context.Context) error {
	for {
		before := e.wakings.Load()
		e.woken.Wait() // what it was woken for may have been handed on before the call
		e.returned.Wait()
		if err := e.trigger.drain(ctx); err != nil || e.wakings.Load() == before {
			return err
		}
	}
}

// advance moves the clock of the functions forward. A function reads its offset when it starts, so every process is replaced.
func (e *Emulator) advance(seconds int64) error {
	if seconds < 0 || seconds > machine.MostAhead-e.ahead.Load() {
		return machine.ErrTooFar
	}
	if seconds > 0 {
		e.ahead.Add(seconds)
		e.generation.Add(1)
	}
	return nil
}

func (e *Emulator) setFault(told machine.Fault) {
	e.faults.set(told)
	if told.Target == machine.TargetKeys {
		e.generation.Add(1) // only a new process reads the key ring, and can meet the fault
	}
}

var sweptLine = regexp.MustCompile(`"message":"swept".*?"announced":([0-9]+)`)

// sweep runs the sweep as the scheduler does, and returns how many ends of trust it has announced, which it finds in the log.
func (e *Emulator) sweep(ctx context.Context) (announced int, err error) {
	e.sweeping.Lock()
	defer e.sweeping.Unlock()
	before := e.sweeps.Load()
	event, err := json.Marshal(object{
		"version": "0", "id": rand.Text(), "detail-type": "Scheduled Event", "source": "aws.scheduler", "account": amazon.AccountID,
		"time": e.now().Format(time.RFC3339), "region": amazon.Region, "resources": []string{"arn:aws:scheduler:" + amazon.Region + ":" + amazon.AccountID + ":schedule/default/countersign-sweep"},
		"detail": "{}",
	})
	if err != nil {
		return 0, err
	}
	if _, err := e.pools["sweep"].invoke(ctx, event); err != nil {
		return 0, fmt.Errorf("sweep: %w", err)
	}
	return int(e.sweeps.Load() - before), nil
}

// schedule runs the sweep as often as the template says, by the clock of this machine.
func (e *Emulator) schedule(every time.Duration) {
	for machine.Pause(e.ctx, every) {
		if err := e.RunSweep(e.ctx); err != nil && e.ctx.Err() == nil {
			e.log.Warn("the sweep failed, and will be run again", "error", err)
		}
	}
}

// noteSwept adds up what the lines of the sweep's log say that it has announced.
func (e *Emulator) noteSwept(line []byte) {
	for _, m := range sweptLine.FindAllSubmatch(line, -1) {
		n, _ := strconv.ParseInt(string(m[1]), 10, 64)
		e.sweeps.Add(n)
	}
}
