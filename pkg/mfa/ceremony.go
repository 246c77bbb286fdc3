package mfa

import (
	"encoding/json"
	"errors"
	"time"
)

// A RelyingParty is what this deployment is to authenticators (Web Authentication Level 3, section 4).
type RelyingParty struct {
	ID   string // the RP ID, a domain; if empty, security keys and passkeys aren't offered
	Name string // the name that authenticators may show
}

// Passkeys makes the options of WebAuthn ceremonies and checks the responses to them (Web Authentication Level 3, sections
// 7.1 and 7.2). Package passkey implements it.
//
// An implementation keeps nothing between two calls. This package remembers the Ceremony, spends it with the first right
// response, and keeps the signature counter. The methods that check a response return an error that wraps ErrNotAccepted if
// the response is not acceptable, whatever the reason is. Any other error means that the response could not be checked. No
// error says anything of the challenge or of the response's content.
type Passkeys interface {
	// CreationOptions returns a PublicKeyCredentialCreationOptionsJSON (sections 5.1.8 and 5.4).
	CreationOptions(c Ceremony, n NewPasskey) (json.RawMessage, error)

	// Create checks the response to CreationOptions, a RegistrationResponseJSON (section 5.1), for the user with that
	// handle.
	Create(c Ceremony, handle []byte, response json.RawMessage, now time.Time) (CreatedPasskey, error)

	// RequestOptions returns a PublicKeyCredentialRequestOptionsJSON (section 5.1.9), which allows those passkeys. There
	// is at least one.
	RequestOptions(c Ceremony, allowed []Passkey) (json.RawMessage, error)

	// Get checks the response to RequestOptions, an AuthenticationResponseJSON (section 5.1), which must be signed by p, a
	// passkey of the user with that handle. It doesn't judge the signature counter.
	Get(c Ceremony, handle []byte, p Passkey, response json.RawMessage, now time.Time) (PasskeyUse, error)

	// ReadKey returns an error unless publicKey is a COSE_Key (RFC 9052 section 7) of an algorithm with which Get can check
	// signatures.
	ReadKey(publicKey []byte) error
}

// ErrNotAccepted is wrapped by the error of Passkeys for a response that is not acceptable.
var ErrNotAccepted = errors.New("mfa: the response of the authenticator is not acceptable")

// A Ceremony is one run of WebAuthn, from its options until the response to them.
type Ceremony struct {
	Challenge        []byte    // 32 random bytes
	Origins          []string  // the response must come from a page of one of these
	UserVerification string    // discouraged, preferred or required, as the policy said when the ceremony began
	Expires          time.Time // no response is accepted from then on
}

// ceremonyLife is how long an authenticator's response is accepted. Web Authentication Level 3, section 15.1, recommends 300
// to 600 seconds.
const ceremonyLife = 300 * time.Second

// A Variant is the sort of authenticator that a user is about to enrol. It only shapes the options: either sort is accepted.
type Variant string

// The variants.
const (
	AnyPasskey  Variant = "passkey"      // what the user's devices offer
	SecurityKey Variant = "security_key" // a key that can be carried about
)

// NewPasskey is what the options for creating a passkey say of the user.
type NewPasskey struct {
	Variant     Variant
	Handle      []byte // the user handle, 32 random bytes (section 5.4.3)
	Name        string // tells the user's accounts apart, such as an email address
	DisplayName string
	Exclude     []Passkey // the passkeys that the user has enrolled already
}

// A Passkey is a credential public key with what is known of it from its registration (section 4, "credential record").
type Passkey struct {
	ID             []byte   `json:"id" record:"1"`         // the credential id, 1 to 1,023 bytes
	PublicKey      []byte   `json:"public_key" record:"2"` // a COSE_Key (RFC 9052)
	Transports     []string `json:"transports" record:"3"` // how browsers can reach the authenticator, such as usb or internal
	Attachment     string   `json:"attachment" record:"4"` // platform, cross-platform, or empty if the browser didn't say
	AAGUID         []byte   `json:"aaguid" record:"5"`     // 16 bytes that name the model; all zero if the authenticator doesn't say
	BackupEligible bool     `json:"backup_eligible" record:"6"`
	Discoverable   *bool    `json:"discoverable" record:"7"` // a resident key, on the word of the browser (credProps); nil if it didn't say
	Variant        Variant  `json:"variant" record:"8"`      // the variant that the user asked for

	// These two are set only for a passkey that was imported.
	BackupUnknown bool   `json:"backup_unknown" record:"9"` // BackupEligible isn't known, and any value in a response is accepted
	Handle        []byte `json:"handle" record:"10"`        // the user handle that it was registered with, if that isn't the user's own; 1 to 64 bytes
}

// A CreatedPasskey is a new passkey, with what its registration says of this moment.
type CreatedPasskey struct {
	Passkey
	PasskeyUse
}

// A PasskeyUse is what the authenticator data of a right response says.
type PasskeyUse struct {
	SignCount    uint32 // the signature counter; 0 if the authenticator has none
	BackedUp     bool   // the key is synced to other devices now
	UserVerified bool   // the authenticator has checked a PIN or a fingerprint in this very ceremony
	Eligible     bool   // the key can be synced to other devices, which never changes
}
