package api_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// The requests of this test are sent exactly as they are written. An HTTP client would correct them.
func TestOverTheWireNoSpellingGetsPastTheDoor(t *testing.T) {
	w := newWorld(t)
	server := httptest.NewServer(w.door)
	t.Cleanup(server.Close)
	chunks := "\r\n" + "5\r\n{\"a\":\r\n" + "2\r\n1}\r\n0\r\n\r\n"
	for _, c := range []struct {
		name, request string
		path          string // as the handler sees it
		want          int
	}{
		{"a good one", "GET /health HTTP/1.1\r\nHost: x\r\n\r\n", "/health", 200},
		{"HTTP/1.0", "GET /health HTTP/1.0\r\n\r\n", "/health", 200},
		{"HTTP/1.0 without a bearer", "GET /v1/orgs/acme/policy HTTP/1.0\r\n\r\n", "/v1/orgs/acme/policy", 401},
		{"the absolute form", "GET http://elsewhere/v1/orgs/acme/policy HTTP/1.1\r\nHost: x\r\n\r\n", "/v1/orgs/acme/policy", 401},
		{"dots", "GET /problems/../health HTTP/1.1\r\nHost: x\r\n\r\n", "/problems/../health", 404},
		{"encoded dots", "GET /%2e%2e/health HTTP/1.1\r\nHost: x\r\n\r\n", "/../health", 404},
		{"slashes", "GET //health HTTP/1.1\r\nHost: x\r\n\r\n", "//health", 404},
		{"an encoded slash", "GET /problems%2fbusy/ HTTP/1.1\r\nHost: x\r\n\r\n", "/problems/busy/", 404},
		{"case", "GET /HEALTH HTTP/1.1\r\nHost: x\r\n\r\n", "/HEALTH", 404},
		{"a path parameter", "GET /health;x=y HTTP/1.1\r\nHost: x\r\n\r\n", "/health;x=y", 404},
		{"a stage", "POST /prod/v1/decisions HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "/prod/v1/decisions", 404},
		{"another method", "PROPFIND /v1/decisions HTTP/1.1\r\nHost: x\r\n\r\n", "/v1/decisions", 405},
		{"chunks and a length", "POST /v1/decisions HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n" + chunks, "/v1/decisions", 401},
		{"chunks and a length, with a bearer", "POST /v1/decisions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + w.key +
			"\r\nContent-Type: application/json\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n" + chunks, "/v1/decisions", 400},
		{"a body that is too large", "POST /v1/decisions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + w.key +
			"\r\nContent-Type: application/json\r\nContent-Length: 65537\r\n\r\n" + strings.Repeat(" ", 65537), "/v1/decisions", 413},
		{"a bearer over two lines", "GET /v1/orgs/acme/policy HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer\r\nAuthorization: " + w.key + "\r\n\r\n", "/v1/orgs/acme/policy", 401},
	} {
		line, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if err := line.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(line, c.request); err != nil {
			t.Fatal(err)
		}
		method, _, _ := strings.Cut(c.request, " ")
		got, err := http.ReadResponse(bufio.NewReader(line), nil)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		body, err := io.ReadAll(got.Body)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		line.Close()
		if got.StatusCode != c.want {
			t.Errorf("%s: got %d, want %d: %s", c.name, got.StatusCode, c.want, body)
		}
		if err := w.check.Response(method, c.path, got.StatusCode, got.Header, body); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
