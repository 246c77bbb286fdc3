package main

import (
	"errors"
	"fmt"
	"sync/atomic"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

// Guests are users who sign in beside a rehearsal. Each step of a sign-in goes to the next of the deployment's processes.
type guests struct {
	at    atomic.Pointer[[]*deployment]
	steps atomic.Int64
}

// come lets all further steps go to these processes.
func (g *guests) come(to ...*deployment) { g.at.Store(&to) }

func (g *guests) process() *deployment {
	all := *g.at.Load()
	return all[int(g.steps.Add(1))%len(all)]
}

const bell = "bell" // the organisation of the guests, whose profile is kls

// signIn signs a guest in with a code by email, and again from the browser that is trusted since then.
func (g *guests) signIn(user string) error {
	mail := user + "@bell.example"
	q := mfa.StartRequest{Org: bell, User: mfa.Person{ID: user, Email: mfa.Some(mail)}}
	d := g.process()
	begun, err := d.StartChallenge(d.t.Context(), d.Client, q)
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	if begun.Challenge == nil || begun.Challenge.Sent == nil {
		return fmt.Errorf("got %+v, want that a code is sent", begun.Decision)
	}
	var code seal.Secret
	for _, m := range d.Service.Mail.(*mfatest.Outbox).To(mail) {
		code = m.Code
	}
	d = g.process()
	done, err := d.Verify(d.t.Context(), d.Client, mfa.VerifyRequest{
		Challenge: begun.Challenge.ID, Answer: mfa.Answer{Code: code}, Trust: &mfa.TrustChoice{Name: "Firefox"},
	})
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if done.TrustToken == nil {
		return errors.New("the browser is not trusted")
	}
	q.TrustToken = *done.TrustToken
	d = g.process()
	again, err := d.StartChallenge(d.t.Context(), d.Client, q)
	if err == nil && again.Reason != mfa.BrowserTrust {
		err = fmt.Errorf("got %+v, want that the browser is trusted", again.Decision)
	}
	return err
}
