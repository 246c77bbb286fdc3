package emulator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"sync"
	"time"

	"countersign/infra/amazon"
	"countersign/infra/emulator/cloudwatch"
	"countersign/infra/emulator/template"
)

// apiID is the id of the API.
const apiID = "emulator"

// smsPrice is what the stand-ins charge for one text message, in USD.
const smsPrice = 0.05

// errThrottled means that Lambda has refused to run a function.
var errThrottled = errors.New("the function is throttled")

// counts keeps what Amazon's services would count. It also has the requests that a test makes Amazon refuse.
type counts struct {
	metrics  *cloudwatch.Metrics // nil if nothing is counted
	deployed *template.Template
	now      func() time.Time
	table    string

	mu          sync.Mutex
	queues      map[string]int     // how many messages each queue of the template has
	spent       map[string]float64 // what text messages have cost, in USD, by month
	invocations map[string]int     // how often each function ran, by step
	throttled   map[string]int     // how many invocations are refused next, by step
	reads       int                // how many reads of the table are refused next
	writes      int                // how many writes are refused next
	noKMS       bool
	commits     map[string]time.Time // when the items of each version were written; the stream has only whole seconds
}

func newCounts(e *Emulator, deployed *template.Template) *counts {
	c := &counts{
		metrics: e.o.Metrics, deployed: deployed, now: e.now, table: e.table,
		queues: map[string]int{}, spent: map[string]float64{}, invocations: map[string]int{}, throttled: map[string]int{}, commits: map[string]time.Time{},
	}
	for _, name := range deployed.Named("AWS::SQS::Queue") {
		c.queues[name] = 0
	}
	return c
}

func (c *counts) put(namespace, name string, value float64, dimensions ...string) {
	if c.metrics != nil {
		c.metrics.Put(c.now(), namespace, name, value, dimensions...)
	}
}

// invoked counts an invocation of a function, under the names in
// https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
func (c *counts) invoked(step string, took time.Duration, failed error) {
	errs := 0.0
	if failed != nil {
		errs = 1
	}
	c.mu.Lock()
	c.invocations[step]++
	c.mu.Unlock()
	c.put("AWS/Lambda", "Invocations", 1, "FunctionName", step)
	c.put("AWS/Lambda", "Errors", errs, "FunctionName", step)
	c.put("AWS/Lambda", "Throttles", 0, "FunctionName", step)
	c.put("AWS/Lambda", "Duration", float64(took.Milliseconds()), "FunctionName", step)
}

// throttle reports whether the next invocation of a function is refused, and counts it if it is.
func (c *counts) throttle(step string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.throttled[step] == 0 {
		return false
	}
	c.throttled[step]--
	c.put("AWS/Lambda", "Throttles", 1, "FunctionName", step)
	return true
}

// answered counts a call of the API, under the names in
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html
func (c *counts) answered(status int, took time.Duration) {
	for name, first := range map[string]int{"4xx": 4, "5xx": 5} {
		value := 0.0
		if status/100 == first {
			value = 1
		}
		c.put("AWS/ApiGateway", name, value, "ApiId", apiID)
	}
	c.put("AWS/ApiGateway", "Count", 1, "ApiId", apiID)
	c.put("AWS/ApiGateway", "Latency", float64(took.Milliseconds()), "ApiId", apiID)
}

// refuse reports whether a request to Amazon is refused, and answers it if it is. The names of what it counts are those in
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html
func (c *counts) refuse(w http.ResponseWriter, asked *amazon.Call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case asked.Service == amazon.KMS && c.noKMS:
		amazon.Refuse(w, asked.Request, http.StatusBadRequest, "KMSInvalidStateException", "The key is pending deletion.")
		return true
	case asked.Service != amazon.DynamoDB:
		return false
	}
	name, left := "ReadThrottleEvents", &c.reads
	if (awsCall{Call: asked}).commits() {
		name, left = "WriteThrottleEvents", &c.writes
	}
	if *left == 0 {
		return false
	}
	*left--
	c.put("AWS/DynamoDB", name, 1, "TableName", c.table)
	amazon.Refuse(w, asked.Request, http.StatusBadRequest, "ThrottlingException", "There are too many requests.")
	return true
}

// texted counts what a text message costs, under the names in
// https://docs.aws.amazon.com/sns/latest/dg/sns-monitoring-using-cloudwatch.html
func (c *counts) texted(service string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	month := c.now().Format("2006-01")
	c.spent[month] += smsPrice
	if service == amazon.SNS {
		c.put("AWS/SNS", "SMSMonthToDateSpentUSD", c.spent[month])
	} else {
		c.put("AWS/SMSVoice", "TextMessageMonthlySpend", c.spent[month])
	}
}

// delivered counts how old the last record of an event for publish is.
func (c *counts) delivered(event []byte) {
	all := versionPattern.FindAllSubmatch(event, -1)
	if len(all) == 0 {
		return
	}
	c.mu.Lock()
	written, there := c.commits[string(all[len(all)-1][1])]
	c.mu.Unlock()
	if there {
		c.put("AWS/Lambda", "IteratorAge", float64(c.now().Sub(written).Milliseconds()), "FunctionName", "publish")
	}
}

// versionPattern finds the versions of items in a request to DynamoDB, and in an event for publish.
var versionPattern = regexp.MustCompile(`"v":\s*\{"S":\s*"([^"]+)"\}`)

// committed notes when the items in a request to DynamoDB are written.
func (c *counts) committed(request []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.metrics == nil {
		return
	}
	for _, m := range versionPattern.FindAllSubmatch(request, -1) {
		c.commits[string(m[1])] = c.now()
	}
}

// created puts messages into the queues of those rules of the template that an object in a bucket fits, if the bucket sends
// events about its objects to EventBridge. https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
func (c *counts) created(bucket string) {
	tells := template.Of(c.deployed.Resources[bucket].Properties, "NotificationConfiguration", "EventBridgeConfiguration", "EventBridgeEnabled")
	if tells != true {
		return
	}
	event := object{"source": "aws.s3", "detail-type": "Object Created", "detail": object{"bucket": object{"name": "${" + bucket + "}"}}}
	for _, name := range c.deployed.Named("AWS::Events::Rule") {
		rule := c.deployed.Resources[name].Properties
		targets, _ := rule["Targets"].([]any)
		for _, t := range targets {
			if Fits(rule["EventPattern"], event) {
				c.queue(template.Reference(template.Of(t, "Arn")))
			}
		}
	}
}

// queue puts a message into a queue of the template.
func (c *counts) queue(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := c.queues[name]; there {
		c.queues[name]++
	}
}

// measured reads the metrics in what a process writes, whose lines can come in parts.
type measured struct {
	counts *counts
	rest   []byte
	fail   func(error)
}

func (m *measured) see(text []byte) {
	m.rest = append(m.rest, text...)
	end := bytes.LastIndexByte(m.rest, '\n') + 1
	if m.counts.metrics != nil {
		if err := m.counts.metrics.Log(m.rest[:end]); err != nil {
			m.fail(err)
		}
	}
	m.rest = bytes.Clone(m.rest[end:])
}

// Invoked returns how often the function of a step ran.
func (e *Emulator) Invoked(step string) int {
	e.counts.mu.Lock()
	defer e.counts.mu.Unlock()
	return e.counts.invocations[step]
}

// Throttle makes Lambda refuse the next n invocations of a function.
func (e *Emulator) Throttle(step string, n int) {
	e.counts.mu.Lock()
	defer e.counts.mu.Unlock()
	e.counts.throttled[step] = n
}

// ThrottleTable makes DynamoDB refuse the next reads and writes of the functions, so many of each.
func (e *Emulator) ThrottleTable(reads, writes int) {
	e.counts.mu.Lock()
	defer e.counts.mu.Unlock()
	e.counts.reads, e.counts.writes = reads, writes
}

// DisableKey makes KMS refuse each use of the key, as it does while the key is disabled or waits for its deletion. With false, KMS
// allows it again.
func (e *Emulator) DisableKey(disabled bool) {
	e.counts.mu.Lock()
	defer e.counts.mu.Unlock()
	e.counts.noKMS = disabled
}

// LoseKey replaces the KMS key by another one, as after its deletion.
func (e *Emulator) LoseKey() { e.account.LoseKey() }

// Purge removes all messages from a queue of the template, which is given by the name of its resource.
func (e *Emulator) Purge(queue string) {
	e.counts.mu.Lock()
	defer e.counts.mu.Unlock()
	e.counts.queues[queue] = 0
}

// CountQueues counts the messages that each queue of the template has, as at a time. SQS does that by itself every minute.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
func (e *Emulator) CountQueues(at time.Time) {
	e.counts.mu.Lock()
	defer e.counts.mu.Unlock()
	for name, n := range e.counts.queues {
		if e.counts.metrics != nil {
			e.counts.metrics.Put(at, "AWS/SQS", "ApproximateNumberOfMessagesVisible", float64(n), "QueueName", name)
		}
	}
}

// RunSweep runs the sweep as its schedule does. A run that fails is repeated as often as the template says. If it then still
// fails, a message is put into the queue of failures, and RunSweep returns the error of the last run.
func (e *Emulator) RunSweep(ctx context.Context) error {
	return e.repeated(ctx, "sweep", func() error {
		_, err := e.sweep(ctx)
		return err
	})
}

// repeated carries out an asynchronous invocation of a function. If it fails, it is repeated as often as the template says. If
// it then still fails, a message is put into the function's queue of failures.
func (e *Emulator) repeated(ctx context.Context, step string, invoke func() error) (err error) {
	said := template.Of(e.counts.deployed.Resources[e.functions[step].resource].Properties, "EventInvokeConfig")
	retries, _ := template.Of(said, "MaximumRetryAttempts").(int)
	for range 1 + retries {
		if err = invoke(); err == nil || ctx.Err() != nil {
			return err
		}
	}
	e.counts.queue(template.Reference(template.Of(said, "DestinationConfig", "OnFailure", "Destination")))
	return fmt.Errorf("also when it was repeated: %w", err)
}
