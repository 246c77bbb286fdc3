package mfa_test

import (
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

// Here trust has ended, but challenges and factors haven't. A browser that is trusted afterwards is trusted like any other:
// it isn't asked, it counts towards the cap, its end is announced, and the next cause ends its trust.
func TestTrustThatIsGrantedAfterTrustDiedIsGood(t *testing.T) {
	alone := map[string]func(*testing.T, *mfatest.World, *mfatest.Authenticator){
		"2FA turned off and on": func(t *testing.T, w *mfatest.World, a *mfatest.Authenticator) {
			if _, err := w.SetEnabled(t.Context(), stepUp(t, w, a), org, user, false); err != nil {
				t.Fatal(err)
			}
			if _, err := w.SetEnabled(t.Context(), w.Fresh(), org, user, true); err != nil {
				t.Fatal(err)
			}
		},
		"a factor removed": func(t *testing.T, w *mfatest.World, a *mfatest.Authenticator) {
			call := stepUp(t, w, a)
			second, _ := enrolApp(t, w, call)
			if err := w.RemoveFactor(t.Context(), call, org, user, second.Factor); err != nil {
				t.Fatal(err)
			}
		},
		"all browsers revoked": func(t *testing.T, w *mfatest.World, _ *mfatest.Authenticator) {
			if err := w.RevokeBrowsers(t.Context(), w.Client, org, user); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, die := range alone {
		t.Run(name, func(t *testing.T) {
			w, a := protected(t, func(p *mfa.Policy) { p.Trust.Cap = 1 })
			sweep(t, w)
			first := trustedByApp(t, w, a)
			die(t, w, a)
			w.Clock.Advance(time.Minute)
			second := trustedByApp(t, w, a)
			wantReason(t, w, first, mfa.NewBrowser)
			wantReason(t, w, second, mfa.BrowserTrust)
			if got := browsers(t, w); len(got) != 1 {
				t.Errorf("got %+v, want the second alone", got)
			}
			for _, e := range events(t, w, mfa.BrowserRevoked) {
				if e.Data["cause"] == "cap" {
					t.Errorf("got %+v: what was dead counts for the cap", e)
				}
			}
			die(t, w, a)
			wantReason(t, w, second, mfa.NewBrowser)
			w.Clock.Advance(time.Minute)
			third := trustedByApp(t, w, a)
			w.Clock.Advance(30 * day)
			wantReason(t, w, third, mfa.TrustExpired)
			if n := sweep(t, w); n != 1 {
				t.Errorf("got %d ends announced, want that of the third alone", n)
			}
			wantCode(t, w.RevokeBrowser(t.Context(), w.Client, org, user, events(t, w, mfa.BrowserTrusted)[2].Data["browser"].(string)), mfa.NotFound)
		})
	}
}

// A browser whose trust has ended is still stored for a while, but it doesn't count towards the cap.
func TestWhatHasEndedDoesNotCountForTheCap(t *testing.T) {
	w, a := protected(t, func(p *mfa.Policy) { p.Trust.Cap = 2 })
	trustedByApp(t, w, a)
	w.Clock.Advance(30 * day)
	first, second := trustedByApp(t, w, a), trustedByApp(t, w, a)
	wantReason(t, w, first, mfa.BrowserTrust)
	wantReason(t, w, second, mfa.BrowserTrust)
	if got := events(t, w, mfa.BrowserRevoked); len(got) != 0 {
		t.Errorf("got %+v, want nothing revoked", got)
	}
	granted := events(t, w, mfa.BrowserTrusted)
	if len(granted) != 3 || granted[2].Data["expires"] != w.Clock.Now().Add(30*day).Format(time.RFC3339) {
		t.Errorf("got %+v, want three that say when they end", granted)
	}
}

// A first address or number replaces nobody's, so nothing was ever sent to an earlier one.
func TestAFirstContactEndsNothing(t *testing.T) {
	for name, said := range map[string]mfa.Person{
		"email": {ID: user, Email: mfa.Some(mail)}, "phone": {ID: user, Phone: mfa.Some("+33612345678")},
	} {
		for by, tell := range map[string]func(w *mfatest.World) error{
			"put": func(w *mfatest.World) error {
				_, err := w.PutUser(t.Context(), w.Client, org, said)
				return err
			},
			"start": func(w *mfatest.World) error {
				_, err := w.StartChallenge(t.Context(), w.Client, mfa.StartRequest{Org: org, User: said})
				return err
			},
		} {
			w := mfatest.New(t)
			w.SetPolicy(t, org, "default", nil)
			bare := mfa.StartRequest{Org: org, User: mfa.Person{ID: user}}
			a, _ := w.EnrolTOTP(t, w.Fresh(), org, bare.User)
			answer, err := verify(t, w, started(t, w, bare).ID, w.NextCode(a), true)
			if err != nil {
				t.Fatal(err)
			}
			open := started(t, w, bare)
			if err := tell(w); err != nil {
				t.Fatal(err)
			}
			bare.TrustToken = *answer.TrustToken
			if d, err := w.Decide(t.Context(), w.Client, bare); err != nil || d.Reason != mfa.BrowserTrust {
				t.Errorf("a first %s by a %s: got %+v, %v, want the browser trusted still", name, by, d, err)
			}
			if _, err := verify(t, w, open.ID, w.NextCode(a), false); err != nil {
				t.Errorf("a first %s by a %s: what was open got %v", name, by, err)
			}
			if got := events(t, w, mfa.BrowserRevoked); len(got) != 0 {
				t.Errorf("a first %s by a %s: got %+v", name, by, got)
			}
		}
	}
}
