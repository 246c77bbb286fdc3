package mfa_test

import (
	"context"
	"reflect"
	"slices"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/store/fault"
)

// firstFactor lets ana, who must enrol, set up an app at a sign-in. It returns what the start and the finish said, and the call with
// the enrolment token.
func firstFactor(t *testing.T, w *mfatest.World) (mfa.StartAnswer, mfa.FinishAnswer, mfa.Call) {
	t.Helper()
	start, call := mustEnrol(t, w, ana())
	_, done := w.EnrolTOTP(t, call, "", mfa.Person{})
	return start, done, call
}

// pinnedBackup is a policy under which everyone must enrol, and is offered email as a backup, which stays then.
func pinnedBackup(p *mfa.Policy) {
	everyone(p)
	p.EnrolmentProof, p.EmailBackup = "none", mfa.Pinned
}

func TestS4AfterTheFirstFactorOfASignInItsTokenEnrolsEmailAsABackupAndNothingElse(t *testing.T) {
	w := plain(t, pinnedBackup)
	start, done, call := firstFactor(t, w)
	got, err := w.LookAtEnrolment(t.Context(), call)
	want := &mfa.Backup{Kinds: []mfa.Kind{mfa.Email}, Address: "a***@acme.example", Pinned: true}
	if err != nil || got.ID != start.ID || !reflect.DeepEqual(got.Backup, want) || !slices.Equal(got.Enrolment.Kinds, want.Kinds) || !got.Enrolment.Expires.Equal(w.Clock.Now().Add(8*time.Minute)) {
		t.Fatalf("got %+v, %v, want the backup %+v for 8 minutes", got, err, want)
	}
	for _, kind := range []mfa.Kind{mfa.TOTP, mfa.WebAuthn, mfa.SMS} {
		_, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: kind})
		wantCode(t, err, mfa.EnrolmentInvalid)
	}
	begun, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.Email})
	if err != nil || begun.Proven || begun.Sent == nil || !begun.Expires.Equal(got.Enrolment.Expires) {
		t.Fatalf("got %+v, %v, want a code sent", begun, err)
	}
	_, err = finish(t, w, call, begun.ID, mfatest.Wrong(w.Outbox.Code(t, mail)))
	wantCode(t, err, mfa.WrongCode)
	w.Clock.Advance(30 * time.Second)
	if _, err := w.SendEnrolment(t.Context(), call, begun.ID); err != nil {
		t.Fatal(err)
	}
	second, err := finish(t, w, call, begun.ID, w.Outbox.Code(t, mail))
	if err != nil || second.Factor.Kind != mfa.Email || second.Token != nil || second.IssuedAt != nil || second.RecoveryCodes != nil || second.Offer != nil {
		t.Errorf("got %+v, %v, want email as a factor and nothing else", second, err)
	}
	if u := shown(t, w); len(u.Factors) != 2 || u.Recovery.CodesLeft != len(done.RecoveryCodes) {
		t.Errorf("got %+v", u)
	}
	state, err := w.LookAtChallenge(t.Context(), w.Client, start.ID)
	outcome, ok := state.Outcome.(mfa.FinishAnswer)
	if err != nil || !ok || outcome.Token == nil || outcome.Factor.ID != done.Factor.ID || !outcome.IssuedAt.Equal(*done.IssuedAt) {
		t.Errorf("got %+v, %v, want the outcome of the sign-in as it was", state, err)
	}
	if n := len(events(t, w, mfa.ChallengeVerified)); n != 1 {
		t.Errorf("got %d events of an answer, want 1", n)
	}
	_, err = w.LookAtEnrolment(t.Context(), call)
	wantCode(t, err, mfa.EnrolmentInvalid)
	_, err = w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.Email})
	wantCode(t, err, mfa.EnrolmentInvalid)
}

func TestS4AnAddressThatWasProvenInTheSignInNeedsNoSecondCodeAsABackup(t *testing.T) {
	w := plain(t, everyone)
	_, call := mustEnrol(t, w, ana())
	proving(t, w, call)
	code := w.Outbox.Code(t, mail)
	if _, err := prove(t, w, call, code); err != nil {
		t.Fatal(err)
	}
	w.EnrolTOTP(t, call, "", mfa.Person{})
	_, err := prove(t, w, call, code)
	wantCode(t, err, mfa.EnrolmentInvalid)
	begun, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.Email})
	if err != nil || !begun.Proven || len(w.Outbox.To(mail)) != 1 {
		t.Fatalf("got %+v, %v and %d messages, want nothing sent", begun, err, len(w.Outbox.To(mail)))
	}
	done, err := w.FinishEnrolment(t.Context(), call, mfa.FinishRequest{Enrolment: begun.ID})
	if err != nil || done.Factor.Kind != mfa.Email || done.Token != nil {
		t.Errorf("got %+v, %v", done, err)
	}
}

func TestS4ABackupCanBeEnrolledOnlyWhereAndWhileItIsOffered(t *testing.T) {
	for name, change := range map[string]func(*testing.T, *mfatest.World, mfa.StartAnswer, mfa.FinishAnswer){
		"the policy forbids it as a backup": func(t *testing.T, w *mfatest.World, _ mfa.StartAnswer, _ mfa.FinishAnswer) {
			w.SetPolicy(t, org, "default", func(p *mfa.Policy) { pinnedBackup(p); p.EmailBackup = mfa.NotAllowed })
		},
		"the policy forbids email": func(t *testing.T, w *mfatest.World, _ mfa.StartAnswer, _ mfa.FinishAnswer) {
			w.SetPolicy(t, org, "default", func(p *mfa.Policy) { pinnedBackup(p); p.Methods.Email = mfa.NotAllowed })
		},
		"the address has changed": func(t *testing.T, w *mfatest.World, _ mfa.StartAnswer, _ mfa.FinishAnswer) {
			put(t, w, mfa.Person{ID: user, Email: mfa.Some("new@acme.example")})
		},
		"all browsers were revoked": func(t *testing.T, w *mfatest.World, _ mfa.StartAnswer, _ mfa.FinishAnswer) {
			if err := w.RevokeBrowsers(t.Context(), w.Fresh(), org, user); err != nil {
				t.Fatal(err)
			}
		},
		"a reset of the account is due": func(t *testing.T, w *mfatest.World, _ mfa.StartAnswer, _ mfa.FinishAnswer) {
			w.SetPolicy(t, org, "default", func(p *mfa.Policy) { pinnedBackup(p); p.Reset.HoldS = 60 })
			asked, err := w.ResetUser(t.Context(), w.Fresh(), org, user, lost)
			if err != nil || asked.Request == nil {
				t.Fatalf("got %+v, %v, want a request that waits", asked, err)
			}
			w.Clock.Advance(time.Minute)
		},
		"eight minutes are over": func(_ *testing.T, w *mfatest.World, _ mfa.StartAnswer, _ mfa.FinishAnswer) {
			w.Clock.Advance(backupLasts)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := plain(t, pinnedBackup)
			start, done, call := firstFactor(t, w)
			begun, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.Email})
			if err != nil {
				t.Fatal(err)
			}
			code := w.Outbox.Code(t, mail)
			change(t, w, start, done)
			_, err = w.LookAtEnrolment(t.Context(), call)
			wantCode(t, err, mfa.EnrolmentInvalid)
			_, err = w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.Email})
			wantCode(t, err, mfa.EnrolmentInvalid)
			_, err = w.SendEnrolment(t.Context(), call, begun.ID)
			wantCode(t, err, mfa.EnrolmentInvalid)
			_, err = finish(t, w, call, begun.ID, code)
			wantCode(t, err, mfa.EnrolmentInvalid)
		})
	}
}

func TestS4ABackupIsOfTheFactorThatTheTokenHasBroughtAndOfNoOther(t *testing.T) {
	w := plain(t, pinnedBackup)
	_, call := mustEnrol(t, w, ana())
	first, _ := w.EnrolTOTP(t, call, "", mfa.Person{})
	w.SetPolicy(t, org, "default", func(p *mfa.Policy) { pinnedBackup(p); p.Require = mfa.Nobody })
	if err := w.RemoveFactor(t.Context(), w.StepUp(t, org, user, first), org, user, first.Factor); err != nil {
		t.Fatal(err)
	}
	if second, _ := w.EnrolTOTP(t, w.Fresh(), org, ana().User); second.Factor == first.Factor {
		t.Fatal("the second factor has the id of the first one")
	}
	_, err := w.LookAtEnrolment(t.Context(), call)
	wantCode(t, err, mfa.EnrolmentInvalid)
	_, err = w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.Email})
	wantCode(t, err, mfa.EnrolmentInvalid)
}

// A reenrolment gives the account a new epoch, which ends every token from before.
func TestS4TheTokenOfAReenrolmentEnrolsNoBackup(t *testing.T) {
	w, _, done := withApp(t, func(p *mfa.Policy) { effect(mfa.EffectReenrol, mfa.Everyone)(p); p.EmailBackup = mfa.Pinned })
	w.Clock.Advance(mfatest.Step)
	answer, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: started(t, w, ana()).ID, Code: done.RecoveryCodes[0]})
	if err != nil {
		t.Fatal(err)
	}
	call := mfa.Call{Bearer: answer.Enrolment.Token.Reveal()}
	w.EnrolTOTP(t, call, "", mfa.Person{})
	_, err = w.LookAtEnrolment(t.Context(), call)
	wantCode(t, err, mfa.EnrolmentInvalid)
	_, err = w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.Email})
	wantCode(t, err, mfa.EnrolmentInvalid)
}

// backupLasts is how long after a sign-in the backup is offered.
const backupLasts = 8 * time.Minute

func TestS4ABackupIsOfferedNoLongerThanTheTokenLasts(t *testing.T) {
	w := plain(t, pinnedBackup)
	start, call := mustEnrol(t, w, ana())
	w.Clock.Advance(10 * time.Minute)
	w.EnrolTOTP(t, call, "", mfa.Person{})
	got, err := w.LookAtEnrolment(t.Context(), call)
	if err != nil || !got.Enrolment.Expires.Equal(start.Enrolment.Expires) {
		t.Fatalf("got %+v, %v, want the end of the token", got.Enrolment, err)
	}
	w.Clock.Advance(5 * time.Minute)
	_, err = w.LookAtEnrolment(t.Context(), call)
	wantCode(t, err, mfa.EnrolmentInvalid)
}

func TestS4AUserWhoHasNoAddressOrWhoseFactorIsTheAddressIsOfferedNoBackup(t *testing.T) {
	w := plain(t, pinnedBackup)
	_, call := mustEnrol(t, w, mfa.StartRequest{Org: org, User: mfa.Person{ID: user}})
	w.EnrolTOTP(t, call, "", mfa.Person{})
	_, err := w.LookAtEnrolment(t.Context(), call)
	wantCode(t, err, mfa.EnrolmentInvalid)

	w = plain(t, pinnedBackup)
	_, call = mustEnrol(t, w, ana())
	w.EnrolEmail(t, call, "", mfa.Person{}, mail)
	_, err = w.LookAtEnrolment(t.Context(), call)
	wantCode(t, err, mfa.EnrolmentInvalid)
}

func TestS4ABackupWhoseAnswerWasLostIsEnrolledOnceAndBringsNoToken(t *testing.T) {
	w := plain(t, pinnedBackup)
	_, _, call := firstFactor(t, w)
	begun, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.Email})
	if err != nil {
		t.Fatal(err)
	}
	w.Faults.Inject(fault.Commit, 1, fault.Fault{After: func(context.Context) error {
		put(t, w, mfa.Person{ID: user, Name: mfa.Some("Anna")}) // another write, so that the store no longer shows that the commit took effect
		return fault.Err
	}})
	done, err := finish(t, w, call, begun.ID, w.Outbox.Code(t, mail))
	if err != nil || done.Factor.Kind != mfa.Email || done.Token != nil || done.RecoveryCodes != nil {
		t.Errorf("got %+v, %v", done, err)
	}
	if u := shown(t, w); len(u.Factors) != 2 {
		t.Errorf("got %d factors, want 2", len(u.Factors))
	}
}

func TestS4TheSettingsSayWhatIsOfferedAsABackupOfTheOnlyFactor(t *testing.T) {
	w, a, _ := withApp(t, func(p *mfa.Policy) { p.EmailBackup = mfa.Pinned })
	call := inPortal(t, w, mfa.PortalRequest{Org: org, User: user})
	offered := func() *mfa.Backup {
		t.Helper()
		got, err := w.LookAtPortalSession(t.Context(), call)
		if err != nil {
			t.Fatal(err)
		}
		return got.Account.Backup
	}
	if got, want := offered(), (&mfa.Backup{Kinds: []mfa.Kind{mfa.Email}, Address: "a***@acme.example", Pinned: true}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	w.EnrolEmail(t, w.StepUp(t, org, user, a), org, ana().User, mail)
	if got := offered(); got != nil {
		t.Errorf("with a backup: got %+v, want nothing offered", got)
	}
}
