package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"countersign/infra/local/machine"
	"countersign/pkg/activity"
	"countersign/pkg/message"
	"countersign/pkg/mfa"
	"countersign/pkg/seal"
	"countersign/pkg/store"
)

// errTold is the error of a call that fails because of a fault.
var errTold = errors.New("told to fail")

// faults has at most one fault for each target. A new fault replaces the earlier one.
type faults struct {
	slow time.Duration // zero means machine.SlowFor

	mu      sync.Mutex
	waiting map[string]machine.Fault
}

func (f *faults) set(told machine.Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.waiting == nil {
		f.waiting = map[string]machine.Fault{}
	}
	f.waiting[told.Target] = told
}

// take counts one call for the fault of target, and returns the fault's mode. A read doesn't use up a lost reply: that is for
// commits, because with it the caller can't know whether something was written.
func (f *faults) take(target string, reads bool) (mode string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	waits := f.waiting[target]
	if waits.Count == 0 || reads && waits.Mode == machine.ModeLostReply {
		return ""
	}
	waits.Count--
	f.waiting[target] = waits
	return waits.Mode
}

// befall makes one call of target, with the fault that the target has.
func (f *faults) befall(ctx context.Context, target string, reads bool, call func() error) error {
	mode := f.take(target, reads)
	switch mode {
	case machine.ModeFail:
		return fmt.Errorf("%s: %w", target, errTold)
	case machine.ModeSlow:
		if err := f.wait(ctx); err != nil {
			return err
		}
	}
	err := call()
	if mode == machine.ModeLostReply {
		return fmt.Errorf("%s: %w once the work was done", target, errTold)
	}
	return err
}

func (f *faults) wait(ctx context.Context) error {
	slow := f.slow
	if slow == 0 {
		slow = machine.SlowFor
	}
	timer := time.NewTimer(slow)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// faultyStore is a store with faults.
type faultyStore struct {
	store.Store
	faults *faults
}

// Get implements store.Store.
func (s faultyStore) Get(ctx context.Context, keys ...store.Key) (items []store.Item, err error) {
	err = s.faults.befall(ctx, machine.TargetStore, true, func() error {
		items, err = s.Store.Get(ctx, keys...)
		return err
	})
	return items, err
}

// Query implements store.Store.
func (s faultyStore) Query(ctx context.Context, q store.Query) (page store.Page, err error) {
	err = s.faults.befall(ctx, machine.TargetStore, true, func() error {
		page, err = s.Store.Query(ctx, q)
		return err
	})
	return page, err
}

// Commit implements store.Store.
func (s faultyStore) Commit(ctx context.Context, token store.Version, writes ...store.Write) error {
	return s.faults.befall(ctx, machine.TargetStore, false, func() error { return s.Store.Commit(ctx, token, writes...) })
}

// Count implements store.Store.
func (s faultyStore) Count(ctx context.Context, key store.Key, n, cap int64, expires time.Time) (number int64, err error) {
	err = s.faults.befall(ctx, machine.TargetStore, true, func() error {
		number, err = s.Store.Count(ctx, key, n, cap, expires)
		return err
	})
	return number, err
}

// faultyKeys is a keeper of keys with faults.
type faultyKeys struct {
	seal.Keeper
	faults *faults
}

// Ring implements seal.Keeper.
func (k faultyKeys) Ring(ctx context.Context) (ring *seal.Ring, err error) {
	err = k.faults.befall(ctx, machine.TargetKeys, false, func() error {
		ring, err = k.Keeper.Ring(ctx)
		return err
	})
	return ring, err
}

// Reload implements seal.Keeper.
func (k faultyKeys) Reload(ctx context.Context) (ring *seal.Ring, err error) {
	err = k.faults.befall(ctx, machine.TargetKeys, false, func() error {
		ring, err = k.Keeper.Reload(ctx)
		return err
	})
	return ring, err
}

// faultyMail is a mailer with faults.
type faultyMail struct {
	mfa.Mailer
	faults *faults
}

// SendMail implements mfa.Mailer.
func (m faultyMail) SendMail(ctx context.Context, message message.Message) error {
	return m.faults.send(ctx, machine.TargetEmail, func() error { return m.Mailer.SendMail(ctx, message) })
}

// faultyText is a sender of text messages with faults.
type faultyText struct {
	mfa.Texter
	faults *faults
}

// SendText implements mfa.Texter.
func (m faultyText) SendText(ctx context.Context, message message.Text) error {
	return m.faults.send(ctx, machine.TargetSMS, func() error { return m.Texter.SendText(ctx, message) })
}

// send hands a message over, with the fault that the target has. If the message fails because of a fault, the error says that
// it wasn't taken.
func (f *faults) send(ctx context.Context, target string, give func() error) error {
	asked := false
	err := f.befall(ctx, target, false, func() error {
		asked = true
		return give()
	})
	if err != nil && !asked {
		return fmt.Errorf("%w: %w", mfa.ErrNotTaken, err)
	}
	return err
}

// faultyBus is a bus with faults.
type faultyBus struct {
	mfa.Bus
	faults *faults
}

// PutEvents implements mfa.Bus.
func (b faultyBus) PutEvents(ctx context.Context, events []activity.Event) error {
	return b.faults.befall(ctx, machine.TargetEvents, false, func() error { return b.Bus.PutEvents(ctx, events) })
}
