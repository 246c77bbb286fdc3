package mfa_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/message"
	"countersign/pkg/mfa"
	"countersign/pkg/seal"
	"countersign/pkg/store/bolt"
)

// keys is a keeper of one key ring, which it has made itself.
type keys struct{ ring *seal.Ring }

func (k keys) Ring(context.Context) (*seal.Ring, error)   { return k.ring, nil }
func (k keys) Reload(context.Context) (*seal.Ring, error) { return k.ring, nil }

// inbox takes email, and keeps the code of the last message.
type inbox struct{ code seal.Secret }

func (i *inbox) SendMail(_ context.Context, m message.Message) error {
	i.code = m.Code
	return nil
}

// nowhere drops all events.
type nowhere struct{}

func (nowhere) PutEvents(context.Context, []activity.Event) error { return nil }

// The client has checked ana's password, and asks at her sign-in whether that is enough.
func Example() {
	if err := signInOnce(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// challenge, because of new_browser
	// verified: true
	// the same code again: challenge_invalid
}

func signInOnce(ctx context.Context) error {
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	table, err := bolt.Open(filepath.Join(folder, "table.db"), bolt.Options{Now: time.Now})
	if err != nil {
		return err
	}
	defer table.Close()
	mail := &inbox{}
	s := &mfa.Service{
		Store: table, Keys: keys{seal.NewRing(time.Now())}, Mail: mail, Bus: nowhere{}, Now: time.Now,
		Issuer: "https://countersign.example",
	}
	key, err := (&apikey.Registry{Store: table, Now: time.Now}).Create(ctx, apikey.Grant{Client: "app", Scopes: []apikey.Scope{apikey.SignIn, apikey.Admin}})
	if err != nil {
		return err
	}
	call := mfa.Call{Bearer: key.Reveal()}
	policy, err := mfa.ProfilePolicy("kls")
	if err != nil {
		return err
	}
	none := 0
	if _, err := s.PutPolicy(ctx, call, "acme", mfa.PolicyChange{Policy: policy, Version: &none, Acknowledge: true}); err != nil {
		return err
	}

	start, err := s.StartChallenge(ctx, call, mfa.StartRequest{
		Org: "acme", User: mfa.Person{ID: "ana", Email: mfa.Some("ana@acme.example")},
	})
	if err != nil {
		return err
	}
	fmt.Printf("%s, because of %s\n", start.Decision.Decision, start.Reason)
	answer := mfa.VerifyRequest{Challenge: start.Challenge.ID, Answer: mfa.Answer{Code: mail.code}}
	verified, err := s.Verify(ctx, call, answer)
	if err != nil {
		return err
	}
	fmt.Println("verified:", verified.Verified)
	_, err = s.Verify(ctx, call, answer)
	fmt.Println("the same code again:", mfa.AsError(err).Code)
	return nil
}
