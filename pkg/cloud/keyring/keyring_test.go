package keyring

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/infra/amazon"
	"countersign/infra/amazon/amazontest"
	"countersign/pkg/cloud"
	"countersign/pkg/mfa"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// A world has what the processes of a deployment find.
type world struct{ *amazontest.World }

func newWorld(t *testing.T) world { return world{amazontest.NewWithTable(t)} }

// deployment returns the Deployment of a process that has just started.
func (w world) deployment() *cloud.Deployment {
	return cloud.Open(cloud.Process{Step: "verify", Environment: w.Getenv, Output: &w.Log, Now: w.Now})
}

// open returns the keeper of a process that has just started.
func (w world) open() *Keeper { return Of(w.deployment()) }

// table returns the deployment's table, which tests use without a keeper.
func (w world) table() store.Store { return w.deployment().Store() }

func TestTheFirstProcessMakesTheRingAndTheOthersGetIt(t *testing.T) {
	w := newWorld(t)
	first := ringOf(t, w.open())
	second := ringOf(t, w.open())
	if first.Newest() != second.Newest() {
		t.Errorf("got rings %s and %s, want one", first.Newest(), second.Newest())
	}
	if got, want := w.Operations(), "GenerateDataKey Decrypt"; got != want {
		t.Errorf("got %s asked of KMS, want %s", got, want)
	}
}

func TestOfManyFirstProcessesAtOnceOneMakesTheRing(t *testing.T) {
	w := newWorld(t)
	ids := make([]string, 16)
	var all sync.WaitGroup
	for i := range ids {
		keys := w.open()
		all.Go(func() {
			ring, err := keys.Ring(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = ring.Newest()
		})
	}
	all.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("got rings %v, want one", ids)
		}
	}
}

func TestAWarmProcessAsksNobodyUntilTheRingIsOld(t *testing.T) {
	w := newWorld(t)
	ringOf(t, w.open()) // the process that makes the ring isn't the one that the test looks at
	keys := w.open()
	first := ringOf(t, keys)
	w.Break(amazon.KMS, true)
	w.At = w.At.Add(seal.RingAge)
	table := keys.store
	keys.store = nil // a use of the store would panic
	if ring := ringOf(t, keys); ring != first {
		t.Error("got another ring while the first was fresh")
	}
	keys.store = table
	w.Break(amazon.KMS, false)
	if err := w.open().Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.At = w.At.Add(time.Second)
	if ring := ringOf(t, keys); ring == first {
		t.Error("got the old ring, want what the table has by now")
	}
}

func TestAnUnchangedRingIsReadAgainButNotUnwrapped(t *testing.T) {
	w := newWorld(t)
	keys := w.open()
	first := ringOf(t, keys)
	w.Break(amazon.KMS, true)
	w.At = w.At.Add(time.Hour)
	if ring := ringOf(t, keys); ring != first {
		t.Error("got another ring, want the same pointer: nothing changed")
	}
	again, err := keys.Reload(t.Context())
	if err != nil || again != first {
		t.Errorf("got %v, %v, want the same pointer", again, err)
	}
}

func TestWhatAnotherProcessSealedUnderNewKeysOpensAfterOneReload(t *testing.T) {
	w := newWorld(t)
	old, other := w.open(), w.open()
	before := ringOf(t, old).Seal("test", nil, []byte("old"))
	if err := other.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := ringOf(t, other).Seal("test", nil, []byte("new"))
	for want, sealed := range map[string][]byte{"old": before, "new": after} {
		for name, keys := range map[string]*Keeper{"the old process": old, "the other": other} {
			plain, err := ringOf(t, keys).Open("test", nil, sealed)
			if errors.Is(err, seal.ErrUnknownKey) {
				reloaded, failed := keys.Reload(t.Context())
				if failed != nil {
					t.Fatal(failed)
				}
				plain, err = reloaded.Open("test", nil, sealed)
			}
			if err != nil || string(plain) != want {
				t.Errorf("%s, sealed under the %s keys: got %q and %v", name, want, plain, err)
			}
		}
	}
}

func TestARingFromTheFutureIsReadAgain(t *testing.T) {
	w := newWorld(t)
	keys, other := w.open(), w.open()
	ringOf(t, keys)
	if err := other.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.At = w.At.Add(-time.Minute)
	if got, want := ringOf(t, keys).Newest(), ringOf(t, other).Newest(); got != want {
		t.Errorf("after the clock went back: got %s, want %s, which the table has", got, want)
	}
}

// counting counts the reads of a store.
type counting struct {
	store.Store
	gets int
}

func (c *counting) Get(ctx context.Context, keys ...store.Key) ([]store.Item, error) {
	c.gets++
	return c.Store.Get(ctx, keys...)
}

func TestForgedKeyIdsCauseAFewReadsASecond(t *testing.T) {
	w := newWorld(t)
	keys := w.open()
	ringOf(t, keys)
	reads := &counting{Store: keys.store}
	keys.store = reads
	flood := func() {
		for range 100 {
			if _, err := keys.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, step := range []struct {
		after time.Duration
		want  int
	}{
		{0, reloadBurst}, {0, 0}, {reloadEvery, 1}, {3 * reloadEvery, 3}, {time.Hour, reloadBurst},
		{-2 * time.Hour, reloadBurst}, // a clock that is moved back doesn't stop reloads for good
	} {
		w.At = w.At.Add(step.after)
		reads.gets = 0
		if flood(); reads.gets != step.want {
			t.Errorf("after %s: got %d reads, want %d", step.after, reads.gets, step.want)
		}
	}
	if got, want := w.Operations(), "GenerateDataKey"; got != want {
		t.Errorf("got %s asked of KMS, want %s", got, want)
	}
}

func TestTheRingIsTendedWhenItIsDueAndKMSIsNotAskedBefore(t *testing.T) {
	w := newWorld(t)
	for _, step := range []struct {
		name    string
		after   time.Duration
		changed bool
		keys    int // how many secrets the ring has then
		signers int // how many keys the JWKS has then
	}{
		{"made", 0, true, 1, 1},
		{"nothing to do", time.Minute, false, 1, 1},
		{"still nothing", rotateEvery - 2*time.Minute, false, 1, 1},
		{"rotated", time.Minute, true, 2, 2},
		{"the old signer is in use", seal.Published, false, 2, 2},
		{"and kept", seal.SignerKept, false, 2, 2},
		{"and dropped", time.Minute, true, 2, 1},
		{"nothing to do", time.Hour, false, 2, 1},
		{"rotated again", rotateEvery, true, 3, 2},
	} {
		w.At = w.At.Add(step.after)
		keys := w.open() // each run may be in a new process
		keys.store = &together{keys.store, t}
		asked := len(w.Requests())
		changed, err := keys.Tend(t.Context())
		if err != nil || changed != step.changed {
			t.Errorf("%s: got changed %v, %v, want %v", step.name, changed, err, step.changed)
		}
		if got := len(w.Requests()) - asked; got > 0 != step.changed {
			t.Errorf("%s: asked KMS %d times", step.name, got)
		}
		ring := ringOf(t, w.open())
		if got := len(ring.KeyIDs()); got != step.keys {
			t.Errorf("%s: got %d secrets, want %d", step.name, got, step.keys)
		}
		if got := signingKeys(t, ring); got != step.signers {
			t.Errorf("%s: got %d signing keys published, want %d", step.name, got, step.signers)
		}
		if got, err := mfa.PublishedKeys(t.Context(), w.table()); err != nil || string(got) != string(ring.JWKS()) {
			t.Errorf("%s: published are %s, %v, want %s", step.name, got, err, ring.JWKS())
		}
	}
}

// together is a store that fails the test if the ring is written without the item that publishes its keys, or the other way
// around.
type together struct {
	store.Store
	t *testing.T
}

func (s *together) Commit(ctx context.Context, token store.Version, writes ...store.Write) error {
	var keys []store.Key
	for _, w := range writes {
		keys = append(keys, w.Key)
	}
	if !slices.Contains(keys, ringKey) || !slices.Contains(keys, mfa.PublishedKeysAt) {
		s.t.Errorf("got a commit of %v, want the ring and its published keys in one", keys)
	}
	return s.Store.Commit(ctx, token, writes...)
}

func TestPublishedKeysThatAreNotTheRingsArePutRightByTheNextRun(t *testing.T) {
	w := newWorld(t)
	want := string(ringOf(t, w.open()).JWKS())
	table := w.table()
	spoil := func(t *testing.T, body string) {
		item, err := store.GetOne(t.Context(), table, mfa.PublishedKeysAt)
		if err != nil {
			t.Fatal(err)
		}
		write := store.Write{Key: item.Key, Expect: item.Version, Body: []byte(body)}
		writes := []store.Write{write}
		if body == "" {
			writes = []store.Write{{Key: item.Key, Expect: item.Version, Delete: true}, {Key: store.Key{Partition: "test", Sort: "beside"}, Body: []byte("{}")}}
		}
		if err := table.Commit(t.Context(), store.NewVersion(), writes...); err != nil {
			t.Fatal(err)
		}
	}
	for name, body := range map[string]string{"overwritten": `{"format":1,"jwks":{"keys":[]}}`, "removed": ""} {
		spoil(t, body)
		before := ringOf(t, w.open())
		if changed, err := w.open().Tend(t.Context()); !changed || err != nil {
			t.Errorf("%s: got %v, %v, want it changed", name, changed, err)
		}
		if got, err := mfa.PublishedKeys(t.Context(), table); err != nil || string(got) != want {
			t.Errorf("%s: published are %s, %v, want %s", name, got, err, want)
		}
		if after := ringOf(t, w.open()); !after.Marshal().Equal(before.Marshal()) {
			t.Errorf("%s: the ring was changed", name)
		}
		if changed, err := w.open().Tend(t.Context()); changed || err != nil {
			t.Errorf("%s, once more: got %v, %v, want nothing to do", name, changed, err)
		}
	}
}

func TestOfTwoRotationsAtOnceOneIsDone(t *testing.T) {
	w := newWorld(t)
	a, b := w.open(), w.open()
	ringOf(t, a)
	ringOf(t, b)
	// Keeper b rotates the ring after keeper a has read it, and before a writes it.
	a.store = &before{Store: a.store, commit: func() error { return b.Rotate(t.Context()) }}
	if err := a.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := ringOf(t, a).Newest(), ringOf(t, b).Newest(); got != want {
		t.Errorf("got %s and %s, want one newest key", got, want)
	}
	if got := len(ringOf(t, w.open()).KeyIDs()); got != 2 {
		t.Errorf("got %d secrets, want 2", got)
	}
}

// before calls a function once before a commit, and can lose the answers of commits.
type before struct {
	store.Store
	commit func() error
	lost   int
}

func (b *before) Commit(ctx context.Context, token store.Version, writes ...store.Write) error {
	if do := b.commit; do != nil {
		b.commit = nil
		if err := do(); err != nil {
			return err
		}
	}
	err := b.Store.Commit(ctx, token, writes...)
	if b.lost > 0 {
		b.lost--
		return errors.New("no answer")
	}
	return err
}

func TestALostAnswerOfTheTableDoesNotMakeAnotherRing(t *testing.T) {
	w := newWorld(t)
	keys := w.open()
	keys.store = &before{Store: keys.store, lost: 2}
	if got, want := ringOf(t, keys).Newest(), ringOf(t, w.open()).Newest(); got != want {
		t.Errorf("got %s, want %s, which the table has", got, want)
	}
}

func TestARingThatIsGoneIsNotMadeAnew(t *testing.T) {
	w := newWorld(t)
	keys := w.open()
	ringOf(t, keys)
	table := keys.store
	keys.store = &absent{table}
	w.At = w.At.Add(time.Hour)
	if ring, err := keys.Ring(t.Context()); err == nil {
		t.Errorf("got %v, want an error", ring)
	}
}

// absent is a store without any item.
type absent struct{ store.Store }

func (a *absent) Get(_ context.Context, keys ...store.Key) (items []store.Item, err error) {
	for _, key := range keys {
		items = append(items, store.Item{Key: key})
	}
	return items, nil
}

func TestWithoutKMSOrTheTableNobodyGetsARing(t *testing.T) {
	w := newWorld(t)
	w.Break(amazon.KMS, true)
	if ring, err := w.open().Ring(t.Context()); err == nil || strings.Contains(err.Error(), "arn:") {
		t.Errorf("without KMS: got %v, %v, want an error without KMS's own words", ring, err)
	}
	w.Break(amazon.KMS, false)
	keys := w.open()
	ringOf(t, keys)
	w.Env["COUNTERSIGN_DYNAMODB_ENDPOINT"] = amazontest.ClosedPort(t)
	keys.store = w.table()
	if ring, err := keys.Ring(t.Context()); err != nil {
		t.Errorf("without the table, and a fresh ring: got %v, %v", ring, err)
	}
	w.At = w.At.Add(time.Hour)
	if ring, err := keys.Ring(t.Context()); err == nil {
		t.Errorf("without the table, and an old ring: got %v, want an error", ring)
	}
}

func TestARingItemThatWasTamperedWithIsRefused(t *testing.T) {
	w := newWorld(t)
	ringOf(t, w.open())
	table := w.table()
	good, err := store.GetOne(t.Context(), table, ringKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{`"secrets"`, `"signers"`} {
		if bytes.Contains(good.Body, []byte(secret)) {
			t.Fatalf("the item holds the ring in the clear: %s", good.Body)
		}
	}
	for name, change := range map[string]func(*ringItem){
		"format":   func(*ringItem) {},
		"data key": func(i *ringItem) { i.DataKey[3] ^= 1 },
		"sealed":   func(i *ringItem) { i.Sealed[3] ^= 1 },
		"empty":    func(i *ringItem) { i.Sealed = nil },
		"rotated":  func(i *ringItem) { i.Rotated = i.Rotated.Add(time.Hour) },
		"retired":  func(i *ringItem) { i.Retired = !i.Retired },
	} {
		var item ringItem
		if err := record.Decode(good, &item); err != nil {
			t.Fatal(err)
		}
		change(&item)
		body, err := record.Encode(&item)
		if err != nil {
			t.Fatal(err)
		}
		if name == "format" {
			body = bytes.Replace(body, []byte{0, 1}, []byte{0, 2}, 1) // the same field under another number
		}
		keys := w.open()
		keys.store = &fixed{body: body}
		ring, err := keys.Ring(t.Context())
		if err == nil {
			t.Errorf("%s: got %v, want an error", name, ring)
		} else if name == "format" && !strings.Contains(err.Error(), "format 2") {
			t.Errorf("got %v, want the format named", err)
		}
	}
	keys := w.open()
	keys.store = &fixed{body: good.Body[:len(good.Body)/2]}
	if ring, err := keys.Ring(t.Context()); err == nil {
		t.Errorf("cut short: got %v, want an error", ring)
	}
}

// fixed is a store in which the item of every key has the same body.
type fixed struct {
	store.Store
	body []byte
}

func (f *fixed) Get(_ context.Context, keys ...store.Key) (items []store.Item, err error) {
	for _, key := range keys {
		items = append(items, store.Item{Key: key, Version: "v", Body: f.body})
	}
	return items, nil
}

func ringOf(t testing.TB, k *Keeper) *seal.Ring {
	t.Helper()
	ring, err := k.Ring(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// signingKeys returns how many keys that sign tokens a ring publishes.
func signingKeys(t *testing.T, ring *seal.Ring) int {
	t.Helper()
	var set struct{ Keys []struct{ Kid string } }
	if err := json.Unmarshal(ring.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	return len(set.Keys)
}
