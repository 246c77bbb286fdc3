package cloud

import (
	"net/http"
	"testing"
)

// A function answers once, while net/http's server writes piece by piece. The recorder follows the rules of that server.
func TestAnAnswerIsWhatNetHTTPWouldHaveSent(t *testing.T) {
	for name, c := range map[string]struct {
		write  func(http.ResponseWriter)
		status int
		body   string
		header string // the value of X-A
	}{
		"a status": {func(w http.ResponseWriter) { w.WriteHeader(422) }, 422, "", ""},
		"two": {func(w http.ResponseWriter) {
			w.WriteHeader(422)
			w.WriteHeader(200)
		}, 422, "", ""},
		"an informational one first": {func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(201)
		}, 201, "", ""},
		"none": {func(w http.ResponseWriter) { w.Write([]byte("text")) }, 200, "text", ""},
		"a body where none may be": {func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusNoContent)
			if _, err := w.Write([]byte("text")); err != http.ErrBodyNotAllowed {
				t.Errorf("got %v, want %v", err, http.ErrBodyNotAllowed)
			}
		}, 204, "", ""},
		"a header in time": {func(w http.ResponseWriter) {
			w.Header().Set("X-A", "1")
			w.WriteHeader(200)
		}, 200, "", "1"},
		"a header too late": {func(w http.ResponseWriter) {
			w.WriteHeader(200)
			w.Header().Set("X-A", "1")
		}, 200, "", ""},
	} {
		w := &recorder{header: http.Header{}}
		c.write(w)
		w.WriteHeader(http.StatusOK) // the gateway does this at the end
		got := w.response()
		if got.StatusCode != c.status || got.Body != c.body || got.Headers["X-A"] != c.header {
			t.Errorf("%s: got %d, %q, X-A %q, want %d, %q, %q", name, got.StatusCode, got.Body, got.Headers["X-A"], c.status, c.body, c.header)
		}
	}
}
