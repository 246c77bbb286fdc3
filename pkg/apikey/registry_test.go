package apikey_test

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/bolt"
	"countersign/pkg/store/fault"
	"countersign/pkg/store/storetest"
)

// A world is a registry over a real store, with faults to order. It has one key.
type world struct {
	*apikey.Registry
	db     store.Store // without faults
	faults *fault.Store
	clock  *storetest.Clock
	key    seal.Secret
}

func newWorld(t *testing.T) *world {
	t.Helper()
	clock := storetest.NewClock(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	db, err := bolt.Open(filepath.Join(t.TempDir(), "countersign.db"), bolt.Options{Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	faults := fault.New(db)
	w := &world{Registry: &apikey.Registry{Store: faults, Now: clock.Now}, db: db, faults: faults, clock: clock}
	w.key = w.create(t, apikey.Grant{Client: "app", Scopes: apikey.Scopes()})
	return w
}

func (w *world) create(t *testing.T, g apikey.Grant) seal.Secret {
	t.Helper()
	key, err := w.Create(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (w *world) list(t *testing.T) []apikey.Key {
	t.Helper()
	keys, err := w.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// item is what the store has of a key, which must be the same in every copy.
func (w *world) item(t *testing.T, key seal.Secret) store.Item {
	t.Helper()
	copies, err := w.db.Get(t.Context(), store.CopyKeys(firstCopy(key))...)
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range copies {
		if item.Version != copies[0].Version || !bytes.Equal(item.Body, copies[0].Body) {
			t.Fatalf("got %+v, want all copies to be the same", copies)
		}
	}
	return copies[0]
}

func firstCopy(key seal.Secret) store.Key {
	return store.Key{Partition: "key#" + seal.HashBearer(key.Reveal()), Sort: "key"}
}

// wantInvalid expects an InvalidError about param.
func wantInvalid(t *testing.T, what string, err error, param string) {
	t.Helper()
	if wrong, ok := errors.AsType[*apikey.InvalidError](err); !ok || wrong.Param != param || wrong.Detail == "" {
		t.Errorf("%s: got %v, want an InvalidError about %s", what, err, param)
	}
}

func TestAnAPIKeyIsListedWithoutTheKey(t *testing.T) {
	w := newWorld(t)
	grant := apikey.Grant{
		Client: "shop", Name: "The Shop", Scopes: []apikey.Scope{apikey.SignIn, apikey.Manage}, Org: "acme", Origins: []string{"https://shop.example:8443"},
	}
	key := w.create(t, grant)
	all := w.list(t)
	at := slices.IndexFunc(all, func(k apikey.Key) bool { return k.Client == "shop" })
	if len(all) != 2 || at < 0 {
		t.Fatalf("got %+v, want the world's own key and the new one", all)
	}
	if want := (apikey.Key{ID: apikey.ID(key), Grant: grant, Created: w.clock.Now()}); !reflect.DeepEqual(all[at], want) {
		t.Errorf("got %+v, want %+v", all[at], want)
	}
	page, err := w.db.Query(t.Context(), store.Query{Partition: "keys"})
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range append(page.Items, w.item(t, key)) {
		if strings.Contains(string(item.Body), key.Reveal()) || strings.Contains(item.Key.Sort, key.Reveal()) {
			t.Errorf("the item %s holds the key", item.Key.Partition)
		}
	}
}

func TestWhatAKeyMayDoIsInItsItemAndInItsBearer(t *testing.T) {
	w := newWorld(t)
	filter, err := (&apikey.FilterKeeper{Store: w.Store}).Filter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, grant := range []apikey.Grant{
		{Client: "app", Scopes: []apikey.Scope{apikey.SignIn}},
		{Client: "portal", Scopes: []apikey.Scope{apikey.Manage, apikey.Admin}, Org: "acme"},
		{Client: "app", Scopes: apikey.Scopes(), Org: "globex"},
	} {
		key := w.create(t, grant)
		held, err := apikey.Read(w.item(t, key))
		if err != nil || !reflect.DeepEqual(held.Grant, grant) {
			t.Fatalf("got %+v, %v, want %+v", held.Grant, err, grant)
		}
		carried, ok := apikey.Recognise(filter, key.Reveal())
		if !ok || carried != held.Carries() {
			t.Fatalf("%+v: the bearer carries %v, %v, want %v", grant, carried, ok, held.Carries())
		}
		for _, scope := range apikey.Scopes() {
			if want := slices.Contains(grant.Scopes, scope); carried.Has(scope) != want || held.Has(scope) != want {
				t.Errorf("%+v: got the scope %s by the bearer %v and by the item %v, want %v", grant, scope, carried.Has(scope), held.Has(scope), want)
			}
		}
		for _, org := range []string{"acme", "globex"} {
			limit, limited := carried.Limit()
			want := grant.Org == "" || grant.Org == org
			if got := !limited || limit == seal.Route(org); got != want || held.Covers(org) != want {
				t.Errorf("%+v: good for %s by the bearer %v and by the item %v, want %v", grant, org, got, held.Covers(org), want)
			}
		}
		if string(carried.Client()) != seal.Route("client", grant.Client) {
			t.Errorf("%+v: the bearer carries another client", grant)
		}
	}
	carried, _ := apikey.Recognise(filter, w.key.Reveal())
	if carried.Has("") || carried.Has("a later one") {
		t.Error("a key has a scope that there isn't")
	}
	if _, ok := apikey.Recognise(seal.NewFilter(), w.key.Reveal()); ok {
		t.Error("a key that another deployment made is recognised")
	}
	if other := seal.NewFilter().NewBearer(seal.ChallengeToken, make([]byte, 33)).Reveal(); apikey.Resembles(other) || !apikey.Resembles(w.key.Reveal()) {
		t.Error("only an API key resembles one")
	}
}

func TestARevokedKeyIsGoneWithItsLine(t *testing.T) {
	w := newWorld(t)
	key := w.create(t, apikey.Grant{Client: "shop", Scopes: apikey.Scopes()})
	got, err := w.Revoke(t.Context(), apikey.ID(key))
	if err != nil || got.ID != apikey.ID(key) || got.Client != "shop" {
		t.Fatalf("got %+v, %v, want what the key was", got, err)
	}
	if !w.item(t, key).Absent() {
		t.Error("the key is still there")
	}
	if all := w.list(t); len(all) != 1 || all[0].ID != apikey.ID(w.key) || w.item(t, w.key).Absent() {
		t.Errorf("got %+v, want the other key", all)
	}
	if _, err = w.Revoke(t.Context(), got.ID); !errors.Is(err, apikey.ErrNotFound) {
		t.Errorf("again: got %v, want ErrNotFound", err)
	}
}

func TestAKeyIsFoundInEachOfItsCopiesUntilItIsRevoked(t *testing.T) {
	w := newWorld(t)
	read := func(want bool) {
		t.Helper()
		for range 100 { // with 8 copies, one would be left out once in 80,000 times
			item, err := store.GetOne(t.Context(), w.db, apikey.AnyCopy(seal.HashBearer(w.key.Reveal())))
			if err != nil || item.Absent() == want {
				t.Fatalf("%s: got %+v, %v, want that it is there: %v", item.Key.Partition, item, err, want)
			}
		}
	}
	read(true)
	if _, err := w.Revoke(t.Context(), apikey.ID(w.key)); err != nil {
		t.Fatal(err)
	}
	read(false)
}

func TestARevocationEndsEveryCopyWhateverHappenedToSomeOfThem(t *testing.T) {
	w := newWorld(t)
	copies := store.CopyKeys(firstCopy(w.key))
	item := w.item(t, w.key)
	err := w.db.Commit(t.Context(), store.NewVersion(),
		store.Write{Key: copies[2], Expect: item.Version, Body: item.Body}, store.Write{Key: copies[5], Expect: item.Version, Delete: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Revoke(t.Context(), apikey.ID(w.key)); err != nil {
		t.Fatal(err)
	}
	if !w.item(t, w.key).Absent() {
		t.Error("the key is still there")
	}
}

func TestOfManyWhoRevokeAKeyOneDoes(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	got := map[error]int{}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			_, err := w.Revoke(t.Context(), apikey.ID(w.key))
			mu.Lock()
			defer mu.Unlock()
			got[err]++
		})
	}
	all.Wait()
	if want := map[error]int{nil: 1, apikey.ErrNotFound: 7}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestARevocationThatLosesEveryRaceIsBusy(t *testing.T) {
	w := newWorld(t)
	w.faults.Inject(fault.Commit, -1, fault.Conflict())
	if _, err := w.Revoke(t.Context(), apikey.ID(w.key)); !errors.Is(err, apikey.ErrBusy) {
		t.Errorf("got %v, want ErrBusy", err)
	}
}

func TestARevocationWhoseAnswerWasLostIsARevocation(t *testing.T) {
	w := newWorld(t)
	w.faults.Inject(fault.Commit, 1, fault.Lose(nil))
	if _, err := w.Revoke(t.Context(), apikey.ID(w.key)); err != nil {
		t.Errorf("got %v, want it revoked", err)
	}
}

func TestAKeyThatCouldNotBeRevokedIsStillListed(t *testing.T) {
	w := newWorld(t)
	for _, method := range []fault.Method{fault.Query, fault.Get} {
		w.faults.Inject(method, 1, fault.Fail(nil))
		if _, err := w.Revoke(t.Context(), apikey.ID(w.key)); !errors.Is(err, fault.Err) {
			t.Errorf("got %v, want that the store failed", err)
		}
	}
	w.faults.Inject(fault.Query, 1, fault.Fail(nil))
	if _, err := w.List(t.Context()); !errors.Is(err, fault.Err) {
		t.Errorf("got %v, want that the store failed", err)
	}
	if len(w.list(t)) != 1 || w.item(t, w.key).Absent() {
		t.Error("the key or its line is gone")
	}
}

func TestAKeyAndItsLineComeTogetherOrNotAtAll(t *testing.T) {
	w := newWorld(t)
	w.faults.Inject(fault.Commit, 3, fault.Fail(nil)) // as often as a commit is tried
	if _, err := w.Create(t.Context(), apikey.Grant{Client: "app", Scopes: apikey.Scopes()}); !errors.Is(err, fault.Err) {
		t.Errorf("got %v, want that the store failed", err)
	}
	if got := len(w.list(t)); got != 1 {
		t.Errorf("got %d lines, want the one of the world's own key", got)
	}
}

func TestMoreKeysThanAPageHoldsAreAllListed(t *testing.T) {
	w := newWorld(t)
	var all sync.WaitGroup
	for i := range store.MaxLimit {
		all.Go(func() {
			if _, err := w.Create(t.Context(), apikey.Grant{Client: fmt.Sprint("app-", i), Scopes: apikey.Scopes()}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got, want := len(w.list(t)), store.MaxLimit+1; got != want {
		t.Errorf("got %d keys, want %d", got, want)
	}
}

func TestKeysAreListedAndRevokedOverSmallPages(t *testing.T) {
	w := newWorld(t)
	for range 4 {
		w.create(t, apikey.Grant{Client: "shop", Scopes: apikey.Scopes()})
	}
	whole := w.list(t)
	w.faults.Pages(1)
	if got := w.list(t); !reflect.DeepEqual(got, whole) {
		t.Errorf("over pages of one item: got %+v, want %+v", got, whole)
	}
	for _, key := range whole {
		if _, err := w.Revoke(t.Context(), key.ID); err != nil {
			t.Error(err)
		}
	}
	if got := w.list(t); len(got) != 0 {
		t.Errorf("got %+v, want none", got)
	}
}

func TestWhatIsNoKeysIDIsRefused(t *testing.T) {
	w := newWorld(t)
	id := apikey.ID(w.key)
	for _, bad := range []string{"", "ak_", id[:len(id)-1], id + "A", strings.TrimPrefix(id, "ak_"), w.key.Reveal()} {
		_, err := w.Revoke(t.Context(), bad)
		wantInvalid(t, bad, err, "id")
		if bad == w.key.Reveal() && strings.Contains(err.Error(), bad) {
			t.Error("the error holds the key")
		}
	}
	if _, err := w.Revoke(t.Context(), apikey.ID(seal.NewSecret("csk_other"))); !errors.Is(err, apikey.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func TestAKeyIsForAClientAndForScopesThatThereAre(t *testing.T) {
	w := newWorld(t)
	for param, grants := range map[string][]apikey.Grant{
		"client": {{Scopes: apikey.Scopes()}, {Client: " app", Scopes: apikey.Scopes()}, {Client: strings.Repeat("a", 129), Scopes: apikey.Scopes()}},
		"scopes": {{Client: "app"}, {Client: "app", Scopes: []apikey.Scope{apikey.SignIn, "a later one"}}, {Client: "app", Scopes: []apikey.Scope{""}}},
		"org":    {{Client: "app", Scopes: apikey.Scopes(), Org: "ac\nme"}},
	} {
		for _, grant := range grants {
			_, err := w.Create(t.Context(), grant)
			wantInvalid(t, fmt.Sprintf("%+v", grant), err, param)
		}
	}
}

func TestAClientsNameIsOneLineOfWhatCanBeSeen(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{
		"A", "Zoë’s Bank", `"Quoted", (Ltd) <b> & Co.; evil@example.com`, "日本株式会社", "{sender} {name}", strings.Repeat("é", 32),
	} {
		w.create(t, apikey.Grant{Client: "app", Name: name, Scopes: apikey.Scopes()})
		if !slices.ContainsFunc(w.list(t), func(k apikey.Key) bool { return k.Name == name }) {
			t.Errorf("%q: no key is listed with it", name)
		}
	}
	for _, name := range []string{
		strings.Repeat("é", 32) + "a", "A\r\nBcc: eve@example.com", "A\nB", "A\tB", "A\x00", "A\x7f", "\xff", " A", "A ", "A  B", " ",
		"\u202eemcA", "A\u200bB", "A\u2028B", "A\u00a0B", "\ufeffA", "A" + strings.Repeat("\u0301", 5),
	} {
		_, err := w.Create(t.Context(), apikey.Grant{Client: "app", Name: name, Scopes: apikey.Scopes()})
		wantInvalid(t, fmt.Sprintf("%q", name), err, "name")
	}
}

func TestOriginsOfAKeyAreOriginsAndNothingMore(t *testing.T) {
	w := newWorld(t)
	for origin, want := range map[string]bool{
		"https://app.example":           true,
		"https://app.example:8443":      true,
		"http://localhost:3000":         true,
		"http://127.0.0.1:3000":         true,
		"http://[::1]:3000":             true,
		"http://app.example":            false,
		"https://app.example/":          false,
		"https://app.example/callback":  false,
		"https://App.example":           false,
		"HTTPS://app.example":           false,
		"https://user@app.example":      false,
		"https://app.example?x=1":       false,
		"https://app.example#x":         false,
		"https://":                      false,
		"https://:443":                  false,
		"app.example":                   false,
		"*":                             false,
		"null":                          false,
		"":                              false,
		"javascript:alert(1)":           false,
		"http://localhost.evil.example": false,
	} {
		_, err := w.Create(t.Context(), apikey.Grant{Client: "app", Scopes: apikey.Scopes(), Origins: []string{origin}})
		switch {
		case want && err != nil:
			t.Errorf("%q: got %v, want it taken", origin, err)
		case !want:
			wantInvalid(t, origin, err, "origins")
		}
	}
}

func TestAKeyThatIsConfirmedIsOtherwiseAsItWas(t *testing.T) {
	w := newWorld(t)
	grant := apikey.Grant{Client: "shop", Name: "The Shop", Scopes: []apikey.Scope{apikey.SignIn}, Org: "acme", Origins: []string{"https://shop.example"}}
	key := w.create(t, grant)
	epoch := w.clock.Advance(time.Hour).Unix()
	if _, err := w.Confirm(t.Context(), apikey.ID(key), epoch); err != nil {
		t.Fatal(err)
	}
	held, err := apikey.Read(w.item(t, key))
	if err != nil || !reflect.DeepEqual(held.Grant, grant) || !held.Confirmed(epoch) || held.Confirmed(epoch+1) {
		t.Errorf("got %+v, %v, want the same grant, confirmed", held, err)
	}
	for _, listed := range w.list(t) {
		if mine := listed.ID == apikey.ID(key); listed.Confirmed(epoch) != mine {
			t.Errorf("%s: got confirmed %v, want %v", listed.ID, listed.Confirmed(epoch), mine)
		}
	}
	was := w.item(t, key).Version
	if _, err := w.Confirm(t.Context(), apikey.ID(key), epoch); err != nil || w.item(t, key).Version != was {
		t.Errorf("once more: got %v, want nothing written", err)
	}
}

func TestARevokedKeyIsNotConfirmed(t *testing.T) {
	w := newWorld(t)
	id := apikey.ID(w.key)
	w.faults.Inject(fault.Commit, 1, fault.Conflict()) // one that comes between is tried again
	if _, err := w.Confirm(t.Context(), id, w.clock.Advance(time.Hour).Unix()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Revoke(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Confirm(t.Context(), id, w.clock.Now().Unix()+1); !errors.Is(err, apikey.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	_, err := w.Confirm(t.Context(), "ak_", 1)
	wantInvalid(t, "no id", err, "id")
}
