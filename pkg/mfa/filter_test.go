package mfa_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/fault"
)

var filterItem = store.Key{Partition: "filter", Sort: "filter"}

func TestOfManyWhoMakeTheFilterKeyAtOnceOneDoesAndAllGetIt(t *testing.T) {
	w := mfatest.New(t)
	removeFilter(t, w)
	keepers := make([]*mfa.FilterKeeper, 16)
	bearers := make([]string, len(keepers))
	arrived := make(chan struct{}, len(keepers))
	release := make(chan struct{})
	w.Faults.Inject(fault.Commit, len(keepers), fault.Hold(arrived, release))
	var all sync.WaitGroup
	for i := range keepers {
		keepers[i] = &mfa.FilterKeeper{Store: w.Store}
		all.Go(func() {
			f, err := keepers[i].Filter(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			bearers[i] = f.NewBearer(seal.APIKey, nil).Reveal()
		})
	}
	for range keepers {
		<-arrived // all of them have found none
	}
	close(release)
	all.Wait()
	for _, k := range keepers {
		f, err := k.Filter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i, bearer := range bearers {
			if _, ok := f.Recognise(seal.APIKey, bearer, 0); !ok {
				t.Fatalf("keeper %d made bearers under another key", i)
			}
		}
	}
}

// removeFilter takes the filter key from the store, as if nobody had come yet.
func removeFilter(t *testing.T, w *mfatest.World) {
	t.Helper()
	item, err := w.Store.Get(t.Context(), filterItem)
	if err != nil || item.Absent() {
		t.Fatalf("got %+v, %v, want the filter key", item, err)
	}
	token := store.NewVersion()
	beside := store.Write{Key: store.Key{Partition: "test", Sort: string(token)}, Body: []byte("{}")} // a commit needs a put
	if err := w.Store.Commit(t.Context(), token, store.Write{Key: filterItem, Expect: item.Version, Delete: true}, beside); err != nil {
		t.Fatal(err)
	}
}

func TestTheFilterKeyIsReadOnceAndKeptWhenTheStoreIsAway(t *testing.T) {
	w := mfatest.New(t)
	keeper := &mfa.FilterKeeper{Store: w.Store}
	failLater(w, fault.Get, 0)
	if f, err := keeper.Filter(t.Context()); err == nil {
		t.Errorf("with the store away: got %v, want an error", f)
	}
	w.Faults.Clear()
	first, err := keeper.Filter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	failLater(w, fault.Get, 0)
	w.Clock.Advance(365 * 24 * time.Hour)
	if f, err := keeper.Filter(t.Context()); err != nil || f != first {
		t.Errorf("later, with the store away: got %v, %v, want the same filter", f, err)
	}
}

func TestALostAnswerDoesNotMakeAnotherFilterKey(t *testing.T) {
	w := mfatest.New(t)
	removeFilter(t, w)
	w.Faults.Inject(fault.Commit, 1, fault.Lose(errors.New("no answer")))
	mine, err := (&mfa.FilterKeeper{Store: w.Store}).Filter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other, err := (&mfa.FilterKeeper{Store: w.Store}).Filter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := other.Recognise(seal.PortalToken, mine.NewBearer(seal.PortalToken, nil).Reveal(), 0); !ok {
		t.Error("the key that was answered isn't the one in the store")
	}
}

func TestWithoutTheFilterKeyNobodyGetsInAndNoKeyIsMade(t *testing.T) {
	w := kls(t, nil)
	cold := *w.Service
	cold.Filter = &mfa.FilterKeeper{Store: w.Store}
	spoiled := map[string]func(*testing.T){
		"the store is away": func(*testing.T) { failLater(w, fault.Get, 0) },
		"it is damaged": func(t *testing.T) {
			item, err := w.Store.Get(t.Context(), filterItem)
			if err != nil {
				t.Fatal(err)
			}
			body := []byte(`{"format":1,"key":"AAAA"}`)
			if err := w.Store.Commit(t.Context(), store.NewVersion(), store.Write{Key: filterItem, Expect: item.Version, Body: body}); err != nil {
				t.Fatal(err)
			}
		},
		"it is of a later format": func(t *testing.T) {
			item, err := w.Store.Get(t.Context(), filterItem)
			if err != nil {
				t.Fatal(err)
			}
			body := []byte(strings.Replace(string(item.Body), `"format":1`, `"format":2`, 1))
			if err := w.Store.Commit(t.Context(), store.NewVersion(), store.Write{Key: filterItem, Expect: item.Version, Body: body}); err != nil {
				t.Fatal(err)
			}
		},
	}
	for _, name := range []string{"the store is away", "it is of a later format", "it is damaged"} {
		spoiled[name](t)
		for what, call := range map[string]func(context.Context) error{
			"a start": func(ctx context.Context) error { _, err := cold.StartChallenge(ctx, w.Client, ana()); return err },
			"a made-up bearer": func(ctx context.Context) error {
				_, err := cold.StartChallenge(ctx, mfa.Call{Bearer: seal.NewFilter().NewBearer(seal.APIKey, make([]byte, 33)).Reveal()}, ana())
				return err
			},
			"a new key": func(ctx context.Context) error {
				_, err := cold.CreateKey(ctx, mfa.NewKey{Client: "app", Scopes: mfa.Scopes()})
				return err
			},
		} {
			err := call(t.Context())
			if mfa.AsError(err).Code != mfa.Unavailable || strings.Contains(err.Error(), "AAAA") {
				t.Errorf("%s, %s: got %v, want unavailable", name, what, err)
			}
		}
		w.Faults.Clear()
	}
}

func TestAMadeUpBearerIsRefusedEvenWhileTheKeyRingIsAway(t *testing.T) {
	w := kls(t, nil)
	w.Keys.Fail(errors.New("keys are away"))
	w.Faults.Reset()
	_, err := w.StartChallenge(t.Context(), mfa.Call{Bearer: seal.NewFilter().NewBearer(seal.APIKey, make([]byte, 33)).Reveal()}, ana())
	wantCode(t, err, mfa.Unauthenticated)
	if got := w.Faults.Counts().Calls(); got != 0 {
		t.Errorf("got %d calls of the store, want none", got)
	}
}

// What a key carries was true when it was made. If its item says something else, somebody wrote it.
func TestAKeyWhoseItemSaysSomethingElseThanItCarriesIsRefused(t *testing.T) {
	w := kls(t, nil)
	key, err := w.CreateKey(t.Context(), mfa.NewKey{Client: "narrow", Scopes: []mfa.Scope{mfa.ScopeSignIn}, Org: org})
	if err != nil {
		t.Fatal(err)
	}
	call := mfa.Call{Bearer: key.Reveal()}
	if _, err := w.Decide(t.Context(), call, ana()); err != nil {
		t.Fatal(err)
	}
	at := store.Key{Partition: "key#" + seal.HashBearer(key.Reveal()), Sort: "key"}
	for name, body := range map[string]string{
		"another client": `{"format":1,"client":"other","scopes":["sign_in"],"org":"acme"}`,
		"another org":    `{"format":1,"client":"narrow","scopes":["sign_in"],"org":"globex"}`,
		"every org":      `{"format":1,"client":"narrow","scopes":["sign_in"]}`,
		"more scopes":    `{"format":1,"client":"narrow","scopes":["sign_in","admin"],"org":"acme"}`,
		"other scopes":   `{"format":1,"client":"narrow","scopes":["a later one"],"org":"acme"}`,
	} {
		item, err := w.Store.Get(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Store.Commit(t.Context(), store.NewVersion(), store.Write{Key: at, Expect: item.Version, Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Decide(t.Context(), call, ana()); mfa.AsError(err).Code != mfa.Unauthenticated {
			t.Errorf("%s: got %v, want unauthenticated", name, err)
		}
	}
}
