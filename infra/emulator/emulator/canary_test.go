package emulator_test

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"countersign/infra/emulator/emulator"
	"countersign/infra/emulator/emulatortest"
)

// customers are users who sign in all the time, beside what a test does. Each of them is new, answers a code by email, and signs
// in again from the browser that is trusted since then.
type customers struct {
	w     *world
	mu    sync.Mutex
	more  *sync.Cond // is told of each sign-in
	users int        // how many have begun
	well  int        // how many sign-ins went well
	lost  []error    // why the others did not
	left  bool
	work  sync.WaitGroup
	under sync.RWMutex // held for reading by each sign-in, so that none is cut in two when the clock jumps
}

// customers lets n users at a time sign in until they are told to leave.
func (w *world) customers(t *testing.T, n int) *customers {
	t.Helper()
	c := &customers{w: w}
	c.more = sync.NewCond(&c.mu)
	for range n {
		c.work.Go(func() {
			for c.next() {
			}
		})
	}
	t.Cleanup(c.leave)
	return c
}

// next lets one more user sign in. It returns false when there shall be no more.
func (c *customers) next() bool {
	c.mu.Lock()
	c.users++
	user, left := fmt.Sprintf("customer-%d", c.users), c.left
	c.mu.Unlock()
	if left {
		return false
	}
	err := c.signIn(user)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.well++; err != nil {
		c.well--
		c.lost = append(c.lost, fmt.Errorf("%s: %w", user, err))
	}
	c.more.Broadcast()
	return true
}

func (c *customers) signIn(user string) error {
	c.under.RLock()
	defer c.under.RUnlock()
	who := doc{"org": "acme", "user": doc{"id": user, "email": user + "@acme.example"}}
	begun, err := c.expect(201, "POST", "/v1/challenges", who)
	if err != nil {
		return err
	}
	sent, err := c.expect(200, "GET", "/local/outbox?to="+url.QueryEscape(user+"@acme.example"), nil)
	if err != nil {
		return err
	}
	done, err := c.expect(200, "POST", "/v1/challenges/"+begun.text("challenge", "id")+"/verify", doc{"code": sent.code(), "trust": doc{"name": "Firefox"}})
	if err != nil {
		return err
	}
	who["trust_token"] = done.text("trust_token")
	again, err := c.expect(200, "POST", "/v1/challenges", who)
	if err == nil && again.text("reason") != "trusted_browser" {
		return fmt.Errorf("got %s, want that the browser is trusted", again.raw)
	}
	return err
}

func (c *customers) expect(status int, method, path string, body any) (answer, error) {
	a, err := c.w.try(method, path, body)
	if err == nil && a.status != status {
		err = fmt.Errorf("%s %s: got %d %s, want %d", method, path, a.status, a.raw, status)
	}
	return a, err
}

// served waits until n more users have signed in, and reports those who could not.
func (c *customers) served(t *testing.T, n int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for end := c.well + n; c.well < end && len(c.lost) == 0; {
		c.more.Wait()
	}
	for _, err := range c.lost {
		t.Errorf("a sign-in is lost: %v", err)
	}
	c.lost = nil
}

// later moves the clock forward, between two sign-ins of each user.
func (c *customers) later(t *testing.T, seconds int) {
	t.Helper()
	c.under.Lock()
	defer c.under.Unlock()
	c.w.call("POST", "/local/clock", doc{"advance_s": seconds}).want(t, 200, "")
}

// leave waits until the users have signed in who have begun to.
func (c *customers) leave() {
	c.mu.Lock()
	c.left = true
	c.mu.Unlock()
	c.work.Wait()
}

// formats returns how many guards there are in each format. Those in format 2 have the field of the next release.
func (w *world) formats(ctx context.Context, t *testing.T) map[int]int {
	t.Helper()
	formats := map[int]int{}
	table := w.Table()
	pages := dynamodb.NewScanPaginator(w.admin, &dynamodb.ScanInput{TableName: &table})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			sort, _ := item["sk"].(*types.AttributeValueMemberS)
			body, _ := item["b"].(*types.AttributeValueMemberB)
			if sort == nil || body == nil || sort.Value != "guard" {
				continue
			}
			if formats[1]++; bytes.Contains(body.Value, []byte("next")) {
				formats[1]--
				formats[2]++
			}
		}
	}
	return formats
}

// TestACanaryOfAReleaseWithAnotherFormatLosesNoSignIn plays what upgrading.md tells: two builds of the functions work on one
// table, of which the newer one brings format 2 of records, and users sign in all the time.
func TestACanaryOfAReleaseWithAnotherFormatLosesNoSignIn(t *testing.T) {
	steps := []string{"challenge", "verify", "publish"}
	next := emulatortest.NextRelease(t, "../../..", steps...)
	w := open(t, emulator.Options{})
	w.policy(t)
	users := w.customers(t, 3)
	users.served(t, 5)
	if err := w.Deploy(next); err != nil {
		t.Fatal(err)
	}
	users.served(t, 5)
	shifted := func() (calls, newer int) {
		for _, step := range steps {
			all, of := w.Shifted(step)
			calls, newer = calls+all, newer+of
		}
		return calls, newer
	}
	for _, phase := range []struct {
		name          string
		percent       int
		customers     int
		atLeast, most int // percent of the calls that the newer build has got
	}{
		{"a tenth of the calls", 10, 20, 5, 15},
		{"all of them", 100, 10, 90, 100},
		{"none, since it is taken back", 0, 10, 0, 10},
		{"all of them after all", 100, 10, 90, 100},
	} {
		calls, newer := shifted()
		w.Shift(phase.percent)
		users.served(t, phase.customers)
		all, of := shifted()
		if share := 100 * (of - newer) / (all - calls); share < phase.atLeast || share > phase.most {
			t.Errorf("%s: the newer build got %d of %d calls", phase.name, of-newer, all-calls)
		}
	}
	if found := w.formats(t.Context(), t); found[1] == 0 || found[2] > 0 {
		t.Errorf("before format 2 was set: got %v guards by format, want format 1 alone", found)
	}

	// The operator sets the format, while users sign in. Processes hear of it within half an hour.
	ctl := exec.CommandContext(t.Context(), filepath.Join(next, "ctl"), "format", "2", "--table", w.Table(), "--endpoint", w.local)
	if out, err := ctl.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("written in format 2.")) {
		t.Fatalf("ctl format: %v %s", err, out)
	}
	users.served(t, 10)
	users.later(t, 31*60)
	users.served(t, 10)
	users.leave()
	if found := w.formats(t.Context(), t); found[2] == 0 {
		t.Errorf("after format 2 was set: got %v guards by format, want some in format 2", found)
	}

	// Now it can't be taken back any more: the older build lets nobody in. Nothing is lost by the try.
	id := w.start(t, "ana")
	code := w.code(t, "ana")
	w.Shift(0)
	w.verify(id, code).want(t, 503, "unavailable")
	w.Shift(100)
	w.verify(id, code).want(t, 200, "trust_token")
}
