package passkey_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-tpm/tpm2"

	"countersign/pkg/mfa"
	"countersign/pkg/passkey"
	"countersign/pkg/passkey/passkeytest"
)

// A made is a registration of a software authenticator, to which a test adds an attestation statement.
type made struct {
	ceremony mfa.Ceremony
	members  map[string]any
	data     []byte           // the authenticator data
	hash     [32]byte         // the hash of the client data
	signed   []byte           // what a statement signs: the authenticator data and that hash
	key      *ecdsa.PublicKey // the key of the passkey
}

// registered makes a registration without a statement.
func registered(t *testing.T) made {
	t.Helper()
	c := ceremony("discouraged")
	m := made{ceremony: c}
	if err := json.Unmarshal(create(t, &passkeytest.Authenticator{}, c, mfa.NewPasskey{}), &m.members); err != nil {
		t.Fatal(err)
	}
	response := m.members["response"].(map[string]any)
	clientData, err := base64.RawURLEncoding.DecodeString(response["clientDataJSON"].(string))
	if err != nil {
		t.Fatal(err)
	}
	if m.data, err = base64.RawURLEncoding.DecodeString(response["authenticatorData"].(string)); err != nil {
		t.Fatal(err)
	}
	m.hash = sha256.Sum256(clientData)
	m.signed = slices.Concat(m.data, m.hash[:])
	point := m.data[len(m.data)-67:] // x, three bytes that announce y, and y
	if m.key, err = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, point[:32], point[35:])); err != nil {
		t.Fatal(err)
	}
	return m
}

// check adds a statement to the registration, and lets the package check it.
func (m made) check(t *testing.T, format string, statement map[string]any) error {
	t.Helper()
	object, err := cbor.Marshal(map[string]any{"fmt": format, "attStmt": statement, "authData": m.data})
	if err != nil {
		t.Fatal(err)
	}
	m.members["response"].(map[string]any)["attestationObject"] = encoded(object)
	_, err = relyingParty(t).Create(m.ceremony, handle, written(t, m.members), began)
	return err
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// certificate makes a certificate for that key, with those extensions. Nobody trusts its issuer.
func certificate(t *testing.T, key *ecdsa.PublicKey, extensions ...pkix.Extension) []byte {
	t.Helper()
	like := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: began, NotAfter: began.Add(time.Hour), ExtraExtensions: extensions}
	made, err := x509.CreateCertificate(rand.Reader, like, like, key, newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// apple returns the extension of an Apple certificate, with that nonce.
func apple(t *testing.T, nonce []byte) pkix.Extension {
	t.Helper()
	value, err := asn1.Marshal(struct {
		Nonce []byte `asn1:"tag:1,explicit"`
	}{nonce})
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 8, 2}, Value: value}
}

func TestAnAppleStatementIsAboutThisKeyAndThisCeremony(t *testing.T) {
	for name, c := range map[string]struct {
		statement func(t *testing.T, m made, nonce []byte) map[string]any
		want      error
	}{
		"right": {statement: func(t *testing.T, m made, nonce []byte) map[string]any {
			return map[string]any{"x5c": []any{certificate(t, m.key, apple(t, nonce))}}
		}},
		"another key": {statement: func(t *testing.T, _ made, nonce []byte) map[string]any {
			return map[string]any{"x5c": []any{certificate(t, &newKey(t).PublicKey, apple(t, nonce))}}
		}, want: passkey.WrongAttestation},
		"another ceremony": {statement: func(t *testing.T, m made, _ []byte) map[string]any {
			return map[string]any{"x5c": []any{certificate(t, m.key, apple(t, make([]byte, 32)))}}
		}, want: passkey.WrongAttestation},
		"an empty nonce": {statement: func(t *testing.T, m made, _ []byte) map[string]any {
			return map[string]any{"x5c": []any{certificate(t, m.key, apple(t, nil))}}
		}, want: passkey.WrongAttestation},
		"no nonce": {statement: func(t *testing.T, m made, _ []byte) map[string]any {
			return map[string]any{"x5c": []any{certificate(t, m.key)}}
		}, want: passkey.WrongAttestation},
		"more than a nonce": {statement: func(t *testing.T, m made, nonce []byte) map[string]any {
			longer := apple(t, nonce)
			longer.Value = append(longer.Value, 5, 0)
			return map[string]any{"x5c": []any{certificate(t, m.key, longer)}}
		}, want: passkey.WrongAttestation},
		"no certificate":     {statement: func(*testing.T, made, []byte) map[string]any { return map[string]any{} }, want: passkey.WrongAttestation},
		"no certificates":    {statement: func(*testing.T, made, []byte) map[string]any { return map[string]any{"x5c": []any{}} }, want: passkey.WrongAttestation},
		"a certificate of 1": {statement: func(*testing.T, made, []byte) map[string]any { return map[string]any{"x5c": []any{1}} }, want: passkey.WrongAttestation},
	} {
		t.Run(name, func(t *testing.T) {
			m := registered(t)
			nonce := sha256.Sum256(m.signed)
			if err := m.check(t, "apple", c.statement(t, m, nonce[:])); err != c.want {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// A module has what a TPM says about a key, and how the TPM says it.
type module struct {
	version   string
	algorithm int
	area      tpm2.TPMTPublic
	info      tpm2.TPMSAttest
	signer    *ecdsa.PrivateKey
	statement map[string]any
}

// attest makes the statement of a TPM that has just made the key.
func attest(t *testing.T, m made, change func(*module)) map[string]any {
	t.Helper()
	digest := sha256.Sum256(m.signed)
	v := &module{version: "2.0", algorithm: passkeytest.ES256, area: area(t, m.key), signer: newKey(t)}
	v.info = tpm2.TPMSAttest{Magic: tpm2.TPMGeneratedValue, Type: tpm2.TPMSTAttestCertify, ExtraData: tpm2.TPM2BData{Buffer: digest[:]}}
	v.info.Attested = attested(t, v.area)
	aik := certificate(t, &v.signer.PublicKey)
	change(v)
	info := tpm2.Marshal(v.info)
	hash := sha256.Sum256(info)
	signature, err := v.signer.Sign(rand.Reader, hash[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]any{
		"ver": v.version, "alg": v.algorithm, "sig": signature, "x5c": []any{aik}, "certInfo": info, "pubArea": tpm2.Marshal(v.area),
	}
	for name, value := range v.statement {
		made[name] = value
	}
	return made
}

// area describes a key to a TPM.
func area(t *testing.T, key *ecdsa.PublicKey) tpm2.TPMTPublic {
	t.Helper()
	point, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	none := tpm2.TPMTSymDefObject{Algorithm: tpm2.TPMAlgNull}
	return tpm2.TPMTPublic{
		Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA256,
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
			Symmetric: none, Scheme: tpm2.TPMTECCScheme{Scheme: tpm2.TPMAlgNull}, CurveID: tpm2.TPMECCNistP256, KDF: tpm2.TPMTKDFScheme{Scheme: tpm2.TPMAlgNull},
		}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{
			X: tpm2.TPM2BECCParameter{Buffer: point[1:33]}, Y: tpm2.TPM2BECCParameter{Buffer: point[33:]},
		}),
	}
}

// attested returns what a TPM says when it certifies a key.
func attested(t *testing.T, key tpm2.TPMTPublic) tpm2.TPMUAttest {
	t.Helper()
	name, err := tpm2.ObjectName(&key)
	if err != nil {
		t.Fatal(err)
	}
	return tpm2.NewTPMUAttest(tpm2.TPMSTAttestCertify, &tpm2.TPMSCertifyInfo{Name: *name})
}

func TestATPMStatementIsAboutThisKeyAndThisCeremony(t *testing.T) {
	other := area(t, &newKey(t).PublicKey)
	for name, c := range map[string]struct {
		change func(*module)
		want   error
	}{
		"right":             {change: func(*module) {}},
		"another key":       {change: func(v *module) { v.area = other; v.info.Attested = attested(t, other) }, want: passkey.WrongAttestation},
		"another name":      {change: func(v *module) { v.info.Attested = attested(t, other) }, want: passkey.WrongAttestation},
		"another ceremony":  {change: func(v *module) { v.info.ExtraData.Buffer = make([]byte, 32) }, want: passkey.WrongAttestation},
		"no ceremony":       {change: func(v *module) { v.info.ExtraData.Buffer = nil }, want: passkey.WrongAttestation},
		"not from a TPM":    {change: func(v *module) { v.info.Magic++ }, want: passkey.WrongAttestation},
		"another signer":    {change: func(v *module) { v.signer = newKey(t) }, want: passkey.WrongAttestation},
		"another version":   {change: func(v *module) { v.version = "1.2" }, want: passkey.WrongAttestation},
		"another algorithm": {change: func(v *module) { v.algorithm = passkeytest.RS256 }, want: passkey.WrongAttestation},
		"no algorithm":      {change: func(v *module) { v.algorithm = 0 }, want: passkey.WrongAttestation},
		"a quote": {change: func(v *module) {
			v.info.Type = tpm2.TPMSTAttestQuote
			v.info.Attested = tpm2.NewTPMUAttest(tpm2.TPMSTAttestQuote, &tpm2.TPMSQuoteInfo{})
		}, want: passkey.WrongAttestation},
		"no certificate": {change: func(v *module) { v.statement = map[string]any{"x5c": nil} }, want: passkey.WrongAttestation},
		"no key":         {change: func(v *module) { v.statement = map[string]any{"pubArea": []byte{}} }, want: passkey.WrongAttestation},
		"nothing said":   {change: func(v *module) { v.statement = map[string]any{"certInfo": "text"} }, want: passkey.WrongAttestation},
	} {
		t.Run(name, func(t *testing.T) {
			m := registered(t)
			if err := m.check(t, "tpm", attest(t, m, c.change)); err != c.want {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestATPMStatementIsAboutAnRSAKeyToo(t *testing.T) {
	for name, want := range map[string]error{"right": nil, "another modulus": passkey.WrongAttestation} {
		t.Run(name, func(t *testing.T) {
			key := map[int]any{1: 3, 3: passkeytest.RS256, -1: modulus(2048), -2: []byte{1, 0, 1}}
			encoded, err := cbor.Marshal(key)
			if err != nil {
				t.Fatal(err)
			}
			m := registered(t)
			m.data = append(m.data[:55+32], encoded...)
			m.signed = slices.Concat(m.data, m.hash[:])
			certified := modulus(2048)
			if want != nil {
				certified[255] = 3
			}
			err = m.check(t, "tpm", attest(t, m, func(v *module) {
				v.area = tpm2.TPMTPublic{
					Type: tpm2.TPMAlgRSA, NameAlg: tpm2.TPMAlgSHA256,
					Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgRSA, &tpm2.TPMSRSAParms{
						Symmetric: tpm2.TPMTSymDefObject{Algorithm: tpm2.TPMAlgNull}, Scheme: tpm2.TPMTRSAScheme{Scheme: tpm2.TPMAlgNull}, KeyBits: 2048,
					}),
					Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: certified}),
				}
				v.info.Attested = attested(t, v.area)
			}))
			if err != want {
				t.Errorf("got %v, want %v", err, want)
			}
		})
	}
}

func TestAFormatThatIsNotSupportedIsRefused(t *testing.T) {
	for _, format := range []string{"android-key", "android-safetynet", "compound", "NONE", ""} {
		if err := registered(t).check(t, format, map[string]any{}); err != passkey.WrongFormat && err != passkey.Malformed {
			t.Errorf("%q: got %v", format, err)
		}
	}
	if err := registered(t).check(t, "none", map[string]any{"sig": []byte{1}}); err != passkey.WrongAttestation {
		t.Errorf("a statement of the format none: got %v", err)
	}
}
