package cloud

import (
	"context"
	"errors"
	"net/http"
	"os"
	"sync"

	"github.com/aws/aws-lambda-go/lambda"

	"countersign/pkg/api"
	"countersign/pkg/store"
)

// A Job is what a schedule runs. What it returns an error to is run again, as Lambda does for asynchronous calls.
type Job func(context.Context) error

// A Deliver takes records off the table's stream, at least once each, and in order for each key.
type Deliver func(context.Context, []store.Record) error

// Serve is the main of a function behind an HTTP API, until Lambda ends it: step is its name, and build makes its handler.
func Serve(step string, build func(*Deployment) http.Handler) {
	lambda.Start(process(step).serve(build))
}

// Stream is the main of a function that gets the table's stream, in batches whose failures it tells apart
// (ReportBatchItemFailures).
func Stream(step string, build func(*Deployment) Deliver) {
	lambda.Start(process(step).stream(build))
}

// Schedule is the main of a function that a schedule runs.
func Schedule(step string, build func(*Deployment) Job) {
	lambda.Start(process(step).schedule(build))
}

// process opens the one that this is.
func process(step string) *Deployment {
	return Open(Process{Step: step, Environment: os.Getenv, Output: os.Stdout})
}

func (d *Deployment) serve(build func(*Deployment) http.Handler) lambda.Handler {
	handler := build(d)
	if err := d.broken(); err != nil {
		handler = unavailable(d.Door(), err)
	} else {
		d.warm()
	}
	return &gateway{handler, func(w *recorder) {
		if code := w.problemCode(); code != "" {
			d.countProblem(code)
		}
	}}
}

// warm has ready what calls need, read side by side, and with that connections to the table, while Lambda gives a starting
// function all of its processor. What fails here is tried again by the first call.
func (d *Deployment) warm() {
	ctx, cancel := context.WithTimeout(context.Background(), warmTime)
	defer cancel()
	var all sync.WaitGroup
	for _, r := range d.ready {
		all.Go(func() {
			if err := r.get(ctx); err != nil {
				d.log.Warn("the "+r.what+" could not be had at the start", "error", err)
			}
		})
	}
	all.Wait()
}

// unavailable answers every call as the door does to one for keys that can't be had.
func unavailable(o api.Options, why error) http.Handler {
	door := api.New(o, api.Pages(func(context.Context) ([]byte, error) { return nil, why }))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		instead := r.Clone(r.Context())
		instead.URL.Path, instead.URL.RawQuery, instead.Body = "/health", "", http.NoBody
		if r.Method != http.MethodHead {
			instead.Method = http.MethodGet
		}
		door.ServeHTTP(w, instead)
	})
}

func (d *Deployment) stream(build func(*Deployment) Deliver) lambda.Handler {
	deliver := build(d)
	if err := d.broken(); err != nil {
		deliver = func(context.Context, []store.Record) error { return err }
	}
	return &feed{d.tallied(deliver), d.log}
}

func (d *Deployment) schedule(build func(*Deployment) Job) lambda.Handler {
	job := build(d)
	if err := d.broken(); err != nil {
		job = func(context.Context) error { return err }
	}
	return scheduled(func(ctx context.Context) error {
		err := job(ctx)
		if err != nil {
			d.log.ErrorContext(ctx, "the run failed", "error", err)
			// Lambda logs and passes on what a function fails with; the log has it.
			return errors.New("the run failed; the log says why")
		}
		return nil
	})
}

// scheduled runs a job, whatever the payload.
type scheduled Job

// Invoke runs the job once.
func (run scheduled) Invoke(ctx context.Context, _ []byte) ([]byte, error) {
	return []byte("null"), run(ctx)
}
