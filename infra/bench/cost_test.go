package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"countersign/pkg/store/dynamo/stream"
)

func TestRequestUnitsAreCountedAsDynamoDBChargesThem(t *testing.T) {
	sizes := ledger{}
	put := func(partition string, bytes int) string { // an item of that size: the names pk, sk and b have 5 bytes, and the value of sk 1
		body := base64.StdEncoding.EncodeToString(make([]byte, bytes-4-len(partition)-1-1))
		return `"Item":{"pk":{"S":"` + partition + `"},"sk":{"S":"s"},"b":{"B":"` + body + `"}}`
	}
	const key = `"Key":{"pk":{"S":"large"},"sk":{"S":"s"}}`
	for _, c := range []struct {
		operation, request, answer string
		status                     int
		want                       usage
	}{
		{"GetItem", `{}`, `{"ConsumedCapacity":{"CapacityUnits":2}}`, 200, usage{reads: 2}},
		{"Query", `{}`, `{"ConsumedCapacity":{"CapacityUnits":0}}`, 200, usage{reads: 1}},
		// Four items are asked for: one has 4 KB and a byte, one has 4 KB, one doesn't exist, and one was not processed.
		{"BatchGetItem", `{"RequestItems":{"t":{"Keys":[{},{},{},{}]}}}`,
			`{"Responses":{"t":[` + put("a", 4097)[len(`"Item":`):] + `,` + put("b", 4096)[len(`"Item":`):] + `]},"UnprocessedKeys":{"t":{"Keys":[{}]}}}`, 200, usage{reads: 4}},
		{"PutItem", `{` + put("act#o#d", 2500) + `}`, `{"ConsumedCapacity":{"CapacityUnits":3}}`, 200, usage{writes: 3, activity: 2500}},
		{"PutItem", `{}`, `{"__type":"ConditionalCheckFailedException"}`, 400, usage{refused: 1}},
		// Each of the three items consumes twice what a plain write consumes.
		{"TransactWriteItems", `{"TransactItems":[{"Put":{` + put("a", 1024) + `}},{"Put":{` + put("b", 1000) + `}},{"Put":{` + put("large", 800) + `}}]}`, `{}`, 200, usage{writes: 6}},
		{"TransactWriteItems", `{"TransactItems":[{"Put":{` + put("large", 1025) + `}}]}`, `{}`, 200, usage{writes: 4}},
		// The size before counts if it was larger.
		{"TransactWriteItems", `{"TransactItems":[{"Put":{` + put("large", 100) + `}}]}`, `{}`, 200, usage{writes: 4}},
		{"TransactWriteItems", `{"TransactItems":[{"Put":{` + put("a", 100) + `}},{"Delete":{` + key + `}}]}`, `{}`, 200, usage{writes: 4}},
	} {
		var got usage
		got.table(c.operation, []byte(c.request), c.status, []byte(c.answer), sizes)
		if got != c.want {
			t.Errorf("%s %.40s: got %+v, want %+v", c.operation, c.request, got, c.want)
		}
	}
}

func TestABillIsWhatWasUsedTimesItsPrice(t *testing.T) {
	for _, c := range []struct {
		name string
		used usage
		want float64
	}{
		{"a million calls", usage{calls: 1e6}, 1},
		{"a million invocations of 4 ms at 512 MB", usage{invocations: 1e6, milliseconds: 4e6}, 0.2 + 0.0266668},
		{"a million reads and writes", usage{reads: 1e6, writes: 1e6}, 0.125 + 0.625},
		{"a million events, requests of KMS, and a GB of logs and of answers", usage{busEvents: 1e6, kms: 1e6, logged: 1e9, answered: 1e9}, 1 + 3 + 0.5 + 0.09},
		{"emails", usage{emails: 1e6}, 0},
	} {
		if got := c.used.bill().sum(); got < c.want-1e-6 || got > c.want+1e-6 {
			t.Errorf("%s: got %.6f USD, want %.6f", c.name, got, c.want)
		}
	}
}

const n = 5 // how many sign-ins are metered; more would use the same each

// metered returns what sign-ins of a kind use, all of one org.
func metered(t *testing.T, name string) (all, activity usage) {
	t.Helper()
	r := testRig(t)
	defer r.stop()
	m := &meter{rig: r, feed: stream.New(stream.Options{Client: stream.LocalClient(r.amazon.Table), Table: r.table}), perSecond: n, seconds: 1}
	i := slices.IndexFunc(kinds(), func(k kind) bool { return strings.HasPrefix(k.name, name) })
	all, activity, err := m.measure(t.Context(), kinds()[i], 1)
	if err != nil {
		t.Fatal(err)
	}
	return all, activity
}

func TestASignInByAnAppIsMeteredWithoutItsEnrolment(t *testing.T) {
	all, activity := metered(t, "by authenticator app")
	// The policy, the API key and the user are read twice, and the challenge is read once.
	if all.calls != 2*n || all.reads-activity.reads != 7*n || all.kms != 0 || all.emails != 0 || all.busEvents != 0 {
		t.Errorf("got %+v and for activity %+v, want for each of %d two calls and 7 reads, and nothing of KMS, SES or the bus", all, activity, n)
	}
	if activity.writes == 0 || all.writes-activity.writes != 2*n {
		t.Errorf("got %+v and for activity %+v, want two writes each, and activity", all, activity)
	}
}

func TestASignInFromATrustedBrowserIsMeteredToTheUnit(t *testing.T) {
	all, activity := metered(t, "from a trusted browser")
	// The policy, the API key and the user are read, and the browser's token rotates. There is no event.
	if all.calls != n || all.invocations != n || all.reads != 3*n || all.writes != n || activity.writes != 0 || all.kms != 0 || all.emails != 0 {
		t.Errorf("got %+v and for activity %+v, want for each of %d a call, an invocation, 3 reads and a write", all, activity, n)
	}
	if all.milliseconds < n || all.logged == 0 || all.answered == 0 {
		t.Errorf("got %+v, want time, logs and answers too", all)
	}
}

func TestWhatIsMeteredIsWhatTheTemplateDeploys(t *testing.T) {
	text, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	template := string(text)
	for _, part := range []string{
		fmt.Sprintf("MemorySize: %d\n", memoryMB), "Architectures: [!Ref Architecture]\n", "Default: arm64\n", "BatchSize: 100\n", fmt.Sprintf("MaximumBatchingWindowInSeconds: %d\n", window),
		fmt.Sprintf("ScheduleExpression: rate(%d minutes)\n", 60/sweepsAnHour),
	} {
		if strings.Count(template, part) != 1 {
			t.Errorf("got %d times %q in template.yaml, want it once", strings.Count(template, part), part)
		}
	}
}
