package mfa

import (
	"fmt"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// newChallenge makes a challenge, and plans the event about it.
func (u *unit) newChallenge(q *StartRequest, a *account, p *orgPolicy, v *verdict) *challenge {
	ch := &challenge{
		ID: seal.ID("ch_", []byte(a.route)), Epoch: a.guard.Epoch, Life: a.guard.life(), Org: q.Org, User: q.User.ID,
		Client: u.caller.grant().Client, Sender: u.caller.grant().Name, Purpose: q.Purpose, Action: q.Action.named(), ActionLines: q.Action.lines(), Nonce: q.Nonce, Reason: v.Reason, PolicyVersion: p.Version,
		Origins: u.originsFor(p), KnownBrowser: v.knownBrowser, FirstFactor: q.FirstFactor, ReturnURL: q.ReturnURL, Begun: u.now, Expires: u.now.Add(time.Duration(p.Challenge.WindowS) * time.Second),
	}
	ch.Item.Key, ch.key = challengeKey(ch.ID), a.guard.ActivityKey
	if q.Purpose == StepUp && q.Method != nil {
		ch.OnlyKind = *q.Method
	}
	from := map[string]any{"reason": v.Reason, "ip": q.Context.IP, "user_agent": cut(q.Context.UserAgent, 256)}
	if q.Context.Risk != "" {
		from["risk"] = q.Context.Risk
	}
	if len(ch.ActionLines) > 0 {
		from["action"], from["action_digest"] = q.Action.Name, q.Action.digest()
	}
	u.event(ch.event(ChallengeStarted, from))
	return ch
}

func (ch *challenge) event(kind string, data map[string]any) pendingEvent {
	data["challenge"] = ch.ID
	return pendingEvent{
		Event: activity.Event{Type: kind, Org: ch.Org, User: ch.User, Actor: userActor(ch.User), PolicyVersion: ch.PolicyVersion, Data: data},
		Life:  ch.Life,
		key:   ch.key,
	}
}

// A challengeView is a challenge with all that decides about it, as the reads of a step found them.
type challengeView struct {
	a  *account
	p  *orgPolicy
	ch *challenge
}

// viewChallenge returns the reads that a step on a challenge starts with. For an id that was not made here there are none,
// and the challenge counts as missing.
func (s *Service) viewChallenge(id string, into *challengeView) []read {
	raw, ok := seal.ParseID("ch_", id, routeLen)
	if !ok {
		*into = challengeView{a: &account{}, p: &orgPolicy{}, ch: &challenge{}}
		return nil
	}
	r := route(raw)
	return []read{s.readAccount(r, &into.a), readPolicy(r, "", &into.p), readChallenge(id, &into.ch)}
}

// challengeNamed is what a path with the id of a challenge names.
func challengeNamed(id string) *named {
	raw, _ := seal.ParseID("ch_", id, routeLen)
	return &named{at: route(raw), challenge: id, missing: challengeInvalid}
}

func readChallenge(id string, into **challenge) read {
	return read{key: challengeKey(id), take: func(item store.Item) error {
		ch := &challenge{ID: id}
		*into = ch
		if item.Absent() {
			return nil
		}
		return record.Decode(item, ch)
	}}
}

// errUnsettled says that the challenge and the guard were read at two moments, and that a code was sent between them.
var errUnsettled = fmt.Errorf("challenge and guard don't belong together: %w", store.ErrConflict)

// question asks for f in the challenge.
func (v *challengeView) question(u *unit, f factor) *question {
	return &question{u: u, v: v, in: v, f: f, enrolled: v.a.guard.enrolled(f.ID)}
}

func (v *challengeView) binding() binding { return v.ch.binding() }

func (v *challengeView) registered() []string { return v.ch.Origins }

func (v *challengeView) ceremony() *ceremony { return v.ch.Ceremony }

func (v *challengeView) begun(c *ceremony) { v.ch.Ceremony = c }

// sent makes code the newest one of the challenge. It answers the challenge or, if only an enrolment does, proves the
// account's address.
func (v *challengeView) sent(u *unit, f factor, code *sentCode) {
	ch := v.ch
	ch.Code = code
	v.a.guard.openSlot(ch, u.now).Sequence = code.Sequence
	u.event(ch.event(ChallengeSent, map[string]any{"kind": f.Kind, "factor": f.ID, "sequence": letter(code.Sequence)}))
	u.out.notHanded = ch.notHanded(v.a.route, u.out)
}

// checkOpen returns ChallengeInvalid unless this caller can still answer the challenge. The slot is nil if the challenge has
// none yet. With an error, the slot says how the challenge ended, or is nil.
func (v *challengeView) checkOpen(u *unit) (*slot, error) {
	ch := v.ch
	if v.ch.Item.Absent() || !u.caller.mayAnswer(ch) {
		return nil, challengeInvalid()
	}
	u.admitted, u.client = true, ch.Sender
	if !v.a.exists() {
		return nil, challengeInvalid()
	}
	s := v.a.guard.slot(ch.ID)
	switch {
	case s != nil && (s.State != "" || s.exhausted(v.p)):
		return s, challengeInvalid()
	case ch.Epoch != v.a.guard.Epoch, v.a.resetIsDue(v.p, u.now), s == nil && !ch.Begun.After(v.a.guard.EvictedUntil), !u.now.Before(ch.Expires):
		return nil, challengeInvalid()
	}
	ch.key = v.a.guard.ActivityKey
	return s, nil
}

// checkAnswerable is checkOpen for an answer with a factor, and for sending its code. It also refuses a challenge that only
// an enrolment answers.
func (v *challengeView) checkAnswerable(u *unit) (*slot, error) {
	s, err := v.checkOpen(u)
	if err == nil && v.ch.Enrolment != "" {
		return nil, challengeInvalid()
	}
	return s, err
}

// settled reports whether challenge and guard were read at one moment. Sending a code changes both of them, and so does a
// recovery that goes on with an enrolment.
func (v *challengeView) settled(s *slot) bool {
	sequence := 0
	if v.ch.Code != nil {
		sequence = v.ch.Code.Sequence
	}
	return s == nil && sequence == 0 || s != nil && s.Sequence == sequence && s.Effect == v.ch.Recovered
}

// factor returns the factor that a request names. If it names none, that is the one that a code was last sent for, or the
// challenge's default, or the strongest. factor refuses one that the user doesn't have or the policy forbids now. Then
// nothing is sent or counted.
func (v *challengeView) factor(named string) (factor, error) {
	id := named
	switch {
	case id != "":
	case v.ch.Code != nil:
		id = v.ch.Code.Factor
	default:
		id = v.ch.Default
	}
	for _, f := range v.a.factors(&v.p.Policy) {
		switch {
		case f.ID != id && id != "":
		case v.ch.OnlyKind != "" && v.ch.OnlyKind != f.Kind:
			return factor{}, refuse(MethodForbidden, "This step-up can be answered only with a factor of the kind that it names.")
		default:
			return f, nil
		}
	}
	if id == v.a.addressID() || v.a.factor(id) != nil {
		return factor{}, refuse(MethodForbidden, "The organisation's policy does not allow this factor.")
	}
	return factor{}, refuse(NotFound, "The user has no such factor.")
}

// notHanded returns what plans the changes that a failed hand-over of the challenge's newest code brings.
func (ch *challenge) notHanded(r route, out *outgoing) func(*unit, undelivered) error {
	sent := *ch
	sequence := ch.Code.Sequence
	return func(u *unit, lost undelivered) error {
		var now *challenge
		a := &account{route: r}
		if err := readAll(u.ctx, u.s.Store, readChallenge(sent.ID, &now), a.readGuard()); err != nil {
			return err
		}
		if !now.Item.Absent() {
			if now.Code != nil && now.Code.Sequence == sequence {
				now.Code.ResendAfter, now.Code.NotTaken = u.now, lost.notTaken
			}
			u.put(now.Item, now, now.Expires.Add(shownFor))
		}
		if lost.notTaken && a.exists() && a.guard.uncountSend(out.channel, out.mark) {
			a.guard.notSentAgain(out.again)
			u.put(a.item, a.guard, time.Time{})
		}
		lost.data["sequence"] = letter(sequence)
		u.event(sent.event(lost.event, lost.data))
		return nil
	}
}

// conclude notes in the guard how the challenge ended.
func (v *challengeView) conclude(u *unit, s *slot, state string) {
	s.State, s.EndedAt, s.WrittenBy, s.KnownTokensEnded = state, u.now, u.version, false
	if state == verified {
		s.Later = u.issuedAt(v.a, v.p).Sub(u.now).Microseconds()
	}
	s.Until = v.ch.Expires.Add(shownFor)
}

// wrong counts a wrong answer against the challenge and, if answers with the kind can be guessed, against the user. It
// returns how many can still be given.
func (v *challengeView) wrong(u *unit, s *slot, kind kindRow) (left int) {
	g := v.a.guard
	s.Wrong++
	s.WrittenBy = u.version
	locked := kind.guessable && g.WrongCodes.wrong(codeBudget(), v.knownBrowser(), u.now)
	if s.Wrong >= v.p.Challenge.Attempts {
		v.conclude(u, s, failed)
	}
	left = v.left(s, kind.guessable, u.now)
	u.event(v.ch.event(ChallengeFailed, map[string]any{"attempts_left": left}))
	if locked {
		u.event(v.ch.event(ChallengeLocked, g.WrongCodes.lock(v.knownBrowser(), u.now)))
	}
	u.putGuard(v.a, v.p)
	return left
}

// left returns how many wrong answers the challenge can still be given. If the answers could be guessed, it is no more than
// the user can still give.
func (v *challengeView) left(s *slot, guessable bool, now time.Time) int {
	left := v.p.Challenge.Attempts - s.Wrong
	if guessable {
		left = min(left, v.a.guard.WrongCodes.left(codeBudget(), v.knownBrowser(), now))
	}
	return max(0, left)
}

// knownBrowser reports whether wrong answers count in the user's budget for known browsers.
func (v *challengeView) knownBrowser() bool { return v.ch != nil && v.ch.KnownBrowser }

// checkLock returns Locked if no code would be checked.
func (v *challengeView) checkLock(now time.Time) error {
	if until, locked := v.a.guard.WrongCodes.locked(v.knownBrowser(), now); locked {
		return lockedUntil(until, now)
	}
	return nil
}

func lockedUntil(until, now time.Time) *Error {
	e := refuse(Locked, "There were too many wrong codes. No code is checked until the wait is over.")
	if until.Before(forever) {
		e.RetryAfter = until.Sub(now)
	}
	return e
}

// wrongAnswer is the answer to a wrong code or a wrong credential.
func wrongAnswer(given Answer, left int) *Error {
	if len(given.Credential) == 0 {
		return wrongCode(left)
	}
	e := refuse(WrongCredential, "The security key or passkey did not answer rightly.")
	e.AttemptsLeft = &left
	return e
}

func wrongCode(left int) *Error {
	e := refuse(WrongCode, "The code is not right.")
	e.AttemptsLeft = &left
	return e
}

// signToken signs the token that says how the challenge was answered.
func (v *challengeView) signToken(u *unit, s *slot) (seal.Secret, error) {
	ch := v.ch
	c := claims{
		Audience: ch.Client, Org: ch.Org, User: ch.User, ID: ch.ID, Verified: true, Kind: s.Kind, AMR: s.AMR, Recovered: s.Effect != "", ByPass: s.Effect == effectPass, Answered: s.EndedAt,
		Purpose: ch.Purpose, Action: ch.Action, ActionLines: ch.ActionLines, Nonce: ch.Nonce, Decision: Challenge, Reason: ch.Reason, Epoch: ch.Epoch,
		FirstFactor: ch.FirstFactor, AuthTime: ch.Begun, MFATime: s.EndedAt, PolicyVersion: ch.PolicyVersion,
	}
	if s.Factor != "" {
		c.Decision = Enrol
	}
	if s.Kind == "" {
		c.MFATime = v.a.guard.MFATime
	}
	return u.sign(c)
}

// outcome returns what the call that ended the challenge has answered.
func (v *challengeView) outcome(u *unit, s *slot) (any, error) {
	switch {
	case s.Factor != "":
		return v.finishAnswer(u, s)
	case s.Effect != "":
		return v.recoverAnswer(u, s)
	}
	return v.verifyAnswer(u, s)
}

func (ch *challenge) binding() binding {
	purpose := ch.Purpose
	if ch.Enrolment != "" {
		purpose = proving
	}
	return binding{id: ch.ID, purpose: purpose, expires: ch.Expires, last: ch.Code, confirms: ch.ActionLines}
}

// A challenge is one sign-in or step-up that waits for an answer: facts about it, and the digest of the code that was sent
// last. What was tried against it is in the guard.
type challenge struct {
	record.Head
	ID            string      `json:"-" record:"-"` // its item has the id as its partition
	Epoch         string      `json:"epoch" record:"1,word"`
	Life          string      `json:"life" record:"2,word"` // the life that its events belong to
	Org           string      `json:"org" record:"3"`
	User          string      `json:"user" record:"4"`
	Client        string      `json:"client" record:"5"`
	Sender        string      `json:"sender" record:"6"`        // the name of the client that began it; empty if the client has none
	Bearer        string      `json:"bearer" record:"7,secret"` // the hash of the challenge token
	Purpose       string      `json:"purpose" record:"8"`
	Action        *string     `json:"action" record:"9"`
	Nonce         *string     `json:"nonce" record:"10"`
	Reason        string      `json:"reason" record:"11"`
	PolicyVersion int         `json:"policy_version" record:"12"`
	FirstFactor   FirstFactor `json:"first_factor" record:"13"`
	Begun         time.Time   `json:"begun" record:"14"`
	Expires       time.Time   `json:"expires" record:"15"`
	Default       string      `json:"default" record:"16,id=fa_"` // the factor that was asked for first; empty if there is none
	OnlyKind      Kind        `json:"only_kind" record:"17"`      // the only kind that a step-up takes; empty if it takes every kind
	KnownBrowser  bool        `json:"known_browser" record:"18"`  // it was begun in a known browser
	Code          *sentCode   `json:"code" record:"19"`           // nil if no code was sent

	// These are set if only an enrolment can answer the challenge.
	Enrolment string `json:"enrolment" record:"20,secret"` // the hash of the enrolment token
	Recovered string `json:"recovered" record:"21"`        // the effect of the recovery code that led to it; empty if none did

	// These two are set if the challenge can be answered with a security key or a passkey.
	Origins  []string  `json:"origins" record:"22"`  // the origins that the client has registered
	Ceremony *ceremony `json:"ceremony" record:"23"` // the newest one

	ActionLines []string `json:"action_lines" record:"24"` // what a step-up confirms, as the user is shown it; there may be none
	ReturnURL   *string  `json:"return_url" record:"25"`   // where the browser goes after a hosted page; nil if the client gave none

	Link *pageLink `json:"link" record:"26"` // to the hosted page; nil if it was begun before there were links

	key activity.Key `json:"-" record:"-"` // of what the activity says of its user; nil until it is known that the user is still the one who began it
}
