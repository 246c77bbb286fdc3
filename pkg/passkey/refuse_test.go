package passkey_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/passkey"
	"countersign/pkg/passkey/passkeytest"
)

// A fault is something that an authenticator, or the browser that it is used in, does wrong, with the reason why the response is
// refused.
type fault struct {
	name         string
	misbehaviour passkeytest.Misbehaviour
	ceremony     func(*mfa.Ceremony) // changes what the deployment asks for
	after        time.Duration       // how long after the beginning of the ceremony the response comes
	want         passkey.Reason
}

// faults returns the faults of registrations and sign-ins.
func faults() []fault {
	return []fault{
		{name: "too large", misbehaviour: member("more", strings.Repeat("x", 64<<10)), want: passkey.TooLarge},
		{name: "at the very end", after: 300 * time.Second, want: passkey.Expired},
		{name: "no object", misbehaviour: member("response", "text"), want: passkey.Malformed},
		{name: "no response", misbehaviour: member("response", nil), want: passkey.Malformed},
		{name: "no id", misbehaviour: member("id", nil), want: passkey.Malformed},
		{name: "another type of credential", misbehaviour: member("type", "password"), want: passkey.Malformed},
		{name: "ids that differ", misbehaviour: member("id", "AAAA"), want: passkey.Malformed},
		{name: "an id with padding", misbehaviour: changed("id", func(id string) string { return id + "\n" }), want: passkey.Malformed},
		{name: "the other ceremony", misbehaviour: passkeytest.Misbehaviour{Type: "payment.get"}, want: passkey.WrongType},
		{name: "another challenge", misbehaviour: passkeytest.Misbehaviour{Challenge: bytes.Repeat([]byte{1}, 32)}, want: passkey.WrongChallenge},
		{name: "no challenge", misbehaviour: passkeytest.Misbehaviour{Challenge: []byte{}}, want: passkey.WrongChallenge},
		{name: "a look-alike", misbehaviour: passkeytest.Misbehaviour{Origin: "https://login.example.org.evil.com"}, want: passkey.WrongOrigin},
		{name: "another port", misbehaviour: passkeytest.Misbehaviour{Origin: origin + ":8443"}, want: passkey.WrongOrigin},
		{name: "the usual port", misbehaviour: passkeytest.Misbehaviour{Origin: origin + ":443"}, want: passkey.WrongOrigin},
		{name: "another scheme", misbehaviour: passkeytest.Misbehaviour{Origin: "http://login.example.org"}, want: passkey.WrongOrigin},
		{name: "a parent", misbehaviour: passkeytest.Misbehaviour{Origin: "https://example.org"}, want: passkey.WrongOrigin},
		{name: "an origin with a path", misbehaviour: passkeytest.Misbehaviour{Origin: origin + "/"}, want: passkey.WrongOrigin},
		{name: "an origin with a user", misbehaviour: passkeytest.Misbehaviour{Origin: "https://me@login.example.org"}, want: passkey.WrongOrigin},
		{name: "an origin in capitals", misbehaviour: passkeytest.Misbehaviour{Origin: strings.ToUpper(origin)}, want: passkey.WrongOrigin},
		{
			name:     "another origin of the deployment",
			ceremony: func(c *mfa.Ceremony) { c.Origins = []string{"https://accounts.example.org"} }, want: passkey.WrongOrigin,
		},
		{name: "a frame", misbehaviour: passkeytest.Misbehaviour{CrossOrigin: true}, want: passkey.CrossOrigin},
		{name: "a top-level origin", misbehaviour: passkeytest.Misbehaviour{TopOrigin: origin}, want: passkey.TopOrigin},
		{name: "a frame in another page", misbehaviour: passkeytest.Misbehaviour{CrossOrigin: true, TopOrigin: origin}, want: passkey.TopOrigin},
		{name: "another RP ID", misbehaviour: passkeytest.Misbehaviour{RPID: "login.example.org"}, want: passkey.WrongRelyingParty},
		{name: "nobody present", misbehaviour: without(passkeytest.UserPresent), want: passkey.NoUserPresence},
		{
			name: "nobody verified", misbehaviour: without(passkeytest.UserVerified),
			ceremony: func(c *mfa.Ceremony) { c.UserVerification = "required" }, want: passkey.NoUserVerification,
		},
		{
			name:         "synced but never eligible",
			misbehaviour: passkeytest.Misbehaviour{Flags: func(f byte) byte { return f | passkeytest.BackedUp }}, want: passkey.BackupFlags,
		},
	}
}

// member sets a member of the response.
func member(name string, value any) passkeytest.Misbehaviour {
	return passkeytest.Misbehaviour{Response: func(r map[string]any) { r[name] = value }}
}

// changed changes a member of the response. The member must be a JSON string.
func changed(name string, change func(string) string) passkeytest.Misbehaviour {
	return passkeytest.Misbehaviour{Response: func(r map[string]any) {
		var text string
		written, err := json.Marshal(r[name])
		if err != nil || json.Unmarshal(written, &text) != nil {
			panic("not a text")
		}
		r[name] = change(text)
	}}
}

// without clears a flag of the authenticator data.
func without(flag byte) passkeytest.Misbehaviour {
	return passkeytest.Misbehaviour{Flags: func(f byte) byte { return f &^ flag }}
}

func (f fault) begin() mfa.Ceremony {
	c := ceremony("discouraged")
	if f.ceremony != nil {
		f.ceremony(&c)
	}
	return c
}

// refused compares an error with the reason that is wanted.
func refused(t *testing.T, err error, want passkey.Reason) {
	t.Helper()
	if !errors.Is(err, want) || !errors.Is(err, mfa.ErrNotAccepted) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestARegistrationThatIsNotAcceptableIsRefusedForItsReason(t *testing.T) {
	more := []fault{
		{name: "another credential id", misbehaviour: changed("id", func(string) string { return "AAAA" }), want: passkey.Malformed},
	}
	for _, f := range slices.Concat(faults(), more) {
		t.Run(f.name, func(t *testing.T) {
			a := &passkeytest.Authenticator{Verifies: true, Misbehaviour: f.misbehaviour}
			c := f.begin()
			created, err := relyingParty(t).Create(c, handle, create(t, a, c, mfa.NewPasskey{}), began.Add(f.after))
			refused(t, err, f.want)
			if created.ID != nil || created.PublicKey != nil {
				t.Errorf("got %+v with the refusal", created)
			}
		})
	}
}

func TestASignInThatIsNotAcceptableIsRefusedForItsReason(t *testing.T) {
	more := []fault{
		{name: "another user", misbehaviour: passkeytest.Misbehaviour{UserHandle: bytes.Repeat([]byte{8}, 32)}, want: passkey.WrongUser},
		{
			name:         "eligible since a while",
			misbehaviour: passkeytest.Misbehaviour{Flags: func(f byte) byte { return f | passkeytest.BackupEligible }}, want: passkey.BackupEligibility,
		},
		{name: "another key", misbehaviour: passkeytest.Misbehaviour{OtherKey: true}, want: passkey.WrongSignature},
		{name: "no signature", misbehaviour: signature(func([]byte) []byte { return nil }), want: passkey.WrongSignature},
		{name: "junk", misbehaviour: signature(func([]byte) []byte { return []byte("junk") }), want: passkey.WrongSignature},
		{name: "a longer signature", misbehaviour: signature(func(s []byte) []byte { return append(s, 0) }), want: passkey.WrongSignature},
		{
			name:         "a signature of zeros",
			misbehaviour: signature(func([]byte) []byte { return []byte{0x30, 6, 2, 1, 0, 2, 1, 0} }), want: passkey.WrongSignature,
		},
	}
	for _, f := range slices.Concat(faults(), more) {
		t.Run(f.name, func(t *testing.T) {
			a := &passkeytest.Authenticator{Verifies: true}
			registered := enrol(t, a).Passkey
			a.Misbehaviour = f.misbehaviour
			c := f.begin()
			used, err := relyingParty(t).Get(c, handle, registered, get(t, a, c, registered), began.Add(f.after))
			refused(t, err, f.want)
			if used != (mfa.PasskeyUse{}) {
				t.Errorf("got %+v with the refusal", used)
			}
		})
	}
}

func signature(change func([]byte) []byte) passkeytest.Misbehaviour {
	return passkeytest.Misbehaviour{Signature: change}
}

func TestASignInWithAnotherKeyOfTheUserIsRefused(t *testing.T) {
	a := &passkeytest.Authenticator{}
	first, second := enrol(t, a).Passkey, enrol(t, a).Passkey
	c := ceremony("discouraged")
	response := get(t, a, c, second)
	_, err := relyingParty(t).Get(c, handle, first, response, began)
	refused(t, err, passkey.WrongCredential)
	if _, err := relyingParty(t).Get(c, handle, second, response, began); err != nil {
		t.Error(err)
	}
}

func TestTheResponseOfOneCeremonyIsNotForTheOther(t *testing.T) {
	a := &passkeytest.Authenticator{}
	registered := enrol(t, a).Passkey
	c := ceremony("discouraged")
	_, err := relyingParty(t).Create(c, handle, get(t, a, c, registered), began)
	refused(t, err, passkey.Malformed)
	registration := create(t, a, c, mfa.NewPasskey{})
	created, err := relyingParty(t).Create(c, handle, registration, began)
	if err != nil {
		t.Fatal(err)
	}
	_, err = relyingParty(t).Get(c, handle, created.Passkey, registration, began)
	refused(t, err, passkey.WrongType)
}

func TestWhatIsWrongInTheDeploymentIsNotTheAuthenticatorsFault(t *testing.T) {
	a := &passkeytest.Authenticator{}
	registered := enrol(t, a).Passkey
	for name, f := range map[string]func(*mfa.Ceremony, *[]byte, *mfa.Passkey){
		"a short challenge":    func(c *mfa.Ceremony, _ *[]byte, _ *mfa.Passkey) { c.Challenge = c.Challenge[:15] },
		"no origins":           func(c *mfa.Ceremony, _ *[]byte, _ *mfa.Passkey) { c.Origins = nil },
		"no handle":            func(_ *mfa.Ceremony, h *[]byte, _ *mfa.Passkey) { *h = nil },
		"a broken public key":  func(_ *mfa.Ceremony, _ *[]byte, p *mfa.Passkey) { p.PublicKey = p.PublicKey[:20] },
		"no public key at all": func(_ *mfa.Ceremony, _ *[]byte, p *mfa.Passkey) { p.PublicKey = nil },
	} {
		t.Run(name, func(t *testing.T) {
			c, h, p := ceremony("discouraged"), handle, registered
			response := get(t, a, c, p)
			f(&c, &h, &p)
			if _, err := relyingParty(t).Get(c, h, p, response, began); err == nil || errors.Is(err, mfa.ErrNotAccepted) {
				t.Errorf("got %v, want an error that blames nobody else", err)
			}
		})
	}
}

func TestTheLimitsThemselvesAreKept(t *testing.T) {
	a := &passkeytest.Authenticator{}
	registered := enrol(t, a).Passkey
	c := ceremony("discouraged")
	c.Challenge = c.Challenge[:16]
	response := get(t, a, c, registered)
	longest := append(response, bytes.Repeat([]byte{' '}, 64<<10-len(response))...)
	for _, handle := range [][]byte{{1}, bytes.Repeat([]byte{1}, 64)} {
		if _, err := relyingParty(t).Get(c, handle, registered, longest, began.Add(299*time.Second)); err != nil {
			t.Errorf("a handle of %d bytes: %v", len(handle), err)
		}
	}
	if _, err := relyingParty(t).Get(c, bytes.Repeat([]byte{1}, 65), registered, response, began); err == nil || errors.Is(err, mfa.ErrNotAccepted) {
		t.Errorf("a handle of 65 bytes: got %v", err)
	}
	_, err := relyingParty(t).Get(c, handle, registered, append(longest, ' '), began)
	refused(t, err, passkey.TooLarge)
}

func TestARefusalTellsNothingOfTheCeremony(t *testing.T) {
	a := &passkeytest.Authenticator{}
	registered := enrol(t, a).Passkey
	a.Misbehaviour = passkeytest.Misbehaviour{Challenge: bytes.Repeat([]byte{1}, 32)}
	c := ceremony("discouraged")
	_, err := relyingParty(t).Get(c, handle, registered, get(t, a, c, registered), began)
	if _, ok := errors.AsType[passkey.Reason](err); !ok {
		t.Errorf("got %#v, which may hold more than a reason", err)
	}
}
