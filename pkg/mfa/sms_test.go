package mfa_test

import (
	"strings"
	"testing"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

const number = "+33612345678"

// texting is a world whose policy allows SMS to France and Great Britain, and more that change says.
func texting(t *testing.T, change func(*mfa.Policy)) *mfatest.World {
	t.Helper()
	w := mfatest.New(t)
	w.SetPolicy(t, org, "salto", func(p *mfa.Policy) {
		p.SMS.Countries = []string{"FR", "GB"}
		if change != nil {
			change(p)
		}
	})
	return w
}

func TestS3ANumberIsAFactorOnlyOnceItIsProven(t *testing.T) {
	w := texting(t, nil)
	said, typed := ana().User, "+33 6 12 34 56 78"
	begun, err := w.BeginEnrolment(t.Context(), w.Fresh(), mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.SMS, Phone: &typed})
	if err != nil {
		t.Fatal(err)
	}
	if s := begun.Sent; s == nil || s.Kind != mfa.SMS || s.Hint != "•••• 78" || s.Sequence != "A" {
		t.Fatalf("got %+v", s)
	}
	texts := w.Outbox.Texts(number)
	if len(texts) != 1 || len(w.Outbox.To(mail)) != 0 || !strings.HasSuffix(texts[0].Text, "\n@countersign.example #"+texts[0].Code.Reveal()) {
		t.Fatalf("got %+v", texts)
	}
	if got := shown(t, w); len(got.Factors) != 0 || got.Enabled {
		t.Errorf("before: got %+v", got)
	}
	done, err := finish(t, w, w.Client, begun.ID, texts[0].Code)
	if err != nil || done.Factor.Kind != mfa.SMS || done.Factor.Hint != "•••• 78" || len(done.RecoveryCodes) != 1 {
		t.Fatalf("got %+v, %v", done, err)
	}
	ch := started(t, w, ana())
	if ch.Sent == nil || ch.Sent.Kind != mfa.SMS || *ch.Default != done.Factor.ID || len(w.Outbox.Texts(number)) != 2 {
		t.Fatalf("got %+v", ch)
	}
	verified, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Answer: mfa.Answer{Code: w.Outbox.Code(t, number)}})
	if err != nil {
		t.Fatal(err)
	}
	wantClaims(t, w, verified.Token, map[string]any{"acr": "aal2", "amr": []any{"pwd", "sms", "mfa"}})
}
