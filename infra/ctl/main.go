// Command ctl is what an operator has for a deployment, or for the local server's data: it makes, lists and revokes the
// API keys that applications call with, and says what is wrong and what to do about it.
//
//	go run ./infra/ctl keys create --table NAME --region REGION --client my-app --name "My App" --scope sign_in --scope manage
//	go run ./infra/ctl keys list   --table NAME --region REGION
//	go run ./infra/ctl keys revoke --table NAME --region REGION ak_…
//	go run ./infra/ctl doctor      --table NAME --region REGION --sender sign-in@example.com
//
// With --local DIR in place of --table and --region it works on the data folder of a local server that isn't running;
// with --endpoint URL on a DynamoDB Local of this machine.
//
// Credentials are read from the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN. Whatever
// the AWS command line can log in with, profiles and single sign-on included, gives them by
//
//	eval "$(aws configure export-credentials --format env)"
//
// It exits with 0, with 1 if something went wrong or doctor found something, and with 2 if it was called wrongly.
//
// What it keeps: an API key is printed once, on standard output, alone on its line, and is in nothing else that it
// prints. It refuses to read credentials from files, to talk to a DynamoDB Local of another machine, to share a data
// folder with a running server, and to repair anything: doctor only reads.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"countersign/pkg/apikey"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	p := &program{out: os.Stdout, errs: os.Stderr, environment: os.Getenv, now: time.Now}
	code := p.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// A program is one run of the command.
type program struct {
	out, errs   io.Writer
	environment func(string) string
	now         func() time.Time
	amazon      *http.Client // nil: the SDK's own
}

// longest is how long a verb may take.
const longest = time.Minute

type commands struct {
	place

	Keys struct {
		Create createKey `cmd:"" help:"Make an API key and print it, once."`
		List   listKeys  `cmd:"" help:"List the API keys: id, client, scopes, org, when it was made, origins. The keys themselves are kept nowhere."`
		Revoke revokeKey `cmd:"" help:"End an API key, at once and for good."`
	} `cmd:"" help:"The API keys that applications call with."`
	Doctor doctor `cmd:"" help:"Say what is wrong with a deployment, and what to do. It changes nothing."`
}

// A wrongCall says that the command was called in a way that makes no sense.
type wrongCall string

func (w wrongCall) Error() string { return string(w) }

// run answers the exit code.
func (p *program) run(ctx context.Context, args []string) int {
	var c commands
	ended := -1
	parser, err := kong.New(&c,
		kong.Name("ctl"),
		kong.Description("The operator's command of Countersign. AWS credentials are read from the environment; to have them there: "+
			`eval "$(aws configure export-credentials --format env)"`),
		kong.Writers(p.out, p.errs),
		kong.Exit(func(code int) { ended = code }),
		kong.Vars{"scopes": scopeNames(apikey.Scopes(), ",")},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: false}),
	)
	if err != nil {
		return p.fail(err)
	}
	told, err := parser.Parse(args)
	if ended >= 0 {
		return ended // by --help
	}
	if err == nil {
		err = c.place.check()
	}
	if err != nil {
		return p.fail(wrongCall(err.Error()))
	}
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	told.BindTo(ctx, (*context.Context)(nil))
	return p.fail(told.Run(p, c.place))
}

// errFound says that doctor found something, and has told what.
var errFound = errors.New("something is wrong")

// fail tells of an error, if there is one, and answers the exit code.
func (p *program) fail(err error) int {
	if err == nil {
		return 0
	}
	if errors.Is(err, errFound) {
		return 1
	}
	var wrong wrongCall
	if errors.As(err, &wrong) {
		fmt.Fprintf(p.errs, "ctl: %s; see --help\n", strings.TrimSuffix(wrong.Error(), "."))
		return 2
	}
	fmt.Fprintln(p.errs, "ctl:", explain(err))
	return 1
}
