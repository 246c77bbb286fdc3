package mfa

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"countersign/pkg/passkey/provider"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
	"countersign/pkg/text"
)

// keys is the authenticator of the kind webauthn. The user has a security key, or a passkey on a device, which signs a
// challenge for the pages of one domain (Web Authentication Level 3). Nobody can guess its answer, so a wrong one counts
// against its challenge and never against the user.
type keys struct{}

func (keys) room(a *account, _ *Policy) error {
	if a.relyingParty == "" {
		return refuse(MethodForbidden, "This deployment has no RP ID, so security keys and passkeys can't be enrolled.")
	}
	return nil
}

// begin makes the options for creating a passkey.
func (k keys) begin(q *question, answer *EnrolAnswer) error {
	en := &q.v.a.enrolment
	if en.Handle = q.v.a.guard.Handle; len(en.Handle) == 0 {
		en.Handle = randomBytes(32)
	}
	en.Variant = cmp.Or(en.Variant, AnyPasskey)
	asked, err := k.ask(q)
	answer.SendAnswer = asked
	return err
}

// ask begins a ceremony, which takes the place of an earlier one in the same challenge or enrolment.
func (keys) ask(q *question) (*SendAnswer, error) {
	port := q.u.s.Passkeys
	if port == nil {
		return nil, errNoPasskeys
	}
	number := 1
	if last := q.in.ceremony(); last != nil {
		number = last.Number + 1
	}
	if number > mostCeremonies {
		return nil, tooManySends(0)
	}
	origins, bound, err := q.origins()
	if err != nil {
		return nil, err
	}
	begun := &ceremony{
		Challenge: randomBytes(32), Origin: bound, Number: number, UserVerification: q.v.p.WebAuthn.UserVerification,
		Expires: earlier(q.u.now.Add(ceremonyLife), q.in.binding().expires),
	}
	var options json.RawMessage
	if q.first {
		g, enrolled := q.v.a.guard, q.v.a.passkeys()
		if q.replaces {
			enrolled = nil
		}
		options, err = port.CreationOptions(begun.shown(origins), NewPasskey{
			Variant: q.v.a.enrolment.Variant, Handle: q.v.a.enrolment.Handle, Name: g.account(), DisplayName: g.displayName(), Exclude: enrolled,
		})
	} else {
		options, err = port.RequestOptions(begun.shown(origins), q.v.allowed())
	}
	if err != nil {
		return nil, err
	}
	q.in.begun(begun)
	return &SendAnswer{WebAuthn: options}, nil
}

func (keys) form(given Answer) error {
	if !given.Code.IsZero() {
		return invalid("code", "Factors of this kind are answered with a credential.")
	}
	if credentialOf(given) == nil {
		return invalid("credential", "The credential must be a PublicKeyCredential as JSON, as a browser's toJSON gives it.")
	}
	return nil
}

// check lets the port check the response. It notes the signature counter and the state of the backup in the guard, with the
// same write that ends the challenge or the enrolment. A counter that has not grown is a wrong answer, and an event says so:
// the key may have been copied (Web Authentication Level 3, section 6.1.1).
func (k keys) check(q *question, given Answer) (bool, error) {
	port := q.u.s.Passkeys
	if port == nil {
		return false, errNoPasskeys
	}
	begun := q.in.ceremony()
	if begun == nil || !q.u.now.Before(begun.Expires) {
		return false, nil
	}
	c := begun.shown(q.registered())
	if q.v.p.WebAuthn.UserVerification == verificationRequired {
		c.UserVerification = verificationRequired // even if it wasn't when the ceremony began
	}
	if len(c.Origins) == 0 {
		return false, nil // the ceremony was begun from the hosted pages, and their origin is another one now
	}
	if q.first {
		return k.create(q, port, c, given.Credential)
	}
	use, err := port.Get(c, q.handle(), q.registeredKey(), given.Credential, q.u.now)
	if right, err := accepted(err); !right {
		return false, err
	}
	if use.SignCount <= q.enrolled.SignCount && (use.SignCount > 0 || q.enrolled.SignCount > 0) {
		q.u.event(q.v.a.event(CounterRefused, q.v.p, map[string]any{"factor": q.f.ID, "kind": q.f.Kind}))
		return false, nil
	}
	q.note(use)
	return true, nil
}

// create checks a new passkey, and claims its credential id for the user.
func (keys) create(q *question, port Passkeys, c Ceremony, response json.RawMessage) (bool, error) {
	created, err := port.Create(c, q.v.a.enrolment.Handle, response, q.u.now)
	if right, err := accepted(err); !right {
		return false, err
	}
	if err := q.claim(created.ID); err != nil {
		return false, err
	}
	created.Variant = q.v.a.enrolment.Variant
	q.f.Passkey = &created.Passkey
	q.v.a.guard.Handle = q.v.a.enrolment.Handle
	q.note(created.PasskeyUse)
	return true, nil
}

// accepted reports whether a port's error says that the response is right. It returns an error if that is not known.
func accepted(err error) (bool, error) {
	if errors.Is(err, ErrNotAccepted) {
		return false, nil
	}
	return err == nil, err
}

// handle returns the user handle that the passkey was registered with.
func (q *question) handle() []byte {
	if own := q.f.Passkey.Handle; len(own) > 0 {
		return own
	}
	return q.v.a.guard.Handle
}

// registeredKey returns the passkey, with what its first response has said of it if its registration didn't.
func (q *question) registeredKey() Passkey {
	p := *q.f.Passkey
	if learned := q.enrolled.BackupEligible; p.BackupUnknown && learned != nil {
		p.BackupEligible, p.BackupUnknown = *learned, false
	}
	return p
}

// note keeps what a right response says: for the next response, and for the token.
func (q *question) note(use PasskeyUse) {
	q.enrolled.SignCount, q.enrolled.BackedUp = use.SignCount, use.BackedUp
	if q.f.Passkey != nil && q.f.Passkey.BackupUnknown {
		q.enrolled.BackupEligible = &use.Eligible
	}
	q.amr = []string{"hwk"}
	if use.BackedUp {
		q.amr = []string{"swk"} // RFC 8176: a key that is copied to other devices is not bound to hardware
	}
	if use.UserVerified {
		q.amr = append(q.amr, "user")
	}
}

// hint is empty, because only the label of a key tells it from another one.
func (keys) hint(string) string { return "" }

// verificationRequired is a policy's word for keys that have to verify their user.
const verificationRequired = "required"

// mostCeremonies is how many ceremonies one challenge or enrolment can begin.
const mostCeremonies = 30

// errNoPasskeys is an error of the program that assembled the Service.
var errNoPasskeys = errors.New("this function runs no WebAuthn ceremonies")

// registered returns the origins whose pages may answer: those of the client, and that of the hosted pages.
func (q *question) registered() []string {
	return append(slices.Clip(q.in.registered()), q.u.s.origin())
}

// origins returns the origins that a new ceremony can be answered from. If a page of a browser has asked for the ceremony,
// it can be answered only from the origin of that page, which bound names.
func (q *question) origins() (allowed []string, bound string, err error) {
	allowed = q.registered()
	if q.u.origin == "" {
		return allowed, "", nil
	}
	if !slices.Contains(allowed, q.u.origin) {
		return nil, "", refuse(Forbidden, "Security keys and passkeys can't be used from this origin.")
	}
	return []string{q.u.origin}, q.u.origin, nil
}

// A ceremony is what a challenge or an enrolment remembers of its newest WebAuthn ceremony.
type ceremony struct {
	Challenge        []byte    `json:"challenge" record:"1,secret"`
	Origin           string    `json:"origin" record:"2"`            // the only origin that it can be answered from; empty if no page has begun it
	UserVerification string    `json:"user_verification" record:"3"` // the setting of the policy when the ceremony began
	Expires          time.Time `json:"expires" record:"4"`
	Number           int       `json:"number" record:"5"` // 1 for the first one of its challenge or enrolment
}

// shown returns the ceremony as the port takes it. Unless it was begun by a page, it can be answered from those origins.
func (c *ceremony) shown(origins []string) Ceremony {
	if c.Origin != "" {
		origins = slices.DeleteFunc(slices.Clone(origins), func(o string) bool { return o != c.Origin })
	}
	return Ceremony{Challenge: c.Challenge, Origins: origins, UserVerification: c.UserVerification, Expires: c.Expires}
}

// optionsAgain returns the options of the challenge's newest ceremony once more, or nil if it has none that can be answered.
func (v *challengeView) optionsAgain(u *unit) (json.RawMessage, error) {
	begun, allowed := v.ch.Ceremony, v.allowed()
	if u.s.Passkeys == nil || begun == nil || !u.now.Before(begun.Expires) || len(allowed) == 0 {
		return nil, nil
	}
	return u.s.Passkeys.RequestOptions(begun.shown(append(slices.Clip(v.ch.Origins), u.s.origin())), allowed)
}

// passkeys returns the passkeys that the user has enrolled.
func (a *account) passkeys() (enrolled []Passkey) {
	for _, f := range a.factorRecords {
		if f.Passkey != nil && a.guard.enrolled(f.ID) != nil {
			enrolled = append(enrolled, *f.Passkey)
		}
	}
	return enrolled
}

// allowed returns the passkeys that answer the challenge: those of all factors that the user could answer with.
func (v *challengeView) allowed() (allowed []Passkey) {
	for _, f := range v.a.factors(&v.p.Policy) {
		if f.Passkey != nil {
			allowed = append(allowed, *f.Passkey)
		}
	}
	return allowed
}

// credentialOf returns the id of the credential in an answer, or nil if the answer can't be a credential.
func credentialOf(given Answer) []byte {
	var c struct {
		ID       string          `json:"id"`
		RawID    string          `json:"rawId"`
		Type     string          `json:"type"`
		Response json.RawMessage `json:"response"`
	}
	if len(given.Credential) == 0 || json.Unmarshal(given.Credential, &c) != nil || c.Type != "public-key" || len(c.Response) == 0 || c.Response[0] != '{' {
		return nil
	}
	id, err := base64.RawURLEncoding.Strict().DecodeString(c.ID)
	if err != nil || len(id) == 0 || len(id) > mostCredentialID || c.RawID != c.ID {
		return nil
	}
	return id
}

// mostCredentialID is how many bytes a credential id has at most (Web Authentication Level 3, section 7.1).
const mostCredentialID = 1023

// credentialKey is where the owner of a credential id stands. No two users of a deployment can have enrolled the same one.
func credentialKey(id []byte) store.Key {
	sum := sha256.Sum256(id)
	return store.Key{Partition: "cred#" + base64.RawURLEncoding.EncodeToString(sum[:]), Sort: "owner"}
}

// readOwner reads whom the credential in an answer belongs to. It reads nothing for any other answer.
func readOwner(given Answer, into *store.Item) read {
	id := credentialOf(given)
	if id == nil {
		return read{}
	}
	into.Key = credentialKey(id)
	return readItem(into.Key, into)
}

// claim notes that the credential id is to belong to the factor that is being enrolled. It returns AlreadyExists if it belongs to
// another one. An owner that doesn't have that factor any more has no claim to it: then its guard is read, which is a third
// round trip.
func (q *question) claim(id []byte) error {
	if q.owner.Key != credentialKey(id) {
		return errors.New("the owner of another credential id was read")
	}
	if !q.owner.Absent() {
		var owner credentialOwner
		if err := record.Decode(q.owner, &owner); err != nil {
			return err
		}
		a := q.v.a
		if route(owner.Route) != a.route {
			a = &account{route: route(owner.Route)}
			if err := readAll(q.u.ctx, q.u.s.Store, a.readGuard()); err != nil {
				return err
			}
		}
		if a.exists() && a.guard.enrolled(owner.Factor) != nil && !(a == q.v.a && q.replaces) {
			return refuse(AlreadyExists, "This security key or passkey is already enrolled.")
		}
	}
	q.claims = &credentialOwner{Route: []byte(q.v.a.route), Factor: q.f.ID}
	q.f.ClaimedBy = q.u.version
	return nil
}

// A credentialOwner says which factor of which user a credential id belongs to. It counts only as long as the user's guard
// lists the factor.
type credentialOwner struct {
	record.Head
	Route  []byte `json:"route" record:"1"`
	Factor string `json:"factor" record:"2,id=fa_"`
}

// forgetCredential plans to remove the claim to a passkey's credential id.
func (u *unit) forgetCredential(f *factorRecord) {
	if f.Passkey != nil {
		u.delete(f.claimed())
	}
}

// claimed is the item that says that the passkey's credential id belongs to this factor, which must be enrolled.
func (r *factorRecord) claimed() store.Item {
	return store.Item{Key: credentialKey(r.Passkey.ID), Version: r.ClaimedBy}
}

// A WebAuthnSignal is what a page needs to tell the user's authenticators which passkeys are still good, by
// PublicKeyCredential.signalAllAcceptedCredentials (Web Authentication Level 3, section 5.1.11).
type WebAuthnSignal struct {
	RPID          string   `json:"rp_id"`
	UserID        string   `json:"user_id"`        // the user handle, base64url
	CredentialIDs []string `json:"credential_ids"` // base64url
}

// signal returns what to tell the user's authenticators. It is nil for a user who has never had a key.
func (a *account) signal() *WebAuthnSignal {
	if a.relyingParty == "" || len(a.guard.Handle) == 0 {
		return nil
	}
	s := &WebAuthnSignal{RPID: a.relyingParty, UserID: base64.RawURLEncoding.EncodeToString(a.guard.Handle), CredentialIDs: []string{}}
	for _, p := range a.passkeys() {
		s.CredentialIDs = append(s.CredentialIDs, base64.RawURLEncoding.EncodeToString(p.ID))
	}
	return s
}

// provider returns a name for the maker of the authenticator, or nil if it isn't known.
func (p *Passkey) provider() *string {
	if name, known := provider.Of(p.AAGUID); known {
		return &name
	}
	return nil
}

// importedKey reads a security key or passkey that was registered elsewhere. place is its place on the line.
func (s *Service) importedKey(place int, k *ImportedPasskey) (importedFactor, error) {
	field := func(name string) string { return fmt.Sprintf("webauthn.%d.%s", place, name) }
	if s.RelyingParty.ID == "" || k.RPID != s.RelyingParty.ID {
		return importedFactor{}, invalid(field("rp_id"), "The key belongs to another RP ID than this deployment has, so no browser would offer it here.")
	}
	if s.Passkeys == nil {
		return importedFactor{}, AsError(errNoPasskeys)
	}
	kept := Passkey{Transports: k.Transports, AAGUID: make([]byte, 16), Variant: AnyPasskey, BackupUnknown: k.BackupEligible == nil}
	kept.BackupEligible = k.BackupEligible != nil && *k.BackupEligible
	for _, f := range []struct {
		name, said string
		most       int
		into       *[]byte
	}{
		{"id", k.ID, mostCredentialID, &kept.ID},
		{"public_key", k.PublicKey, mostPublicKey, &kept.PublicKey},
		{"user_handle", k.UserHandle, mostHandle, &kept.Handle},
	} {
		raw, err := base64.RawURLEncoding.Strict().DecodeString(f.said)
		if err != nil || len(raw) == 0 || len(raw) > f.most {
			return importedFactor{}, invalid(field(f.name), "The value must be base64url of 1 to %d bytes, without padding.", f.most)
		}
		*f.into = raw
	}
	switch {
	case len(k.Transports) > mostTransports || slices.ContainsFunc(k.Transports, func(t string) bool { return !goodTransport(t) }):
		return importedFactor{}, invalid(field("transports"), "The transports must be words such as usb or internal, at most %d of them.", mostTransports)
	case checkText("", k.Label, mostLabel) != nil:
		return importedFactor{}, invalid(field("label"), "This is not a valid label.")
	}
	if err := s.Passkeys.ReadKey(kept.PublicKey); err != nil {
		return importedFactor{}, invalid(field("public_key"), "The value must be a COSE_Key for ES256, EdDSA or RS256.")
	}
	return importedFactor{kind: WebAuthn, mark: kept.ID, credential: store.Item{Key: credentialKey(kept.ID)}, fill: func(q *question) error {
		if err := q.claim(kept.ID); err != nil {
			return err
		}
		own := kept
		if g := q.v.a.guard; len(g.Handle) == 0 {
			g.Handle = own.Handle
		}
		if bytes.Equal(own.Handle, q.v.a.guard.Handle) {
			own.Handle = nil
		}
		q.f.Passkey, q.f.Label, q.enrolled.SignCount = &own, k.Label, k.Counter
		return nil
	}}, nil
}

// What an imported key may have at most.
const (
	mostPublicKey  = 2048 // bytes; an RSA key of 4096 bits has about 530
	mostHandle     = 64   // bytes (Web Authentication Level 3, section 5.4.3)
	mostTransports = 8
)

// goodTransport reports whether a text can be the name of a transport (Web Authentication Level 3, section 5.8.4).
func goodTransport(t string) bool {
	return t != "" && len(t) <= 32 && !strings.ContainsFunc(t, func(r rune) bool { return !isAlnum(r) && r != '-' })
}

func randomBytes(n int) []byte {
	raw := make([]byte, n)
	rand.Read(raw)
	return raw
}

// originsFor returns the origins that the caller has registered, if the policy allows a factor for which they matter.
func (u *unit) originsFor(p *orgPolicy) []string {
	if u.s.RelyingParty.ID == "" || p.method(WebAuthn) == NotAllowed {
		return nil
	}
	return u.caller.grant().Origins
}

// factorOf returns the factor that an answer is given with. Browsers let the user choose among all of the user's keys that
// are at hand. So a credential belongs to the factor whose credential id it has, whichever key of the user the request names.
func (v *challengeView) factorOf(named string, given Answer) (factor, error) {
	id := credentialOf(given)
	if id == nil {
		return v.factor(named)
	}
	if named != "" {
		if f, err := v.factor(named); err != nil || f.Passkey == nil {
			return f, err
		}
	}
	var answered factor
	for _, f := range v.a.factors(&v.p.Policy) {
		if f.Passkey == nil || v.ch.OnlyKind != "" && v.ch.OnlyKind != f.Kind {
			continue
		}
		if bytes.Equal(f.Passkey.ID, id) {
			return f, nil
		}
		if answered.factorRecord == nil || f.ID == named {
			answered = f // whose answer it is not
		}
	}
	if answered.factorRecord == nil {
		return v.factor(named)
	}
	return answered, nil
}

// displayName returns the name that an authenticator shows for the user.
func (g *guard) displayName() string { return cmp.Or(text.Line(g.Profile.Name), g.account()) }

// origin returns the origin of the deployment's own pages.
func (s *Service) origin() string {
	u, err := url.Parse(s.Issuer)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
