package emulator

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	goruntime "runtime"
	"strconv"
	"time"

	"countersign/infra/amazon"
	"countersign/infra/local/machine"
	"countersign/infra/local/shell"
	"countersign/pkg/apikey"
	"countersign/pkg/store/dynamo"
)

// backendsTable is the name of the table in infra/emulator/env.json.
const backendsTable = "countersign-local"

// Backends stands in for Amazon's services, for functions that another program runs, such as "sam local". It has a DynamoDB Local
// with the table of the template, and the other stand-ins, all at the same URL. infra/emulator/env.json has this URL. Backends
// doesn't read the stream of the table, and runs no schedule.
//
// It has the calls under /local/ that need no function: outbox, events, clock (only to read it) and keys.
type Backends struct {
	dir     string
	port    int
	amazon  *amazon.Account
	calls   *machine.Calls
	closing func()
}

// OpenBackends starts the stand-ins. It writes an API key into the data folder, copies of the events in events/ that have this
// key, and an env.json with the URL of Port. ctx limits only the start. Of the options it uses Dir, Port, Root, DynamoDB and
// Log.
func OpenBackends(ctx context.Context, o Options) (_ *Backends, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Root == "" {
		if o.Root, err = moduleRoot(ctx); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	endpoint, stop, err := startDynamoDB(ctx, o.DynamoDB, o.Log)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			stop()
		}
	}()
	admin := dynamo.LocalClient(endpoint)
	if err := CreateTable(ctx, admin, o.Root, backendsTable); err != nil {
		return nil, err
	}
	origins := machine.Origins(o.Port)
	keys := &apikey.Registry{Store: dynamo.New(dynamo.Options{Client: admin, Table: backendsTable}), Now: time.Now}
	key, err := machine.MakeKey(ctx, keys, machine.KeyFile(o.Dir), apikey.Scopes(), origins)
	if err != nil {
		return nil, err
	}
	if err := copyEvents(o.Root, filepath.Join(o.Dir, eventsFolder), key.Reveal()); err != nil {
		return nil, err
	}
	if err := copySettings(o.Root, filepath.Join(o.Dir, settingsFile), o.Port); err != nil {
		return nil, err
	}
	b := &Backends{dir: o.Dir, port: o.Port, amazon: &amazon.Account{Table: endpoint}, closing: stop}
	sent := outbox{b.amazon}
	b.calls = &machine.Calls{
		API: b.amazon, Drain: func(context.Context) error { return nil }, Outbox: sent.messages, ClearOutbox: sent.clear,
		Events: sent.events, Now: time.Now, Advance: func(int64) error { return machine.ErrTooFar },
		Keys: keys, Origins: origins, Log: o.Log,
	}
	return b, nil
}

// ServeHTTP implements http.Handler.
func (b *Backends) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/local/sweep", "/local/faults":
		http.NotFound(w, r)
	default:
		b.calls.ServeHTTP(w, r)
	}
}

// Close stops the stand-ins.
func (b *Backends) Close() { b.closing() }

// These are the names in the data folder, besides that of the API key.
const (
	eventsFolder = "events"
	settingsFile = "env.json"
)

// copyEvents copies the events of the project at root. The copies have an API key in place of the example bearers.
func copyEvents(root, to, key string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(root, "events", "*.json"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("there are no events in %s: %w", root, err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text = regexp.MustCompile(`\bcs[kt]_[A-Za-z0-9_-]+`).ReplaceAllLiteral(text, []byte(key))
		if err := os.WriteFile(filepath.Join(to, filepath.Base(path)), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// backendsPort is the port in infra/emulator/env.json.
const backendsPort = "8081"

// copySettings copies infra/emulator/env.json with another port.
func copySettings(root, to string, port int) error {
	text, err := os.ReadFile(filepath.Join(root, "infra", "emulator", settingsFile))
	if err != nil {
		return err
	}
	text = bytes.ReplaceAll(text, []byte(":"+backendsPort+`"`), fmt.Appendf(nil, ":%d\"", port))
	return os.WriteFile(to, text, 0o600)
}

// samConfig returns the name of the environment in samconfig.toml for the processor of this machine.
func samConfig() string {
	if goruntime.GOARCH == "arm64" {
		return "arm"
	}
	return "x86"
}

// welcome prints which commands to run.
func (b *Backends) welcome(out io.Writer, bridged bool) error {
	sh, sam, events := shell.Of(goruntime.GOOS), "--config-env "+samConfig(), filepath.Join(b.dir, eventsFolder)
	local := sam
	if strconv.Itoa(b.port) != backendsPort {
		local += " --env-vars " + sh.Quoted(filepath.Join(b.dir, settingsFile))
	}
	text := `These are stand-ins of DynamoDB, KMS, SES, SNS and EventBridge. They forget everything when they stop. Run these commands in another
terminal, in the folder of template.yaml:

    CGO_ENABLED=0 sam build ` + sam + `
    sam local invoke ` + local + ` PolicyFunction --event ` + sh.Quoted(filepath.Join(events, "policy.json")) + `
    sam local invoke ` + local + ` ChallengeFunction --event ` + sh.Quoted(filepath.Join(events, "challenge.json")) + `
    sam local start-api ` + local + `
    curl ` + machine.Origins(b.port)[0] + `/local/outbox
    ` + sh.SetKey(machine.KeyFile(b.dir)) + `

The last line sets KEY to the API key. The events in ` + events + ` have this key. Those in events/ only have example bearers.
`
	if goruntime.GOOS == "linux" && !bridged {
		text += "Containers of Docker Engine on Linux can reach the stand-ins only if you add -bridge docker0.\n"
	}
	_, err := io.WriteString(out, text)
	return err
}
