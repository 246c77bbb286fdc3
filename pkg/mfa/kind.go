package mfa

import (
	"encoding/json"
	"slices"

	"countersign/pkg/seal"
)

// A Kind of factor.
type Kind string

// The kinds of factor.
const (
	WebAuthn Kind = "webauthn"
	TOTP     Kind = "totp"
	SMS      Kind = "sms"
	Email    Kind = "email"
)

// kinds is the table of all kinds, the strongest first. A kind that has no row here is refused everywhere. To add a kind,
// write its authenticator in a file of its own (copy totp.go for one whose user holds a secret, email.go for one whose code
// is sent), give it a row here, a setting in policy.go, and its words in every language.
var kinds = []kindRow{
	{kind: WebAuthn, authenticator: reserved{}, acr: "aal2", amr: []string{"hwk", "mfa"}, proof: 3},
	{kind: TOTP, authenticator: app{}, acr: "aal2", amr: []string{"otp", "mfa"}, proof: 3, guessable: true, enrolleeHoldsSecret: true},
	{kind: SMS, authenticator: reserved{}, acr: "aal2", amr: []string{"sms", "mfa"}, proof: 2, guessable: true, channel: channelSMS},
	{kind: Email, authenticator: mailbox{}, acr: "aal1", amr: []string{"otp"}, proof: 1, guessable: true, channel: channelEmail, provesAddress: true},
}

// A kindRow is what is fixed for a kind, whatever the user and the policy.
type kindRow struct {
	kind Kind
	authenticator

	acr string   // of a token that such a factor earns (NIST SP 800-63B-4 section 3.1.3.1: email is not a second factor there)
	amr []string // that such a factor adds (RFC 8176)

	// How much a step-up with it proves: it may change the account of a user whose strongest factor proves no more. An app
	// proves as much as a key, so that a lost key can be replaced.
	proof int

	guessable           bool   // its answers can be guessed: wrong ones count in the user's budget, whose lock refuses them all
	enrolleeHoldsSecret bool   // whoever enrols one has been shown its secret: a first answer guesses at nothing
	channel             string // by which its codes are sent; empty: nothing is sent
	provesAddress       bool   // enrolling one proves the account's email address
}

// The channels by which codes and notices are sent.
const (
	channelEmail = "email"
	channelSMS   = "sms"
)

// An Answer is what somebody gives to show that they have a factor: a code, or for a kind that signs, a credential.
type Answer struct {
	Code       seal.Secret     `json:"code"`
	Credential json.RawMessage `json:"credential"` // the browser's PublicKeyCredential as JSON (Web Authentication Level 3, section 5.1)
}

func (a Answer) isZero() bool { return a.Code.IsZero() && len(a.Credential) == 0 }

// An authenticator is what the kinds of factor differ in. It holds nothing of a user: what it must remember of one it keeps
// in the factor's records. Its methods only look and plan, as a step's decide does.
type authenticator interface {
	// room refuses to enrol a factor where the policy or the account has no room for one of this kind.
	room(a *account, p *Policy) error

	// begin fills in what is to be kept of the factor, q.f, and puts what the user needs into answer, which says already
	// whether the user has proven the account's address. It may change the guard.
	begin(q *question, answer *EnrolAnswer) error

	// ask sends the user a new code, or makes what the browser needs. It answers nil where there is nothing to do: the
	// user has all that is needed. It may change the guard and what q is asked in.
	ask(q *question) (*SendAnswer, error)

	// form refuses, with InvalidRequest, what can't be an answer with this kind. Such a thing is never compared and never
	// counted as a guess.
	form(given Answer) error

	// check reports whether given is right. Of a right answer it notes in q.live what must not be good a second time, and
	// of the first one, which ends an enrolment, it may fill in more of q.f.
	check(q *question, given Answer) (bool, error)

	// hint is what shows users which factor is meant, from the contact that it was proven with; empty: nothing does.
	hint(contact string) string
}

// An explainer is an authenticator that can say more of a first answer that was wrong than that it was.
type explainer interface {
	explain(q *question, given Answer, refused *Error) error
}

// A question is one factor, asked in one challenge or in its enrolment.
type question struct {
	u        *unit
	v        *challengeView // the user's account and policy, and the challenge; an enrolment with an API key has none
	in       exchange
	f        factor
	enrolled *enrolledFactor // what the guard knows of the factor; nil: it is not enrolled
}

// An exchange is where a factor is asked: a challenge, or the enrolment of the factor.
type exchange interface {
	// binding is what a code for it is bound to.
	binding() binding
	// sent records that code is the newest one, and tells of it. It changes the guard.
	sent(u *unit, f factor, code *sentCode)
}

// reserved stands in for a kind that has its place in policies and in the order of strength, and can't be used yet.
type reserved struct{}

func (reserved) room(*account, *Policy) error {
	return refuse(MethodForbidden, "Factors of this kind can't be enrolled yet.")
}

func (r reserved) begin(q *question, _ *EnrolAnswer) error {
	return r.room(q.v.a, &q.v.p.Policy)
}

func (reserved) ask(*question) (*SendAnswer, error) { return nil, nil }

func (reserved) form(Answer) error {
	return invalid("factor", "Factors of this kind can't be used yet.")
}

func (reserved) check(*question, Answer) (bool, error) { return false, nil }

func (reserved) hint(string) string { return "" }

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

// row is the kind's row in the table. That of an unknown kind refuses everything, proves nothing, and every lock holds it.
func (k Kind) row() kindRow {
	if i := k.strength(); i < len(kinds) {
		return kinds[i]
	}
	return kindRow{authenticator: reserved{}, acr: "aal1", guessable: true}
}

// exists reports whether there is such a kind.
func (k Kind) exists() bool { return k.strength() < len(kinds) }

// strength is the kind's place in the table: 0 for the strongest. An unknown kind comes after all others.
func (k Kind) strength() int {
	if i := slices.IndexFunc(kinds, func(r kindRow) bool { return r.kind == k }); i >= 0 {
		return i
	}
	return len(kinds)
}

// proves reports whether a step-up that was answered with a factor of kind k proves enough to change the account of a user
// whose strongest factor is of that kind. Neither a mailbox nor a phone number takes over an account that has an app or a
// key.
func (k Kind) proves(strongest Kind) bool {
	return k.exists() && strongest.exists() && k.row().proof >= strongest.row().proof
}

// namesOfKinds lists the kinds for somebody who gave something else.
func namesOfKinds() string {
	names := make([]string, len(kinds))
	for i, row := range kinds {
		names[i] = string(row.kind)
	}
	return oneOf(names)
}
