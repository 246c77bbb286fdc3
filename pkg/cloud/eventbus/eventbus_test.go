package eventbus

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"countersign/infra/amazon/amazontest"
	"countersign/pkg/activity"
	"countersign/pkg/cloud"
	"countersign/pkg/mfa"
)

// open makes the Publisher of a process that has just started.
func open(w *amazontest.World) *Publisher {
	return Of(cloud.Open(cloud.Process{Step: "publish", Environment: w.Getenv, Output: &w.Log, Now: w.Now}))
}

func decode(t testing.TB, b []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
}

// puts returns the ids of the events in each PutEvents request.
func puts(t testing.TB, w *amazontest.World) (ids [][]string) {
	t.Helper()
	for _, q := range w.Requests() {
		var in struct {
			Entries []struct{ Detail string }
		}
		decode(t, q.Body, &in)
		var batch []string
		for _, e := range in.Entries {
			var event activity.Event
			decode(t, []byte(e.Detail), &event)
			batch = append(batch, event.ID)
		}
		ids = append(ids, batch)
	}
	return ids
}

// takes returns a function that answers PutEvents. The answer has an error code for each entry for which refuse returns one.
func takes(refuse func(nth, entry int) bool) func(amazontest.Asked) (int, string) {
	return func(q amazontest.Asked) (int, string) {
		var in struct{ Entries []any }
		json.Unmarshal(q.Body, &in)
		var results []string
		for i := range in.Entries {
			if refuse != nil && refuse(q.N, i) {
				results = append(results, `{"ErrorCode":"InternalFailure","ErrorMessage":"secret"}`)
			} else {
				results = append(results, `{"EventId":"1"}`)
			}
		}
		return 200, `{"Entries":[` + strings.Join(results, ",") + `]}`
	}
}

func changes(n, size int) (events []activity.Event) {
	for i := range n {
		events = append(events, activity.Event{ID: fmt.Sprintf("ev_%d", i), Type: mfa.UserUpdated, Data: map[string]any{"x": strings.Repeat("x", size)}})
	}
	return events
}

func TestEventsGoInBatchesThatTheBusTakes(t *testing.T) {
	// Four details of this size already reach the limit of the bus, before the other bytes that are counted for each event.
	detail, err := json.Marshal(changes(1, 0)[0])
	if err != nil {
		t.Fatal(err)
	}
	quarter := mostBytes/4 - len(detail)
	for _, test := range []struct {
		n, size int
		want    []int
	}{{0, 0, nil}, {1, 0, []int{1}}, {10, 0, []int{10}}, {23, 0, []int{10, 10, 3}}, {9, 60 << 10, []int{4, 4, 1}}, {8, quarter, []int{3, 3, 2}}, {8, quarter - 40, []int{4, 4}}} {
		w := amazontest.New(t)
		w.Answer(takes(nil))
		if err := open(w).PutEvents(t.Context(), changes(test.n, test.size)); err != nil {
			t.Fatal(err)
		}
		var got []int
		seen := map[string]bool{}
		for _, batch := range puts(t, w) {
			got = append(got, len(batch))
			for _, id := range batch {
				seen[id] = true
			}
		}
		if !slices.Equal(got, test.want) || len(seen) != test.n {
			t.Errorf("%d of %d bytes: got batches of %v with %d events, want %v", test.n, test.size, got, len(seen), test.want)
		}
	}
}

func TestWhatTheBusDidNotTakeIsPutAgainAndNothingElse(t *testing.T) {
	w := amazontest.New(t)
	w.Answer(takes(func(nth, entry int) bool { return nth == 1 && entry%2 == 1 || nth == 2 && entry == 0 }))
	if err := open(w).PutEvents(t.Context(), changes(4, 0)); err != nil {
		t.Fatal(err)
	}
	want := "[[ev_0 ev_1 ev_2 ev_3] [ev_1 ev_3] [ev_1]]"
	if got := fmt.Sprint(puts(t, w)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWhatTheBusNeverTakesIsAnError(t *testing.T) {
	for name, answer := range map[string]amazontest.Answers{
		"an entry refused":  takes(func(_, entry int) bool { return entry == 0 }),
		"a request refused": func(amazontest.Asked) (int, string) { return 500, `{"__type":"InternalException","message":"secret"}` },
		"every answer lost": func(amazontest.Asked) (int, string) { return amazontest.Lose, "" },
		"too few results":   func(amazontest.Asked) (int, string) { return 200, `{}` },
	} {
		w := amazontest.New(t)
		w.Answer(answer)
		err := open(w).PutEvents(t.Context(), changes(2, 0))
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, want an error without the bus's own words", name, err)
		}
		if got := len(w.Requests()); got > cloud.Attempts {
			t.Errorf("%s: got %d requests, want at most %d", name, got, cloud.Attempts)
		}
	}
}

func TestALostAnswerOfTheBusIsAskedForAgain(t *testing.T) {
	w := amazontest.New(t)
	w.Answer(func(q amazontest.Asked) (int, string) {
		if q.N == 1 {
			return amazontest.Lose, ""
		}
		return takes(nil)(q)
	})
	if err := open(w).PutEvents(t.Context(), changes(1, 0)); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(puts(t, w)), "[[ev_0] [ev_0]]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAnEventLargerThanTheBusTakesIsAnErrorAndNoRequest(t *testing.T) {
	w := amazontest.New(t)
	err := open(w).PutEvents(t.Context(), changes(1, mostBytes))
	if err == nil || len(w.Requests()) > 0 {
		t.Errorf("got %v after %d requests", err, len(w.Requests()))
	}
}

func TestRoutineEventsAreOnTheBusOnlyWhereTheyAreAskedFor(t *testing.T) {
	var events []activity.Event
	for _, kind := range []string{
		mfa.ChallengeStarted, mfa.ChallengeSent, mfa.ChallengeVerified, mfa.ChallengeFailed, mfa.ChallengeLocked, mfa.BrowserTrusted, mfa.PolicyChanged,
	} {
		events = append(events, activity.Event{ID: kind, Type: kind})
	}
	for setting, want := range map[string]string{
		"":      "[[challenge.failed challenge.locked browser.trusted policy.changed]]",
		"false": "[[challenge.failed challenge.locked browser.trusted policy.changed]]",
		"true":  "[[challenge.started challenge.sent challenge.verified challenge.failed challenge.locked browser.trusted policy.changed]]",
	} {
		w := amazontest.New(t)
		w.Env["COUNTERSIGN_ROUTINE_EVENTS"] = setting
		w.Answer(takes(nil))
		if err := open(w).PutEvents(t.Context(), events); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(puts(t, w)); got != want {
			t.Errorf("%q: got %s, want %s", setting, got, want)
		}
	}
}
