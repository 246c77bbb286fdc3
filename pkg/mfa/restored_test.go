package mfa_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/fault"
)

// restored gives the world's deployment a new epoch, as an operator does after restoring the data from a backup. It confirms
// the API key of the world's client.
func restored(t *testing.T, w *mfatest.World) (epoch int64) {
	t.Helper()
	epoch = w.Clock.Advance(time.Second).Unix()
	w.Keys.SetEpoch(epoch)
	if _, err := w.APIKeys.Confirm(t.Context(), apikey.ID(seal.NewSecret(w.Client.Bearer)), epoch); err != nil {
		t.Fatal(err)
	}
	return epoch
}

func TestAfterARestoreNothingIsAliveThatWasPendingOrTrustedBefore(t *testing.T) {
	w, a, done := withApp(t, nil)
	trust := trustedBy(t, w, a)
	w.Clock.Advance(mfatest.Step)
	proof := w.StepUp(t, org, user, a)
	who := ana().User
	begun, err := w.BeginEnrolment(t.Context(), proof, mfa.EnrolRequest{Org: org, User: &who, Kind: mfa.TOTP})
	if err != nil {
		t.Fatal(err)
	}
	sent, unsent := started(t, w, ana()), started(t, w, ana())
	_, err = verify(t, w, sent.ID, mfatest.Wrong(w.NextCode(a)), false)
	wantCode(t, err, mfa.WrongCode)
	wantReason(t, w, trust, mfa.BrowserTrust)

	restored(t, w)
	wantReason(t, w, trust, mfa.NewBrowser)
	for _, ch := range []*mfa.ChallengeToAnswer{sent, unsent} {
		_, err := verify(t, w, ch.ID, w.NextCode(a), false)
		wantCode(t, err, mfa.ChallengeInvalid)
	}
	_, err = w.FinishEnrolment(t.Context(), proof, mfa.FinishRequest{Enrolment: begun.ID, Answer: mfa.Answer{Code: w.Code(typed(t, begun))}})
	wantCode(t, err, mfa.EnrolmentInvalid)
	proof.Reauthenticated = w.Fresh().Reauthenticated
	wantRefused(t, w, a.Factor, "a proof from before the restore", proof, mfa.StepUpNeeded)
	if u := shown(t, w); len(u.TrustedBrowsers) != 0 || u.Recovery.CodesLeft != 0 || len(u.Factors) != 1 || !u.Enabled {
		t.Errorf("got %+v, want the factor and nothing of what was trusted", u)
	}
	ch := started(t, w, ana())
	_, err = w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: ch.ID, Code: done.RecoveryCodes[0]})
	wantCode(t, err, mfa.MethodForbidden)

	answer, err := verify(t, w, ch.ID, w.NextCode(a), true)
	if err != nil || answer.TrustToken == nil || len(answer.RecoveryCodes) != 10 {
		t.Fatalf("got %+v, %v, want the user in, with trust and a new set of recovery codes", answer, err)
	}
	wantReason(t, w, *answer.TrustToken, mfa.BrowserTrust)
	wantReason(t, w, trust, mfa.NewBrowser)
	if left := storedBrowsers(t, w); len(left) != 1 {
		t.Errorf("got %d browsers in the store, want the dead one removed", len(left))
	}
	again, err := signIn(t, w, w.NextCode(a))
	if err != nil || len(again.RecoveryCodes) != 0 {
		t.Errorf("got %+v, %v, want the user in, and no second set", again, err)
	}
	if _, err := recovering(t, w, answer.RecoveryCodes[0]); err != nil {
		t.Errorf("a code of the new set: %v", err)
	}
	_, err = recovering(t, w, done.RecoveryCodes[1])
	wantCode(t, err, mfa.WrongCode)
}

func TestARestoreEndsKnownTokensAndKeepsWrongAnswers(t *testing.T) {
	w, a, known := knows(t, noRecovery)
	guess(t, w, a, ana())
	if !anaKnown(t, w, known) {
		t.Fatal("the token is not known before the restore")
	}
	restored(t, w)
	if anaKnown(t, w, known) {
		t.Error("the token is known after the restore")
	}
}

// A known token isn't stored anywhere. So an old guard from a backup must not make it valid again.
func TestWhatWasGivenAfterOneRestoreOfABackupIsDeadAfterAnother(t *testing.T) {
	w, a, _ := withApp(t, noRecovery)
	backup := stored(t, w, user, "guard")
	restored(t, w)
	known := answerIn(t, w, a, seal.Secret{})
	now := stored(t, w, user, "guard")
	if err := w.Faults.Commit(t.Context(), store.NewVersion(), store.Write{Key: now.Key, Expect: now.Version, Body: backup.Body}); err != nil {
		t.Fatal(err)
	}
	restored(t, w)
	w.Clock.Advance(mfatest.Step)
	guess(t, w, a, ana())
	if anaKnown(t, w, known) {
		t.Error("a token from after the first restore is known after the second")
	}
}

func TestALaterRestoreEndsWhatWasGivenAfterTheOneBefore(t *testing.T) {
	w, a, _ := withApp(t, nil)
	restored(t, w)
	trust := trustedBy(t, w, a)
	restored(t, w)
	wantReason(t, w, trust, mfa.NewBrowser)
	wantReason(t, w, trustedBy(t, w, a), mfa.BrowserTrust)
}

func TestAUserWhoIsSeenFirstAfterARestoreLosesNothing(t *testing.T) {
	w := mfatest.New(t)
	w.SetPolicy(t, org, "default", nil)
	restored(t, w)
	a, done := enrolApp(t, w, w.Fresh())
	w.Clock.Advance(mfatest.Step)
	if got := shown(t, w).Recovery.CodesLeft; got != 10 {
		t.Errorf("got %d recovery codes, want those of the enrolment", got)
	}
	if _, err := signIn(t, w, w.Code(a)); err != nil {
		t.Error(err)
	}
	if _, err := recovering(t, w, done.RecoveryCodes[0]); err != nil {
		t.Error(err)
	}
}

func TestAnAPIKeyFromBeforeARestoreIsGoodOnceItIsConfirmed(t *testing.T) {
	w := mfatest.New(t)
	before := w.NewClient(t, apikey.Grant{Client: "shop", Scopes: apikey.Scopes()})
	id := apikey.ID(seal.NewSecret(before.Bearer))
	ask := func(call mfa.Call) error { _, err := w.GetPolicy(t.Context(), call, org); return err }
	if err := ask(before); err != nil {
		t.Fatal(err)
	}
	epoch := restored(t, w)
	wantCode(t, ask(before), mfa.Unauthenticated)
	if err := ask(w.Client); err != nil {
		t.Errorf("the key that was confirmed: %v", err)
	}
	if err := ask(w.NewClient(t, apikey.Grant{Client: "new", Scopes: apikey.Scopes()})); err != nil {
		t.Errorf("a key that was made since: %v", err)
	}
	if _, err := w.APIKeys.Confirm(t.Context(), id, epoch); err != nil {
		t.Fatal(err)
	}
	if err := ask(before); err != nil {
		t.Errorf("once it is confirmed: %v", err)
	}
	restored(t, w)
	wantCode(t, ask(before), mfa.Unauthenticated)
}

// reloading returns an old ring until it is reloaded.
type reloading struct {
	old  *seal.Ring
	keys *mfatest.Keys
}

func (r reloading) Ring(context.Context) (*seal.Ring, error) { return r.old, nil }

func (r reloading) Reload(ctx context.Context) (*seal.Ring, error) {
	if r.keys == nil {
		return r.old, nil
	}
	return r.keys.Ring(ctx)
}

func TestAProcessWithAnOldRingReadsItAgainWhenAGuardIsOfALaterEpoch(t *testing.T) {
	w, a, _ := withApp(t, nil)
	old, err := w.Keys.Ring(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	restored(t, w)
	trust := trustedBy(t, w, a)
	service := *w.Service
	service.Keys = reloading{old, w.Keys}
	if d, err := service.Decide(t.Context(), w.Client, with(trust)); err != nil || d.Reason != mfa.BrowserTrust {
		t.Errorf("got %+v, %v, want that the new ring is read", d, err)
	}
	service.Keys = reloading{old: old}
	_, err = service.Decide(t.Context(), w.Client, with(trust))
	wantCode(t, err, mfa.Unavailable)
}

func repeat(t *testing.T, w *mfatest.World, e activity.Event, epoch int64) string {
	t.Helper()
	came, err := w.Repeat(t.Context(), e, epoch)
	if err != nil {
		t.Fatal(err)
	}
	return came
}

func TestAnErasureIsRepeatedUnlessTheUserWasSeenSince(t *testing.T) {
	erasure := activity.Event{Type: mfa.UserErased, Org: org, User: user}
	w, a, _ := withApp(t, nil)
	for range 3 {
		trustedBy(t, w, a)
	}
	epoch := restored(t, w)
	for _, want := range []string{mfa.Repeated, mfa.NotRepeated} {
		if came := repeat(t, w, erasure, epoch); came != want {
			t.Errorf("got %s, want %s", came, want)
		}
	}
	_, err := w.GetUser(t.Context(), w.Client, org, user)
	wantCode(t, err, mfa.NotFound)
	if all := events(t, w, mfa.UserErased); len(all) != 1 || all[0].Actor.Kind != "service" {
		t.Errorf("got %+v, want one erasure by the service", all)
	}
	b, _ := enrolApp(t, w, w.Fresh())
	if came := repeat(t, w, erasure, epoch); came != mfa.UsedSince || shown(t, w).Factors[0].ID != b.Factor {
		t.Errorf("got %s, want the user of this epoch left alone", came)
	}
}

func TestTheRemovalOfAFactorIsRepeatedAndNobodyIsToldAgain(t *testing.T) {
	w, a, _ := withApp(t, nil)
	enrolMail(t, w, w.StepUp(t, org, user, a))
	epoch := restored(t, w)
	w.Drain(t)
	told := len(w.Outbox.To(mail))
	removal := activity.Event{Type: mfa.FactorRemoved, Org: org, User: user, Data: map[string]any{"factor": a.Factor, "kind": "totp"}}
	for _, want := range []string{mfa.Repeated, mfa.NotRepeated} {
		if came := repeat(t, w, removal, epoch); came != want {
			t.Errorf("got %s, want %s", came, want)
		}
	}
	left := shown(t, w)
	if len(left.Factors) != 1 || left.Factors[0].Kind != mfa.Email || !left.Enabled {
		t.Fatalf("got %+v, want the mailbox alone", left)
	}
	removal.Data["factor"] = left.Factors[0].ID
	if came := repeat(t, w, removal, epoch); came != mfa.Repeated || shown(t, w).Enabled {
		t.Errorf("got %s, want the last factor gone and 2FA off", came)
	}
	w.Drain(t)
	if now := len(w.Outbox.To(mail)); now != told {
		t.Errorf("got %d notices about what was repeated, want none", now-told)
	}
	if len(events(t, w, mfa.FactorRemoved)) != 2 {
		t.Error("the removals were not recorded")
	}
}

func TestARepeatedRemovalEndsTheTrustThatWasGivenSince(t *testing.T) {
	w, a, _ := withApp(t, nil)
	enrolMail(t, w, w.StepUp(t, org, user, a))
	epoch := restored(t, w)
	trust := trustedBy(t, w, a)
	removal := activity.Event{Type: mfa.FactorRemoved, Org: org, User: user, Data: map[string]any{"factor": a.Factor}}
	if came := repeat(t, w, removal, epoch); came != mfa.Repeated {
		t.Fatalf("got %s, want %s", came, mfa.Repeated)
	}
	wantReason(t, w, trust, mfa.NewBrowser)
}

func TestADeprovisionedUserIsSoAgainUnlessTheClientPutThemSince(t *testing.T) {
	w, _, _ := withApp(t, nil)
	report := activity.Event{Type: mfa.UserReported, Org: org, User: user, Data: map[string]any{"kind": mfa.Deprovisioned}}
	epoch := restored(t, w)
	for _, want := range []string{mfa.Repeated, mfa.NotRepeated} {
		if came := repeat(t, w, report, epoch); came != want {
			t.Errorf("got %s, want %s", came, want)
		}
	}
	_, err := w.StartChallenge(t.Context(), w.Client, ana())
	wantCode(t, err, mfa.Forbidden)
	if _, err := w.PutUser(t.Context(), w.Client, org, ana().User); err != nil {
		t.Fatal(err)
	}
	if came := repeat(t, w, report, epoch); came != mfa.UsedSince {
		t.Errorf("got %s, want %s", came, mfa.UsedSince)
	}
	started(t, w, ana())
}

func TestWhatCanNotOrNeedNotBeRepeatedChangesNothing(t *testing.T) {
	w, _, _ := withApp(t, nil)
	epoch := restored(t, w)
	w.Drain(t)
	before := len(w.Events.All())
	for _, e := range []activity.Event{
		{Type: mfa.PolicyChanged, Org: org},
		{Type: mfa.UserErased, Org: org},
		{Type: mfa.UserErased, Org: org, User: "\n"},
		{Type: mfa.UserErased, Org: org, User: "nobody"},
		{Type: mfa.FactorRemoved, Org: org, User: user},
		{Type: mfa.FactorRemoved, Org: org, User: user, Data: map[string]any{"factor": 1}},
		{Type: mfa.FactorRemoved, Org: org, User: "nobody", Data: map[string]any{"factor": "fa_x"}},
		{Type: mfa.UserReported, Org: org, User: user, Data: map[string]any{"kind": mfa.PasswordChanged}},
		{Type: mfa.UserDisabled, Org: org, User: user},
	} {
		if came := repeat(t, w, e, epoch); came != mfa.NotRepeated {
			t.Errorf("%+v: got %s, want %s", e, came, mfa.NotRepeated)
		}
	}
	w.Drain(t)
	if got := len(w.Events.All()); got != before {
		t.Errorf("got %d new events, want none", got-before)
	}
}

func TestARepetitionThatFailsSaysSo(t *testing.T) {
	w, _, _ := withApp(t, nil)
	epoch := restored(t, w)
	broken := errors.New("no store")
	w.Faults.Inject(fault.Query, 1, fault.Fail(broken))
	if _, err := w.Repeat(t.Context(), activity.Event{Type: mfa.UserErased, Org: org, User: user}, epoch); !errors.Is(err, broken) {
		t.Errorf("got %v, want the store's error", err)
	}
}

func TestTheSweepDoesNotAnnounceTheEndOfTrustThatARestoreHasEnded(t *testing.T) {
	w := kls(t, nil)
	trusted(t, w)
	restored(t, w)
	w.Clock.Advance(31 * day) // the user was not seen since
	if n := sweep(t, w); n != 0 {
		t.Errorf("got %d ends announced of trust that the restore has ended, want none", n)
	}
	if got := events(t, w, mfa.BrowserExpired); len(got) != 0 {
		t.Errorf("got %+v, want no event", got)
	}
	trusted(t, w)
	w.Clock.Advance(31 * day)
	if n := sweep(t, w); n != 1 {
		t.Errorf("got %d ends announced of trust that was given after the restore, want 1", n)
	}
}
