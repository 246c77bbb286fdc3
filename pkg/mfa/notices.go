package mfa

import (
	"slices"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/message"
)

// A user is told by email what happened to the account. A user without an address is told by SMS, at the numbers that they have
// enrolled. So is a user to whose address a message has just come back, who is told by email all the same. Of a change of an
// address or a number, the user is told by email and by SMS. A notice is planned by the commit that makes it true, and stored
// with the event. It goes to the address, to the name and in the language of that moment, whatever they are when it is sent.
//
// Notices have a budget of their own, in the guard. What is over it waits there, and comes as one notice that sums up: with
// the next commit of the user's guard for which there is room, or by the sweep. An erasure removes the guard, and with it
// what waits. The notices by SMS of all users of an org have a budget too, because each of them costs money.

const (
	noticesInDay = 20
	noticeDay    = 24 * time.Hour
	mostWaiting  = 4 // addresses that notices may wait for; if there are more, the one that has waited longest is told at once
)

// A topic is something that users are told about. To tell them about one more thing, add a row to topics, and its texts to
// package message.
type topic struct {
	name   string                   // of its message, and in records
	event  string                   // the type of the event that brings it
	about  func(*pendingEvent) bool // whether this event does; nil if each of the type does
	always bool                     // it never waits for room, and needs none
	widely func(*pendingEvent) bool // whether the user is told by every channel; nil if never
}

// withoutCause reports whether no other event of the same commit is the cause of e. If one is, the user is told about that
// one.
func withoutCause(e *pendingEvent) bool { return e.Data["cause"] == nil }

// ofNumber reports whether an event is about a factor that codes are sent to by SMS.
func ofNumber(e *pendingEvent) bool {
	kind, _ := e.Data["kind"].(Kind)
	return kind.row().channel == channelSMS
}

// anyEvent reports that a topic's users are told by every channel, whatever the event says.
func anyEvent(*pendingEvent) bool { return true }

var topics = []topic{
	{message.Lock, ChallengeLocked, func(e *pendingEvent) bool { return e.Data["recovery"] == nil }, false, nil},
	{message.RecoveryLock, ChallengeLocked, func(e *pendingEvent) bool { return e.Data["recovery"] != nil }, false, nil},
	{message.Unlocked, UserUnlocked, nil, false, nil},
	{message.Theft, BrowserTheft, nil, false, nil},
	{message.Enrolled, FactorEnrolled, nil, false, ofNumber},
	{message.Removed, FactorRemoved, withoutCause, false, ofNumber},
	{message.RecoveryUsed, RecoveryUsed, nil, false, func(e *pendingEvent) bool { return e.Data["effect"] != EffectSignIn }},
	{message.RecoveryMade, RecoveryMade, nil, false, nil},
	{message.Disabled, UserDisabled, withoutCause, false, nil},
	{message.Moved, UserUpdated, func(e *pendingEvent) bool { return e.moved == message.Moved }, true, anyEvent},
	{message.Undeliverable, FactorReturned, func(e *pendingEvent) bool { return e.Data["cause"] != causeOptOut }, false, anyEvent},
	{message.Reset, UserReset, nil, true, anyEvent},
	{message.ResetAsked, UserResetRequested, nil, true, anyEvent},
	{message.ResetCancelled, UserResetCancelled, withoutCause, true, nil},
	{message.PassIssued, PassIssued, nil, true, anyEvent},
	{message.PassUsed, PassUsed, nil, true, anyEvent},
	{message.MovedPhone, UserUpdated, func(e *pendingEvent) bool { return e.moved == message.MovedPhone }, true, anyEvent},
}

// topic returns what an event tells its user, or nil if the user isn't told.
func (e *pendingEvent) topic() *topic {
	for i := range topics {
		if t := &topics[i]; t.event == e.Type && (t.about == nil || t.about(e)) {
			return t
		}
	}
	return nil
}

// A recipient is a person as they were at the moment of an event.
type recipient struct {
	Address  string `json:"address" record:"1"`
	Name     string `json:"name" record:"2"`
	Language string `json:"language" record:"3"`
	Client   string `json:"client" record:"4"` // the name of the client whose call caused it; empty if the client has none

	// For a notice by SMS only:
	Channel string `json:"channel" record:"7"`
	Cap     int    `json:"cap" record:"8"` // how many notices by SMS the org's users get in a day
}

// A waiting is all that waits to be told to one recipient.
type waiting struct {
	recipient
	Items []waited `json:"items" record:"5"`
}

// A waited is one topic that waits to be told. If it comes again, only Times and Last change.
type waited struct {
	Topic string    `json:"topic" record:"1"`
	Kind  Kind      `json:"kind" record:"2"` // the kind of the factor that it is about; empty if it is about none
	Times int       `json:"times" record:"3"`
	Last  time.Time `json:"last" record:"4"` // when it happened last
}

// A sum is a notice that sums up.
type sum struct {
	ID string `json:"id" record:"5,id=ev_"`
	recipient
	Items []waited `json:"items" record:"6"`
}

// recipients are those who are told about an event: the user at the address that they have and, if it has changed, at the
// former one; and, where that is not enough, at the numbers that they have enrolled. That a message came back is not told at
// the address that it came back from.
func (u *unit) recipients(a *account, p *orgPolicy, t *topic, e *pendingEvent) (to []recipient) {
	now, client := a.guard.Profile, p.known(u.client)
	comesBack := a.guard.comesBack(now.Email, u.now)
	if now.Email != "" && !(comesBack && e.Type == FactorReturned) {
		to = append(to, recipient{Address: now.Email, Name: now.Name, Language: p.language(now.Locale), Client: client})
	}
	if was := e.former; was.Email != "" && was.Email != now.Email {
		to = append(to, recipient{Address: was.Email, Name: was.Name, Language: p.language(was.Locale), Client: client})
	}
	mailed := len(to) > 0 && !comesBack
	if mailed && (t.widely == nil || !t.widely(e)) {
		return to
	}
	for _, f := range a.factorRecords {
		if f.Kind.row().channel != channelSMS || !p.reaches(f) || a.guard.enrolled(f.ID) == nil && !u.removes(f) {
			continue
		}
		// Who has just enrolled the number has it at hand, so it is told only if nobody else can be.
		if enrolled := e.Type == FactorEnrolled && e.Data["factor"] == f.ID; !enrolled || !mailed {
			to = append(to, recipient{
				Address: f.Contact, Name: now.Name, Language: p.language(now.Locale), Client: client, Channel: channelSMS, Cap: p.SMS.DailyCap,
			})
		}
	}
	return to
}

// watchTopic is what an event tells the addresses of the policy. It is empty if it tells them nothing.
func watchTopic(e *activity.Event) string {
	switch {
	case e.Type == ChallengeLocked:
		return message.WatchLock
	case e.Type == UserResetRequested && e.Data["approval"] == true:
		return message.WatchApproval
	case e.Type == UserResetRequested:
		return message.WatchReset
	}
	return ""
}

// watchers are the addresses of the policy, for an event that concerns administrators.
func (u *unit) watchers(p *orgPolicy, e *pendingEvent) (to []recipient) {
	if watchTopic(&e.Event) == "" {
		return nil
	}
	for _, address := range p.Notify {
		to = append(to, recipient{Address: address, Language: p.language(""), Client: u.client})
	}
	return to
}

// removes reports whether u removes a factor.
func (u *unit) removes(f *factorRecord) bool {
	return slices.ContainsFunc(u.events, func(e pendingEvent) bool { return e.Type == FactorRemoved && e.Data["factor"] == f.ID })
}

// mayTell returns when there is room for the user's next notice. Zero means now.
func (g *guard) mayTell(now time.Time) time.Time {
	if at := recent(g.NoticesSent, now, noticeDay); len(at) >= noticesInDay {
		return time.UnixMilli(at[len(at)-noticesInDay]).Add(noticeDay).UTC()
	}
	return time.Time{}
}

// countNotice counts a notice that is sent. Some are sent although there is no room. So it keeps only as many as mayTell
// looks at, because otherwise the guard would grow.
func (g *guard) countNotice(now time.Time) {
	at := append(recent(g.NoticesSent, now, noticeDay), now.UnixMilli())
	g.NoticesSent = at[max(0, len(at)-noticesInDay):]
}

// tell plans the notices about the events that are planned so far. The guard has to be put after it.
func (u *unit) tell(a *account, p *orgPolicy) {
	g := a.guard
	u.sumUp(g)
	for i := range u.events {
		e := &u.events[i]
		t := e.topic()
		if t == nil || e.judged {
			continue
		}
		e.judged = true
		e.Watchers = u.watchers(p, e)
		to := u.recipients(a, p, t, e)
		switch room := g.mayTell(u.now); {
		case len(to) == 0:
		case t.always:
			e.Topic, e.To = t.name, to
		case room.IsZero():
			g.countNotice(u.now)
			e.Topic, e.To = t.name, to
		default:
			kind, _ := e.Data["kind"].(Kind)
			for _, r := range to {
				g.wait(r, waited{Topic: t.name, Kind: kind, Times: 1, Last: u.now})
			}
			u.waits, u.told = room, g
		}
	}
}

// wait adds to what waits for a recipient. What clients of several names have caused is sent under none of these names.
func (g *guard) wait(r recipient, w waited) {
	i := slices.IndexFunc(g.NoticesWaiting, func(of waiting) bool { return of.Address == r.Address })
	if i < 0 {
		g.NoticesWaiting, i = append(g.NoticesWaiting, waiting{}), len(g.NoticesWaiting)
	}
	of := &g.NoticesWaiting[i]
	if len(of.Items) > 0 && of.Client != r.Client {
		r.Client = ""
	}
	of.recipient = r
	for j := range of.Items {
		if have := &of.Items[j]; have.Topic == w.Topic && have.Kind == w.Kind {
			have.Times, have.Last = have.Times+w.Times, w.Last
			return
		}
	}
	of.Items = append(of.Items, w)
}

// sumUp plans a notice for each recipient that something waits for, as far as there is room. It changes the guard, which has
// to be put after it.
func (u *unit) sumUp(g *guard) {
	for len(g.NoticesWaiting) > 0 && (g.mayTell(u.now).IsZero() || len(g.NoticesWaiting) > mostWaiting) {
		g.countNotice(u.now)
		u.sums = append(u.sums, sum{newEventID(), g.NoticesWaiting[0].recipient, g.NoticesWaiting[0].Items})
		g.NoticesWaiting = slices.Delete(g.NoticesWaiting, 0, 1)
		u.told = g
	}
}
