package emulator

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestTheFrontWaitsForAFunctionAsLongAsTheTemplateSays(t *testing.T) {
	functions, err := readFunctions("../../..", map[string]string{
		"Stage": "dev", "Table": "t", "Key.Arn": "k", "Bus": "b", "Issuer": "http://localhost", "SenderAddress": "a@acme.example",
	})
	if err != nil {
		t.Fatal(err)
	}
	for step, f := range functions {
		if called := len(f.routes) > 0; called != (f.wait == 12*time.Second) || called && f.wait <= f.timeout {
			t.Errorf("%s: the API waits for %s, and the function may take %s, want the 12 s of template.yaml", step, f.wait, f.timeout)
		}
	}
	verify := functions["verify"]
	verify.wait = time.Millisecond
	counted := &counts{now: time.Now}
	busy := map[string]*pool{"verify": {e: &Emulator{counts: counted}, f: verify}} // no place of this pool is ever free
	answer := httptest.NewRecorder()
	began := time.Now()
	(&front{pools: busy, routes: routesOf(functions), now: time.Now, counts: counted, log: slog.New(slog.DiscardHandler)}).
		ServeHTTP(answer, httptest.NewRequest("POST", "/v1/challenges/ch_x/verify", strings.NewReader("{}")))
	if took := time.Since(began); answer.Code != http.StatusServiceUnavailable || took > 10*time.Second {
		t.Errorf("got %d after %s, want 503 as soon as the wait is over", answer.Code, took)
	}
}
