package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/pquerna/otp/totp"
)

const kratosVersion = "v1.3.1"

// kratosModule is the go.mod of a module that builds Ory Kratos, with the versions that the go.mod of Kratos has. Kratos itself
// replaces github.com/ory/client-go by a folder of its repository. Here the published version is used.
const kratosModule = `module kratos

go 1.26.0

require github.com/ory/kratos ` + kratosVersion + `

replace (
	github.com/gobuffalo/pop/v6 => github.com/ory/pop/v6 v6.2.0
	github.com/gorilla/sessions => github.com/ory/sessions v1.2.2-0.20220110165800-b09c17334dc2
	github.com/mattn/go-sqlite3 => github.com/mattn/go-sqlite3 v1.14.22
)
`

const kratosMain = `package main

import (
	"os"

	"github.com/ory/kratos/cmd"
)

func main() { os.Exit(cmd.Execute()) }
`

// kratosSettings are the settings of the quickstart of Kratos where they matter here. Kratos logs errors only, and its hash of
// passwords is cheap, because the check of passwords is not part of the timed phase.
const kratosSettings = `version: v1.3.0
dsn: %s
serve:
  public: {host: 127.0.0.1, port: %s, base_url: "http://127.0.0.1:%[2]s/"}
  admin: {host: 127.0.0.1, port: %s, base_url: "http://127.0.0.1:%[3]s/"}
selfservice:
  default_browser_return_url: http://127.0.0.1/
  methods:
    password: {enabled: true, config: {haveibeenpwned_enabled: false}}
    totp: {enabled: true, config: {issuer: bench}}
  flows:
    settings: {required_aal: highest_available, privileged_session_max_age: 1h, ui_url: "http://127.0.0.1/"}
    login: {lifespan: 1h, ui_url: "http://127.0.0.1/"}
log: {level: error, format: json}
secrets: {cookie: [a-cookie-secret-for-the-bench-only], cipher: [32-characters-for-the-bench-only]}
hashers: {algorithm: argon2, argon2: {memory: 64KB, iterations: 1, parallelism: 1}}
identity:
  default_schema_id: default
  schemas: [{id: default, url: "file://%s"}]
courier: {smtp: {connection_uri: "smtp://127.0.0.1:1/"}}
`

const kratosSchema = `{
  "$id": "bench", "type": "object",
  "properties": {"traits": {"type": "object", "properties": {"email": {
    "type": "string", "format": "email",
    "ory.sh/kratos": {"credentials": {"password": {"identifier": true}, "totp": {"account_name": true}}}
  }}}}
}`

// A kratos is Ory Kratos with a PostgreSQL of its own.
type kratos struct {
	binary, dir string
	store       *postgres
	users       []kratosUser // the users that were made so far
}

// A kratosUser is a user with a password and an authenticator app.
type kratosUser struct{ email, password, secret string }

// buildKratos builds Kratos in the user's cache folder, unless it is there already, and makes its database.
func buildKratos(ctx context.Context, dir string) (_ *kratos, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	home := filepath.Join(cache, "countersign", "kratos-"+kratosVersion)
	k := &kratos{binary: filepath.Join(home, "kratos"), dir: dir}
	if _, err := os.Stat(k.binary); err != nil {
		if err := k.build(ctx, home); err != nil {
			return nil, err
		}
	}
	if k.store, err = openPostgres(ctx); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "identity.json"), []byte(kratosSchema), 0o600); err != nil {
		return nil, errors.Join(err, k.close())
	}
	migrate := exec.CommandContext(ctx, k.binary, "migrate", "sql", "-e", "--yes")
	migrate.Env = append(os.Environ(), "DSN="+k.store.dsn)
	if said, err := migrate.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("migrate Kratos: %w\n%s", err, said), k.close())
	}
	return k, nil
}

func (k *kratos) build(ctx context.Context, home string) error {
	if err := os.MkdirAll(home, 0o755); err != nil {
		return err
	}
	err := errors.Join(os.WriteFile(filepath.Join(home, "go.mod"), []byte(kratosModule), 0o644),
		os.WriteFile(filepath.Join(home, "main.go"), []byte(kratosMain), 0o644))
	if err != nil {
		return err
	}
	tidy := exec.CommandContext(ctx, "go", "mod", "tidy")
	tidy.Dir = home
	if said, err := tidy.CombinedOutput(); err != nil {
		return fmt.Errorf("get Kratos: %w\n%s", err, bytes.TrimSpace(said))
	}
	made := k.binary + ".new"
	if err := goBuild(ctx, home, nil, "-trimpath", "-o", made, "."); err != nil {
		return fmt.Errorf("build Kratos: %w", err)
	}
	return os.Rename(made, k.binary)
}

func (k *kratos) close() error {
	k.store.close()
	return nil
}

// open implements contender.
func (k *kratos) open(ctx context.Context) (running, error) {
	public, admin := freePort(), freePort()
	settings := filepath.Join(k.dir, "kratos.yml")
	text := fmt.Sprintf(kratosSettings, k.store.dsn+"&max_conns=20", public, admin, filepath.Join(k.dir, "identity.json"))
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		return nil, err
	}
	r := &runningKratos{
		process: exec.Command(k.binary, "serve", "--config", settings), of: k,
		public: "http://127.0.0.1:" + public, admin: "http://127.0.0.1:" + admin,
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
	}
	r.process.Env = append(os.Environ(), "SQA_OPT_OUT=true") // Kratos sends no telemetry
	said, err := newJournal()
	if err != nil {
		return nil, err
	}
	defer said.Close()
	r.process.Stdout, r.process.Stderr = said.File, said.File
	if err := r.process.Start(); err != nil {
		return nil, err
	}
	err = until(ctx, func() error {
		_, err := ask(r.http, "GET", r.public+"/health/ready", nil, "")
		return err
	})
	if err != nil {
		r.close()
		return nil, fmt.Errorf("start Kratos: %w: %s", err, said.text())
	}
	return r, nil
}

// freePort returns a port that nobody listened on a moment ago.
func freePort() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "0"
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port
}

// A runningKratos is a running server of Kratos.
type runningKratos struct {
	process       *exec.Cmd
	of            *kratos
	public, admin string
	http          *http.Client
}

func (r *runningKratos) processes() []int {
	return append([]int{r.process.Process.Pid}, family(r.of.store.command.Process.Pid)...)
}

func (r *runningKratos) close() {
	r.process.Process.Kill()
	r.process.Wait()
}

// prepare signs users in with their passwords, and begins their second step. It makes the users that don't exist yet.
func (r *runningKratos) prepare(ctx context.Context, n, atOnce int) (complete func(i int) error, err error) {
	if err := r.of.store.syncing(ctx, false); err != nil {
		return nil, err
	}
	made := len(r.of.users)
	for len(r.of.users) < n {
		i := len(r.of.users)
		r.of.users = append(r.of.users, kratosUser{email: fmt.Sprintf("u%d@bench.example", i), password: fmt.Sprintf("a long password %d", i)})
	}
	sessions, flows := make([]string, n), make([]string, n)
	_, err = all(n, atOnce, func(i int) (err error) {
		u := &r.of.users[i]
		if i >= made {
			if err := r.register(u); err != nil {
				return err
			}
		}
		if sessions[i], err = r.signIn(u); err != nil {
			return err
		}
		flows[i], _, err = r.flow("login/api?aal=aal2", sessions[i])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("sign in to Kratos: %w", err)
	}
	if err := r.of.store.syncing(ctx, true); err != nil {
		return nil, err
	}
	return func(i int) error {
		code, err := totp.GenerateCode(r.of.users[i].secret, time.Now())
		if err != nil {
			return err
		}
		_, err = r.submit("login", flows[i], sessions[i], fmt.Sprintf(`{"method":"totp","totp_code":%q}`, code))
		return err
	}, nil
}

// register makes a user, and enrols an authenticator app for them.
func (r *runningKratos) register(u *kratosUser) error {
	_, err := ask(r.http, "POST", r.admin+"/admin/identities", nil, fmt.Sprintf(
		`{"schema_id":"default","traits":{"email":%q},"credentials":{"password":{"config":{"password":%q}}}}`, u.email, u.password))
	if err != nil {
		return err
	}
	session, err := r.signIn(u)
	if err != nil {
		return err
	}
	u.secret, err = r.enrol(session)
	return err
}

// flow begins a flow of Kratos, and returns its id and what it shows.
func (r *runningKratos) flow(path, session string) (id string, shown object, err error) {
	shown, err = ask(r.http, "GET", r.public+"/self-service/"+path, http.Header{"X-Session-Token": {session}}, "")
	id, _ = shown["id"].(string)
	return id, shown, err
}

func (r *runningKratos) submit(kind, flow, session, body string) (object, error) {
	return ask(r.http, "POST", r.public+"/self-service/"+kind+"?flow="+flow, http.Header{"X-Session-Token": {session}}, body)
}

func (r *runningKratos) signIn(u *kratosUser) (session string, err error) {
	id, _, err := r.flow("login/api", "")
	if err != nil {
		return "", err
	}
	said, err := r.submit("login", id, "", fmt.Sprintf(`{"method":"password","identifier":%q,"password":%q}`, u.email, u.password))
	session, _ = said["session_token"].(string)
	return session, err
}

// enrol enrols an authenticator app for the user of a session, and returns its secret.
func (r *runningKratos) enrol(session string) (secret string, err error) {
	id, shown, err := r.flow("settings/api", session)
	if err != nil {
		return "", err
	}
	ui, _ := shown["ui"].(object)
	nodes, _ := ui["nodes"].([]any)
	for _, n := range nodes {
		node, _ := n.(object)
		attributes, _ := node["attributes"].(object)
		if attributes["id"] != "totp_secret_key" {
			continue
		}
		text, _ := attributes["text"].(object)
		secret, _ = text["text"].(string)
	}
	if secret == "" {
		return "", errors.New("the settings show no secret")
	}
	code, err := totp.GenerateCode(secret, time.Now())
	if err != nil {
		return "", err
	}
	_, err = r.submit("settings", id, session, fmt.Sprintf(`{"method":"totp","totp_code":%q}`, code))
	return secret, err
}
