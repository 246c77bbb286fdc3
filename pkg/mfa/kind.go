package mfa

import (
	"encoding/json"
	"slices"

	"countersign/pkg/seal"
	"countersign/pkg/store"
)

// A Kind is a kind of factor.
type Kind string

// The kinds of factor.
const (
	WebAuthn Kind = "webauthn"
	TOTP     Kind = "totp"
	SMS      Kind = "sms"
	Email    Kind = "email"
)

// kinds is the table of all kinds, the strongest first. A kind without a row here is refused everywhere. To add a kind,
// write its authenticator in a file of its own (copy totp.go if the user holds a secret, email.go if a code is sent), and
// give it a row here, a setting in policy.go with its default in profiles/default.json, its words in package message and in the
// catalogues of package pages, in every language, its place in that package's console, and its lines in openapi.yaml. What is
// kept of it gets a new field of the factorRecord. What it shows only once is left out by EnrolAnswer.WithoutShownOnce. Tests
// fail until all of this is there, and until they have an entry for the kind: a device in kind_test.go, what it proves in
// fresh_strength_test.go, and what the profiles say of it in policy_test.go.
var kinds = []kindRow{
	{kind: WebAuthn, authenticator: keys{}, acr: "aal2", amr: []string{"mfa"}, proof: 3, variants: []Variant{AnyPasskey, SecurityKey}},
	{kind: TOTP, authenticator: app{}, acr: "aal2", amr: []string{"otp", "mfa"}, proof: 3, guessable: true, enrolleeHoldsSecret: true},
	{kind: SMS, authenticator: phone{}, acr: "aal2", amr: []string{"sms", "mfa"}, proof: 2, guessable: true, restricted: true, channel: channelSMS},
	{kind: Email, authenticator: mailbox{}, acr: "aal1", amr: []string{"otp"}, proof: 1, guessable: true, channel: channelEmail, provesAddress: true},
}

// A kindRow holds what is the same for every factor of a kind, whatever the user and the policy are.
type kindRow struct {
	kind Kind
	authenticator

	// The acr of a token that such a factor earns. Email earns aal1, since it is not a second factor in NIST SP 800-63B-4
	// section 3.1.3.1.
	acr string
	amr []string // the values that every such factor adds to a token's amr (RFC 8176), after those that its answer adds

	// How much a step-up with such a factor proves. It may change the account of a user whose strongest factor proves no
	// more than that. An app proves as much as a key, so that a user can replace a lost key.
	proof int

	guessable           bool   // an attacker can guess its answers: wrong ones count in the user's budget, and a lock refuses them all
	restricted          bool   // NIST SP 800-63B-4 restricts it (section 3.2.9): its users need to be told of the risk, and to be offered another kind
	enrolleeHoldsSecret bool   // the person who enrols such a factor has been shown its secret, so a first answer is not a guess
	channel             string // the channel that its codes are sent by; empty if nothing is sent
	provesAddress       bool   // enrolling such a factor proves the account's email address

	variants []Variant // that a user can choose between when enrolling such a factor
}

// The channels that codes and notices are sent by.
const (
	channelEmail = "email"
	channelSMS   = "sms"
)

// An Answer is what a person gives to show that they have a factor: a code or, for a kind that signs, a credential.
type Answer struct {
	Code       seal.Secret     `json:"code"`
	Credential json.RawMessage `json:"credential"` // the browser's PublicKeyCredential as JSON (Web Authentication Level 3, section 5.1)
}

func (a Answer) isZero() bool { return a.Code.IsZero() && len(a.Credential) == 0 }

// An authenticator does what differs from kind to kind. It holds nothing about a user: what it must remember of one, it
// keeps in the factor's records. Its methods only read and plan, like the decide of a step, and the step commits what they
// plan.
type authenticator interface {
	// room refuses to enrol a factor if the policy or the account has no room for one of this kind.
	room(a *account, p *Policy) error

	// begin fills in what is kept of the factor, q.f, and puts what the user needs into answer. answer already says whether
	// the user has proven the account's address. begin may change the guard.
	begin(q *question, answer *EnrolAnswer) error

	// ask plans to send the user a new code, or makes what the browser needs. It returns nil if the user already has all
	// that is needed. It may change the guard, and the challenge or enrolment that q is asked in.
	ask(q *question) (*SendAnswer, error)

	// form returns InvalidRequest for what can't be an answer with this kind. Such an answer is never compared, and never
	// counted as a guess.
	form(given Answer) error

	// check reports whether given is right. If it is, check notes in q.enrolled what must not be accepted a second time. If
	// it is the first answer, which finishes an enrolment, check may fill in more of q.f.
	check(q *question, given Answer) (bool, error)

	// hint makes a short text from the contact that the factor was proven with, so that users can see which factor is meant.
	// It is empty if there is nothing to show.
	hint(contact string) string
}

// An explainer is an authenticator that can say more about a wrong first answer than that it is wrong.
type explainer interface {
	explain(q *question, given Answer, refused *Error) error
}

// A question asks for one factor, in one challenge or in the factor's enrolment.
type question struct {
	u        *unit
	v        *challengeView // the user's account, policy and challenge; an enrolment with an API key has no challenge
	in       exchange
	f        factor
	enrolled *enrolledFactor // what the guard holds of the factor; nil if it is not enrolled
	asked    *EnrolRequest   // while begin runs: what begins the enrolment
	first    bool            // it asks for the first answer, which enrols the factor
	unasked  bool            // a code would be sent by itself, because of a start; nobody has asked for it
	replaces bool            // the new factor takes the place of all earlier ones

	// What check notes of a right answer, besides what it changes.
	amr    []string         // for the token's amr
	owner  store.Item       // who has claimed the credential in the answer until now, if it is one
	claims *credentialOwner // who claims it from now on; nil if nobody does
}

// An exchange is where a factor is asked for: a challenge, or the enrolment of the factor.
type exchange interface {
	// binding returns what a code for this exchange is bound to.
	binding() binding
	// sent notes that code is the newest one of this exchange, and plans the event about it. It changes the guard.
	sent(u *unit, f factor, code *sentCode)

	// registered returns the origins that the client has registered.
	registered() []string
	// ceremony returns the newest WebAuthn ceremony of this exchange, or nil if it has none.
	ceremony() *ceremony
	// begun puts a ceremony in the place of the one before.
	begun(c *ceremony)
}

// unknown is the authenticator of a kind that the table doesn't have. It refuses everything.
type unknown struct{}

func (unknown) room(*account, *Policy) error {
	return refuse(MethodForbidden, "There is no such kind of factor.")
}

func (k unknown) begin(q *question, _ *EnrolAnswer) error {
	return k.room(q.v.a, &q.v.p.Policy)
}

func (unknown) ask(*question) (*SendAnswer, error) { return nil, nil }

func (unknown) form(Answer) error {
	return invalid("factor", "There is no such kind of factor.")
}

func (unknown) check(*question, Answer) (bool, error) { return false, nil }

func (unknown) hint(string) string { return "" }

// form refuses what can't be an answer with a factor of any kind.
func (a Answer) form() (refused error) {
	switch {
	case a.isZero():
		return invalid("code", "A code is required.")
	case !a.Code.IsZero() && len(a.Credential) > 0:
		return invalid("credential", "Give a code or a credential, not both.")
	}
	for _, row := range kinds {
		if refused = row.form(a); refused == nil {
			return nil
		}
	}
	return refused
}

// row returns the kind's row in the table. The row of an unknown kind refuses everything and proves nothing, and every
// lock refuses its answers.
func (k Kind) row() kindRow {
	if i := k.strength(); i < len(kinds) {
		return kinds[i]
	}
	return kindRow{authenticator: unknown{}, acr: "aal1", guessable: true}
}

// exists reports whether the table has the kind.
func (k Kind) exists() bool { return k.strength() < len(kinds) }

// strength returns the kind's place in the table: 0 for the strongest. An unknown kind comes after all others.
func (k Kind) strength() int {
	if i := slices.IndexFunc(kinds, func(r kindRow) bool { return r.kind == k }); i >= 0 {
		return i
	}
	return len(kinds)
}

// proves reports whether a step-up that was answered with a factor of kind k may change the account of a user whose
// strongest factor is of that kind. So neither a mailbox nor a phone number takes over an account that has an app or a key.
func (k Kind) proves(strongest Kind) bool {
	return k.exists() && strongest.exists() && k.row().proof >= strongest.row().proof
}

// namesOfKinds lists the kinds, for the answer to a request that names something else.
func namesOfKinds() string {
	names := make([]string, len(kinds))
	for i, row := range kinds {
		names[i] = string(row.kind)
	}
	return oneOf(names)
}
