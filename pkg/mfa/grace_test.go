package mfa_test

import (
	"testing"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

// graceful makes a world in which everyone must use 2FA, and may skip setting it up for so long, that often.
func graceful(t *testing.T, grace time.Duration, skips *int) *mfatest.World {
	t.Helper()
	w := mfatest.New(t)
	grants(t, w, grace, skips)
	return w
}

// grants saves a policy under which users may skip until so long from now, that often.
func grants(t *testing.T, w *mfatest.World, grace time.Duration, skips *int) mfa.OrgPolicy {
	t.Helper()
	until := w.Clock.Now().Add(grace)
	return w.SetPolicy(t, org, "helpdesk", func(p *mfa.Policy) {
		p.Require, p.GraceUntil, p.MaxSkips = mfa.Everyone, &until, skips
	})
}

// decidedFor starts a sign-in of a user, and fails the test unless the decision and its reason are these.
func decidedFor(t *testing.T, w *mfatest.World, id, decision, reason string) mfa.StartAnswer {
	t.Helper()
	q := mfa.StartRequest{Org: org, User: mfa.Person{ID: id}}
	said, err := w.Decide(t.Context(), w.Client, q)
	if err != nil || said.Decision != decision || said.Reason != reason {
		t.Errorf("%s: a decision: got %+v, %v, want %s because of %s", id, said, err, decision, reason)
	}
	got, err := w.StartChallenge(t.Context(), w.Client, q)
	if err != nil || got.Decision.Decision != decision || got.Reason != reason {
		t.Fatalf("%s: got %+v, %v, want %s because of %s", id, got.Decision, err, decision, reason)
	}
	return got
}

func TestH5UntilADateAUserMaySkipSettingUpAndAfterItMustEnrol(t *testing.T) {
	w := graceful(t, time.Hour, nil)
	due := w.Clock.Now().Add(time.Hour)
	for range 3 {
		got := decidedFor(t, w, user, mfa.Allow, mfa.Grace)
		e := got.Enrolment
		if got.Token == nil || got.IssuedAt == nil || e == nil || e.Token == nil || len(e.Kinds) == 0 || e.Skippable == nil || !e.Due.Equal(due) || e.SkipsLeft != nil {
			t.Fatalf("got %+v with %+v, want a token, and what it takes to enrol until %v", got, e, due)
		}
	}
	if u, err := w.GetUser(t.Context(), w.Client, org, user); err != nil || u.Status != mfa.InGrace || u.GraceUntil == nil || !u.GraceUntil.Equal(due) || !u.Required {
		t.Errorf("got %+v, %v, want grace until %v", u, err, due)
	}
	w.Clock.Advance(time.Hour - time.Microsecond)
	decidedFor(t, w, user, mfa.Allow, mfa.Grace)
	w.Clock.Advance(time.Microsecond)
	if got := decidedFor(t, w, user, mfa.Enrol, mfa.Required); got.Enrolment.Skippable != nil {
		t.Errorf("got %+v, want nothing that may be put off", got.Enrolment)
	}
	if u, err := w.GetUser(t.Context(), w.Client, org, user); err != nil || u.Status != mfa.Unprotected {
		t.Errorf("got %+v, %v, want no grace any more", u, err)
	}
}

func TestH5WhatASkippedEnrolmentBringsIsAFactorAndTheNextSignInAsksForIt(t *testing.T) {
	w := graceful(t, time.Hour, nil)
	put(t, w, ana().User)
	got := decidedFor(t, w, user, mfa.Allow, mfa.Grace)
	call := mfa.Call{Bearer: got.Enrolment.Token.Reveal()}
	asked, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.TOTP})
	if err != nil || asked.Prove == nil {
		t.Fatalf("got %+v, %v, want the known address proven first", asked, err)
	}
	if _, err := w.ProveAddress(t.Context(), call, mfa.ProveRequest{Code: w.Outbox.Code(t, mail)}); err != nil {
		t.Fatal(err)
	}
	w.EnrolTOTP(t, call, "", mfa.Person{})
	decidedFor(t, w, user, mfa.Challenge, mfa.Required)
	if u, err := w.GetUser(t.Context(), w.Client, org, user); err != nil || u.Status != mfa.Protected {
		t.Errorf("got %+v, %v, want the user protected", u, err)
	}
}

func TestH5SkipsAreCountedAndNoWayBringsThemBack(t *testing.T) {
	two := 2
	w := graceful(t, time.Hour, &two)
	if left := decidedFor(t, w, user, mfa.Allow, mfa.Grace).Enrolment.SkipsLeft; left == nil || *left != 1 {
		t.Errorf("got %v left, want 1", left)
	}
	grants(t, w, time.Hour, nil) // a looser policy, under which skips are not counted
	decidedFor(t, w, user, mfa.Allow, mfa.Grace)
	grants(t, w, time.Hour, &two)
	if left := decidedFor(t, w, user, mfa.Allow, mfa.Grace).Enrolment.SkipsLeft; left == nil || *left != 0 {
		t.Errorf("got %v left, want 0", left)
	}
	decidedFor(t, w, user, mfa.Enrol, mfa.Required)
	for name, restart := range map[string]func(){
		"saving the policy again":    func() { grants(t, w, time.Hour, &two) },
		"turning it off and on":      func() { w.SetPolicy(t, org, "helpdesk", nil); grants(t, w, time.Hour, &two) },
		"a profile that has changed": func() { put(t, w, mfa.Person{ID: user, Email: mfa.Some(mail)}) },
		"a sign-out everywhere":      func() { reported(t, w, mfa.SignedOut) },
	} {
		restart()
		if got := decidedFor(t, w, user, mfa.Enrol, mfa.Required); got.Enrolment.Skippable != nil {
			t.Errorf("%s: got %+v", name, got.Enrolment)
		}
	}
	if err := w.EraseUser(t.Context(), w.Client, org, user); err != nil {
		t.Fatal(err)
	}
	decidedFor(t, w, user, mfa.Allow, mfa.Grace) // an erasure leaves nothing, not even how many skips were spent
}

func TestB12AndH5GraceThatIsOverIsNotRestarted(t *testing.T) {
	w := graceful(t, time.Hour, nil)
	p, err := w.GetPolicy(t.Context(), w.Client, org)
	if err != nil {
		t.Fatal(err)
	}
	decidedFor(t, w, user, mfa.Allow, mfa.Grace)
	w.Clock.Advance(time.Hour)
	decidedFor(t, w, user, mfa.Enrol, mfa.Required)
	again := func() {
		t.Helper()
		now, err := w.GetPolicy(t.Context(), w.Client, org)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.PutPolicy(t.Context(), w.Client, org, mfa.PolicyChange{Policy: p.Policy, Version: &now.Version, Acknowledge: true}); err != nil {
			t.Fatal(err)
		}
	}
	again() // the same policy
	decidedFor(t, w, user, mfa.Enrol, mfa.Required)
	if err := w.EraseUser(t.Context(), w.Client, org, user); err != nil {
		t.Fatal(err)
	}
	decidedFor(t, w, user, mfa.Enrol, mfa.Required)
	decidedFor(t, w, "u-new", mfa.Enrol, mfa.Required)
	// What a client says of the first factor or of its clock moves nothing.
	at := w.Clock.Now().Add(-2 * time.Hour)
	got, err := w.StartChallenge(t.Context(), w.Client, mfa.StartRequest{
		Org: org, User: mfa.Person{ID: user}, FirstFactor: mfa.FirstFactor{Kind: "password", At: &at},
	})
	if err != nil || got.Decision.Decision != mfa.Enrol {
		t.Errorf("got %+v, %v, want to enrol", got.Decision, err)
	}
}

func TestH5AShortenedGraceCountsAtOnceAndAStepUpHasNone(t *testing.T) {
	w := graceful(t, 24*time.Hour, nil)
	decidedFor(t, w, user, mfa.Allow, mfa.Grace)
	up, err := w.StartChallenge(t.Context(), w.Client, mfa.StartRequest{Org: org, User: mfa.Person{ID: user}, Purpose: mfa.StepUp})
	if err != nil || up.Decision.Decision != mfa.Enrol || up.Reason != mfa.StepUpDemanded {
		t.Errorf("got %+v, %v, want a step-up to enrol", up.Decision, err)
	}
	w.Clock.Advance(time.Hour)
	grants(t, w, -time.Minute, nil)
	decidedFor(t, w, user, mfa.Enrol, mfa.Required)
}

func TestH5ManySignInsAtOnceSpendNoMoreSkipsThanThereAre(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *mfatest.World) {
		three := 3
		grants(t, w, time.Hour, &three)
		put(t, w, mfa.Person{ID: user})
		services := twice(w)
		var c tally
		in := make(chan struct{}, 64)
		atOnce(64, func(i int) {
			got, err := services[i%2].StartChallenge(t.Context(), w.Client, mfa.StartRequest{Org: org, User: mfa.Person{ID: user}})
			if err == nil && got.Decision.Decision == mfa.Allow {
				in <- struct{}{}
			}
			c.add(err)
		})
		c.wantOnly(t, "", mfa.Busy)
		if len(in) != three {
			t.Errorf("got %d let in, want %d", len(in), three)
		}
	})
}

func TestH4AUserIsEnforcedWhateverThePolicyRequires(t *testing.T) {
	w := mfatest.New(t)
	w.SetPolicy(t, org, "talkdesk", nil)
	before := letIn(t, w, user)
	enforce := func(q mfa.Enforcement) mfa.User {
		t.Helper()
		u, err := w.Enforce(t.Context(), w.Client, org, user, q)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	yes, no := true, false
	later := w.Clock.Now().Add(time.Hour)
	if u := enforce(mfa.Enforcement{Enforced: &yes, GraceUntil: mfa.Some(later)}); !u.Enforced || !u.Required || u.Status != mfa.InGrace || !u.GraceUntil.Equal(later) {
		t.Errorf("got %+v, want the user enforced, in grace until %v", u, later)
	}
	wantActive(t, w, user, before, true, "") // who may skip needn't enrol
	decidedFor(t, w, user, mfa.Allow, mfa.Grace)
	if u := enforce(mfa.Enforcement{GraceUntil: mfa.Optional[time.Time]{Set: true}}); u.GraceUntil != nil || u.Status != mfa.Unprotected {
		t.Errorf("got %+v, want no grace", u)
	}
	wantActive(t, w, user, before, false, "signed_out_by_policy") // under a policy that signs out at once
	decidedFor(t, w, user, mfa.Enrol, mfa.Required)
	decidedFor(t, w, "u-2", mfa.Allow, mfa.NotRequired)
	if u := enforce(mfa.Enforcement{Enforced: &no}); u.Enforced || u.Required {
		t.Errorf("got %+v, want nothing required", u)
	}
	decidedFor(t, w, user, mfa.Allow, mfa.NotRequired)
	wantActive(t, w, user, before, false, "signed_out_by_policy")
	enforce(mfa.Enforcement{Enforced: &no}) // changes nothing
	if e, g := events(t, w, mfa.UserEnforced), events(t, w, mfa.UserGraceChanged); len(e) != 2 || len(g) != 2 || e[0].Data["enforced"] != true || e[1].Data["enforced"] != false ||
		g[0].Data["grace_until"] == nil || g[1].Data["grace_until"] != nil {
		t.Errorf("got %+v and %+v", e, g)
	}
	if told := signedOutEvents(t, w)[user]; len(told) != 1 {
		t.Errorf("got %v, want to be told of once", told)
	}
	_, err := w.Enforce(t.Context(), w.NewClient(t, apikey.Grant{Client: "app", Scopes: []apikey.Scope{apikey.SignIn, apikey.Manage}}), org, user, mfa.Enforcement{Enforced: &yes})
	wantCode(t, err, mfa.Forbidden)
	_, err = w.Enforce(t.Context(), w.Client, org, "nobody", mfa.Enforcement{Enforced: &yes})
	wantCode(t, err, mfa.NotFound)
}

func TestT5WhenItIsNoLongerRequiredItStaysOnWhereItWasOn(t *testing.T) {
	w := mfatest.New(t)
	signsOut(t, w, nil)
	a, _ := enrolsToSignIn(t, w, user)
	w.SetPolicy(t, org, "talkdesk", nil)
	decidedFor(t, w, user, mfa.Challenge, mfa.EnabledByUser)
	got := decidedFor(t, w, "u-new", mfa.Allow, mfa.NotRequired)
	if got.Offer == nil || len(got.Offer.Kinds) == 0 {
		t.Errorf("got %+v, want kinds offered", got.Offer)
	}
	if u, err := w.SetEnabled(t.Context(), w.StepUp(t, org, user, a), org, user, false); err != nil || u.Enabled {
		t.Errorf("got %+v, %v, want it turned off", u, err)
	}
	decidedFor(t, w, user, mfa.Allow, mfa.NotRequired)
}

func TestASessionThatGraceLetInEndsWhenTheGraceIsShortenedByAPolicyThatSignsOut(t *testing.T) {
	w := mfatest.New(t)
	until := w.Clock.Now().Add(time.Hour)
	save := func(until *time.Time) mfa.Preview {
		t.Helper()
		change := func(p *mfa.Policy) { p.GraceUntil = until }
		p := profile(t, "talkdesk")
		p.Require = mfa.Everyone
		change(&p)
		preview, err := w.PreviewPolicy(t.Context(), w.Client, org, p)
		if err != nil {
			t.Fatal(err)
		}
		signsOut(t, w, change)
		return preview
	}
	save(&until)
	issued := *decidedFor(t, w, user, mfa.Allow, mfa.Grace).IssuedAt
	wantActive(t, w, user, issued, true, "")
	sooner := until.Add(-30 * time.Minute)
	if got := save(&sooner); got.SignedOut != 0 || got.MustEnrol != 0 {
		t.Errorf("got %+v, want nobody signed out", got)
	}
	wantActive(t, w, user, issued, true, "")
	if got := save(nil); got.SignedOut != 1 || got.MustEnrol != 1 || len(got.Sample) != 1 {
		t.Errorf("got %+v, want the user signed out", got)
	}
	wantActive(t, w, user, issued, false, "signed_out_by_policy")
	decidedFor(t, w, user, mfa.Enrol, mfa.Required)
}
