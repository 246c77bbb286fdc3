package cloud_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"countersign/infra/amazon"
	"countersign/infra/amazon/amazontest"
	"countersign/pkg/api"
	"countersign/pkg/apikey"
	"countersign/pkg/cloud"
	"countersign/pkg/cloud/email"
	"countersign/pkg/cloud/keyring"
	"countersign/pkg/mfa"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/dynamo"
	"countersign/pkg/store/dynamo/stream"
)

// newWorldWithTable makes a world that also has a table of its own on DynamoDB Local.
func newWorldWithTable(t testing.TB) world { return world{amazontest.NewWithTable(t)} }

// newKey makes an API key that has every scope.
func (w world) newKey(t testing.TB) seal.Secret {
	t.Helper()
	d := w.open()
	key, err := (&apikey.Registry{Store: d.Store(), Now: d.Now}).Create(t.Context(), apikey.Grant{Client: "web", Scopes: apikey.Scopes()})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// ringOf returns the key ring of a keeper.
func ringOf(t testing.TB, keys *keyring.Keeper) *seal.Ring {
	t.Helper()
	ring, err := keys.Ring(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// policy builds the function policy in the same way as its main.
func policy(d *cloud.Deployment) http.Handler {
	s := d.Service()
	s.Keys = keyring.Of(d)
	return api.New(d.Door(), api.Policy(s))
}

// invoke calls a function as API Gateway would call it.
func invoke(t testing.TB, h interface {
	Invoke(context.Context, []byte) ([]byte, error)
}, method, path, bearer, body string) cloud.ProxyResponse {
	t.Helper()
	headers := map[string]string{"content-type": "application/json", "authorization": "Bearer " + bearer}
	if method == "PUT" {
		headers["if-match"] = `"0"`
	}
	out, err := h.Invoke(t.Context(), cloud.Payload(t, method, path, headers, body))
	if err != nil {
		t.Fatal(err)
	}
	var res cloud.ProxyResponse
	decodeJSON(t, out, &res)
	return res
}

func TestASignInGoesThroughTheFunctionsAndItsEventsOntoTheBus(t *testing.T) {
	w := newWorldWithTable(t)
	w.Env["COUNTERSIGN_ROUTINE_EVENTS"] = "true"
	challenge := w.open().Serving(func(d *cloud.Deployment) http.Handler {
		s := d.Service()
		s.Keys, s.Mail = keyring.Of(d), email.Of(d)
		return api.New(d.Door(), api.Challenge(s))
	})
	key := w.newKey(t)
	if res := invoke(t, w.open().Serving(policy), "PUT", "/v1/orgs/acme/policy", key.Reveal(), `{"profile":"kls"}`); res.StatusCode != 200 {
		t.Fatalf("got %d %s, want 200", res.StatusCode, res.Body)
	}
	started := invoke(t, challenge, "POST", "/v1/challenges", key.Reveal(),
		`{"org":"acme","user":{"id":"bob","email":"bob@example.com"},"first_factor":{"kind":"password"}}`)
	if started.StatusCode != 201 {
		t.Fatalf("got %d %s, want 201", started.StatusCode, started.Body)
	}
	var answer struct{ Challenge struct{ ID string } }
	decodeJSON(t, []byte(started.Body), &answer)
	sent, there := w.LastMessage("bob@example.com")
	code := sent.Code()
	if !there || code == "" {
		t.Fatalf("got %+v, want a message with a code", sent)
	}
	path := "/v1/challenges/" + answer.Challenge.ID + "/verify"
	verified := invoke(t, w.open().Serving(verify), "POST", path, key.Reveal(), `{"code":"`+code+`"}`)
	again := invoke(t, w.open().Serving(verify), "POST", path, key.Reveal(), `{"code":"`+code+`"}`)
	if verified.StatusCode != 200 || again.StatusCode == 200 {
		t.Fatalf("got %d %s, then %d, want one success", verified.StatusCode, verified.Body, again.StatusCode)
	}

	publisher := w.open().Streaming(publish)
	poller := stream.New(stream.Options{Client: stream.LocalClient(w.Env["COUNTERSIGN_DYNAMODB_ENDPOINT"]), Table: w.Env["COUNTERSIGN_TABLE"]})
	err := poller.Deliver(t.Context(), 10, func(ctx context.Context, records []store.Record) error {
		out, err := publisher.Invoke(ctx, streamPayload(records))
		if err == nil && string(out) != `{"batchItemFailures":[]}` {
			t.Errorf("got %s, want no failures", out)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, e := range w.Events() {
		kinds = append(kinds, e.DetailType)
	}
	for _, want := range []string{mfa.ChallengeStarted, mfa.ChallengeVerified} {
		if !slices.Contains(kinds, want) {
			t.Errorf("got %v on the bus, want %s in it", kinds, want)
		}
	}
	for _, secret := range []string{code, "bob", key.Reveal(), answer.Challenge.ID, "192.0.2.1"} {
		if strings.Contains(w.Log.String(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}

// streamPayload returns what Lambda would send for records.
func streamPayload(records []store.Record) []byte {
	type s struct{ S string }
	var list []any
	for _, r := range records {
		list = append(list, map[string]any{"eventName": "INSERT", "dynamodb": map[string]any{
			"SequenceNumber": string(r.Version),
			"NewImage": map[string]any{
				"pk": s{r.Key.Partition}, "sk": s{r.Key.Sort}, "v": s{string(r.Version)}, "e": struct{ B []byte }{r.Events},
			},
		}})
	}
	b, _ := json.Marshal(map[string]any{"Records": list})
	return b
}

func TestTheRingIsReadyBeforeTheFirstCall(t *testing.T) {
	w := newWorldWithTable(t)
	key := w.newKey(t)
	h := w.open().Serving(verify)
	if got, want := w.Operations(), "GenerateDataKey"; got != want {
		t.Errorf("got %q asked of KMS at the start, want %s", got, want)
	}
	path := "/v1/challenges/" + seal.ID("ch_", make([]byte, 32)) + "/verify"
	if res := invoke(t, h, "POST", path, key.Reveal(), `{"code":"123456"}`); res.StatusCode != 404 {
		t.Errorf("got %d %s, want 404: there is no such challenge", res.StatusCode, res.Body)
	}
	if got := len(w.Requests()); got != 1 {
		t.Errorf("got %d requests to KMS, want the one at the start", got)
	}
}

func pages(d *cloud.Deployment) http.Handler { return api.New(d.Door(), api.Pages(d.PublishedKeys())) }

func TestPagesReadsThePublishedKeysAndNeitherTheRingNorKMS(t *testing.T) {
	w := newWorldWithTable(t)
	delete(w.Env, "COUNTERSIGN_KMS_KEY")
	h := w.open().Serving(pages)
	both := []string{"/health", "/.well-known/jwks.json"}
	for _, path := range both {
		if res := invoke(t, h, "GET", path, "", ""); res.StatusCode != 503 {
			t.Errorf("%s, before there is a ring: got %d %s, want 503", path, res.StatusCode, res.Body)
		}
	}
	w.Env["COUNTERSIGN_KMS_KEY"] = amazon.KeyARN
	keys := keyring.Of(w.open())
	w.Break(amazon.KMS, false)
	for _, change := range []func() error{
		func() error { _, err := keys.Ring(t.Context()); return err },
		func() error { return keys.Rotate(t.Context()) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		w.Break(amazon.KMS, true)
		for _, path := range both {
			if res := invoke(t, h, "GET", path, "", ""); res.StatusCode != 200 {
				t.Errorf("%s: got %d %s, want 200", path, res.StatusCode, res.Body)
			}
		}
		if got, want := invoke(t, h, "GET", both[1], "", "").Body, string(ringOf(t, keys).JWKS()); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		w.Break(amazon.KMS, false)
	}
}

// meeting holds the first request to the table until the second one has come, and then lets both pass.
type meeting struct {
	tries
	all chan struct{} // closed when both have come
}

func (m *meeting) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("X-Amz-Target") == "DynamoDB_20120810.GetItem" && m.n.Add(1) == 2 {
		close(m.all)
	}
	select {
	case <-m.all:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	return m.RoundTripper.RoundTrip(r)
}

func TestTheFilterKeyIsReadBesideTheRingAndAMadeUpBearerReadsNothing(t *testing.T) {
	w := newWorldWithTable(t)
	ringOf(t, keyring.Of(w.open()))
	for name, step := range map[string]func(*cloud.Deployment) http.Handler{
		"verify": verify,
		"policy": policy,
	} {
		d := w.open()
		met := &meeting{tries: tries{RoundTripper: d.HTTP().Transport}, all: make(chan struct{})}
		d.HTTP().Transport = met
		h := d.Serving(step)
		select {
		case <-met.all:
		default:
			t.Errorf("%s: the two were not read side by side", name)
			continue
		}
		w.At = w.At.Add(seal.RingAge + time.Minute) // the ring is so old now that it would be read again
		asked := met.n.Load()
		for _, prefix := range []string{seal.APIKey, seal.ChallengeToken} {
			bearer := seal.NewFilter().NewBearer(prefix, make([]byte, 48)).Reveal()
			if prefix == seal.APIKey {
				bearer = seal.NewFilter().NewBearer(prefix, make([]byte, 33)).Reveal()
			}
			method, path, body := "POST", "/v1/challenges/"+seal.ID("ch_", make([]byte, 32))+"/verify", `{"code":"123456"}`
			if name == "policy" {
				method, path, body = "PUT", "/v1/orgs/acme/policy", `{"profile":"kls"}`
			}
			if res := invoke(t, h, method, path, bearer, body); res.StatusCode != 401 {
				t.Errorf("%s: got %d %s, want 401", name, res.StatusCode, res.Body)
			}
		}
		if got := met.n.Load() - asked; got != 0 {
			t.Errorf("%s: made-up bearers asked the table %d times", name, got)
		}
	}
}

func TestAFunctionThatStartsWithoutItsTableLetsNobodyInUntilItIsBack(t *testing.T) {
	w := newWorldWithTable(t)
	back := w.Env["COUNTERSIGN_DYNAMODB_ENDPOINT"]
	w.Env["COUNTERSIGN_DYNAMODB_ENDPOINT"] = amazontest.ClosedPort(t)
	d := w.open()
	h := d.Serving(verify)
	try := func() cloud.ProxyResponse {
		path, madeUp := "/v1/challenges/"+seal.ID("ch_", make([]byte, 32))+"/verify", seal.NewFilter().NewBearer(seal.APIKey, make([]byte, 33))
		return invoke(t, h, "POST", path, madeUp.Reveal(), `{"code":"123456"}`)
	}
	if res := try(); res.StatusCode != 503 {
		t.Errorf("without the table: got %d %s, want 503", res.StatusCode, res.Body)
	}
	for _, what := range []string{"key ring", "filter key"} {
		if !strings.Contains(w.Log.String(), "the "+what+" could not be had at the start") {
			t.Errorf("the log doesn't say so of the %s: %s", what, w.Log.String())
		}
	}
	d.Filters().Store = dynamo.New(dynamo.Options{Client: dynamo.LocalClient(back), Table: w.Env["COUNTERSIGN_TABLE"], Now: d.Now})
	if res := try(); res.StatusCode != 401 {
		t.Errorf("with the table: got %d %s, want 401", res.StatusCode, res.Body)
	}
}

// tries counts the attempts that are made through it.
type tries struct {
	http.RoundTripper
	n atomic.Int32
}

func (c *tries) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return c.RoundTripper.RoundTrip(r)
}

func TestARequestToTheTableIsTriedAFewTimesWithinBounds(t *testing.T) {
	for name, test := range map[string]struct {
		answer  http.HandlerFunc
		timeout time.Duration
	}{
		"a server error": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, time.Minute},
		"an answer lost": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, time.Minute},
		"no answer in time": {func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body) // until then the server doesn't notice that the caller has gone
			<-r.Context().Done()
		}, 20 * time.Millisecond},
	} {
		s := httptest.NewServer(test.answer)
		w := newWorld(t)
		w.Env["COUNTERSIGN_DYNAMODB_ENDPOINT"] = s.URL
		d := w.open()
		if d.HTTP().Timeout != cloud.AttemptTime {
			t.Errorf("got a time-out of %s for each attempt, want %s", d.HTTP().Timeout, cloud.AttemptTime)
		}
		count := &tries{RoundTripper: d.HTTP().Transport}
		d.HTTP().Transport, d.HTTP().Timeout = count, test.timeout
		_, err := store.GetOne(t.Context(), d.Store(), mfa.PublishedKeysAt)
		s.Close()
		if got := count.n.Load(); err == nil || got != cloud.Attempts {
			t.Errorf("%s: got %v after %d tries, want an error after %d", name, err, got, cloud.Attempts)
		}
	}
}

// fixed is a store in which the item of every key has the same body.
type fixed struct {
	store.Store
	body []byte
}

func (f *fixed) Get(_ context.Context, keys ...store.Key) (items []store.Item, err error) {
	for _, key := range keys {
		items = append(items, store.Item{Key: key, Version: "v", Body: f.body})
	}
	return items, nil
}

func (f *fixed) Query(context.Context, store.Query) (store.Page, error) { return store.Page{}, nil }

func TestARunSweepsAndTendsTheRingAndOneFailingLeavesTheOther(t *testing.T) {
	w := newWorldWithTable(t)
	if _, err := w.open().Scheduling(sweep).Invoke(t.Context(), []byte(`{"any":"payload"}`)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"message":"swept"`, `"message":"the key ring was changed"`} {
		if !strings.Contains(w.Log.String(), want) {
			t.Errorf("the log has no %s: %s", want, w.Log.String())
		}
	}
	w.At = w.At.Add(30 * 24 * time.Hour)
	w.Break(amazon.KMS, true)
	w.Log.Reset()
	if _, err := w.open().Scheduling(sweep).Invoke(t.Context(), nil); err == nil {
		t.Error("without KMS: the run did not fail, although the ring was due")
	}
	if !strings.Contains(w.Log.String(), `"message":"swept"`) {
		t.Errorf("without KMS nothing was swept: %s", w.Log.String())
	}
	w.Break(amazon.KMS, false)
	w.Log.Reset()
	broken := func(d *cloud.Deployment) cloud.Job {
		s, keys := d.Service(), keyring.Of(d)
		s.Store, s.Keys = &fixed{body: []byte("{}")}, keys
		return d.Sweep(s, keys)
	}
	if _, err := w.open().Scheduling(broken).Invoke(t.Context(), nil); err == nil {
		t.Error("a sweep that reads nonsense did not fail")
	}
	if !strings.Contains(w.Log.String(), "the key ring was changed") {
		t.Errorf("after the sweep failed the ring was not tended: %s", w.Log.String())
	}
}

func TestASweepBeginsNoMoreWorkNearTheEndOfItsTime(t *testing.T) {
	d := newWorld(t).open()
	for left, want := range map[time.Duration]bool{time.Minute: true, cloud.SweepMargin / 2: false, -time.Second: false} {
		ctx, cancel := context.WithTimeout(t.Context(), left)
		if got := d.TimeLeft(ctx); got != want {
			t.Errorf("with %s left: got %v, want %v", left, got, want)
		}
		cancel()
	}
	if !d.TimeLeft(t.Context()) {
		t.Error("without an end there is no time left")
	}
}
