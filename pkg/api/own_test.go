package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"countersign/pkg/api"
	"countersign/pkg/mfa"
	"countersign/pkg/seal"
)

type said struct {
	Name *string `json:"name"`
	Note string  `json:"note"`
}

// ownDoor makes a handler for calls that a program could have beside the API.
func ownDoor(admit func(*http.Request) *mfa.Error) http.Handler {
	type none struct{}
	return api.NewOwn(api.Options{Admit: admit},
		api.Own("POST", "/own/names", api.OwnRules{Body: true, Query: []string{"of"}, Nullable: []string{"note"}, Words: []string{"name"}},
			func(_ context.Context, query map[string]string, q said) (any, error) {
				if q.Name == nil {
					return nil, &mfa.Error{Code: mfa.InvalidRequest, Param: "name", Detail: "This field is required."}
				}
				return struct {
					Key  seal.Secret `json:"key"`
					Name string      `json:"name"`
					Of   string      `json:"of"`
				}{seal.NewSecret("csk_x"), *q.Name, query["of"]}, nil
			}),
		api.Own("GET", "/own/names", api.OwnRules{}, func(context.Context, map[string]string, none) (any, error) {
			return api.Stream(func(_ context.Context, w io.Writer) error {
				_, err := io.WriteString(w, `["a"]`)
				return err
			}), nil
		}),
		api.Own("DELETE", "/own/names", api.OwnRules{}, func(context.Context, map[string]string, none) (any, error) { return nil, nil }),
		api.Own("GET", "/own/broken", api.OwnRules{}, func(context.Context, map[string]string, none) (any, error) { return nil, errors.New("secret detail") }),
		api.Own("GET", "/own/panics", api.OwnRules{}, func(context.Context, map[string]string, none) (any, error) { panic("secret detail") }),
		api.Own("GET", "/own/cut", api.OwnRules{}, func(context.Context, map[string]string, none) (any, error) {
			return api.Stream(func(_ context.Context, w io.Writer) error {
				io.WriteString(w, `["a"`)
				return errors.New("the disk is gone")
			}), nil
		}),
	)
}

func TestOwnCallsKeepTheGroundRulesOfTheAPI(t *testing.T) {
	door := ownDoor(nil)
	for name, c := range map[string]struct {
		method, path, contentType, body string
		status                          int
		want                            string // the answer, or the code and the param of a problem
	}{
		"an answer":                    {"POST", "/own/names?of=x", "application/json", `{"name":"a<b","note":null}`, 200, `{"key":"csk_x","name":"a<b","of":"x"}`},
		"no answer":                    {"DELETE", "/own/names", "", "", 204, ""},
		"a stream":                     {"GET", "/own/names", "", "", 200, `["a"]`},
		"a body left out":              {"POST", "/own/names", "", "", 400, "invalid_request name"},
		"an unknown field":             {"POST", "/own/names", "application/json", `{"Name":"a"}`, 400, "invalid_request Name"},
		"a name twice":                 {"POST", "/own/names", "application/json", `{"name":"a","name":"b"}`, 400, "invalid_request name"},
		"another type":                 {"POST", "/own/names", "application/json", `{"name":7}`, 400, "invalid_request name"},
		"a null that means nothing":    {"POST", "/own/names", "application/json", `{"name":null}`, 400, "invalid_request name"},
		"an empty text":                {"POST", "/own/names", "application/json", `{"name":""}`, 400, "invalid_request name"},
		"something behind the object":  {"POST", "/own/names", "application/json", `{"name":"a"}{}`, 400, "invalid_request body"},
		"no UTF-8":                     {"POST", "/own/names", "application/json", "{\"name\":\"\xff\"}", 400, "invalid_request body"},
		"another media type":           {"POST", "/own/names", "text/plain", `{"name":"a"}`, 415, "unsupported_media_type "},
		"a body that is too large":     {"POST", "/own/names", "application/json", strings.Repeat(" ", 64<<10+1), 413, "too_large "},
		"a query that it doesn't have": {"GET", "/own/names?of=x", "", "", 400, "invalid_request query"},
		"a body where there is none":   {"DELETE", "/own/names", "application/json", "{}", 400, "invalid_request body"},
		"another method":               {"PUT", "/own/names", "", "", 405, "method_not_allowed "},
		"another path":                 {"GET", "/own/nothing", "", "", 404, "not_found "},
		"what breaks":                  {"GET", "/own/broken", "", "", 503, "unavailable "},
		"what panics":                  {"GET", "/own/panics", "", "", 503, "unavailable "},
	} {
		r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
		r.Header.Set("X-Request-Id", "mine-1")
		if c.contentType != "" {
			r.Header.Set("Content-Type", c.contentType)
		}
		w := httptest.NewRecorder()
		door.ServeHTTP(w, r)
		got := w.Body.String()
		if c.status >= 400 {
			var p struct {
				Code      string
				Param     string
				RequestID string `json:"request_id"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.RequestID != "mine-1" || w.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s: got %s, %v, want a problem", name, got, err)
			}
			if strings.Contains(got, "secret detail") {
				t.Errorf("%s: got %s, which says how it broke", name, got)
			}
			got = p.Code + " " + p.Param
		}
		if w.Code != c.status || got != c.want {
			t.Errorf("%s: got %d %s, want %d %s", name, w.Code, got, c.status, c.want)
		}
		if w.Header().Get("X-Request-Id") != "mine-1" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: got the headers %v", name, w.Header())
		}
		if c.status == 405 && w.Header().Get("Allow") != "POST, GET, HEAD, DELETE" {
			t.Errorf("got Allow %q", w.Header().Get("Allow"))
		}
	}
}

func TestWhoIsNotAdmittedToOwnCallsHearsNothingOfThem(t *testing.T) {
	door := ownDoor(func(*http.Request) *mfa.Error { return &mfa.Error{Code: mfa.Forbidden} })
	for _, path := range []string{"/own/names", "/own/nothing"} {
		w := httptest.NewRecorder()
		door.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != 403 || !strings.Contains(w.Body.String(), `"code":"forbidden"`) {
			t.Errorf("%s: got %d %s, want forbidden", path, w.Code, w.Body)
		}
	}
}

func TestAStreamThatBreaksIsCutOff(t *testing.T) {
	s := httptest.NewServer(ownDoor(nil))
	defer s.Close()
	a, err := http.Get(s.URL + "/own/cut")
	if err == nil {
		_, err = io.ReadAll(a.Body)
		a.Body.Close()
	}
	if err == nil {
		t.Error("got a whole answer")
	}
	a, err = http.Head(s.URL + "/own/cut") // an answer that isn't sent isn't made either
	if err != nil || a.StatusCode != 200 {
		t.Errorf("HEAD: got %v, %v", a, err)
	}
}
