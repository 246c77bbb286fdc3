package cloud

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"countersign/pkg/activity"
	"countersign/pkg/mfa"
)

// puts are the ids of the events in each PutEvents request.
func puts(t testing.TB, a *amazon) (ids [][]string) {
	t.Helper()
	for _, q := range a.requests() {
		var in struct {
			Entries []struct{ Detail string }
		}
		decodeJSON(t, q.Body, &in)
		var batch []string
		for _, e := range in.Entries {
			var event activity.Event
			decodeJSON(t, []byte(e.Detail), &event)
			batch = append(batch, event.ID)
		}
		ids = append(ids, batch)
	}
	return ids
}

// takes answers PutEvents, with an error code for each entry that refuse says.
func takes(refuse func(nth, entry int) bool) func(asked) (int, string) {
	return func(q asked) (int, string) {
		var in struct{ Entries []any }
		json.Unmarshal(q.Body, &in)
		var results []string
		for i := range in.Entries {
			if refuse != nil && refuse(q.nth, i) {
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
	// Four details of so much are all that the bus takes, without what else each event is counted with.
	detail, err := json.Marshal(changes(1, 0)[0])
	if err != nil {
		t.Fatal(err)
	}
	quarter := mostBytes/4 - len(detail)
	for _, test := range []struct {
		n, size int
		want    []int
	}{{0, 0, nil}, {1, 0, []int{1}}, {10, 0, []int{10}}, {23, 0, []int{10, 10, 3}}, {9, 60 << 10, []int{4, 4, 1}}, {8, quarter, []int{3, 3, 2}}, {8, quarter - 40, []int{4, 4}}} {
		w := newWorld(t)
		w.amazon.answer = takes(nil)
		if err := w.open().Bus().PutEvents(t.Context(), changes(test.n, test.size)); err != nil {
			t.Fatal(err)
		}
		var got []int
		seen := map[string]bool{}
		for _, batch := range puts(t, w.amazon) {
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
	w := newWorld(t)
	w.amazon.answer = takes(func(nth, entry int) bool { return nth == 1 && entry%2 == 1 || nth == 2 && entry == 0 })
	if err := w.open().Bus().PutEvents(t.Context(), changes(4, 0)); err != nil {
		t.Fatal(err)
	}
	want := "[[ev_0 ev_1 ev_2 ev_3] [ev_1 ev_3] [ev_1]]"
	if got := fmt.Sprint(puts(t, w.amazon)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWhatTheBusNeverTakesIsAnError(t *testing.T) {
	for name, answer := range map[string]func(asked) (int, string){
		"an entry refused":  takes(func(_, entry int) bool { return entry == 0 }),
		"a request refused": func(asked) (int, string) { return 500, `{"__type":"InternalException","message":"secret"}` },
		"every answer lost": func(asked) (int, string) { return lose, "" },
		"too few results":   func(asked) (int, string) { return 200, `{}` },
	} {
		w := newWorld(t)
		w.amazon.answer = answer
		err := w.open().Bus().PutEvents(t.Context(), changes(2, 0))
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, want an error without the bus's own words", name, err)
		}
		if got := len(w.amazon.requests()); got > attempts {
			t.Errorf("%s: got %d requests, want at most %d", name, got, attempts)
		}
	}
}

func TestALostAnswerOfTheBusIsAskedForAgain(t *testing.T) {
	w := newWorld(t)
	w.amazon.answer = func(q asked) (int, string) {
		if q.nth == 1 {
			return lose, ""
		}
		return takes(nil)(q)
	}
	if err := w.open().Bus().PutEvents(t.Context(), changes(1, 0)); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(puts(t, w.amazon)), "[[ev_0] [ev_0]]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAnEventLargerThanTheBusTakesIsAnErrorAndNoRequest(t *testing.T) {
	w := newWorld(t)
	err := w.open().Bus().PutEvents(t.Context(), changes(1, mostBytes))
	if err == nil || len(w.amazon.requests()) > 0 {
		t.Errorf("got %v after %d requests", err, len(w.amazon.requests()))
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
		w := newWorld(t)
		w.env["COUNTERSIGN_ROUTINE_EVENTS"] = setting
		w.amazon.answer = takes(nil)
		if err := w.open().Bus().PutEvents(t.Context(), events); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(puts(t, w.amazon)); got != want {
			t.Errorf("%q: got %s, want %s", setting, got, want)
		}
	}
}
