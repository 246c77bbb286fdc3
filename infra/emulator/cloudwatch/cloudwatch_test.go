package cloudwatch

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"countersign/infra/emulator/template"
)

var start = time.Date(2030, 1, 2, 3, 0, 0, 0, time.UTC)

// read makes an alarm of a metric n/m whose Sum must stay below 1. more has further properties of the alarm.
func read(t *testing.T, more template.Object) (*Alarm, error) {
	t.Helper()
	said := template.Object{
		"Namespace": "n", "MetricName": "m", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 3, "DatapointsToAlarm": 3, "Threshold": 1,
		"ComparisonOperator": "GreaterThanOrEqualToThreshold", "TreatMissingData": "notBreaching",
	}
	for name, value := range more {
		said[name] = value
	}
	all, err := Reader{}.Alarms(&template.Template{Resources: map[string]template.Resource{"A": {Type: "AWS::CloudWatch::Alarm", Properties: said}}})
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// The rows are those of "How alarm state is evaluated when data is missing" in the user guide of CloudWatch: an alarm of three
// periods, for which CloudWatch looks at five. 0 is within the threshold, X is beyond it, and - is missing.
func TestMissingDataAreTreatedAsAmazonsTablesSay(t *testing.T) {
	for _, c := range []struct {
		periods                 string // the oldest first
		of                      int    // how many must be beyond the threshold
		breaching, notBreaching string
	}{
		{"0-X-X", 3, OK, OK}, // three periods have data, so none is filled in
		{"0----", 3, OK, OK},
		{"-----", 3, InAlarm, OK},
		{"0XX-X", 3, InAlarm, InAlarm},
		{"--X--", 3, InAlarm, OK},
		{"0-X-X", 2, InAlarm, InAlarm},
		{"00X0X", 2, InAlarm, InAlarm},
		{"0-X--", 2, InAlarm, OK},
		{"----0", 2, InAlarm, OK},
		{"XX0X0", 2, OK, OK},
	} {
		for treatment, want := range map[string]string{"breaching": c.breaching, "notBreaching": c.notBreaching} {
			a, err := read(t, template.Object{"TreatMissingData": treatment, "DatapointsToAlarm": c.of})
			if err != nil {
				t.Fatal(err)
			}
			var m Metrics
			for i, p := range c.periods {
				if value := map[rune]float64{'X': 1, '0': 0}; p != '-' {
					m.Put(start.Add(time.Duration(i)*time.Minute), "n", "m", value[p])
				}
			}
			if err := a.Evaluate(&m, start.Add(5*time.Minute), Assumptions{Extra: 2}); err != nil || a.State != want {
				t.Errorf("%s, %d of 3, %s: got %s, %v, want %s", c.periods, c.of, treatment, a.State, err, want)
			}
		}
	}
}

func TestAnAlarmThatIgnoresMissingDataStaysAsItIs(t *testing.T) {
	a, err := read(t, template.Object{"TreatMissingData": "ignore", "EvaluationPeriods": 1, "DatapointsToAlarm": 1})
	if err != nil {
		t.Fatal(err)
	}
	var m Metrics
	m.Put(start, "n", "m", 1)
	m.Put(start.Add(3*time.Minute), "n", "m", 0)
	for i, want := range []string{InsufficientData, InAlarm, InAlarm, InAlarm, OK, OK} {
		if err := a.Evaluate(&m, start.Add(time.Duration(i)*time.Minute), Assumptions{}); err != nil || a.State != want {
			t.Errorf("after %d minutes: got %s, %v, want %s", i, a.State, err, want)
		}
	}
}

func TestAnExpressionIsEvaluatedForOnePeriod(t *testing.T) {
	given := map[string]point{"a": {6, true}, "b": {2, true}, "none": {}}
	for text, want := range map[string]string{
		"a - b * 2": "2", "(a - b) * 2": "8", "100 * FILL(none, 0) / (FILL(a, 0) + 20)": "0", "a / (b - 2)": "missing", "a + none": "missing",
		"IF(a >= 6, 1, 2)": "1", "IF(a < 6, 1, 2)": "2", "IF(none >= 1, 1, 2)": "missing", "SUM(METRICS())": "8", "FILL(b, 9)": "2", "IF(FILL(none, 3) >= 3, a / b, 0)": "3",
	} {
		words, err := wordsOf(text)
		if err != nil {
			t.Fatal(err)
		}
		p, err := evaluate(words, given, func(string) bool { return true })
		got := "missing"
		if p.there {
			got = fmt.Sprint(p.value)
		}
		if err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "a +", "unknown", "RATE(a)", "a b", "IF(a, 1)", "a ? 1"} {
		words, err := wordsOf(text)
		if err == nil {
			_, err = evaluate(words, given, func(string) bool { return true })
		}
		if err == nil {
			t.Errorf("%q was evaluated", text)
		}
	}
}

func TestLinesInTheEmbeddedMetricFormatAreReadOncePerSetOfDimensions(t *testing.T) {
	var m Metrics
	line := `{"_aws":{"Timestamp":1893553200000,"CloudWatchMetrics":[{"Namespace":"N","Dimensions":[["kind"],[]],"Metrics":[{"Name":"Sent","Unit":"Count"}]}]},"kind":"sms","Sent":3}`
	if err := m.Log([]byte(`{"message":"_aws"}` + "\n" + line + "\nnot JSON \"_aws\"\n")); err != nil {
		t.Fatal(err)
	}
	if got, want := m.Names(), []string{"N/Sent{kind=sms}", "N/Sent{}"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if p, err := m.read("N/Sent{}", "Sum", start, start.Add(time.Minute)); err != nil || p != (point{3, true}) {
		t.Errorf("got %v, %v, want 3", p, err)
	}
	for _, broken := range []string{`"Sent":"3","kind":"sms"`, `"Sent":3`, `"Sent":3,"kind":""`} {
		if err := m.Log([]byte(line[:len(line)-len(`"kind":"sms","Sent":3}`)] + broken + "}")); err == nil {
			t.Errorf("a line that ends with %s was read", broken)
		}
	}
}

func TestAnAlarmThatCannotBeEvaluatedIsRefused(t *testing.T) {
	for name, more := range map[string]template.Object{
		"a treatment":   {"TreatMissingData": "missing"},
		"ignoring some": {"TreatMissingData": "ignore"},
		"a comparison":  {"ComparisonOperator": "EqualToThreshold"},
		"a period":      {"Period": 10},
		"too long":      {"Period": 86400},
		"points":        {"DatapointsToAlarm": 4},
		"no expression": {"Metrics": []any{template.Object{"Id": "a", "ReturnData": false, "MetricStat": template.Object{"Period": 60}}}},
		"two results":   {"Metrics": []any{template.Object{"Id": "a", "Expression": "b"}, template.Object{"Id": "b"}}},
	} {
		if _, err := read(t, more); err == nil {
			t.Errorf("%s: it was read", name)
		}
	}
	a, err := read(t, template.Object{"Statistic": "Average"})
	if err != nil {
		t.Fatal(err)
	}
	var m Metrics
	m.Put(start, "n", "m", 1)
	if err := a.Evaluate(&m, start.Add(time.Minute), Assumptions{}); err == nil {
		t.Error("a statistic that isn't known was evaluated")
	}
}
