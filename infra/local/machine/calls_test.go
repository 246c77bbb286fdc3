package machine_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"countersign/infra/local/machine"
)

// listing is a service that has these events and messages, and then can't be read any further if err isn't nil.
func listing(t *testing.T, items []string, err error) *httptest.Server {
	t.Helper()
	each := func(each func(json.RawMessage) error) error {
		for _, item := range items {
			if err := each(json.RawMessage(item)); err != nil {
				return err
			}
		}
		return err
	}
	s := httptest.NewServer(&machine.Calls{
		Drain: func(context.Context) error { return nil }, Events: each,
		Outbox: func(to string, do func(json.RawMessage) error) error { return each(do) },
		Log:    slog.New(slog.DiscardHandler),
	})
	t.Cleanup(s.Close)
	return s
}

func TestAListIsSentAsItIsReadAndCutOffWhereItCanNotBeReadToItsEnd(t *testing.T) {
	long := `{"text":"` + strings.Repeat("x", 200<<10) + `"}`
	for path, name := range map[string]string{"/local/outbox": "messages", "/local/events": "events"} {
		for _, items := range [][]string{nil, {`{"a":1}`}, {`{"a":1}`, long, `{"a":"<&>"}`}} {
			a, err := http.Get(listing(t, items, nil).URL + path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(a.Body)
			a.Body.Close()
			if want := `{"` + name + `":[` + strings.Join(items, ",") + "]}\n"; err != nil || string(got) != want || a.StatusCode != 200 {
				t.Errorf("%s: got status %d and %d bytes, %v, want %d", path, a.StatusCode, len(got), err, len(want))
			}
			a, err = http.Get(listing(t, items, errors.New("the disk is gone")).URL + path)
			if err == nil {
				_, err = io.ReadAll(a.Body)
				a.Body.Close()
			}
			if err == nil {
				t.Errorf("%s, not read to its end: got a whole answer", path)
			}
		}
	}
}
