package mfa_test

import (
	"strings"
	"testing"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

func selfHeld(p *mfa.Policy) { p.Reset.SelfService, p.Reset.HoldS = mfa.SelfServiceHold, 86400 }

func selfApproved(p *mfa.Policy) { p.Reset.SelfService = mfa.SelfServiceApprove }

var nothingLeft = "lost the phone and the recovery codes"

// request asks for a reset at a new sign-in, with the token of its challenge.
func request(t *testing.T, w *mfatest.World) (mfa.AskedReset, error) {
	t.Helper()
	ch := started(t, w, ana())
	return w.RequestReset(t.Context(), mfa.Call{Bearer: ch.Token.Reveal()}, mfa.ResetAsk{Challenge: ch.ID, Reason: nothingLeft})
}

func requested(t *testing.T, w *mfatest.World) mfa.AskedReset {
	t.Helper()
	asked, err := request(t, w)
	if err != nil {
		t.Fatal(err)
	}
	w.Drain(t)
	return asked
}

// linkIn returns the handle of the link in a message.
func linkIn(t *testing.T, w *mfatest.World, text string) seal.Secret {
	t.Helper()
	_, after, found := strings.Cut(text, w.Issuer+"/pages/cancel/")
	language, after, cut := strings.Cut(after, "/")
	if !found || !cut || language != "en" && language != "fr" {
		t.Fatalf("got %q, want a link", text)
	}
	handle, _, _ := strings.Cut(after, "\n")
	return seal.NewSecret(handle)
}

func TestAUserWhoHasNothingLeftIsResetAfterTheWaitAndProvesTheKnownAddress(t *testing.T) {
	for name, change := range map[string]func(*mfa.Policy){
		"a policy that asks for no proof":     func(p *mfa.Policy) { selfHeld(p); p.EnrolmentProof = "none" },
		"a policy that requires 2FA":          func(p *mfa.Policy) { selfHeld(p); p.Require, p.EnrolmentProof = mfa.Everyone, "none" },
		"a policy that doesn't require it":    selfHeld,
		"a policy with trusted browsers only": func(p *mfa.Policy) { selfHeld(p); p.Trust.Days = 30 },
	} {
		t.Run(name, func(t *testing.T) {
			w, a := protected(t, change)
			asked := requested(t, w)
			if want := w.Clock.Now().Add(24 * time.Hour); asked.State != "pending" || asked.Due == nil || !asked.Due.Equal(want) {
				t.Fatalf("got %+v, want one that is due at %v", asked, want)
			}
			w.Clock.Advance(24*time.Hour - time.Second)
			wantReset(t, w, asked.ID, "pending", 1)
			w.Clock.Advance(time.Second)
			answer, call := mustEnrol(t, w, ana())
			if answer.Reason != mfa.AfterReset {
				t.Errorf("got the reason %s, want reset", answer.Reason)
			}
			wantReset(t, w, asked.ID, "done", 0)
			// Neither the sign-in nor a client that has checked the password goes around the address.
			_, err := w.BeginEnrolment(t.Context(), w.Fresh(), mfa.EnrolRequest{Org: org, User: &mfa.Person{ID: user}, Kind: mfa.TOTP})
			wantCode(t, err, mfa.StepUpNeeded)
			begun, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.TOTP})
			if err != nil || begun.Prove == nil || begun.TOTP != nil {
				t.Fatalf("got %+v, %v, want a code to the known address first", begun, err)
			}
			if _, err := prove(t, w, call, w.Outbox.Code(t, mail)); err != nil {
				t.Fatal(err)
			}
			begun, err = w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.TOTP})
			if err != nil {
				t.Fatal(err)
			}
			app := appOf(t, begun)
			if done, err := finish(t, w, call, begun.ID, w.Code(app)); err != nil || done.Token == nil {
				t.Fatalf("got %+v, %v, want the user signed in", done, err)
			}
			if _, err := verify(t, w, started(t, w, ana()).ID, w.NextCode(a), false); err == nil {
				t.Error("the earlier app is still good")
			}
			if _, err := signIn(t, w, w.NextCode(app)); err != nil {
				t.Errorf("the new app: %v", err)
			}
		})
	}
}

func TestAfterAResetTheAddressIsTheOneThatWasKnownAtTheRequest(t *testing.T) {
	w, _ := protected(t, func(p *mfa.Policy) { selfHeld(p); p.EnrolmentProof = "none" })
	requested(t, w)
	w.Clock.Advance(24 * time.Hour)
	mustEnrol(t, w, ana())
	const other = "thief@acme.example"
	q := ana()
	q.User.Email = mfa.Some(other)
	_, call := mustEnrol(t, w, q)
	for _, kind := range []mfa.Kind{mfa.TOTP, mfa.Email} {
		w.Clock.Advance(time.Minute)
		begun, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: kind})
		if err != nil || begun.Prove == nil {
			t.Fatalf("%s: got %+v, %v, want a code to the address that was known", kind, begun, err)
		}
	}
	for _, m := range w.Outbox.To(other) {
		if !m.Code.IsZero() {
			t.Errorf("a code went to the new address: %q", m.Subject)
		}
	}
	if _, err := prove(t, w, call, w.Outbox.Code(t, mail)); err != nil {
		t.Error(err)
	}
}

func TestAnAdministratorsOwnResetOrEnrolmentEndsTheNeedToProve(t *testing.T) {
	for name, help := range map[string]func(*testing.T, *mfatest.World){
		"a reset":               func(t *testing.T, w *mfatest.World) { reset(t, w) },
		"an enrolment for them": func(t *testing.T, w *mfatest.World) { enrolOnBehalf(t, w) },
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := protected(t, func(p *mfa.Policy) { selfHeld(p); p.EnrolmentProof = "none" })
			requested(t, w)
			w.Clock.Advance(24 * time.Hour)
			mustEnrol(t, w, ana())
			w.SetPolicy(t, org, "default", nil)
			help(t, w)
			answer, err := w.StartChallenge(t.Context(), w.Client, ana())
			if err != nil || answer.Decision.Decision == mfa.Enrol {
				t.Errorf("got %+v, %v, want no enrolment that proves the address", answer.Decision, err)
			}
		})
	}
}

func TestAnAdministratorDecidesAboutARequestOfAUser(t *testing.T) {
	w, _ := protected(t, selfApproved)
	asked := requested(t, w)
	if asked.Due != nil {
		t.Errorf("got %+v, want one without a time", asked)
	}
	_, err := w.ApproveReset(t.Context(), w.Client, asked.ID, user)
	wantCode(t, err, mfa.Forbidden)
	w.Clock.Advance(48 * time.Hour)
	wantReset(t, w, asked.ID, "pending", 1)
	got, err := w.ApproveReset(t.Context(), w.Client, asked.ID, "olga")
	if err != nil || got.State != "done" || got.RequestedBy != user || *got.ApprovedBy != "olga" {
		t.Fatalf("got %+v, %v, want it done", got, err)
	}
	if answer, _ := mustEnrol(t, w, ana()); answer.Reason != mfa.AfterReset {
		t.Errorf("got the reason %s, want reset", answer.Reason)
	}
}

func TestAThiefOfAKeyApprovesARequestOfAUserAndGetsNoFurtherThanTheKnownAddress(t *testing.T) {
	w, _ := protected(t, func(p *mfa.Policy) { selfApproved(p); p.EnrolmentProof = "none" })
	ch := started(t, w, ana())
	asked, err := w.RequestReset(t.Context(), w.Client, mfa.ResetAsk{Challenge: ch.ID, Reason: nothingLeft})
	if err != nil {
		t.Fatal(err)
	}
	w.Drain(t)
	told := w.Outbox.To(mail)
	linkIn(t, w, told[len(told)-1].Text) // the owner can cancel it
	_, err = w.ApproveReset(t.Context(), w.Client, asked.ID, user)
	wantCode(t, err, mfa.Forbidden)
	if got, err := w.ApproveReset(t.Context(), w.Client, asked.ID, "olga"); err != nil || got.State != "done" {
		t.Fatalf("got %+v, %v, want it done", got, err)
	}
	w.Drain(t)
	if after := w.Outbox.To(mail); len(after) != len(told)+1 {
		t.Errorf("the owner got %d messages of the reset, want one", len(after)-len(told))
	}
	thief := ana()
	thief.User.Email = mfa.Some("thief@acme.example")
	_, call := mustEnrol(t, w, thief)
	for _, kind := range []mfa.Kind{mfa.TOTP, mfa.Email} {
		w.Clock.Advance(time.Minute)
		begun, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: kind})
		if err != nil || begun.Prove == nil {
			t.Fatalf("%s: got %+v, %v, want a code to the address that was known", kind, begun, err)
		}
	}
	for _, m := range w.Outbox.To("thief@acme.example") {
		if !m.Code.IsZero() {
			t.Errorf("a code went to the thief: %q", m.Subject)
		}
	}
}

func TestOneStolenKeyDoesNotAskAndApproveWhereASecondApproverIsWanted(t *testing.T) {
	w, _ := protected(t, func(p *mfa.Policy) { selfApproved(p); approved(p) })
	asked := requested(t, w)
	_, err := w.ApproveReset(t.Context(), w.Client, asked.ID, "olga")
	wantCode(t, err, mfa.Forbidden)
	if _, err := w.ApproveReset(t.Context(), second(t, w), asked.ID, "olga"); err != nil {
		t.Error(err)
	}
}

func TestARequestIsRefusedWhereItCanNotLeadAnywhere(t *testing.T) {
	w, _ := protected(t, nil)
	_, err := request(t, w)
	wantCode(t, err, mfa.MethodForbidden)
	w.SetPolicy(t, org, "default", selfHeld)
	ch := started(t, w, ana())
	for name, c := range map[string]struct {
		call mfa.Call
		ask  mfa.ResetAsk
		want mfa.ErrorCode
	}{
		"no reason":               {w.Client, mfa.ResetAsk{Challenge: ch.ID}, mfa.InvalidRequest},
		"another challenge":       {mfa.Call{Bearer: ch.Token.Reveal()}, mfa.ResetAsk{Challenge: started(t, w, ana()).ID, Reason: "lost"}, mfa.ChallengeInvalid},
		"a key without sign_in":   {w.NewClient(t, apikey.Grant{Client: "app", Scopes: []apikey.Scope{apikey.Manage, apikey.Admin}}), mfa.ResetAsk{Challenge: ch.ID, Reason: "lost"}, mfa.Forbidden},
		"a key of another client": {second(t, w), mfa.ResetAsk{Challenge: ch.ID, Reason: "lost"}, mfa.ChallengeInvalid},
	} {
		if _, err := w.RequestReset(t.Context(), c.call, c.ask); mfa.AsError(err).Code != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	requested(t, w)
	_, err = request(t, w)
	wantCode(t, err, mfa.AlreadyExists)

	w = kls(t, func(p *mfa.Policy) { selfHeld(p) })
	_, err = request(t, w) // the address is all that this user has
	wantCode(t, err, mfa.MethodForbidden)
}

func TestAUserWithoutAnAddressIsHelpedByAnAdministratorOnly(t *testing.T) {
	w := plain(t, selfHeld)
	put(t, w, mfa.Person{ID: user})
	w.EnrolTOTP(t, w.Fresh(), org, mfa.Person{ID: user})
	ch := started(t, w, mfa.StartRequest{Org: org, User: mfa.Person{ID: user}})
	_, err := w.RequestReset(t.Context(), w.Client, mfa.ResetAsk{Challenge: ch.ID, Reason: nothingLeft})
	wantCode(t, err, mfa.NothingToSend)
}

func TestAStepUpTakesARequestToo(t *testing.T) {
	w, _ := protected(t, selfApproved)
	q := ana()
	q.Purpose = mfa.StepUp
	ch := started(t, w, q)
	if _, err := w.RequestReset(t.Context(), w.Client, mfa.ResetAsk{Challenge: ch.ID, Reason: nothingLeft}); err != nil {
		t.Error(err)
	}
}

func TestALinkOnEveryChannelCancelsTheRequestAndNoneFollowsForADay(t *testing.T) {
	w, _ := phoned(t, mail, func(p *mfa.Policy) { selfHeld(p) })
	asked := requested(t, w)
	byMail := linkIn(t, w, lastMail(t, w, mail).Text)
	texts := w.Outbox.Texts(number)
	bySMS := linkIn(t, w, texts[len(texts)-1].Text)
	if byMail.Equal(bySMS) {
		t.Error("two channels have the same link")
	}
	if n := len(texts[len(texts)-1].Text); n > 306 {
		t.Errorf("the text message has %d characters, want at most two segments", n)
	}
	w.Clock.Advance(23 * time.Hour)
	if err := cancelBy(t, w, bySMS); err != nil {
		t.Fatal(err)
	}
	for _, link := range []seal.Secret{bySMS, byMail, seal.NewSecret("csh_x"), seal.NewFilter().NewBearer(seal.Handle, nil)} {
		wantCode(t, cancelBy(t, w, link), mfa.NotFound)
	}
	w.Clock.Advance(24*time.Hour - time.Second)
	wantReset(t, w, asked.ID, "cancelled", 1)
	_, err := request(t, w)
	if e := wantCode(t, err, mfa.TooManyRequests); e.RetryAfter != time.Second {
		t.Errorf("got a wait of %v, want a second", e.RetryAfter)
	}
	w.Clock.Advance(time.Second)
	requested(t, w)
	if told := events(t, w, mfa.UserResetCancelled); len(told) != 1 || told[0].Actor.Kind != "user" {
		t.Errorf("got %+v, want one by the user", told)
	}
}

// cancelBy does what the page of a link does.
func cancelBy(t *testing.T, w *mfatest.World, link seal.Secret) error {
	t.Helper()
	got, err := w.RedeemHandle(t.Context(), mfa.Call{}, link)
	if err == nil {
		_, err = w.CancelReset(t.Context(), mfa.Call{Bearer: got.Token.Reveal()}, got.ID, "")
	}
	return err
}

func TestAHandleIsRedeemedOnceForATokenThatCancelsThatRequestOnly(t *testing.T) {
	w, _ := protected(t, selfHeld)
	asked := requested(t, w)
	link := linkIn(t, w, lastMail(t, w, mail).Text)
	got, err := w.RedeemHandle(t.Context(), mfa.Call{}, link)
	if err != nil || got.Kind != mfa.CancelToken || got.ID != asked.ID || got.Token == nil {
		t.Fatalf("got %+v, %v, want a token", got, err)
	}
	_, err = w.RedeemHandle(t.Context(), mfa.Call{}, link)
	wantCode(t, err, mfa.NotFound)
	token := mfa.Call{Bearer: got.Token.Reveal()}
	for name, try := range map[string]func() error{
		"to get it":           func() error { _, err := w.GetReset(t.Context(), token, asked.ID); return err },
		"to approve it":       func() error { _, err := w.ApproveReset(t.Context(), token, asked.ID, "olga"); return err },
		"as an administrator": func() error { _, err := w.CancelReset(t.Context(), token, asked.ID, "olga"); return err },
		"to cancel another one": func() error {
			_, err := w.CancelReset(t.Context(), token, seal.ID("rs_", make([]byte, 32)), "")
			return err
		},
		"to reset": func() error { _, err := w.ResetUser(t.Context(), token, org, user, lost); return err },
	} {
		if try() == nil {
			t.Errorf("the token is good %s", name)
		}
	}
	forged := mfa.Call{Bearer: w.Forged(t, seal.CancelToken, rawReset(t, asked.ID))}
	_, err = w.CancelReset(t.Context(), forged, asked.ID, "")
	wantCode(t, err, mfa.NotFound)
	if _, err := w.CancelReset(t.Context(), token, asked.ID, ""); err != nil {
		t.Error(err)
	}
	wantReset(t, w, asked.ID, "cancelled", 1)
}

// rawReset returns the bytes of the id of a request.
func rawReset(t *testing.T, id string) []byte {
	t.Helper()
	return rawID(t, "ch_"+strings.TrimPrefix(id, "rs_"))
}

func TestTheWaitBeginsWithTheFirstNoticeThatIsHandedOver(t *testing.T) {
	w, _ := protected(t, selfHeld)
	w.Outbox.Fail(mfa.ErrNotTaken, false)
	asked := requested(t, w)
	w.Outbox.Fail(nil, false)
	w.Clock.Advance(48 * time.Hour)
	wantReset(t, w, asked.ID, "pending", 1)
	w.Clock.Advance(5 * 24 * time.Hour)
	wantReset(t, w, asked.ID, "expired", 1)
}

func TestAPolicyThatTurnsSelfServiceOffHoldsForWhatWaits(t *testing.T) {
	w, _ := protected(t, selfHeld)
	asked := requested(t, w)
	w.SetPolicy(t, org, "default", nil)
	w.Clock.Advance(25 * time.Hour)
	wantReset(t, w, asked.ID, "pending", 1)
}

func TestAWaitOfSelfServiceIsADayAtLeast(t *testing.T) {
	p := mfa.DefaultPolicy()
	p.Reset.SelfService, p.Reset.HoldS = mfa.SelfServiceHold, 86399
	if e := mfa.AsError(p.Check()); e.Code != mfa.InvalidRequest || e.Param != "reset.hold_s" {
		t.Errorf("got %v, want it refused", e)
	}
	p.Reset.HoldS = 86400
	if err := p.Check(); err != nil {
		t.Error(err)
	}
}

func TestOfManyRequestsAtOnceThereIsOne(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *mfatest.World) {
		w.SetPolicy(t, org, "default", selfHeld)
		w.EnrolTOTP(t, w.Fresh(), org, ana().User)
		services := twice(w)
		ids := []string{started(t, w, ana()).ID, started(t, w, ana()).ID}
		var c tally
		atOnce(64, func(i int) {
			_, err := services[i%2].RequestReset(t.Context(), w.Client, mfa.ResetAsk{Challenge: ids[i/2%2], Reason: nothingLeft})
			c.add(err)
		})
		c.wantOnly(t, "", mfa.AlreadyExists, mfa.Busy)
		if n := len(events(t, w, mfa.UserResetRequested)); c.heard[""] != 1 || n != 1 {
			t.Errorf("got %v heard and %d events, want one request", c.heard, n)
		}
	})
}
