package mfa_test

import (
	"strings"
	"testing"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/seal"
)

func TestM5AReturnURLIsUnderAnOriginOfTheClient(t *testing.T) {
	w := kls(t, nil)
	for url, good := range map[string]bool{
		"https://app.example":                              true,
		"https://app.example/":                             true,
		"https://app.example/a?b=c#d":                      true,
		"https://app.example.evil.example/":                false,
		"https://app.example@evil.example/":                false,
		"https://user:pass@app.example/":                   false,
		"https://app.example:8443/":                        false,
		"http://app.example/":                              false,
		"//app.example/":                                   false,
		"/":                                                false,
		"":                                                 false,
		"https:app.example":                                false,
		"https:///app.example/":                            false,
		`https://app.example\@evil.example`:                false,
		`https:\\app.example\`:                             false,
		"https://app.example\n.evil.example":               false,
		"https://app.example /":                            false,
		" https://app.example/":                            false,
		"https://xn--app-.example/":                        false,
		"https://аpp.example/":                             false,
		"data:text/html,https://app.example":               false,
		"javascript:https://app.example":                   false,
		"https://app.example/" + strings.Repeat("a", 2048): false,
		"https://evil.example/?https://app.example":        false,
		"https://evil.example#@app.example/":               false,
		"https://app.example%2eevil.example/":              false,
		"https://app.example%00.evil.example/":             false,
		"https://[::1]/":                                   false,
		"https://app.example:/":                            false,
	} {
		q := ana()
		q.ReturnURL = &url
		_, err := w.Decide(t.Context(), w.Client, q)
		if good && err != nil || !good && (mfa.AsError(err).Code != mfa.InvalidRequest || mfa.AsError(err).Param != "return_url") {
			t.Errorf("%q: got %v, want it taken: %v", url, err, good)
		}
	}
	bare := w.NewClient(t, apikey.Grant{Client: "bare", Scopes: apikey.Scopes()})
	q, url := ana(), "https://app.example/"
	q.ReturnURL = &url
	_, err := w.StartChallenge(t.Context(), bare, q)
	wantCode(t, err, mfa.InvalidRequest)
	if _, err := w.GetUser(t.Context(), w.Client, org, user); err == nil || len(w.Outbox.To(mail)) > 0 {
		t.Error("a start that was refused had an effect")
	}
}

func TestAStartThatSaysNonsenseIsRefusedWithItsParam(t *testing.T) {
	w := kls(t, nil)
	long, control, utf := strings.Repeat("a", 257), "a\nb", "\xff"
	for param, changes := range map[string][]func(*mfa.StartRequest){
		"purpose":           {func(q *mfa.StartRequest) { q.Purpose = "recover" }, func(q *mfa.StartRequest) { q.Purpose = "SIGN_IN" }},
		"action":            {func(q *mfa.StartRequest) { q.Action = &mfa.Action{Name: long} }, func(q *mfa.StartRequest) { q.Action = &mfa.Action{Name: control} }, func(q *mfa.StartRequest) { q.Action = &mfa.Action{Name: utf} }},
		"nonce":             {func(q *mfa.StartRequest) { q.Nonce = &long }, func(q *mfa.StartRequest) { q.Nonce = &control }},
		"first_factor.kind": {func(q *mfa.StartRequest) { q.FirstFactor.Kind = "SSO" }, func(q *mfa.StartRequest) { q.FirstFactor.Kind = "saml" }},
		"first_factor.amr": {func(q *mfa.StartRequest) { q.FirstFactor.AMR = make([]string, 17) }, func(q *mfa.StartRequest) { q.FirstFactor.AMR = []string{control} },
			func(q *mfa.StartRequest) { q.FirstFactor.AMR = []string{long} }},
		"first_factor.idp": {func(q *mfa.StartRequest) { q.FirstFactor.IdP = &long }},
		"first_factor.acr": {func(q *mfa.StartRequest) { q.FirstFactor.ACR = &control }},
		"context.ip": {func(q *mfa.StartRequest) { q.Context.IP = "localhost" }, func(q *mfa.StartRequest) { q.Context.IP = "203.0.113.9:80" },
			func(q *mfa.StartRequest) { q.Context.IP = "203.0.113.0/24" }, func(q *mfa.StartRequest) { q.Context.IP = "fe80::1%" + long }},
		"context.user_agent": {func(q *mfa.StartRequest) { q.Context.UserAgent = utf }, func(q *mfa.StartRequest) { q.Context.UserAgent = strings.Repeat("a", 2049) }},
	} {
		for i, change := range changes {
			q := ana()
			change(&q)
			_, err := w.StartChallenge(t.Context(), w.Client, q)
			if e := mfa.AsError(err); e.Code != mfa.InvalidRequest || e.Param != param {
				t.Errorf("%s, %d: got %v", param, i, err)
			}
		}
	}
	if len(w.Outbox.To(mail)) > 0 {
		t.Error("a start that was refused sent something")
	}
}

// Even the largest start that is possible fits into an item of the store.
func TestTheLargestStartIsTaken(t *testing.T) {
	w := kls(t, nil)
	q := ana()
	wide, id := strings.Repeat("<", 256), strings.Repeat("<", 128)
	q.Org, q.User.ID, q.Action, q.Nonce = id, id, &mfa.Action{Name: wide}, &wide
	w.SetPolicy(t, id, "kls", nil)
	q.FirstFactor.IdP, q.FirstFactor.ACR = &wide, &wide
	for range 16 {
		q.FirstFactor.AMR = append(q.FirstFactor.AMR, wide[:64])
	}
	q.Context = mfa.Context{IP: "2001:db8:1111:2222:3333:4444:5555:6666", UserAgent: strings.Repeat("\x01", 2048)}
	q.User.Name, q.User.Email = mfa.Some(wide[:200]), mfa.Some(strings.Repeat("'", 64)+"@acme.example")
	q.TrustToken = seal.NewSecret(strings.Repeat("a", 60<<10))
	ch := started(t, w, q)
	if _, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Answer: mfa.Answer{Code: w.Outbox.Code(t, *q.User.Email.Value)}, Trust: &mfa.TrustChoice{Name: wide[:100]}}); err != nil {
		t.Error(err)
	}
}

func TestADecisionSaysWhatAStartThenDoesAndHasNoEffect(t *testing.T) {
	w := kls(t, nil)
	token := trusted(t, w)
	sso, stepUp, first, bad := ana(), ana(), ana(), ana()
	sso.FirstFactor.Kind, stepUp.Purpose, first.User.ID = "sso", mfa.StepUp, "u-99"
	bad.User.Phone = mfa.Some("nonsense")
	for name, q := range map[string]mfa.StartRequest{"again": ana(), "trusted": with(token), "sso": sso, "step-up": stepUp, "first sight": first, "a bad value": bad} {
		w.Drain(t)
		before, emails, told := everything(t, w, org, q.User.ID), len(w.Outbox.To(mail)), len(w.Events.All())
		q.ReturnURL = nil
		decision, err := w.Decide(t.Context(), keyed(w.Client, "/d", "k", name), q)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		w.Drain(t)
		if everything(t, w, org, q.User.ID) != before || len(w.Outbox.To(mail)) != emails || len(w.Events.All()) != told {
			t.Errorf("%s: the decision had an effect", name)
		}
		answer, err := w.StartChallenge(t.Context(), w.Client, q)
		if err != nil || answer.Decision != decision {
			t.Errorf("%s: got %+v, %v, and %+v was decided", name, answer.Decision, err, decision)
		}
		w.Clock.Advance(time.Minute)
	}
}

func TestAStolenTokenKillsTheLineOfALockedUserToo(t *testing.T) {
	w := kls(t, nil)
	first := trusted(t, w)
	third := used(t, w, used(t, w, first))
	lock(t, w)
	_, err := w.StartChallenge(t.Context(), w.Client, with(first))
	wantCode(t, err, mfa.Locked)
	if answer, err := w.StartChallenge(t.Context(), w.Client, with(third)); err == nil {
		t.Errorf("got %+v, want the line dead", answer.Decision)
	}
	if got := events(t, w, mfa.BrowserTheft); len(got) != 1 {
		t.Errorf("got %+v, want one browser.theft_suspected", got)
	}
}
