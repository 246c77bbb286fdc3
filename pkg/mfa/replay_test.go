package mfa_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store/bolt"
	"countersign/pkg/store/fault"
	"countersign/pkg/store/storetest"
)

// An answered is what the HTTP interface writes for an outcome: the answer with its secrets, or the error code.
type answered struct {
	Code  mfa.ErrorCode     `json:"code,omitempty"`
	Param string            `json:"param,omitempty"`
	Left  *int              `json:"attempts_left,omitempty"`
	Said  map[string]string `json:"said,omitempty"`
}

func say(answer any) map[string]string {
	said := map[string]string{}
	reveal := func(name string, s *seal.Secret) {
		if s != nil {
			said[name] = s.Reveal()
		}
	}
	switch a := answer.(type) {
	case mfa.StartAnswer:
		said["decision"], said["reason"] = a.Decision.Decision, a.Reason
		reveal("token", a.Token)
		reveal("trust_token", a.TrustToken)
		if c := a.Challenge; c != nil {
			said["id"], said["send_error"] = c.ID, string(c.SendError)
			reveal("challenge_token", c.Token)
			if c.Sent != nil {
				said["sequence"] = c.Sent.Sequence
			}
		}
	case mfa.VerifyAnswer:
		said["verified"], said["token"] = fmt.Sprint(a.Verified), a.Token.Reveal()
		reveal("trust_token", a.TrustToken)
	case mfa.SendAnswer:
		saySent(said, &a)
	case mfa.EnrolAnswer:
		said["id"] = a.ID
		saySent(said, a.SendAnswer)
		saySent(said, a.Prove)
	}
	return said
}

func saySent(said map[string]string, a *mfa.SendAnswer) {
	switch {
	case a == nil:
	case a.Sent != nil:
		said["sequence"] = a.Sent.Sequence
	default:
		said["send_error"] = string(a.SendError)
	}
}

func write(answer any, err *mfa.Error) []byte {
	a := answered{}
	if err != nil {
		a.Code, a.Param, a.Left = err.Code, err.Param, err.AttemptsLeft
	} else {
		a.Said = say(answer)
	}
	body, failed := json.Marshal(a)
	if failed != nil {
		panic(failed)
	}
	return body
}

// keyed adds an Idempotency-Key to a call.
func keyed(call mfa.Call, path, key, body string) mfa.Call {
	call.Replay = &mfa.Replay{Method: "POST", Path: path, Key: key, Body: []byte(body),
		Encode: func(answer any, err *mfa.Error) (full, later []byte, _ error) {
			later = write(answer, err)
			if shown, ok := answer.(interface{ WithoutShownOnce() any }); ok {
				later = write(shown.WithoutShownOnce(), err)
			}
			return write(answer, err), later, nil
		}}
	return call
}

// heard returns what a caller gets: the remembered bytes if there are any, and otherwise those of this answer.
func heard[T any](answer T, err error) answered {
	body := []byte(nil)
	var remembered *mfa.Remembered
	switch {
	case errors.As(err, &remembered):
		body = remembered.Answer
	case err != nil:
		body = write(nil, mfa.AsError(err))
	default:
		body = write(answer, nil)
	}
	var a answered
	if err := json.Unmarshal(body, &a); err != nil {
		panic(err)
	}
	return a
}

func same(a, b answered) bool {
	return fmt.Sprint(a.Code, a.Param, a.Said) == fmt.Sprint(b.Code, b.Param, b.Said)
}

func startKeyed(t *testing.T, w *mfatest.World, call mfa.Call, q mfa.StartRequest) answered {
	t.Helper()
	return heard(w.StartChallenge(t.Context(), call, q))
}

func verifyKeyed(t *testing.T, w *mfatest.World, call mfa.Call, id string, code seal.Secret) answered {
	t.Helper()
	return heard(w.Verify(t.Context(), call, mfa.VerifyRequest{Challenge: id, Answer: mfa.Answer{Code: code}, Trust: &mfa.TrustChoice{Name: "Firefox"}}))
}

func TestAStartWithTheSameKeyDoesItsWorkOnce(t *testing.T) {
	w := kls(t, nil)
	call := keyed(w.Client, "/v1/challenges", "k1", "{}")
	first := startKeyed(t, w, call, ana())
	if first.Said["challenge_token"] == "" || first.Said["sequence"] != "A" {
		t.Fatalf("got %+v, want a challenge", first)
	}
	w.Clock.Advance(10*time.Minute - time.Second)
	if again := startKeyed(t, w, call, ana()); !same(again, first) {
		t.Errorf("got %+v, want %+v", again, first)
	}
	w.Clock.Advance(time.Second)
	again := startKeyed(t, w, call, ana())
	if again.Said["challenge_token"] != "" || again.Said["id"] != first.Said["id"] {
		t.Errorf("after ten minutes: got %+v, want it without the token", again)
	}
	w.Clock.Advance(24*time.Hour - 10*time.Minute - time.Second)
	if again := startKeyed(t, w, call, ana()); again.Said["id"] != first.Said["id"] {
		t.Errorf("a second before a day is over: got %+v", again)
	}
	if got := len(w.Outbox.To(mail)); got != 1 {
		t.Errorf("got %d emails, want 1", got)
	}
	w.Clock.Advance(time.Second)
	if again := startKeyed(t, w, call, ana()); again.Said["id"] == first.Said["id"] || again.Said["challenge_token"] == "" {
		t.Errorf("after a day: got %+v, want another challenge", again)
	}
}

func TestAVerifyWithTheSameKeyGivesTheSameToken(t *testing.T) {
	w := kls(t, nil)
	for _, own := range []bool{false, true} {
		ch := started(t, w, ana())
		call := w.Client
		if own {
			call = mfa.Call{Bearer: ch.Token.Reveal()}
		}
		call = keyed(call, "/v1/challenges/"+ch.ID+"/verify", "k", "{}")
		code := w.Outbox.Code(t, mail)
		first := verifyKeyed(t, w, call, ch.ID, code)
		if first.Said["token"] == "" || first.Said["trust_token"] == "" {
			t.Fatalf("got %+v", first)
		}
		w.Clock.Advance(5 * time.Minute)
		if again := verifyKeyed(t, w, call, ch.ID, code); !same(again, first) {
			t.Errorf("got %+v, want %+v", again, first)
		}
		w.Clock.Advance(5 * time.Minute)
		again := verifyKeyed(t, w, call, ch.ID, code)
		if again.Said["token"] != first.Said["token"] || again.Said["trust_token"] != "" {
			t.Errorf("after ten minutes: got %+v, want the token alone", again)
		}
	}
	if got := len(events(t, w, mfa.ChallengeVerified)); got != 2 {
		t.Errorf("got %d challenge.verified, want 2", got)
	}
}

func TestAWrongAnswerWithTheSameKeyIsCountedOnce(t *testing.T) {
	w := kls(t, nil)
	ch := started(t, w, ana())
	code := w.Outbox.Code(t, mail)
	call := keyed(w.Client, "/v", "k", "wrong")
	for range 20 {
		got := verifyKeyed(t, w, call, ch.ID, mfatest.Wrong(code))
		if got.Code != mfa.WrongCode || *got.Left != 4 {
			t.Fatalf("got %+v, want wrong_code with 4 left", got)
		}
	}
	if got := len(events(t, w, mfa.ChallengeFailed)); got != 1 {
		t.Errorf("got %d counted, want 1", got)
	}
	if got := verifyKeyed(t, w, keyed(w.Client, "/v", "k", "right"), ch.ID, code); got.Code != mfa.IdempotencyMismatch {
		t.Errorf("another body: got %+v, want idempotency_mismatch", got)
	}
	if got := verifyKeyed(t, w, keyed(w.Client, "/v", "k2", "right"), ch.ID, code); got.Said["verified"] != "true" {
		t.Errorf("another key: got %+v", got)
	}
}

func TestAKeyIsOneClientsMethodsAndPathsOwn(t *testing.T) {
	w := kls(t, nil)
	other := w.NewClient(t, apikey.Grant{Client: "portal", Scopes: apikey.Scopes()})
	second := w.NewClient(t, apikey.Grant{Client: "app", Scopes: apikey.Scopes()})
	first := startKeyed(t, w, keyed(w.Client, "/a", "k", "{}"), ana())
	if again := startKeyed(t, w, keyed(second, "/a", "k", "{}"), ana()); !same(again, first) {
		t.Errorf("another key of the same client: got %+v, want the same answer", again)
	}
	put := keyed(w.Client, "/a", "k", "{}")
	put.Replay.Method = "PUT"
	for name, call := range map[string]mfa.Call{
		"another client": keyed(other, "/a", "k", "{}"), "another path": keyed(w.Client, "/b", "k", "{}"), "another method": put,
		"another key":                   keyed(w.Client, "/a", "K", "{}"),
		"a path that runs into the key": keyed(w.Client, "/", "ak", "{}"),
	} {
		got := startKeyed(t, w, call, ana())
		if got.Said["id"] == first.Said["id"] || got.Said["id"] == "" {
			t.Errorf("%s: got %+v, want another challenge", name, got)
		}
	}
	for _, n := range []int{0, 1025} {
		got := startKeyed(t, w, keyed(w.Client, "/a", strings.Repeat("k", n), "{}"), ana())
		if got.Code != mfa.InvalidRequest || got.Param != "Idempotency-Key" {
			t.Errorf("a key of %d bytes: got %+v", n, got)
		}
	}
	if got := startKeyed(t, w, keyed(w.Client, "/a", strings.Repeat("k", 1024), "{}"), ana()); got.Code != "" {
		t.Errorf("a key of 1024 bytes: got %+v", got)
	}
}

func TestARememberedAnswerIsForWhoMayStillAsk(t *testing.T) {
	w := kls(t, nil)
	startKeyed(t, w, keyed(w.Client, "/a", "k", "{}"), ana())
	narrow := w.NewClient(t, apikey.Grant{Client: "app", Scopes: []apikey.Scope{apikey.Manage}})
	elsewhere := w.NewClient(t, apikey.Grant{Client: "app", Scopes: apikey.Scopes(), Org: "globex"})
	for name, call := range map[string]mfa.Call{"without the scope": narrow, "for another org": elsewhere} {
		if got := startKeyed(t, w, keyed(call, "/a", "k", "{}"), ana()); got.Code != mfa.Forbidden {
			t.Errorf("a key %s: got %+v, want forbidden", name, got)
		}
	}
}

func TestWhatPassesByItselfIsNotRemembered(t *testing.T) {
	w := kls(t, nil)
	locking := keyed(w.Client, "/a", "locked", "{}")
	lock(t, w)
	if got := startKeyed(t, w, locking, ana()); got.Code != mfa.Locked {
		t.Fatalf("got %+v, want locked", got)
	}
	w.Clock.Advance(15 * time.Minute)
	if got := startKeyed(t, w, locking, ana()); got.Said["id"] == "" {
		t.Errorf("after the lock: got %+v, want a challenge", got)
	}

	w.Clock.Advance(2 * time.Hour)
	ch := started(t, w, ana())
	again := keyed(w.Client, "/send", "again", "{}")
	sendAgain := func() answered {
		return heard(w.SendCode(t.Context(), again, mfa.SendRequest{Challenge: ch.ID}))
	}
	if got := sendAgain(); got.Code != mfa.TooManySends {
		t.Fatalf("got %+v, want too_many_sends", got)
	}
	w.Clock.Advance(30 * time.Second)
	if got := sendAgain(); got.Said["sequence"] != "B" {
		t.Errorf("after the wait: got %+v, want code B", got)
	}
	if got := sendAgain(); got.Said["sequence"] != "B" {
		t.Errorf("and again: got %+v, want code B", got)
	}

	w.Keys.Fail(errors.New("keys are away"))
	away := keyed(w.Client, "/a", "away", "{}")
	if got := startKeyed(t, w, away, ana()); got.Code != mfa.Unavailable {
		t.Fatalf("got %+v, want unavailable", got)
	}
	w.Keys.Fail(nil)
	if got := startKeyed(t, w, away, ana()); got.Said["id"] == "" {
		t.Errorf("after that: got %+v, want a challenge", got)
	}
	version := 1
	change := mfa.PolicyChange{Policy: profile(t, "kls"), Version: &version}
	w.SetPolicy(t, "globex", "default", nil)
	away = keyed(w.Client, "/policy", "k", "{}")
	failLater(w, fault.Query, 0)
	if _, err := w.PutPolicy(t.Context(), away, "globex", change); mfa.AsError(err).Code != mfa.Unavailable {
		t.Fatalf("got %v, want unavailable", err)
	}
	w.Faults.Clear()
	if _, err := w.PutPolicy(t.Context(), away, "globex", change); err != nil {
		t.Errorf("after that: got %v, want the policy put", err)
	}
	bad := keyed(w.Client, "/v", "bad", "{}")
	if got := verifyKeyed(t, w, bad, ch.ID, seal.NewSecret("12 456")); got.Code != mfa.InvalidRequest {
		t.Fatalf("got %+v, want invalid_request", got)
	}
}

func TestARefusalIsRemembered(t *testing.T) {
	w := kls(t, nil)
	call := keyed(w.Client, "/a", "k", "{}")
	nobody := mfa.StartRequest{Org: org, User: mfa.Person{ID: user}}
	if got := startKeyed(t, w, call, nobody); got.Code != mfa.NothingToSend {
		t.Fatalf("got %+v, want nothing_to_send", got)
	}
	put(t, w, mfa.Person{ID: user, Email: mfa.Some(mail)})
	if got := startKeyed(t, w, call, nobody); got.Code != mfa.NothingToSend {
		t.Errorf("got %+v, want the same answer", got)
	}
}

func TestAFailedDeliveryIsRememberedAtStartAndTriedAnewAtSend(t *testing.T) {
	w := kls(t, nil)
	w.Outbox.Fail(errProvider, false)
	call := keyed(w.Client, "/a", "k", "{}")
	first := startKeyed(t, w, call, ana())
	if first.Said["send_error"] != string(mfa.DeliveryFailed) || first.Said["challenge_token"] == "" {
		t.Fatalf("got %+v, want delivery_failed", first)
	}
	again := keyed(w.Client, "/send", "k", "{}")
	sendAgain := func() answered {
		return heard(w.SendCode(t.Context(), again, mfa.SendRequest{Challenge: first.Said["id"]}))
	}
	if got := sendAgain(); got.Code != mfa.DeliveryFailed {
		t.Fatalf("got %+v, want delivery_failed", got)
	}
	w.Outbox.Fail(nil, false)
	if got := startKeyed(t, w, call, ana()); !same(got, first) {
		t.Errorf("the start again: got %+v, want %+v", got, first)
	}
	if got := sendAgain(); got.Said["sequence"] != "C" {
		t.Errorf("the send again: got %+v, want code C", got)
	}
	if got := sendAgain(); got.Said["sequence"] != "C" || len(w.Outbox.To(mail)) != 1 {
		t.Errorf("and again: got %+v and %d emails, want the answer before", got, len(w.Outbox.To(mail)))
	}
}

func TestParallelCallsWithOneKeyDoTheirWorkOnce(t *testing.T) {
	w := kls(t, nil)
	var answers [32]answered
	call := keyed(w.Client, "/a", "k", "{}")
	atOnce(len(answers), func(i int) { answers[i] = startKeyed(t, w, call, ana()) })
	last := startKeyed(t, w, call, ana())
	for _, a := range answers {
		if a.Said["send_error"] == string(mfa.DeliveryUnknown) && a.Said["sequence"] == "" { // the call came before the code was handed over
			a.Said["send_error"], a.Said["sequence"] = "", "A"
		}
		if !same(a, last) || a.Said["id"] == "" {
			t.Errorf("got %+v, want %+v", a, last)
		}
	}
	if got := len(w.Outbox.To(mail)); got != 1 {
		t.Errorf("got %d emails, want 1", got)
	}
	id, code := answers[0].Said["id"], w.Outbox.Code(t, mail)
	call = keyed(w.Client, "/v", "k", "{}")
	atOnce(len(answers), func(i int) { answers[i] = verifyKeyed(t, w, call, id, code) })
	for _, a := range answers {
		if !same(a, answers[0]) || a.Said["verified"] != "true" {
			t.Errorf("got %+v, want %+v", a, answers[0])
		}
	}
}

// atOnce runs n calls that all begin at the same moment.
func atOnce(n int, call func(i int)) {
	var all sync.WaitGroup
	barrier := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-barrier
			call(i)
		})
	}
	close(barrier)
	all.Wait()
}

func TestI8NoSecretLiesInTheStore(t *testing.T) {
	clock := storetest.NewClock(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	path := filepath.Join(t.TempDir(), "countersign.db")
	db, err := bolt.Open(path, bolt.Options{Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	w := mfatest.Over(t, db, db, clock)
	w.SetPolicy(t, org, "kls", nil)
	start := startKeyed(t, w, keyed(w.Client, "/a", "secret-idempotency-key", "secret-body"), ana())
	code := w.Outbox.Code(t, mail)
	answer := verifyKeyed(t, w, keyed(w.Client, "/v", "secret-idempotency-key", "secret-body"), start.Said["id"], code)
	next := startKeyed(t, w, keyed(w.Client, "/a", "next", "{}"), with(seal.NewSecret(answer.Said["trust_token"])))
	secrets := map[string]string{
		"code": `"` + code.Reveal() + `"`, "API key": w.Client.Bearer, "challenge token": start.Said["challenge_token"],
		"result token": answer.Said["token"], "trust token": answer.Said["trust_token"], "its successor": next.Said["trust_token"],
		"token of an allow": next.Said["token"], "Idempotency-Key": "secret-idempotency-key", "request body": "secret-body",
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(file), mail) {
		t.Fatalf("got %v and no address: the test looks in the wrong place", err)
	}
	for name, secret := range secrets {
		if secret == "" || strings.Contains(string(file), secret) {
			t.Errorf("the %s lies in the store's file", name)
		}
	}
}
