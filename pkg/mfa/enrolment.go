package mfa

import (
	"slices"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// An EnrolmentToDo lets the user enrol a factor. Its token is good for nothing else.
type EnrolmentToDo struct {
	Token   *seal.Secret `json:"token,omitempty"` // the bearer for the calls under /v1/enrolments
	URL     *seal.Secret `json:"url"`             // of the hosted page, with a one-time handle; null to the holder of the token
	Expires time.Time    `json:"expires"`
	Kinds   []Kind       `json:"kinds"` // to choose from, the strongest first

	*Skippable // nil if the user has to enrol before the sign-in can go on
}

// Skippable says how long a user may go on without enrolling.
type Skippable struct {
	Due       time.Time `json:"due"`        // from then on the user has to enrol
	SkipsLeft *int      `json:"skips_left"` // how many more sign-ins may be without it; null if their number has no bound
}

// skippable returns how long the user may go on without enrolling. It is nil if there is no such time.
func (a *account) skippable(d *demand) *Skippable {
	f := a.guard.facts()
	ends := d.graceEnds(&f)
	if ends == nil {
		return nil
	}
	return &Skippable{Due: *ends, SkipsLeft: d.skipsLeft(&f)}
}

func (e *EnrolmentToDo) withoutToken() *EnrolmentToDo {
	if e == nil {
		return nil
	}
	shown := *e
	shown.Token, shown.URL = nil, nil
	return &shown
}

// An EnrolmentOffer says what a user could enrol who doesn't have to.
type EnrolmentOffer struct {
	Kinds []Kind `json:"kinds"`
}

// letEnrol makes ch a challenge that only an enrolment answers, and returns the token for that.
func (u *unit) letEnrol(ch *challenge, kinds []Kind) *EnrolmentToDo {
	bearer := u.newToken(seal.EnrolmentToken, ch.ID)
	ch.Enrolment = seal.HashBearer(bearer.Reveal())
	return &EnrolmentToDo{Token: &bearer, URL: u.linkTo(ch, u.newHandle(ch.ID), bearer), Expires: ch.Expires, Kinds: kinds}
}

// An enrolmentView is what a call under /v1/enrolments sees. Without an enrolment token it has no challenge.
type enrolmentView struct {
	challengeView
	byToken bool
	ended   *time.Time // until when a backup can be enrolled with the token, which has answered its challenge; nil if it hasn't
	owner   store.Item // who has claimed the credential in the answer, if it is one
	passing fence      // the user's, if the call finishes an enrolment
}

// viewEnrolment returns the reads of a call with that bearer. r is the route of the user, which a bearer other than an
// enrolment token doesn't carry. If r is empty too, there is nothing to read.
func (s *Service) viewEnrolment(bearer string, r route, into *enrolmentView) []read {
	if raw, ok := seal.ParseBearer(seal.EnrolmentToken, bearer, challengeIDLen); ok {
		into.byToken = true
		return s.viewChallenge(challengeID(raw), &into.challengeView)
	}
	if r == "" {
		into.challengeView = challengeView{a: &account{}, p: &orgPolicy{}}
		return nil
	}
	return []read{s.readAccount(r, &into.a), readPolicy(r, "", &into.p)}
}

// checkOpen returns EnrolmentInvalid unless the caller's enrolment token is good. Such a token is for a user who has nothing
// else to answer with. If the user has got a factor since the token was given out, the token is no way around that factor. But
// with a token that has brought the factor, a backup of it can be enrolled.
// The slot may be nil, and is always nil without a token.
func (v *enrolmentView) checkOpen(u *unit) (*slot, error) {
	if !v.byToken {
		return nil, nil
	}
	slot, err := v.challengeView.checkOpen(u)
	v.ended = nil
	if ends, backup := v.backupEnds(u, slot); backup {
		v.ended = &ends
		if !v.settled(slot) {
			return slot, errUnsettled
		}
		return slot, nil
	}
	switch {
	case err != nil, v.ch.Enrolment == "", v.ch.Recovered != EffectReenrol && len(v.a.factors(&v.p.Policy)) > 0:
		return slot, enrolmentInvalid()
	case !v.settled(slot):
		return slot, errUnsettled
	}
	return slot, nil
}

// enrollee is the account as the new factor will find it.
func (v *enrolmentView) enrollee() *account {
	if v.replaces() {
		return v.a.bare()
	}
	return v.a
}

// replaces reports whether the new factor takes the place of all earlier ones.
func (v *enrolmentView) replaces() bool {
	return v.byToken && v.ch.Recovered == EffectReenrol && !v.backsUp()
}

// backsUp reports whether the token has answered its challenge, so that only a backup can be enrolled with it.
func (v *enrolmentView) backsUp() bool { return v.ended != nil }

// mayEnrol refuses a kind for which the policy or the account has no room, and every kind but the one that a step-up names.
func (v *enrolmentView) mayEnrol(kind Kind) error {
	if v.backsUp() {
		if offer := v.a.backup(v.p); offer == nil || !slices.Contains(offer.Kinds, kind) {
			return enrolmentInvalid()
		}
		return nil
	}
	if v.byToken && v.ch.OnlyKind != "" && v.ch.OnlyKind != kind {
		return refuse(MethodForbidden, "This step-up can be answered only with a factor of the kind that it names.")
	}
	return v.enrollee().mayEnrol(kind, &v.p.Policy)
}

func (en *enrolment) binding() binding {
	return binding{id: en.ID, purpose: enrolling, expires: en.Expires, last: en.Code}
}

// question asks for the factor that is being enrolled. enrolled is what the guard will hold of it.
func (v *enrolmentView) question(u *unit, enrolled *enrolledFactor) *question {
	return &question{u: u, v: &v.challengeView, in: v, f: factor{factorRecord: &v.a.enrolment.Factor}, enrolled: enrolled, first: true, replaces: v.replaces(), owner: v.owner}
}

func (v *enrolmentView) binding() binding { return v.a.enrolment.binding() }

func (v *enrolmentView) registered() []string { return v.a.enrolment.Origins }

func (v *enrolmentView) ceremony() *ceremony { return v.a.enrolment.Ceremony }

func (v *enrolmentView) begun(c *ceremony) { v.a.enrolment.Ceremony = c }

// sent makes code the one that finishes the enrolment that is under way.
func (v *enrolmentView) sent(u *unit, f factor, code *sentCode) {
	en := &v.a.enrolment
	en.Code = code
	v.a.guard.openEnrolmentSlot(en).Sequence = code.Sequence
	u.event(v.a.event(ChallengeSent, v.p, map[string]any{"enrolment": en.ID, "kind": f.Kind, "sequence": letter(code.Sequence)}))
	u.out.notHanded = v.notHanded(u.out)
}

// underWay returns EnrolmentInvalid unless id is the enrolment that the user has under way, and the caller is the one who
// began it. The slot may be nil. With an error, it says how the enrolment ended.
func (v *enrolmentView) underWay(u *unit, id string) (*slot, error) {
	switch _, err := v.checkOpen(u); {
	case isConflict(err):
		return nil, err
	case !v.a.exists():
		return nil, enrolmentInvalid()
	case err != nil:
		return v.a.guard.enrolmentSlot(id), err
	}
	en, slot := &v.a.enrolment, v.a.guard.enrolmentSlot(id)
	switch {
	case v.a.enrolment.Item.Absent(), en.ID != id, en.Epoch != v.a.guard.Epoch, !u.now.Before(en.Expires), !v.owns(u, en),
		slot != nil && (slot.State != "" || slot.exhausted(v.p)):
		return slot, enrolmentInvalid()
	}
	return slot, nil
}

// owns reports whether the caller may go on with en. Only the caller who began it may.
func (v *enrolmentView) owns(u *unit, en *enrolment) bool {
	if v.byToken {
		return en.Challenge == v.ch.ID
	}
	if u.caller.session != nil {
		return u.caller.holds(en.Session)
	}
	if en.Actor == nil {
		u.needs = apikey.Manage
	}
	return en.Challenge == "" && en.Session == "" && en.Client == u.caller.grant().Client && u.caller.covers(v.a.guard.Org) &&
		(u.needs == "" || u.caller.has(u.needs))
}

// settledEnrolment reports whether enrolment and guard were read at one moment.
func settledEnrolment(en *enrolment, s *slot) bool {
	sequence := 0
	if en.Code != nil {
		sequence = en.Code.Sequence
	}
	return s == nil && sequence == 0 || s != nil && s.Sequence == sequence
}

// enrolmentStep is what SendEnrolment and FinishEnrolment have in common.
func enrolmentStep[T any](s *Service, call Call, id string, v *enrolmentView) step[T] {
	raw, _ := seal.ParseID("en_", id, routeLen)
	return step[T]{
		scope: apikey.Manage, orScope: apikey.Admin, portal: byUser | byAdministrator, bearer: seal.EnrolmentToken, named: &named{at: route(raw), missing: enrolmentInvalid},
		reads: s.viewEnrolment(call.Bearer, route(raw), v),
	}
}

// notHanded returns what plans the changes that a failed hand-over of the enrolment's newest code brings. If another
// enrolment was begun meanwhile, it keeps the wait that it has.
func (v *enrolmentView) notHanded(out *outgoing) func(*unit, undelivered) error {
	r, id, policyVersion := v.a.route, v.a.enrolment.ID, v.p.Version
	sequence := v.a.enrolment.Code.Sequence
	return func(u *unit, lost undelivered) error {
		a := &account{route: r}
		a.enrolment.Item.Key = enrolmentKey(r)
		var pending store.Item
		if err := readAll(u.ctx, u.s.Store, readItem(a.enrolment.Item.Key, &pending), a.readGuard()); err != nil || !a.exists() {
			return err
		}
		if !pending.Absent() {
			if err := a.take(pending); err != nil {
				return err
			}
		}
		en := &a.enrolment
		given := lost.notTaken && a.guard.uncountSend(out.channel, out.mark)
		if given {
			a.guard.notSentAgain(out.again)
		}
		if en.ID == id {
			if en.Code != nil && en.Code.Sequence == sequence {
				en.Code.ResendAfter = u.now
			}
			u.putEnrolment(en)
		}
		if given || en.ID != id {
			u.put(a.item, a.guard, time.Time{})
		}
		lost.data["enrolment"], lost.data["sequence"] = id, letter(sequence)
		u.event(a.guard.event(lost.event, policyVersion, lost.data))
		return nil
	}
}

// putEnrolment puts en. The item never expires earlier than it would have before, because its count of begins may have to
// outlast en.
func (u *unit) putEnrolment(en *enrolment) {
	u.put(en.Item, en, later(en.Expires, en.Item.Expires))
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// mustProve reports whether the user enrols with an enrolment token and still has to prove the known address first. The policy
// says whether users have to. A user whose factors the policy forbids always has to, because otherwise a password alone would
// be enough to enrol another factor. So does a user after a reset that they have asked for. A recovery code has proven more
// than the address does.
func (v *enrolmentView) mustProve(s *slot) bool {
	asked := v.p.EnrolmentProof == "email" || v.a.onlyForbidden(&v.p.Policy) || v.a.guard.ProveAddress != ""
	return v.byToken && asked && v.ch.Recovered == "" && (s == nil || !s.Proven)
}

// An enrolment is a factor that is being enrolled. A user has one enrolment at a time: to begin again replaces the earlier
// one.
type enrolment struct {
	record.Head
	ID        string          `json:"id" record:"1,id=en_"`
	Epoch     string          `json:"epoch" record:"2,word"`
	Client    string          `json:"client" record:"3"`           // the client that began it, or that began its challenge
	Challenge string          `json:"challenge" record:"4,id=ch_"` // the challenge that finishing it answers; empty if there is none
	Actor     *activity.Actor `json:"actor" record:"5"`            // the administrator who enrols the factor for the user; nil if the user does it
	Reason    string          `json:"reason" record:"6"`           // the administrator's reason
	Begun     time.Time       `json:"begun" record:"7"`
	Expires   time.Time       `json:"expires" record:"8"`
	Proven    bool            `json:"proven" record:"9"`  // the address was proven before, so finishing needs no code
	Begins    int             `json:"begins" record:"10"` // how many enrolments enrolment tokens have begun, this one and the replaced ones together
	Code      *sentCode       `json:"code" record:"11"`   // nil if no code was sent
	Factor    factorRecord    `json:"factor" record:"12"`

	// These four are set if the factor is a security key or a passkey.
	Variant  Variant   `json:"variant" record:"13"`
	Handle   []byte    `json:"handle" record:"14,word"` // the user handle
	Origins  []string  `json:"origins" record:"15"`     // the origins that the client has registered
	Ceremony *ceremony `json:"ceremony" record:"16"`

	Session string `json:"session" record:"17,word"` // the hash of the portal token with which it was begun; empty if it was begun otherwise
}
