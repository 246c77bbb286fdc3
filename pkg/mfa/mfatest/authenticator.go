package mfatest

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/seal"
)

// Step is how long an Authenticator shows one code.
const Step = 30 * time.Second

// An Authenticator is a user's authenticator app. It computes codes as RFC 4226 section 5.3 and RFC 6238 say, and shares no
// source code with the service for this.
type Authenticator struct {
	Issuer, Account string // the names under which the app lists the user
	Factor          string // the id of the factor, if a World enrolled it
	secret          []byte
}

// NewAuthenticator sets an app up from an otpauth URI, like a phone that reads the QR code. It accepts only the parameters
// that every app supports: SHA-1, six digits, 30 seconds.
func NewAuthenticator(uri string) (*Authenticator, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return nil, errors.New("mfatest: no URI") // err is left out, because it contains the URI and so the secret
	}
	said := u.Query()
	issuer, account, ok := strings.Cut(strings.TrimPrefix(u.Path, "/"), ":")
	if u.Scheme != "otpauth" || u.Host != "totp" || !ok || issuer != said.Get("issuer") {
		return nil, errors.New("mfatest: no URI of a TOTP key with its issuer")
	}
	for name, want := range map[string]string{"algorithm": "SHA1", "digits": "6", "period": "30"} {
		if got := said[name]; len(got) != 1 || got[0] != want {
			return nil, fmt.Errorf("mfatest: a TOTP key whose %s is %q, want %s", name, got, want)
		}
	}
	a, err := TypedAuthenticator(said.Get("secret"))
	if err != nil {
		return nil, err
	}
	a.Issuer, a.Account = issuer, account
	return a, nil
}

// TypedAuthenticator sets an app up from a secret in base32, like a person who types it because the QR code can't be read.
func TypedAuthenticator(secret string) (*Authenticator, error) {
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	if err != nil || len(raw) == 0 {
		return nil, errors.New("mfatest: a secret that is no base32")
	}
	return &Authenticator{secret: raw}, nil
}

// Code returns the code that the app shows at a time.
func (a *Authenticator) Code(at time.Time) seal.Secret {
	return a.counter(uint64(at.Unix() / int64(Step/time.Second)))
}

func (a *Authenticator) counter(n uint64) seal.Secret {
	mac := hmac.New(sha1.New, a.secret)
	mac.Write(binary.BigEndian.AppendUint64(nil, n))
	sum := mac.Sum(nil)
	cut := binary.BigEndian.Uint32(sum[sum[len(sum)-1]&0xf:]) &^ (1 << 31)
	return seal.NewSecret(fmt.Sprintf("%06d", cut%1_000_000))
}

// CodeAnswer returns the answer of a person who types text as a code.
func CodeAnswer(text string) mfa.Answer { return mfa.Answer{Code: seal.NewSecret(text)} }

// Code returns the code that an app shows now.
func (w *World) Code(a *Authenticator) seal.Secret { return a.Code(w.Clock.Now()) }

// NextCode moves the clock on by a step, and returns the code that the app shows then.
func (w *World) NextCode(a *Authenticator) seal.Secret { return a.Code(w.Clock.Advance(Step)) }

// Fresh returns Client's call for a user whose password it has just checked.
func (w *World) Fresh() mfa.Call {
	call := w.Client
	call.Reauthenticated = w.Clock.Now().Format(time.RFC3339)
	return call
}

// StepUp lets a user step up with their app, and returns a fresh call with the proof of it. It moves the clock on by a step.
func (w *World) StepUp(tb testing.TB, org, user string, a *Authenticator) mfa.Call {
	tb.Helper()
	answer, err := w.StartChallenge(tb.Context(), w.Client, mfa.StartRequest{Org: org, User: mfa.Person{ID: user}, Purpose: mfa.StepUp})
	if err != nil {
		tb.Fatal(err)
	}
	if answer.Challenge == nil {
		tb.Fatalf("got %s, want a challenge to step up", answer.Decision.Decision)
	}
	verified, err := w.Verify(tb.Context(), w.Client, mfa.VerifyRequest{Challenge: answer.Challenge.ID, Factor: a.Factor, Answer: mfa.Answer{Code: w.NextCode(a)}})
	if err != nil {
		tb.Fatal(err)
	}
	call := w.Fresh()
	call.Proof = verified.Token
	return call
}

// EnrolTOTP enrols an app. With an enrolment token, org and who are empty. It spends the app's code of this moment.
func (w *World) EnrolTOTP(tb testing.TB, call mfa.Call, org string, who mfa.Person) (*Authenticator, mfa.FinishAnswer) {
	tb.Helper()
	begun := w.begin(tb, call, org, who, mfa.TOTP)
	a, err := NewAuthenticator(begun.TOTP.URI.Reveal())
	if err != nil {
		tb.Fatal(err)
	}
	done := w.finish(tb, call, begun.ID, w.Code(a))
	a.Factor = done.Factor.ID
	return a, done
}

// EnrolEmail enrols the user's address, to which the code is sent. With an enrolment token, org and who are empty.
func (w *World) EnrolEmail(tb testing.TB, call mfa.Call, org string, who mfa.Person, address string) mfa.FinishAnswer {
	tb.Helper()
	begun := w.begin(tb, call, org, who, mfa.Email)
	if begun.Proven {
		return w.finish(tb, call, begun.ID, seal.Secret{})
	}
	return w.finish(tb, call, begun.ID, w.Outbox.Code(tb, address))
}

// EnrolSMS enrols a number, to which the code is sent. With an enrolment token, org and who are empty.
func (w *World) EnrolSMS(tb testing.TB, call mfa.Call, org string, who mfa.Person, number string) mfa.FinishAnswer {
	tb.Helper()
	begun := w.beginWith(tb, call, org, who, mfa.EnrolRequest{Kind: mfa.SMS, Phone: &number})
	return w.finish(tb, call, begun.ID, w.Outbox.Code(tb, number))
}

func (w *World) begin(tb testing.TB, call mfa.Call, org string, who mfa.Person, kind mfa.Kind) mfa.EnrolAnswer {
	tb.Helper()
	return w.beginWith(tb, call, org, who, mfa.EnrolRequest{Kind: kind})
}

func (w *World) beginWith(tb testing.TB, call mfa.Call, org string, who mfa.Person, q mfa.EnrolRequest) mfa.EnrolAnswer {
	tb.Helper()
	q.Org = org
	if org != "" {
		q.User = &who
	}
	begun, err := w.BeginEnrolment(tb.Context(), call, q)
	if err != nil {
		tb.Fatal(err)
	}
	if begun.Prove != nil {
		tb.Fatal("the address has to be proven first")
	}
	return begun
}

func (w *World) finish(tb testing.TB, call mfa.Call, id string, code seal.Secret) mfa.FinishAnswer {
	tb.Helper()
	done, err := w.FinishEnrolment(tb.Context(), call, mfa.FinishRequest{Enrolment: id, Answer: mfa.Answer{Code: code}})
	if err != nil {
		tb.Fatal(err)
	}
	return done
}
