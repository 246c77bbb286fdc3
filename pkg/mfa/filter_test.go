package mfa_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/fault"
	"countersign/pkg/store/record"
)

var filterItem = store.Key{Partition: "filter", Sort: "filter"}

func TestWithoutTheFilterKeyNobodyGetsInAndNoKeyIsMade(t *testing.T) {
	w := kls(t, nil)
	cold := *w.Service
	cold.Filter = &apikey.FilterKeeper{Store: w.Store}
	spoiled := map[string]func(*testing.T){
		"the store is away": func(*testing.T) { failLater(w, fault.Get, 0) },
		"it is damaged": func(t *testing.T) {
			item, err := store.GetOne(t.Context(), w.Store, filterItem)
			if err != nil {
				t.Fatal(err)
			}
			body := []byte("\xa2\x00\x01\x01\x43\x00\x00\x00") // format 1, and a key of three zero bytes, which are AAAA in base64
			if err := w.Store.Commit(t.Context(), store.NewVersion(), store.Write{Key: filterItem, Expect: item.Version, Body: body}); err != nil {
				t.Fatal(err)
			}
		},
		"it is of a later format": func(t *testing.T) {
			item, err := store.GetOne(t.Context(), w.Store, filterItem)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Store.Commit(t.Context(), store.NewVersion(), store.Write{Key: filterItem, Expect: item.Version, Body: laterFormat(item.Body)}); err != nil {
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
				_, err := w.APIKeys.Create(ctx, apikey.Grant{Client: "app", Scopes: apikey.Scopes()})
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

// What a key carries was true when it was made. If its item says something else, somebody has changed the item.
func TestAKeyWhoseItemSaysSomethingElseThanItCarriesIsRefused(t *testing.T) {
	w := kls(t, nil)
	key, err := w.APIKeys.Create(t.Context(), apikey.Grant{Client: "narrow", Scopes: []apikey.Scope{apikey.SignIn}, Org: org})
	if err != nil {
		t.Fatal(err)
	}
	call := mfa.Call{Bearer: key.Reveal()}
	if _, err := w.Decide(t.Context(), call, ana()); err != nil {
		t.Fatal(err)
	}
	at := store.Key{Partition: "key#" + seal.HashBearer(key.Reveal()), Sort: "key"}
	bodies := map[string][]byte{}
	for name, grant := range map[string]apikey.Grant{
		"another client": {Client: "other", Scopes: []apikey.Scope{apikey.SignIn}, Org: org},
		"another org":    {Client: "narrow", Scopes: []apikey.Scope{apikey.SignIn}, Org: "globex"},
		"every org":      {Client: "narrow", Scopes: []apikey.Scope{apikey.SignIn}},
		"more scopes":    {Client: "narrow", Scopes: []apikey.Scope{apikey.SignIn, apikey.Admin}, Org: org},
		"other scopes":   {Client: "narrow", Scopes: []apikey.Scope{apikey.Manage}, Org: org},
	} {
		other, err := w.APIKeys.Create(t.Context(), grant)
		if err != nil {
			t.Fatal(err)
		}
		bodies[name] = storedAt(t, w, "key#"+seal.HashBearer(other.Reveal()), "key").Body
	}
	unknown := struct {
		record.Head
		Client string   `record:"1"`
		Scopes []string `record:"3"`
		Org    string   `record:"4"`
	}{Client: "narrow", Scopes: []string{"a later one"}, Org: org}
	if bodies["a scope that nobody knows"], err = record.Encode(&unknown); err != nil {
		t.Fatal(err)
	}
	for name, body := range bodies {
		item, err := store.GetOne(t.Context(), w.Store, at)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Store.Commit(t.Context(), store.NewVersion(), store.CopyWrites(store.Write{Key: at, Expect: item.Version, Body: body})...); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Decide(t.Context(), call, ana()); mfa.AsError(err).Code != mfa.Unauthenticated {
			t.Errorf("%s: got %v, want unauthenticated", name, err)
		}
	}
}
