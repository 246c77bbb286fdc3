package main

import (
	"os"
	"strings"
	"testing"

	"countersign/infra/emulator/template"
)

func TestWhatOperatorsAreToldOfAlarmsIsWhatTheTemplateMakes(t *testing.T) {
	deployed, err := template.Read("../..")
	if err != nil {
		t.Fatal(err)
	}
	line := `{"_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"N","Dimensions":[[]],"Metrics":[{"Name":"Swept"},{"Name":"RingAgeDays"}]}]},"Swept":1,"RingAgeDays":2}`
	w, err := watched(deployed, []byte(line+"\n"+line+"\n"))
	if err != nil || w != (watching{40, 44, 2}) {
		t.Errorf("got %+v, %v, want what operating.md says: 4.00 USD, 0.40 more with text messages, and two metrics", w, err)
	}
	page, err := os.ReadFile("../../.github/docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"That is 4.00 USD, and 0.40 more with text messages.", "A deployment that nobody uses has two"} {
		if !strings.Contains(string(page), part) {
			t.Errorf("operating.md doesn't say: %s", part)
		}
	}
}
