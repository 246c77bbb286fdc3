package cloud

import (
	"encoding/json"
	"io"
	"log/slog"
	"sync"
	"time"
)

// output is where log lines and metrics go: CloudWatch Logs, a line each.
type output struct {
	mu sync.Mutex
	w  io.Writer
}

// Write writes one line whole.
func (o *output) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(line)
}

// newLog makes a log of JSON lines, with the names that Lambda filters levels by.
// https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
func newLog(to io.Writer) *slog.Logger {
	return slog.New(slog.NewJSONHandler(to, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) > 0 {
			return a
		}
		switch a.Key {
		case slog.TimeKey:
			a.Key = "timestamp"
		case slog.MessageKey:
			a.Key = "message"
		}
		return a
	}}))
}

// namespace is that of all metrics.
const namespace = "Countersign"

// A metric is one count in CloudWatch's embedded metric format. Its dimensions are words of closed lists: each
// combination is a metric of its own, and paid for.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
type metric struct {
	Meta struct {
		Timestamp int64       `json:"Timestamp"` // Unix milliseconds
		Metrics   []directive `json:"CloudWatchMetrics"`
	} `json:"_aws"`
	Step       string `json:"step"`
	Code       string `json:"code,omitempty"`
	Reason     string `json:"reason,omitempty"`
	Problems   int    `json:"Problems,omitempty"`
	Deliveries int    `json:"DeliveryFailures,omitempty"`
}

// A directive says which of a metric's members are the count and its dimensions.
type directive struct {
	Namespace  string     `json:"Namespace"`
	Dimensions [][]string `json:"Dimensions"`
	Metrics    []unit     `json:"Metrics"`
}

type unit struct {
	Name string `json:"Name"`
	Unit string `json:"Unit"`
}

// countProblem counts one answer that is a problem, by its code. All answers of a function are in Lambda's own metric Invocations.
func (o *output) countProblem(at time.Time, step, code string) {
	o.count(at, "Problems", "code", metric{Step: step, Code: code, Problems: 1})
}

// countUndelivered counts one message that wasn't handed over, by why.
func (o *output) countUndelivered(at time.Time, step, reason string) {
	o.count(at, "DeliveryFailures", "reason", metric{Step: step, Reason: reason, Deliveries: 1})
}

func (o *output) count(at time.Time, name, by string, m metric) {
	m.Meta.Timestamp = at.UnixMilli()
	m.Meta.Metrics = []directive{{namespace, [][]string{{"step", by}}, []unit{{name, "Count"}}}}
	line, err := json.Marshal(m)
	if err != nil {
		panic("cloud: a metric doesn't marshal: " + err.Error())
	}
	o.Write(append(line, '\n')) // a metric that can't be written can't be told of either
}
