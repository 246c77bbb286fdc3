package passkey

import "countersign/pkg/mfa"

// A Reason says why a response is not acceptable, for logs and tests. It is an error that wraps [mfa.ErrNotAccepted].
type Reason string

// These are the reasons, in about the order in which they are checked (Web Authentication Level 3, sections 7.1 and 7.2).
const (
	TooLarge           Reason = "the response is too large"
	Expired            Reason = "the ceremony has expired"
	Malformed          Reason = "the response is malformed"
	WrongCredential    Reason = "the credential is another one"
	WrongUser          Reason = "the user handle is another one"
	WrongType          Reason = "the response belongs to the other sort of ceremony"
	WrongChallenge     Reason = "the challenge is another one"
	WrongOrigin        Reason = "the origin is not one of the ceremony's"
	CrossOrigin        Reason = "the page is in a frame of another origin"
	TopOrigin          Reason = "the page names a top-level origin"
	WrongRelyingParty  Reason = "the relying party is another one"
	NoUserPresence     Reason = "nobody has touched the authenticator"
	NoUserVerification Reason = "the authenticator has not verified the user"
	BackupFlags        Reason = "the backup flags contradict each other"
	BackupEligibility  Reason = "the backup eligibility is not that of the registration"
	WrongAlgorithm     Reason = "the algorithm of the public key was not asked for"
	UnusableKey        Reason = "the public key is not usable"
	WrongFormat        Reason = "the format of the attestation statement is not supported"
	WrongAttestation   Reason = "the attestation statement is not right"
	WrongSignature     Reason = "the signature is not right"
)

// Error says that the response is not acceptable, and why.
func (r Reason) Error() string { return mfa.ErrNotAccepted.Error() + ": " + string(r) }

// Unwrap returns mfa.ErrNotAccepted.
func (r Reason) Unwrap() error { return mfa.ErrNotAccepted }
