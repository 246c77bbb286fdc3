package emulator_test

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"countersign/infra/emulator/emulator"
	"countersign/infra/emulator/emulatortest"
)

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

// lines are what the functions have written.
type lines struct {
	mu  sync.Mutex
	all []string
}

// Write takes a whole number of lines.
func (l *lines) Write(written []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, strings.Split(string(written), "\n")...)
	return len(written), nil
}

// with returns the lines that have part.
func (l *lines) with(part string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.all {
		if strings.Contains(line, part) {
			found = append(found, line)
		}
	}
	return found
}

// TestACanaryOfAReleaseWithAnotherFormatLosesNoSignIn plays what upgrading.md tells: two builds of the functions work on one
// table, of which the newer one brings format 2 of records, and users sign in all the time.
func TestACanaryOfAReleaseWithAnotherFormatLosesNoSignIn(t *testing.T) {
	steps := []string{"challenge", "verify", "publish"}
	next := emulatortest.NextRelease(t, "../../..", steps...)
	var written lines
	w := open(t, emulator.Options{Output: &written})
	w.policy(t)
	users := emulatortest.SignIn(t, w.base, w.APIKey(), 3)
	users.Served(t, 5)
	if err := w.Deploy(next); err != nil {
		t.Fatal(err)
	}
	users.Served(t, 5)
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
		users.Served(t, phase.customers)
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
	users.Served(t, 10)
	users.Between(func() { w.call("POST", "/local/clock", doc{"advance_s": 31 * 60}).want(t, 200, "") }) // none is cut in two when the clock jumps
	users.Served(t, 10)
	users.Leave()
	if found := w.formats(t.Context(), t); found[2] == 0 {
		t.Errorf("after format 2 was set: got %v guards by format, want some in format 2", found)
	}

	for _, line := range written.with("a call could not be answered") {
		if !strings.Contains(line, "deadline exceeded") && !strings.Contains(line, "waiting for a lock") { // DynamoDB Local was slow
			t.Errorf("a build could not answer: %s", line)
		}
	}

	// Now it can't be taken back any more: the older build lets nobody in. Nothing is lost by the try.
	id := w.start(t, "ana")
	code := w.code(t, "ana")
	w.Shift(0)
	w.verify(id, code).want(t, 503, "unavailable")
	if len(written.with("a call could not be answered")) == 0 {
		t.Error("the function said nothing of a record that it couldn't read")
	}
	w.Shift(100)
	w.verify(id, code).want(t, 200, "trust_token")
}
