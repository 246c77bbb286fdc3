package mfa

import (
	"context"
	"errors"
	"slices"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/seal"
	"countersign/pkg/store/record"
)

const (
	enrolFor  = 10 * time.Minute // how long an enrolment can be finished
	mostLabel = 100              // bytes in a factor's label

	// mostBegins is how many enrolments can be begun with enrolment tokens of one user while one of the tokens lasts. A
	// browser holds such a token, and each begin may leave a remembered answer for a day.
	mostBegins = 20
)

// An EnrolRequest begins an enrolment. With an enrolment token, leave out Org, User and OnBehalf. With an API key, Org and
// User.ID are required.
type EnrolRequest struct {
	Org     string  `json:"org"`
	User    *Person `json:"user"`
	Kind    Kind    `json:"kind"`
	Variant Variant `json:"variant"` // for the kind webauthn; if empty, AnyPasskey
	Label   string  `json:"label"`   // for the user's own list of factors; at most 100 bytes
	Phone   *string `json:"phone"`   // for the kind sms, as the user has typed it; if nil, the number that the client knows

	OnBehalf *Intervention `json:"on_behalf"` // set if an administrator enrols the factor for the user
}

func (q *EnrolRequest) check(byToken bool, call *Call) error {
	_, portal := call.byPortal()
	own := byToken || portal && q.OnBehalf == nil // the token says who the user is
	switch {
	case !q.Kind.exists():
		return invalid("kind", "The kind is required, and must be %s.", namesOfKinds())
	case q.Variant != "" && len(q.Kind.row().variants) == 0:
		return invalid("variant", "A variant can be given for the kind webauthn only.")
	case q.Variant != "" && !slices.Contains(q.Kind.row().variants, q.Variant):
		return invalid("variant", "The variant must be passkey or security_key.")
	case q.Phone != nil && q.Kind.row().channel != channelSMS:
		return invalid("phone", "A phone number can be given for the kind sms only.")
	case own && q.Org != "":
		return invalid("org", "The token says which organisation it is. Leave this field out.")
	case own && q.User != nil:
		return invalid("user", "The token says which user it is. Leave this field out.")
	case byToken && q.OnBehalf != nil:
		return invalid("on_behalf", "Only a call with an API key, or of an administrator in the portal, can be on behalf of a user.")
	case portal && q.User != nil && !q.User.idOnly():
		return invalid("user", "In the portal only the id of the user can be given.")
	case !own && q.User == nil:
		return invalid("user.id", "The user is required when the call is made with an API key.")
	}
	if err := checkText("label", q.Label, mostLabel); err != nil {
		return err
	}
	if q.OnBehalf != nil {
		if err := q.OnBehalf.check("on_behalf.", call); err != nil {
			return err
		}
	}
	if own {
		return nil
	}
	person := q.User.withoutNulls()
	q.User = &person
	return errors.Join(checkID("org", q.Org), checkID("user.id", q.User.ID))
}

// An EnrolAnswer is an enrolment that was begun, with what its kind needs. If only Prove is set, no enrolment was begun: the
// code that was sent has to come back first (see ProveAddress).
type EnrolAnswer struct {
	ID      string      `json:"id,omitempty"`
	Kind    Kind        `json:"kind,omitempty"`
	Expires *time.Time  `json:"expires,omitempty"`
	Proven  bool        `json:"proven,omitempty"` // the address is proven already: finish without a code
	TOTP    *TOTPSecret `json:"totp,omitempty"`
	Prove   *SendAnswer `json:"prove,omitempty"`

	*SendAnswer // about the code that was sent to the address that is being enrolled; nil if none was sent
}

// WithoutShownOnce returns the answer as it is repeated once what is shown only once may not be repeated any more.
func (a EnrolAnswer) WithoutShownOnce() any {
	a.TOTP = nil
	return a
}

// unsent returns the answer that doesn't say that the code was sent, but gives the reason.
func (a EnrolAnswer) unsent(why *Error) EnrolAnswer {
	unsent := &SendAnswer{SendError: why.Code}
	if a.Prove != nil {
		a.Prove = unsent
	} else {
		a.SendAnswer = unsent
	}
	return a
}

// BeginEnrolment begins to enrol a factor. Whatever the user had begun before is dead. With an API key, the user must have
// just shown who they are (see Call), or an administrator must act on their behalf.
//
// If users enrol because they must, and the policy wants the known address proven first, it sends a code there instead: see
// ProveAddress. It returns MethodForbidden for a kind that the policy or the account has no room for, NothingToSend if there
// is no address, AlreadyExists for an address that is enrolled, TooManyRequests if tokens have begun enrolments too often,
// ReauthenticationNeeded, StepUpNeeded, TooManySends, Locked, and DeliveryFailed.
func (s *Service) BeginEnrolment(ctx context.Context, call Call, q EnrolRequest) (EnrolAnswer, error) {
	var v enrolmentView
	_, byToken := seal.ParseBearer(seal.EnrolmentToken, call.Bearer, challengeIDLen)
	carried, portal := call.byPortal()
	if !byToken && !portal && !apikey.Resembles(call.Bearer) {
		return EnrolAnswer{}, unauthenticated()
	}
	if err := q.check(byToken, &call); err != nil {
		return EnrolAnswer{}, err
	}
	var r route
	switch {
	case portal && q.OnBehalf == nil:
		r = carried.person()
	case !byToken:
		r = routeOf(q.Org, q.User.ID)
	}
	st := step[EnrolAnswer]{
		scope: apikey.Manage, portal: byUser, about: r, bearer: seal.EnrolmentToken, org: q.Org, reads: s.viewEnrolment(call.Bearer, r, &v),
		unsent: EnrolAnswer.unsent, strict: true,
	}
	if q.OnBehalf != nil {
		st.scope, st.portal = apikey.Admin, byAdministrator
	}
	st.decide = func(u *unit) (EnrolAnswer, error) { return v.begin(u, call, &q) }
	return run(ctx, s, call, st)
}

func (v *enrolmentView) begin(u *unit, call Call, q *EnrolRequest) (answer EnrolAnswer, err error) {
	slot, err := v.checkOpen(u)
	if err != nil {
		return EnrolAnswer{}, err
	}
	if u.caller.session != nil {
		return v.beginInPortal(u, call, q)
	}
	var applied profileChange
	if !v.byToken {
		// The proof is checked before the profile is applied, because a new address ends every proof.
		if v.a.exists() {
			if err := v.mayBegin(u, call, q); err != nil {
				return EnrolAnswer{}, err
			}
		}
		if applied = u.applyProfile(v.a, v.p, q.Org, *q.User); applied.met {
			err = v.mayBegin(u, call, q)
		}
	}
	if err == nil {
		answer, err = v.plan(u, q, slot)
	}
	if err != nil && !v.byToken {
		applied.undo(u, v.a)
	}
	if applied.relist {
		u.putRosterEntry(v.a)
	}
	if applied.changed || u.out != nil {
		u.putGuard(v.a, v.p)
	}
	return answer, err
}

// beginInPortal begins an enrolment with a portal token. Nothing is said about the user there, so nobody is created and no address
// changes.
func (v *enrolmentView) beginInPortal(u *unit, call Call, q *EnrolRequest) (EnrolAnswer, error) {
	if !v.a.exists() {
		return EnrolAnswer{}, refuse(NotFound, "There is no such user.")
	}
	if err := v.mayBegin(u, call, q); err != nil {
		return EnrolAnswer{}, err
	}
	answer, err := v.plan(u, q, nil)
	if u.out != nil {
		u.putGuard(v.a, v.p)
	}
	return answer, err
}

// mayBegin refuses a client that may not begin an enrolment for the user.
func (v *enrolmentView) mayBegin(u *unit, call Call, q *EnrolRequest) error {
	switch {
	case v.a.guard.Deprovisioned:
		return refuse(Forbidden, "This user was deprovisioned. PUT the user again first.")
	case q.OnBehalf != nil:
		return nil // an administrator acts for the user
	}
	return u.freshToBegin(call, v.a, v.p)
}

// plan begins an enrolment, or sends the code that has to come back before one is begun. It changes the guard only if it
// sends something, and leaves it to its caller to put the guard.
func (v *enrolmentView) plan(u *unit, q *EnrolRequest, s *slot) (EnrolAnswer, error) {
	if err := v.mayEnrol(q.Kind); err != nil {
		return EnrolAnswer{}, err
	}
	own := q.Kind.row().provesAddress && v.a.guard.provesOwnAddress()
	if !own && v.mustProve(s) {
		return v.sendProof(u)
	}
	en := &v.a.enrolment
	*en = enrolment{
		Head: record.Head{Item: en.Item}, Begins: en.Begins,
		ID: seal.ID("en_", []byte(v.a.route)), Epoch: v.a.guard.Epoch, Begun: u.now, Expires: u.now.Add(enrolFor), Variant: q.Variant,
		Factor: factorRecord{ID: seal.ID("fa_", nil), Kind: q.Kind, Label: q.Label},
	}
	switch {
	case v.byToken:
		if en.Begins++; en.Begins > mostBegins {
			return EnrolAnswer{}, tooManyBegins(en.Item.Expires.Sub(u.now))
		}
		en.Item.Expires = later(en.Item.Expires, v.ch.Expires) // so that the count lasts as long as the token
		en.Client, en.Challenge, en.Origins = v.ch.Client, v.ch.ID, v.ch.Origins
		ends := v.ch.Expires
		if v.backsUp() {
			ends = *v.ended
		}
		if ends.Before(en.Expires) {
			en.Expires = ends
		}
	case q.OnBehalf != nil:
		_, administrator, err := u.administrator(q.Org, "on_behalf.actor", q.OnBehalf.Actor)
		if err != nil {
			return EnrolAnswer{}, err
		}
		en.Actor, en.Reason = &administrator, q.OnBehalf.Reason
		fallthrough
	default:
		en.Client, en.Origins = u.caller.grant().Client, u.originsFor(v.p)
		if s := u.caller.session; s != nil {
			en.Session = u.caller.hash
			if en.Begins++; en.Begins > mostBegins {
				return EnrolAnswer{}, tooManyBegins(en.Item.Expires.Sub(u.now))
			}
			en.Item.Expires = later(en.Item.Expires, s.Ends) // so that the count lasts as long as the session
		}
	}
	kind := q.Kind.row()
	en.Proven = own && s != nil && s.Proven
	answer := EnrolAnswer{ID: en.ID, Kind: q.Kind, Expires: &en.Expires, Proven: en.Proven}
	asked := v.question(u, nil)
	asked.asked = q
	if err := kind.begin(asked, &answer); err != nil {
		return EnrolAnswer{}, err
	}
	u.putEnrolment(en)
	return answer, nil
}

func tooManyBegins(wait time.Duration) *Error {
	e := refuse(TooManyRequests, "Enrolments were begun too often. Try again when the wait is over.")
	e.RetryAfter = wait
	return e
}

// sendProof sends a code to the known address. It changes the guard.
func (v *enrolmentView) sendProof(u *unit) (EnrolAnswer, error) {
	f := v.a.addressFactor()
	if f.Contact == "" {
		return EnrolAnswer{}, refuse(NothingToSend, "The user has no email address to prove first. An administrator can enrol a factor for them.")
	}
	asked, err := f.Kind.row().ask(v.challengeView.question(u, f))
	if err != nil {
		return EnrolAnswer{}, err
	}
	u.put(v.ch.Item, v.ch, v.ch.Expires.Add(shownFor))
	return EnrolAnswer{Prove: asked}, nil
}
