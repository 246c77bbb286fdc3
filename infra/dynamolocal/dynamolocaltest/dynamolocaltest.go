// Package dynamolocaltest gives tests a running DynamoDB Local.
//
// The invariant: in continuous integration (CI=true) a test that needs it runs or fails; it is never passed over.
package dynamolocaltest

import (
	"context"
	"os"
	"sync"
	"testing"

	"countersign/infra/dynamolocal"
)

// started is the one DynamoDB Local of this test process; it ends with the process.
var started struct {
	once   sync.Once
	server *dynamolocal.Server
	err    error
}

// Endpoint returns the URL of a DynamoDB Local: the one that COUNTERSIGN_DYNAMODB names, or one that is started for
// this test process and shared by its tests. Where none is installed the test is skipped, or fails if CI is "true".
// Tables are shared too, so a test names its own at random.
func Endpoint(tb testing.TB) string {
	tb.Helper()
	if endpoint := os.Getenv("COUNTERSIGN_DYNAMODB"); endpoint != "" {
		return endpoint
	}
	NeedInstalled(tb)
	started.once.Do(func() {
		// Not the context of the test that happens to ask first: the others need the server just as much.
		started.server, started.err = dynamolocal.Start(context.Background(), dynamolocal.Options{})
	})
	if started.err != nil {
		tb.Fatal(started.err)
	}
	return started.server.Endpoint
}

// Start runs a DynamoDB Local for one test alone, and stops it when the test ends. Where none is installed the test is
// skipped, or fails if CI is "true".
func Start(tb testing.TB) *dynamolocal.Server {
	tb.Helper()
	NeedInstalled(tb)
	server, err := dynamolocal.Start(tb.Context(), dynamolocal.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(server.Stop)
	return server
}

// NeedInstalled skips a test, or fails it if CI is "true", where no DynamoDB Local is installed. It starts nothing.
func NeedInstalled(tb testing.TB) {
	tb.Helper()
	if dynamolocal.Installed() {
		return
	}
	if os.Getenv("CI") == "true" {
		tb.Fatal("DynamoDB Local is not installed: run ./infra/test")
	}
	tb.Skip("run ./infra/test once to install DynamoDB Local")
}
