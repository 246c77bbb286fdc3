package mfa_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/store"
)

// weighed is a store that records the size of what is written to it, in bytes as DynamoDB charges for them.
type weighed struct {
	store.Store
	puts []weighedPut
}

type weighedPut struct {
	key          store.Key
	body, events int
	whole        int // including attribute names, key, version and expiry
}

func (w *weighed) Commit(ctx context.Context, token store.Version, writes ...store.Write) error {
	for _, one := range writes {
		if one.Delete {
			continue
		}
		p := weighedPut{key: one.Key, body: len(one.Body), events: len(one.Events)}
		p.whole = len("pk"+"sk"+"v"+"b") + len(one.Key.Partition) + len(one.Key.Sort) + len(token) + p.body
		if !one.Expires.IsZero() {
			p.whole += len("x") + 6 // a number of ten digits takes six bytes
		}
		if p.events > 0 {
			p.whole += len("e") + p.events
		}
		w.puts = append(w.puts, p)
	}
	return w.Store.Commit(ctx, token, writes...)
}

// This test measures what the second to the tenth sign-in of a day write for a user with a name, an id of 36 bytes, a
// browser's user agent and ten recovery codes. Each item with its events takes one write unit. A commit of two items is a
// transaction, which takes twice as many.
func TestASignInWritesLittle(t *testing.T) {
	who := mfa.StartRequest{
		Org: "4f6cbd1e-58a4-4f4c-9f0e-0d6a8f2d9c11",
		User: mfa.Person{
			ID: "0b9f7c52-9e0a-4a53-8a57-4c1f6e2ad8b7", Email: mfa.Some("ana.example@acme.example"), Name: mfa.Some("Ana Example"),
		},
		Context: mfa.Context{
			IP:        "203.0.113.77",
			UserAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
		},
	}
	for _, kind := range []mfa.Kind{mfa.TOTP, mfa.Email} {
		w := mfatest.New(t)
		w.SetPolicy(t, who.Org, "default", func(p *mfa.Policy) {
			if kind == mfa.Email {
				p.Methods.Email, p.Require = mfa.Implicit, mfa.Everyone
			}
		})
		var app *mfatest.Authenticator
		if kind == mfa.TOTP {
			app, _ = w.EnrolTOTP(t, w.Fresh(), who.Org, who.User)
		}
		signIn := func() {
			t.Helper()
			answer, err := w.StartChallenge(t.Context(), w.Client, who)
			if err != nil || answer.Challenge == nil {
				t.Fatalf("got %+v, %v, want a challenge", answer, err)
			}
			code := mfa.Answer{}
			if kind == mfa.TOTP {
				code.Code = w.NextCode(app)
			} else {
				w.Clock.Advance(time.Minute)
				code.Code = w.Outbox.Code(t, "ana.example@acme.example")
			}
			if _, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: answer.Challenge.ID, Answer: code}); err != nil {
				t.Fatal(err)
			}
		}
		signIn()
		w.Clock.Advance(6 * time.Hour)
		most := map[string]int{"challenge": 450, "guard": 480} // a guard holds the times at which emails were sent in the last day
		if kind == mfa.TOTP {
			most["guard"] = 700 // this guard holds ten recovery codes
		}
		scale := &weighed{Store: w.Store}
		w.Store = scale
		for nth := 2; nth <= 10; nth++ {
			scale.puts = nil
			signIn()
			units := 0
			for _, p := range scale.puts {
				name, _, _ := strings.Cut(p.key.Sort, "#")
				t.Logf("sign-in %d by %s: %s has %d bytes of body, %d of events, %d in all", nth, kind, name, p.body, p.events, p.whole)
				if p.body > most[name] {
					t.Errorf("sign-in %d by %s: %s has %d bytes, want %d at most", nth, kind, name, p.body, most[name])
				}
				units += (p.whole + 1023) / 1024
			}
			if want := map[mfa.Kind]int{mfa.TOTP: 2, mfa.Email: 3}[kind]; units != want {
				t.Errorf("sign-in %d by %s: got %d write units for %d items, want %d", nth, kind, units, len(scale.puts), want)
			}
			w.Clock.Advance(40 * time.Minute)
		}
	}
}
