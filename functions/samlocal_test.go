package functions

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"countersign/infra/dynamolocal/dynamolocaltest"
	"countersign/infra/emulator/emulator"
	"countersign/infra/local/machine"
)

// A laptop is a developer's machine, with a copy of the project, the functions that SAM has built, and the stand-ins of
// Amazon's services that the functions call.
type laptop struct {
	t      *testing.T
	root   string // the folder of the copy
	data   string // the folder of the stand-ins
	base   string // the URL of the stand-ins
	config string // the environment of samconfig.toml for this machine
}

func newLaptop(t *testing.T) *laptop {
	t.Helper()
	sam := filepath.Join(samFolder(t), "bin", "sam")
	l := &laptop{t: t, root: checkout(t), data: t.TempDir(), config: map[string]string{"amd64": "x86", "arm64": "arm"}[goruntime.GOARCH]}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b, err := emulator.OpenBackends(t.Context(), emulator.Options{
		Dir: l.data, Port: listener.Addr().(*net.TCPAddr).Port, Root: l.root, DynamoDB: dynamolocaltest.Start(t).Endpoint,
	})
	if err != nil {
		t.Fatal(err)
	}
	web := &httptest.Server{Listener: listener, Config: &http.Server{Handler: b}}
	web.Start()
	t.Cleanup(func() { web.Close(); b.Close() })
	l.base = web.URL
	build := exec.Command(sam, l.typed("CGO_ENABLED=0 sam build")...)
	build.Dir, build.Env = l.root, append(samEnvironment(t), "CGO_ENABLED=0", "GOFLAGS=-trimpath") // with other flags Go would compile everything again
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("sam build: %v\n%s", err, out)
	}
	return l
}

// typed returns the arguments of SAM in the line of operating.md that begins with begin, for this machine. For "sam local" it
// adds the file with the addresses of these stand-ins, which differ from those in the project's env.json.
func (l *laptop) typed(begin string) []string {
	l.t.Helper()
	for line := range strings.SplitSeq(operatorsCommands(l.t, "On your machine, as deployed"), "\n") {
		if !strings.HasPrefix(line, begin+" ") {
			continue
		}
		_, args, _ := strings.Cut(strings.Replace(line, "--config-env x86", "--config-env "+l.config, 1), "sam ")
		if strings.HasPrefix(args, "local ") {
			args += " --env-vars " + filepath.Join(l.data, "env.json")
		}
		return strings.Fields(args)
	}
	l.t.Fatalf("operating.md has no command %s", begin)
	return nil
}

// invoke runs "sam local invoke" with an event that is in folder.
func (l *laptop) invoke(resource, folder, event string, into any) {
	l.t.Helper()
	args := l.typed("sam local invoke")
	args[slices.Index(args, "PagesFunction")] = resource
	args[slices.Index(args, "events/pages.json")] = filepath.Join(folder, event+".json")
	command := undocked(l.t, l.t.Context(), l.root, args...)
	var said bytes.Buffer
	command.Stderr = &said
	out, err := command.Output()
	if err != nil {
		l.t.Fatalf("sam local invoke %s: %v\n%s", resource, err, said.String())
	}
	if err := json.Unmarshal(out, into); err != nil {
		l.t.Fatalf("sam local invoke %s: %v in %s\n%s", resource, err, out, said.String())
	}
}

func TestSAMRunsTheFunctionsOnADevelopersMachine(t *testing.T) {
	l := newLaptop(t)
	t.Run("each on its event", l.runEveryEvent)
	t.Run("behind the API that it starts", l.signIn)
}

func (l laptop) runEveryEvent(t *testing.T) {
	l.t = t
	_, functions := readTemplate(t)
	var answer events.APIGatewayV2HTTPResponse
	l.invoke(functions["policy"].Resource, "events", "policy", &answer)
	if answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("policy, with the key that was never made: got %d %s, want 401", answer.StatusCode, answer.Body)
	}
	copies := filepath.Join(l.data, "events")
	for _, c := range answersToEvents {
		var answer events.APIGatewayV2HTTPResponse
		l.invoke(functions[stepOf(c.event)].Resource, copies, c.event, &answer)
		if answer.StatusCode != c.status || !strings.Contains(answer.Body, c.want) {
			t.Errorf("%s: got %d %s, want %d and %s", c.event, answer.StatusCode, answer.Body, c.status, c.want)
		}
	}
	var nothing any
	if l.invoke(functions["sweep"].Resource, copies, "sweep", &nothing); nothing != nil {
		t.Errorf("sweep: got %v, want null", nothing)
	}
	var said events.DynamoDBEventResponse
	if l.invoke(functions["publish"].Resource, copies, "publish", &said); len(said.BatchItemFailures) > 0 {
		t.Errorf("publish gives back %v", said.BatchItemFailures)
	}
	if l.invoke(functions["feedback"].Resource, copies, "feedback", &nothing); nothing != nil {
		t.Errorf("feedback: got %v, want null", nothing)
	}
	if got := l.local("events", "events"); len(got) == 0 {
		t.Error("nothing is on the bus")
	}
}

// local reads a list from a path under /local/ of the stand-ins.
func (l *laptop) local(call, name string) (list []map[string]any) {
	l.t.Helper()
	_, body := l.get(l.base + "/local/" + call)
	var said map[string][]map[string]any
	if err := json.Unmarshal([]byte(body), &said); err != nil {
		l.t.Fatalf("%s: %v in %s", call, err, body)
	}
	return said[name]
}

func (l *laptop) get(url string) (status int, body string) {
	l.t.Helper()
	return l.call("GET", url, nil)
}

// call makes a request with the API key. headers are names, each followed by its value.
func (l *laptop) call(method, url string, body any, headers ...string) (status int, text string) {
	l.t.Helper()
	sent, err := json.Marshal(body)
	if err != nil {
		l.t.Fatal(err)
	}
	if body == nil {
		sent = nil
	}
	r, err := http.NewRequest(method, url, bytes.NewReader(sent))
	if err != nil {
		l.t.Fatal(err)
	}
	key, err := os.ReadFile(machine.KeyFile(l.data))
	if err != nil {
		l.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(key)))
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for pair := range slices.Chunk(headers, 2) {
		r.Header.Set(pair[0], pair[1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		l.t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return res.StatusCode, string(answer)
}

func (l laptop) signIn(t *testing.T) {
	l.t = t
	api, _ := startAPI(t, l.root, l.typed("sam local start-api")...)
	want := func(status int, part string, gotStatus int, got string) string {
		t.Helper()
		if gotStatus != status || !strings.Contains(got, part) {
			t.Fatalf("got %d %s, want %d and %s", gotStatus, got, status, part)
		}
		return got
	}
	field := func(body, name string) string {
		t.Helper()
		_, rest, found := strings.Cut(body, `"`+name+`":"`)
		value, _, ended := strings.Cut(rest, `"`)
		if !found || !ended {
			t.Fatalf("no %s in %s", name, body)
		}
		return value
	}
	status, body := l.call("PUT", api+"/v1/orgs/bell/policy", object{"profile": "kls", "acknowledge": true}, "If-Match", `"0"`)
	want(http.StatusOK, `"version":1`, status, body)
	status, body = l.call("POST", api+"/v1/challenges", object{"org": "bell", "user": object{"id": "leo", "email": "leo@bell.example"}})
	id := field(want(http.StatusCreated, `"sent":{`, status, body), "id")
	sent := l.local("outbox?to=leo@bell.example", "messages")
	if len(sent) != 1 {
		t.Fatalf("%d messages, want 1", len(sent))
	}
	status, body = l.call("POST", api+"/v1/challenges/"+id+"/verify", object{"code": sent[0]["code"]})
	want(http.StatusOK, `"verified":true`, status, body)
	status, body = l.get(api + "/.well-known/jwks.json")
	want(http.StatusOK, `"keys":[`, status, body)
}
