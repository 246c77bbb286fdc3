package passkey_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"countersign/pkg/mfa"
	"countersign/pkg/passkey"
)

// A field is a part of a response. The response must be refused if any bit of the field changes.
type field struct {
	name    string
	content []byte           // a part of a copy of the response, so that a change of the content changes the copy
	want    []passkey.Reason // the refusal must have one of these reasons; if there are none, it may have any reason
}

// signsAll reports whether the attestation statement of a vector covers all authenticator data. The statement of U2F leaves out
// the flags, the counter and the AAGUID, and that of the format none covers nothing.
func (v vector) signsAll() bool {
	return !bytes.Contains(v.Registration.AttestationObject, []byte("fmt\x64none")) && v.Name != "fido-u2f-es256"
}

// fields returns the fields of a registration.
func (r registration) fields(t testing.TB, v vector) []field {
	at := r.authenticatorData(t)
	data := r.object[at:]
	key := 55 + len(r.id)
	found := []field{
		{"RP ID hash", data[:32], []passkey.Reason{passkey.WrongRelyingParty}},
		{"length of the credential id", data[53:55], []passkey.Reason{passkey.Malformed, passkey.WrongCredential}},
		{"credential id", data[55:key], []passkey.Reason{passkey.WrongCredential}},
		{"public key", data[key:], nil},
		{"id", r.id, []passkey.Reason{passkey.WrongCredential}},
	}
	if v.signsAll() {
		found = append(found, field{"flags, counter and AAGUID", data[32:53], nil})
	}
	if bytes.Contains(r.object, []byte("fmt\x64none")) {
		return append(found, said(r.clientData)...)
	}
	found = append(found, field{"client data", r.clientData, nil})
	for _, name := range []string{"sig", "certInfo", "pubArea"} {
		if content := byteStringOf(r.object[:at], name); content != nil {
			found = append(found, field{name, content, []passkey.Reason{passkey.WrongAttestation}})
		}
	}
	return found
}

// said returns the values in client data that are compared with the ceremony. It is for responses in which no signature covers
// all of the client data.
func said(clientData []byte) (found []field) {
	for name, want := range map[string]passkey.Reason{"type": passkey.WrongType, "challenge": passkey.WrongChallenge, "origin": passkey.WrongOrigin} {
		_, rest, _ := bytes.Cut(clientData, []byte(`"`+name+`":"`))
		value, _, _ := bytes.Cut(rest, []byte(`"`))
		found = append(found, field{name, value, []passkey.Reason{want, passkey.Malformed}})
	}
	return found
}

// byteStringOf returns the value of a member of a CBOR map. The value is a byte string of 24 to 65,535 bytes.
func byteStringOf(object []byte, name string) []byte {
	_, rest, found := bytes.Cut(object, append([]byte{0x60 | byte(len(name))}, name...))
	switch {
	case found && rest[0] == 0x58:
		return rest[2 : 2+int(rest[1])]
	case found && rest[0] == 0x59:
		return rest[3 : 3+int(rest[1])<<8+int(rest[2])]
	}
	return nil
}

// fields returns the fields of a sign-in. Its signature covers everything that the browser and the authenticator say.
func (s signIn) fields() []field {
	return []field{
		{"id", s.id, []passkey.Reason{passkey.WrongCredential}},
		{"client data", s.clientData, nil},
		{"RP ID hash", s.data[:32], []passkey.Reason{passkey.WrongRelyingParty}},
		{"flags", s.data[32:33], nil},
		{"counter", s.data[33:], []passkey.Reason{passkey.WrongSignature}},
		{"signature", s.signature, []passkey.Reason{passkey.WrongSignature}},
	}
}

// flips changes one bit in each byte of the fields, a different bit in each byte, and calls try after each change.
func flips(fields []field, try func(f field, at int)) {
	for _, f := range fields {
		for i := range f.content {
			bit := byte(1) << (i % 8)
			f.content[i] ^= bit
			try(f, i)
			f.content[i] ^= bit
		}
	}
}

// members changes one member of a JSON object at a time. No member of the object is optional.
func members(t testing.TB, whole map[string]any, try func(name string, response json.RawMessage)) {
	response := whole["response"].(map[string]any)
	for _, object := range []map[string]any{whole, response} {
		for _, name := range slices.Sorted(maps.Keys(object)) {
			value := object[name]
			if name == "clientExtensionResults" {
				continue
			}
			delete(object, name)
			try(name+" left out", written(t, whole))
			for _, other := range []any{nil, "", "!", "AAAA", 1, true, []string{}, map[string]any{}} {
				object[name] = other
				try(fmt.Sprintf("%s replaced by %#v", name, other), written(t, whole))
			}
			object[name] = value
		}
	}
}

// A tally counts the mutations that were refused, as they should be.
type tally struct {
	t       *testing.T
	refused int
}

func (y *tally) count(what string, err error, want []passkey.Reason) {
	y.t.Helper()
	one := func(r passkey.Reason) bool { return errors.Is(err, r) }
	if !errors.Is(err, mfa.ErrNotAccepted) || len(want) > 0 && !slices.ContainsFunc(want, one) {
		y.t.Errorf("%s: got %v, want one of %q", what, err, want)
		return
	}
	y.refused++
}

// Each mutation changes one field of a response that is accepted: a bit of what the browser or the authenticator says, or a
// member of the JSON around it. A flag may be changed in both directions, and in several ways.
func TestThousandsOfMutationsOfTheVectorsAreRefused(t *testing.T) {
	total := 0
	for _, v := range accepted(t) {
		t.Run(v.Name, func(t *testing.T) {
			created, err := v.register(t)
			if err != nil {
				t.Fatal(err)
			}
			y := &tally{t: t}
			begun := ceremonyOf(v.Registration.Challenge)
			register := func(response json.RawMessage) error {
				_, err := relyingParty(t).Create(begun, handle, response, began)
				return err
			}
			r := v.registration()
			r = registration{bytes.Clone(r.id), bytes.Clone(r.clientData), bytes.Clone(r.object)}
			flips(r.fields(t, v), func(f field, at int) {
				y.count(fmt.Sprintf("registration: %s, byte %d", f.name, at), register(written(t, r.members())), f.want)
			})
			members(t, r.members(), func(name string, response json.RawMessage) {
				y.count("registration: "+name, register(response), nil)
			})
			asked := ceremonyOf(v.Authentication.Challenge)
			use := func(response json.RawMessage) error {
				_, err := relyingParty(t).Get(asked, handle, created.Passkey, response, began)
				return err
			}
			s := v.signIn()
			s = signIn{bytes.Clone(s.id), bytes.Clone(s.clientData), bytes.Clone(s.data), bytes.Clone(s.signature)}
			flips(s.fields(), func(f field, at int) {
				y.count(fmt.Sprintf("sign-in: %s, byte %d", f.name, at), use(written(t, s.members())), f.want)
			})
			members(t, s.members(), func(name string, response json.RawMessage) {
				y.count("sign-in: "+name, use(response), nil)
			})
			if register(written(t, r.members())) != nil || use(written(t, s.members())) != nil {
				t.Error("the responses without a mutation are refused now")
			}
			total += y.refused
		})
	}
	t.Logf("%d mutations were refused", total)
	if total < 3000 {
		t.Errorf("got %d mutations that were refused, want 3,000 at least", total)
	}
}
