package main

import (
	"fmt"

	"countersign/infra/emulator/cloudwatch"
	"countersign/infra/emulator/template"
)

// A watching says what Amazon charges for each month, so that the owner of a deployment hears of alarms.
type watching struct {
	alarms, withTexts int // how many metrics the alarms look at, without and with those about text messages
	metrics           int // how many metrics of its own a deployment has that nobody uses
}

// watched reads the alarms of the template. written is what the sweep has logged, which is all that a deployment logs that
// nobody uses.
func watched(deployed *template.Template, written []byte) (w watching, err error) {
	for texts, into := range map[bool]*int{false: &w.alarms, true: &w.withTexts} {
		all, err := cloudwatch.Reader{Holds: map[string]bool{"SendsTexts": texts, "SendsTextsBySns": texts}}.Alarms(deployed)
		if err != nil {
			return w, err
		}
		for _, a := range all {
			*into += len(a.Metrics())
		}
	}
	var metrics cloudwatch.Metrics
	err = metrics.Log(written)
	w.metrics = len(metrics.Names())
	return w, err
}

// String says what is paid for.
func (w watching) String() string {
	return fmt.Sprintf("%.2f USD for the %d metrics that its alarms look at (%.2f USD with text messages, for %d), and %.2f USD for %d metrics of its own",
		float64(w.alarms)*prices.alarm.usd, w.alarms, float64(w.withTexts)*prices.alarm.usd, w.withTexts, float64(w.metrics)*prices.metric.usd, w.metrics)
}
