package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"countersign/pkg/store"
)

// batch returns what Lambda sends of a stream. For each sequence number it has an item with an event of the same name.
func batch(sequences ...string) []byte {
	var records []string
	for _, s := range sequences {
		records = append(records, fmt.Sprintf(`{"eventName":"MODIFY","dynamodb":{"SequenceNumber":%q,"NewImage":{`+
			`"pk":{"S":"u#1"},"sk":{"S":"guard"},"v":{"S":"v%s"},"b":{"B":"AAE="},"x":{"N":"17"},"e":{"B":"/wA="}}}}`, s, s))
	}
	return []byte(`{"Records":[` + strings.Join(records, ",") + `]}`)
}

func versions(records []store.Record) (got []string) {
	for _, r := range records {
		got = append(got, string(r.Version))
	}
	return got
}

// feedTo hands a batch to deliver, and reads the answer with aws-lambda-go's type.
func feedTo(t testing.TB, w world, payload []byte, deliver Deliver) []string {
	t.Helper()
	out, err := w.open().stream(func(*Deployment) Deliver { return deliver }).Invoke(t.Context(), payload)
	if err != nil {
		t.Fatal(err)
	}
	var res events.DynamoDBEventResponse
	decodeJSON(t, out, &res)
	var failed []string
	for _, f := range res.BatchItemFailures {
		failed = append(failed, f.ItemIdentifier)
	}
	return failed
}

func TestABatchIsHandedOnWholeAndInOrder(t *testing.T) {
	calls := 0
	failed := feedTo(t, newWorld(t), batch("1", "2", "3"), func(_ context.Context, records []store.Record) error {
		calls++
		if got, want := versions(records), []string{"v1", "v2", "v3"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if want := (store.Record{Key: store.Key{Partition: "u#1", Sort: "guard"}, Version: "v1", Events: []byte("\xff\x00")}); !reflect.DeepEqual(records[0], want) {
			t.Errorf("got %+v, want %+v", records[0], want)
		}
		return nil
	})
	if calls != 1 || failed != nil {
		t.Errorf("got %d calls and failures %v, want one call and none", calls, failed)
	}
}

func TestTheFirstRecordThatFailsIsNamedAndNoneAfterItIsTaken(t *testing.T) {
	for n := 1; n <= 9; n++ {
		sequences := []string{"1", "2", "3", "4", "5", "6", "7", "8", "9"}[:n]
		for bad := min(1, n-1); bad < n; bad++ {
			var taken []string
			failed := feedTo(t, newWorld(t), batch(sequences...), func(_ context.Context, records []store.Record) error {
				if slices.Contains(versions(records), "v"+sequences[bad]) {
					return errors.New("poison")
				}
				taken = append(taken, versions(records)...)
				return nil
			})
			if !slices.Equal(failed, sequences[bad:bad+1]) {
				t.Errorf("%d of %d: got failures %v, want %v", bad, n, failed, sequences[bad:bad+1])
			}
			var want []string
			for _, s := range sequences[:bad] {
				want = append(want, "v"+s)
			}
			if !slices.Equal(taken, want) {
				t.Errorf("%d of %d: got %v taken, want %v", bad, n, taken, want)
			}
		}
	}
}

func TestWhenTheFirstOfSeveralIsNotTakenTheInvocationFailsSoThatTheBatchIsHalved(t *testing.T) {
	w := newWorld(t)
	calls := 0
	h := w.open().stream(func(*Deployment) Deliver {
		return func(context.Context, []store.Record) error {
			calls++
			return errors.New("the bus is away")
		}
	})
	out, err := h.Invoke(t.Context(), batch("1", "2", "3", "4", "5", "6", "7", "8"))
	if !errors.Is(err, errNoneTaken) || calls > 4 {
		t.Errorf("got %s, %v after %d calls, want %v after 4 at most", out, err, calls, errNoneTaken)
	}
	if !strings.Contains(w.Log.String(), "the bus is away") {
		t.Errorf("the log doesn't say why: %s", w.Log.String())
	}
}

func TestRemovalsAndItemsWithoutEventsAreLeftOut(t *testing.T) {
	var e map[string][]map[string]any
	decodeJSON(t, batch("1", "2", "3"), &e)
	e["Records"][0]["eventName"] = "REMOVE"
	image := e["Records"][1]["dynamodb"].(map[string]any)["NewImage"].(map[string]any)
	delete(image, "e")
	raw, _ := json.Marshal(e)
	failed := feedTo(t, newWorld(t), raw, func(_ context.Context, records []store.Record) error {
		if got, want := versions(records), []string{"v3"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		return nil
	})
	if failed != nil {
		t.Errorf("got failures %v, want none", failed)
	}
}

func TestABatchOfAWSLambdaGosOwnIsRead(t *testing.T) {
	for _, name := range []string{"dynamodb-event.json", "dynamodb-time-window-event.json"} {
		failed := feedTo(t, newWorld(t), fixture(t, name), func(_ context.Context, records []store.Record) error {
			t.Errorf("%s: got %v, want nothing: no item of it carries events", name, records)
			return nil
		})
		if failed != nil {
			t.Errorf("%s: got failures %v, want none", name, failed)
		}
	}
}

func TestWhatIsNoBatchFailsAsAWhole(t *testing.T) {
	h := newWorld(t).open().stream(func(*Deployment) Deliver { return nil })
	if out, err := h.Invoke(t.Context(), []byte(`{"Records":"secret"}`)); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %s, %v, want an error that says nothing of it", out, err)
	}
}
