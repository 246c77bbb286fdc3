package mfa_test

import (
	"fmt"
	"html"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

// house is the name of the deployment. Messages use it for a client without a name.
const house = "House"

// A named is a world, together with the name that users see for its client.
type named struct {
	*mfatest.World
	name string // the name that messages use: the client's own, or house
}

// clientsOf returns three clients of a world, two with names of their own and one without. turn rotates them, so that each
// can be the last.
func clientsOf(t *testing.T, w *mfatest.World, turn int) []named {
	t.Helper()
	w.Sender = house
	var all []named
	for i, name := range []string{"Anna’s Shop & <b>Co</b>", "Banque Zoë", ""} {
		as := *w
		as.Client = w.NewClient(t, apikey.Grant{Client: fmt.Sprint("client-", i), Name: name, Scopes: apikey.Scopes()})
		said := named{&as, name}
		if name == "" {
			said.name = house
		}
		all = append(all, said)
	}
	return slices.Concat(all[turn:], all[:turn])
}

// wantName fails the test unless ana got want messages after the first since messages, each with this client's name and no
// other. It returns how many messages she has got in all.
func (as named) wantName(t *testing.T, what, language string, since, want int) int {
	t.Helper()
	as.Drain(t)
	sent := as.Outbox.To(mail)
	if len(sent) != since+want {
		t.Fatalf("%s: got %d messages, want %d", what, len(sent)-since, want)
	}
	for _, m := range sent[since:] {
		escaped := html.EscapeString(as.name)
		if m.From != as.name || !strings.Contains(m.Subject, as.name) || !strings.HasSuffix(m.Text, "\n"+as.name+"\n") ||
			!strings.Contains(m.HTML, ">"+escaped+"</p>") || !strings.Contains(m.HTML, `lang="`+language+`"`) {
			t.Errorf("%s: want %q throughout, in %s; from %q, subject %q\n%s", what, as.name, language, m.From, m.Subject, m.Text)
		}
		for _, other := range []string{"Anna’s Shop", "Banque Zoë", house, "Countersign"} {
			if !strings.HasPrefix(as.name, other) && strings.Contains(m.From+m.Subject+m.Text+m.HTML, other) {
				t.Errorf("%s: %q is said in a message of %q:\n%s", what, other, as.name, m.Text)
			}
		}
	}
	return len(sent)
}

// wantIssuer fails the test unless the authenticator app lists the factor under the client's name.
func (as named) wantIssuer(t *testing.T, what string, begun mfa.EnrolAnswer) *mfatest.Authenticator {
	t.Helper()
	a := appOf(t, begun)
	if a.Issuer != as.name || a.Account != mail {
		t.Errorf("%s: an app lists %q at %q, want %q at %q", what, a.Account, a.Issuer, mail, as.name)
	}
	if raw := begun.TOTP.URI.Reveal(); !strings.HasPrefix(raw, "otpauth://totp/"+(&url.URL{Path: as.name}).EscapedPath()+":") {
		t.Errorf("%s: the label of the URI doesn't begin with %q", what, as.name)
	}
	return a
}

// eachTurn runs a test in each language, with each of the three clients as the last one that the user meets.
func eachTurn(t *testing.T, policy func(*mfa.Policy), test func(*testing.T, string, mfa.StartRequest, []named)) {
	t.Helper()
	for _, language := range []string{"en", "fr"} {
		for turn := range 3 {
			w := plain(t, policy)
			clients := clientsOf(t, w, turn)
			q := ana()
			q.User.Locale = mfa.Some(language)
			put(t, w, q.User)
			t.Run(language+", last "+clients[2].name, func(t *testing.T) { test(t, language, q, clients) })
		}
	}
}

func TestEveryMessageOfASignInSaysTheNameOfTheClientThatBeganIt(t *testing.T) {
	policy := func(p *mfa.Policy) {
		p.Methods.Email, p.Require, p.Challenge.Attempts = mfa.Implicit, mfa.Everyone, 10
	}
	eachTurn(t, policy, func(t *testing.T, language string, q mfa.StartRequest, clients []named) {
		sent := 0
		var last *mfa.ChallengeToAnswer
		for _, as := range clients {
			last = started(t, as.World, q)
			sent = as.wantName(t, "the code of a start", language, sent, 1)
			as.Clock.Advance(time.Minute)
			if _, err := send(t, as.World, last.ID); err != nil {
				t.Fatal(err)
			}
			sent = as.wantName(t, "the code that the client has sent again", language, sent, 1)
			as.Clock.Advance(time.Minute)
			if _, err := as.SendCode(t.Context(), mfa.Call{Bearer: last.Token.Reveal()}, mfa.SendRequest{Challenge: last.ID}); err != nil {
				t.Fatal(err)
			}
			sent = as.wantName(t, "the code that the browser has sent again", language, sent, 1)
		}
		as, wrong := clients[2], mfatest.Wrong(clients[2].Outbox.Code(t, mail))
		for range 10 {
			_, err := as.Verify(t.Context(), mfa.Call{Bearer: last.Token.Reveal()}, mfa.VerifyRequest{Challenge: last.ID, Answer: mfa.Answer{Code: wrong}})
			wantCode(t, err, mfa.WrongCode)
		}
		as.wantName(t, "the notice of a lock that came about in the browser", language, sent, 1)
	})
}

func TestEveryMessageOfAnEnrolmentByKeySaysTheNameOfTheClient(t *testing.T) {
	eachTurn(t, nil, func(t *testing.T, language string, q mfa.StartRequest, clients []named) {
		sent := 0
		for _, as := range clients {
			as.wantIssuer(t, "an app", begin(t, as.World, as.Fresh(), mfa.TOTP))
			begun := begin(t, as.World, as.Fresh(), mfa.Email)
			sent = as.wantName(t, "the code of an address", language, sent, 1)
			as.Clock.Advance(time.Minute)
			if _, err := as.SendEnrolment(t.Context(), as.Client, begun.ID); err != nil {
				t.Fatal(err)
			}
			sent = as.wantName(t, "the second code of an address", language, sent, 1)
		}
		for _, as := range clients {
			enrolOnBehalf(t, as.World)
			sent = as.wantName(t, "the notice of a factor", language, sent, 1)
		}
		q.User.Email = mfa.Some("new@other.example")
		put(t, clients[2].World, q.User)
		clients[2].wantName(t, "the notice of another address", language, sent, 1)
	})
}

func TestEveryMessageOfAnEnrolmentByTokenSaysTheNameOfTheClientThatBeganTheSignIn(t *testing.T) {
	policy := func(p *mfa.Policy) { p.Require, p.EnrolmentProof = mfa.Everyone, "email" }
	eachTurn(t, policy, func(t *testing.T, language string, q mfa.StartRequest, clients []named) {
		var token mfa.Call
		var begun mfa.EnrolAnswer
		var app *mfatest.Authenticator
		sent := 0
		for _, as := range clients {
			_, token = mustEnrol(t, as.World, q)
			proving(t, as.World, token)
			sent = as.wantName(t, "the code that proves the address", language, sent, 1)
			if _, err := prove(t, as.World, token, as.Outbox.Code(t, mail)); err != nil {
				t.Fatal(err)
			}
			var err error
			if begun, err = as.BeginEnrolment(t.Context(), token, mfa.EnrolRequest{Kind: mfa.TOTP}); err != nil {
				t.Fatal(err)
			}
			app = as.wantIssuer(t, "an app", begun)
		}
		as := clients[2]
		if _, err := finish(t, as.World, token, begun.ID, as.Code(app)); err != nil {
			t.Fatal(err)
		}
		as.wantName(t, "the notice of the app", language, sent, 1)
	})
}

func TestEveryCodeOfAnAddressThatIsEnrolledByTokenSaysTheNameOfTheClient(t *testing.T) {
	policy := func(p *mfa.Policy) { p.Require, p.EnrolmentProof = mfa.Everyone, "none" }
	eachTurn(t, policy, func(t *testing.T, language string, q mfa.StartRequest, clients []named) {
		sent := 0
		for _, as := range clients {
			_, token := mustEnrol(t, as.World, q)
			begun, err := as.BeginEnrolment(t.Context(), token, mfa.EnrolRequest{Kind: mfa.Email})
			if err != nil {
				t.Fatal(err)
			}
			sent = as.wantName(t, "the code", language, sent, 1)
			as.Clock.Advance(time.Minute)
			if _, err := as.SendEnrolment(t.Context(), token, begun.ID); err != nil {
				t.Fatal(err)
			}
			sent = as.wantName(t, "the second code", language, sent, 1)
		}
	})
}

func TestWhatIsSummedUpSaysTheClientsNameOrWhereThereAreSeveralTheDeployments(t *testing.T) {
	for what, c := range map[string]struct {
		by   []int // indexes of the clients that enrol, in this order
		want int
	}{
		"one client":                  {[]int{0, 0}, 0},
		"a client without a name":     {[]int{2, 2}, 2},
		"two clients":                 {[]int{0, 1}, 2},
		"a client, and one unnamed":   {[]int{1, 2}, 2},
		"two clients, and one anew":   {[]int{0, 1, 1}, 2},
		"an unnamed one, and a named": {[]int{2, 0}, 2},
	} {
		w, _ := noisy(t)
		clients := clientsOf(t, w, 0)
		sent := len(w.Outbox.To(mail))
		for _, i := range c.by {
			w.Clock.Advance(mfatest.Step)
			enrolOnBehalf(t, clients[i].World)
		}
		clients[c.want].wantName(t, what+", too early", "en", sent, 0)
		w.Clock.Advance(24 * time.Hour)
		sweep(t, w)
		clients[c.want].wantName(t, what, "en", sent, 1)
	}
}
