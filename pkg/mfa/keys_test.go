package mfa_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/fault"
)

func lines(t *testing.T, w *mfatest.World) []mfa.KeyLine {
	t.Helper()
	all, err := w.ListKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestAnAPIKeyIsListedWithoutTheKey(t *testing.T) {
	w := mfatest.New(t)
	key, err := w.CreateKey(t.Context(), mfa.NewKey{
		Client: "shop", Scopes: []mfa.Scope{mfa.ScopeSignIn, mfa.ScopeManage}, Org: org, Origins: []string{"https://shop.example:8443"},
	})
	if err != nil {
		t.Fatal(err)
	}
	all := lines(t, w)
	at := slices.IndexFunc(all, func(l mfa.KeyLine) bool { return l.Client == "shop" })
	if len(all) != 2 || at < 0 {
		t.Fatalf("got %+v, want the world's own key and the new one", all)
	}
	want := mfa.KeyLine{
		ID: mfa.KeyID(key), Client: "shop", Scopes: []mfa.Scope{mfa.ScopeSignIn, mfa.ScopeManage}, Org: org,
		Origins: []string{"https://shop.example:8443"}, Created: w.Clock.Now(),
	}
	if !reflect.DeepEqual(all[at], want) {
		t.Errorf("got %+v, want %+v", all[at], want)
	}
	page, err := w.Store.Query(t.Context(), store.Query{Partition: "keys"})
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range page.Items {
		if strings.Contains(string(item.Body), key.Reveal()) || strings.Contains(item.Key.Sort, key.Reveal()) {
			t.Error("the line holds the key")
		}
	}
}

func TestARevokedKeyIsDeadAtOnce(t *testing.T) {
	w := mfatest.New(t)
	key, err := w.CreateKey(t.Context(), mfa.NewKey{Client: "app", Scopes: mfa.Scopes()})
	if err != nil {
		t.Fatal(err)
	}
	call := mfa.Call{Bearer: key.Reveal()}
	if _, err := w.GetPolicy(t.Context(), call, org); err != nil {
		t.Fatal(err)
	}
	line, err := w.RevokeKey(t.Context(), mfa.KeyID(key))
	if err != nil || line.ID != mfa.KeyID(key) {
		t.Fatalf("got %+v, %v, want the line of the key that was revoked", line, err)
	}
	_, err = w.GetPolicy(t.Context(), call, org)
	wantCode(t, err, mfa.Unauthenticated)
	if _, err := w.GetPolicy(t.Context(), w.Client, org); err != nil {
		t.Errorf("another key of the same client: got %v, want it to be good still", err)
	}
	if all := lines(t, w); len(all) != 1 || all[0].ID == line.ID {
		t.Errorf("got %+v, want the other key only", all)
	}
	_, err = w.RevokeKey(t.Context(), line.ID)
	wantCode(t, err, mfa.NotFound)
}

func TestOfManyWhoRevokeAKeyOneDoes(t *testing.T) {
	w := mfatest.New(t)
	key, err := w.CreateKey(t.Context(), mfa.NewKey{Client: "app", Scopes: mfa.Scopes()})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	got := map[string]int{}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			_, err := w.RevokeKey(t.Context(), mfa.KeyID(key))
			outcome := "revoked"
			if err != nil {
				outcome = string(mfa.AsError(err).Code)
			}
			mu.Lock()
			defer mu.Unlock()
			got[outcome]++
		})
	}
	all.Wait()
	if want := map[string]int{"revoked": 1, "not_found": 7}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestARevocationWhoseAnswerWasLostIsARevocation(t *testing.T) {
	w := mfatest.New(t)
	key, err := w.CreateKey(t.Context(), mfa.NewKey{Client: "app", Scopes: mfa.Scopes()})
	if err != nil {
		t.Fatal(err)
	}
	w.Faults.Inject(fault.Commit, 1, fault.Lose(nil))
	if _, err := w.RevokeKey(t.Context(), mfa.KeyID(key)); err != nil {
		t.Errorf("got %v, want it revoked", err)
	}
}

func TestAKeyThatCouldNotBeRevokedIsStillListed(t *testing.T) {
	w := mfatest.New(t)
	id := lines(t, w)[0].ID
	for _, method := range []fault.Method{fault.Query, fault.Get} {
		w.Faults.Inject(method, 1, fault.Fail(nil))
		_, err := w.RevokeKey(t.Context(), id)
		wantCode(t, err, mfa.Unavailable)
	}
	w.Faults.Inject(fault.Query, 1, fault.Fail(nil))
	_, err := w.ListKeys(t.Context())
	wantCode(t, err, mfa.Unavailable)
	if len(lines(t, w)) != 1 {
		t.Error("the key is gone from the list")
	}
	if _, err := w.GetPolicy(t.Context(), w.Client, org); err != nil {
		t.Errorf("got %v, want the key to be good", err)
	}
}

func TestAKeyAndItsLineComeTogetherOrNotAtAll(t *testing.T) {
	w := mfatest.New(t)
	before := len(lines(t, w))
	for range 3 { // as often as a commit is tried
		w.Faults.Inject(fault.Commit, 1, fault.Fail(nil))
	}
	_, err := w.CreateKey(t.Context(), mfa.NewKey{Client: "app", Scopes: mfa.Scopes()})
	wantCode(t, err, mfa.Unavailable)
	if got := len(lines(t, w)); got != before {
		t.Errorf("got %d lines, want %d", got, before)
	}
}

func TestMoreKeysThanAPageHoldsAreAllListed(t *testing.T) {
	w := mfatest.New(t)
	var all sync.WaitGroup
	for i := range store.MaxLimit {
		all.Go(func() {
			if _, err := w.CreateKey(t.Context(), mfa.NewKey{Client: fmt.Sprint("app-", i), Scopes: mfa.Scopes()}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got, want := len(lines(t, w)), store.MaxLimit+1; got != want {
		t.Errorf("got %d keys, want %d", got, want)
	}
}

func TestWhatIsNoKeysIDIsRefused(t *testing.T) {
	w := mfatest.New(t)
	id := lines(t, w)[0].ID
	for _, bad := range []string{"", "ak_", id[:len(id)-1], id + "A", strings.TrimPrefix(id, "ak_"), w.Client.Bearer} {
		_, err := w.RevokeKey(t.Context(), bad)
		wantCode(t, err, mfa.InvalidRequest)
		if bad == w.Client.Bearer && strings.Contains(err.Error(), bad) {
			t.Error("the error holds the key")
		}
	}
	_, err := w.RevokeKey(t.Context(), mfa.KeyID(seal.NewSecret("csk_other")))
	wantCode(t, err, mfa.NotFound)
}

func TestOriginsOfAKeyAreOriginsAndNothingMore(t *testing.T) {
	w := mfatest.New(t)
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
		_, err := w.CreateKey(t.Context(), mfa.NewKey{Client: "app", Scopes: mfa.Scopes(), Origins: []string{origin}})
		var refused *mfa.Error
		if got := err == nil; got != want || !got && (!errors.As(err, &refused) || refused.Param != "origins") {
			t.Errorf("%q: got %v, want it taken: %t", origin, err, want)
		}
	}
}
