package mfa_test

import (
	"strings"
	"testing"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

func approved(p *mfa.Policy) { p.Reset.SecondApprover = true }

func held(p *mfa.Policy) { p.Reset.HoldS = 86400 }

// second returns the API key of another client.
func second(t *testing.T, w *mfatest.World) mfa.Call {
	t.Helper()
	return w.NewClient(t, apikey.Grant{Client: "backoffice", Scopes: apikey.Scopes()})
}

func askReset(t *testing.T, w *mfatest.World) mfa.ResetRequest {
	t.Helper()
	answer, err := w.ResetUser(t.Context(), w.Client, org, user, lost)
	if err != nil || answer.Request == nil {
		t.Fatalf("got %+v, %v, want a request that waits", answer, err)
	}
	return *answer.Request
}

// wantReset fails the test unless a request is in a state, for whoever gets it and lists it, and the user has as many factors.
func wantReset(t *testing.T, w *mfatest.World, id, state string, factors int) mfa.ResetRequest {
	t.Helper()
	got, err := w.GetReset(t.Context(), w.Client, id)
	if err != nil || got.State != state {
		t.Fatalf("got %+v, %v, want it %s", got, err, state)
	}
	listed, err := w.ListResets(t.Context(), w.Client, org, mfa.ResetsQuery{State: state})
	if err != nil || len(listed.Items) != 1 || text(t, listed.Items[0]) != text(t, got) {
		t.Errorf("got %+v, %v, want %+v listed as %s", listed, err, got, state)
	}
	if u := shown(t, w); len(u.Factors) != factors {
		t.Errorf("got %d factors, want %d", len(u.Factors), factors)
	}
	return got
}

func TestASecondApproverOfAnotherClientLetsAResetHappen(t *testing.T) {
	w, _ := protected(t, approved)
	r := askReset(t, w)
	if r.State != "pending" || r.User != user || r.RequestedBy != "olga" || r.ApprovedBy != nil || r.Reason != lost.Reason || r.Due != nil || !r.NeedsApproval {
		t.Errorf("got %+v, want one that waits for an approver", r)
	}
	wantReset(t, w, r.ID, "pending", 1)
	got, err := w.ApproveReset(t.Context(), second(t, w), r.ID, "paul")
	if err != nil || got.State != "done" || *got.ApprovedBy != "paul" || got.Reason != lost.Reason {
		t.Fatalf("got %+v, %v, want it done", got, err)
	}
	wantReset(t, w, r.ID, "done", 0)
	w.Drain(t)
	olga, paul := activity.Actor{Kind: "administrator", ID: "olga"}, activity.Actor{Kind: "administrator", ID: "paul"}
	for kind, want := range map[string]activity.Actor{mfa.UserResetRequested: olga, mfa.UserResetApproved: paul, mfa.UserReset: paul} {
		if got := events(t, w, kind); len(got) != 1 || got[0].Actor != want || got[0].Data["request"] != r.ID {
			t.Errorf("%s: got %+v, want one of the request by %+v", kind, got, want)
		}
	}
}

func TestWhoAsksWhoApprovesAndTheUserAreThreePeopleAndTwoClients(t *testing.T) {
	w, _ := protected(t, approved)
	r := askReset(t, w)
	other := second(t, w)
	for name, c := range map[string]struct {
		by    mfa.Call
		actor string
		want  mfa.ErrorCode
	}{
		"who asked, by another client":      {other, "olga", mfa.Forbidden},
		"the user, by another client":       {other, user, mfa.Forbidden},
		"another person of the same client": {w.Client, "paul", mfa.Forbidden},
		"another key of the same client":    {w.NewClient(t, apikey.Grant{Client: "app", Scopes: apikey.Scopes()}), "paul", mfa.Forbidden},
		"nobody":                            {other, "", mfa.InvalidRequest},
		"another scope":                     {w.NewClient(t, apikey.Grant{Client: "backoffice", Scopes: []apikey.Scope{apikey.Manage, apikey.SignIn}}), "paul", mfa.Forbidden},
		"a key for another org":             {w.NewClient(t, apikey.Grant{Client: "backoffice", Scopes: apikey.Scopes(), Org: "globex"}), "paul", mfa.NotFound},
	} {
		if _, err := w.ApproveReset(t.Context(), c.by, r.ID, c.actor); mfa.AsError(err).Code != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	wantReset(t, w, r.ID, "pending", 1)
}

func TestAResetWaitsForItsTimeAndThenTheNextStepCarriesItOut(t *testing.T) {
	for name, step := range map[string]func(t *testing.T, w *mfatest.World, a *mfatest.Authenticator){
		"a start": func(t *testing.T, w *mfatest.World, _ *mfatest.Authenticator) {
			answer, err := w.StartChallenge(t.Context(), w.Client, ana())
			if err != nil || answer.Decision.Decision != mfa.Allow || answer.Reason != mfa.NotRequired {
				t.Errorf("got %+v, %v, want a user without 2FA let in", answer.Decision, err)
			}
		},
		"the sweep": func(t *testing.T, w *mfatest.World, _ *mfatest.Authenticator) {
			w.Clock.Advance(time.Hour)
			if swept, err := w.Sweep(t.Context()); err != nil || swept.Announced != 1 {
				t.Errorf("got %+v, %v, want one", swept, err)
			}
			if swept, err := w.Sweep(t.Context()); err != nil || swept.Announced != 0 {
				t.Errorf("again: got %+v, %v, want none", swept, err)
			}
		},
		"a look at the account": func(t *testing.T, w *mfatest.World, _ *mfatest.Authenticator) { shown(t, w) },
	} {
		t.Run(name, func(t *testing.T) {
			w, a := protected(t, held)
			r := askReset(t, w)
			if want := w.Clock.Now().Add(24 * time.Hour); r.Due == nil || !r.Due.Equal(want) || r.NeedsApproval {
				t.Fatalf("got %+v, want it due at %v", r, want)
			}
			w.Clock.Advance(24*time.Hour - time.Second)
			if _, err := signIn(t, w, w.Code(a)); err != nil {
				t.Errorf("while it waits: %v", err)
			}
			open := started(t, w, ana())
			wantReset(t, w, r.ID, "pending", 1)
			w.Clock.Advance(time.Second)
			d, err := w.Decide(t.Context(), w.Client, ana())
			if err != nil || d.Decision != mfa.Allow {
				t.Errorf("got %+v, %v, want what a start decides", d, err)
			}
			if n := len(events(t, w, mfa.UserReset)); n != 0 {
				t.Error("a decision without a side effect has carried it out")
			}
			_, err = verify(t, w, open.ID, w.NextCode(a), false)
			wantCode(t, err, mfa.ChallengeInvalid)
			step(t, w, a)
			told := events(t, w, mfa.UserReset)
			if len(told) != 1 || told[0].Actor.Kind != "service" || told[0].Data["request"] != r.ID {
				t.Errorf("got %+v, want one event of a reset by the service", told)
			}
			wantReset(t, w, r.ID, "done", 0)
			w.Drain(t)
			if last := lastMail(t, w, mail); !strings.Contains(last.Subject, "was reset") {
				t.Errorf("got %q, want the user told", last.Subject)
			}
		})
	}
}

func TestNobodyHearsThatTheyHaveDecidedARequestWhichWasDue(t *testing.T) {
	for name, decide := range map[string]func(*mfatest.World, string) error{
		"cancel": func(w *mfatest.World, id string) error {
			_, err := w.CancelReset(t.Context(), w.Client, id, "olga")
			return err
		},
		"approve": func(w *mfatest.World, id string) error {
			_, err := w.ApproveReset(t.Context(), second(t, w), id, "paul")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := protected(t, held)
			r := askReset(t, w)
			w.Clock.Advance(24 * time.Hour)
			wantCode(t, decide(w, r.ID), mfa.NotFound)
			wantReset(t, w, r.ID, "done", 0)
		})
	}
}

func TestAnAdministratorCancelsAResetThatWaits(t *testing.T) {
	w, a := protected(t, held)
	r := askReset(t, w)
	got, err := w.CancelReset(t.Context(), w.Client, r.ID, "olga")
	if err != nil || got.State != "cancelled" || got.Reason != lost.Reason {
		t.Fatalf("got %+v, %v, want it cancelled", got, err)
	}
	_, err = w.CancelReset(t.Context(), w.Client, r.ID, "olga")
	wantCode(t, err, mfa.NotFound)
	w.Clock.Advance(48 * time.Hour)
	wantReset(t, w, r.ID, "cancelled", 1)
	if _, err := signIn(t, w, w.Code(a)); err != nil {
		t.Error(err)
	}
	if told := events(t, w, mfa.UserResetCancelled); len(told) != 1 || told[0].Actor.ID != "olga" {
		t.Errorf("got %+v, want one by olga", told)
	}
}

func TestARequestEndsWithWhatMakesItMoot(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *mfatest.World){
		"another address": func(t *testing.T, w *mfatest.World) {
			put(t, w, mfa.Person{ID: user, Email: mfa.Some("b@acme.example")})
		},
		"no address": func(t *testing.T, w *mfatest.World) {
			put(t, w, mfa.Person{ID: user, Email: mfa.Optional[string]{Set: true}})
		},
		"a report that it is another": func(t *testing.T, w *mfatest.World) {
			if _, err := w.Report(t.Context(), w.Client, org, user, mfa.EmailChanged); err != nil {
				t.Fatal(err)
			}
		},
		"a restore": func(t *testing.T, w *mfatest.World) {
			w.Keys.SetEpoch(w.Clock.Now().Unix())
			w.Client = w.NewClient(t, apikey.Grant{Client: "app", Scopes: apikey.Scopes()})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := protected(t, held)
			r := askReset(t, w)
			end(t, w)
			w.Clock.Advance(48 * time.Hour)
			if _, err := w.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantReset(t, w, r.ID, "cancelled", 1)
		})
	}
}

func TestARequestOutlivesANewPasswordAndASignOut(t *testing.T) {
	w, _ := protected(t, held)
	r := askReset(t, w)
	for _, kind := range []string{mfa.PasswordChanged, mfa.SignedOut} {
		if _, err := w.Report(t.Context(), w.Client, org, user, kind); err != nil {
			t.Fatal(err)
		}
	}
	wantReset(t, w, r.ID, "pending", 1)
}

func TestARequestExpiresSevenDaysAfterItWasMadeOrBecameDue(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		policy func(*mfa.Policy)
		after  time.Duration
	}{
		"an approver": {approved, 7 * day},
		"both":        {func(p *mfa.Policy) { approved(p); held(p) }, 8 * day},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := protected(t, c.policy)
			r := askReset(t, w)
			w.Clock.Advance(c.after - time.Second)
			if got := wantReset(t, w, r.ID, "pending", 1); !got.Expires.Equal(w.Clock.Now().Add(time.Second)) {
				t.Errorf("got %+v, want it to expire in a second", got)
			}
			w.Clock.Advance(time.Second)
			wantReset(t, w, r.ID, "expired", 1)
			_, err := w.ApproveReset(t.Context(), second(t, w), r.ID, "paul")
			wantCode(t, err, mfa.NotFound)
			if again := askReset(t, w); again.ID == r.ID {
				t.Error("got the request that has expired")
			}
			listed, err := w.ListResets(t.Context(), w.Client, org, mfa.ResetsQuery{})
			if err != nil || len(listed.Items) != 2 {
				t.Errorf("got %+v, %v, want both", listed, err)
			}
		})
	}
}

func TestAPolicyThatWantsAnApproverHoldsForWhatWaits(t *testing.T) {
	w, _ := protected(t, held)
	r := askReset(t, w)
	w.SetPolicy(t, org, "default", func(p *mfa.Policy) { approved(p); held(p) })
	w.Clock.Advance(25 * time.Hour)
	wantReset(t, w, r.ID, "pending", 1)
	if got, err := w.ApproveReset(t.Context(), second(t, w), r.ID, "paul"); err != nil || got.State != "done" {
		t.Errorf("got %+v, %v, want it done", got, err)
	}
}

func TestAUserHasOneRequestAtATime(t *testing.T) {
	w, _ := protected(t, approved)
	askReset(t, w)
	_, err := w.ResetUser(t.Context(), w.Client, org, user, lost)
	wantCode(t, err, mfa.AlreadyExists)
}

func TestAnErasureLeavesNoRequest(t *testing.T) {
	w, _ := protected(t, approved)
	r := askReset(t, w)
	if err := w.EraseUser(t.Context(), w.Client, org, user); err != nil {
		t.Fatal(err)
	}
	_, err := w.GetReset(t.Context(), w.Client, r.ID)
	wantCode(t, err, mfa.NotFound)
	if listed, err := w.ListResets(t.Context(), w.Client, org, mfa.ResetsQuery{}); err != nil || len(listed.Items) != 0 {
		t.Errorf("got %+v, %v, want nothing", listed, err)
	}
}

func TestRequestsAreListedInPagesAndForTheirOrgOnly(t *testing.T) {
	w, _ := protected(t, approved)
	askReset(t, w)
	put(t, w, mfa.Person{ID: "ben"})
	if _, err := w.ResetUser(t.Context(), w.Client, org, "ben", lost); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	q := mfa.ResetsQuery{ListQuery: mfa.ListQuery{Limit: 1}}
	for range 2 {
		page, err := w.ListResets(t.Context(), w.Client, org, q)
		if err != nil || len(page.Items) != 1 {
			t.Fatalf("got %+v, %v, want one", page, err)
		}
		seen[page.Items[0].User] = true
		if page.Cursor == nil {
			break
		}
		q.Cursor = *page.Cursor
	}
	if len(seen) != 2 {
		t.Errorf("got %v, want both users", seen)
	}
	if other, err := w.ListResets(t.Context(), w.Client, "globex", mfa.ResetsQuery{}); err != nil || len(other.Items) != 0 {
		t.Errorf("got %+v, %v, want none of another org", other, err)
	}
	_, err := w.ListResets(t.Context(), w.Client, org, mfa.ResetsQuery{State: "open"})
	wantCode(t, err, mfa.InvalidRequest)
}

func TestOfManyApprovalsAndCancellationsAtOnceOneSideWins(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *mfatest.World) {
		w.SetPolicy(t, org, "default", approved)
		w.EnrolTOTP(t, w.Fresh(), org, ana().User)
		r := askReset(t, w)
		services, other := twice(w), second(t, w)
		var approvals, cancels tally
		atOnce(64, func(i int) {
			if i%2 == 0 {
				_, err := services[i/2%2].ApproveReset(t.Context(), other, r.ID, "paul")
				approvals.add(err)
				return
			}
			_, err := services[i/2%2].CancelReset(t.Context(), w.Client, r.ID, "olga")
			cancels.add(err)
		})
		for _, c := range []*tally{&approvals, &cancels} {
			if c.heard[""] == 0 {
				c.wantOnly(t, mfa.NotFound, mfa.Busy)
			} else {
				c.wantOnly(t, "", mfa.NotFound, mfa.Busy)
			}
		}
		if approvals.heard[""]+cancels.heard[""] != 1 {
			t.Fatalf("approvals heard %v and cancellations %v, want one success", approvals.heard, cancels.heard)
		}
		state, factors := "cancelled", 1
		if approvals.heard[""] == 1 {
			state, factors = "done", 0
		}
		wantReset(t, w, r.ID, state, factors)
		if n := len(events(t, w, mfa.UserReset)) + len(events(t, w, mfa.UserResetCancelled)); n != 1 {
			t.Errorf("%d events say how it ended, want 1", n)
		}
	})
}
