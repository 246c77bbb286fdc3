package passkey_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"countersign/pkg/mfa"
)

// acceptable fails the test if an error isn't a refusal of the response. What a stranger sends must never look like a fault of
// this deployment.
func acceptable(t *testing.T, err error) bool {
	t.Helper()
	if err != nil && !errors.Is(err, mfa.ErrNotAccepted) {
		t.Errorf("got %v, want a refusal", err)
	}
	return err == nil
}

// enrolled returns the vectors that are accepted, and their keys.
func enrolled(t testing.TB) (all []vector, keys []mfa.Passkey) {
	t.Helper()
	all = accepted(t)
	for _, v := range all {
		created, err := v.register(t)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, created.Passkey)
	}
	return all, keys
}

func FuzzRegistration(f *testing.F) {
	for _, v := range vectors(f) {
		r := v.registration()
		f.Add([]byte(v.Registration.Challenge), r.id, r.clientData, r.object)
	}
	f.Fuzz(func(t *testing.T, challenge, id, clientData, object []byte) {
		if len(challenge) < 16 {
			return
		}
		r := registration{id, clientData, object}
		created, err := relyingParty(t).Create(ceremonyOf(challenge), handle, written(t, r.members()), began)
		if !acceptable(t, err) {
			return
		}
		if !bytes.Equal(created.ID, id) || len(id) == 0 || len(id) > 1023 || len(created.PublicKey) > 2048 || len(created.AAGUID) != 16 {
			t.Errorf("registered %+v", created)
		}
	})
}

// Nobody can forge a sign-in: a response is accepted only if the authenticator has signed what it says.
func FuzzSignIn(f *testing.F) {
	all, keys := enrolled(f)
	for i, v := range all {
		s := v.signIn()
		f.Add(i, s.id, s.clientData, s.data, s.signature)
	}
	f.Fuzz(func(t *testing.T, i int, id, clientData, data, signature []byte) {
		if i < 0 || i >= len(all) {
			return
		}
		s, want := signIn{id, clientData, data, signature}, all[i].signIn()
		_, err := relyingParty(t).Get(ceremonyOf(all[i].Authentication.Challenge), handle, keys[i], written(t, s.members()), began)
		if acceptable(t, err) && !(bytes.Equal(id, want.id) && bytes.Equal(clientData, want.clientData) && bytes.Equal(data, want.data)) {
			t.Errorf("accepted %+v", s)
		}
	})
}

// FuzzResponse reads any text as a response to both ceremonies.
func FuzzResponse(f *testing.F) {
	all, keys := enrolled(f)
	for i, v := range all {
		f.Add(i, []byte(written(f, v.registration().members())))
		f.Add(i, []byte(written(f, v.signIn().members())))
	}
	f.Fuzz(func(t *testing.T, i int, response []byte) {
		if i < 0 || i >= len(all) {
			return
		}
		_, err := relyingParty(t).Create(ceremonyOf(all[i].Registration.Challenge), handle, json.RawMessage(response), began)
		acceptable(t, err)
		_, err = relyingParty(t).Get(ceremonyOf(all[i].Authentication.Challenge), handle, keys[i], json.RawMessage(response), began)
		acceptable(t, err)
	})
}
