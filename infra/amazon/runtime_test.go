package amazon_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"countersign/infra/amazon"
)

// TestMain is also the bootstrap of a function, if the environment names a Runtime API. The function does what its event says.
func TestMain(m *testing.M) {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") == "" {
		os.Exit(m.Run())
	}
	if os.Getenv("START") == "end" {
		os.Exit(1)
	}
	lambda.Start(func(ctx context.Context, event string) (string, error) {
		switch event {
		case "fail":
			return "", errors.New("it was told to")
		case "end":
			os.Exit(1)
		case "wait":
			select {}
		}
		about, _ := lambdacontext.FromContext(ctx)
		left, _ := ctx.Deadline()
		return strings.Join([]string{event, about.InvokedFunctionArn, time.Until(left).Round(time.Minute).String(), about.AwsRequestID}, " "), nil
	})
}

// launch starts this program as a function.
func launch(t *testing.T, environment ...string) *amazon.Runtime {
	t.Helper()
	r, err := amazon.Launch(amazon.Program{Path: os.Args[0], Function: "verify", Environment: environment})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Kill)
	return r
}

func TestAFunctionAnswersOneEventAfterTheOther(t *testing.T) {
	before := time.Now()
	r := launch(t)
	took, err := r.Ready(t.Context())
	if err != nil || took <= 0 || took > time.Since(before) {
		t.Fatalf("got ready after %s, %v", took, err)
	}
	seen := map[string]bool{}
	for _, event := range []string{`"a"`, `"b"`} {
		answer, err := r.Invoke(t.Context(), []byte(event), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		said := strings.Fields(strings.Trim(string(answer.Body), `"`))
		want := strings.Trim(event, `"`) + " arn:aws:lambda:eu-west-1:123456789012:function:verify 1h0m0s"
		if got := strings.Join(said[:3], " "); got != want || answer.Took <= 0 {
			t.Errorf("got %q after %s, want %q", got, answer.Took, want)
		}
		seen[said[3]] = true
	}
	if len(seen) != 2 {
		t.Errorf("got the request ids %v, want one for each", seen)
	}
}

func TestAFunctionThatFailsGoesOnAndOneThatEndsIsNoticed(t *testing.T) {
	r := launch(t)
	_, err := r.Invoke(t.Context(), []byte(`"fail"`), time.Minute)
	if failed, ok := errors.AsType[*amazon.FunctionError](err); !ok || !strings.Contains(failed.Said, "it was told to") {
		t.Errorf("got %v, want what it failed with", err)
	}
	if _, err := r.Invoke(t.Context(), []byte(`"a"`), time.Minute); err != nil {
		t.Errorf("after a failure: got %v", err)
	}
	for range 2 {
		if _, err := r.Invoke(t.Context(), []byte(`"end"`), time.Minute); !errors.Is(err, amazon.ErrEnded) {
			t.Errorf("got %v, want %v", err, amazon.ErrEnded)
		}
	}
	if _, err := launch(t, "START=end").Ready(t.Context()); !errors.Is(err, amazon.ErrEnded) {
		t.Errorf("got %v of one that ends at once, want %v", err, amazon.ErrEnded)
	}
	if _, err := amazon.Launch(amazon.Program{Path: os.Args[0] + "-not-there"}); err == nil {
		t.Error("what isn't there was started")
	}
}

func TestAFunctionThatTakesTooLongIsKilled(t *testing.T) {
	r := launch(t)
	if _, err := r.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Invoke(t.Context(), []byte(`"wait"`), 20*time.Millisecond); !errors.Is(err, amazon.ErrTimedOut) {
		t.Errorf("got %v, want %v", err, amazon.ErrTimedOut)
	}
	<-r.Ended()
	r = launch(t)
	if _, err := r.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := r.Invoke(ctx, []byte(`"wait"`), time.Minute); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
	<-r.Ended()
}

func TestAFunctionIsStartedAsItsProgramSays(t *testing.T) {
	var out bytes.Buffer
	r, err := amazon.Launch(amazon.Program{
		Path: "/bin/sh", Environment: []string{"WORD=hello"}, Output: &out,
		Start: func(c *exec.Cmd) (time.Time, error) {
			c.Args = append(c.Args, "-c", "echo $WORD $AWS_LAMBDA_RUNTIME_API; echo more >&2")
			return time.Now(), c.Start()
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	<-r.Ended()
	if got := out.String(); !strings.HasPrefix(got, "hello 127.0.0.1:") || !strings.HasSuffix(got, "\nmore\n") {
		t.Errorf("got %q", got)
	}
}
