package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/mfa"
	"countersign/pkg/store"
	"countersign/pkg/store/bolt"
	faulty "countersign/pkg/store/fault"
)

// measured returns the metrics in the lines of a log, as NAMESPACE NAME{DIMENSION=WORD}=VALUE, sorted.
func measured(t testing.TB, log string) (found []string) {
	t.Helper()
	for line := range strings.Lines(log) {
		var m map[string]any
		decodeJSON(t, []byte(line), &m)
		var about struct {
			Metrics []directive `json:"CloudWatchMetrics"`
		}
		text, err := json.Marshal(m["_aws"])
		if err != nil {
			t.Fatal(err)
		}
		decodeJSON(t, text, &about)
		for _, d := range about.Metrics {
			for _, by := range d.Dimensions {
				for _, u := range d.Metrics {
					said := map[string]any{}
					for _, name := range by {
						said[name] = m[name]
					}
					found = append(found, fmt.Sprintf("%s %s%v=%v", d.Namespace, u.Name, said, m[u.Name]))
				}
			}
		}
	}
	slices.Sort(found)
	return found
}

// taker is a bus that takes all events, or none if it has an error.
type taker struct{ err error }

func (b taker) PutEvents(context.Context, []activity.Event) error { return b.err }

func TestABatchThatWasHandedOnIsCountedOnceByKind(t *testing.T) {
	w := newWorld(t)
	w.Env["COUNTERSIGN_STAGE"] = "prod"
	d := w.open()
	bus := &taker{}
	said := []activity.Event{
		{Type: mfa.ChallengeStarted}, {Type: mfa.ChallengeSent, Data: map[string]any{"kind": "email", "factor": "f_secret"}},
		{Type: mfa.ChallengeSent, Data: map[string]any{"kind": "email"}}, {Type: mfa.ChallengeSent, Data: map[string]any{"kind": "sms"}},
		{Type: mfa.ChallengeVerified, Data: map[string]any{"kind": "totp"}}, {Type: mfa.ChallengeVerified, Data: map[string]any{"recovery": true}},
		{Type: mfa.ChallengeFailed}, {Type: mfa.ChallengeLocked, Data: map[string]any{"until": "later"}},
		// A code proves the address, which is then enrolled without another one.
		{Type: mfa.ChallengeSent, Data: map[string]any{"kind": "email"}}, {Type: mfa.AddressProven, Data: map[string]any{"kind": "email"}},
		{Type: mfa.FactorEnrolled, Data: map[string]any{"kind": "email", "proven": true}},
		// The same answer enrols a factor and completes a sign-in.
		{Type: mfa.FactorEnrolled, Data: map[string]any{"kind": "sms"}}, {Type: mfa.ChallengeVerified, Data: map[string]any{"kind": "sms", "enrolled": true}},
	}
	var after error // the error of what comes after the bus
	h := d.stream(func(*Deployment) Deliver {
		return func(ctx context.Context, _ []store.Record) error {
			return errors.Join(Counting(bus).PutEvents(ctx, said), after)
		}
	})
	for _, failing := range []string{"the bus", "what comes after the bus", ""} {
		bus.err, after = nil, nil
		switch failing {
		case "the bus":
			bus.err = errors.New("the bus is away")
		case "what comes after the bus":
			after = errors.New("no mail")
		}
		w.Log.Reset()
		if _, err := h.Invoke(t.Context(), batch("1")); err != nil {
			t.Fatal(err)
		}
		var want []string
		if failing == "" {
			of := func(kind string) map[string]any { return map[string]any{"kind": kind} }
			none := map[string]any{}
			for what, n := range map[string]int{
				fmt.Sprint("Sent", of("email")): 3, fmt.Sprint("Verified", of("email")): 1, fmt.Sprint("Sent", of("sms")): 1, fmt.Sprint("Verified", of("sms")): 1,
				fmt.Sprint("Verified", of("totp")): 1, fmt.Sprint("Right", none): 4, fmt.Sprint("Wrong", none): 1, fmt.Sprint("Locks", none): 1,
			} {
				want = append(want, fmt.Sprintf("Countersign/prod %s=%d", what, n))
			}
			slices.Sort(want)
		}
		if got := measured(t, w.Log.String()); !slices.Equal(got, want) {
			t.Errorf("failing %q: got %v, want %v", failing, got, want)
		}
		if strings.Contains(w.Log.String(), "secret") {
			t.Errorf("the log has a factor's id: %s", w.Log.String())
		}
	}
}

func TestABatchOfSignInsByOneKindIsOneLineAndOneWithoutAnswersIsNone(t *testing.T) {
	w := newWorld(t)
	for want, said := range map[int][]activity.Event{
		1: {{Type: mfa.ChallengeVerified, Data: map[string]any{"kind": "totp"}}, {Type: mfa.ChallengeFailed}},
		0: {{Type: mfa.PolicyChanged}},
	} {
		w.Log.Reset()
		h := w.open().stream(func(*Deployment) Deliver {
			return func(ctx context.Context, _ []store.Record) error { return Counting(taker{}).PutEvents(ctx, said) }
		})
		if _, err := h.Invoke(t.Context(), batch("1", "2")); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(w.Log.String(), "\n"); got != want {
			t.Errorf("got %d lines, want %d: %s", got, want, w.Log.String())
		}
	}
}

func TestAMessageThatWasRefusedIsCountedAmongTheOwnersFailuresUnlessItsRecipientIsTheReason(t *testing.T) {
	w := newWorld(t)
	d := w.open()
	for reason, want := range map[string]int{"account": 2, "address": 1, "recipient": 1, "no_answer": 2} {
		w.Log.Reset()
		d.Courier("pigeon", "COUNTERSIGN_SES_ENDPOINT", nil).failed(reason)
		got := measured(t, w.Log.String())
		by := fmt.Sprint(map[string]any{"channel": "pigeon", "reason": reason})
		if len(got) != want || got[0] != "Countersign DeliveryFailures"+by+"=1" || want > 1 && got[1] != "Countersign Refused"+fmt.Sprint(map[string]any{"channel": "pigeon"})+"=1" {
			t.Errorf("%s: got %v, want %d metrics", reason, got, want)
		}
	}
}

// tended is a key ring whose keys have some age, or one that can't be read.
type tended struct {
	rotated      time.Time
	late, unread error
}

func (k tended) Tend(context.Context) (bool, error)         { return false, k.late }
func (k tended) Rotated(context.Context) (time.Time, error) { return k.rotated, k.unread }

func TestARunOfTheSweepTellsThatItSweptAndHowOldTheKeysAre(t *testing.T) {
	w := newWorld(t)
	empty, err := bolt.Open(t.TempDir()+"/table", bolt.Options{Now: w.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer empty.Close()
	failed := errors.New("KMS is away")
	for name, c := range map[string]struct {
		keys  tended
		swept bool
		want  map[string]float64
		fails bool
	}{
		"all is well":         {tended{rotated: w.At.Add(-36 * time.Hour)}, true, map[string]float64{"Swept": 1, "RingAgeDays": 1.5}, false},
		"no ring yet":         {tended{}, true, map[string]float64{"Swept": 1}, false},
		"the ring is late":    {tended{rotated: w.At.Add(-40 * 24 * time.Hour), late: failed}, true, map[string]float64{"Swept": 1, "RingAgeDays": 40}, true},
		"nothing was swept":   {tended{rotated: w.At}, false, map[string]float64{"RingAgeDays": 0}, true},
		"nothing is readable": {tended{unread: failed}, false, nil, true},
	} {
		w.Log.Reset()
		d := w.open()
		table := faulty.New(empty)
		if !c.swept {
			table.Inject(faulty.Get, 1, faulty.Fail(errors.New("the table is away")))
		}
		h := d.schedule(func(d *Deployment) Job {
			return d.Sweep(&mfa.Service{Store: table, Now: d.now}, c.keys)
		})
		if _, err := h.Invoke(t.Context(), nil); (err != nil) != c.fails {
			t.Errorf("%s: got %v", name, err)
		}
		got := map[string]float64{}
		for line := range strings.Lines(w.Log.String()) {
			var m map[string]any
			decodeJSON(t, []byte(line), &m)
			for _, metric := range []string{"Swept", "RingAgeDays"} {
				if n, there := m[metric].(float64); there {
					got[metric] = n
				}
			}
		}
		if !maps.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}
