package dynamolocal_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/infra/dynamolocal"
	"countersign/infra/dynamolocal/dynamolocaltest"
	"countersign/pkg/store/dynamo"
)

func TestItListensOnLoopbackOnly(t *testing.T) {
	endpoint, err := url.Parse(dynamolocaltest.Start(t).Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	if endpoint.Hostname() != "127.0.0.1" {
		t.Errorf("got host %s, want 127.0.0.1", endpoint.Hostname())
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	dialer := net.Dialer{Timeout: 2 * time.Second}
	for _, a := range append(addresses, &net.IPNet{IP: net.IPv4(127, 0, 0, 2)}) {
		ip := a.(*net.IPNet).IP
		c, err := dialer.DialContext(t.Context(), "tcp", net.JoinHostPort(ip.String(), endpoint.Port()))
		if err == nil {
			c.Close()
		}
		if want := ip.Equal(net.IPv4(127, 0, 0, 1)); (err == nil) != want {
			t.Errorf("%s: got connected %t, want %t", ip, err == nil, want)
		}
	}
}

// loaded makes a table, so that the server loads its native library.
func loaded(t *testing.T, server *dynamolocal.Server) *dynamolocal.Server {
	t.Helper()
	if err := dynamo.CreateTable(t.Context(), dynamo.LocalClient(server.Endpoint), "any"); err != nil {
		t.Fatal(err)
	}
	return server
}

// temporary makes a folder for the temporary files of this process and of those that it starts. It returns a function that lists
// what is in the folder.
func temporary(t *testing.T) (files func() []string) {
	t.Helper()
	folder := t.TempDir()
	for _, name := range []string{"TMPDIR", "TMP", "TEMP"} {
		t.Setenv(name, folder)
	}
	return func() (found []string) {
		t.Helper()
		for _, pattern := range []string{"*", "*/*"} {
			matches, err := filepath.Glob(filepath.Join(folder, pattern))
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, matches...)
		}
		return found
	}
}

func TestItLeavesNothingInTheTemporaryFolder(t *testing.T) {
	files := temporary(t)
	server := loaded(t, dynamolocaltest.Start(t))
	if got := files(); len(got) < 2 {
		t.Errorf("got %q while it runs, want a folder with its native library: what it leaves is elsewhere", got)
	}
	server.Stop()
	if left := files(); len(left) > 0 {
		t.Errorf("got %q, want nothing left", left)
	}
}

func TestStopEndsIt(t *testing.T) {
	server := dynamolocaltest.Start(t)
	server.Stop()
	if c, err := net.Dial("tcp", strings.TrimPrefix(server.Endpoint, "http://")); err == nil {
		c.Close()
		t.Error("got a connection after Stop, want none")
	}
	server.Stop() // a second call does nothing
}

// The server is started by another process, which runs this test too, and which is then killed.
func TestItEndsWithTheProcessThatStartedIt(t *testing.T) {
	if os.Getenv("DYNAMOLOCAL_PARENT") != "" {
		os.Stdout.WriteString(loaded(t, dynamolocaltest.Start(t)).Endpoint + "\n")
		<-t.Context().Done()
		return
	}
	dynamolocaltest.NeedInstalled(t)
	files := temporary(t)
	cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "DYNAMOLOCAL_PARENT=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 100)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	address := strings.TrimPrefix(strings.TrimSpace(string(line[:n])), "http://")
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	c.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := c.Read(line); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want that the connection is closed", err)
	}
	if left := files(); len(left) > 0 {
		t.Errorf("got %q, want nothing left", left)
	}
}

func TestInstallSaysWhichPackageIsMissing(t *testing.T) {
	for program, want := range map[string]string{"mvn": "maven", "javac": "default-jdk-headless"} {
		t.Run(program, func(t *testing.T) {
			bin := t.TempDir()
			for _, other := range []string{"mvn", "javac"} {
				if other != program {
					if err := os.WriteFile(filepath.Join(bin, other), []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
						t.Fatal(err)
					}
				}
			}
			cache := t.TempDir()
			t.Setenv("PATH", bin)
			t.Setenv("XDG_CACHE_HOME", cache)
			t.Setenv("HOME", cache)
			_, err := dynamolocal.Install(t.Context(), nil)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want the name of package %s", err, want)
			}
			if dynamolocal.Installed() {
				t.Error("got installed, want not")
			}
			left, err := filepath.Glob(filepath.Join(cache, "countersign", "installing-*"))
			if err != nil || len(left) > 0 {
				t.Errorf("left behind: got %q, %v, want nothing", left, err)
			}
		})
	}
}

func TestAnInstallThatFailsLeavesNothingThatLooksInstalled(t *testing.T) {
	bin, cache := t.TempDir(), t.TempDir()
	script := "#!/bin/sh\necho no network >&2\nexit 1\n"
	for _, program := range []string{"mvn", "javac"} {
		if err := os.WriteFile(filepath.Join(bin, program), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin)
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("HOME", cache)
	_, err := dynamolocal.Install(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "no network") {
		t.Errorf("got %v, want what mvn said", err)
	}
	if dynamolocal.Installed() {
		t.Error("got installed, want not")
	}
	if _, err := dynamolocal.Start(t.Context(), dynamolocal.Options{}); err == nil {
		t.Error("start: got nil, want that it is not installed")
	}
}

func TestAStartThatIsGivenUpEndsIt(t *testing.T) {
	dynamolocaltest.NeedInstalled(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := dynamolocal.Start(ctx, dynamolocal.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the context was cancelled", err)
	}
}
