package cloud

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/mfa"
	"countersign/pkg/store"
)

// namespace is the first part of the namespace of all metrics. The name of the deployment follows, because an account can have
// several deployments.
const namespace = "Countersign"

// A measurement is one line in CloudWatch's embedded metric format. The values of its dimensions are from closed lists, because
// each combination of them is a metric of its own, which costs money.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
type measurement struct {
	words   map[string]string  // the values of the dimensions, and other texts of the line
	values  map[string]float64 // the values of the metrics
	metrics []directive
}

// A directive says which members of a measurement are metrics, and by which sets of dimensions they are counted.
type directive struct {
	Namespace  string     `json:"Namespace"`
	Dimensions [][]string `json:"Dimensions"`
	Metrics    []unit     `json:"Metrics"`
}

type unit struct {
	Name string `json:"Name"`
	Unit string `json:"Unit"`
}

// add adds the value of a metric, once for each set of dimensions. An empty set is the metric without dimensions.
func (m *measurement) add(name, in string, value float64, by ...[]string) {
	if m.values == nil {
		m.values = map[string]float64{}
	}
	m.values[name] = value
	for i, d := range m.metrics {
		if slices.EqualFunc(d.Dimensions, by, slices.Equal) {
			m.metrics[i].Metrics = append(d.Metrics, unit{name, in})
			return
		}
	}
	m.metrics = append(m.metrics, directive{Dimensions: by, Metrics: []unit{{name, in}}})
}

// These are the units of metrics.
const (
	inCount = "Count"
	inNone  = "None"
)

// measure writes a measurement, with the time of the service.
func (d *Deployment) measure(m measurement) {
	all := namespace
	if d.stage != "" {
		all += "/" + d.stage
	}
	for i := range m.metrics {
		m.metrics[i].Namespace = all
	}
	line := map[string]any{"_aws": map[string]any{"Timestamp": d.now().UnixMilli(), "CloudWatchMetrics": m.metrics}, "step": d.step}
	for name, word := range m.words {
		line[name] = word
	}
	for name, value := range m.values {
		line[name] = value
	}
	text, err := json.Marshal(line)
	if err != nil {
		panic("cloud: a metric doesn't marshal: " + err.Error())
	}
	d.out.Write(append(text, '\n')) // if a metric can't be written, a log line about it can't be written either
}

// countProblem counts one answer that is a problem, by its code. The line also names the function. All answers of a function are
// in Lambda's own metric Invocations.
func (d *Deployment) countProblem(code string) {
	m := measurement{words: map[string]string{"code": code}}
	m.add("Problems", inCount, 1, []string{"code"})
	d.measure(m)
}

// countUndelivered counts one message that wasn't handed over, by its channel and by the reason. Unless the reason lies with the
// recipient's address or number, the message is also counted as a failure that the owner of the deployment can put right.
func (d *Deployment) countUndelivered(channel, reason string) {
	m := measurement{words: map[string]string{"channel": channel, "reason": reason}}
	m.add("DeliveryFailures", inCount, 1, []string{"channel", "reason"})
	if reason != reasonAddress && reason != reasonRecipient {
		m.add("Refused", inCount, 1, []string{"channel"})
	}
	d.measure(m)
}

// These are the reasons that lie with the recipient of a message.
const (
	reasonAddress   = "address"
	reasonRecipient = "recipient"
)

// A tally counts what the events of some records say about codes.
type tally struct {
	sent, verified map[string]int // by kind of factor
	right, wrong   int            // answers to the codes of all kinds
	locks          int
}

type tallyKey struct{}

// Counting returns a bus that passes events on to bus, and counts them for the metrics of the function: codes that were sent,
// codes that were answered rightly, by kind, wrong answers, and locks. Stream writes the counts of all records of a batch
// together, after the batch was handed on. So a batch that is tried again is counted once.
func Counting(bus mfa.Bus) mfa.Bus { return counting{bus} }

type counting struct{ mfa.Bus }

// PutEvents passes the events on to the other bus, and counts them if that bus has taken them.
func (c counting) PutEvents(ctx context.Context, events []activity.Event) error {
	err := c.Bus.PutEvents(ctx, events)
	if t, ok := ctx.Value(tallyKey{}).(*tally); ok && err == nil {
		for _, e := range events {
			t.count(e)
		}
	}
	return err
}

func (t *tally) count(e activity.Event) {
	kind, _ := e.Data["kind"].(string)
	switch e.Type {
	case mfa.ChallengeSent:
		t.sent[kind]++
	case mfa.ChallengeVerified:
		t.right++
		if e.Data["enrolled"] != true { // otherwise an event of its own says that the factor was enrolled
			t.verified[kind]++
		}
	case mfa.FactorEnrolled:
		if e.Data["proven"] != true { // otherwise no code was answered to enrol it
			t.verified[kind]++
		}
	case mfa.AddressProven:
		t.right++
		t.verified[kind]++
	case mfa.ChallengeFailed:
		t.wrong++
	case mfa.ChallengeLocked:
		t.locks++
	}
}

// tallied returns a Deliver that hands records on to deliver, and then writes what their events say, in one line for each kind of
// factor. It writes the number of answers together with the number of codes that were sent, even if there were no answers, so
// that a ratio of both always has data.
func (d *Deployment) tallied(deliver Deliver) Deliver {
	return func(ctx context.Context, records []store.Record) error {
		t := &tally{sent: map[string]int{}, verified: map[string]int{}}
		if err := deliver(context.WithValue(ctx, tallyKey{}, t), records); err != nil {
			return err
		}
		t.tell(d.measure)
		return nil
	}
}

func (t *tally) tell(measure func(measurement)) {
	delete(t.sent, "")
	delete(t.verified, "")
	kinds := maps.Clone(t.verified)
	maps.Copy(kinds, t.sent)
	var lines []measurement
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		m := measurement{words: map[string]string{"kind": kind}}
		if t.sent[kind] > 0 {
			m.add("Sent", inCount, float64(t.sent[kind]), []string{"kind"})
		}
		m.add("Verified", inCount, float64(t.verified[kind]), []string{"kind"})
		lines = append(lines, m)
	}
	if t.right+t.wrong+t.locks > 0 {
		if len(lines) == 0 {
			lines = append(lines, measurement{})
		}
		m := &lines[0] // a line can have metrics with dimensions and metrics without them
		m.add("Right", inCount, float64(t.right), []string{})
		m.add("Wrong", inCount, float64(t.wrong), []string{})
		if t.locks > 0 {
			m.add("Locks", inCount, float64(t.locks), []string{})
		}
	}
	for _, m := range lines {
		measure(m)
	}
}

// countRun counts a run of the sweep that did all of its work, and measures how old the newest keys of the ring are. rotated is
// zero if that isn't known, or if there is no ring yet.
func (d *Deployment) countRun(swept bool, rotated time.Time) {
	var m measurement
	if swept {
		m.add("Swept", inCount, 1, []string{})
	}
	if !rotated.IsZero() {
		m.add("RingAgeDays", inNone, float64(int(d.now().Sub(rotated).Hours()))/24, []string{})
	}
	if len(m.metrics) > 0 {
		d.measure(m)
	}
}
