// Package dynamolocaltest gives tests a running DynamoDB Local.
//
// What it keeps: in continuous integration (CI=true) a test that needs DynamoDB Local runs or fails, and is never skipped.
package dynamolocaltest

import (
	"context"
	"os"
	"sync"
	"testing"

	"countersign/infra/dynamolocal"
)

// started is the DynamoDB Local that the tests of this process share. It ends with the process.
var started struct {
	once   sync.Once
	server *dynamolocal.Server
	err    error
}

// mostTests is how many tests share a server of Own.
const mostTests = 16

// A shared is a server of Own.
type shared struct {
	server       *dynamolocal.Server
	given, using int // to how many tests it was given, and how many of them are running
}

// own has the servers of Own.
var own struct {
	mu  sync.Mutex
	now *shared // which the next test gets
	of  map[testing.TB]*shared
}

// Endpoint returns the URL of a DynamoDB Local: the one that COUNTERSIGN_DYNAMODB names, or else one that it starts for all
// tests of this process. If none is installed, the test is skipped, or fails if CI is "true". Tests see each other's tables,
// so each test gives its tables random names.
func Endpoint(tb testing.TB) string {
	tb.Helper()
	if endpoint := os.Getenv("COUNTERSIGN_DYNAMODB"); endpoint != "" {
		return endpoint
	}
	NeedInstalled(tb)
	started.once.Do(func() {
		// The context of the first test can't be used, because the other tests need the server after it.
		started.server, started.err = dynamolocal.Start(context.Background(), dynamolocal.Options{})
	})
	if started.err != nil {
		tb.Fatal(started.err)
	}
	return started.server.Endpoint
}

// Own returns the URL of a DynamoDB Local that a few tests of this process share, also if COUNTERSIGN_DYNAMODB names one. It is
// for tests that read streams all the time. DynamoDB Local does one thing after another, and a read of a stream takes longer the
// more records all streams have together, those of tests that have ended too. So such tests, and all others on the same server,
// would slow each other down. A test gets the same server each time. If none is installed, the test is skipped, or fails if CI is
// "true".
func Own(tb testing.TB) string {
	tb.Helper()
	NeedInstalled(tb)
	own.mu.Lock()
	defer own.mu.Unlock()
	if s := own.of[tb]; s != nil {
		return s.server.Endpoint
	}
	if own.now == nil || own.now.given == mostTests {
		server, err := dynamolocal.Start(context.Background(), dynamolocal.Options{}) // it can outlive the test
		if err != nil {
			tb.Fatal(err)
		}
		own.now = &shared{server: server}
	}
	if own.of == nil {
		own.of = map[testing.TB]*shared{}
	}
	s := own.now
	s.given++
	s.using++
	own.of[tb] = s
	tb.Cleanup(func() {
		own.mu.Lock()
		defer own.mu.Unlock()
		delete(own.of, tb)
		if s.using--; s.using == 0 && s.given == mostTests {
			s.server.Stop()
		}
	})
	return s.server.Endpoint
}

// Start starts a DynamoDB Local for one test only, and stops it when the test ends. If none is installed, the test is skipped,
// or fails if CI is "true".
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

// NeedInstalled skips a test, or fails it if CI is "true", if no DynamoDB Local is installed. It starts nothing.
func NeedInstalled(tb testing.TB) {
	tb.Helper()
	if dynamolocal.Installed() {
		return
	}
	if os.Getenv("CI") == "true" {
		tb.Fatal("DynamoDB Local is not installed. Run ./infra/test, which installs it.")
	}
	tb.Skip("DynamoDB Local is not installed. Run ./infra/test once, which installs it.")
}
