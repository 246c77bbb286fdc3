// Package passkeytest is an authenticator in software, together with the browser that it is used in, for tests. It takes the
// options of a WebAuthn ceremony as JSON, and gives the response as JSON (Web Authentication Level 3, sections 5.1,
// 5.1.8 and 5.1.9).
//
// It does with the options what a real one would do. It makes no second key for a user whose key is excluded, it needs a key that
// is allowed, and it verifies the user if it can and is asked to. The browser refuses an RP ID that doesn't belong to the origin.
// A test can also make an Authenticator misbehave, to see that its response is refused.
//
// It shares no code with package passkey, so that a mistake in one of them is noticed. It is only for tests: its keys are lost
// when the process ends.
package passkeytest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// These are the errors of a browser or an authenticator that gives no response. Browsers have their own names for them.
var (
	ErrExcluded = errors.New("passkeytest: the authenticator already holds a key of this user") // InvalidStateError
	ErrNoKey    = errors.New("passkeytest: the authenticator holds none of the allowed keys")   // NotAllowedError
	ErrUnable   = errors.New("passkeytest: the authenticator can't do what is required")        // NotAllowedError
	ErrOrigin   = errors.New("passkeytest: the origin may not use this RP ID")                  // SecurityError
)

// These are the algorithms of a key (the COSE registry of IANA).
const (
	ES256 = -7
	EdDSA = -8
	RS256 = -257
)

// An Authenticator has keys. The zero value is a security key with a signature counter. It makes ES256 keys that are not
// resident, and can't verify the user. Many goroutines can use an Authenticator at the same time, but none may change its fields
// meanwhile.
type Authenticator struct {
	AAGUID       [16]byte // the id of the model
	Transports   []string // as the browser gives them; nil means usb
	Platform     bool     // whether it is a part of the device
	Resident     bool     // whether it can make resident keys; it then makes one unless that is discouraged
	Verifies     bool     // whether it can verify the user, by a PIN or a fingerprint
	AlwaysVerify bool     // whether it verifies the user even if that is discouraged, as the authenticators of most devices do
	Eligible     bool     // whether its keys may be synced to other devices (the flag BE)
	Synced       bool     // whether its keys are synced now (the flag BS)
	NoCounter    bool     // whether the signature counter stays 0
	Algorithms   []int    // the algorithms that it supports; nil means ES256
	IDLength     int      // the bytes of a credential id; 0 means 32
	NextID       []byte   // the credential id of the keys that it makes; nil means a random one

	Misbehaviour Misbehaviour // what it does wrong in the next ceremonies, until this is changed

	mutex sync.Mutex
	keys  []*key
	count uint32
}

// Misbehaviour says what an Authenticator, or the browser that it is used in, does wrong. The zero value means that both do
// everything right.
type Misbehaviour struct {
	Origin      string                        // the browser says that it is at this origin; the true one still decides about the RP ID
	CrossOrigin bool                          // the browser says that the page is in a frame of another origin
	TopOrigin   string                        // the browser names this top-level origin
	Type        string                        // the browser gives this type of ceremony
	Challenge   []byte                        // the authenticator answers this challenge
	RPID        string                        // the authenticator answers for this RP ID
	Flags       func(byte) byte               // changes the flags of the authenticator data
	Count       func(uint32) uint32           // changes the signature counter of the authenticator data
	UserHandle  []byte                        // the authenticator gives this user handle
	OtherKey    bool                          // the authenticator signs with a key that nobody has registered
	Signature   func([]byte) []byte           // changes the signature
	Response    func(response map[string]any) // changes the response, as its JSON object
}

// These are the flags of authenticator data (Web Authentication Level 3, section 6.1).
const (
	UserPresent    byte = 1 << 0
	UserVerified   byte = 1 << 2
	BackupEligible byte = 1 << 3
	BackedUp       byte = 1 << 4
	attested       byte = 1 << 6
)

// A descriptor names a key in options (Web Authentication Level 3, section 5.8.3).
type descriptor struct {
	Type string    `json:"type"`
	ID   base64url `json:"id"`
}

type creationOptions struct {
	RP        struct{ ID, Name string } `json:"rp"`
	User      struct{ ID base64url }    `json:"user"`
	Challenge base64url                 `json:"challenge"`
	Params    []struct {
		Type string `json:"type"`
		Alg  int    `json:"alg"`
	} `json:"pubKeyCredParams"`
	Exclude   []descriptor `json:"excludeCredentials"`
	Selection struct {
		Attachment       string `json:"authenticatorAttachment"`
		ResidentKey      string `json:"residentKey"`
		UserVerification string `json:"userVerification"`
	} `json:"authenticatorSelection"`
	Extensions struct {
		CredProps bool `json:"credProps"`
	} `json:"extensions"`
}

type requestOptions struct {
	RPID             string       `json:"rpId"`
	Challenge        base64url    `json:"challenge"`
	Allow            []descriptor `json:"allowCredentials"`
	UserVerification string       `json:"userVerification"`
}

// Create makes a key on a page of that origin, according to the options, a PublicKeyCredentialCreationOptionsJSON. It returns a
// RegistrationResponseJSON. The errors are ErrExcluded, ErrUnable and ErrOrigin.
func (a *Authenticator) Create(options json.RawMessage, origin string) (json.RawMessage, error) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	var o creationOptions
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, fmt.Errorf("passkeytest: the options: %w", err)
	}
	if !belongs(o.RP.ID, origin) {
		return nil, ErrOrigin
	}
	if o.Selection.Attachment != "" && o.Selection.Attachment != a.attachment() {
		return nil, ErrUnable
	}
	resident := a.Resident && o.Selection.ResidentKey != "discouraged"
	if !resident && o.Selection.ResidentKey == "required" {
		return nil, ErrUnable
	}
	verified, able := a.verify(o.Selection.UserVerification)
	if !able {
		return nil, ErrUnable
	}
	if a.find(o.RP.ID, o.Exclude) != nil {
		return nil, ErrExcluded
	}
	for _, p := range o.Params {
		if p.Type != "public-key" || !slices.Contains(a.algorithms(), p.Alg) {
			continue
		}
		k, err := a.newKey(p.Alg, o.RP.ID, o.User.ID, resident)
		if err != nil {
			return nil, err
		}
		a.keys = append(a.keys, k)
		return a.creation(k, o, origin, verified)
	}
	return nil, ErrUnable
}

// creation returns the response after a new key was made.
func (a *Authenticator) creation(k *key, o creationOptions, origin string, verified bool) (json.RawMessage, error) {
	m := a.Misbehaviour
	told := k
	if m.OtherKey {
		var err error
		if told, err = a.newKey(k.algorithm, k.party, k.user, k.resident); err != nil {
			return nil, err
		}
		told.id = k.id
	}
	data := a.authenticatorData(k.party, verified, told.credentialData(a.AAGUID))
	extensions := map[string]any{}
	if o.Extensions.CredProps {
		extensions["credProps"] = map[string]any{"rk": k.resident}
	}
	return a.respond(k, extensions, map[string]any{
		"clientDataJSON":     base64url(m.clientData("webauthn.create", o.Challenge, origin)),
		"attestationObject":  base64url(attestationObject(data)),
		"authenticatorData":  base64url(data),
		"publicKeyAlgorithm": told.algorithm,
		"transports":         a.transports(),
	})
}

// Get signs in on a page of that origin. It uses one of the keys that the options allow, or a resident key if they name none. The
// options are a PublicKeyCredentialRequestOptionsJSON. Get returns an AuthenticationResponseJSON. The errors are ErrNoKey,
// ErrUnable and ErrOrigin.
func (a *Authenticator) Get(options json.RawMessage, origin string) (json.RawMessage, error) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	var o requestOptions
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, fmt.Errorf("passkeytest: the options: %w", err)
	}
	if !belongs(o.RPID, origin) {
		return nil, ErrOrigin
	}
	verified, able := a.verify(o.UserVerification)
	if !able {
		return nil, ErrUnable
	}
	k := a.find(o.RPID, o.Allow)
	if k == nil {
		return nil, ErrNoKey
	}
	m := a.Misbehaviour
	signer := k
	if m.OtherKey {
		var err error
		if signer, err = a.newKey(k.algorithm, k.party, k.user, k.resident); err != nil {
			return nil, err
		}
	}
	data := a.authenticatorData(k.party, verified, nil)
	clientData := m.clientData("webauthn.get", o.Challenge, origin)
	signature, err := signer.sign(data, clientData)
	if err != nil {
		return nil, err
	}
	if m.Signature != nil {
		signature = m.Signature(signature)
	}
	response := map[string]any{
		"clientDataJSON":    base64url(clientData),
		"authenticatorData": base64url(data),
		"signature":         base64url(signature),
	}
	switch {
	case m.UserHandle != nil:
		response["userHandle"] = base64url(m.UserHandle)
	case k.resident:
		response["userHandle"] = base64url(k.user)
	}
	return a.respond(k, map[string]any{}, response)
}

// respond makes a response from its parts.
func (a *Authenticator) respond(k *key, extensions, response map[string]any) (json.RawMessage, error) {
	whole := map[string]any{
		"id": base64url(k.id), "rawId": base64url(k.id), "type": "public-key",
		"authenticatorAttachment": a.attachment(),
		"clientExtensionResults":  extensions,
		"response":                response,
	}
	if a.Misbehaviour.Response != nil {
		a.Misbehaviour.Response(whole)
	}
	return json.Marshal(whole)
}

func (a *Authenticator) attachment() string {
	if a.Platform {
		return "platform"
	}
	return "cross-platform"
}

func (a *Authenticator) transports() []string {
	if a.Transports == nil {
		return []string{"usb"}
	}
	return a.Transports
}

func (a *Authenticator) algorithms() []int {
	if a.Algorithms == nil {
		return []int{ES256}
	}
	return a.Algorithms
}

// verify returns whether the user is verified under that requirement, and whether the authenticator can do what is required.
func (a *Authenticator) verify(requirement string) (verified, able bool) {
	switch requirement {
	case "required":
		return a.Verifies, a.Verifies
	case "discouraged":
		return a.Verifies && a.AlwaysVerify, true
	}
	return a.Verifies, true
}

// find returns the newest key of a relying party among those that are named, or the newest resident key if none is named. It
// returns nil if there is no such key.
func (a *Authenticator) find(party string, named []descriptor) *key {
	for _, k := range slices.Backward(a.keys) {
		same := func(d descriptor) bool { return string(d.ID) == string(k.id) }
		if k.party == party && (slices.ContainsFunc(named, same) || len(named) == 0 && k.resident) {
			return k
		}
	}
	return nil
}

// belongs reports whether a page of that origin may use the RP ID. A browser allows it for the host itself and for hosts under
// it, if the page came over a secure channel (Web Authentication Level 3, section 5.1.3).
func belongs(party, origin string) bool {
	u, err := url.Parse(origin)
	if err != nil || party == "" {
		return false
	}
	host := u.Hostname()
	secure := u.Scheme == "https" || u.Scheme == "http" && (host == "localhost" || strings.HasSuffix(host, ".localhost"))
	return secure && (host == party || strings.HasSuffix(host, "."+party))
}
