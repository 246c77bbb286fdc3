package mfa_test

import (
	"strings"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

// Only the first part of a language tag counts, in upper or lower case (RFC 5646 section 2.1.1).
func TestAMessageIsInTheUsersLanguageElseInTheOrgs(t *testing.T) {
	for _, c := range []struct{ said, org, want string }{
		{"fr", "en", "fr"}, {"FR", "en", "fr"}, {"FR-fr", "en", "fr"}, {"fr-CA", "en", "fr"}, {"Fr-Latn-CH", "en", "fr"},
		{"en", "fr", "en"}, {"EN-gb", "fr", "en"}, {"EN", "fr", "en"},
		{"", "fr", "fr"}, {"", "en", "en"}, {"de", "fr", "fr"}, {"de-FR", "en", "en"}, {"frr", "en", "en"}, {"en-FR", "fr", "en"},
	} {
		w := kls(t, func(p *mfa.Policy) { p.Locale = c.org })
		q := ana()
		if c.said != "" {
			q.User.Locale = mfa.Some(c.said)
		}
		started(t, w, q)
		if got := languagesOf(w); got != c.want {
			t.Errorf("%q in an org of %q: got %q, want %q", c.said, c.org, got, c.want)
		}
	}
}

// languagesOf returns the languages of all messages to ana so far, each once.
func languagesOf(w *mfatest.World) string {
	var all []string
	for _, m := range w.Outbox.To(mail) {
		_, rest, _ := strings.Cut(m.HTML, `<html lang="`)
		language, _, _ := strings.Cut(rest, `"`)
		if !strings.Contains(" "+strings.Join(all, " ")+" ", " "+language+" ") {
			all = append(all, language)
		}
	}
	return strings.Join(all, " ")
}

// Every message is in the user's language, whatever it is sent for.
func TestEveryMessageIsInTheUsersLanguage(t *testing.T) {
	french := func(w *mfatest.World, t *testing.T) mfa.StartRequest {
		q := ana()
		q.User.Locale = mfa.Some("FR-fr")
		if _, err := w.PutUser(t.Context(), w.Client, org, q.User); err != nil {
			t.Fatal(err)
		}
		return q
	}
	for name, c := range map[string]struct {
		policy func(*mfa.Policy)
		do     func(*testing.T, *mfatest.World, mfa.StartRequest)
		sent   int
	}{
		"codes of a sign-in, its second code and a step-up": {
			func(p *mfa.Policy) { p.Methods.Email, p.Require = mfa.Implicit, mfa.Everyone },
			func(t *testing.T, w *mfatest.World, q mfa.StartRequest) {
				ch := started(t, w, q)
				w.Clock.Advance(time.Minute)
				if _, err := send(t, w, ch.ID); err != nil {
					t.Fatal(err)
				}
				q.Purpose = mfa.StepUp
				started(t, w, q)
			}, 3},
		"codes of an enrolment, its second code, and the notice of the factor": {
			nil,
			func(t *testing.T, w *mfatest.World, q mfa.StartRequest) {
				begun, err := w.BeginEnrolment(t.Context(), w.Fresh(), mfa.EnrolRequest{Org: org, User: &q.User, Kind: mfa.Email})
				if err != nil {
					t.Fatal(err)
				}
				w.Clock.Advance(time.Minute)
				if _, err := w.SendEnrolment(t.Context(), w.Client, begun.ID); err != nil {
					t.Fatal(err)
				}
				if _, err := w.FinishEnrolment(t.Context(), w.Client, mfa.FinishRequest{Enrolment: begun.ID, Answer: mfa.Answer{Code: w.Outbox.Code(t, mail)}}); err != nil {
					t.Fatal(err)
				}
			}, 3},
		"the code that proves an address, and the second": {
			func(p *mfa.Policy) { p.Require, p.EnrolmentProof = mfa.Everyone, "email" },
			func(t *testing.T, w *mfatest.World, q mfa.StartRequest) {
				answer, err := w.StartChallenge(t.Context(), w.Client, q)
				if err != nil {
					t.Fatal(err)
				}
				for range 2 {
					if _, err := w.BeginEnrolment(t.Context(), mfa.Call{Bearer: answer.Enrolment.Token.Reveal()}, mfa.EnrolRequest{Kind: mfa.TOTP}); err != nil {
						t.Fatal(err)
					}
					w.Clock.Advance(time.Minute)
				}
			}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := mfatest.New(t)
			w.SetPolicy(t, org, "default", c.policy)
			c.do(t, w, french(w, t))
			w.Drain(t)
			if got := len(w.Outbox.To(mail)); got != c.sent {
				t.Errorf("got %d messages, want %d", got, c.sent)
			}
			if got := languagesOf(w); got != "fr" {
				t.Errorf("got messages in %q, want them in French", got)
			}
		})
	}
}
