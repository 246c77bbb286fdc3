package cloud

import (
	"context"
	"net/http"

	"github.com/aws/aws-lambda-go/lambda"

	"countersign/pkg/apikey"
)

// Tests of whole functions use these. Such tests need the packages below this one, so they are in a package of their own.
var (
	Payload      = payload
	Edited       = edited
	Batch        = batch
	ErrNoneTaken = errNoneTaken
)

// Tests compare these with the template and with each other.
const (
	SweepMargin = sweepMargin
	AttemptTime = attemptTime
)

// A ProxyResponse is the answer of a function.
type ProxyResponse = proxyResponse

// Serving returns the handler to which Serve gives its events.
func (d *Deployment) Serving(build func(*Deployment) http.Handler) lambda.Handler {
	return d.serve(build)
}

// Streaming returns the handler to which Stream gives its events.
func (d *Deployment) Streaming(build func(*Deployment) Deliver) lambda.Handler {
	return d.stream(build)
}

// Scheduling returns the handler to which Schedule gives its events.
func (d *Deployment) Scheduling(build func(*Deployment) Job) lambda.Handler { return d.schedule(build) }

// FaultNames returns the names of the settings that are wrong.
func (d *Deployment) FaultNames() (names []string) {
	for _, f := range d.faults {
		names = append(names, f.name)
	}
	return names
}

// Broken logs the settings that are wrong, and returns the error for a call.
func (d *Deployment) Broken() error { return d.broken() }

// HTTP returns the client for requests that may be repeated.
func (d *Deployment) HTTP() *http.Client { return d.http }

// Filters returns the keeper of the filter. It is nil until Service is called.
func (d *Deployment) Filters() *apikey.FilterKeeper { return d.filters }

// TimeLeft reports whether a run may begin more work.
func (d *Deployment) TimeLeft(ctx context.Context) bool { return d.timeLeft(ctx) }
