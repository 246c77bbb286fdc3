package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/mfa"
	"countersign/pkg/seal"
	"countersign/pkg/store"
)

// A recordedBus keeps what is put on it.
type recordedBus struct{ events []activity.Event }

func (b *recordedBus) PutEvents(_ context.Context, events []activity.Event) error {
	b.events = append(b.events, events...)
	return nil
}

// An auditedGround is a place in which an org has activity with checkpoints.
type auditedGround struct {
	*restoredGround
	bus  *recordedBus
	ring *seal.Ring
	dir  string
}

// audited makes a place in which the policy of acme was changed on two days, and files that with checkpoints.
func audited(t *testing.T, open func(*testing.T, *operator) ground) *auditedGround {
	t.Helper()
	a := &auditedGround{restoredGround: newRestored(t, open), bus: &recordedBus{}, dir: t.TempDir()}
	for range 2 {
		a.service(t, func(s *mfa.Service, call mfa.Call) {
			s.Bus, a.ring = a.bus, s.Keys.(oneRing).ring
			p, err := s.GetPolicy(t.Context(), call, acme)
			if err != nil {
				t.Fatal(err)
			}
			p.Policy.Trust.Days++
			if _, err := s.PutPolicy(t.Context(), call, acme, mfa.PolicyChange{Policy: p.Policy, Version: &p.Version, Acknowledge: true}); err != nil {
				t.Fatal(err)
			}
			a.handOn(t, s, store.Key{Partition: "org#" + base64.RawURLEncoding.EncodeToString([]byte(seal.Route(acme))), Sort: "policy"})
			for more := true; more; {
				done, err := s.Checkpoint(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				more = done.More
			}
			check, err := s.Store.Query(t.Context(), store.Query{Partition: "check#" + base64.RawURLEncoding.EncodeToString([]byte(seal.Route(acme))), Limit: 1, Reverse: true})
			if err != nil || len(check.Items) != 1 {
				t.Fatal(len(check.Items), err)
			}
			a.handOn(t, s, check.Items[0].Key)
			published, err := store.GetOne(t.Context(), s.Store, mfa.PublishedKeysAt)
			if err != nil {
				t.Fatal(err)
			}
			write, err := mfa.PublishKeys(a.ring, published.Version)
			if err == nil {
				err = s.Store.Commit(t.Context(), store.NewVersion(), write)
			}
			if err != nil {
				t.Fatal(err)
			}
		})
		a.later(24 * time.Hour)
	}
	return a
}

// handOn publishes what was committed with an item. A local server's store has a feed, which doesn't give a record twice.
func (a *auditedGround) handOn(t *testing.T, s *mfa.Service, key store.Key) {
	t.Helper()
	if feed, ok := s.Store.(store.Feed); ok {
		if err := feed.Deliver(t.Context(), 10, s.Publish); err != nil {
			t.Fatal(err)
		}
		return
	}
	held, err := asBackend(s.Store).Held(t.Context(), key)
	if err == nil {
		err = s.Publish(t.Context(), held)
	}
	if err != nil || len(held) != 1 {
		t.Fatal(len(held), err)
	}
}

// file writes a file and returns its name.
func (a *auditedGround) file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (a *auditedGround) verify(t *testing.T, flags ...string) int {
	t.Helper()
	return a.run(t, append([]string{"audit", "verify"}, flags...)...)
}

func TestAnExportOfActivityIsVerifiedWithoutTheDeployment(t *testing.T) {
	for name, open := range grounds(t) {
		t.Run(name, func(t *testing.T) {
			a := audited(t, open)
			a.must(t, a.flagged("audit", "export", acme)...)
			export := a.said
			var lines []string
			for _, e := range a.bus.events {
				line, err := json.Marshal(map[string]any{"source": "countersign", "detail": e})
				if err != nil {
					t.Fatal(err)
				}
				lines = append(lines, string(line))
			}
			file, events := a.file(t, "export.jsonl", export), a.file(t, "events.jsonl", strings.Join(lines, "\n"))
			keys := a.file(t, "jwks.json", string(a.ring.JWKS()))
			a.env = nil // nothing of the deployment is needed
			if code := a.verify(t, file); code != 0 || !strings.Contains(a.said, "2 pages of 2 days, and 2 checkpoints") || !strings.Contains(a.said, "Compare their ids") ||
				!strings.Contains(a.said, "No events of this") {
				t.Errorf("got %d, %s%s, want that all is there, and what that doesn't prove", code, a.said, a.told)
			}
			if code := a.verify(t, "--keys", keys, "--events", events, file); code != 0 || strings.Contains(a.said, "Compare") ||
				!strings.Contains(a.said, "2 checkpoints that were on the bus are among them") {
				t.Errorf("with keys and events: got %d, %s%s", code, a.said, a.told)
			}
			for what, c := range map[string]struct {
				change func(string) string
				want   string
			}{
				"a byte": {func(s string) string {
					return strings.Replace(s, `"type":"policy.changed"`, `"type":"policy.chbnged"`, 1)
				}, "line "},
				"the end":    {func(s string) string { return s[:strings.LastIndex(strings.TrimSpace(s), "\n")+1] }, "the end of the export is missing"},
				"everything": {func(string) string { return "" }, "the end of the export is missing"},
			} {
				changed := a.file(t, "changed.jsonl", c.change(export))
				if code := a.verify(t, "--keys", keys, changed); code != 1 || a.said != "" || !strings.Contains(a.told, "does not prove the activity") || !strings.Contains(a.told, c.want) {
					t.Errorf("%s: got %d, %q and %s", what, code, a.said, a.told)
				}
			}
			other := a.file(t, "other.json", string(seal.NewRing(someday).JWKS()))
			if code := a.verify(t, "--keys", other, file); code != 1 || !strings.Contains(a.told, "signed with none of the keys") {
				t.Errorf("under other keys: got %d and %s", code, a.told)
			}
			if code := a.verify(t, "--at", a.now().Add(-48*time.Hour).UTC().Format(time.RFC3339), file); code != 1 || !strings.Contains(a.told, "still to come") {
				t.Errorf("before it was made: got %d and %s", code, a.told)
			}
			if code := a.verify(t, "--keys", a.file(t, "old.json", `{"keys":[]}`), file); code != 1 || !strings.Contains(a.told, "no checkpoint_keys") {
				t.Errorf("with a set that has no keys: got %d and %s", code, a.told)
			}
		})
	}
}

// Whoever can write the table can cut its end, together with what tells of it. The bus has it still.
func TestL11AnEndOfTheActivityThatWasCutOffWithItsCheckpointsIsMissedByTheBus(t *testing.T) {
	a := audited(t, grounds(t)["a local server's folder"])
	a.with(t, func(s store.Store) {
		org := base64.RawURLEncoding.EncodeToString([]byte(seal.Route(acme)))
		last, err := s.Query(t.Context(), store.Query{Partition: "act#" + org, Limit: 1, Reverse: true})
		if err != nil {
			t.Fatal(err)
		}
		check, err := s.Query(t.Context(), store.Query{Partition: "check#" + org, Limit: 1, Reverse: true})
		if err != nil {
			t.Fatal(err)
		}
		pages, err := s.Query(t.Context(), store.Query{Partition: "act#" + org + "#" + last.Items[0].Key.Sort + "#0"})
		if err != nil {
			t.Fatal(err)
		}
		writes := []store.Write{{Key: store.Key{Partition: "other", Sort: "other"}, Body: []byte("x")}}
		for _, item := range append(append(last.Items, check.Items...), pages.Items...) {
			writes = append(writes, store.Write{Key: item.Key, Expect: item.Version, Delete: true})
		}
		if err := s.Commit(t.Context(), store.NewVersion(), writes...); err != nil {
			t.Fatal(err)
		}
	})
	a.must(t, a.flagged("audit", "export", acme)...)
	file := a.file(t, "export.jsonl", a.said)
	if code := a.verify(t, file); code != 0 || !strings.Contains(a.said, "1 pages of 1 days") {
		t.Fatalf("nothing in the table tells of it, but: got %d, %s%s", code, a.said, a.told)
	}
	var lines []string
	for _, e := range a.bus.events {
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(line))
	}
	if code := a.verify(t, "--events", a.file(t, "events.jsonl", strings.Join(lines, "\n")), file); code != 1 || !strings.Contains(a.told, "checkpoint 2 was seen elsewhere and is missing") {
		t.Errorf("with the events: got %d, %s%s", code, a.said, a.told)
	}
}

func TestAnAuditThatMakesNoSenseIsRefused(t *testing.T) {
	o := newOperator()
	file := filepath.Join(t.TempDir(), "export.jsonl")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"audit"},
		{"audit", "export", "acme"},
		{"audit", "export", "--table", "t-1", "--region", "eu-west-1"},
		{"audit", "verify"},
		{"audit", "verify", file + ".none"},
		{"audit", "verify", file, "--table", "t-1"},
		{"audit", "verify", file, "--local", "dir"},
	} {
		if code := o.run(t, args...); code != 2 || o.said != "" || !strings.HasPrefix(o.told, "ctl: ") {
			t.Errorf("%s: got %d, %q and %q, want 2 and why", args, code, o.said, o.told)
		}
	}
}
