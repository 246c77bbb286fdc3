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

// backendsTable is the table's name in infra/emulator/env.json.
const backendsTable = "countersign-local"

// Backends are what functions find of Amazon, for functions that somebody else runs, such as "sam local": a DynamoDB Local
// with the template's table in it, and the stand-ins, all at one URL. infra/emulator/env.json points functions there. Nobody
// follows the stream, and no schedule runs.
//
// It has those calls under /local/ that need no function: outbox, events, clock (to read it) and keys.
type Backends struct {
	dir     string
	port    int
	amazon  *amazon.Account
	calls   *machine.Calls
	closing func()
}

// OpenBackends starts them. Into the data folder it puts an API key, the events of the module's events/ with that key in
// them, and an env.json that points functions to Port. ctx bounds the start only. It reads Dir, Port, Root, DynamoDB and Log
// of the options.
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
	key, err := machine.MakeKey(ctx, keys, o.Dir, origins)
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

// Close ends them.
func (b *Backends) Close() { b.closing() }

// What is in the data folder besides the API key.
const (
	eventsFolder = "events"
	settingsFile = "env.json"
)

// copyEvents copies the events of the module at root, with an API key in the place of their bearers, which were made nowhere.
func copyEvents(root, to, key string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(root, "events", "*.json"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no events in %s: %w", root, err)
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

// backendsPort is the one that infra/emulator/env.json points functions to.
const backendsPort = "8081"

// copySettings copies that file, for another port.
func copySettings(root, to string, port int) error {
	text, err := os.ReadFile(filepath.Join(root, "infra", "emulator", settingsFile))
	if err != nil {
		return err
	}
	text = bytes.ReplaceAll(text, []byte(":"+backendsPort+`"`), fmt.Appendf(nil, ":%d\"", port))
	return os.WriteFile(to, text, 0o600)
}

// samConfig is the environment of samconfig.toml that builds and runs functions for this machine's processors.
func samConfig() string {
	if goruntime.GOARCH == "arm64" {
		return "arm"
	}
	return "x86"
}

// welcome says what to type.
func (b *Backends) welcome(out io.Writer, bridged bool) error {
	sh, sam, events := shell.Of(goruntime.GOOS), "--config-env "+samConfig(), filepath.Join(b.dir, eventsFolder)
	local := sam
	if strconv.Itoa(b.port) != backendsPort {
		local += " --env-vars " + sh.Quoted(filepath.Join(b.dir, settingsFile))
	}
	text := `This stands for DynamoDB, KMS, SES and EventBridge, and keeps nothing. In another terminal, in the folder of template.yaml:

    CGO_ENABLED=0 sam build ` + sam + `
    sam local invoke ` + local + ` PolicyFunction --event ` + sh.Quoted(filepath.Join(events, "policy.json")) + `
    sam local invoke ` + local + ` ChallengeFunction --event ` + sh.Quoted(filepath.Join(events, "challenge.json")) + `
    sam local start-api ` + local + `
    curl ` + machine.Origins(b.port)[0] + `/local/outbox
    ` + sh.SetKey(machine.KeyFile(b.dir)) + `

The last line is how to have the API key. The events in ` + events + ` have it; those in events/ have bearers that were made nowhere.
`
	if goruntime.GOOS == "linux" && !bridged {
		text += "Containers of Docker Engine on Linux reach this only with -bridge docker0.\n"
	}
	_, err := io.WriteString(out, text)
	return err
}
