package functions

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"countersign/infra/amazon"
	"countersign/infra/dynamolocal/dynamolocaltest"
	"countersign/infra/emulator/template"
)

// An account stands in for AWS, and notes what each function asks it for.
type account struct {
	*amazon.Account
	t    testing.TB
	url  string
	name string // the name of the table; other tests use the same DynamoDB Local

	mu    sync.Mutex
	done  map[string][]use // by function
	hooks map[string]hook
	unfit bool // SES refuses all messages
}

// originationArn is the ARN of a pool of End User Messaging. The template has it as a parameter.
const originationArn = "arn:aws:sms-voice:" + amazon.Region + ":" + amazon.AccountID + ":pool/pool-0123456789abcdef0123456789abcdef"

// configurationSet is the name of the SES configuration set, which is a parameter of the template.
const configurationSet = "sign-in"

func newAccount(t testing.TB) *account {
	a := &account{
		Account: &amazon.Account{Table: dynamolocaltest.Endpoint(t)}, t: t, name: "functions-" + rand.Text(), done: map[string][]use{}, hooks: map[string]hook{},
	}
	a.Around = a.look
	a.Refused = func(r *http.Request, why error) { t.Errorf("%s: a call of AWS is refused: %v", r.URL.Path, why) }
	server := httptest.NewServer(a.Account)
	t.Cleanup(server.Close)
	a.url = server.URL
	return a
}

// endpoint returns the URL at which one function finds AWS.
func (a *account) endpoint(function string) string { return a.url + "/" + function }

// look notes what a function asks for, before the function gets its answer.
func (a *account) look(w http.ResponseWriter, c *amazon.Call, answer http.HandlerFunc) {
	function := c.Prefix
	var said object
	if c.Form == nil {
		if err := json.Unmarshal(c.Body, &said); err != nil {
			a.t.Errorf("%s: %s: %v", function, c.Operation, err)
		}
	}
	switch c.Service {
	case amazon.SNS:
		// The resource that SNS asks IAM about is the phone number.
		a.note(function, use{action: "sns:Publish", resource: c.Form.Get("PhoneNumber")})
	case amazon.EndUserMessaging:
		resource := fmt.Sprint(said["OriginationIdentity"])
		if resource == originationArn {
			resource = "${SmsOriginationArn}"
		}
		a.note(function, use{action: "sms-voice:SendTextMessage", resource: resource})
	case amazon.DynamoDB:
		a.table(function, c.Operation, said)
	case amazon.KMS:
		a.kms(function, c.Operation, said)
	case amazon.EventBridge:
		a.events(function, said)
	case amazon.SES:
		a.ses(function, said)
		a.mu.Lock()
		unfit := a.unfit
		a.mu.Unlock()
		if unfit {
			amazon.Refuse(w, c.Request, http.StatusBadRequest, "MessageRejected", "SES takes nothing")
			return
		}
	}
	answer(w, c.Request)
}

func (a *account) note(function string, u use) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done[function] = append(a.done[function], u)
}

// beforeNextWrite calls happen once, when the next write of a function arrives. So happen runs after the function has read
// and before it writes.
func (a *account) beforeNextWrite(function string, happen func()) {
	a.beforeNextWriteTo(function, "", func([]string) { happen() })
}

// beforeNextWriteTo is beforeNextWrite for a write whose first partition begins with prefix. happen gets the partitions.
func (a *account) beforeNextWriteTo(function, prefix string, happen func(partitions []string)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hooks[function] = hook{prefix, happen}
}

// A hook is called before a write.
type hook struct {
	prefix string
	happen func(partitions []string)
}

// table notes a call of DynamoDB.
func (a *account) table(function, operation string, said object) {
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
	// The documentation of IAM doesn't say whether it checks the items of one request one by one or all together. So both have
	// to be allowed.
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
}

// kms notes a call of KMS.
func (a *account) kms(function, operation string, said object) {
	u := use{action: "kms:" + operation, resource: fmt.Sprint(said["KeyId"]), keys: map[string][]string{}}
	if u.resource == amazon.KeyARN {
		u.resource = "${Key.Arn}"
	}
	context, _ := said["EncryptionContext"].(object)
	for key, value := range context {
		u.keys["kms:EncryptionContext:"+key] = []string{fmt.Sprint(value)}
	}
	a.note(function, u)
}

// ses notes a call of SES.
func (a *account) ses(function string, said object) {
	from := fmt.Sprint(said["FromEmailAddress"])
	address := from
	if _, inside, named := strings.Cut(from, "<"); named {
		address = strings.TrimSuffix(inside, ">")
	}
	if address == amazon.Sender {
		address = "${SenderAddress}"
	}
	const arn = "arn:${AWS::Partition}:ses:${AWS::Region}:${AWS::AccountId}:"
	keys := map[string][]string{"ses:FromAddress": {address}}
	a.note(function, use{action: "ses:SendEmail", resource: arn + "identity/countersign.example", keys: keys})
	if set, ok := said["ConfigurationSetName"].(string); ok {
		if set != configurationSet {
			a.note(function, use{action: "ses:SendEmail", resource: arn + "configuration-set/" + set, keys: keys})
			return
		}
		// It is one of these two. The roles are read as if they allowed both: see
		// TestARoleAllowsTheConfigurationSetThatMessagesAreSentWith.
		for _, set := range []string{"${SesConfigurationSet}", "${MailSet}"} {
			a.note(function, use{action: "ses:SendEmail", resource: arn + "configuration-set/" + set, keys: keys})
		}
	}
}

// events notes a call of EventBridge.
func (a *account) events(function string, said object) {
	entries, _ := said["Entries"].([]any)
	for _, entry := range entries {
		bus := fmt.Sprint(template.Of(entry, "EventBusName"))
		if bus == amazon.Bus {
			bus = "${Bus.Arn}"
		}
		a.note(function, use{action: "events:PutEvents", resource: bus})
	}
}

// mailWorks sets whether SES takes messages from now on.
func (a *account) mailWorks(works bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unfit = !works
}

// lastMail returns the text of the last message to an address. It is empty if there is none.
func (a *account) lastMail(to string) string {
	m, _ := a.LastMessage(to)
	return m.Text
}
