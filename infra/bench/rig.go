package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/pquerna/otp/totp"

	"countersign/infra/amazon"
	"countersign/infra/emulator/emulator"
	"countersign/infra/emulator/template"
	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/store/dynamo"
)

// A rig has the functions, built and running, and an account that stands in for Amazon.
type rig struct {
	amazon      *account
	borrowed    bool // amazon belongs to another rig, which closes it
	dir         string
	module      string // the folder of this project
	table       string
	apiKey      string
	template    *template.Template
	deployed    map[string]*template.Function
	running     map[string]*function
	in          *slot         // the slot in which call starts functions; may be nil
	ahead       time.Duration // how far the functions' clocks are ahead of the clock of this machine
	accessLog   string        // the format of the HTTP API's access log
	metered     usage         // what calls and functions have used
	users, orgs int           // how many were made so far
}

// openRig opens an account, builds the functions, and makes a table with an API key.
func openRig(ctx context.Context) (_ *rig, err error) {
	r := &rig{table: "countersign", running: map[string]*function{}}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if r.dir, err = os.MkdirTemp("", "countersign-bench"); err != nil {
		return nil, err
	}
	if r.amazon, err = openAccount(ctx); err != nil {
		return nil, err
	}
	if r.module, err = moduleFolder(ctx); err != nil {
		return nil, err
	}
	if err := r.build(ctx, "./functions/...", "./infra/bench/hello"); err != nil {
		return nil, err
	}
	service, err := r.service(ctx, r.table)
	if err != nil {
		return nil, err
	}
	key, err := (&apikey.Registry{Store: service.Store, Now: service.Now}).Create(ctx, apikey.Grant{Client: "bench", Scopes: apikey.Scopes()})
	if err != nil {
		return nil, err
	}
	r.apiKey = key.Reveal()
	return r, nil
}

// service makes a table, and returns a service on it that has no key ring.
func (r *rig) service(ctx context.Context, table string) (*mfa.Service, error) {
	admin := dynamo.LocalClient(r.amazon.Table)
	if err := dynamo.CreateTable(ctx, admin, table); err != nil {
		return nil, err
	}
	return &mfa.Service{Store: dynamo.New(dynamo.Options{Client: admin, Table: table}), Now: time.Now, Issuer: issuer}, nil
}

const issuer = "https://bench.example"

// moduleFolder returns the folder of this project, which must be around the folder in which the command is run.
func moduleFolder(ctx context.Context) (string, error) {
	listed, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Module.Dir}}", "countersign/pkg/cloud").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	return strings.TrimSpace(string(listed)), nil
}

// build reads the template of the module, and builds programs of the module for this machine, with the same flags as for Amazon.
// The root of the bench takes the place of the first of the roots that the functions trust, so that they still read as many.
func (r *rig) build(ctx context.Context, programs ...string) error {
	read, err := template.Read(r.module)
	if err != nil {
		return err
	}
	r.template = read
	if r.deployed, err = read.Functions(); err != nil {
		return err
	}
	r.accessLog, _ = template.Of(read.Resources["ApiStage"].Properties, "AccessLogSettings", "Format").(string)
	trusted := filepath.Join(r.module, "pkg", "cloud", "roots.pem")
	roots, err := os.ReadFile(trusted)
	if err != nil {
		return err
	}
	const end = "-----END CERTIFICATE-----\n"
	_, rest, found := strings.Cut(string(roots), end)
	if !found {
		return fmt.Errorf("%s holds no certificate", trusted)
	}
	ours, overlay := filepath.Join(r.dir, "roots.pem"), filepath.Join(r.dir, "overlay.json")
	replace, err := json.Marshal(object{"Replace": map[string]string{trusted: ours}})
	if err != nil {
		return err
	}
	err = errors.Join(os.WriteFile(ours, append(r.amazon.authority.root, rest...), 0o600), os.WriteFile(overlay, replace, 0o600))
	if err != nil {
		return err
	}
	flags := append(emulator.BuildFlags(), "-overlay", overlay, "-o", r.dir+string(filepath.Separator))
	return goBuild(ctx, r.module, nil, append(flags, programs...)...)
}

// goBuild runs go build in a folder. The programs that it builds are static.
func goBuild(ctx context.Context, dir string, environment []string, args ...string) error {
	build := exec.CommandContext(ctx, "go", append([]string{"build"}, args...)...)
	build.Dir = dir
	build.Env = append(append(os.Environ(), "CGO_ENABLED=0"), environment...)
	if said, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, said)
	}
	return nil
}

// environment returns the environment of a function: what the template says, and the addresses of the stand-ins.
func (r *rig) environment(step string) ([]string, error) {
	all, err := r.deployed[step].Variables(map[string]string{
		"Stage": "bench", "Table": r.table, "Key.Arn": amazon.KeyARN, "Bus": amazon.Bus, "Issuer": issuer, "SenderAddress": amazon.Sender, "SenderName": "Countersign",
	})
	return append(all,
		"AWS_SAM_LOCAL=true", "AWS_REGION="+amazon.Region, "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local",
		"AWS_LAMBDA_FUNCTION_NAME="+step,
		"COUNTERSIGN_DYNAMODB_ENDPOINT="+r.amazon.table, "COUNTERSIGN_KMS_ENDPOINT="+r.amazon.services,
		"COUNTERSIGN_SES_ENDPOINT="+r.amazon.services, "COUNTERSIGN_EVENTBRIDGE_ENDPOINT="+r.amazon.services,
		fmt.Sprintf("COUNTERSIGN_CLOCK_OFFSET=%.0f", r.ahead.Seconds()),
	), err
}

// move sets how far the functions' clocks are ahead, and kills the functions that run.
func (r *rig) move(ahead time.Duration) {
	r.stop()
	r.ahead = ahead
}

// now returns the time by the functions' clocks.
func (r *rig) now() time.Time { return time.Now().UTC().Add(r.ahead) }

// program returns the path of a bootstrap.
func (r *rig) program(step string) string { return filepath.Join(r.dir, step) }

// function returns the running process of a step, and starts one if there is none.
func (r *rig) function(ctx context.Context, step string) (*function, error) {
	if f := r.running[step]; f != nil {
		return f, nil
	}
	environment, err := r.environment(step)
	if err != nil {
		return nil, err
	}
	f, err := launch(ctx, r.program(step), environment, r.in)
	if err == nil {
		r.running[step] = f
	}
	return f, err
}

// stop kills all functions.
func (r *rig) stop() {
	for step, f := range r.running {
		f.Kill()
		delete(r.running, step)
	}
}

func (r *rig) close() {
	r.stop()
	if r.amazon != nil && !r.borrowed {
		r.amazon.close()
	}
	os.RemoveAll(r.dir)
}

// payload returns the event that the HTTP API makes of a call. The client of the call has checked the password at that time.
func payload(key, method, path string, body object, at time.Time) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	e := events.APIGatewayV2HTTPRequest{
		Version: "2.0", RouteKey: "$default", RawPath: path, Body: string(text),
		Headers: map[string]string{
			"authorization": "Bearer " + key, "content-type": "application/json", "host": "bench.example", "user-agent": "bench",
			"content-length": fmt.Sprint(len(text)), "x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https", "x-forwarded-port": "443",
		},
	}
	if method == "PUT" {
		e.Headers["if-match"] = `"0"`
	}
	if path == "/v1/enrolments" {
		e.Headers[strings.ToLower(reauthenticated)] = at.UTC().Format(time.RFC3339)
	}
	e.RequestContext.AccountID, e.RequestContext.APIID, e.RequestContext.RequestID = "123456789012", "bench", "bench"
	e.RequestContext.HTTP = events.APIGatewayV2HTTPRequestContextHTTPDescription{
		Method: method, Path: path, Protocol: "HTTP/1.1", SourceIP: "203.0.113.9", UserAgent: "bench",
	}
	return json.Marshal(e)
}

// bodyOf returns the body of a function's answer. It returns an error for every status but 2xx.
func bodyOf(answer []byte) (string, error) {
	var said events.APIGatewayV2HTTPResponse
	if err := json.Unmarshal(answer, &said); err != nil {
		return "", err
	}
	if said.StatusCode/100 != 2 {
		return "", fmt.Errorf("the answer is %d %s", said.StatusCode, said.Body)
	}
	return said.Body, nil
}

// opened returns the JSON object of a function's answer. It returns an error for every status but 2xx.
func opened(answer []byte) (object, error) {
	text, err := bodyOf(answer)
	if err != nil {
		return nil, err
	}
	var body object
	return body, json.Unmarshal([]byte(text), &body)
}

// call makes a call of the HTTP API, and meters it.
func (r *rig) call(ctx context.Context, step, method, path string, body object) (object, error) {
	event, err := payload(r.apiKey, method, path, body, r.now())
	if err != nil {
		return nil, err
	}
	answer, err := r.invoke(ctx, step, event)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", step, err)
	}
	r.metered.calls++
	r.metered.answered += len(answer)
	r.metered.logged += len(r.accessLine(method, path))
	said, err := opened(answer)
	if err != nil {
		return nil, fmt.Errorf("%s: %s %s: %w", step, method, path, err)
	}
	return said, nil
}

// idInPath is the id of a challenge or an enrolment in a path, where the route has {id}.
var idInPath = regexp.MustCompile(`(ch|en)_[A-Za-z0-9_-]+`)

// accessLine returns a line of the HTTP API's access log.
func (r *rig) accessLine(method, path string) string {
	return strings.NewReplacer("$context.requestId", "JKJaXmPLvHcESHA=", "$context.requestTime", "30/Nov/2026:10:00:00 +0000",
		"$context.routeKey", method+" "+idInPath.ReplaceAllString(path, "{id}"), "$context.status", "200", "$context.responseLatency", "25",
		"$context.integrationLatency", "22", "$context.integrationStatus", "200", "$context.responseLength", "950", "$context.error.responseType", "-", "$context.integrationErrorMessage", "-",
	).Replace(r.accessLog)
}

// invoke gives the function of a step an event, and meters that.
func (r *rig) invoke(ctx context.Context, step string, event []byte) ([]byte, error) {
	f, err := r.function(ctx, step)
	if err != nil {
		return nil, err
	}
	before := f.said.bytes()
	answer, took, err := f.invoke(ctx, event)
	r.metered.invocations++
	r.metered.milliseconds += int((took + time.Millisecond - 1) / time.Millisecond)
	r.metered.logged += f.said.bytes() - before
	return answer, err
}

// policy puts the policy of an org, which is that of a profile.
func (r *rig) policy(ctx context.Context, org, profile string) error {
	_, err := r.call(ctx, "policy", "PUT", "/v1/orgs/"+org+"/policy", object{"profile": profile, "acknowledge": true})
	return err
}

// A person is a user who signs in.
type person struct{ org, id, email string }

func (p person) user() object {
	return object{"id": p.id, "email": p.email, "name": "Somebody Example"}
}

// newPerson returns a user of an org who was never seen. The id is as long as a UUID, because applications often use these.
func (r *rig) newPerson(org string) person {
	r.users++
	return person{org, fmt.Sprintf("00000000-0000-4000-8000-%012d", r.users), fmt.Sprintf("somebody.%d@bench.example", r.users)}
}

// browser is the context of a sign-in. Its user agent is as long as those of real browsers.
var browser = object{
	"ip":         "203.0.113.147",
	"user_agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
}

// start begins a sign-in, and returns the answer.
func (r *rig) start(ctx context.Context, p person, trust string) (object, error) {
	body := object{"org": p.org, "user": p.user(), "context": browser}
	if trust != "" {
		body["trust_token"] = trust
	}
	return r.call(ctx, "challenge", "POST", "/v1/challenges", body)
}

// challenged begins a sign-in, and returns the id of the challenge. It returns an error if the user isn't asked.
func (r *rig) challenged(ctx context.Context, p person) (string, error) {
	said, err := r.start(ctx, p, "")
	if err != nil {
		return "", err
	}
	challenge, _ := said["challenge"].(object)
	id, _ := challenge["id"].(string)
	if id == "" {
		return "", fmt.Errorf("the user was not asked: %v", said["reason"])
	}
	return id, nil
}

// enrol enrols an authenticator app for a person, and returns its secret.
func (r *rig) enrol(ctx context.Context, p person) (secret string, err error) {
	begun, err := r.call(ctx, "enrol", "POST", "/v1/enrolments", object{"org": p.org, "user": p.user(), "kind": "totp"})
	if err != nil {
		return "", err
	}
	id, _ := begun["id"].(string)
	app, _ := begun["totp"].(object)
	secret, _ = app["secret"].(string)
	code, err := totp.GenerateCode(secret, r.now())
	if err == nil {
		_, err = r.call(ctx, "enrol", "POST", "/v1/enrolments/"+id+"/finish", object{"code": code})
	}
	return secret, err
}
