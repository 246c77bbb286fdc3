package emulator_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"countersign/infra/dynamolocal/dynamolocaltest"
	"countersign/infra/emulator/emulator"
	"countersign/infra/local/machine"
	"countersign/infra/local/shell"
	"countersign/pkg/store/dynamo"
)

// openBackends opens the stand-ins for a test, and returns their URL and their data folder.
func openBackends(t *testing.T) (base, dir string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	b, err := emulator.OpenBackends(t.Context(), emulator.Options{
		Dir: dir, Port: listener.Addr().(*net.TCPAddr).Port, Root: "../../..", DynamoDB: dynamolocaltest.Start(t).Endpoint,
	})
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: b}
	go web.Serve(listener)
	t.Cleanup(func() { web.Close(); b.Close() })
	return "http://" + listener.Addr().String(), dir
}

func readSettings(t *testing.T, path string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var said struct{ Parameters map[string]string }
	if err := json.Unmarshal(text, &said); err != nil {
		t.Fatal(err)
	}
	return said.Parameters
}

func TestTheShippedSettingsPointToWhereTheBackendsListen(t *testing.T) {
	shipped := readSettings(t, "../env.json")
	_, port, err := net.SplitHostPort(emulator.Command().Addr)
	if err != nil {
		t.Fatal(err)
	}
	base, dir := openBackends(t)
	written := readSettings(t, filepath.Join(dir, "env.json"))
	_, free, _ := strings.Cut(strings.TrimPrefix(base, "http://"), ":")
	endpoints := 0
	for name, value := range shipped {
		want := value
		if strings.HasSuffix(name, "_ENDPOINT") {
			endpoints++
			if value != "http://host.docker.internal:"+port {
				t.Errorf("%s is %s, and the backends listen at port %s", name, value, port)
			}
			want = "http://host.docker.internal:" + free
		}
		if written[name] != want {
			t.Errorf("%s in the data folder: got %s, want %s", name, written[name], want)
		}
	}
	if endpoints != 6 {
		t.Errorf("%d endpoints, want 6", endpoints)
	}
	table, err := dynamo.LocalClient(base).DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String(shipped["COUNTERSIGN_TABLE"])})
	if err != nil || len(table.Table.KeySchema) != 2 {
		t.Errorf("the table that the settings name: %v, %v", table, err)
	}
}

func TestTheBackendsRefuseWhatNoStandInKnows(t *testing.T) {
	base, _ := openBackends(t)
	for path, status := range map[string]int{
		"/": http.StatusBadRequest, "/v2/email/outbound-emails": http.StatusBadRequest, "/local/outbox": http.StatusOK,
		"/local/sweep": http.StatusNotFound, "/local/faults": http.StatusNotFound,
	} {
		res, err := http.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != status {
			t.Errorf("GET %s: got %d, want %d", path, res.StatusCode, status)
		}
	}
}

func TestTheBackendsSayWhatToType(t *testing.T) {
	dynamolocaltest.Endpoint(t) // skips the test if no DynamoDB Local is installed
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, in := io.Pipe()
	dir := t.TempDir()
	ended := make(chan int)
	var errs bytes.Buffer
	go func() {
		code := emulator.Command().Run(ctx, []string{"-backends", "-addr", "127.0.0.1:0", "-data", dir}, in, &errs)
		in.Close()
		ended <- code
	}()
	var said strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "API key") {
			stop()
		}
	}
	if code := <-ended; code != 0 {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	for _, part := range []string{"sam build --config-env", "sam local invoke", "sam local start-api", "--env-vars " + shell.Of(runtime.GOOS).Quoted(filepath.Join(dir, "env.json")),
		machine.KeyFile(dir), filepath.Join(dir, "events", "policy.json")} {
		if !strings.Contains(said.String(), part) {
			t.Errorf("doesn't say %q:\n%s", part, said.String())
		}
	}
}

func TestOnlyABridgeIsListenedOnBesidesLoopback(t *testing.T) {
	for _, args := range [][]string{{"-bridge", "docker0"}, {"-backends", "-bridge", "lo"}, {"-backends", "-bridge", "../net/lo"}, {"-backends", "-addr", "0.0.0.0:0"}} {
		var errs strings.Builder
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if code := emulator.Command().Run(ctx, append(args, "-data", t.TempDir()), io.Discard, &errs); code != 1 {
			t.Errorf("%q: exit code %d, want 1: %s", args, code, errs.String())
		}
		cancel()
	}
}
