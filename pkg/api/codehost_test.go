package api_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"countersign/pkg/message"
	"countersign/pkg/phone"
)

// A phonebox is a provider that keeps every text message.
type phonebox struct{ texts []message.Text }

func (p *phonebox) SendText(_ context.Context, m message.Text) error {
	p.texts = append(p.texts, m)
	return nil
}

func (p *phonebox) last() message.Text { return p.texts[len(p.texts)-1] }

func TestM3NoHeaderChangesTheDomainThatATextMessageIsBoundTo(t *testing.T) {
	for codeDomain, want := range map[string]string{"": "mfa.example.com", "login.acme.example": "login.acme.example"} {
		w, box := newWorld(t), &phonebox{}
		w.service.Text, w.service.Numbers = box, phone.Numbers{}
		w.service.Issuer, w.service.CodeDomain = "https://mfa.example.com:8443", codeDomain
		w.wants("the policy", w.do("PUT", "/v1/orgs/acme/policy", `{"profile":"salto","sms":{"countries":["FR"]}}`, with("If-Match", `"0"`)), 200)
		begun := w.wants("begin", w.do("POST", "/v1/enrolments", `{"org":"acme","user":{"id":"u-17"},"kind":"sms","phone":"+33612345678"}`, w.reauthenticated()), 201)
		w.wants("finish", w.do("POST", "/v1/enrolments/"+begun.word("id")+"/finish", `{"code":"`+box.last().Code.Reveal()+`"}`), 201)
		for name, alter := range map[string]alteration{
			"none":              func(*http.Request) {},
			"Host":              func(r *http.Request) { r.Host = "evil.example" },
			"Forwarded":         with("Forwarded", "host=evil.example;proto=http"),
			"X-Forwarded-Host":  with("X-Forwarded-Host", "evil.example"),
			"X-Forwarded-Proto": with("X-Forwarded-Proto", "http"),
			"X-Original-Host":   with("X-Original-Host", "evil.example"),
			"Origin":            with("Origin", "https://app.example"),
			"Referer":           with("Referer", "https://evil.example/"),
		} {
			w.clock.Advance(time.Hour)
			w.wants(name, w.do("POST", "/v1/challenges", `{"org":"acme","user":{"id":"u-17"}}`, alter), 201)
			if got := box.last(); !strings.HasSuffix(got.Text, "\n@"+want+" #"+got.Code.Reveal()) {
				t.Errorf("%s: got %q, want it bound to %s", name, got.Text, want)
			}
		}
		if got := len(box.texts); got != 9 {
			t.Errorf("got %d text messages, want 9", got)
		}
	}
}
