// Package emulator runs the functions of template.yaml on one machine as Lambda would run them. It runs the built bootstraps,
// each in processes of its own, with the environment that the template gives them. A front takes calls as API Gateway does, and
// makes events of them. The functions call DynamoDB Local, and stand-ins of KMS, SES, SNS and EventBridge. The emulator gives the
// function publish the records of the table's stream, by the rules of the template's event source mapping, but without the
// batching window. It runs the sweep by the schedule of the template. Records that publish never accepts are put into a folder
// that takes the place of the bucket.
//
// It counts what Amazon's services would count, under their names, and reads the metrics in what the functions log, so that
// package cloudwatch can evaluate the alarms of the template.
//
// It has the calls under /local/ of package machine. So a program that is written for the local server also runs on it.
//
// What it guarantees:
//
//   - Everything listens on 127.0.0.1. After the emulator has ended, a process goes on only until it has finished its last event.
//   - A process works on one event at a time. Calls that follow each other come to different processes.
//   - A process that was killed answers nothing, and the next call gets a new process.
//   - A fault that a call meets is the same for all attempts at this call.
//   - No record of the stream is lost: publish accepts it, or it is put into the bucket.
//
// It reads nothing of an earlier run. It doesn't check what a function may do, because the tests in the folder functions do that.
package emulator

import (
	"cmp"
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
	"countersign/infra/emulator/cloudwatch"
	"countersign/infra/emulator/template"
	"countersign/infra/local/machine"
	"countersign/pkg/api"
	"countersign/pkg/apikey"
	"countersign/pkg/seal"
	"countersign/pkg/store/dynamo"
)

// Options says how to run the emulator.
type Options struct {
	// Dir is the data folder. It gets the built functions, the API key, and under buckets what S3 would get. It is made if there
	// is none.
	Dir string
	// Port is the port at which the emulator is reached. Its issuer is http://localhost:<Port>.
	Port int
	// BrowserOrigins are the origins whose pages may call the API from a browser, as in the template's parameter of that name.
	BrowserOrigins []string
	// Root is the folder of the project. If it is empty, the project around the working directory is taken.
	Root string
	// Functions is a folder that Build has filled. If it is empty, the functions are built into Dir/cache.
	Functions string
	// DynamoDB is the URL of a running DynamoDB Local. If it is empty, one is started, and installed before that if there is none.
	DynamoDB string
	// Processes is the greatest number of processes that each function has. Numbers below 2 mean 2.
	Processes int
	// Wait is how long the API waits for a function. Zero means as long as the template says.
	Wait time.Duration
	// RIE is the path of Amazon's Runtime Interface Emulator, under which the functions run. If it is empty, they run behind a
	// Runtime API of the emulator's own.
	RIE string
	// Output gets what the functions write. It may be nil.
	Output io.Writer
	// Metrics gets what the functions measure, and what Amazon's services would count. It may be nil.
	Metrics *cloudwatch.Metrics
	// Log gets what goes wrong in the emulator. It may be nil.
	Log *slog.Logger
}

// stage is the name of the deployment, which its metrics have.
const stage = "local"

// bucketFolder is the folder in the data folder that takes the place of S3.
const bucketFolder = "buckets"

// An Emulator is an http.Handler that serves the API and the calls under /local/.
type Emulator struct {
	o         Options
	table     string
	functions map[string]*function
	pools     map[string]*pool
	account   *account
	amazonURL string
	trigger   *trigger
	counts    *counts
	calls     *machine.Calls
	faults    faults
	deaths    deaths
	apiKeys   *apikey.Registry
	apiKey    seal.Secret
	origins   []string
	client    *http.Client
	log       *slog.Logger

	generation atomic.Int64 // the number of the settings that processes are started with; a new number replaces all processes
	ahead      atomic.Int64 // how far the clock of the functions is ahead, in seconds

	sweeping sync.Mutex   // held while the sweep runs
	sweeps   atomic.Int64 // how many ends of trust all runs have announced

	returned sync.WaitGroup // the events of SES that are being handed over
	woken    sync.WaitGroup // the runs of the sweep that events of the bus have woken
	wakings  atomic.Int64   // how many such runs there were

	ctx      context.Context
	running  sync.WaitGroup
	closings []func()
}

// Open starts the emulator. ctx limits only the start. Close stops everything that was started.
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
		for _, p := range e.pools { // some processes may have been started meanwhile
			p.kill()
		}
	})
	if err := e.startAmazon(ctx); err != nil {
		return nil, err
	}
	for step, f := range e.functions {
		e.pools[step] = e.newPool(f, e.o.Functions, step, max(2, o.Processes))
	}
	every, err := e.functions["sweep"].rate()
	if err != nil {
		return nil, err
	}
	access, err := readAccess(e.o.Root, o.BrowserOrigins)
	if err != nil {
		return nil, err
	}
	e.calls = e.newCalls(access.Before(&front{pools: e.pools, routes: routesOf(e.functions), now: time.Now, counts: e.counts, log: e.log}))
	e.running.Go(func() { machine.HandOn(e.ctx, e.trigger.wake, e.trigger.drain, e.log) })
	e.running.Go(func() { e.schedule(every) })
	return e, nil
}

// prepare reads the template, and builds the functions that it names.
func (e *Emulator) prepare(ctx context.Context) (err error) {
	if e.o.Root == "" {
		if e.o.Root, err = moduleRoot(ctx); err != nil {
			return err
		}
	}
	e.functions, err = readFunctions(e.o.Root, map[string]string{
		"Stage": stage, "Table": e.table, "Key.Arn": amazon.KeyARN, "Bus": amazon.Bus, "Issuer": e.Issuer(), "SenderAddress": amazon.Sender,
		"SenderName": "Countersign", "RpId": machine.RelyingParty().ID, "RelatedOrigins": "", "SmsProvider": "sns", "RoutineEvents": "true",
	})
	if err != nil {
		return err
	}
	for _, f := range e.functions {
		f.wait = cmp.Or(e.o.Wait, f.wait)
	}
	deployed, err := template.Read(e.o.Root)
	if err != nil {
		return err
	}
	e.counts = newCounts(e, deployed)
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

// startAmazon starts the stand-ins of Amazon's services, and makes the table and an API key.
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
	mapping.dir, mapping.now, mapping.log, mapping.created = filepath.Join(e.o.Dir, bucketFolder), e.now, e.log, e.counts.created
	if err := os.RemoveAll(mapping.dir); err != nil {
		return err
	}
	e.trigger = &trigger{e: e, endpoint: endpoint, table: e.table, mapping: mapping, wake: make(chan struct{}, 1), shards: map[string]*shard{}}
	e.apiKeys = &apikey.Registry{Store: dynamo.New(dynamo.Options{Client: admin, Table: e.table, Now: e.now}), Now: e.now}
	if e.apiKey, err = machine.MakeKey(ctx, e.apiKeys, machine.KeyFile(e.o.Dir), apikey.Scopes(), e.origins); err != nil {
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

// start starts a process of a pool. Its environment has what the template says, and the addresses of the stand-ins.
func (e *Emulator) start(ctx context.Context, p *pool, name string) (process, error) {
	f := p.f
	environment := append(slices.Clone(f.environment),
		"AWS_SAM_LOCAL=true", "AWS_REGION="+amazon.Region, "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local",
		"AWS_LAMBDA_FUNCTION_NAME="+f.step, fmt.Sprintf("COUNTERSIGN_CLOCK_OFFSET=%d", e.ahead.Load()),
	)
	for _, service := range []string{"DYNAMODB", "KMS", "SES", "SNS", "SMS_VOICE", "EVENTBRIDGE"} {
		environment = append(environment, "COUNTERSIGN_"+service+"_ENDPOINT="+e.amazonURL+"/"+name)
	}
	lines := &recentLines{copy: e.o.Output}
	measures := &measured{counts: e.counts, fail: func(err error) { e.log.Warn("a metric can't be read", "step", f.step, "error", err) }}
	lines.see = measures.see
	if f.step == "sweep" {
		lines.see = func(text []byte) {
			measures.see(text)
			e.noteSwept(text)
		}
	}
	path := filepath.Join(p.folder, f.step)
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

// placeOf returns the place with that name, and its pool.
func (e *Emulator) placeOf(name string) (*pool, *place) {
	for _, p := range e.pools {
		for _, of := range p.builds() {
			for _, at := range of.all {
				if at.name == name {
					return of, at
				}
			}
		}
	}
	return nil, nil
}

// now returns the time by the clock of the functions.
func (e *Emulator) now() time.Time {
	return time.Now().UTC().Round(0).Add(time.Duration(e.ahead.Load()) * time.Second)
}

// Table returns the name of the table in DynamoDB Local.
func (e *Emulator) Table() string { return e.table }

// KillAt kills (SIGKILL) the next process of a step that comes to that moment of its work. If at is empty, no process is
// killed.
func (e *Emulator) KillAt(step string, at Moment) { e.deaths.set(step, at) }

// Died returns how many processes of a step were killed by KillAt.
func (e *Emulator) Died(step string) int { return e.deaths.count(step) }

// Kill kills (SIGKILL) every process of a step, and returns how many there were.
func (e *Emulator) Kill(step string) int {
	p := e.pools[step]
	if p == nil {
		return 0
	}
	return p.kill()
}

// Invoke gives the function of a step an event, as sam local invoke does, and returns its answer.
func (e *Emulator) Invoke(ctx context.Context, step string, event []byte) ([]byte, error) {
	p, ok := e.pools[step]
	if !ok {
		return nil, fmt.Errorf("there is no function %q", step)
	}
	return p.invoke(ctx, event)
}

// Steps returns the names of all functions of the template.
func (e *Emulator) Steps() []string { return slices.Sorted(maps.Keys(e.functions)) }

// Issuer returns the base URL at which this machine reaches the emulator. It is also the iss of the tokens.
func (e *Emulator) Issuer() string { return e.origins[0] }

// APIKey returns the API key that is in the data folder. It has every scope, and is valid for every org.
func (e *Emulator) APIKey() seal.Secret { return e.apiKey }

// Close stops everything that Open has started. It kills the functions (SIGKILL).
func (e *Emulator) Close() {
	for i := len(e.closings) - 1; i >= 0; i-- {
		e.closings[i]()
	}
	e.closings = nil
}
