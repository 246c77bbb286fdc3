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

// A Job is the work that a schedule starts. If it returns an error, Lambda runs it again, as it does for asynchronous calls.
type Job func(context.Context) error

// A Deliver takes records from the table's stream. It gets each record at least once, and the records of one key in their order.
type Deliver func(context.Context, []store.Record) error

// Serve is the main of a function behind an HTTP API. It runs until Lambda ends the process. step is the name of the function,
// and build makes its handler.
func Serve(step string, build func(*Deployment) http.Handler) {
	lambda.Start(process(step).serve(build))
}

// Stream is the main of a function that gets batches of the table's stream. It reports which records of a batch have failed
// (ReportBatchItemFailures).
func Stream(step string, build func(*Deployment) Deliver) {
	lambda.Start(process(step).stream(build))
}

// Schedule is the main of a function that a schedule runs.
func Schedule(step string, build func(*Deployment) Job) {
	lambda.Start(process(step).schedule(build))
}

// process opens the Deployment of this process.
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

// warm makes ready what calls need: it reads everything at the same time, which also opens connections to the table. A function
// that starts has all of Lambda's processor for this. If something fails here, the first call tries it again.
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

// unavailable answers every call in the same way as the API does when it can't read its keys.
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
			// Lambda logs the error that a function returns, and passes it on. The details are in the function's own log only.
			return errors.New("the run failed; the log says why")
		}
		return nil
	})
}

// scheduled runs a job, and ignores the payload.
type scheduled Job

// Invoke runs the job once.
func (run scheduled) Invoke(ctx context.Context, _ []byte) ([]byte, error) {
	return []byte("null"), run(ctx)
}
