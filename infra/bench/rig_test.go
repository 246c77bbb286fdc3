package main

import (
	"context"
	"os"
	"sync"
	"testing"

	"countersign/infra/dynamolocal/dynamolocaltest"
)

// shared is one rig for all tests, because building it takes some time.
var shared struct {
	once sync.Once
	rig  *rig
	err  error
}

func TestMain(m *testing.M) {
	status := m.Run()
	if shared.rig != nil {
		shared.rig.close()
	}
	os.Exit(status)
}

func testRig(t *testing.T) *rig {
	t.Helper()
	dynamolocaltest.NeedInstalled(t)
	shared.once.Do(func() { shared.rig, shared.err = openRig(context.Background()) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.rig
}

func TestAStartIsMeasuredFromItsExecToItsFirstAnswer(t *testing.T) {
	r := testRig(t)
	starters, err := r.starters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	measured, err := starts(t.Context(), starters, []condition{{name: "as it comes"}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	runs := measured["as it comes"]
	for _, name := range []string{"hello", "verify", "pages"} {
		got := runs[name]
		if len(got) != 1 || got[0].next <= 0 || got[0].total <= got[0].next {
			t.Errorf("%s: got %+v, want one start with an answer after its first event", name, got)
		}
	}
	if got := runs["verify without calls"]; len(got) != 1 || got[0].next <= 0 || got[0].total != 0 {
		t.Errorf("without calls: got %+v, want one start without an answer", got)
	}
}

func TestVerifyTakesTheBenchsRootForOneOfAmazons(t *testing.T) {
	r := testRig(t)
	r.amazon.take()
	if _, err := r.function(t.Context(), "verify"); err != nil {
		t.Fatal(err)
	}
	defer r.stop()
	if got := r.amazon.take(); got.reads == 0 || got.kms == 0 {
		t.Errorf("got %+v, want a read of the table and a call of KMS before the first event", got)
	}
}
