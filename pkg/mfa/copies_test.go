package mfa_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/fault"
)

// wantPolicyCopies fails the test unless all copies of the org's policy are equal and have this version.
func wantPolicyCopies(t *testing.T, w *mfatest.World, version int) {
	t.Helper()
	first := store.Key{Partition: "org#" + base64.RawURLEncoding.EncodeToString([]byte(seal.Route(org))), Sort: "policy"}
	copies, err := w.Store.Get(t.Context(), store.CopyKeys(first)...)
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range copies {
		var got struct{ Version int }
		if look(t, item, &got); got.Version != version || item.Version != copies[0].Version || !bytes.Equal(item.Body, copies[0].Body) {
			t.Errorf("%s: got version %d, written by %s, want version %d, and the same as in %+v", item.Key.Partition, got.Version, item.Version, version, copies[0])
		}
	}
}

// save replaces the policy of that version with one that has so many days of trust.
func save(t *testing.T, w *mfatest.World, version, days int) error {
	p := profile(t, "kls")
	p.Trust.Days = days
	_, err := w.PutPolicy(t.Context(), w.Client, org, mfa.PolicyChange{Policy: p, Version: &version, Acknowledge: true})
	return err
}

func TestASavedPolicyIsInEveryCopy(t *testing.T) {
	w := mfatest.New(t)
	for version := range 3 {
		if err := save(t, w, version, version); err != nil {
			t.Fatal(err)
		}
		wantPolicyCopies(t, w, version+1)
	}
	w.Faults.Inject(fault.Commit, 1, fault.Lose(nil))
	if err := save(t, w, 3, 7); err != nil {
		t.Fatal(err)
	}
	wantPolicyCopies(t, w, 4)
	w.Faults.Inject(fault.Commit, 3, fault.Fail(nil)) // a commit is tried three times
	if err := save(t, w, 4, 8); mfa.AsError(err).Code != mfa.Unavailable {
		t.Errorf("got %v, want that the store failed", err)
	}
	wantPolicyCopies(t, w, 4)
}

// Of many concurrent saves exactly one wins, and it wins in every copy.
func TestOfManySavesOfOneVersionOneIsInEveryCopy(t *testing.T) {
	w := mfatest.New(t)
	for version := range 5 {
		var won atomic.Int32
		var all sync.WaitGroup
		for days := range 8 {
			all.Go(func() {
				switch err := save(t, w, version, 1+days); {
				case err == nil:
					won.Add(1)
				case mfa.AsError(err).Code != mfa.VersionMismatch:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got := won.Load(); got != 1 {
			t.Errorf("version %d: got %d saves, want 1", version, got)
		}
		wantPolicyCopies(t, w, version+1)
	}
}

// A call that begins after a save was answered reads that version or a later one, whichever copy it reads.
func TestNobodyReadsAnEarlierPolicyOnceASaveIsAnswered(t *testing.T) {
	w := mfatest.New(t)
	var answered atomic.Int64 // the latest version whose save was answered
	var done atomic.Bool
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for !done.Load() {
				least := answered.Load()
				if got, err := w.GetPolicy(t.Context(), w.Client, org); err != nil || int64(got.Version) < least {
					t.Errorf("got version %d, %v, want version %d or a later one", got.Version, err, least)
					return
				}
			}
		})
	}
	for version := range 50 {
		if err := save(t, w, version, version%30); err != nil {
			t.Error(err)
			break
		}
		answered.Store(int64(version + 1))
	}
	done.Store(true)
	readers.Wait()
}

func TestAKeyIsOfNoUseOnceItsRevocationIsAnswered(t *testing.T) {
	w := kls(t, nil)
	key, err := w.APIKeys.Create(t.Context(), apikey.Grant{Client: "app", Scopes: apikey.Scopes()})
	if err != nil {
		t.Fatal(err)
	}
	call := mfa.Call{Bearer: key.Reveal()}
	var revoked atomic.Bool
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for refused := 0; refused < 50; { // each call reads a random copy
				over := revoked.Load()
				_, err := w.GetPolicy(t.Context(), call, org)
				var known *mfa.Error
				switch {
				case err == nil && over:
					t.Error("the key was good after its revocation was answered")
					return
				case err == nil:
				case errors.As(err, &known) && known.Code == mfa.Unauthenticated:
					refused++
				default:
					t.Error(err)
					return
				}
			}
		})
	}
	if _, err := w.APIKeys.Revoke(t.Context(), apikey.ID(key)); err != nil {
		t.Error(err)
	}
	revoked.Store(true)
	callers.Wait()
}
