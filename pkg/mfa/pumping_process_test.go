package mfa_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"countersign/infra/dynamolocal/dynamolocaltest"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/dynamo"
	"countersign/pkg/store/dynamo/stream"
	"countersign/pkg/store/storetest"
)

// A table is a table of DynamoDB Local, which several processes can share.
type table struct{ Endpoint, Name string }

func newTable(t *testing.T, endpoint string) table {
	t.Helper()
	at := table{endpoint, "mfa-" + string(store.NewVersion())}
	if err := dynamo.CreateTable(t.Context(), dynamo.LocalClient(at.Endpoint), at.Name); err != nil {
		t.Fatal(err)
	}
	return at
}

// world makes a world over the table.
func (at table) world(t *testing.T) *mfatest.World {
	t.Helper()
	clock := storetest.NewClock(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	items := dynamo.New(dynamo.Options{Client: dynamo.LocalClient(at.Endpoint, patiently), Table: at.Name, Now: clock.Now})
	return mfatest.Over(t, items, stream.New(stream.Options{Client: stream.LocalClient(at.Endpoint), Table: at.Name}), clock)
}

// patiently lets a client try again for as long as a busy DynamoDB Local keeps it waiting. A race wants to see what the calls do
// to each other, and not what becomes of them when the store is out of reach.
func patiently(o *dynamodb.Options) {
	o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff, o.RateLimiter = 50, 2*time.Second, ratelimit.None
	})
}

// A place is all that the processes of a pump have in common: the table, and the file with the key ring.
type place struct {
	Table table
	Ring  string
}

func (at place) world(t *testing.T) *mfatest.World {
	t.Helper()
	w := at.Table.world(t)
	ring, err := seal.OpenFile(at.Ring, seal.FileOptions{Now: w.Clock.Now, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	w.Service.Keys = ring
	return w
}

// pumpedPlace is the environment variable that tells a process of a pump its place.
const pumpedPlace = "COUNTERSIGN_MFA_TEST_PUMP"

// pumpPlace returns nil in a process that isn't part of a pump.
func pumpPlace() *place {
	text := os.Getenv(pumpedPlace)
	if text == "" {
		return nil
	}
	at := &place{}
	if err := json.Unmarshal([]byte(text), at); err != nil {
		panic(err)
	}
	return at
}

// pump reads waves, makes their attempts, and writes the results.
func (at place) pump(t *testing.T) {
	w := at.world(t)
	p := &pump{World: w, services: twice(w)}
	orders, answers := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var of wave
		if err := orders.Decode(&of); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		w.Clock.Advance(of.Now.Sub(w.Clock.Now()))
		if err := answers.Encode(p.make(t.Context(), of)); err != nil {
			t.Fatal(err)
		}
	}
}

// pumpedByProcesses makes a world, and returns a function that makes a wave in n processes at once.
func pumpedByProcesses(t *testing.T, n int) (*mfatest.World, func(wave) pumped) {
	t.Helper()
	at := place{newTable(t, dynamolocaltest.Endpoint(t)), filepath.Join(t.TempDir(), "ring")}
	w := at.world(t)
	allowsTexts(t, w, nil)
	text, err := json.Marshal(at)
	if err != nil {
		t.Fatal(err)
	}
	type process struct {
		orders  *json.Encoder
		answers *json.Decoder
	}
	processes := make([]process, n)
	for i := range processes {
		command := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.timeout", "0")
		command.Env = append(os.Environ(), pumpedPlace+"="+string(text))
		command.Stderr = os.Stderr
		in, err := command.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := command.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			command.Process.Kill()
			command.Wait()
		})
		processes[i] = process{json.NewEncoder(in), json.NewDecoder(out)}
	}
	return w, func(of wave) (all pumped) {
		var one sync.Mutex
		atOnce(n, func(i int) {
			part, size := of, of.To-of.From
			part.From, part.To = of.From+size*i/n, of.From+size*(i+1)/n
			var got pumped
			err := processes[i].orders.Encode(part)
			if err == nil {
				err = processes[i].answers.Decode(&got)
			}
			one.Lock()
			defer one.Unlock()
			if err != nil {
				t.Errorf("process %d: %v", i, err)
			}
			all.add(got)
		})
		return all
	}
}
