package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/seal"
	"countersign/pkg/store"
)

const acme = "acme"

// A restoredGround is a place that was restored to the time someday, some time ago.
type restoredGround struct {
	*operator
	ground
	ring *seal.Ring // nil for a local server, whose ring is in its folder
	key  string
}

func newRestored(t *testing.T, open func(*testing.T, *operator) ground) *restoredGround {
	t.Helper()
	r := &restoredGround{operator: newOperator()}
	r.ground = open(t, r.operator)
	if r.flags[0] != "--local" {
		r.ring = seal.NewRing(someday)
		r.with(t, func(s store.Store) { putRing(t, s, someday) })
	} else {
		r.now = func() time.Time { return time.Now().Add(2 * time.Hour) } // the folder was made just now
	}
	r.must(t, r.flagged("keys", "create", "--client", "app", "--scope", "sign_in", "--scope", "manage", "--scope", "admin")...)
	r.key = strings.TrimSpace(r.said)
	r.later(time.Hour)
	return r
}

func (r *restoredGround) flagged(args ...string) []string { return append(args, r.flags...) }

func (r *restoredGround) later(d time.Duration) {
	at := r.now().Add(d)
	r.now = func() time.Time { return at }
}

// moment returns a time just before now.
func (r *restoredGround) moment() string { return r.now().Add(-time.Minute).UTC().Format(time.RFC3339) }

// service calls do with a service on the place, in the epoch of its ring.
func (r *restoredGround) service(t *testing.T, do func(*mfa.Service, mfa.Call)) {
	t.Helper()
	r.with(t, func(s store.Store) {
		ring := r.ring
		where := place{Table: "none", Endpoint: "http://127.0.0.1:1"}
		if ring == nil {
			where = place{Local: r.flags[1]}
		}
		p := &program{now: r.now}
		epoch, err := epochOf(t.Context(), p, where, &site{store: asBackend(s)})
		if err != nil {
			t.Fatal(err)
		}
		if ring == nil {
			if ring, err = changeFolderRing(t.Context(), p, where, nil); err != nil {
				t.Fatal(err)
			}
		}
		do(&mfa.Service{Store: s, Now: r.now, Keys: oneRing{ring.WithEpoch(epoch)}, Issuer: "https://issuer.example"}, mfa.Call{Bearer: r.key})
	})
}

func asBackend(s store.Store) backend { b, _ := s.(backend); return b }

func (r *restoredGround) ask(t *testing.T) (code mfa.ErrorCode) {
	r.service(t, func(s *mfa.Service, call mfa.Call) {
		if _, err := s.GetPolicy(t.Context(), call, acme); err != nil {
			code = mfa.AsError(err).Code
		}
	})
	return code
}

func TestRestoredDataGetsANewEpochOnceAndItsKeysAreConfirmed(t *testing.T) {
	for name, open := range grounds(t) {
		t.Run(name, func(t *testing.T) {
			r := newRestored(t, open)
			id := apikey.ID(seal.NewSecret(r.key))
			if got := r.ask(t); got != "" {
				t.Fatalf("before: got %s, want an answer", got)
			}
			moment := r.moment()
			r.must(t, r.flagged("restored", "--moment", moment)...)
			if !strings.Contains(r.said, "has a new epoch, "+r.now().UTC().Format(time.RFC3339)) || !strings.Contains(r.said, id) || !strings.Contains(r.said, "No events were given") {
				t.Errorf("got\n%swant the new epoch, the key to confirm and that nothing was repeated", r.said)
			}
			if got := r.ask(t); got != mfa.Unauthenticated {
				t.Errorf("with a key that isn't confirmed: got %q, want unauthenticated", got)
			}
			r.must(t, r.flagged("keys", "list")...)
			if !strings.Contains(r.said, "not confirmed") {
				t.Errorf("the list doesn't say which key isn't confirmed:\n%s", r.said)
			}
			const toConfirm = "nobody has confirmed them since"
			doctor := r.flagged("doctor")
			if strings.Contains(name, "Amazon") {
				doctor = append(doctor, "--sender", "you@example.com")
			}
			if r.run(t, doctor...); !strings.Contains(r.said, toConfirm) {
				t.Errorf("doctor doesn't say that keys have to be confirmed:\n%s%s", r.said, r.told)
			}
			r.must(t, r.flagged("keys", "confirm", id)...)
			if got := r.ask(t); got != "" {
				t.Errorf("with the key that was confirmed: got %s, want an answer", got)
			}
			r.must(t, r.flagged("keys", "list")...)
			for line := range strings.Lines(r.said) {
				if strings.Contains(line, "not confirmed") {
					r.must(t, r.flagged("keys", "confirm", strings.Fields(line)[0])...)
				}
			}
			if r.run(t, doctor...); strings.Contains(r.said, toConfirm) || !strings.Contains(r.said, "API key") {
				t.Errorf("doctor still says that keys have to be confirmed:\n%s%s", r.said, r.told)
			}
			r.later(time.Minute)
			r.must(t, r.flagged("restored", "--moment", moment)...)
			if !strings.Contains(r.said, "gets no other one") || strings.Contains(r.said, id) {
				t.Errorf("a second time: got\n%swant that it has its epoch", r.said)
			}
			if got := r.ask(t); got != "" {
				t.Errorf("after the second time: got %s, want an answer", got)
			}
			r.must(t, r.flagged("keys", "list")...)
			for line := range strings.Lines(r.said) {
				if strings.HasPrefix(line, id) && strings.Contains(line, "not confirmed") {
					t.Errorf("the key has to be confirmed again:\n%s", line)
				}
			}
		})
	}
}

func TestErasuresAreRepeatedFromAnExportOfTheBus(t *testing.T) {
	for name, open := range grounds(t) {
		t.Run(name, func(t *testing.T) {
			r := newRestored(t, open)
			r.service(t, func(s *mfa.Service, call mfa.Call) {
				for _, user := range []string{"ana", "bob"} {
					if _, err := s.PutUser(t.Context(), call, acme, mfa.Person{ID: user}); err != nil {
						t.Fatal(err)
					}
				}
			})
			event := func(id, kind, user string, at time.Time) activity.Event {
				return activity.Event{ID: id, Type: kind, Org: acme, User: user, Time: at.UTC(), Data: map[string]any{}}
			}
			at := r.now()
			lines := []any{
				event("ev_1", mfa.UserErased, "bob", at.Add(-time.Hour)), // this is before the moment, and bob was made again since
				map[string]any{"detail-type": "user.erased", "source": "countersign", "detail": event("ev_2", mfa.UserErased, "ana", at)},
				event("ev_2", mfa.UserErased, "ana", at), // the bus gets an event at least once
				event("ev_3", mfa.UserUpdated, "bob", at),
				event("ev_4", mfa.PolicyChanged, "", at),
			}
			file := filepath.Join(t.TempDir(), "events.jsonl")
			var text strings.Builder
			for _, l := range lines {
				b, err := json.Marshal(l)
				if err != nil {
					t.Fatal(err)
				}
				text.Write(append(b, '\n'))
			}
			if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
				t.Fatal(err)
			}
			moment := r.moment()
			for _, repeated := range []bool{true, false} { // the second time there is nothing to do
				r.must(t, r.flagged("restored", "--moment", moment, "--events", file)...)
				if got := strings.Contains(r.said, `user.erased was repeated for "acme" "ana".`); got != repeated {
					t.Errorf("got\n%swant ana's erasure repeated: %v", r.said, repeated)
				}
				for _, want := range []string{"put them again.\n  \"acme\" \"bob\"\n", "put it again.\n  \"acme\"\n", "3 events since"} {
					if !strings.Contains(r.said, want) {
						t.Errorf("got\n%swant %q", r.said, want)
					}
				}
			}
			r.must(t, r.flagged("keys", "confirm", apikey.ID(seal.NewSecret(r.key)))...)
			r.service(t, func(s *mfa.Service, call mfa.Call) {
				if _, err := s.GetUser(t.Context(), call, acme, "ana"); mfa.AsError(err).Code != mfa.NotFound {
					t.Errorf("ana: got %v, want not_found", err)
				}
				if _, err := s.GetUser(t.Context(), call, acme, "bob"); err != nil {
					t.Errorf("bob: %v", err)
				}
			})
		})
	}
}

func TestDataThatIsInUseGetsNoNewEpochByMistake(t *testing.T) {
	p := newPatient(t)
	flags := []string{"--table", p.table, "--region", "eu-west-1"}
	p.now = func() time.Time { return someday.Add(3 * time.Hour) }
	sweep(t, p.db, p.now())
	moment := someday.Format(time.RFC3339)
	if code := p.run(t, append([]string{"restored", "--moment", moment}, flags...)...); code != 1 || !strings.Contains(p.told, "is in use") {
		t.Errorf("got %d and %s, want that the table is in use", code, p.told)
	}
	p.must(t, append([]string{"restored", "--moment", moment, "--in-use"}, flags...)...)
	if code := p.run(t, append([]string{"restored", "--moment", "2036-01-01T00:00:00Z"}, flags...)...); code != 2 {
		t.Errorf("a moment to come: got %d, want 2", code)
	}
}

func TestWhatIsNoEventIsRefusedBeforeAnythingIsDone(t *testing.T) {
	r := newRestored(t, grounds(t)["a local server's folder"])
	for _, text := range []string{"{}", `{"id":"ev_1"}`, "user.erased", `{"id":"ev_1","type":"user.erased","time":"2026-11-22T10:20:00Z","org":"acme"`} {
		file := filepath.Join(t.TempDir(), "events.jsonl")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if code := r.run(t, r.flagged("restored", "--moment", r.moment(), "--events", file)...); code != 1 || !strings.Contains(r.told, "object 1 is not an event") || r.said != "" {
			t.Errorf("%s: got %d, %s%s, want it refused", text, code, r.said, r.told)
		}
	}
}

func TestNewKeysAreMadeAtOnceInAFolderAndByTheSweepInADeployment(t *testing.T) {
	for name, open := range grounds(t) {
		t.Run(name, func(t *testing.T) {
			r := newRestored(t, open)
			if r.ring == nil {
				before, err := changeFolderRing(t.Context(), &program{now: r.now}, place{Local: r.flags[1]}, nil)
				if err != nil {
					t.Fatal(err)
				}
				r.must(t, r.flagged("keys", "rotate")...)
				after, err := changeFolderRing(t.Context(), &program{now: r.now}, place{Local: r.flags[1]}, nil)
				if err != nil || after.Newest() == before.Newest() || len(after.KeyIDs()) != 2 {
					t.Errorf("got %v, %v, want a newer key", after.KeyIDs(), err)
				}
				return
			}
			r.must(t, r.flagged("keys", "rotate")...)
			r.must(t, r.flagged("show", "ring", "ring")...)
			if !strings.Contains(r.said, `"wanted":true`) {
				t.Errorf("got %s, want that newer keys are wanted", r.said)
			}
		})
	}
}
