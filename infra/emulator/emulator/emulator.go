// Package emulator runs the functions of template.yaml on one machine, as Lambda would run them: the built bootstraps,
// each in processes of its own, with the environment that the template gives them; before them a front that speaks what
// API Gateway speaks; behind them DynamoDB Local, and recorders that speak the wire protocols of KMS, SES and EventBridge.
// Its stream is handed to publish, by the rules of the template's event source mapping but for the batching window, and its
// schedule runs the sweep. What publish doesn't take in the end is put into a folder that stands for the bucket.
//
// It has the calls under /local/ that package machine says, so what is written against the local server runs against it.
//
// What it keeps:
//
//   - Everything listens on 127.0.0.1, and no process outlives the emulator for longer than it works on its last event.
//   - A process works on one event at a time; calls that follow each other come to different processes.
//   - A process that was killed answers nothing, and the next call finds a new one.
//   - What befalls a call befalls all attempts at it.
//   - A record of the stream is taken by publish, or given up into the bucket; it never gets lost.
//
// What it refuses to do: read anything of an earlier run, and judge what a function may do; the tests of functions/ do that.
package emulator

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"countersign/infra/amazon"
	"countersign/infra/local/machine"
	"countersign/pkg/api"
	"countersign/pkg/apikey"
	"countersign/pkg/seal"
	"countersign/pkg/store/dynamo"
)

// Options say how to run the emulator.
type Options struct {
	// Dir holds the built functions, the API key, and under buckets/ what S3 would get. It is made if there is none.
	Dir string
	// Port is the one that the emulator is reached at. Its issuer is http://localhost:<Port>.
	Port int
	// BrowserOrigins are those whose pages may call the API from a browser: the template's parameter of that name.
	BrowserOrigins []string
	// Root is the folder of the module; empty: that of the working directory.
	Root string
	// Functions is a folder that Build has filled; empty: Dir/cache, which is built.
	Functions string
	// DynamoDB is the URL of a DynamoDB Local that runs; empty: one is installed if need be, and started.
	DynamoDB string
	// Processes is how many each function has at most; under 2: 2.
	Processes int
	// RIE is the path of Amazon's Runtime Interface Emulator, to run the functions under; empty: the emulator's own.
	RIE string
	// Output gets what the functions write. Nil: nobody.
	Output io.Writer
	// Log says what goes wrong inside. Nil: nothing is logged.
	Log *slog.Logger
}

// bucketFolder is the one in the data folder that stands for S3.
const bucketFolder = "buckets"

// An Emulator is an http.Handler: the API, and the calls under /local/.
type Emulator struct {
	o         Options
	table     string
	functions map[string]*function
	pools     map[string]*pool
	account   *account
	amazonURL string
	trigger   *trigger
	calls     *machine.Calls
	faults    faults
	deaths    deaths
	apiKeys   *apikey.Registry
	apiKey    seal.Secret
	origins   []string
	client    *http.Client
	log       *slog.Logger

	generation atomic.Int64 // of what the processes are started with; a new one replaces them all
	ahead      atomic.Int64 // seconds that the service's clock is ahead

	sweeping sync.Mutex   // held through a run of the sweep
	sweeps   atomic.Int64 // what its runs announced

	ctx      context.Context
	running  sync.WaitGroup
	closings []func()
}

// Open starts everything. ctx bounds the start only; Close ends what was started.
func Open(ctx context.Context, o Options) (_ *Emulator, err error) {
	e := &Emulator{
		o: o, table: "countersign-" + rand.Text(), pools: map[string]*pool{}, log: o.Log,
		faults: faults{waiting: map[string]machine.Fault{}, befallen: map[string]befallen{}},
		deaths: deaths{waiting: map[string]Moment{}, died: map[string]int{}},
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	defer func() {
		if err != nil {
			e.Close()
		}
	}()
	e.origins = machine.Origins(o.Port)
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	if err := e.prepare(ctx); err != nil {
		return nil, err
	}
	var stop context.CancelFunc
	e.ctx, stop = context.WithCancel(context.Background())
	e.closings = append(e.closings, e.client.CloseIdleConnections, func() {
		stop()
		for _, p := range e.pools {
			p.kill()
		}
		e.running.Wait()
		for _, p := range e.pools { // those that were started meanwhile
			p.kill()
		}
	})
	if err := e.startAmazon(ctx); err != nil {
		return nil, err
	}
	for step, f := range e.functions {
		e.pools[step] = e.newPool(f, max(2, o.Processes))
	}
	every, err := e.functions["sweep"].rate()
	if err != nil {
		return nil, err
	}
	access, err := readAccess(e.o.Root, o.BrowserOrigins)
	if err != nil {
		return nil, err
	}
	e.calls = e.newCalls(access.Before(&front{pools: e.pools, routes: routesOf(e.functions), now: time.Now, log: e.log}))
	e.running.Go(func() { machine.HandOn(e.ctx, e.trigger.wake, e.trigger.drain, e.log) })
	e.running.Go(func() { e.schedule(every) })
	return e, nil
}

// prepare reads the template and builds what it names.
func (e *Emulator) prepare(ctx context.Context) (err error) {
	if e.o.Root == "" {
		if e.o.Root, err = moduleRoot(ctx); err != nil {
			return err
		}
	}
	e.functions, err = readFunctions(e.o.Root, map[string]string{
		"Table": e.table, "Key.Arn": amazon.KeyARN, "Bus": amazon.Bus, "Issuer": e.Issuer(), "SenderAddress": amazon.Sender,
		"SenderName": "Countersign", "SesConfigurationSet": "", "RoutineEvents": "true",
	})
	if err != nil {
		return err
	}
	for _, s := range api.Steps {
		if _, there := e.functions[s.Name]; !there {
			return fmt.Errorf("template.yaml has no function %s", s.Name)
		}
	}
	if e.o.Functions == "" {
		e.o.Functions = filepath.Join(e.o.Dir, "cache")
		return Build(ctx, e.o.Root, e.o.Functions)
	}
	return nil
}

// startAmazon starts what the functions find of Amazon, with a table and an API key in it.
func (e *Emulator) startAmazon(ctx context.Context) error {
	endpoint, stop, err := startDynamoDB(ctx, e.o.DynamoDB, e.log)
	if err != nil {
		return err
	}
	e.closings = append([]func(){stop}, e.closings...)
	admin := dynamo.LocalClient(endpoint)
	if err := CreateTable(ctx, admin, e.o.Root, e.table); err != nil {
		return err
	}
	e.account = e.newAccount(endpoint)
	mapping, err := newMapping(e.functions["publish"].events)
	if err != nil {
		return err
	}
	mapping.dir, mapping.now, mapping.log = filepath.Join(e.o.Dir, bucketFolder), e.now, e.log
	if err := os.RemoveAll(mapping.dir); err != nil {
		return err
	}
	e.trigger = &trigger{e: e, endpoint: endpoint, table: e.table, mapping: mapping, wake: make(chan struct{}, 1), shards: map[string]*shard{}}
	e.apiKeys = &apikey.Registry{Store: dynamo.New(dynamo.Options{Client: admin, Table: e.table, Now: e.now}), Now: e.now}
	if e.apiKey, err = machine.MakeKey(ctx, e.apiKeys, e.o.Dir, e.origins); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	web := &http.Server{Handler: e.account, ErrorLog: slog.NewLogLogger(e.log.Handler(), slog.LevelWarn)}
	go web.Serve(listener)
	e.closings = append([]func(){func() { web.Close() }}, e.closings...)
	e.amazonURL = "http://" + listener.Addr().String()
	return nil
}

// start starts a process of a function: in its environment is what the template says, and in place of that where Amazon is
// played.
func (e *Emulator) start(ctx context.Context, f *function, name string) (process, error) {
	environment := append(slices.Clone(f.environment),
		"AWS_SAM_LOCAL=true", "AWS_REGION="+amazon.Region, "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local",
		"AWS_LAMBDA_FUNCTION_NAME="+f.step, fmt.Sprintf("COUNTERSIGN_CLOCK_OFFSET=%d", e.ahead.Load()),
	)
	for _, service := range []string{"DYNAMODB", "KMS", "SES", "EVENTBRIDGE"} {
		environment = append(environment, "COUNTERSIGN_"+service+"_ENDPOINT="+e.amazonURL+"/"+name)
	}
	lines := &recentLines{copy: e.o.Output}
	if f.step == "sweep" {
		lines.see = e.noteSwept
	}
	path := filepath.Join(e.o.Functions, f.step)
	if e.o.RIE != "" {
		return launchRIE(ctx, e.o.RIE, path, f, environment, lines)
	}
	r, err := amazon.Launch(amazon.Program{Path: path, Function: f.step, Environment: environment, Output: lines})
	if err != nil {
		return nil, err
	}
	if _, err := r.Ready(ctx); err != nil {
		return nil, fmt.Errorf("start %s: %w: %s", f.step, err, lines)
	}
	return r, nil
}

// placeOf finds a place by its name.
func (e *Emulator) placeOf(name string) (*pool, *place) {
	for _, p := range e.pools {
		for _, at := range p.all {
			if at.name == name {
				return p, at
			}
		}
	}
	return nil, nil
}

// now is the service's time.
func (e *Emulator) now() time.Time {
	return time.Now().UTC().Round(0).Add(time.Duration(e.ahead.Load()) * time.Second)
}

// Table is the name of the table in DynamoDB Local.
func (e *Emulator) Table() string { return e.table }

// KillAt has SIGKILL end the next process of a step that comes to a moment of its work; with "", none.
func (e *Emulator) KillAt(step string, at Moment) { e.deaths.set(step, at) }

// Died is how many processes of a step have ended by KillAt.
func (e *Emulator) Died(step string) int { return e.deaths.count(step) }

// Kill ends every process of a step with SIGKILL, and answers how many there were.
func (e *Emulator) Kill(step string) int {
	p := e.pools[step]
	if p == nil {
		return 0
	}
	return p.kill()
}

// Invoke has a function work on an event, as sam local invoke would, and gives its answer.
func (e *Emulator) Invoke(ctx context.Context, step string, event []byte) ([]byte, error) {
	p, ok := e.pools[step]
	if !ok {
		return nil, fmt.Errorf("there is no function %q", step)
	}
	return p.invoke(ctx, event)
}

// Steps are the functions of the template.
func (e *Emulator) Steps() []string { return slices.Sorted(maps.Keys(e.functions)) }

// Issuer is the base URL by which this machine reaches the emulator, and the iss of its tokens.
func (e *Emulator) Issuer() string { return e.origins[0] }

// APIKey is the one in DIR/api-key: every scope, every org.
func (e *Emulator) APIKey() seal.Secret { return e.apiKey }

// Close ends everything that Open started, with SIGKILL.
func (e *Emulator) Close() {
	for i := len(e.closings) - 1; i >= 0; i-- {
		e.closings[i]()
	}
	e.closings = nil
}
