package walk

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/passkey/passkeytest"
	"countersign/pkg/store"
)

// userKey is a user's security key or passkey.
type userKey struct {
	user, id   string // id is the id of the factor
	credential string

	mu     sync.Mutex
	device *passkeytest.Authenticator
}

// A response is a key's response to the options of a ceremony.
type response struct {
	json   json.RawMessage
	signed string // the WebAuthn challenge
	count  uint32 // the signature counter
}

// touch makes a response with the given signature counter, whatever the key has signed before. So a call that is repeated in
// another schedule gives the same response.
func (k *userKey) touch(options json.RawMessage, count uint32, as passkeytest.Misbehaviour) (response, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	as.Count = func(uint32) uint32 { return count }
	k.device.Misbehaviour = as
	given, err := k.device.Get(options, mfatest.Origin)
	return response{given, challengeIn(options), count}, err
}

// challengeIn returns the WebAuthn challenge in options.
func challengeIn(options json.RawMessage) string {
	var said struct{ Challenge string }
	if json.Unmarshal(options, &said) != nil {
		return ""
	}
	return said.Challenge
}

// credentialIn returns the credential id in a response.
func credentialIn(given json.RawMessage) string {
	var said struct{ RawID string }
	if json.Unmarshal(given, &said) != nil {
		return ""
	}
	return said.RawID
}

// claimKey returns the key of the item that says who owns a credential id.
func claimKey(credential string) store.Key {
	raw, _ := base64.RawURLEncoding.DecodeString(credential) // an error is ignored, because the checks fail if there is no item at this key
	sum := sha256.Sum256(raw)
	return store.Key{Partition: "cred#" + base64.RawURLEncoding.EncodeToString(sum[:]), Sort: "owner"}
}

// key enrols a key before the calls. If the key has a signature counter, it is then at 1.
func (p *props) key(user string, call mfa.Call, device *passkeytest.Authenticator) *userKey {
	p.Helper()
	en, given := p.keyUnderWay(user, call, device)
	done, err := p.FinishEnrolment(context.Background(), p.Client, mfa.FinishRequest{Enrolment: en.id, Answer: mfa.Answer{Credential: given}})
	if err != nil {
		p.Fatal(err)
	}
	if len(done.RecoveryCodes) > 0 {
		p.shown = done.RecoveryCodes
	}
	return &userKey{user: user, id: done.Factor.ID, credential: credentialIn(given), device: device}
}

// keyUnderWay begins the enrolment of a key before the calls, and returns the response that finishes it.
func (p *props) keyUnderWay(user string, call mfa.Call, device *passkeytest.Authenticator) (underWay, json.RawMessage) {
	p.Helper()
	begun, err := p.BeginEnrolment(context.Background(), call, mfa.EnrolRequest{Org: "acme", User: directory(user), Kind: mfa.WebAuthn})
	if err != nil {
		p.Fatal(err)
	}
	given, err := device.Create(begun.WebAuthn, mfatest.Origin)
	if err != nil {
		p.Fatal(err)
	}
	p.words[credentialIn(given)], p.words[strings.TrimPrefix(claimKey(credentialIn(given)).Partition, "cred#")] = true, true
	return underWay{user: user, id: begun.ID, until: p.Clock.Now().Add(ceremonyLife), by: p.Client, before: true}, given
}

// ceremonyLife is how long a response is accepted.
const ceremonyLife = 300 * time.Second

// copying returns a key whose next credential id is that of k.
func copying(k *userKey) *passkeytest.Authenticator {
	raw, _ := base64.RawURLEncoding.DecodeString(k.credential) // an error gives an empty id, so the key makes a random one, which the checks find
	return &passkeytest.Authenticator{NextID: raw}
}

// abandoned makes a credential id whose owner no longer has the factor. Such an id remains if an erasure has not seen the
// factor. The owner has been created again.
func (p *props) abandoned(user string) *userKey {
	p.Helper()
	k := p.key(user, p.Fresh(), &passkeytest.Authenticator{})
	at := claimKey(k.credential)
	left, err := store.GetOne(context.Background(), p.model, at)
	if err != nil {
		p.Fatal(err)
	}
	if err := p.EraseUser(context.Background(), p.Client, "acme", user); err != nil {
		p.Fatal(err)
	}
	if err := p.model.Commit(context.Background(), store.NewVersion(), store.Write{Key: at, Body: left.Body}); err != nil {
		p.Fatal(err)
	}
	if _, err := p.PutUser(context.Background(), p.Client, "acme", *directory(user)); err != nil {
		p.Fatal(err)
	}
	return k
}

// askKey begins a challenge to a key before the calls.
func (p *props) askKey(user string, q mfa.StartRequest) opened {
	p.Helper()
	answer, err := p.StartChallenge(context.Background(), p.Client, q)
	if err != nil {
		p.Fatal(err)
	}
	ch := answer.Challenge
	p.before[ch.ID] = true
	return opened{user: user, id: ch.ID, bearer: mfa.Call{Bearer: ch.Token.Reveal()}, until: p.Clock.Now().Add(ceremonyLife), options: ch.WebAuthn}
}

// touch makes a response before the calls.
func (p *props) touch(o opened, k *userKey, count uint32) response {
	p.Helper()
	r, err := k.touch(o.options, count, passkeytest.Misbehaviour{})
	if err != nil {
		p.Fatal(err)
	}
	return r
}

// forge makes a response that another key has signed.
func (p *props) forge(o opened, k *userKey) response {
	p.Helper()
	r, err := k.touch(o.options, 9, passkeytest.Misbehaviour{OtherKey: true})
	if err != nil {
		p.Fatal(err)
	}
	return r
}

// spendForged gives wrong responses to a challenge before the calls.
func (p *props) spendForged(o opened, k *userKey, times int) {
	p.Helper()
	for range times {
		_, err := p.Verify(context.Background(), p.Client, mfa.VerifyRequest{Challenge: o.id, Answer: mfa.Answer{Credential: p.forge(o, k).json}})
		if mfa.AsError(err).Code != mfa.WrongCredential {
			p.Fatal(err)
		}
		p.spent[o.id]++
	}
}

// mistakeByApp is mistake for a user who also has a key, so the answers name the app.
func (p *props) mistakeByApp(x *userApp, times int) {
	p.Helper()
	for range times {
		o := p.ask(x.user, mfa.SignIn)
		_, err := p.Verify(context.Background(), p.Client, mfa.VerifyRequest{Challenge: o.id, Factor: x.id, Answer: mfa.Answer{Code: x.wrong()}})
		if mfa.AsError(err).Code != mfa.WrongCode {
			p.Fatal(err)
		}
		p.spent[o.id]++
		p.spent[o.user]++
	}
}

// finishForged answers an enrolment with a wrong response before the calls.
func (p *props) finishForged(en underWay, given json.RawMessage) {
	p.Helper()
	_, err := p.FinishEnrolment(context.Background(), p.Client, mfa.FinishRequest{Enrolment: en.id, Answer: mfa.Answer{Credential: given}})
	if mfa.AsError(err).Code != mfa.WrongCredential {
		p.Fatal(err)
	}
}

// answerByKey answers a challenge with the response of a key. right says whether the response is right, unless another call
// changes that.
func (a *actor) answerByKey(o opened, k *userKey, r response, right bool) *call {
	d := deed{
		kind: verifies, closes: true, signs: true, user: o.user, challenge: o.id, factor: k.id, code: r.signed, count: r.count,
		right: right, until: o.until, before: a.props.before[o.id],
	}
	what := "wrong response"
	if right {
		what = fmt.Sprintf("response with counter %d", r.count)
	}
	if right && r.count > 0 {
		d.secret = fmt.Sprint(k.id, " counter ", r.count)
	}
	q := mfa.VerifyRequest{Challenge: o.id, Answer: mfa.Answer{Credential: r.json}}
	return a.do(a.named(what), d, func(ctx context.Context, s *mfa.Service) (any, error) { return s.Verify(ctx, o.bearer, q) })
}

// sendKey begins a new ceremony in a challenge, which ends the ceremony before. The call comes from a page of the client.
func (a *actor) sendKey(o opened) *call {
	d := deed{kind: sends, closes: true, signs: true, user: o.user, challenge: o.id, code: challengeIn(o.options)}
	by := o.bearer
	by.Origin = mfatest.Origin
	return a.do(a.named("send"), d, func(ctx context.Context, s *mfa.Service) (any, error) {
		return s.SendCode(ctx, by, mfa.SendRequest{Challenge: o.id})
	})
}

// answerSent answers the ceremony that c has begun, if it has begun one.
func (a *actor) answerSent(o opened, k *userKey, c *call, count uint32) {
	answer, ok := c.answer.(mfa.SendAnswer)
	if c.dead || c.err != nil || !ok {
		return
	}
	o.options, o.until = answer.WebAuthn, c.now.Add(ceremonyLife)
	r, err := k.touch(o.options, count, passkeytest.Misbehaviour{})
	a.blame(err)
	a.answerByKey(o, k, r, true)
}

// finishByKey answers the enrolment of a key.
func (a *actor) finishByKey(en underWay, given json.RawMessage, right bool) *call {
	d := deed{
		kind: finishes, signs: true, user: en.user, challenge: en.id, lets: en.challenge, right: right, until: en.until, before: en.before,
		closes: en.replaces, credential: credentialIn(given),
	}
	what := "finish with a wrong response"
	if right {
		what, d.secret = "finish", en.id
	}
	return a.do(a.named(what), d, func(ctx context.Context, s *mfa.Service) (any, error) {
		return s.FinishEnrolment(ctx, en.by, mfa.FinishRequest{Enrolment: en.id, Answer: mfa.Answer{Credential: given}})
	})
}

// finishBegun finishes the enrolment that c began, if it began one, with a key of this credential id. Without an id, the key
// makes a random one.
func (a *actor) finishBegun(c *call, en underWay, id []byte) *call {
	answer, ok := c.answer.(mfa.EnrolAnswer)
	if c.dead || c.err != nil || !ok {
		return nil
	}
	en.id, en.until = answer.ID, c.now.Add(ceremonyLife)
	given, err := (&passkeytest.Authenticator{NextID: id}).Create(answer.WebAuthn, mfatest.Origin)
	a.blame(err)
	return a.finishByKey(en, given, true)
}

func (a *actor) removeKey(k *userKey, by mfa.Call) *call {
	return a.remove(&userApp{user: k.user, id: k.id}, by)
}
