package mfa_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/fault"
)

// active reports whether a session of a user that began at a moment may go on, and why not.
func active(t *testing.T, w *mfatest.World, id string, issued time.Time) (bool, string) {
	t.Helper()
	got, err := w.Introspect(t.Context(), w.Client, mfa.IntrospectRequest{Org: org, User: id, IssuedAt: issued})
	if err != nil {
		t.Fatal(err)
	}
	if got.Active == (got.Since != nil) || got.Active == (got.Reason != "") {
		t.Errorf("got %+v, want a reason and a moment exactly if the session has ended", got)
	}
	return got.Active, got.Reason
}

func wantActive(t *testing.T, w *mfatest.World, id string, issued time.Time, want bool, reason string) {
	t.Helper()
	if got, why := active(t, w, id, issued); got != want || why != reason {
		t.Errorf("a session of %s of %v: got active %t because of %q, want %t, %q", id, issued, got, why, want, reason)
	}
}

// letIn starts a sign-in that nobody is asked at, and returns when the session began.
func letIn(t *testing.T, w *mfatest.World, id string) time.Time {
	t.Helper()
	got, err := w.StartChallenge(t.Context(), w.Client, mfa.StartRequest{Org: org, User: mfa.Person{ID: id}})
	if err != nil || got.IssuedAt == nil {
		t.Fatalf("%s: got %+v, %v, want to be let in", id, got.Decision, err)
	}
	return *got.IssuedAt
}

// signsOut saves the policy of talkdesk, which requires 2FA of everyone and signs users out at once.
func signsOut(t *testing.T, w *mfatest.World, change func(*mfa.Policy)) mfa.OrgPolicy {
	t.Helper()
	return w.SetPolicy(t, org, "talkdesk", func(p *mfa.Policy) {
		p.Require = mfa.Everyone
		if change != nil {
			change(p)
		}
	})
}

// enrolsToSignIn enrols an app at a sign-in that asks for that, and returns the app and when the session began.
func enrolsToSignIn(t *testing.T, w *mfatest.World, id string) (*mfatest.Authenticator, time.Time) {
	t.Helper()
	got, err := w.StartChallenge(t.Context(), w.Client, mfa.StartRequest{Org: org, User: mfa.Person{ID: id}})
	if err != nil || got.Decision.Decision != mfa.Enrol {
		t.Fatalf("%s: got %+v, %v, want to enrol", id, got.Decision, err)
	}
	a, done := w.EnrolTOTP(t, mfa.Call{Bearer: got.Enrolment.Token.Reveal()}, "", mfa.Person{})
	return a, *done.IssuedAt
}

// signedOutEvents returns the events that tell of users who were signed out, by user.
func signedOutEvents(t *testing.T, w *mfatest.World) map[string][]string {
	t.Helper()
	told := map[string][]string{}
	for _, e := range events(t, w, mfa.UserSignedOut) {
		told[e.User] = append(told[e.User], e.ID)
	}
	return told
}

func TestT3WhoHasNoFactorIsSignedOutAtOnceAndWhoHasOneStaysIn(t *testing.T) {
	w := mfatest.New(t)
	w.SetPolicy(t, org, "talkdesk", nil)
	without := letIn(t, w, "u-1")
	with := letIn(t, w, "u-2")
	a, _ := w.EnrolTOTP(t, w.Fresh(), org, mfa.Person{ID: "u-2"})
	never := w.Clock.Now()
	w.Clock.Advance(time.Minute) // longer than the end of the first save lies ahead
	signsOut(t, w, nil)

	wantActive(t, w, "u-1", without, false, "signed_out_by_policy")
	// A start beside the save is cut off, too, even if its process has read the time up to a commit's longest duration later.
	wantActive(t, w, "u-1", w.Clock.Now().Add(5*time.Second), false, "signed_out_by_policy")
	wantActive(t, w, "u-1", w.Clock.Now().Add(5*time.Second+time.Microsecond), true, "")
	wantActive(t, w, "u-2", with, true, "")
	wantActive(t, w, "u-3", never, false, "signed_out_by_policy") // a user never seen counts as one without a factor

	_, again := enrolsToSignIn(t, w, "u-1")
	wantActive(t, w, "u-1", again, true, "")
	wantActive(t, w, "u-1", without, false, "signed_out_by_policy") // enrolling never revives an older session
	w.Clock.Advance(mfatest.Step)
	ch := started(t, w, mfa.StartRequest{Org: org, User: mfa.Person{ID: "u-2"}})
	verified, err := verify(t, w, ch.ID, w.Code(a), false)
	if err != nil {
		t.Fatal(err)
	}
	wantActive(t, w, "u-2", verified.IssuedAt, true, "")

	_, seen := enrolsToSignIn(t, w, "u-3")
	if told := signedOutEvents(t, w); len(told["u-1"]) != 1 || len(told["u-2"])+len(told["u-3"]) != 0 {
		t.Errorf("got %v, want u-1 told of, and nobody who has a factor or was never seen before", told)
	}
	wantActive(t, w, "u-3", seen, true, "")
	wantActive(t, w, "u-3", never, false, "signed_out_by_policy")
}

func TestASessionThatBeginsRightAfterASaveIsNotEndedByIt(t *testing.T) {
	w := mfatest.New(t)
	w.SetPolicy(t, org, "talkdesk", nil)
	letIn(t, w, "u-1")
	signsOut(t, w, nil)
	_, first := enrolsToSignIn(t, w, "u-1") // at the same moment
	wantActive(t, w, "u-1", first, true, "")
	if _, err := w.Report(t.Context(), w.Client, org, "u-1", mfa.SignedOut); err != nil {
		t.Fatal(err)
	}
	wantActive(t, w, "u-1", first, false, "signed_out")
	outcome := letInBy(t, w, "u-1", mfa.StartRequest{FirstFactor: mfa.FirstFactor{Kind: "sso"}})
	wantActive(t, w, "u-1", outcome, true, "")
	wantActive(t, w, "u-1", first, false, "signed_out")
}

// letInBy lets a user in under a policy that asks nobody who comes by SSO.
func letInBy(t *testing.T, w *mfatest.World, id string, q mfa.StartRequest) time.Time {
	t.Helper()
	signsOut(t, w, func(p *mfa.Policy) { p.SSO = mfa.Bypass })
	q.Org, q.User = org, mfa.Person{ID: id}
	got, err := w.StartChallenge(t.Context(), w.Client, q)
	if err != nil || got.Reason != mfa.SSO {
		t.Fatalf("got %+v, %v, want to be let in", got.Decision, err)
	}
	return *got.IssuedAt
}

func TestWhateverEndsAnAccountsTrustEndsItsSessions(t *testing.T) {
	for reason, end := range map[string]func(w *mfatest.World) error{
		"signed_out":       func(w *mfatest.World) error { return reported(t, w, mfa.SignedOut) },
		"deprovisioned":    func(w *mfatest.World) error { return reported(t, w, mfa.Deprovisioned) },
		"password_changed": func(w *mfatest.World) error { return reported(t, w, mfa.PasswordChanged) },
		"revoked":          func(w *mfatest.World) error { return w.RevokeBrowsers(t.Context(), w.Client, org, user) },
		"email_changed": func(w *mfatest.World) error {
			_, err := w.PutUser(t.Context(), w.Client, org, mfa.Person{ID: user, Email: mfa.Some("new@acme.example")})
			return err
		},
		"restored": func(w *mfatest.World) error {
			restored(t, w)
			return nil
		},
	} {
		w := mfatest.New(t)
		w.SetPolicy(t, org, "default", nil)
		put(t, w, ana().User)
		issued := letIn(t, w, user)
		wantActive(t, w, user, issued, true, "")
		if err := end(w); err != nil {
			t.Fatalf("%s: %v", reason, err)
		}
		wantActive(t, w, user, issued, false, reason)
		if reason == "deprovisioned" {
			put(t, w, ana().User)
		}
		later := letIn(t, w, user)
		wantActive(t, w, user, later, true, "")
		wantActive(t, w, user, issued, false, reason)
		wantActive(t, w, "u-99", issued, reason != "restored", map[bool]string{true: "restored"}[reason == "restored"])
	}
}

func reported(t *testing.T, w *mfatest.World, kind string) error {
	_, err := w.Report(t.Context(), w.Client, org, user, kind)
	return err
}

func TestARecoveryThatResetsEndsAllSessionsButTheOneThatItBegins(t *testing.T) {
	w := mfatest.New(t)
	w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Recovery.Effect = mfa.EffectReset })
	put(t, w, ana().User)
	issued := letIn(t, w, user)
	a, _ := w.EnrolTOTP(t, w.Fresh(), org, ana().User)
	wantActive(t, w, user, issued, true, "")
	recovered := recoverBy(t, w, a, mfa.EffectReset)
	wantActive(t, w, user, issued, false, "recovery")
	wantActive(t, w, user, *recovered.IssuedAt, true, "")
}

func TestAnIntrospectionNeedsWholeFactsAndAKeyOfTheOrg(t *testing.T) {
	w := mfatest.New(t)
	for param, q := range map[string]mfa.IntrospectRequest{
		"org": {User: user, IssuedAt: w.Clock.Now()}, "user": {Org: org, IssuedAt: w.Clock.Now()}, "issued_at": {Org: org, User: user},
	} {
		_, err := w.Introspect(t.Context(), w.Client, q)
		if got := wantCode(t, err, mfa.InvalidRequest).Param; got != param {
			t.Errorf("got %s, want %s", got, param)
		}
	}
	wantActive(t, w, user, w.Clock.Now(), true, "") // it has read the filter key of bearers, too
	before := w.Faults.Counts()
	wantActive(t, w, user, w.Clock.Now(), true, "")
	after := w.Faults.Counts()
	if after.Items != before.Items || after.Get-before.Get != 1 || after.Query != before.Query {
		t.Errorf("got %+v, then %+v, want one read and no write", before, after)
	}
}

func TestEveryUserWhoWasSignedOutIsToldOfOnceWhoeverSettlesIt(t *testing.T) {
	w := mfatest.New(t)
	w.SetPolicy(t, org, "talkdesk", nil)
	for i := range 40 {
		letIn(t, w, fmt.Sprintf("u-%02d", i))
	}
	w.EnrolTOTP(t, w.Fresh(), org, mfa.Person{ID: "u-00"})
	w.Clock.Advance(time.Minute) // longer than the end of the first save lies ahead
	version := signsOut(t, w, nil).Version
	before := w.Clock.Now().Add(5 * time.Second)
	enrolsToSignIn(t, w, "u-01") // before anything was told
	put(t, w, mfa.Person{ID: "u-02", Name: mfa.Some("Bob")})
	for more := true; more; {
		var err error
		if more, err = w.FanOut(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	told := signedOutEvents(t, w)
	if len(told) != 39 {
		t.Errorf("got %d users told of, want all but the one with a factor", len(told))
	}
	for id, ids := range told {
		if len(ids) != 1 || id == "u-00" || ids[0] != mfa.SignedOutID(version, before, org, id) {
			t.Errorf("%s: got %v, want to be told of once", id, ids)
		}
	}
	enrolsToSignIn(t, w, "u-03")
	if more, err := w.FanOut(t.Context()); more || err != nil {
		t.Errorf("got %t, %v, want nothing left", more, err)
	}
	if again := signedOutEvents(t, w); fmt.Sprint(again) != fmt.Sprint(told) {
		t.Errorf("got %v, want nobody told of twice", again)
	}
}

// A run of the fan-out is cut off at each of its calls of the store: before the call, after it, or in its answer.
func TestAFanOutThatWasKilledAnywhereIsFinishedByTheNextRun(t *testing.T) {
	for _, method := range []fault.Method{fault.Commit, fault.Get, fault.Query} {
		for at := 0; ; at++ {
			w := mfatest.New(t)
			w.SetPolicy(t, org, "talkdesk", nil)
			for i := range 5 {
				letIn(t, w, fmt.Sprintf("u-%d", i))
			}
			signsOut(t, w, nil)
			killed := errors.New("killed")
			w.Faults.Inject(method, at, fault.Fault{})
			cut := fault.Lose(killed)
			if at%2 == 0 {
				cut = fault.Fail(killed)
			}
			w.Faults.Inject(method, 100, cut)
			_, err := w.FanOut(t.Context())
			w.Faults.Clear()
			if _, err := w.FanOut(t.Context()); err != nil {
				t.Fatal(err)
			}
			told := signedOutEvents(t, w)
			for i := range 5 {
				if id := fmt.Sprintf("u-%d", i); len(told[id]) != 1 {
					t.Errorf("%s cut off at call %d: %s was told of %d times", method, at, id, len(told[id]))
				}
			}
			if err == nil {
				break
			}
		}
	}
}

func TestT2EightSavesAtOnceAreOneSaveAndOneCutOff(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *mfatest.World) {
		now := w.SetPolicy(t, org, "talkdesk", nil)
		issued := letIn(t, w, "u-1")
		services := twice(w)
		p := profile(t, "talkdesk")
		p.Require = mfa.Everyone
		var c tally
		atOnce(8, func(i int) {
			_, err := services[i%2].PutPolicy(t.Context(), w.Client, org, mfa.PolicyChange{Policy: p, Version: &now.Version, Acknowledge: true})
			c.add(err)
		})
		c.wantOnly(t, "", mfa.VersionMismatch)
		if c.heard[""] != 1 {
			t.Errorf("got %v, want one save", c.heard)
		}
		wantActive(t, w, "u-1", issued, false, "signed_out_by_policy")
		atOnce(4, func(i int) { services[i%2].FanOut(t.Context()) })
		if told := signedOutEvents(t, w)["u-1"]; len(told) != 1 {
			t.Errorf("got %v, want to be told of once", told)
		}
	})
}

// An enrolment is finished beside the save that signs its user out. Once the save was answered, the user's earlier session has
// either ended for good, or the enrolment came before the save.
func TestT3AnEnrolmentBesideASaveNeverRevivesASession(t *testing.T) {
	ended := 0
	for round := range rounds() {
		w := mfatest.New(t)
		now := w.SetPolicy(t, org, "talkdesk", nil)
		issued := letIn(t, w, "u-1")
		begun, err := w.BeginEnrolment(t.Context(), w.Fresh(), mfa.EnrolRequest{Org: org, User: &mfa.Person{ID: "u-1"}, Kind: mfa.TOTP})
		if err != nil {
			t.Fatal(err)
		}
		a, err := mfatest.NewAuthenticator(begun.TOTP.URI.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		p := profile(t, "talkdesk")
		p.Require = mfa.Everyone
		// The enrolment has read everything, and waits before its commit until the save was answered, in every other round.
		arrived, release := make(chan struct{}, 1), make(chan struct{})
		if round%2 == 0 {
			w.Faults.Inject(fault.Commit, 1, fault.Hold(arrived, release))
		}
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := w.FinishEnrolment(t.Context(), w.Fresh(), mfa.FinishRequest{Enrolment: begun.ID, Answer: mfa.Answer{Code: w.Code(a)}}); err != nil {
				t.Error(err)
			}
		})
		if round%2 == 0 {
			<-arrived
		}
		if _, err := w.PutPolicy(t.Context(), w.Client, org, mfa.PolicyChange{Policy: p, Version: &now.Version, Acknowledge: true}); err != nil {
			t.Fatal(err)
		}
		was, _ := active(t, w, "u-1", issued)
		close(release)
		all.Wait()
		if is, _ := active(t, w, "u-1", issued); is && !was {
			t.Fatalf("round %d: the session was revived", round)
		} else if !is {
			ended++
		}
	}
	if ended == 0 {
		t.Error("no session was ended")
	}
}

func TestASaveThatDemandsNoMoreSignsNobodyOutAgain(t *testing.T) {
	w := mfatest.New(t)
	signsOut(t, w, func(p *mfa.Policy) { p.SSO = mfa.Bypass })
	sso := func() time.Time {
		got, err := w.StartChallenge(t.Context(), w.Client, mfa.StartRequest{Org: org, User: mfa.Person{ID: "u-1"}, FirstFactor: mfa.FirstFactor{Kind: "sso"}})
		if err != nil {
			t.Fatal(err)
		}
		return *got.IssuedAt
	}
	issued := sso()
	signsOut(t, w, func(p *mfa.Policy) { p.SSO, p.Locale = mfa.Bypass, "fr" })
	wantActive(t, w, "u-1", issued, true, "")
	signsOut(t, w, func(p *mfa.Policy) { p.SSO, p.Methods.WebAuthn = mfa.Bypass, mfa.NotAllowed })
	wantActive(t, w, "u-1", issued, false, "signed_out_by_policy")
}

// Whatever was saved before, the policy's item has at most one cut-off for each demand that no other covers.
func TestThePolicyKeepsOnlyCutOffsThatNoLaterOneCovers(t *testing.T) {
	w := mfatest.New(t)
	w.SetPolicy(t, org, "talkdesk", nil)
	issued := letIn(t, w, "u-1")
	for range 5 {
		w.Clock.Advance(time.Minute)
		w.SetPolicy(t, org, "talkdesk", nil)
		signsOut(t, w, nil)
	}
	var stored struct {
		CutOffs []struct{ Version int } `json:"cut_offs"`
	}
	look(t, storedPolicy(t, w), &stored)
	if len(stored.CutOffs) != 1 || stored.CutOffs[0].Version != 11 {
		t.Errorf("got %+v, want the last one only", stored.CutOffs)
	}
	wantActive(t, w, "u-1", issued, false, "signed_out_by_policy")
}

// storedPolicy returns the item of the org's policy.
func storedPolicy(t *testing.T, w *mfatest.World) store.Item {
	t.Helper()
	item, err := store.GetOne(t.Context(), w.Store, store.Key{Partition: "org#" + base64.RawURLEncoding.EncodeToString([]byte(seal.Route(org))), Sort: "policy"})
	if err != nil {
		t.Fatal(err)
	}
	return item
}

// An org that was erased and made again begins at the first version of its policy. What cut-offs of earlier ones have left must not
// keep its users from enrolling.
func TestAnOrgThatIsMadeAgainEnrolsItsUsers(t *testing.T) {
	w := mfatest.New(t)
	for range 3 {
		w.SetPolicy(t, org, "talkdesk", nil)
		signsOut(t, w, nil)
	}
	enrolsToSignIn(t, w, user)
	for done := false; !done; {
		var err error
		if done, err = w.EraseOrg(t.Context(), w.Client, org); err != nil {
			t.Fatal(err)
		}
	}
	signsOut(t, w, nil)
	_, issued := enrolsToSignIn(t, w, user)
	wantActive(t, w, user, issued, true, "")
}
