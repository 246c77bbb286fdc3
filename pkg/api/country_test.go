package api_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"countersign/pkg/message"
	"countersign/pkg/mfa"
	"countersign/pkg/phone"
)

// SendText keeps every text message.
func (p *postbox) SendText(_ context.Context, m message.Text) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.codes = append(p.codes, m.Code.Reveal())
	return nil
}

// The world compares each answer with the document, so this also shows that the document has these refusals.
func TestACountryThatIsClosedIsToldAtEveryPlaceThatSends(t *testing.T) {
	w := newWorld(t)
	w.service.Numbers, w.service.Text = phone.Numbers{}, w.mail
	allows := func(version, countries string) {
		w.wants("the policy", w.do("PUT", policy, `{"profile":"salto","sms":{"countries":[`+countries+`]},"acknowledge":true}`, at(version)), 200)
	}
	begin := func(user, number string) reply {
		return w.do("POST", "/v1/enrolments", `{"org":"acme","user":{"id":"`+user+`"},"kind":"sms","phone":"`+number+`"}`, w.reauthenticated())
	}
	allows("0", `"FR"`)
	w.refused("begin", begin("u-17", "+447400123456"), 403, mfa.CountryForbidden, "")
	begun := w.wants("begin", begin("u-17", "+33612345678"), 201)
	w.wants("finish", w.do("POST", "/v1/enrolments/"+begun.word("id")+"/finish", `{"code":"`+w.mail.last()+`"}`), 201)
	started := w.wants("start", w.do("POST", "/v1/challenges", `{"org":"acme","user":{"id":"u-17"}}`), 201)
	pending := w.wants("begin", begin("u-18", "+33698765432"), 201)

	allows("1", `"GB"`)
	w.clock.Advance(time.Minute)
	w.refused("send, in an enrolment", w.do("POST", "/v1/enrolments/"+pending.word("id")+"/send", `{}`), 403, mfa.CountryForbidden, "")
	w.refused("send", w.do("POST", "/v1/challenges/"+started.word("challenge.id")+"/send", `{}`), 403, mfa.CountryForbidden, "")
	again := w.wants("start", w.do("POST", "/v1/challenges", `{"org":"acme","user":{"id":"u-17"}}`), 201)
	if again.word("challenge.send_error") != string(mfa.CountryForbidden) || again.at("challenge.sent") != nil {
		t.Errorf("got %s", again.text)
	}
}

func TestAnEnrolmentTokenBeginsTwentyTimes(t *testing.T) {
	w := newWorld(t)
	token := as(w.mustEnrol(`,"enrolment_proof":"none"`).word("enrolment.token"))
	for n := range 20 {
		w.wants("begin "+strconv.Itoa(n+1), w.do("POST", "/v1/enrolments", `{"kind":"totp"}`, token), 201)
	}
	w.refused("begin once more", w.do("POST", "/v1/enrolments", `{"kind":"totp"}`, token), 429, mfa.TooManyRequests, "")
}
