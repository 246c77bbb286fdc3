// Command ctl is the operator's tool for a deployment, or for the data of a local server. Its verb keys makes, lists, confirms
// and revokes the API keys with which applications call, and lets the key ring be rotated. Its verb policy prints, compares and
// replaces the policy of an organisation, and its verb user shows, unlocks and resets a user, or issues a pass. Its verb import
// takes users over from another system. Its verb restored is for data that was restored from a backup: it ends what the backup
// has brought back. Its verb replay gives the function publish again what that function has given up. Its verb adopt writes the
// files that are needed to import the table and the key of a deleted stack into a new one. Its verb show prints items of the
// table. Its verb audit exports the activity of an organisation, and verifies such an export. Its verb export prints what is
// kept of an organisation or a user. Its verb format says in which format records are written, or sets it. Its verb doctor says
// what is wrong with a deployment, and what to do.
//
//	go run ./infra/ctl keys create --table NAME --region REGION --client my-app --name "My App" --scope sign_in --scope manage
//	go run ./infra/ctl keys list   --table NAME --region REGION
//	go run ./infra/ctl keys revoke --table NAME --region REGION ak_…
//	go run ./infra/ctl keys confirm --table NAME --region REGION ak_… ak_…
//	go run ./infra/ctl keys rotate --table NAME --region REGION
//	go run ./infra/ctl policy get   --table NAME --region REGION ORG
//	go run ./infra/ctl policy diff  --table NAME --region REGION ORG FILE
//	go run ./infra/ctl policy apply --table NAME --region REGION --actor ID ORG FILE
//	go run ./infra/ctl user show    --table NAME --region REGION ORG USER
//	go run ./infra/ctl user unlock  --table NAME --region REGION --actor ID --reason TEXT ORG USER
//	go run ./infra/ctl user reset   --url URL --key-file FILE --actor ID --reason TEXT ORG USER
//	go run ./infra/ctl user pass    --url URL --key-file FILE --actor ID --reason TEXT [--expires 30m] ORG USER
//	go run ./infra/ctl import       --url URL --key-file FILE [--dry-run] ORG FILE
//	go run ./infra/ctl restored    --table NAME --region REGION --moment 2026-11-22T10:20:00Z --events FILE
//	go run ./infra/ctl replay      --table NAME --region REGION --function PUBLISH FOLDER
//	go run ./infra/ctl adopt       --table NAME --region REGION --key KEY --bucket BUCKET --stack STACK FOLDER
//	go run ./infra/ctl show        --table NAME --region REGION PARTITION [SORT]
//	go run ./infra/ctl audit export --table NAME --region REGION ORG
//	go run ./infra/ctl audit verify [--keys FILE] [--events FILE] FILE
//	go run ./infra/ctl export org  --table NAME --region REGION ORG
//	go run ./infra/ctl export user --table NAME --region REGION ORG USER
//	go run ./infra/ctl format      --table NAME --region REGION [NUMBER]
//	go run ./infra/ctl doctor      --table NAME --region REGION --sender sign-in@example.com [--sms sns] [--rp-id DOMAIN]
//
// Resets, passes and imports are carried out by the API, because they need the key ring and the rules of the policy. --key-file is a file
// with an API key that has the scope admin.
//
// With --local DIR instead of --table and --region, it uses the data folder of a local server that isn't running. With
// --endpoint URL, it uses a DynamoDB Local on this machine.
//
// With --json every command prints its answer as JSON: one document, or one object to a line. Errors stay text on standard error.
//
// Credentials are read from the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN. If you can log in
// with the AWS command line, also with profiles or single sign-on, this command sets them:
//
//	eval "$(aws configure export-credentials --format env)"
//
// With AWS_USE_FIPS_ENDPOINT=true in the environment, Amazon is called at its endpoints with FIPS 140 cryptography.
//
// The exit code is 0, or 1 if there was an error or doctor found a problem, or 2 for wrong arguments.
//
// An API key is printed once, on a line of its own on standard output, or in the document that --json prints. Nothing else that
// ctl prints contains it. The command
// refuses to read credentials from files, to use a DynamoDB Local on another machine, and to use a data folder while a server is
// running. Its verb doctor only reads, and repairs nothing.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
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
	context.AfterFunc(ctx, stop) // so that a second signal ends the command at once
	p := &program{out: os.Stdout, errs: os.Stderr, environment: os.Getenv, now: time.Now, lookUpTXT: net.DefaultResolver.LookupTXT}
	code := p.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// A program is one run of the command.
type program struct {
	out, errs   io.Writer
	environment func(string) string
	now         func() time.Time
	amazon      *http.Client // makes the calls to Amazon; nil means the SDK's own client
	json        bool         // answers are printed as JSON

	lookUpTXT func(ctx context.Context, name string) ([]string, error) // looks up the TXT records of a name in the DNS
}

// longest is how long a verb may take, except audit, export and import.
const longest = time.Minute

type commands struct {
	place
	JSON bool `name:"json" help:"Print the answer as JSON, for programs: one document, or one object to a line. It says the same as the text. What is an error or a hint stays text on standard error."`

	Keys struct {
		Create  createKey   `cmd:"" help:"Make an API key and print it once."`
		List    listKeys    `cmd:"" help:"List the API keys with their id, client, scopes, org, time of creation, last day of use, label, origins and name. The keys themselves are not stored."`
		Revoke  revokeKey   `cmd:"" help:"Revoke an API key. It stops working at once, and for ever."`
		Confirm confirmKeys `cmd:"" help:"Confirm API keys after the data was restored from a backup. Until then they are good for nothing, because they may have been revoked since the backup."`
		Rotate  rotateKeys  `cmd:"" help:"Have the key ring rotated: new keys seal and sign from then on, and the old ones still open and verify. The sweep does it at its next run, and every 30 days in any case."`
	} `cmd:"" help:"Make, list, confirm and revoke the API keys with which applications call, and have the key ring rotated."`
	Policy struct {
		Get   getPolicy   `cmd:"" help:"Print the policy that is in force for an organisation."`
		Diff  diffPolicy  `cmd:"" help:"Print the settings in which a policy in a file differs from the one that is in force. This changes nothing."`
		Apply applyPolicy `cmd:"" help:"Replace the policy of an organisation by the one in a file."`
	} `cmd:"" help:"Print, compare and replace the policy of an organisation."`
	User struct {
		Show   showUser   `cmd:"" help:"Print the account of a user."`
		Unlock unlockUser `cmd:"" help:"End every lock of a user. The user is told."`
		Reset  resetUser  `cmd:"" help:"Remove a user's 2FA by the API, as the organisation's policy says: at once, or after a second administrator's approval or a waiting time. The user is told on every channel."`
		Pass   passUser   `cmd:"" help:"Issue a pass for a user by the API, and print it once. With it the user signs in once without a factor. The policy says whether there are passes."`
	} `cmd:"" help:"Print the account of a user, end its locks, remove its 2FA, or issue a pass for it."`
	Import   importUsers   `cmd:"" help:"Import users from another system by the API, with what they have enrolled there, and print what happened to each line. Run it again if it is cut off: what was imported before changes nothing."`
	Restored restoredData  `cmd:"" help:"Say that the data was restored from a backup, before anybody uses it. Everything that was pending or trusted is dead then, and so are recovery codes and API keys that you don't confirm. With the events since then, it also repeats erasures and removals."`
	Replay   replayRecords `cmd:"" help:"Hand records that the function publish has given up to it again, each once."`
	Adopt    adoptTable    `cmd:"" help:"Write the files with which CloudFormation brings the table, the KMS key and the bucket of a deleted stack under a new one. This changes nothing in the account."`
	Show     showItems     `cmd:"" help:"Print items of the table as JSON, with the events that were committed with them, and without what is secret. This changes nothing."`
	Audit    struct {
		Export exportAudit `cmd:"" help:"Print all activity of an organisation that is still kept, as JSON lines, with what is needed to verify it: checkpoints and the keys that verify them. What the activity says of users stays encrypted. This changes nothing."`
		Verify verifyAudit `cmd:"" help:"Say whether an export is as the activity was filed. It needs no deployment and no credentials, and finds one byte that was changed, and an entry, a page, a day or an end that is missing."`
	} `cmd:"" help:"Export the activity of an organisation, and verify such an export."`
	Export struct {
		Org  exportOrg  `cmd:"" help:"Print all that is kept of an organisation, as JSON lines: the policy, its users and the activity, and no secrets. This changes nothing."`
		User exportUser `cmd:"" help:"Print all that is kept of a user, as JSON lines: the account, with factors, browsers and whole contacts, and the activity about the user, and no secrets. This is for somebody who asks what is known of them. This changes nothing."`
	} `cmd:"" help:"Print what is kept of an organisation or a user."`
	Format setFormat `cmd:"" help:"Print the format in which records are written, or set it. A release that brings a new format says when to set it."`
	Doctor doctor    `cmd:"" help:"Say what is wrong with a deployment, and what to do. This changes nothing."`
}

// A wrongCall is the error that the command was called in a wrong way.
type wrongCall string

func (w wrongCall) Error() string { return string(w) }

// run carries out the command and returns its exit code.
func (p *program) run(ctx context.Context, args []string) int {
	var c commands
	ended := -1
	parser, err := kong.New(&c,
		kong.Name("ctl"),
		kong.Description("The operator's command of Countersign. AWS credentials are read from the environment; to set them: "+
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
		return ended // --help was answered
	}
	offline, remote, most := false, false, longest
	if err == nil {
		verb := told.Command()
		offline = strings.HasPrefix(verb, "audit verify")
		_, remote = told.Selected().Target.Addr().Interface().(interface{ overAPI() })
		if strings.HasPrefix(verb, "audit ") || strings.HasPrefix(verb, "export ") || strings.HasPrefix(verb, "import ") {
			most = longestAudit
		}
	}
	switch {
	case err != nil:
	case remote && c.place != place{}:
		err = errors.New("this is done by the API: give --url and --key-file, and leave out --table, --region, --endpoint and --local")
	case remote:
	case !offline:
		err = c.place.check()
	case c.place != place{}:
		err = errors.New("an export is verified without a deployment: leave out --table, --region, --endpoint and --local")
	}
	if err != nil {
		return p.fail(wrongCall(err.Error()))
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	told.BindTo(ctx, (*context.Context)(nil))
	p.json = c.JSON
	return p.fail(told.Run(p, c.place))
}

// errFound means that doctor has found a problem, and has printed it.
var errFound = errors.New("something is wrong")

// fail prints an error, if there is one, and returns the exit code.
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
