package mfa

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/seal"
	"countersign/pkg/store"
)

// The words of reset.self_service.
const (
	SelfServiceOff     = "off"
	SelfServiceApprove = "approve" // an administrator decides
	SelfServiceHold    = "hold"    // it happens after the waiting time
)

// A ResetAsk asks for a reset at a challenge.
type ResetAsk struct {
	Challenge string `json:"-"`
	Reason    string `json:"reason"` // 1 to 500 bytes
}

// An AskedReset is a request for a reset as the user sees it who has asked for it.
type AskedReset struct {
	ID    string     `json:"id"`
	State string     `json:"state"`
	Due   *time.Time `json:"due"` // when it is due at the earliest; null if it waits for an administrator only
}

// RequestReset lets a user who has nothing left to answer with ask for a reset, at a sign-in or a step-up. It signs nobody in. Every
// channel of the user gets a notice with a link that cancels the request, and its time runs from the first of these that is handed
// over. After the reset the next sign-in leads to an enrolment, which begins with a code to the address that is known now.
//
// It returns MethodForbidden if the policy doesn't let users ask or there is nothing to reset, NothingToSend for a user without an
// address, AlreadyExists while another request waits, and TooManyRequests for a day after one was cancelled.
func (s *Service) RequestReset(ctx context.Context, call Call, q ResetAsk) (AskedReset, error) {
	if err := checkText("", q.Reason, mostReason); err != nil || q.Reason == "" {
		return AskedReset{}, invalid("reason", "A reason is required, of 1 to %d bytes.", mostReason)
	}
	var v challengeView
	return run(ctx, s, call, step[AskedReset]{
		scope: apikey.SignIn, bearer: seal.ChallengeToken, named: challengeNamed(q.Challenge), reads: s.viewChallenge(q.Challenge, &v),
		decide: func(u *unit) (AskedReset, error) {
			if err := v.mayAskForReset(u); err != nil {
				return AskedReset{}, err
			}
			if r := v.a.guard.resetInForce(u.now); r == nil { // otherwise an earlier try of this call has made it
				err := u.askForReset(v.a, v.p, resetRequest{
					SelfService: true, NeedsApproval: v.p.Reset.SelfService == SelfServiceApprove, HoldS: v.p.Reset.HoldS,
				}, resetRecord{By: person{v.ch.Org, v.ch.User}, Client: v.ch.Client, Reason: q.Reason}, userActor(v.ch.User))
				if err != nil {
					return AskedReset{}, AsError(err)
				}
			}
			r := v.a.guard.Reset
			asked := AskedReset{ID: r.ID, State: r.state(u.now)}
			if due := r.due(); !due.IsZero() {
				asked.Due = &due
			}
			return asked, nil
		},
	})
}

// mayAskForReset refuses a user who may not ask for a reset now.
func (v *challengeView) mayAskForReset(u *unit) error {
	if _, err := v.checkOpen(u); err != nil {
		return err
	}
	if v.ch.Enrolment != "" {
		return challengeInvalid()
	}
	g := v.a.guard
	waits := g.resetInForce(u.now)
	switch word := v.p.Reset.SelfService; {
	case waits != nil && slices.Contains(u.versions, waits.DecidedBy):
		return nil
	case word != SelfServiceApprove && word != SelfServiceHold:
		return refuse(MethodForbidden, "The organisation's policy doesn't let users ask for a reset. An administrator can reset the account.")
	case len(g.Factors) == 0:
		return refuse(MethodForbidden, "The user has no factor that a reset would remove.")
	case g.Profile.Email == "":
		return refuse(NothingToSend, "The user has no known email address, so only an administrator can help.")
	case waits != nil:
		return refuse(AlreadyExists, "A request for a reset of this user waits already.")
	}
	if r := g.Reset; r != nil && r.State == cancelled {
		if wait := r.Ended.Add(resetPause).Sub(u.now); wait > 0 {
			e := refuse(TooManyRequests, "A request for a reset was cancelled. Another one can be made a day after that.")
			e.RetryAfter = wait
			return e
		}
	}
	return nil
}

// requestOf returns the id of the request that an event is about.
func requestOf(e *activity.Event) string {
	id, _ := e.Data["request"].(string)
	return id
}

// beginHold begins the time of a request that waits for it: a notice of the request was handed over. n is that notice.
func (s *Service) beginHold(ctx context.Context, n *addressed) error {
	r, id := routeOf(n.about.Org, n.about.User), requestOf(&n.about)
	return s.alone(ctx, func(u *unit) error {
		a := &account{route: r}
		if err := readAll(ctx, s.Store, a.readGuard()); err != nil || !a.exists() || a.guard.life() != n.life {
			return err
		}
		waits := a.guard.resetInForce(u.now)
		if waits == nil || waits.ID != id || waits.HoldS == 0 || !waits.Due.IsZero() {
			return nil
		}
		waits = a.guard.changeReset()
		waits.Due = u.now.Add(time.Duration(waits.HoldS) * time.Second)
		u.put(a.item, a.guard, time.Time{})
		u.put(resetEntry(r, waits, u.now))
		return nil
	})
}

// cancelLink makes a link that cancels the request that a notice tells of. It is good for as long as the request can wait.
func (s *Service) cancelLink(ctx context.Context, n *addressed) (link string, err error) {
	filter, err := s.filter(ctx)
	if err != nil {
		return "", err
	}
	id := requestOf(&n.about)
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(id, "rs_"))
	if err != nil || len(raw) != challengeIDLen {
		return "", errors.New("the notice is about no request for a reset")
	}
	err = s.alone(ctx, func(u *unit) error {
		ends := u.now.Add(cancelFor)
		token := filter.NewBearer(seal.CancelToken, raw)
		text := u.putHandle(filter, CancelToken, token, ends, ends)
		u.put(store.Item{Key: cancelTokenKey(token.Reveal())}, &cancelToken{Of: id}, ends)
		link = s.Issuer + "/pages/cancel/" + n.Language + "/" + text.Reveal()
		return nil
	})
	return link, err
}
