package functions

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"countersign/infra/dynamolocal/dynamolocaltest"
	"countersign/infra/emulator/template"
)

// An account is AWS as the functions meet it, on loopback: DynamoDB Local for the table, and just enough of KMS, SES and
// EventBridge to answer. It notes what each function asks for, and refuses nothing but what it doesn't know.
type account struct {
	t      testing.TB
	dynamo string // URL of DynamoDB Local
	name   string // of the table there, which others use too

	mu    sync.Mutex
	done  map[string][]use // by function
	hooks map[string]hook
	mails []mail
	unfit bool     // SES takes nothing
	put   []string // types of events on the bus
	keys  map[string][]byte
}

// A mail is what SES was asked to send.
type mail struct{ to, text string }

// What stands in the functions' environment, and how the template calls it.
const (
	busName          = "countersign-test"
	keyARN           = "arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555"
	senderAddress    = "sign-in@example.com"
	configurationSet = "sign-in"
)

func newAccount(t testing.TB) *account {
	return &account{
		t: t, dynamo: dynamolocaltest.Endpoint(t), name: "functions-" + rand.Text(), done: map[string][]use{}, hooks: map[string]hook{}, keys: map[string][]byte{},
	}
}

// endpoint is where one function finds AWS.
func (a *account) endpoint(function string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			a.t.Errorf("%s: %v", function, err)
		}
		service, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		var said object
		if len(body) > 0 {
			if err := json.Unmarshal(body, &said); err != nil {
				a.t.Errorf("%s: %s %s: %v", function, r.URL.Path, service, err)
			}
		}
		switch {
		case service == "DynamoDB_20120810":
			a.table(w, r, function, operation, body, said)
		case service == "TrentService":
			a.kms(w, function, operation, said)
		case service == "AWSEvents" && operation == "PutEvents":
			a.events(w, function, said)
		case r.Method == "POST" && r.URL.Path == "/v2/email/outbound-emails":
			a.ses(w, function, said)
		default:
			a.t.Errorf("%s calls something of AWS that this test doesn't know: %s %s %s", function, r.Method, r.URL.Path, r.Header.Get("X-Amz-Target"))
			w.WriteHeader(http.StatusNotImplemented)
		}
	}))
	a.t.Cleanup(server.Close)
	return server.URL
}

func (a *account) note(function string, u use) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done[function] = append(a.done[function], u)
}

// beforeNextWrite has something else happen once, after a function has read and before what it then writes arrives.
func (a *account) beforeNextWrite(function string, happen func()) {
	a.beforeNextWriteTo(function, "", func([]string) { happen() })
}

// beforeNextWriteTo is the same for a write to partitions that begin so, which it tells.
func (a *account) beforeNextWriteTo(function, prefix string, happen func(partitions []string)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hooks[function] = hook{prefix, happen}
}

// A hook is what happens before a write.
type hook struct {
	prefix string
	happen func(partitions []string)
}

// table notes what is asked of DynamoDB and passes it on.
func (a *account) table(w http.ResponseWriter, r *http.Request, function, operation string, body []byte, said object) {
	writes := false
	var partitions []string
	joint := map[string]use{}
	var order []string
	note := func(action, table string, partition any) {
		resource := table
		if table == a.name {
			resource = "${Table.Arn}"
		}
		u := use{action: "dynamodb:" + action, resource: resource, keys: map[string][]string{}}
		if key, ok := partition.(string); ok {
			u.keys[leadingKeys] = []string{key}
			partitions = append(partitions, key)
		}
		a.note(function, u)
		if operation == "TransactWriteItems" || operation == "BatchGetItem" {
			together, there := joint[action]
			if !there {
				together = use{action: u.action, resource: u.resource, keys: map[string][]string{}}
				order = append(order, action)
			}
			together.keys[leadingKeys] = append(together.keys[leadingKeys], u.keys[leadingKeys]...)
			joint[action] = together
		}
	}
	table := func(in any) string { return fmt.Sprint(template.Of(in, "TableName")) }
	switch operation {
	case "BatchGetItem":
		for name, wanted := range said["RequestItems"].(object) {
			for _, key := range template.Of(wanted, "Keys").([]any) {
				note("BatchGetItem", name, template.Of(key, "pk", "S"))
			}
		}
	case "Query":
		note("Query", table(said), template.Of(said, "ExpressionAttributeValues", ":pk", "S"))
	case "PutItem":
		writes = true
		note("PutItem", table(said), template.Of(said, "Item", "pk", "S"))
	case "UpdateItem", "DeleteItem":
		writes = true
		note(operation, table(said), template.Of(said, "Key", "pk", "S"))
	case "TransactWriteItems":
		writes = true
		for _, item := range template.Of(said, "TransactItems").([]any) {
			for kind, one := range item.(object) {
				partition := template.Of(one, "Key", "pk", "S")
				if kind == "Put" {
					partition = template.Of(one, "Item", "pk", "S")
				}
				action := kind + "Item"
				if kind == "ConditionCheck" {
					action = "ConditionCheckItem"
				}
				note(action, table(one), partition)
			}
		}
	default:
		note(operation, table(said), template.Of(said, "Key", "pk", "S"))
	}
	// IAM's pages don't say whether items that are asked for or written together are looked at one by one or together: both
	// have to be allowed.
	for _, action := range order {
		a.note(function, joint[action])
	}
	if writes {
		a.mu.Lock()
		h, waits := a.hooks[function]
		waits = waits && strings.HasPrefix(partitions[0], h.prefix)
		if waits {
			delete(a.hooks, function)
		}
		a.mu.Unlock()
		if waits {
			h.happen(partitions)
		}
	}
	a.pass(w, r, body)
}

// pass hands a request on to DynamoDB Local as it came.
func (a *account) pass(w http.ResponseWriter, r *http.Request, body []byte) {
	on, err := http.NewRequestWithContext(r.Context(), r.Method, a.dynamo, bytes.NewReader(body))
	if err != nil {
		a.t.Error(err)
		return
	}
	on.Header = r.Header.Clone()
	answer, err := http.DefaultTransport.RoundTrip(on)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	for name, values := range answer.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.StatusCode)
	if _, err := io.Copy(w, answer.Body); err != nil {
		a.t.Log(err)
	}
}

// kms wraps by remembering.
func (a *account) kms(w http.ResponseWriter, function, operation string, said object) {
	u := use{action: "kms:" + operation, resource: fmt.Sprint(said["KeyId"]), keys: map[string][]string{}}
	if u.resource == keyARN {
		u.resource = "${Key.Arn}"
	}
	for key, value := range template.Of(said, "EncryptionContext").(object) {
		u.keys["kms:EncryptionContext:"+key] = []string{fmt.Sprint(value)}
	}
	a.note(function, u)
	a.mu.Lock()
	defer a.mu.Unlock()
	switch operation {
	case "GenerateDataKey":
		key, blob := make([]byte, 32), make([]byte, 48)
		rand.Read(key)
		rand.Read(blob)
		a.keys[string(blob)] = key
		reply(w, object{"KeyId": keyARN, "Plaintext": key, "CiphertextBlob": blob})
	case "Encrypt":
		plain, _ := base64.StdEncoding.DecodeString(fmt.Sprint(said["Plaintext"]))
		blob := make([]byte, 48)
		rand.Read(blob)
		a.keys[string(blob)] = plain
		reply(w, object{"KeyId": keyARN, "CiphertextBlob": blob})
	case "Decrypt":
		blob, _ := base64.StdEncoding.DecodeString(fmt.Sprint(said["CiphertextBlob"]))
		reply(w, object{"KeyId": keyARN, "Plaintext": a.keys[string(blob)]})
	default:
		a.t.Errorf("%s calls %s of KMS, which this test doesn't know", function, operation)
	}
}

func (a *account) ses(w http.ResponseWriter, function string, said object) {
	from := fmt.Sprint(said["FromEmailAddress"])
	address := from
	if _, inside, named := strings.Cut(from, "<"); named {
		address = strings.TrimSuffix(inside, ">")
	}
	if address == senderAddress {
		address = "${SenderAddress}"
	}
	const arn = "arn:${AWS::Partition}:ses:${AWS::Region}:${AWS::AccountId}:"
	keys := map[string][]string{"ses:FromAddress": {address}}
	a.note(function, use{action: "ses:SendEmail", resource: arn + "identity/example.com", keys: keys})
	if set, ok := said["ConfigurationSetName"].(string); ok {
		if set == configurationSet {
			set = "${SesConfigurationSet}"
		}
		a.note(function, use{action: "ses:SendEmail", resource: arn + "configuration-set/" + set, keys: keys})
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.unfit {
		w.Header().Set("X-Amzn-Errortype", "MessageRejected")
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	to, _ := template.Of(said, "Destination", "ToAddresses").([]any)
	a.mails = append(a.mails, mail{to: fmt.Sprint(to...), text: fmt.Sprint(template.Of(said, "Content"))})
	reply(w, object{"MessageId": fmt.Sprint(len(a.mails))})
}

func (a *account) events(w http.ResponseWriter, function string, said object) {
	entries := said["Entries"].([]any)
	var ids []object
	for i, entry := range entries {
		bus := fmt.Sprint(template.Of(entry, "EventBusName"))
		if bus == busName {
			bus = "${Bus.Arn}"
		}
		a.note(function, use{action: "events:PutEvents", resource: bus})
		ids = append(ids, object{"EventId": fmt.Sprint(i)})
		a.mu.Lock()
		a.put = append(a.put, fmt.Sprint(template.Of(entry, "DetailType")))
		a.mu.Unlock()
	}
	reply(w, object{"Entries": ids, "FailedEntryCount": 0})
}

func reply(w http.ResponseWriter, said object) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	json.NewEncoder(w).Encode(said)
}

// mailWorks says whether SES takes messages from now on.
func (a *account) mailWorks(works bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unfit = !works
}

// lastMail is the text of the last message to an address, or nothing.
func (a *account) lastMail(to string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, m := range slices.Backward(a.mails) {
		if m.to == to {
			return m.text
		}
	}
	return ""
}
