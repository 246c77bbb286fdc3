package main

import (
	"testing"

	"countersign/pkg/passkey/passkeytest"
)

func TestR8AndR9AKeysCeremoniesAndItsCounterOutliveSIGKILL(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	key := &passkeytest.Authenticator{}
	p := launch(t, data)
	p.policy(t, "acme", doc{"trust": doc{"days": 0}})
	page := p.page() // the client has registered this origin, and keeps it, though each server listens at another port
	create := func(begun answer) doc {
		response, err := key.Create(ceremony(t, begun), page)
		if err != nil {
			t.Fatal(err)
		}
		return doc{"credential": response}
	}
	touch := func(asked answer) doc {
		response, err := key.Get(ceremony(t, asked), page)
		if err != nil {
			t.Fatal(err)
		}
		return doc{"credential": response}
	}
	again := func() {
		p.kill()
		p = launch(t, data)
	}

	begun := p.begin(t, ana, "webauthn", "").want(t, 201, "")
	again()
	first := create(begun)
	p.finishBy(t, "", begun.text("id"), first).want(t, 201, "")
	again()
	p.finishBy(t, "", begun.text("id"), first).want(t, 404, "enrolment_invalid")
	if got := p.account(t, ana); len(got.list("factors")) != 1 || p.told(t, ana.id, "factor.enrolled") != 1 {
		t.Fatalf("got %s, want one key", got.raw)
	}

	asked := p.asked(t, ana, nil)
	again()
	response := touch(asked)
	p.verify(t, asked.text("challenge", "id"), response).want(t, 200, "")
	again()
	p.verify(t, asked.text("challenge", "id"), response).want(t, 404, "challenge_invalid")

	asked = p.asked(t, ana, nil)
	key.Misbehaviour.Count = func(n uint32) uint32 { return n - 1 }
	wrong := touch(asked)
	p.verify(t, asked.text("challenge", "id"), wrong).wantWrong(t, 4)
	again()
	p.verify(t, asked.text("challenge", "id"), wrong).wantWrong(t, 3)
	key.Misbehaviour.Count = nil
	p.verify(t, asked.text("challenge", "id"), touch(asked)).want(t, 200, "")
	if n := p.told(t, ana.id, "factor.counter_refused"); n != 2 {
		t.Errorf("%d events tell of the counter, want 2", n)
	}
}
