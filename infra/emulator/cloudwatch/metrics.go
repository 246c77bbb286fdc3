// Package cloudwatch keeps metrics, and evaluates the alarms of template.yaml over them as CloudWatch does. Tests use it to see
// that alarms cross and clear when they should.
//
// The metrics come from lines in the embedded metric format that functions have really written, and from what the emulator counts
// under Amazon's names. Where Amazon's documentation doesn't say what CloudWatch does, a test can set Assumptions, and try each
// possibility.
//
// The package refuses what it doesn't know: an alarm, an expression, a statistic or a treatment of missing data that the template
// doesn't use is an error.
package cloudwatch

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
)

// Metrics keeps the values of metrics. Its zero value is empty and ready. Its methods may be called at the same time.
type Metrics struct {
	mu     sync.Mutex
	series map[string][]sample
}

type sample struct {
	at    time.Time
	value float64
}

// Put adds a value of a metric. dimensions are names, each followed by its value.
func (m *Metrics) Put(at time.Time, namespace, name string, value float64, dimensions ...string) {
	by := map[string]string{}
	for i := 0; i+1 < len(dimensions); i += 2 {
		by[dimensions[i]] = dimensions[i+1]
	}
	id := identify(namespace, name, by)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.series == nil {
		m.series = map[string][]sample{}
	}
	all := m.series[id]
	place := sort.Search(len(all), func(i int) bool { return all[i].at.After(at) })
	m.series[id] = slices.Insert(all, place, sample{at, value})
}

// identify returns a text that is different for each metric.
func identify(namespace, name string, by map[string]string) string {
	var parts []string
	for dimension, value := range by {
		parts = append(parts, dimension+"="+value)
	}
	slices.Sort(parts)
	return namespace + "/" + name + "{" + strings.Join(parts, ",") + "}"
}

// Names returns the metrics that have a value, as NAMESPACE/NAME{DIMENSION=VALUE,…}, sorted.
func (m *Metrics) Names() (all []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range m.series {
		all = append(all, id)
	}
	slices.Sort(all)
	return all
}

// Log reads whole lines that functions have written. A line in the embedded metric format adds values to its metrics. All other
// lines are ignored.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
func (m *Metrics) Log(lines []byte) error {
	for line := range strings.Lines(string(lines)) {
		var said map[string]any
		if !strings.Contains(line, `"_aws"`) || json.Unmarshal([]byte(line), &said) != nil {
			continue
		}
		var about struct {
			Meta struct {
				Timestamp int64
				Metrics   []struct {
					Namespace  string
					Dimensions [][]string
					Metrics    []struct{ Name, Unit string }
				} `json:"CloudWatchMetrics"`
			} `json:"_aws"`
		}
		if err := json.Unmarshal([]byte(line), &about); err != nil {
			return fmt.Errorf("a line in the embedded metric format: %w", err)
		}
		at := time.UnixMilli(about.Meta.Timestamp)
		for _, d := range about.Meta.Metrics {
			for _, by := range d.Dimensions {
				var dimensions []string
				for _, name := range by {
					word, ok := said[name].(string)
					if !ok || word == "" {
						return fmt.Errorf("the line has no value for the dimension %s: %s", name, line)
					}
					dimensions = append(dimensions, name, word)
				}
				for _, metric := range d.Metrics {
					value, ok := said[metric.Name].(float64)
					if !ok {
						return fmt.Errorf("the line has no value for the metric %s: %s", metric.Name, line)
					}
					m.Put(at, d.Namespace, metric.Name, value, dimensions...)
				}
			}
		}
	}
	return nil
}

// A point is a value of one period, or none.
type point struct {
	value float64
	there bool
}

// read returns the statistic of a metric over one period, which ends before to.
func (m *Metrics) read(id, statistic string, from, to time.Time) (point, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.series[id]
	first := sort.Search(len(all), func(i int) bool { return !all[i].at.Before(from) })
	last := sort.Search(len(all), func(i int) bool { return !all[i].at.Before(to) })
	if first == last {
		return point{}, nil
	}
	var values []float64
	for _, s := range all[first:last] {
		values = append(values, s.value)
	}
	switch statistic {
	case "Sum":
		sum := 0.0
		for _, v := range values {
			sum += v
		}
		return point{sum, true}, nil
	case "Maximum":
		return point{slices.Max(values), true}, nil
	case "p99":
		slices.Sort(values)
		return point{values[int(math.Ceil(0.99*float64(len(values))))-1], true}, nil
	}
	return point{}, fmt.Errorf("the statistic %q is not known", statistic)
}

// empty reports whether a metric has no value between two times.
func (m *Metrics) empty(id string, from, to time.Time) bool {
	p, _ := m.read(id, "Sum", from, to)
	return !p.there
}
