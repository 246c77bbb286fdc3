package cloud

import (
	"context"
	"net/http"

	"github.com/aws/aws-lambda-go/lambda"

	"countersign/pkg/apikey"
)

// What tests of whole functions look at, which need the packages below this one.
var (
	Payload      = payload
	Edited       = edited
	Batch        = batch
	ErrNoneTaken = errNoneTaken
)

// What they hold against the template and each other.
const (
	SweepMargin = sweepMargin
	AttemptTime = attemptTime
)

// A ProxyResponse is what a function answers.
type ProxyResponse = proxyResponse

// Serving is what Serve hands events to.
func (d *Deployment) Serving(build func(*Deployment) http.Handler) lambda.Handler {
	return d.serve(build)
}

// Streaming is what Stream hands events to.
func (d *Deployment) Streaming(build func(*Deployment) Deliver) lambda.Handler {
	return d.stream(build)
}

// Scheduling is what Schedule hands events to.
func (d *Deployment) Scheduling(build func(*Deployment) Job) lambda.Handler { return d.schedule(build) }

// FaultNames are the settings that are wrong.
func (d *Deployment) FaultNames() (names []string) {
	for _, f := range d.faults {
		names = append(names, f.name)
	}
	return names
}

// Broken tells of them in the log.
func (d *Deployment) Broken() error { return d.broken() }

// HTTP is what asks services that may be asked again.
func (d *Deployment) HTTP() *http.Client { return d.http }

// Filters is the keeper of the filter, which there is since Service was called.
func (d *Deployment) Filters() *apikey.FilterKeeper { return d.filters }

// TimeLeft reports whether a run may begin more work.
func (d *Deployment) TimeLeft(ctx context.Context) bool { return d.timeLeft(ctx) }
