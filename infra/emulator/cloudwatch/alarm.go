package cloudwatch

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"countersign/infra/emulator/template"
)

// These are the states of an alarm. Before its first evaluation, an alarm has too few data.
const (
	OK               = "OK"
	InAlarm          = "ALARM"
	InsufficientData = "INSUFFICIENT_DATA"
)

// An Alarm is an alarm of the template.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-cloudwatch-alarm.html
type Alarm struct {
	Resource, Name, Description string
	State                       string

	metrics    map[string]query // by id
	expression []string         // the words of its expression; empty if the alarm is about one metric
	period     time.Duration
	periods    int // EvaluationPeriods
	breaching  int // DatapointsToAlarm
	threshold  float64
	comparison string
	missing    string // TreatMissingData
}

type query struct{ metric, statistic string }

// A Reader replaces references by values, as CloudFormation would.
type Reader struct {
	Values map[string]string // the values of ${Name}; the value of a name that is missing here is the name itself
	Holds  map[string]bool   // the conditions of the template that hold
}

// Alarms returns the alarms that the template would make, sorted by the names of their resources.
func (r Reader) Alarms(t *template.Template) (all []*Alarm, err error) {
	for _, name := range t.Named("AWS::CloudWatch::Alarm") {
		resource := t.Resources[name]
		if condition, ok := resource.Attributes["Condition"].(string); ok && !r.Holds[condition] {
			continue
		}
		a, err := r.alarm(name, resource.Properties)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, a)
	}
	return all, nil
}

func (r Reader) alarm(resource string, said template.Object) (*Alarm, error) {
	a := &Alarm{
		Resource: resource, Name: r.text(said["AlarmName"]), Description: r.text(said["AlarmDescription"]), State: InsufficientData, metrics: map[string]query{},
		periods: r.number(said["EvaluationPeriods"]), breaching: r.number(said["DatapointsToAlarm"]),
		threshold: float64(r.number(said["Threshold"])), comparison: r.text(said["ComparisonOperator"]), missing: r.text(said["TreatMissingData"]),
	}
	list, _ := said["Metrics"].([]any)
	if len(list) == 0 {
		statistic := said["Statistic"]
		if statistic == nil {
			statistic = said["ExtendedStatistic"]
		}
		a.metrics["alarm"] = query{r.metric(said), r.text(statistic)}
		a.period = time.Duration(r.number(said["Period"])) * time.Second
	}
	for _, one := range list {
		id := r.text(template.Of(one, "Id"))
		if text, ok := template.Of(one, "Expression").(string); ok {
			if a.expression != nil {
				return nil, errors.New("there is more than one expression")
			}
			var err error
			if a.expression, err = wordsOf(text); err != nil {
				return nil, err
			}
			continue
		}
		if template.Of(one, "ReturnData") != false {
			return nil, fmt.Errorf("%s is a second result", id)
		}
		stat := template.Of(one, "MetricStat")
		period := time.Duration(r.number(template.Of(stat, "Period"))) * time.Second
		if a.period != 0 && a.period != period {
			return nil, errors.New("its metrics have several periods")
		}
		a.period = period
		metric, _ := template.Of(stat, "Metric").(template.Object)
		a.metrics[id] = query{r.metric(metric), r.text(template.Of(stat, "Stat"))}
	}
	switch {
	case len(list) > 0 && a.expression == nil:
		return nil, errors.New("it has no expression")
	case len(a.metrics) > 10:
		return nil, fmt.Errorf("it looks at %d metrics, and an alarm can look at 10", len(a.metrics))
	case a.period < time.Minute || a.breaching < 1 || a.breaching > a.periods || a.period*time.Duration(a.periods) > 24*time.Hour:
		return nil, fmt.Errorf("%d of %d periods of %s can't be evaluated", a.breaching, a.periods, a.period)
	case !slices.Contains([]string{"breaching", "notBreaching", "ignore"}, a.missing):
		return nil, fmt.Errorf("missing data are treated as %q", a.missing)
	case a.missing == "ignore" && a.periods > 1:
		return nil, errors.New("what ignoring some missing data means is not known here")
	}
	if _, err := a.breaches(0); err != nil {
		return nil, err
	}
	return a, nil
}

// text returns a value with its references replaced, as CloudFormation would replace them.
func (r Reader) text(said any) string {
	if sides, ok := template.Of(said, "Fn::If").([]any); ok && len(sides) == 3 {
		if condition, _ := sides[0].(string); r.Holds[condition] {
			return r.text(sides[1])
		}
		return r.text(sides[2])
	}
	if said == nil {
		return ""
	}
	values := map[string]string{}
	for name, value := range r.Values {
		values[name] = value
	}
	text, err := template.Fill(said, values)
	if err != nil {
		return template.Reference(said)
	}
	return text
}

func (r Reader) number(said any) (n int) {
	fmt.Sscan(r.text(said), &n)
	return n
}

func (r Reader) metric(said template.Object) string {
	by := map[string]string{}
	list, _ := said["Dimensions"].([]any)
	for _, d := range list {
		by[r.text(template.Of(d, "Name"))] = r.text(template.Of(d, "Value"))
	}
	return identify(r.text(said["Namespace"]), r.text(said["MetricName"]), by)
}

// Metrics returns the metrics that the alarm looks at, as Metrics.Names does.
func (a *Alarm) Metrics() (all []string) {
	for _, q := range a.metrics {
		all = append(all, q.metric)
	}
	slices.Sort(all)
	return all
}

func (a *Alarm) breaches(value float64) (bool, error) {
	switch a.comparison {
	case "GreaterThanOrEqualToThreshold":
		return value >= a.threshold, nil
	case "GreaterThanThreshold":
		return value > a.threshold, nil
	case "LessThanThreshold":
		return value < a.threshold, nil
	}
	return false, fmt.Errorf("the comparison %q is not known", a.comparison)
}

// Assumptions say what CloudWatch does where Amazon's documentation leaves it open.
type Assumptions struct {
	// Extra is the number of periods that CloudWatch looks at, before those that an alarm names, if some have no data.
	Extra int
	// FillsNothing says whether FILL leaves a metric unchanged if it has no data in all periods that CloudWatch looks at.
	FillsNothing bool
}

// Evaluate sets the state that the alarm has at a time, by the rules for missing data in
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
func (a *Alarm) Evaluate(m *Metrics, now time.Time, under Assumptions) error {
	all := a.periods + under.Extra
	from := now.Add(-time.Duration(all) * a.period)
	fills := func(id string) bool { return !under.FillsNothing || !m.empty(a.metrics[id].metric, from, now) }
	counted, breaching := 0, 0
	for i := range all {
		if counted == a.periods {
			break
		}
		end := now.Add(-time.Duration(i) * a.period)
		value, err := a.value(m, end.Add(-a.period), end, fills)
		if err != nil {
			return err
		}
		if !value.there {
			continue
		}
		counted++
		if breaches, _ := a.breaches(value.value); breaches {
			breaching++
		}
	}
	switch left := a.periods - counted; {
	case a.missing == "ignore" && counted == 0:
		return nil
	case a.missing == "breaching":
		breaching += left
	}
	a.State = OK
	if breaching >= a.breaching {
		a.State = InAlarm
	}
	return nil
}

// value returns the value of one period.
func (a *Alarm) value(m *Metrics, from, to time.Time, fills func(id string) bool) (point, error) {
	given := map[string]point{}
	for id, q := range a.metrics {
		p, err := m.read(q.metric, q.statistic, from, to)
		if err != nil || a.expression == nil {
			return p, err
		}
		given[id] = p
	}
	return evaluate(a.expression, given, fills)
}
