package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/pquerna/otp/totp"
)

// localServer measures verify on the local server with its durable store, over HTTP on loopback. The challenges are begun
// before the timed phase, each by another user, who has enrolled an authenticator app.
func localServer(ctx context.Context, out io.Writer, o options) error {
	dir, err := os.MkdirTemp("", "countersign-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ours, err := buildLocal(ctx, dir)
	if err != nil {
		return err
	}
	fmt.Fprint(out, "| verify on the local server | per second | p50, ms | p99, ms | CPU a verify, ms | resident, MB |\n|---|---|---|---|---|---|\n")
	var every []figures
	for _, atOnce := range []int{4, 64} {
		var rounds []figures
		for range o.rounds {
			f, err := measure(ctx, ours, o.verifies, atOnce)
			if err != nil {
				return err
			}
			rounds = append(rounds, f)
		}
		fmt.Fprintf(out, "| %d at a time | %s |\n", atOnce, cells(rounds))
		every = append(every, rounds...)
	}
	fmt.Fprintf(out, "\nEach figure is the median of %d rounds of %d verifies by %s. Each verify is a conditional write that is synced to disk before the answer. "+
		"The client runs on the same cores. The server is ready %.0f ms after its exec.\n", o.rounds, o.verifies, factorName, median(every, func(f figures) float64 { return f.ready }))
	return nil
}

// factorName names the second factor with which users sign in to the local server.
const factorName = "an authenticator app"

// A local is the local server. Each time it is opened, its store is empty.
type local struct{ binary, dir string }

func buildLocal(ctx context.Context, dir string) (*local, error) {
	l := &local{binary: filepath.Join(dir, "local"), dir: dir}
	return l, goBuild(ctx, "", nil, "-o", l.binary, "countersign/infra/local")
}

// open implements contender.
func (l *local) open(context.Context) (running, error) {
	data, err := os.MkdirTemp(l.dir, "data")
	if err != nil {
		return nil, err
	}
	command := exec.Command(l.binary, "-addr", "127.0.0.1:0", "-data", data)
	stdout, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	r := &runningLocal{process: command, data: data, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err == nil {
		var key []byte
		key, err = os.ReadFile(filepath.Join(data, "api-key"))
		r.base, r.key = strings.TrimSpace(strings.TrimPrefix(line, "listening on ")), strings.TrimSpace(string(key))
	}
	if err != nil {
		r.close()
		return nil, fmt.Errorf("the local server didn't start: %w", err)
	}
	return r, nil
}

// A runningLocal is a running local server.
type runningLocal struct {
	base, key, data string
	http            *http.Client
	process         *exec.Cmd
}

func (l *runningLocal) processes() []int { return []int{l.process.Process.Pid} }

func (l *runningLocal) close() {
	l.process.Process.Kill()
	l.process.Wait()
	os.RemoveAll(l.data)
}

// prepare enrols authenticator apps, and begins challenges.
func (l *runningLocal) prepare(_ context.Context, n, atOnce int) (complete func(i int) error, err error) {
	if _, err := l.call("PUT", "/v1/orgs/bench/policy", `{"trust":{"days":0}}`); err != nil {
		return nil, err
	}
	secrets, ids := make([]string, n), make([]string, n)
	if _, err := all(n, atOnce, func(i int) (err error) {
		user := fmt.Sprintf(`"org":"bench","user":{"id":"u%d","email":"u%[1]d@bench.example"}`, i)
		if secrets[i], err = l.enrol(user); err != nil {
			return err
		}
		a, err := l.call("POST", "/v1/challenges", "{"+user+"}")
		challenge, _ := a["challenge"].(object)
		ids[i], _ = challenge["id"].(string)
		if err == nil && ids[i] == "" {
			err = errors.New("the user was not asked")
		}
		return err
	}); err != nil {
		return nil, err
	}
	if _, err := l.call("GET", "/local/outbox", ""); err != nil { // the server answers this call after it has handed on all events
		return nil, err
	}
	return func(i int) error {
		code, err := nextCode(secrets[i], time.Now())
		if err != nil {
			return err
		}
		_, err = l.call("POST", "/v1/challenges/"+ids[i]+"/verify", `{"code":"`+code+`"}`)
		return err
	}, nil
}

// enrol enrols an authenticator app for a user, and returns its secret.
func (l *runningLocal) enrol(user string) (secret string, err error) {
	begun, err := l.call("POST", "/v1/enrolments", `{"kind":"totp",`+user+"}")
	if err != nil {
		return "", err
	}
	id, _ := begun["id"].(string)
	app, _ := begun["totp"].(object)
	secret, _ = app["secret"].(string)
	code, err := totp.GenerateCode(secret, time.Now())
	if err == nil {
		_, err = l.call("POST", "/v1/enrolments/"+id+"/finish", `{"code":"`+code+`"}`)
	}
	return secret, err
}

// nextCode returns what an authenticator app shows whose clock is 30 seconds ahead, which the default policy allows. That code
// is good even if the code of this time step is spent.
func nextCode(secret string, now time.Time) (string, error) {
	return totp.GenerateCode(secret, now.Add(30*time.Second))
}

func (l *runningLocal) call(method, path, body string) (object, error) {
	header := http.Header{"Authorization": {"Bearer " + l.key}}
	if method == "PUT" {
		header.Set("If-Match", `"0"`)
	}
	if path == "/v1/enrolments" {
		header.Set(reauthenticated, time.Now().UTC().Format(time.RFC3339))
	}
	return ask(l.http, method, l.base+path, header, body)
}

// reauthenticated is the header in which a client says when it has checked the password.
const reauthenticated = "Countersign-Reauthenticated-At"

// ask makes a request, with a JSON body unless body is empty, and returns the JSON object of the answer. It returns an error
// for every status but 2xx.
func ask(client *http.Client, method, url string, header http.Header, body string) (object, error) {
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	request.Header.Set("Accept", "application/json")
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s: %s %s", method, url, response.Status, text)
	}
	var answer object
	return answer, json.Unmarshal(text, &answer)
}
