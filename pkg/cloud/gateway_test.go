package cloud

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"countersign/pkg/api"
)

// payload returns a request in the form in which API Gateway sends it. It is made with aws-lambda-go's own type.
func payload(t testing.TB, method, path string, headers map[string]string, body string) []byte {
	t.Helper()
	r := events.APIGatewayV2HTTPRequest{Version: "2.0", RawPath: path, Headers: headers, Body: body}
	r.RequestContext.Stage, r.RequestContext.RequestID = "$default", "gw-1="
	r.RequestContext.HTTP.Method, r.RequestContext.HTTP.SourceIP, r.RequestContext.HTTP.Protocol = method, "192.0.2.1", "HTTP/1.1"
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// through sends a payload through a gateway to handle, and reads the answer with aws-lambda-go's type.
func through(t testing.TB, payload []byte, handle http.HandlerFunc) events.APIGatewayV2HTTPResponse {
	t.Helper()
	out, err := (&gateway{handle, func(*recorder) {}}).Invoke(t.Context(), payload)
	if err != nil {
		t.Fatal(err)
	}
	var res events.APIGatewayV2HTTPResponse
	d := json.NewDecoder(bytes.NewReader(out))
	d.DisallowUnknownFields()
	if err := d.Decode(&res); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return res
}

// fixture reads a file of aws-lambda-go's test data.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-lambda-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "events", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestARequestIsReadAsAWSLambdaGoReadsIt(t *testing.T) {
	for _, name := range []string{
		"apigw-v2-request-iam.json", "apigw-v2-request-jwt-authorizer.json",
		"apigw-v2-request-lambda-authorizer.json", "apigw-v2-request-no-authorizer.json",
	} {
		raw := fixture(t, name)
		var want events.APIGatewayV2HTTPRequest
		decodeJSON(t, raw, &want)
		through(t, raw, func(w http.ResponseWriter, r *http.Request) {
			if r.Method != want.RequestContext.HTTP.Method || r.URL.Path != want.RawPath || r.URL.RawQuery != want.RawQueryString {
				t.Errorf("%s: got %s %s ? %s, want %s %s ? %s", name, r.Method, r.URL.Path, r.URL.RawQuery,
					want.RequestContext.HTTP.Method, want.RawPath, want.RawQueryString)
			}
			if r.RemoteAddr != want.RequestContext.HTTP.SourceIP || r.Host != want.Headers["host"] || r.Proto != want.RequestContext.HTTP.Protocol {
				t.Errorf("%s: got %s for %s by %s", name, r.RemoteAddr, r.Host, r.Proto)
			}
			if _, there := r.Header["Host"]; there {
				t.Errorf("%s: the host is among the headers too", name)
			}
			for key, value := range want.Headers {
				if got := r.Header.Get(key); got != value && !strings.EqualFold(key, "host") && !strings.EqualFold(key, "cookie") {
					t.Errorf("%s: got %s: %q, want %q", name, key, got, value)
				}
			}
			if got := r.Header.Get("Cookie"); len(want.Cookies) > 0 && got != strings.Join(want.Cookies, "; ") {
				t.Errorf("%s: got cookies %q, want %q", name, got, want.Cookies)
			}
			for key, value := range want.QueryStringParameters {
				if got := strings.Join(r.URL.Query()[key], ","); got != value {
					t.Errorf("%s: got %s=%s, want %s", name, key, got, value)
				}
			}
			if got, id := r.Header.Get("X-Request-Id"), strings.TrimRight(want.RequestContext.RequestID, "="); got != id {
				t.Errorf("%s: got request id %q, want %q", name, got, id)
			}
			body := []byte(want.Body)
			if want.IsBase64Encoded {
				body, _ = base64.StdEncoding.DecodeString(want.Body)
			}
			if got, _ := io.ReadAll(r.Body); !bytes.Equal(got, body) || r.ContentLength != int64(len(body)) {
				t.Errorf("%s: got a body of %d bytes, said to be %d, want %d", name, len(got), r.ContentLength, len(body))
			}
		})
	}
}

// edited returns a plain request that change has changed.
func edited(t testing.TB, change func(*events.APIGatewayV2HTTPRequest)) []byte {
	t.Helper()
	var r events.APIGatewayV2HTTPRequest
	decodeJSON(t, payload(t, "POST", "/v1/challenges", nil, ""), &r)
	change(&r)
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWhereACallComesFromIsNeverReadFromAHeader(t *testing.T) {
	raw := edited(t, func(r *events.APIGatewayV2HTTPRequest) {
		r.Headers = map[string]string{"x-forwarded-for": "198.51.100.7", "forwarded": "for=198.51.100.7", "x-real-ip": "198.51.100.7"}
	})
	through(t, raw, func(_ http.ResponseWriter, r *http.Request) {
		if r.RemoteAddr != "192.0.2.1" {
			t.Errorf("got %s, want 192.0.2.1", r.RemoteAddr)
		}
	})
}

func TestAPathIsTakenAsAPIGatewayHandsItAndNotDecodedAgain(t *testing.T) {
	for stage, paths := range map[string]map[string]string{
		"$default": {"/": "/", "/v1/orgs/a b": "/v1/orgs/a b", "/a%2Fb": "/a%2Fb", "//x": "//x", "/$default/x": "/$default/x", "/a?b": "/a?b", "/../x": "/../x"},
		"dev":      {"/dev": "/", "/dev/": "/", "/dev/v1/x": "/v1/x", "/devil/x": "/devil/x", "/v1/dev": "/v1/dev", "/dev/dev/x": "/dev/x"},
		"":         {"//x": "//x", "/v1": "/v1"},
	} {
		for path, want := range paths {
			raw := edited(t, func(r *events.APIGatewayV2HTTPRequest) { r.RawPath, r.RequestContext.Stage = path, stage })
			through(t, raw, func(_ http.ResponseWriter, r *http.Request) {
				if r.URL.Path != want {
					t.Errorf("stage %s, path %s: got %s, want %s", stage, path, r.URL.Path, want)
				}
			})
		}
	}
}

func TestCookiesAndJoinedHeadersComeThroughBothWays(t *testing.T) {
	raw := edited(t, func(r *events.APIGatewayV2HTTPRequest) {
		r.Cookies = []string{"a=1", "b=2"}
		r.Headers = map[string]string{"accept": "text/html,text/plain", "X-MIXED-case": "x", "x-request-id": "mine"}
		r.RawQueryString = "a=1&a=2&b=%20c"
	})
	res := through(t, raw, func(w http.ResponseWriter, r *http.Request) {
		a, _ := r.Cookie("a")
		b, _ := r.Cookie("b")
		if a == nil || b == nil || a.Value+b.Value != "12" {
			t.Errorf("got cookies %v", r.Cookies())
		}
		if got := r.Header.Values("Accept"); !slices.Equal(got, []string{"text/html,text/plain"}) {
			t.Errorf("got Accept %q", got)
		}
		if r.Header.Get("x-mixed-case") != "x" || r.Header.Get("X-Request-Id") != "mine" {
			t.Errorf("got headers %v", r.Header)
		}
		if q := r.URL.Query(); !slices.Equal(q["a"], []string{"1", "2"}) || q.Get("b") != " c" {
			t.Errorf("got query %v", q)
		}
		http.SetCookie(w, &http.Cookie{Name: "x", Value: "1", Secure: true})
		http.SetCookie(w, &http.Cookie{Name: "y", Value: "2", HttpOnly: true})
		w.Header().Add("Vary", "Accept")
		w.Header().Add("Vary", "Cookie")
		w.WriteHeader(http.StatusNoContent)
		w.WriteHeader(http.StatusTeapot)
		w.Header().Set("X-Late", "1")
	})
	want := events.APIGatewayV2HTTPResponse{
		StatusCode: 204, Headers: map[string]string{"Vary": "Accept, Cookie"}, Cookies: []string{"x=1; Secure", "y=2; HttpOnly"},
	}
	if res.StatusCode != want.StatusCode || !maps.Equal(res.Headers, want.Headers) || !slices.Equal(res.Cookies, want.Cookies) || res.Body != "" {
		t.Errorf("got %+v, want %+v", res, want)
	}
}

func TestBodiesComeThroughAsBytesBothWays(t *testing.T) {
	for name, body := range map[string]string{
		"empty": "", "text": `{"a":"é<&>"}`, "not UTF-8": "\xff\x00\xfe", "large": strings.Repeat("x", 1<<20),
	} {
		for _, encoded := range []bool{false, true} {
			if name == "not UTF-8" && !encoded {
				continue
			}
			raw := edited(t, func(r *events.APIGatewayV2HTTPRequest) {
				r.Body, r.IsBase64Encoded = body, encoded
				if encoded {
					r.Body = base64.StdEncoding.EncodeToString([]byte(body))
				}
			})
			res := through(t, raw, func(w http.ResponseWriter, r *http.Request) {
				if r.ContentLength != int64(len(body)) {
					t.Errorf("%s: got length %d, want %d", name, r.ContentLength, len(body))
				}
				io.Copy(w, r.Body)
			})
			got := res.Body
			if res.IsBase64Encoded {
				b, err := base64.StdEncoding.DecodeString(res.Body)
				if err != nil {
					t.Fatal(err)
				}
				got = string(b)
			}
			if got != body || res.IsBase64Encoded != (name == "not UTF-8") || res.StatusCode != 200 {
				t.Errorf("%s: got status %d, %d bytes, base64 %v", name, res.StatusCode, len(got), res.IsBase64Encoded)
			}
		}
	}
}

func TestABodyThatIsNotUTF8IsRefusedHoweverItComes(t *testing.T) {
	w := newWorld(t)
	d := w.open()
	service, key := w.keyed(t, d)
	h := d.serve(func(d *Deployment) http.Handler { return api.New(d.Door(), api.Challenge(service)) })
	const taken = 503 // the handler has accepted the request, and then found no table
	body := func(id string) string { return `{"org":"acme","user":{"id":"` + id + `"}}` }
	broken, replaced := body("ana\xff"), body("ana\uFFFD")
	for _, c := range []struct {
		name, body, length string
		encoded            bool
		want               int
	}{
		{"as bytes", broken, "", true, 400},
		{"as bytes, with its length", broken, strconv.Itoa(len(broken)), true, 400},
		{"as text that another put in its place", replaced, strconv.Itoa(len(broken)), false, 400},
		{"as text, several times", body("\uFFFDana\uFFFD\uFFFD"), strconv.Itoa(len(body("ana")) + 3), false, 400},
		{"the replacement itself", replaced, strconv.Itoa(len(replaced)), false, taken},
		{"the replacement itself, as bytes", replaced, strconv.Itoa(len(replaced)), true, taken},
		{"the replacement itself, of no declared length", replaced, "", false, taken},
		{"another length, and nothing replaced", body("é"), "7", false, taken},
	} {
		raw := edited(t, func(r *events.APIGatewayV2HTTPRequest) {
			r.RawPath, r.Body, r.IsBase64Encoded = "/v1/decisions", c.body, c.encoded
			if c.encoded {
				r.Body = base64.StdEncoding.EncodeToString([]byte(c.body))
			}
			r.Headers = map[string]string{"content-type": "application/json", "authorization": "Bearer " + key}
			if c.length != "" {
				r.Headers["content-length"] = c.length
			}
		})
		out, err := h.Invoke(t.Context(), raw)
		if err != nil {
			t.Fatal(err)
		}
		var res proxyResponse
		decodeJSON(t, out, &res)
		if res.StatusCode != c.want || c.want == 400 && !strings.Contains(res.Body, `"detail":"The body must be one JSON object in UTF-8`) {
			t.Errorf("%s: got %d %s, want %d", c.name, res.StatusCode, res.Body, c.want)
		}
	}
}

func TestAnEncodedAnswerIsSentAsBase64AndNoAnswerIsAnEmptyOne(t *testing.T) {
	res := through(t, payload(t, "GET", "/", nil, ""), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "br")
		io.WriteString(w, "plain enough")
	})
	if !res.IsBase64Encoded {
		t.Error("got an encoded body as text, want base64")
	}
	res = through(t, payload(t, "GET", "/", nil, ""), func(http.ResponseWriter, *http.Request) {})
	if res.StatusCode != 200 || res.Body != "" || res.IsBase64Encoded {
		t.Errorf("got %+v, want an empty 200", res)
	}
	res = through(t, payload(t, "GET", "/", nil, ""), func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<!doctype html>") })
	if got := res.Headers["Content-Type"]; got != "text/html; charset=utf-8" {
		t.Errorf("got Content-Type %q, want what it looks like", got)
	}
}

func TestWhatIsNoPayloadIsAnErrorThatDoesNotRepeatIt(t *testing.T) {
	g := &gateway{http.NotFoundHandler(), func(*recorder) {}}
	for _, raw := range []string{
		``, `null`, `[]`, `{}`, `{"rawPath":"/secret"}`, `{"rawPath":"secret","requestContext":{"http":{"method":"GET"}}}`,
		`{"headers":"secret"}`, `{"rawPath":"/","isBase64Encoded":true,"body":"secret!","requestContext":{"http":{"method":"GET"}}}`,
	} {
		out, err := g.Invoke(t.Context(), []byte(raw))
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %s, %v, want an error that says nothing of it", raw, out, err)
		}
	}
}

func TestABodyThatIsTooLargeIsRefusedByTheDoorBehindTheGateway(t *testing.T) {
	w := newWorld(t)
	d := w.open()
	service, key := w.keyed(t, d)
	h := d.serve(func(d *Deployment) http.Handler { return api.New(d.Door(), api.Verify(service)) })
	out, err := h.Invoke(t.Context(), payload(t, "POST", "/v1/challenges/ch_x/verify",
		map[string]string{"content-type": "application/json", "authorization": "Bearer " + key}, strings.Repeat(" ", 64<<10+1)))
	if err != nil {
		t.Fatal(err)
	}
	var res proxyResponse
	decodeJSON(t, out, &res)
	if res.StatusCode != 413 {
		t.Errorf("got %d %s, want 413", res.StatusCode, res.Body)
	}
}

func TestAProblemIsCountedByItsCodeAndNothingElse(t *testing.T) {
	w := newWorld(t)
	d := w.open()
	h := d.serve(func(d *Deployment) http.Handler {
		return api.New(d.Door(), api.Pages(func(context.Context) ([]byte, error) { return nil, io.EOF }))
	})
	w.Log.Reset()
	for _, path := range []string{"/problems/busy", "/health", "/private/ch_secret"} {
		if _, err := h.Invoke(t.Context(), payload(t, "GET", path, nil, "")); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for line := range strings.Lines(w.Log.String()) {
		if strings.Contains(line, "ch_secret") || strings.Contains(line, "192.0.2.1") {
			t.Errorf("a line says who or where: %s", line)
		}
		var m map[string]any
		decodeJSON(t, []byte(line), &m)
		if m["_aws"] == nil {
			continue
		}
		got = append(got, m["code"].(string))
		about, _ := json.Marshal(m["_aws"].(map[string]any)["CloudWatchMetrics"])
		if want := `[{"Dimensions":[["code"]],"Metrics":[{"Name":"Problems","Unit":"Count"}],"Namespace":"Countersign"}]`; string(about) != want {
			t.Errorf("got %s, want %s", about, want)
		}
		delete(m, "_aws")
		delete(m, "code")
		if !maps.Equal(m, map[string]any{"step": "verify", "Problems": 1.0}) {
			t.Errorf("got a metric with %v", m)
		}
	}
	if want := []string{"unavailable", "not_found"}; !slices.Equal(got, want) {
		t.Errorf("got problems %v, want %v", got, want)
	}
}
