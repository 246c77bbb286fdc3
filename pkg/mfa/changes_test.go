package mfa_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/store/fault"
)

func TestARenamingIsToldWhereSomethingWasRenamed(t *testing.T) {
	w, a := protected(t, nil)
	for _, label := range []string{"", "phone", "phone", "", "phone"} {
		before := w.Faults.Counts().Items
		renamed, err := w.RenameFactor(t.Context(), w.Client, org, user, a.Factor, label)
		if err != nil || renamed.Label != label {
			t.Fatalf("got %+v, %v", renamed, err)
		}
		if got := w.Faults.Counts().Items - before; got > 1 {
			t.Errorf("got %d items written", got)
		}
	}
	got := events(t, w, mfa.FactorRenamed)
	if len(got) != 3 || got[0].Data["factor"] != a.Factor || got[0].Data["kind"] != "totp" {
		t.Errorf("got %+v, want three renamings told", got)
	}
}

// A user who must have a factor keeps at least one that the policy allows. A forbidden factor doesn't count.
func TestTheLastFactorIsTheLastThatThePolicyAllows(t *testing.T) {
	for name, c := range map[string]struct {
		email   string
		require string
		app     mfa.ErrorCode // the refusal of removing the app; empty if it is removed
	}{
		"the address may be used":               {mfa.Enrolled, mfa.Everyone, ""},
		"the address is a factor as it is":      {mfa.Implicit, mfa.Everyone, ""},
		"the address is forbidden":              {mfa.NotAllowed, mfa.Everyone, mfa.LastFactor},
		"the address is forbidden, nobody must": {mfa.NotAllowed, mfa.Nobody, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w, a := protected(t, nil)
			byMail := enrolMail(t, w, stepUp(t, w, a))
			w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Methods.Email, p.Require = c.email, c.require })
			if got := codeOf(w.RemoveFactor(t.Context(), stepUp(t, w, a), org, user, a.Factor)); got != c.app {
				t.Errorf("the app: got %q, want %q", got, c.app)
			}
			if c.app == "" {
				return
			}
			if err := w.RemoveFactor(t.Context(), stepUp(t, w, a), org, user, byMail.Factor.ID); err != nil {
				t.Errorf("the forbidden address: %v", err)
			}
		})
	}
}

// If an administrator's enrolment owes recovery codes, they come once, with the next verify of any purpose. If it owes none,
// no codes come later.
func TestCodesThatAreOwedComeWithTheNextVerifyOnce(t *testing.T) {
	for _, c := range []struct {
		purpose     string
		count, come int
		countsLater int
	}{{mfa.SignIn, 10, 10, 10}, {mfa.StepUp, 10, 10, 10}, {mfa.SignIn, 10, 3, 3}, {mfa.SignIn, 0, 0, 10}, {mfa.SignIn, 10, 0, 0}} {
		w := mfatest.New(t)
		set := func(count int) { w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Recovery.Count = count }) }
		set(c.count)
		who := ana().User
		begun, err := w.BeginEnrolment(t.Context(), w.Client, mfa.EnrolRequest{
			Org: org, User: &who, Kind: mfa.TOTP, OnBehalf: &mfa.Intervention{Actor: "olaf", Reason: "a new phone"},
		})
		if err != nil {
			t.Fatal(err)
		}
		a := typed(t, begun)
		done, err := w.FinishEnrolment(t.Context(), w.Client, mfa.FinishRequest{Enrolment: begun.ID, Answer: mfa.Answer{Code: w.Code(a)}})
		if err != nil || done.RecoveryCodes != nil {
			t.Fatalf("%+v: got %+v, %v, want no codes at once", c, done, err)
		}
		set(c.countsLater)
		for _, want := range []int{c.come, 0} {
			q := ana()
			q.Purpose = c.purpose
			answer, err := verify(t, w, started(t, w, q).ID, w.NextCode(a), false)
			if err != nil || len(answer.RecoveryCodes) != want {
				t.Errorf("%+v: got %d codes, %v, want %d", c, len(answer.RecoveryCodes), err, want)
			}
		}
	}
}

func TestADeprovisionedUserStaysSoWhateverIsReportedNext(t *testing.T) {
	w, _ := protected(t, nil)
	reported := []string{mfa.PasswordChanged, mfa.Deprovisioned, mfa.SignedOut, mfa.PasswordChanged}
	for i, kind := range reported {
		if _, err := w.Report(t.Context(), w.Client, org, user, kind); err != nil {
			t.Fatal(err)
		}
		want := mfa.ErrorCode("")
		if i > 0 {
			want = mfa.Forbidden
		}
		for name, q := range map[string]mfa.StartRequest{"a sign-in": ana(), "a step-up": {Org: org, User: mfa.Person{ID: user}, Purpose: mfa.StepUp}} {
			if _, err := w.StartChallenge(t.Context(), w.Client, q); codeOf(err) != want {
				t.Errorf("%s after %s: got %v, want %q", name, kind, err, want)
			}
		}
	}
	var told []string
	for _, e := range events(t, w, mfa.UserReported) {
		told = append(told, fmt.Sprint(e.Data["kind"]))
	}
	if !slices.Equal(told, reported) {
		t.Errorf("got %v told, want %v", told, reported)
	}
}

// A call that was refused because it lacked a header is tried again once it has the header, under the same Idempotency-Key.
func TestACallThatLackedProofIsTriedAnewWithIt(t *testing.T) {
	for name, act := range map[string]func(w *mfatest.World, call mfa.Call) error{
		"new recovery codes": func(w *mfatest.World, call mfa.Call) error {
			_, err := w.NewRecoveryCodes(t.Context(), keyed(call, "/recovery-codes", "k", ""), org, user)
			return err
		},
		"an enrolment": func(w *mfatest.World, call mfa.Call) error {
			who := ana().User
			_, err := w.BeginEnrolment(t.Context(), keyed(call, "/enrolments", "k", "{}"), mfa.EnrolRequest{Org: org, User: &who, Kind: mfa.TOTP})
			return err
		},
	} {
		w, a := protected(t, nil)
		if err := act(w, w.Client); codeOf(err) != mfa.ReauthenticationNeeded {
			t.Errorf("%s, without a password check: got %v", name, err)
		}
		if err := act(w, w.Fresh()); codeOf(err) != mfa.StepUpNeeded {
			t.Errorf("%s, without a proof: got %v", name, err)
		}
		if err := act(w, stepUp(t, w, a)); err != nil {
			t.Errorf("%s, with both: %v", name, err)
		}
	}
}

// An erasure ends only the user for whom it was asked. It leaves a user who is created with the same id meanwhile.
func TestAUserMadeWhileAnErasureGoesOnStays(t *testing.T) {
	w, _ := protected(t, nil)
	w.Faults.Inject(fault.Query, 2, fault.Fault{}) // the first time, the user's items and the requests for a reset are read
	w.Faults.Inject(fault.Query, 1, fault.Fault{Before: func(ctx context.Context) error {
		_, err := w.PutUser(ctx, w.Client, org, mfa.Person{ID: user, Name: mfa.Some("Another")})
		return err
	}})
	if err := w.EraseUser(t.Context(), w.Client, org, user); err != nil {
		t.Fatal(err)
	}
	if n := w.Faults.Waiting(fault.Query); n != 0 {
		t.Fatalf("%d reads were not interrupted", n)
	}
	if u := shown(t, w); u.Name == nil || *u.Name != "Another" || len(u.Factors) != 0 || u.Email != nil {
		t.Errorf("got %+v, want the user who was made meanwhile, with nothing of the one before", u)
	}
}

// The first commit of an erasure already removes what the activity says about the user, even if the erasure is then cut off.
func TestAnErasureThatIsCutOffHasEmptiedTheActivity(t *testing.T) {
	w, a := protected(t, func(p *mfa.Policy) { p.Trust.Cap = 50 })
	for range 30 {
		trustedByApp(t, w, a)
		w.Clock.Advance(time.Minute)
	}
	w.Drain(t)
	if got := listActivity(t, w, mfa.ActivityQuery{Org: org}); !strings.Contains(fmt.Sprint(got), user) {
		t.Fatalf("got %v, want events that name the user", got)
	}
	failLater(w, "commit", 1)
	if err := w.EraseUser(t.Context(), w.Client, org, user); codeOf(err) != mfa.Unavailable {
		t.Fatalf("got %v, want it cut off", err)
	}
	w.Faults.Clear()
	if got := fmt.Sprint(listActivity(t, w, mfa.ActivityQuery{Org: org})); strings.Contains(got, user) || strings.Contains(got, a.Factor) {
		t.Errorf("got %s, want nothing of the user", got)
	}
}
