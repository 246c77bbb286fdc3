package mfa_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store/fault"
)

// inPortal begins a portal session with a password that was checked now, and returns the call of somebody who has its token.
func inPortal(t *testing.T, w *mfatest.World, q mfa.PortalRequest) mfa.Call {
	t.Helper()
	now := w.Clock.Now()
	q.Reauthenticated = &now
	begun, err := w.BeginPortalSession(t.Context(), w.Client, q)
	if err != nil {
		t.Fatal(err)
	}
	link := begun.URL.Reveal()
	redeemed, err := w.RedeemHandle(t.Context(), mfa.Call{}, seal.NewSecret(link[strings.LastIndexByte(link, '/')+1:]))
	if err != nil {
		t.Fatal(err)
	}
	return mfa.Call{Bearer: redeemed.Token.Reveal()}
}

// administrator makes a user who has an app and is an administrator in the portal, and returns the call with a proof.
func administrator(t *testing.T, w *mfatest.World, id string) mfa.Call {
	t.Helper()
	a, _ := w.EnrolTOTP(t, w.Fresh(), org, mfa.Person{ID: id})
	call := inPortal(t, w, mfa.PortalRequest{Org: org, Administrator: &mfa.Administrator{Org: org, User: id}})
	call.Proof = stepUpInPortal(t, w, call, id, a)
	return call
}

// stepUpInPortal begins a step-up with a portal token, and answers it with the app.
func stepUpInPortal(t *testing.T, w *mfatest.World, call mfa.Call, id string, a *mfatest.Authenticator) seal.Secret {
	t.Helper()
	w.Clock.Advance(mfatest.Step)
	began, err := w.StartChallenge(t.Context(), call, mfa.StartRequest{Org: org, User: mfa.Person{ID: id}, Purpose: mfa.StepUp})
	if err != nil {
		t.Fatal(err)
	}
	answered, err := w.Verify(t.Context(), mfa.Call{Bearer: began.Challenge.Token.Reveal()}, mfa.VerifyRequest{Challenge: began.Challenge.ID, Answer: mfa.Answer{Code: w.Code(a)}})
	if err != nil {
		t.Fatal(err)
	}
	return answered.Token
}

func TestAThiefOfAUsersPortalTokenReadsAndChangesNothing(t *testing.T) {
	w, a := protected(t, nil)
	stolen := inPortal(t, w, mfa.PortalRequest{Org: org, User: user})
	if _, err := w.GetUser(t.Context(), stolen, org, user); err != nil {
		t.Errorf("read the account: %v", err)
	}
	_, codes := w.NewRecoveryCodes(t.Context(), stolen, org, user)
	_, off := w.SetEnabled(t.Context(), stolen, org, user, false)
	_, begin := w.BeginEnrolment(t.Context(), stolen, mfa.EnrolRequest{Kind: mfa.TOTP})
	for what, err := range map[string]error{"codes": codes, "off": off, "begin": begin, "remove": w.RemoveFactor(t.Context(), stolen, org, user, a.Factor)} {
		if got := mfa.AsError(err).Code; got != mfa.StepUpNeeded {
			t.Errorf("%s: got %s, want %s", what, got, mfa.StepUpNeeded)
		}
	}
	said := mfa.StartRequest{Org: org, Purpose: mfa.StepUp, User: mfa.Person{ID: user, Email: mfa.Some("thief@evil.example")}}
	if _, err := w.StartChallenge(t.Context(), stolen, said); mfa.AsError(err).Code != mfa.InvalidRequest {
		t.Errorf("say another address: got %v, want it refused", err)
	}
	_, other := w.GetUser(t.Context(), stolen, org, "u-99")
	_, policy := w.GetPolicy(t.Context(), stolen, org)
	for what, err := range map[string]error{"another user": other, "the policy": policy} {
		if got := mfa.AsError(err).Code; got != mfa.Forbidden {
			t.Errorf("%s: got %s, want %s", what, got, mfa.Forbidden)
		}
	}
	if err := w.RevokeBrowsers(t.Context(), w.Client, org, user); err != nil {
		t.Fatal(err)
	}
	if _, err := w.GetUser(t.Context(), stolen, org, user); mfa.AsError(err).Code != mfa.Unauthenticated {
		t.Errorf("after the owner has revoked all browsers: got %v, want %s", err, mfa.Unauthenticated)
	}
}

func TestAThiefOfAnAdministratorsPortalTokenReadsAndChangesNothing(t *testing.T) {
	w, _ := protected(t, func(p *mfa.Policy) { p.Pass.MaxS = 3600 })
	stolen := administrator(t, w, "olga")
	stolen.Proof = seal.Secret{}
	by, who, version, yes := mfa.Intervention{Reason: "called"}, mfa.Person{ID: user}, 1, true
	policy, err := mfa.ProfilePolicy("default")
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]func(mfa.Call) error{
		"policy": func(c mfa.Call) error {
			_, err := w.PutPolicy(t.Context(), c, org, mfa.PolicyChange{Policy: policy, Version: &version, Acknowledge: true})
			return err
		},
		"brand": func(c mfa.Call) error { _, err := w.PutBrand(t.Context(), c, org, mfa.BrandChange{}); return err },
		"enforce": func(c mfa.Call) error {
			_, err := w.Enforce(t.Context(), c, org, user, mfa.Enforcement{Enforced: &yes})
			return err
		},
		"unlock": func(c mfa.Call) error { _, err := w.Unlock(t.Context(), c, org, user, by); return err },
		"pass": func(c mfa.Call) error {
			_, err := w.IssuePass(t.Context(), c, org, user, mfa.PassRequest{Intervention: by})
			return err
		},
		"take a pass back": func(c mfa.Call) error { return w.RevokePass(t.Context(), c, org, user) },
		"enrol": func(c mfa.Call) error {
			_, err := w.BeginEnrolment(t.Context(), c, mfa.EnrolRequest{Org: org, User: &who, Kind: mfa.TOTP, OnBehalf: &by})
			return err
		},
		"reset": func(c mfa.Call) error { _, err := w.ResetUser(t.Context(), c, org, user, by); return err },
	}
	for what, call := range calls {
		if got := mfa.AsError(call(stolen)).Code; got != mfa.StepUpNeeded {
			t.Errorf("%s: got %s, want %s", what, got, mfa.StepUpNeeded)
		}
	}
	_, users := w.ListUsers(t.Context(), stolen, mfa.UserQuery{Org: org})
	_, seen := w.OrgActivity(t.Context(), stolen, mfa.ActivityQuery{Org: org})
	_, preview := w.PreviewPolicy(t.Context(), stolen, org, policy)
	for what, err := range map[string]error{"users": users, "activity": seen, "preview": preview} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, elsewhere := w.GetPolicy(t.Context(), stolen, "globex")
	if got := mfa.AsError(elsewhere).Code; got != mfa.Unauthenticated {
		t.Errorf("another org: got %s, want %s", got, mfa.Unauthenticated)
	}
	_, imported := w.Import(t.Context(), stolen, org, mfa.ImportRequest{})
	for what, err := range map[string]error{"erase": w.EraseUser(t.Context(), stolen, org, user), "import": imported} {
		if got := mfa.AsError(err).Code; got != mfa.Unauthenticated {
			t.Errorf("%s: got %s, want %s", what, got, mfa.Unauthenticated)
		}
	}
}

func TestAPortalSessionEndsAfterAnHourAndOutlivesItsKeyUntilThen(t *testing.T) {
	w, _ := protected(t, nil)
	short := w.NewClient(t, apikey.Grant{Client: "app", Scopes: apikey.Scopes()})
	all := w.Client
	w.Client = short
	call := inPortal(t, w, mfa.PortalRequest{Org: org, User: user})
	w.Client = all
	registry := &apikey.Registry{Store: w.Store, Now: w.Now}
	if _, err := registry.Revoke(t.Context(), apikey.ID(seal.NewSecret(short.Bearer))); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(time.Hour - time.Microsecond)
	if _, err := w.LookAtPortalSession(t.Context(), call); err != nil {
		t.Errorf("before an hour has passed: %v", err)
	}
	w.Clock.Advance(time.Microsecond)
	if _, err := w.LookAtPortalSession(t.Context(), call); mfa.AsError(err).Code != mfa.Unauthenticated {
		t.Errorf("after an hour: got %v, want %s", err, mfa.Unauthenticated)
	}
}

func TestACallInThePortalMakesNoMoreRequestsThanWithAKey(t *testing.T) {
	w, a := protected(t, nil)
	own := inPortal(t, w, mfa.PortalRequest{Org: org, User: user})
	own.Proof = stepUpInPortal(t, w, own, user, a)
	console := administrator(t, w, "olga")
	keyed := w.StepUp(t, org, user, a)
	on := true
	for what, calls := range map[string]struct {
		portal, key mfa.Call
		make        func(mfa.Call) error
		more        int // items written in the portal besides those with a key
	}{
		"read an account": {own, keyed, func(c mfa.Call) error { _, err := w.GetUser(t.Context(), c, org, user); return err }, 0},
		"turn 2FA off and on": {own, keyed, func(c mfa.Call) error {
			on = !on
			_, err := w.SetEnabled(t.Context(), c, org, user, on)
			return err
		}, 0},
		"begin an enrolment": {own, keyed, func(c mfa.Call) error {
			q := mfa.EnrolRequest{Kind: mfa.TOTP}
			if c.Bearer == keyed.Bearer {
				q.Org, q.User = org, &mfa.Person{ID: user}
			}
			_, err := w.BeginEnrolment(t.Context(), c, q)
			return err
		}, 0},
		"step up": {own, keyed, func(c mfa.Call) error {
			_, err := w.StartChallenge(t.Context(), c, mfa.StartRequest{Org: org, User: mfa.Person{ID: user}, Purpose: mfa.StepUp})
			return err
		}, 1}, // the session, which counts its step-ups
		"read a policy": {console, keyed, func(c mfa.Call) error { _, err := w.GetPolicy(t.Context(), c, org); return err }, 0},
		"unlock": {console, keyed, func(c mfa.Call) error {
			_, err := w.Unlock(t.Context(), c, org, user, mfa.Intervention{Actor: "olga", Reason: "called"})
			return err
		}, 0},
		"put a brand": {console, keyed, func(c mfa.Call) error {
			before, err := w.GetBrand(t.Context(), w.Client, org)
			if err != nil {
				return err
			}
			w.Faults.Reset()
			_, err = w.PutBrand(t.Context(), c, org, mfa.BrandChange{Version: &before.Version})
			return err
		}, 0},
	} {
		asked := map[bool]fault.Counts{}
		for _, portal := range []bool{false, true} {
			call := calls.key
			if portal {
				call = calls.portal
			}
			w.Faults.Reset()
			if err := calls.make(call); err != nil {
				t.Fatalf("%s, in the portal %v: %v", what, portal, err)
			}
			asked[portal] = w.Faults.Counts()
		}
		with, without := asked[true], asked[false]
		if with.Get != without.Get || with.Query != without.Query || with.Commit != without.Commit || with.Items != without.Items+calls.more {
			t.Errorf("%s: got %+v in the portal, and %+v with a key", what, with, without)
		}
	}
	begin := func() {
		w.Faults.Reset()
		if _, err := w.BeginPortalSession(t.Context(), w.Client, mfa.PortalRequest{Org: org, User: user}); err != nil {
			t.Fatal(err)
		}
	}
	if begin(); w.Faults.Counts().Rounds != 2 || w.Faults.Counts().Items != 2 {
		t.Errorf("begin a session: got %+v, want 2 round trips and 2 items", w.Faults.Counts())
	}
}

// TestOfManyApprovalsInThePortalAtOnceOnlyAnotherPersonsCount lets three administrators decide at once about what one of them has asked
// for. Of what is begun at once the last often comes first, so each of them is the last in one of the rounds.
func TestOfManyApprovalsInThePortalAtOnceOnlyAnotherPersonsCount(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *mfatest.World) {
		w.SetPolicy(t, org, "default", approved)
		asks, approves, cancels := administrator(t, w, "olga"), administrator(t, w, "paul"), administrator(t, w, "pia")
		services := twice(w)
		for last := range 4 {
			id := fmt.Sprintf("u-%d", last)
			w.EnrolTOTP(t, w.Fresh(), org, mfa.Person{ID: id})
			done, err := w.ResetUser(t.Context(), asks, org, id, mfa.Intervention{Reason: "lost"})
			if err != nil || done.Request == nil {
				t.Fatalf("got %+v, %v, want a request that waits", done, err)
			}
			request := done.Request.ID
			var own, approvals, cancelled tally
			atOnce(64, func(i int) {
				s := services[i/4%2]
				switch (i + last) % 4 {
				case 0, 1:
					_, err := s.ApproveReset(t.Context(), asks, request, "")
					own.add(err)
				case 2:
					_, err := s.ApproveReset(t.Context(), approves, request, "")
					approvals.add(err)
				case 3:
					_, err := s.CancelReset(t.Context(), cancels, request, "")
					cancelled.add(err)
				}
			})
			own.wantOnly(t, mfa.Forbidden, mfa.NotFound, mfa.Busy)
			if approvals.heard[""]+cancelled.heard[""] != 1 {
				t.Fatalf("approvals heard %v and cancellations %v, want one success", approvals.heard, cancelled.heard)
			}
			state, factors := "cancelled", 1
			if approvals.heard[""] == 1 {
				state, factors = "done", 0
			}
			got, err := w.GetReset(t.Context(), w.Client, request)
			u, failed := w.GetUser(t.Context(), w.Client, org, id)
			if err != nil || failed != nil || got.State != state || len(u.Factors) != factors {
				t.Errorf("got %+v, %v and %d factors, %v, want it %s and %d factors", got, err, len(u.Factors), failed, state, factors)
			}
		}
	})
}
