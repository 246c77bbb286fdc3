package passkey_test

import (
	"reflect"
	"slices"
	"testing"

	"countersign/pkg/mfa"
	"countersign/pkg/passkey/passkeytest"
)

func TestARegistrationSaysWhatTheAuthenticatorIs(t *testing.T) {
	aaguid := [16]byte{1, 2, 3}
	yes, no := true, false
	for name, c := range map[string]struct {
		authenticator *passkeytest.Authenticator
		variant       mfa.Variant
		want          mfa.Passkey
		use           mfa.PasskeyUse
	}{
		"a security key": {
			authenticator: &passkeytest.Authenticator{Transports: []string{"usb", "nfc"}},
			want:          mfa.Passkey{Transports: []string{"nfc", "usb"}, Attachment: "cross-platform", AAGUID: make([]byte, 16), Discoverable: &no},
			use:           mfa.PasskeyUse{SignCount: 1},
		},
		"a synced passkey": {
			authenticator: &passkeytest.Authenticator{
				AAGUID: aaguid, Transports: []string{"internal", "hybrid"}, Platform: true, Resident: true, Verifies: true, AlwaysVerify: true,
				Eligible: true, Synced: true, NoCounter: true,
			},
			want: mfa.Passkey{
				Transports: []string{"hybrid", "internal"}, Attachment: "platform", AAGUID: aaguid[:], BackupEligible: true, Discoverable: &yes,
			},
			use: mfa.PasskeyUse{BackedUp: true, UserVerified: true, Eligible: true},
		},
		"a key that could hold passkeys, but is asked not to": {
			authenticator: &passkeytest.Authenticator{AAGUID: aaguid, Resident: true, Verifies: true},
			variant:       mfa.SecurityKey,
			want:          mfa.Passkey{Transports: []string{"usb"}, Attachment: "cross-platform", AAGUID: aaguid[:], Discoverable: &no},
			use:           mfa.PasskeyUse{SignCount: 1},
		},
		"eligible, but not synced yet": {
			authenticator: &passkeytest.Authenticator{Transports: []string{}, Eligible: true},
			want:          mfa.Passkey{Attachment: "cross-platform", AAGUID: make([]byte, 16), BackupEligible: true, Discoverable: &no},
			use:           mfa.PasskeyUse{SignCount: 1, Eligible: true},
		},
		"transports that nobody knows": {
			authenticator: &passkeytest.Authenticator{Transports: []string{"usb", "pigeon", "usb", "cable", ""}},
			want:          mfa.Passkey{Transports: []string{"hybrid", "usb"}, Attachment: "cross-platform", AAGUID: make([]byte, 16), Discoverable: &no},
			use:           mfa.PasskeyUse{SignCount: 1},
		},
		"a browser that says nothing": {
			authenticator: &passkeytest.Authenticator{Misbehaviour: passkeytest.Misbehaviour{Response: func(r map[string]any) {
				delete(r, "authenticatorAttachment")
				delete(r, "clientExtensionResults")
				delete(r["response"].(map[string]any), "transports")
			}}},
			want: mfa.Passkey{AAGUID: make([]byte, 16)},
			use:  mfa.PasskeyUse{SignCount: 1},
		},
		"a browser that says more than it was asked": {
			authenticator: &passkeytest.Authenticator{Misbehaviour: passkeytest.Misbehaviour{Response: func(r map[string]any) {
				r["clientExtensionResults"] = map[string]any{
					"credProps": map[string]any{"rk": false}, "prf": map[string]any{"enabled": true}, "devicePubKey": map[string]any{},
				}
				r["authenticatorAttachment"] = "on the moon"
			}}},
			want: mfa.Passkey{Transports: []string{"usb"}, AAGUID: make([]byte, 16), Discoverable: &no},
			use:  mfa.PasskeyUse{SignCount: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			ceremony := ceremony("discouraged")
			response := create(t, c.authenticator, ceremony, mfa.NewPasskey{Variant: c.variant})
			created, err := relyingParty(t).Create(ceremony, handle, response, began)
			if err != nil {
				t.Fatal(err)
			}
			got := created.Passkey
			if len(got.ID) != 32 || len(got.PublicKey) < 70 {
				t.Errorf("got an id of %d bytes and a key of %d", len(got.ID), len(got.PublicKey))
			}
			got.ID, got.PublicKey = nil, nil
			if !reflect.DeepEqual(got, c.want) || created.PasskeyUse != c.use {
				t.Errorf("got %+v %+v, want %+v %+v", got, created.PasskeyUse, c.want, c.use)
			}
		})
	}
}

func TestWhatASignInSaysComesFromThatSignIn(t *testing.T) {
	a := &passkeytest.Authenticator{Resident: true, Verifies: true, Eligible: true, Synced: true}
	registered := enrol(t, a)
	if registered.UserVerified {
		t.Error("the user was verified though that was discouraged")
	}
	for _, c := range []struct {
		verification string
		synced       bool
		want         mfa.PasskeyUse
	}{
		{"required", true, mfa.PasskeyUse{SignCount: 2, BackedUp: true, UserVerified: true, Eligible: true}},
		{"discouraged", false, mfa.PasskeyUse{SignCount: 3, Eligible: true}},
		{"preferred", false, mfa.PasskeyUse{SignCount: 4, UserVerified: true, Eligible: true}},
	} {
		a.Synced = c.synced
		begun := ceremony(c.verification)
		got, err := relyingParty(t).Get(begun, handle, registered.Passkey, get(t, a, begun, registered.Passkey), began)
		if err != nil {
			t.Fatal(err)
		}
		if got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.verification, got, c.want)
		}
	}
}

func TestACounterThatGoesBackIsLeftToTheCaller(t *testing.T) {
	a := &passkeytest.Authenticator{}
	registered := enrol(t, a)
	a.Misbehaviour.Count = func(uint32) uint32 { return 0 }
	c := ceremony("discouraged")
	got, err := relyingParty(t).Get(c, handle, registered.Passkey, get(t, a, c, registered.Passkey), began)
	if err != nil || got.SignCount != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestEveryOriginOfACeremonyIsAccepted(t *testing.T) {
	a := &passkeytest.Authenticator{}
	registered := enrol(t, a)
	c := ceremony("discouraged")
	c.Origins = []string{"https://accounts.example.org", origin}
	response := get(t, a, c, registered.Passkey)
	slices.Reverse(c.Origins)
	if _, err := relyingParty(t).Get(c, handle, registered.Passkey, response, began); err != nil {
		t.Error(err)
	}
}
