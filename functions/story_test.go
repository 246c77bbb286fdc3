package functions

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"countersign/infra/amazon"
	"countersign/infra/emulator/emulator"
	"countersign/infra/emulator/template"
	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/store"
	"countersign/pkg/store/dynamo"
	"countersign/pkg/store/dynamo/stream"
)

// A deployment has all functions of the template, each in processes of its own, as Lambda would run them, and one account.
type deployment struct {
	t         testing.TB
	functions map[string]*template.Function
	account   *account
	endpoints map[string]string // the URL of the account for each function
	admin     *dynamodb.Client  // the test uses the table itself through this client
	feed      store.Feed
	key       string // an API key with every scope

	mu          sync.Mutex
	offset      time.Duration         // how far the functions' clocks are ahead
	smsProvider string                // the parameter SmsProvider; empty means none
	idle        map[string][]*runtime // processes that wait for an event, by function
	ran         []*runtime            // all processes that were ever started
}

// deploy makes the table and an API key, and starts every function. Each function finds no key ring and no filter key, as if
// it were the first to start.
func deploy(t testing.TB, functions map[string]*template.Function) *deployment {
	d := &deployment{
		t: t, functions: functions, account: newAccount(t), endpoints: map[string]string{}, idle: map[string][]*runtime{},
	}
	d.admin = dynamo.LocalClient(d.account.Table)
	if err := emulator.CreateTable(t.Context(), d.admin, "..", d.account.name); err != nil {
		t.Fatal(err)
	}
	d.feed = stream.New(stream.Options{Client: stream.LocalClient(d.account.Table), Table: d.account.name})
	for _, step := range slices.Sorted(maps.Keys(functions)) {
		d.endpoints[step] = d.account.endpoint(step)
		d.remove("ring", "ring")
		d.remove("filter", "filter")
		d.release(step, d.take(step))
	}
	d.remove("ring", "ring")
	d.sweep()
	keys := &apikey.Registry{Store: d.store(), Now: time.Now}
	key, err := keys.Create(t.Context(), apikey.Grant{Client: "my-app", Scopes: apikey.Scopes()})
	if err != nil {
		t.Fatal(err)
	}
	d.key = key.Reveal()
	d.restart() // so that all functions have the same key ring and filter key
	return d
}

// store returns the table, for what the test does itself.
func (d *deployment) store() store.Store {
	return dynamo.New(dynamo.Options{Client: d.admin, Table: d.account.name})
}

// environment returns the environment of a function's process: what the template says, and the addresses of the stand-ins.
func (d *deployment) environment(f *template.Function) []string {
	d.t.Helper()
	all, err := f.Variables(map[string]string{
		"Stage": "test", "Table": d.account.name, "Key.Arn": amazon.KeyARN, "Bus": amazon.Bus, "Issuer": "https://countersign.example",
		"SenderAddress": amazon.Sender, "SenderName": "Countersign", "RpId": "countersign.example", "RelatedOrigins": "https://app.co.example",
		"SesConfigurationSet": configurationSet, "SmsProvider": cmp.Or(d.smsProvider, "none"), "SmsOriginationArn": originationArn, "RoutineEvents": "true",
	})
	if err != nil {
		d.t.Fatal(err)
	}
	for name := range f.Environment {
		if strings.HasPrefix(name, "COUNTERSIGN_") && strings.HasSuffix(name, "_ENDPOINT") {
			all = append(all, name+"="+d.endpoints[f.Step])
		}
	}
	return append(all,
		"AWS_SAM_LOCAL=true", "AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local",
		fmt.Sprintf("COUNTERSIGN_CLOCK_OFFSET=%d", d.offset/time.Second),
	)
}

// take returns an idle process of a function, and starts one if there is none.
func (d *deployment) take(step string) *runtime {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if waiting := d.idle[step]; len(waiting) > 0 {
		d.idle[step] = waiting[1:]
		return waiting[0]
	}
	f := d.functions[step]
	if f == nil {
		d.t.Fatalf("the template has no function %s", step)
	}
	r := launch(d.t, step, d.environment(f))
	d.ran = append(d.ran, r)
	return r
}

func (d *deployment) release(step string, r *runtime) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.idle[step] = append(d.idle[step], r)
}

// advance moves the functions' clocks forward, and restarts all processes, because each reads its offset at its start.
func (d *deployment) advance(by time.Duration) {
	d.offset += by
	d.restart()
}

// restart kills every process, so that the next calls are cold starts. No process may be busy.
func (d *deployment) restart() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, waiting := range d.idle {
		for _, r := range waiting {
			r.Kill()
		}
	}
	clear(d.idle)
}

// logs returns what all processes have logged.
func (d *deployment) logs() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all strings.Builder
	for _, r := range d.ran {
		all.WriteString(r.log.String())
	}
	return all.String()
}

// remove deletes an item from the table, as DynamoDB does when the item has expired.
func (d *deployment) remove(partition, sort string) {
	d.t.Helper()
	_, err := d.admin.DeleteItem(context.Background(), &dynamodb.DeleteItemInput{
		TableName: aws.String(d.account.name),
		Key: map[string]types.AttributeValue{
			"pk": &types.AttributeValueMemberS{Value: partition}, "sk": &types.AttributeValueMemberS{Value: sort},
		},
	})
	if err != nil {
		d.t.Error(err)
	}
}

// An answer is the response to a call.
type answer struct {
	status int
	body   string
	object
}

func (a answer) text(path ...string) string {
	s, _ := template.Of(a.object, path...).(string)
	return s
}

func (a answer) want(t testing.TB, status int) answer {
	t.Helper()
	if a.status != status {
		t.Errorf("got %d %s, want %d", a.status, a.body, status)
	}
	return a
}

// call invokes the function that a request is for, as API Gateway would. headers are names, each followed by its value.
func (d *deployment) call(method, path string, body object, headers ...string) answer {
	d.t.Helper()
	step, route := routeOf(method, path)
	if step == "" {
		d.t.Fatalf("no route for %s %s", method, path)
	}
	request := events.APIGatewayV2HTTPRequest{
		Version: "2.0", RouteKey: method + " " + route, RawPath: path,
		Headers: map[string]string{"authorization": "Bearer " + d.key},
	}
	request.RequestContext.RouteKey, request.RequestContext.Stage = request.RouteKey, "$default"
	request.RequestContext.HTTP.Method, request.RequestContext.HTTP.Path = method, path
	request.RequestContext.HTTP.SourceIP = "203.0.113.9"
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			d.t.Fatal(err)
		}
		request.Body, request.Headers["content-type"] = string(text), "application/json"
	}
	for i := 0; i < len(headers); i += 2 {
		request.Headers[headers[i]] = headers[i+1]
	}
	var response events.APIGatewayV2HTTPResponse
	d.run(step, request, &response)
	a := answer{status: response.StatusCode, body: response.Body}
	if strings.HasPrefix(a.body, "{") {
		if err := json.Unmarshal([]byte(a.body), &a.object); err != nil {
			d.t.Fatal(err)
		}
	}
	return a
}

// run invokes a function with an event.
func (d *deployment) run(step string, event, into any) {
	d.t.Helper()
	payload, err := json.Marshal(event)
	if err != nil {
		d.t.Fatal(err)
	}
	d.invoke(step, payload, into)
}

// invoke invokes a function with a payload. If into is nil, the answer is dropped.
func (d *deployment) invoke(step string, payload []byte, into any) {
	d.t.Helper()
	r := d.take(step)
	defer d.release(step, r)
	answer, err := r.Invoke(context.Background(), payload, d.functions[step].Timeout)
	if err != nil {
		d.t.Errorf("%s: %v: %s", step, err, r.log.String())
		return
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(answer.Body, into); err != nil {
		d.t.Errorf("%s: %v in %s", step, err, answer.Body)
	}
}

// publish invokes the function publish with the records of the stream, as Lambda would.
func (d *deployment) publish() {
	d.t.Helper()
	err := d.feed.Deliver(context.Background(), 100, func(_ context.Context, records []store.Record) error {
		var batch events.DynamoDBEvent
		for i, r := range records {
			record := events.DynamoDBEventRecord{EventName: "MODIFY", EventSource: "aws:dynamodb"}
			record.Change.SequenceNumber = fmt.Sprint(1000 + i)
			record.Change.StreamViewType = "NEW_IMAGE"
			record.Change.Keys = map[string]events.DynamoDBAttributeValue{
				"pk": events.NewStringAttribute(r.Key.Partition), "sk": events.NewStringAttribute(r.Key.Sort),
			}
			record.Change.NewImage = maps.Clone(record.Change.Keys)
			record.Change.NewImage["v"] = events.NewStringAttribute(string(r.Version))
			record.Change.NewImage["e"] = events.NewBinaryAttribute(r.Events)
			batch.Records = append(batch.Records, record)
		}
		var said events.DynamoDBEventResponse
		d.run("publish", batch, &said)
		if len(said.BatchItemFailures) > 0 {
			d.t.Errorf("publish gives back %v", said.BatchItemFailures)
		}
		return nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *deployment) sweep() {
	d.t.Helper()
	d.run("sweep", events.EventBridgeEvent{Source: "aws.scheduler", DetailType: "Scheduled Event", Detail: json.RawMessage(`"{}"`)}, nil)
}

// person returns the user in the body of a start.
func person(id, email string) object { return object{"id": id, "email": email} }

func (d *deployment) begin(user, more object, headers ...string) answer {
	d.t.Helper()
	body := object{"org": "acme", "user": user}
	maps.Copy(body, more)
	return d.call("POST", "/v1/challenges", body, headers...)
}

func (d *deployment) verify(challenge, code string, more object, headers ...string) answer {
	d.t.Helper()
	body := object{"code": code}
	maps.Copy(body, more)
	return d.call("POST", "/v1/challenges/"+challenge+"/verify", body, headers...)
}

// code returns the code that was sent to an address last.
func (d *deployment) code(to string) string {
	d.t.Helper()
	code := regexp.MustCompile(`\b\d{6}\b`).FindString(d.account.lastMail(to))
	if code == "" {
		d.t.Errorf("no code was sent to %s", to)
		return "000000"
	}
	return code
}

func wrong(code string) string { return string('0'+(code[0]-'0'+1)%10) + code[1:] }

// lock gives wrong codes for a user until the user is locked.
func (d *deployment) lock(user object) {
	d.t.Helper()
	for range 2 {
		d.advance(time.Minute)
		id := d.begin(user, nil).want(d.t, http.StatusCreated).text("challenge", "id")
		for range 5 {
			d.verify(id, wrong(d.code(user["email"].(string))), nil).want(d.t, http.StatusUnprocessableEntity)
		}
	}
}

// trusted signs a user in with a new browser, and returns the trust token.
func (d *deployment) trusted(user object) string {
	d.t.Helper()
	id := d.begin(user, nil).want(d.t, http.StatusCreated).text("challenge", "id")
	return d.verify(id, d.code(user["email"].(string)), object{"trust": object{"name": "Firefox"}}).want(d.t, http.StatusOK).text("trust_token")
}

// story makes the functions do everything that they ever ask AWS for. If it leaves something out, a statement of a role is
// reported as never used.
func (d *deployment) story() {
	t := d.t
	d.setPolicy(object{"profile": "kls", "acknowledge": true, "trust": object{"days": 1, "cap": 1}})
	ana := person("ana", "ana@acme.example")

	// A new user signs in twice at once. The sign-in that loses the race reads what it wanted to write.
	d.account.beforeNextWrite("challenge", func() { d.begin(ana, nil).want(t, http.StatusCreated) })
	first := d.begin(ana, nil, "idempotency-key", "first").want(t, http.StatusCreated)
	id := first.text("challenge", "id")
	d.begin(ana, nil, "idempotency-key", "first").want(t, http.StatusCreated)
	d.call("POST", "/v1/decisions", object{"org": "acme", "user": ana}).want(t, http.StatusOK)
	d.call("GET", "/v1/challenges/"+id, nil).want(t, http.StatusOK)

	// The provider refuses a code, so the remembered answer is corrected.
	d.advance(time.Minute)
	d.account.mailWorks(false)
	d.call("POST", "/v1/challenges/"+id+"/send", object{}, "idempotency-key", "again").want(t, http.StatusBadGateway)
	d.account.mailWorks(true)
	d.advance(time.Minute)
	d.call("POST", "/v1/challenges/"+id+"/send", object{}, "idempotency-key", "again").want(t, http.StatusOK)

	// A right answer that makes the browser trusted meets a wrong one.
	code := d.code("ana@acme.example")
	d.account.beforeNextWrite("verify", func() { d.verify(id, wrong(code), nil) })
	verified := d.verify(id, code, object{"trust": object{"name": "Firefox"}}, "idempotency-key", "answer").want(t, http.StatusOK)

	// The token of a trusted browser rotates, and an old one is used after its successor was.
	old := verified.text("trust_token")
	next := d.begin(ana, object{"trust_token": old}).want(t, http.StatusOK).text("trust_token")
	d.begin(ana, object{"trust_token": next}).want(t, http.StatusOK)
	d.begin(ana, object{"trust_token": old}).want(t, http.StatusCreated)
	d.trusted(ana)
	d.trusted(ana) // this is more than the cap, so trust in the earlier browser ends

	// Another process files activity at the same moment.
	d.account.beforeNextWriteTo("publish", "act#", func(partitions []string) { d.filePage(slices.Max(partitions)) })
	d.publish()
	d.call("GET", "/v1/orgs/acme/activity", nil).want(t, http.StatusOK)
	d.call("GET", "/v1/orgs/acme/users", nil).want(t, http.StatusOK)
	d.call("GET", "/v1/orgs/acme/users/ana/activity", nil).want(t, http.StatusOK)

	// A profile changes while its user signs in, and the other way round.
	d.put("ben", object{"name": "Ben"})
	d.account.beforeNextWrite("challenge", func() { d.put("ben", object{"name": "Benedict"}) })
	ben := person("ben", "ben@acme.example")
	id = d.begin(ben, nil).want(t, http.StatusCreated).text("challenge", "id")
	d.account.beforeNextWrite("account", func() { d.verify(id, wrong(d.code("ben@acme.example")), nil) })
	d.put("ben", object{"email": nil})
	d.call("GET", "/v1/orgs/acme/users/ben", nil).want(t, http.StatusOK)
	d.account.beforeNextWrite("account", func() { d.begin(ben, nil).want(t, http.StatusCreated) })
	d.erase("ben")

	// A user is erased during a sign-in, during an answer, and while the notice of a lock is sent.
	cleo := person("cleo", "cleo@acme.example")
	d.put("cleo", object{"email": "cleo@acme.example"})
	d.account.beforeNextWrite("challenge", func() { d.erase("cleo") })
	id = d.begin(person("cleo", "new@acme.example"), nil).want(t, http.StatusCreated).text("challenge", "id")
	d.account.beforeNextWrite("verify", func() { d.erase("cleo") })
	d.verify(id, d.code("new@acme.example"), nil).want(t, http.StatusNotFound)
	d.lock(cleo)
	d.account.mailWorks(false)
	d.account.beforeNextWriteTo("publish", "u#", func([]string) { d.erase("cleo") })
	d.publish()
	d.account.mailWorks(true)

	// An administrator unlocks a user just when the user's profile changes.
	d.lock(person("dan", "dan@acme.example"))
	d.account.beforeNextWrite("admin", func() { d.put("dan", object{"name": "Dan"}) })
	unlock := object{"actor": "olga", "reason": "called"}
	d.call("POST", "/v1/orgs/acme/users/dan/unlock", unlock, "idempotency-key", "unlock").want(t, http.StatusOK)

	// The sweep announces that trust has ended. For one browser the expiry entry is gone before it can.
	d.sweep()
	d.advance(25 * time.Hour)
	d.account.beforeNextWriteTo("sweep", "due#", func([]string) { d.removePartitions("due#") })
	d.sweep()
	d.publish()

	d.enforcement()

	d.factors()
	d.keys()
	d.imports()
	d.texts("sns", "+447400123456")
	d.texts("end-user-messaging", "+447400123457")

	d.notices()
	d.comeBack()
	d.orgs()
	d.portal()

	// A month later the keys are changed.
	d.remove("sweep", "mark") // otherwise the sweep would look at every hour of the month
	d.advance(31 * 24 * time.Hour)
	d.sweep()

	d.call("GET", "/v1/orgs/acme/policy", nil).want(t, http.StatusOK)
	d.call("GET", "/.well-known/jwks.json", nil).want(t, http.StatusOK)
	d.call("GET", "/health", nil).want(t, http.StatusOK)
	d.call("GET", "/problems/busy", nil).want(t, http.StatusOK)
}

// filePage files an event for the org and the day of a partition, as another process of publish would.
func (d *deployment) filePage(partition string) {
	d.t.Helper()
	parts := strings.Split(partition, "#")
	org, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		d.t.Error(err)
		return
	}
	at, err := time.Parse(time.DateOnly, parts[2])
	if err != nil {
		d.t.Error(err)
		return
	}
	beside := activity.Log{Store: d.store(), Commit: func(ctx context.Context, plan func(time.Time) ([]store.Write, error)) error {
		writes, err := plan(at)
		if err != nil {
			return err
		}
		return d.store().Commit(ctx, store.NewVersion(), writes...)
	}}
	event := activity.Event{ID: "ev_beside", Type: "policy.changed", Time: at, Org: "acme", Actor: activity.Actor{Kind: "service"}}
	if err := beside.File(context.Background(), []activity.Filing{{Event: event, Route: activity.Route(org)}}); err != nil {
		d.t.Error(err)
	}
}

func (d *deployment) setPolicy(policy object) {
	d.t.Helper()
	d.call("PUT", "/v1/orgs/acme/policy", policy, "if-match", `"0"`).want(d.t, http.StatusOK)
}

func (d *deployment) put(user string, profile object) {
	d.t.Helper()
	d.call("PUT", "/v1/orgs/acme/users/"+user, profile).want(d.t, http.StatusOK)
}

func (d *deployment) erase(user string) {
	d.t.Helper()
	d.call("DELETE", "/v1/orgs/acme/users/"+user, nil).want(d.t, http.StatusNoContent)
}

// removePartitions deletes all items of the partitions that begin with prefix.
func (d *deployment) removePartitions(prefix string) {
	d.t.Helper()
	all, err := d.admin.Scan(context.Background(), &dynamodb.ScanInput{TableName: aws.String(d.account.name)})
	if err != nil {
		d.t.Error(err)
		return
	}
	for _, item := range all.Items {
		partition, sort := item["pk"].(*types.AttributeValueMemberS).Value, item["sk"].(*types.AttributeValueMemberS).Value
		if strings.HasPrefix(partition, prefix) {
			d.remove(partition, sort)
		}
	}
}
