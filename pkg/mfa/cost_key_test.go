package mfa_test

import (
	"context"
	"encoding/base64"
	"testing"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/passkey/passkeytest"
	"countersign/pkg/store"
)

// costedKeySteps are the steps about security keys and passkeys, for a user who needn't have a factor by the default policy.
func costedKeySteps() map[string]costed {
	ctx := context.Background()
	finishing := func(t *testing.T, w *mfatest.World, key *passkeytest.Authenticator) func() error {
		begun := begin(t, w, w.Fresh(), mfa.WebAuthn)
		q := mfa.FinishRequest{Enrolment: begun.ID, Answer: mfa.Answer{Credential: must(key.Create(begun.WebAuthn, mfatest.Origin))(t)}}
		return func() error {
			_, err := w.FinishEnrolment(ctx, w.Client, q)
			return err
		}
	}
	answering := func(wrong bool) costed {
		return func(t *testing.T, w *mfatest.World) func() error {
			key := &passkeytest.Authenticator{}
			w.EnrolKey(t, w.Fresh(), org, ana().User, key)
			ch := started(t, w, ana())
			key.Misbehaviour.OtherKey = wrong
			answer := w.Touch(t, key, ch)
			return func() error {
				_, err := give(t, w, ch, answer)
				if wrong && mfa.AsError(err).Code == mfa.WrongCredential {
					return nil
				}
				return err
			}
		}
	}
	return map[string]costed{
		"start, with a key": func(t *testing.T, w *mfatest.World) func() error {
			w.EnrolKey(t, w.Fresh(), org, ana().User, &passkeytest.Authenticator{})
			return func() error {
				_, err := w.StartChallenge(ctx, w.Client, ana())
				return err
			}
		},
		"send with a key": func(t *testing.T, w *mfatest.World) func() error {
			w.EnrolKey(t, w.Fresh(), org, ana().User, &passkeytest.Authenticator{})
			ch := started(t, w, ana())
			return func() error {
				_, err := w.SendCode(ctx, w.Client, mfa.SendRequest{Challenge: ch.ID})
				return err
			}
		},
		"verify with a key":        answering(false),
		"verify with a key, wrong": answering(true),
		"enrol, begin, a key": func(_ *testing.T, w *mfatest.World) func() error {
			person := ana().User
			return func() error {
				_, err := w.BeginEnrolment(ctx, w.Fresh(), mfa.EnrolRequest{Org: org, User: &person, Kind: mfa.WebAuthn})
				return err
			}
		},
		"finish with a key": func(t *testing.T, w *mfatest.World) func() error {
			return finishing(t, w, &passkeytest.Authenticator{})
		},
		"finish with a key, whose credential id is taken over": func(t *testing.T, w *mfatest.World) func() error {
			return finishing(t, w, &passkeytest.Authenticator{NextID: abandoned(t, w)})
		},
	}
}

// abandoned returns a credential id whose stored owner was erased and created again, and no longer has the factor.
func abandoned(t *testing.T, w *mfatest.World) []byte {
	t.Helper()
	key := &passkeytest.Authenticator{}
	w.EnrolKey(t, w.Fresh(), org, bob(), key)
	u, err := w.GetUser(t.Context(), w.Client, org, bob().ID)
	if err != nil {
		t.Fatal(err)
	}
	id := must(base64.RawURLEncoding.DecodeString(u.WebAuthnSignal.CredentialIDs[0]))(t)
	left, err := store.GetOne(t.Context(), w.Store, mfa.CredentialKey(id))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.EraseUser(t.Context(), w.Client, org, bob().ID); err != nil {
		t.Fatal(err)
	}
	if err := w.Store.Commit(t.Context(), store.NewVersion(), store.Write{Key: left.Key, Body: left.Body}); err != nil {
		t.Fatal(err)
	}
	put(t, w, bob())
	return id
}
