package mfa_test

import (
	"slices"
	"testing"

	"countersign/pkg/activity"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

// everybodysNulls is a user as a JSON library writes one that has only an id: all other fields are null.
func everybodysNulls() mfa.Person {
	null := mfa.Optional[string]{Set: true}
	return mfa.Person{ID: user, Email: null, Phone: null, Name: null, Locale: null}
}

// full is a user with a complete profile.
func full() mfa.Person {
	return mfa.Person{ID: user, Email: mfa.Some(mail), Phone: mfa.Some("+33612345678"), Name: mfa.Some("Ana"), Locale: mfa.Some("fr")}
}

func TestANullAtAStartChangesNothing(t *testing.T) {
	w := kls(t, nil)
	put(t, w, full())
	token := trusted(t, w)
	before := everything(t, w, org, user)
	q := mfa.StartRequest{Org: org, User: everybodysNulls(), TrustToken: token}
	if decision, err := w.Decide(t.Context(), w.Client, q); err != nil || decision.Reason != mfa.BrowserTrust {
		t.Errorf("got %+v, %v, want a trusted browser", decision, err)
	}
	if after := everything(t, w, org, user); after != before {
		t.Errorf("got %s, want %s", after, before)
	}
	if answer, err := w.StartChallenge(t.Context(), w.Client, q); err != nil || answer.Reason != mfa.BrowserTrust {
		t.Errorf("got %+v, %v, want a trusted browser", answer.Decision, err)
	}
	if got := said(shown(t, w)); got != "u-17 ana@acme.example +33612345678 Ana fr" {
		t.Errorf("got %s, want it as it was", got)
	}
	if got := events(t, w, mfa.UserUpdated); len(got) != 0 {
		t.Errorf("got %+v, want no user.updated", got)
	}
	put(t, w, everybodysNulls())
	if got := said(shown(t, w)); got != "u-17 - - - -" {
		t.Errorf("after a PUT: got %s, want all of it cleared", got)
	}
}

func TestANullAtAnEnrolmentChangesNothing(t *testing.T) {
	w := mfatest.New(t)
	put(t, w, full())
	person := everybodysNulls()
	if _, err := w.BeginEnrolment(t.Context(), w.Fresh(), mfa.EnrolRequest{Org: org, User: &person, Kind: mfa.TOTP}); err != nil {
		t.Fatal(err)
	}
	if got := said(shown(t, w)); got != "u-17 ana@acme.example +33612345678 Ana fr" {
		t.Errorf("got %s, want it as it was", got)
	}
}

func TestARefusedCallLeavesProfileAndTrustAsTheyWere(t *testing.T) {
	other := full()
	other.Email, other.Name = mfa.Some("ana@other.example"), mfa.Some("bad\nname") // a valid address, and a name that is invalid
	start := func(t *testing.T, w *mfatest.World) error {
		_, err := w.StartChallenge(t.Context(), w.Client, mfa.StartRequest{Org: org, User: other})
		return err
	}
	stepUp := func(t *testing.T, w *mfatest.World) error {
		kind := mfa.TOTP
		_, err := w.StartChallenge(t.Context(), w.Client, mfa.StartRequest{Org: org, User: other, Purpose: mfa.StepUp, Method: &kind})
		return err
	}
	begin := func(call func(*mfatest.World) mfa.Call, kind mfa.Kind) func(t *testing.T, w *mfatest.World) error {
		return func(t *testing.T, w *mfatest.World) error {
			_, err := w.BeginEnrolment(t.Context(), call(w), mfa.EnrolRequest{Org: org, User: &other, Kind: kind})
			return err
		}
	}
	deprovision := func(t *testing.T, w *mfatest.World) {
		if _, err := w.Report(t.Context(), w.Client, org, user, "deprovisioned"); err != nil {
			t.Fatal(err)
		}
	}
	salto := func(t *testing.T, w *mfatest.World) { w.SetPolicy(t, org, "salto", nil) }
	client := func(w *mfatest.World) mfa.Call { return w.Client }
	fresh := func(w *mfatest.World) mfa.Call { return w.Fresh() }
	for name, c := range map[string]struct {
		before func(*testing.T, *mfatest.World)
		call   func(*testing.T, *mfatest.World) error
		want   mfa.ErrorCode
	}{
		"a start of somebody who is locked":                 {func(t *testing.T, w *mfatest.World) { lock(t, w) }, start, mfa.Locked},
		"a start of somebody who was deprovisioned":         {deprovision, start, mfa.Forbidden},
		"a step-up by a kind that the user does not have":   {nil, stepUp, mfa.MethodForbidden},
		"an enrolment of somebody who is not fresh":         {nil, begin(client, mfa.TOTP), mfa.ReauthenticationNeeded},
		"an enrolment of somebody who was deprovisioned":    {deprovision, begin(fresh, mfa.TOTP), mfa.Forbidden},
		"an enrolment of a kind that the policy forbids":    {salto, begin(fresh, mfa.WebAuthn), mfa.MethodForbidden},
		"an enrolment of an address while codes are locked": {func(t *testing.T, w *mfatest.World) { lock(t, w); salto(t, w) }, begin(fresh, mfa.Email), mfa.Locked},
	} {
		t.Run(name, func(t *testing.T) {
			w := kls(t, nil)
			put(t, w, full())
			trusted(t, w)
			if c.before != nil {
				c.before(t, w)
			}
			w.Drain(t)
			before, told := everything(t, w, org, user), len(w.Events.All())
			w.Faults.Reset()
			wantCode(t, c.call(t, w), c.want)
			if got := w.Faults.Counts().Commit; got != 0 {
				t.Errorf("got %d commits, want nothing written", got)
			}
			w.Client = keyed(w.Client, "/path", "key", "body") // its answer may be remembered, which needs a commit
			wantCode(t, c.call(t, w), c.want)
			w.Drain(t)
			if after := everything(t, w, org, user); after != before || len(w.Events.All()) != told {
				t.Errorf("got %s and %d events, want %s and %d", after, len(w.Events.All()), before, told)
			}
		})
	}
}

func TestARefusedStartThatGivesATheftAwayTellsOfNothingElse(t *testing.T) {
	w := kls(t, nil)
	put(t, w, mfa.Person{ID: user, Email: mfa.Some(mail), Name: mfa.Some("Ana")})
	first := trusted(t, w)
	used(t, w, used(t, w, first))
	lock(t, w)
	w.Drain(t)
	told := len(w.Events.All())
	said := mfa.Person{ID: user, Name: mfa.Some("Anna"), Phone: mfa.Some("+33612345678"), Locale: mfa.Some("not a language")}
	_, err := w.StartChallenge(t.Context(), w.Client, mfa.StartRequest{Org: org, User: said, TrustToken: first})
	wantCode(t, err, mfa.Locked)
	if u := shown(t, w); *u.Name != "Ana" || u.Phone != nil {
		t.Errorf("got %+v, want the profile as it was", u)
	}
	w.Drain(t)
	if got := w.Events.All()[told:]; len(got) != 1 || got[0].Type != mfa.BrowserTheft {
		t.Errorf("got %+v, want the theft and nothing else", got)
	}
}

func TestAnAllowedOrAskedStartAndAnEnrolmentFollowTheProfile(t *testing.T) {
	other := full()
	other.Email, other.Name = mfa.Some("ana@other.example"), mfa.Some("Anna")
	start := func(t *testing.T, w *mfatest.World) error {
		_, err := w.StartChallenge(t.Context(), w.Client, mfa.StartRequest{Org: org, User: other})
		return err
	}
	for name, c := range map[string]struct {
		profile string
		change  func(*mfa.Policy)
		call    func(*testing.T, *mfatest.World) error
	}{
		"asked":    {"kls", nil, start},
		"allowed":  {"salto", nil, start},
		"to enrol": {"salto", func(p *mfa.Policy) { p.Require = mfa.Everyone }, start},
		"enrolling": {"salto", nil, func(t *testing.T, w *mfatest.World) error {
			_, err := w.BeginEnrolment(t.Context(), w.Fresh(), mfa.EnrolRequest{Org: org, User: &other, Kind: mfa.TOTP})
			return err
		}},
	} {
		w := mfatest.New(t)
		w.SetPolicy(t, org, c.profile, c.change)
		put(t, w, full())
		if err := c.call(t, w); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := said(shown(t, w)); got != "u-17 ana@other.example +33612345678 Anna fr" {
			t.Errorf("%s: got %s, want what the client said", name, got)
		}
		if got := events(t, w, mfa.UserUpdated); len(got) != 1 || !slices.Equal(namesIn(got[0]), []string{"email", "name"}) {
			t.Errorf("%s: got %+v, want one user.updated", name, got)
		}
	}
}

// namesIn returns the names of the fields that an event says have changed.
func namesIn(e activity.Event) (names []string) {
	all, _ := e.Data["changed"].([]any)
	for _, name := range all {
		names = append(names, name.(string))
	}
	return names
}

func TestAUserIsMadeOnFirstSightEvenWhereTheCallIsRefused(t *testing.T) {
	person := mfa.Person{ID: user, Name: mfa.Some("Ana")}
	for name, c := range map[string]struct {
		call func(*mfatest.World) error
		want mfa.ErrorCode
	}{
		"a start": {func(w *mfatest.World) error {
			_, err := w.StartChallenge(t.Context(), w.Client, mfa.StartRequest{Org: org, User: person})
			return err
		}, mfa.NothingToSend},
		"an enrolment": {func(w *mfatest.World) error {
			_, err := w.BeginEnrolment(t.Context(), w.Client, mfa.EnrolRequest{Org: org, User: &person, Kind: mfa.TOTP})
			return err
		}, mfa.ReauthenticationNeeded},
	} {
		w := kls(t, nil)
		wantCode(t, c.call(w), c.want)
		if u, err := w.GetUser(t.Context(), w.Client, org, user); err != nil || u.Name == nil || *u.Name != "Ana" {
			t.Errorf("%s: got %+v, %v, want the user", name, u, err)
		}
		wantTypes(t, w, "user.created")
	}
}

func TestAUserIsToldOfAtTheFirstSightAndNeverAgain(t *testing.T) {
	start := func(w *mfatest.World) error {
		_, err := w.StartChallenge(t.Context(), w.Client, ana())
		return err
	}
	enrol := func(w *mfatest.World) error {
		person := ana().User
		_, err := w.BeginEnrolment(t.Context(), w.Fresh(), mfa.EnrolRequest{Org: org, User: &person, Kind: mfa.TOTP})
		return err
	}
	putAna := func(w *mfatest.World) error {
		_, err := w.PutUser(t.Context(), w.Client, org, ana().User)
		return err
	}
	for name, call := range map[string]func(*mfatest.World) error{"a start": start, "an enrolment": enrol, "a PUT": putAna} {
		w := mfatest.New(t)
		w.Faults.Reset()
		if err := call(w); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := w.Faults.Counts().Commit; got != 1 {
			t.Errorf("%s: got %d commits, want the event in the one that makes the user", name, got)
		}
		for _, again := range []func(*mfatest.World) error{start, enrol, putAna} {
			if err := again(w); err != nil {
				t.Fatalf("%s, and again: %v", name, err)
			}
		}
		got := events(t, w, mfa.UserCreated)
		if len(got) != 1 || got[0].User != user || got[0].Org != org || got[0].Actor != (activity.Actor{Kind: "client", ID: "app"}) {
			t.Errorf("%s: got %+v, want one user.created, by the client", name, got)
		}
		if err := w.EraseUser(t.Context(), w.Client, org, user); err != nil {
			t.Fatal(err)
		}
		if err := call(w); err != nil {
			t.Fatalf("%s, made again: %v", name, err)
		}
		if got := events(t, w, mfa.UserCreated); len(got) != 2 {
			t.Errorf("%s: got %d user.created, want another for the user who was made again", name, len(got))
		}
	}
}
